"""Some columns of a block, under its own name or another: what stands at some buses, or has a meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .base import ArrayBlock
from .of_block import OfBlock
from .view import BlockContext, FloatArray, IntArray


@dataclass(frozen=True)
class PartBlock(OfBlock, ArrayBlock):
    """Columns ``chosen`` of the block ``of``, by their names; ``prefix`` goes before its own name."""

    of: ArrayBlock = field(kw_only=True)
    chosen: tuple[str, ...] = field(kw_only=True)
    prefix: str = field(default="", kw_only=True)

    @property
    def name(self) -> str:
        """That of the block, with the prefix."""
        return self.prefix + self.of.name

    @property
    def meaning(self) -> str:
        """That of the block, where it is observed."""
        return self.of.meaning.replace("at every node", "at some nodes")

    @property
    def source(self) -> str:
        """That of the block."""
        return self.of.source

    @property
    def part(self) -> str:
        """That of the block."""
        return self.of.part

    @property
    def scale(self) -> float:
        """That of the block."""
        return self.of.scale

    def size(self, counts: Mapping[str, int]) -> int:
        """Columns that are chosen."""
        return len(self.chosen)

    def places(self, context: BlockContext) -> Sequence[str | None]:
        """Those that are chosen."""
        return self.chosen

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Name and column."""
        return [f"{self.name}[{column}]" for column in self.chosen]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Those of the block."""
        size, at = self.of.size(context.counts), self._at(context)
        low, high = (self._of_all(bound, size)[at] for bound in self.of.bounds(context))
        return low, high

    def columns(self, context: BlockContext) -> IntArray:
        """Of the source."""
        return self.of.columns(context)[self._at(context)]

    def _at(self, context: BlockContext) -> IntArray:
        index = {name: k for k, name in enumerate(self.of.places(context))}
        return np.array([index[name] for name in self.chosen], dtype=np.int64)

    @staticmethod
    def _of_all(bound: ArrayLike, size: int) -> FloatArray:
        return np.broadcast_to(np.asarray(bound, dtype=np.float64), (size,))
