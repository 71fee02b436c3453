"""Meters: what an observation shows of a block is what was measured, with noise, late, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..blocks import ArrayBlock, Block, BlockContext, BlockView, FleetBlock, SeriesBlock
from ..blocks.of_block import OfBlock
from ..resources.base import Entry, check_choice, check_number
from ..resources.times import older
from .chance import KeyArray, draws, stream_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
T = TypeVar("T")
_ROOM = 5.0  # standard deviations that bounds are widened by: one reading in 2e6 would be clipped


@dataclass(frozen=True)
class Meter:
    """How one block of the observation is measured.

    Attributes:
        block: name of the block, such as "v_pu" or "battery.soc"; what is known without measuring (clock,
            prices) has no meter.
        std: standard deviation of the noise, in the block's unit.
        relative_std: the same as share of the true value; the two add up.
        delay_steps: age of what is shown, in steps. An episode begins with readings of its beginning.
        dropout: chance that a reading is missing, for each column and step alone.
        missing: "hold" shows the last reading in its place. "mask" does so, too, and adds an entry for each
            column that is 1 where the reading is of now and 0 where it is held.
        columns: names of what is measured ("18", per phase "671.A"), in the order of the observation; None:
            everything. The rest is not observed.

    Raises:
        ValueError: a number is out of its range.
    """

    block: str
    std: float = 0.0
    relative_std: float = 0.0
    delay_steps: int = 0
    dropout: float = 0.0
    missing: str = "hold"
    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        who = f"Meter of {self.block}"
        check_number(who, "std", self.std, 0.0, math.inf)
        check_number(who, "relative_std", self.relative_std, 0.0, 1.0)
        check_number(who, "delay_steps", self.delay_steps, 0.0, 1000.0)
        if self.delay_steps != int(self.delay_steps):
            raise ValueError(f"{who}: delay_steps must be a whole number, got {self.delay_steps!r}")
        check_number(who, "dropout", self.dropout, 0.0, 1.0)
        check_choice(who, "missing", self.missing, ("hold", "mask"))
        if self.columns is not None:
            if isinstance(self.columns, str) or not isinstance(self.columns, Iterable):
                raise ValueError(f"{who}: columns must be a list of names, got {self.columns!r}")
            object.__setattr__(self, "columns", tuple(str(name) for name in self.columns))
            if not self.columns or len(set(self.columns)) < len(self.columns):
                raise ValueError(f"{who}: columns must name each column once, got {list(self.columns)}")

    @property
    def random(self) -> bool:
        """Whether readings depend on chance."""
        return self.std > 0.0 or self.relative_std > 0.0 or self.dropout > 0.0


def checked_meters(meters: object) -> tuple[Meter, ...]:
    """Meters as a tuple; mappings, as JSON has them, become what they were. One for each block at most."""
    if isinstance(meters, str | Mapping | Meter) or not isinstance(meters, Iterable):
        raise TypeError(
            f"meters must be a list such as [Meter('v_pu', std=0.002)], got {type(meters).__name__}"
        )
    found: list[Meter] = []
    for one in meters:
        item = Meter(**one) if isinstance(one, Mapping) else one
        if not isinstance(item, Meter):
            raise TypeError(f"meters must be a list of Meter, one of them is {type(item).__name__}")
        if item.block in {other.block for other in found}:
            raise ValueError(f"meters has two meters of {item.block!r}")
        found.append(item)
    return tuple(found)


@dataclass(frozen=True)
class MeteredBlock(OfBlock, ArrayBlock):
    """A block as its meter shows it: columns ``first`` and following of the readings."""

    meter: Meter = field(kw_only=True)
    first: int = field(kw_only=True)
    source = "prepared"

    @property
    def meaning(self) -> str:
        """That of the block, and how it is measured."""
        meter, said = self.meter, []
        if meter.std or meter.relative_std:
            said.append("with noise")
        if meter.delay_steps:
            said.append(f"{meter.delay_steps} steps old")
        if meter.dropout:
            said.append("the last reading where one is missing")
        return "; ".join([self.of.meaning, ", ".join(["measured", *said])])

    def places(self, context: BlockContext) -> Sequence[str | None]:
        """Those of the block that are measured."""
        return self._of_each(self.of.places(context), context)

    def times(self, context: BlockContext) -> Sequence[str]:
        """Those of the block, as late as readings come."""
        late_h = self.meter.delay_steps * context.profiles.dt_h
        return [older(time, late_h) for time in self._of_each(self.of.times(context), context)]

    def _of_each(self, every: Sequence[T], context: BlockContext) -> list[T]:
        """Of what is measured, and once more of the mask."""
        chosen = [every[k] for k in self.chosen(context)]
        return chosen * (2 if self.meter.missing == "mask" else 1)

    @property
    def reads(self) -> tuple[str, ...]:
        """What the block reads."""
        return self.of.reads

    def n_read(self, counts: Mapping[str, int]) -> int:
        """Columns that are measured."""
        return self.of.size(counts) if self.meter.columns is None else len(self.meter.columns)

    def size(self, counts: Mapping[str, int]) -> int:
        """Columns that are measured, and as many of the mask."""
        return self.n_read(counts) * (2 if self.meter.missing == "mask" else 1)

    def chosen(self, context: BlockContext) -> IntArray:
        """Which columns of the block are measured. ValueError for names that it does not have."""
        labels = list(self.of.labels(context))
        if self.meter.columns is None:
            return np.arange(len(labels))
        inside = {label: k for k, label in enumerate(labels)}
        inside |= {label[len(self.name) + 1 : -1]: k for k, label in enumerate(labels)}
        for name in self.meter.columns:
            if name not in inside:
                raise ValueError(
                    f"Meter of {self.name}: there is no column {name!r}; the first are "
                    f"{', '.join(label[len(self.name) + 1 : -1] or label for label in labels[:5])}"
                )
        return np.array([inside[name] for name in self.meter.columns], dtype=np.int64)

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Those of the block, then "v_pu[18].measured"."""
        every = list(self.of.labels(context))
        labels = [every[k] for k in self.chosen(context)]
        return labels + [f"{label}.measured" for label in labels] * (self.meter.missing == "mask")

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Those of the block, widened for the noise."""
        size, chosen = self.of.size(context.counts), self.chosen(context)
        low, high = (
            np.broadcast_to(np.asarray(bound, dtype=np.float64), (size,))[chosen]
            for bound in self.of.bounds(context)
        )
        room = _ROOM * (self.meter.std + self.meter.relative_std * np.maximum(np.abs(low), np.abs(high)))
        low, high = low - room, high + room
        if self.meter.missing == "mask":
            low, high = np.append(low, np.zeros(low.size)), np.append(high, np.ones(high.size))
        return low, high

    def entries(self, context: BlockContext) -> list[Entry]:
        """Every entry; those of the mask have no unit."""
        found, n = super().entries(context), self.n_read(context.counts)
        meaning = "1 where the reading is of now, 0 where it is an earlier one"
        return found[:n] + [replace(one, unit="1", meaning=meaning) for one in found[n:]]

    def columns(self, context: BlockContext) -> IntArray:
        """Of the readings."""
        return np.arange(self.first, self.first + self.size(context.counts))

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What was read last."""
        out[:] = view.readings[:, self.columns(view.context)]


def metered(blocks: Sequence[Block], meters: Sequence[Meter], counts: Mapping[str, int]) -> list[Block]:
    """The blocks, those with a meter as it shows them. ValueError for a block that cannot be measured so."""
    by_name, out, first = {meter.block: meter for meter in meters}, [], 0
    for block in blocks:
        meter = by_name.pop(block.name, None)
        if meter is None:
            out.append(block)
            continue
        if isinstance(block, SeriesBlock):
            raise ValueError(f"Meter of {block.name}: it is known without measuring")
        if isinstance(block, FleetBlock) and (meter.columns is not None or meter.missing == "mask"):
            raise ValueError(
                f"Meter of {block.name}: devices find their entries by position, so columns= and "
                "missing='mask' are for blocks of the grid"
            )
        readings = MeteredBlock(of=block, meter=meter, first=first)
        first += readings.size(counts)
        out.append(readings)
    if by_name:
        names = ", ".join(block.name for block in blocks)
        raise ValueError(f"there is no block {next(iter(by_name))!r} to measure; the blocks are {names}")
    return out


def n_readings(blocks: Sequence[Block], context: BlockContext) -> int:
    """Columns of what all meters show."""
    return sum(block.size(context.counts) for block in blocks if isinstance(block, MeteredBlock))


class MeterReadings:
    """What the meters of a grid show, the first columns of ``shown`` (batch, ...); advanced once a step."""

    def __init__(self, blocks: Sequence[Block], context: BlockContext, readings: FloatArray) -> None:
        self._meters = [_Reading(b, context, len(readings)) for b in blocks if isinstance(b, MeteredBlock)]
        self.readings, self._width = readings, n_readings(blocks, context)

    @property
    def random(self) -> bool:
        """Whether any meter draws."""
        return any(one.block.meter.random for one in self._meters)

    def __bool__(self) -> bool:
        return bool(self._meters)

    def read(self, view: BlockView, rows: IntArray | None = None) -> None:
        """Measure the state as it stands: one step later in every row, or anew in ``rows``."""
        for one in self._meters:
            one.read(view, self.readings, rows)

    def state(self) -> dict[str, FloatArray]:
        """Live arrays that the future depends on, batch first."""
        return {"shown": self.readings[:, : self._width]} | {
            f"past.{one.block.name}": one.past for one in self._meters
        }


class _Reading:
    """One meter at work; ``past`` (batch, delay, columns) holds what is on its way, the oldest last."""

    def __init__(self, block: MeteredBlock, context: BlockContext, batch: int) -> None:
        self.block = block
        self._chosen, self._stream = block.chosen(context), stream_of(f"meter {block.name}")
        self._truth = np.zeros((batch, block.of.size(context.counts)))
        self._part = slice(block.first, block.first + self._chosen.size)
        self._mask = slice(self._part.stop, block.first + block.size(context.counts))
        self.past: FloatArray = np.zeros((batch, int(block.meter.delay_steps), self._chosen.size))

    def read(self, view: BlockView, readings: FloatArray, rows: IntArray | None) -> None:
        meter = self.block.meter
        self.block.of.fill(view, self._truth)
        value = self._truth[:, self._chosen]
        lost = np.zeros(value.shape, dtype=np.bool_)
        if meter.random:
            normal, uniform = self._noise(view.row_key, view.t_index)
            value += (meter.std + meter.relative_std * np.abs(value)) * normal
            lost = uniform < meter.dropout
        if rows is not None:
            readings[rows, self._part], readings[rows, self._mask] = value[rows], 1.0
            self.past[rows] = value[rows, None]
            return
        if meter.delay_steps:
            arriving = self.past[:, -1].copy()
            self.past[:, 1:] = self.past[:, :-1].copy()
            self.past[:, 0] = value
            value = arriving
        np.copyto(readings[:, self._part], value, where=~lost)
        if meter.missing == "mask":
            readings[:, self._mask] = ~lost

    def _noise(self, keys: KeyArray, t_index: IntArray) -> tuple[FloatArray, FloatArray]:
        return draws(keys, t_index, self._stream, self._chosen)
