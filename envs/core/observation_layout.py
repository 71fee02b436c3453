"""Names for the entries of the flat observation: blocks, bounds and units in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..blocks import Block
from ..resources.base import Entry


@dataclass(frozen=True)
class Row:
    """One entry of the observation.

    Attributes:
        index: where it stands.
        name: "v_pu[671.A]", "battery_18.soc".
        unit: of its value and bounds; "1" for none.
        low: its lowest value, in its unit.
        high: its highest value.
        time: of when it is: "last" (the interval before the decision), "now" (the moment of the decision),
            "coming (exact)", "coming (known)", "forecast +0.25 h", "+3 h (as announced)".
        bus: node where it stands, or None.
        branch: branch where it stands, or None.
        phase: "A", "AB" ...; "ABC" for all of them together; None where it stands nowhere.
    """

    index: int
    name: str
    unit: str
    low: float
    high: float
    time: str
    bus: str | None
    branch: str | None
    phase: str | None


class Layout(Mapping[str, slice]):
    """Block name -> slice of the flat observation, in order; ``describe`` lists single entries.

    ``blocks`` has the block of each name, which says its unit and meaning. ``level`` is that of the
    observation, ``normalised`` whether it shows the entries scaled to [-1, 1] by their bounds.
    """

    def __init__(
        self, listed: Sequence[tuple[Block, Sequence[Entry]]], level: str = "oracle", normalised: bool = False
    ) -> None:
        self.level, self.normalised = level, normalised
        self.blocks: dict[str, Block] = {}
        self._slices: dict[str, slice] = {}
        self._entries: list[Entry] = []
        for block, entries in listed:
            if block.name in self._slices:
                raise ValueError(f"observation block {block.name!r} is listed twice")
            self.blocks[block.name] = block
            self._slices[block.name] = slice(len(self._entries), len(self._entries) + len(entries))
            self._entries += list(entries)

    def __getitem__(self, name: str) -> slice:
        if name not in self._slices:
            raise KeyError(f"no observation block {name!r}; the blocks are {', '.join(self._slices)}")
        return self._slices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._slices)

    def __len__(self) -> int:
        return len(self._slices)

    @property
    def size(self) -> int:
        """Number of entries of the flat observation."""
        return len(self._entries)

    def describe(self) -> list[Row]:
        """Index, name, unit, bounds, time and place of every entry."""
        return [
            Row(i, e.name, e.unit, e.low, e.high, e.time, e.bus, e.branch, e.phase)
            for i, e in enumerate(self._entries)
        ]

    def bounds(self) -> NDArray[np.float32]:
        """(2, size) lowest and highest value of every entry, in its unit."""
        low = np.array([e.low for e in self._entries], dtype=np.float32)
        return np.stack([low, np.array([e.high for e in self._entries], dtype=np.float32)])

    def box(self) -> NDArray[np.float32]:
        """(2, size) the bounds as they are observed: -1 and 1 where they are scaled."""
        bounds = self.bounds()
        if self.normalised:
            bounds[0], bounds[1] = -1.0, 1.0
        return bounds

    def space(self) -> spaces.Box:
        """The float32 box that holds every observation."""
        low, high = self.box()
        return spaces.Box(low, high, dtype=np.float32)

    def physical(self, observation: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Observations (..., size) in their units, float64: as they are, or with the scaling undone.

        ValueError for another size.
        """
        values = np.asarray(observation, dtype=np.float64)
        if values.shape[-1:] != (self.size,):
            raise ValueError(f"an observation has {self.size} entries, got an array of shape {values.shape}")
        if not self.normalised:
            return values
        return in_units(values, self.bounds())


def in_units(values: NDArray[np.float64], bounds: NDArray[np.float32]) -> NDArray[np.float64]:
    """Numbers (..., n) in [-1, 1] as they are between ``bounds`` (2, n)."""
    low, high = bounds.astype(np.float64)
    return np.asarray(low + 0.5 * (values + 1.0) * (high - low))
