"""Blocks of prices where each episode has prices of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..blocks import Block, BlockContext, BlockView, PriceForecast, SeriesBlock
from ..blocks.of_block import OfBlock
from ..blocks.time import Price, PriceAhead

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DrawnPrice(OfBlock):
    """A block of prices as a row meets them: those of the profiles, scaled and shifted."""

    series: FloatArray | None = field(kw_only=True)  # (n_steps, size) where it is a table over time

    def size(self, counts: Mapping[str, int]) -> int:
        """That of the block."""
        return self.of.size(counts)

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Those of the block."""
        return self.of.labels(context)

    def times(self, context: BlockContext) -> Sequence[str]:
        """Those of the block."""
        return self.of.times(context)

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Those of the block in the lowest and highest of all episodes."""
        assert context.draws is not None
        low, high = self.of.bounds(context)
        return context.draws.price_ends(np.asarray(low), np.asarray(high))

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """Those of the profiles, or of their forecast, as each row has them."""
        assert view.draws is not None
        if self.series is None:
            self.of.fill(view, out)
        else:
            out[:] = self.series[view.t_index % len(self.series)]
        out *= view.draws.scale[:, None]
        out += view.draws.shift_usd_mwh[:, None]


def drawn_prices(blocks: Sequence[Block], context: BlockContext) -> tuple[Block, ...]:
    """The blocks, those of prices as each row meets them; as they are where all rows have the same prices."""
    if context.draws is None or not context.draws.varies_prices:
        return tuple(blocks)
    return tuple(_drawn(block, context) for block in blocks)


def _drawn(block: Block, context: BlockContext) -> Block:
    if not isinstance(block, Price | PriceAhead | PriceForecast):
        return block
    series = block.series(context) if isinstance(block, SeriesBlock) else None
    return DrawnPrice(of=block, series=series)
