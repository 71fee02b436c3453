"""What an observation block is: a named part of the observation with unit, meaning, size, bounds, and values.

Tasks list blocks. A shipped one is known by its name; one of your own is an instance of a class of yours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..resources.base import Entry
from ..resources.class_names import made_of, name_of_class
from ..resources.times import COMING, KNOWN, LAST
from .places import located
from .view import BlockContext, BlockView, FloatArray, IntArray

#: Results of a power flow that are only kept where a block reads them: see `Block.reads`.
DETAILS = ("v", "s_from", "i_ka")


@dataclass(frozen=True)
class Block(ABC):
    """A part of the observation.

    A subclass says its ``name``, ``unit`` and ``meaning`` (class attributes, or properties where they depend
    on its own fields), what its entries stand ``per``, their ``bounds``, and fills them. It holds no state:
    many environments share it, on several threads. Give it fields by ``@dataclass(frozen=True)``.

    Example::

        class WorstVoltage(Block):
            name, unit = "v_min_pu", "pu"
            meaning = "lowest voltage of the feeder, last"

            def bounds(self, context):
                return 0.0, 2.0

            def fill(self, view, out):
                out[:, 0] = np.nanmin(view.v_pu, axis=1)
    """

    #: Of which class a block is where only its fields are kept: in JSON.
    class_name: str = field(default="", init=False, repr=False, compare=False)

    def __init_subclass__(cls) -> None:
        cls.class_name = name_of_class(cls)

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in ``env.layout``."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Of all its entries; "1" for what has none."""

    @property
    @abstractmethod
    def meaning(self) -> str:
        """What it holds, for the documentation."""

    @property
    def time(self) -> str:
        """Of when it is, a word of `envs.resources.times`: "last", of the interval before the decision.

        What is ``COMING`` by its class shows the interval that is decided at the level "oracle" alone.
        """
        return LAST

    @property
    def public(self) -> bool:
        """Whether everybody knows it without measuring, so that every level of observation shows it."""
        return False

    @property
    def looks_ahead(self) -> bool:
        """Whether it is about intervals to come; what is `public` is shown at the level "local" where not."""
        return False

    @property
    def per(self) -> str | None:
        """One entry for each "node", "load", "branch" or "unbalance"; None: for none of these."""
        return None

    @property
    def reads(self) -> tuple[str, ...]:
        """Which of "v", "s_from" and "i_ka" it reads: without being asked, power flows do not write them."""
        return ()

    def size(self, counts: Mapping[str, int]) -> int:
        """Number of entries, given the columns by kind; 1 unless there is one ``per`` something."""
        return 1 if self.per is None else counts[self.per]

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Name of each entry: "v_pu[18]" per node, the block's own for a lone one, "name[0]" ... else."""
        if self.per is not None:
            return [f"{self.name}[{label}]" for label in context.names[self.per]]
        size = self.size(context.counts)
        return [self.name] if size == 1 else [f"{self.name}[{k}]" for k in range(size)]

    def places(self, context: BlockContext) -> Sequence[str | None]:
        """Name of the column ``per`` which each entry stands; None where it stands nowhere."""
        return [None] * self.size(context.counts) if self.per is None else context.names[self.per]

    def times(self, context: BlockContext) -> Sequence[str]:
        """Of when each entry is."""
        time = LAST if self.time == COMING and not context.exact else self.time
        return [time] * self.size(context.counts)

    @abstractmethod
    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Lowest and highest value, one for all entries or one each; finite. What lies outside is clipped."""

    @abstractmethod
    def fill(self, view: BlockView, out: FloatArray) -> None:
        """Write the (batch, size) values; NaN is observed as 0. Row *i* must not depend on row *j*."""

    def entries(self, context: BlockContext) -> list[Entry]:
        """Every entry with unit, bounds, time and place.

        ValueError where those do not fit its size, or are not finite.
        """
        labels, size = self.labels(context), self.size(context.counts)
        if len(labels) != size:
            raise ValueError(f"observation block {self.name!r} has {len(labels)} labels for {size} entries")
        low, high = (self._checked_bound(bound, size) for bound in self.bounds(context))
        if (low > high).any():
            k = int((low > high).argmax())
            raise ValueError(
                f"observation block {self.name!r}: {labels[k]} has bounds {low[k]} and {high[k]}"
            )
        where = [located(self.per, place, context.feeder) for place in self.places(context)]
        return [
            Entry(label, self.unit, a, b, self.meaning, time, *place)
            for label, a, b, time, place in zip(
                labels, low.tolist(), high.tolist(), self.times(context), where, strict=True
            )
        ]

    def _checked_bound(self, bound: ArrayLike, size: int) -> FloatArray:
        array = np.asarray(bound, dtype=np.float64)
        if array.shape not in ((), (size,)) or not np.isfinite(array).all():
            raise ValueError(
                f"observation block {self.name!r}: bounds must be finite, one number or {size} of them, got "
                f"{bound!r}"
            )
        return np.broadcast_to(array, (size,))


class ArrayBlock(Block):
    """A block that stands in columns of one array: the gather copies it, no Python runs in a step.

    ``source`` is an array of `SolvedGrid`, ``part`` what is taken of it: "value", or of a complex one
    "real", "imag", "degrees".
    """

    @property
    @abstractmethod
    def source(self) -> str:
        """Name of the array."""

    @property
    def part(self) -> str:
        """What is taken of it: "value", "real", "imag" or "degrees"."""
        return "value"

    @property
    def scale(self) -> float:
        """What values are multiplied by."""
        return 1.0

    @property
    def reads(self) -> tuple[str, ...]:
        """Its source, where that is a detail."""
        return (self.source,) if self.source in DETAILS else ()

    def columns(self, context: BlockContext) -> IntArray:
        """Columns of the source, in the order of the entries; the first ones unless overridden."""
        return np.arange(self.size(context.counts))

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What the gather copies, in NumPy."""
        values = getattr(view, self.source)[:, self.columns(view.context)]
        if self.part == "degrees":
            values = np.degrees(np.angle(values))
        elif self.part != "value":
            values = getattr(values, self.part)
        np.multiply(values, self.scale, out=out)


class SeriesBlock(Block):
    """A block that depends on nothing but the interval: a table over time, which the gather reads.

    What it shows of the interval that is decided is known: override ``time`` and ``public`` where it is not.
    """

    @property
    def time(self) -> str:
        """Known of the interval that is decided."""
        return KNOWN

    @property
    def public(self) -> bool:
        """Everybody knows it."""
        return True

    @abstractmethod
    def series(self, context: BlockContext) -> FloatArray:
        """(n_steps, size) values for each interval of the profiles."""

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What the gather copies, in NumPy."""
        table = self.series(view.context)
        out[:] = table[view.t_index % len(table)]


def block_of(fields: Mapping[str, Any]) -> Block:
    """The block that had these fields, as JSON keeps them; TypeError for an unknown class."""
    return made_of(Block, "an observation block", fields)  # type: ignore[type-abstract]
