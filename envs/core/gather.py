"""The table by which one compiled call gathers an observation; see `envs.kernels.observe`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..blocks import ArrayBlock, Block, BlockContext, SeriesBlock
from ..kernels.observe import COMPLEX_SOURCES, OPS, REAL_SOURCES, SERIES, VALUE

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_SOURCES = {name: k for names in (REAL_SOURCES, COMPLEX_SOURCES) for k, name in enumerate(names)}
_Part = tuple[int, int, int, int, int]


class Gather:
    """Where every column of an observation comes from. The same for all grids of a scenario.

    Attributes: ``parts`` (n, 5) and ``scales`` (n,) as the kernel reads them; ``series`` (n_steps, columns)
    the tables over time side by side; ``fillers`` the blocks that compute their values, with their columns
    among the ``n_prepared`` that are prepared; the first ``n_readings`` of these are what meters show.
    """

    def __init__(
        self, blocks: Sequence[Block], places: Mapping[str, slice], context: BlockContext, n_readings: int
    ) -> None:
        self.fillers: list[tuple[Block, slice]] = []
        self.n_prepared, self._n_series = n_readings, 0
        series = [np.zeros((context.profiles.n_steps, 0))]
        parts: list[tuple[_Part, float]] = []
        for block in blocks:
            where = places[block.name]
            if isinstance(block, ArrayBlock):
                parts += _array_parts(block, where.start, context)
            elif isinstance(block, SeriesBlock):
                series.append(_checked_series(block, context, where.stop - where.start))
                parts.append(self._series_part(where))
            else:
                parts.append(self._filled_part(block, where))
        joined = _joined(parts)
        self.parts: IntArray = np.array([part for part, _ in joined], dtype=np.int64).reshape(-1, 5)
        self.scales: FloatArray = np.array([scale for _, scale in joined], dtype=np.float64)
        self.series: FloatArray = np.ascontiguousarray(np.concatenate(series, axis=1))

    def _series_part(self, where: slice) -> tuple[_Part, float]:
        first, size = self._n_series, where.stop - where.start
        self._n_series += size
        return (SERIES, 0, first, size, where.start), 1.0

    def _filled_part(self, block: Block, where: slice) -> tuple[_Part, float]:
        first, size = self.n_prepared, where.stop - where.start
        self.n_prepared += size
        self.fillers.append((block, slice(first, first + size)))
        return (VALUE, _SOURCES["prepared"], first, size, where.start), 1.0


def _array_parts(block: ArrayBlock, start: int, context: BlockContext) -> list[tuple[_Part, float]]:
    """One part for each run of consecutive columns."""
    columns = block.columns(context)
    if not columns.size:
        return []
    op, source = OPS[block.part], _SOURCES[block.source]
    cuts = [0, *(np.flatnonzero(np.diff(columns) != 1) + 1).tolist(), columns.size]
    return [
        ((op, source, int(columns[a]), b - a, start + a), block.scale) for a, b in itertools.pairwise(cuts)
    ]


def _joined(parts: Sequence[tuple[_Part, float]]) -> list[tuple[_Part, float]]:
    """Parts that follow each other here and there as one."""
    out: list[tuple[_Part, float]] = []
    for part, scale in parts:
        if out:
            (op, source, first, count, start), before = out[-1]
            if (op, source, first + count, start + count, before) == (*part[:3], part[4], scale):
                out[-1] = (op, source, first, count + part[3], start), scale
                continue
        out.append((part, scale))
    return out


def _checked_series(block: SeriesBlock, context: BlockContext, size: int) -> FloatArray:
    table = np.asarray(block.series(context), dtype=np.float64)
    if table.shape != (context.profiles.n_steps, size):
        raise ValueError(
            f"observation block {block.name!r}: series has shape {table.shape}, expected "
            f"({context.profiles.n_steps}, {size})"
        )
    return table
