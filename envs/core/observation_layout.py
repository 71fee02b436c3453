"""Names for the entries of the flat observation: blocks, bounds and units in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from ..blocks import Block
from ..resources.base import Entry


@dataclass(frozen=True)
class Row:
    """One entry of the observation."""

    index: int
    name: str
    unit: str
    low: float
    high: float


class Layout(Mapping[str, slice]):
    """Block name -> slice of the flat observation, in order; ``describe`` lists single entries.

    ``blocks`` has the block of each name, which says its unit and meaning.
    """

    def __init__(self, listed: Sequence[tuple[Block, Sequence[Entry]]]) -> None:
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
        """Index, name, unit and bounds of every entry."""
        return [Row(i, e.name, e.unit, e.low, e.high) for i, e in enumerate(self._entries)]

    def space(self) -> spaces.Box:
        """The float32 box that holds every observation."""
        low = np.array([e.low for e in self._entries], dtype=np.float32)
        high = np.array([e.high for e in self._entries], dtype=np.float32)
        return spaces.Box(low, high, dtype=np.float32)
