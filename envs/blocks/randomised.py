"""The block that shows what domain randomisation drew: hidden from agents unless a task lists it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from numpy.typing import ArrayLike

from ..resources.base import Entry
from ..resources.times import KNOWN
from .base import Block
from .view import BlockContext, BlockView, DrawSource, FloatArray


class RandomisedFactors(Block):
    """What the episode drew of its `Randomisation`: growth, prices, which topology, mean factors of lines.

    List it in the blocks of a task to train a policy that is told in which of its worlds it is.
    """

    name, unit = "drawn", "1"
    meaning = (
        "what the episode drew: factor of loads and prices, shift of prices (USD/MWh), 1 for the topology "
        "that is there, mean factor of the resistances and reactances of lines"
    )
    time = KNOWN

    def size(self, counts: Mapping[str, int]) -> int:
        """One for each thing that varies."""
        return counts.get("drawn", 0)

    def labels(self, context: BlockContext) -> Sequence[str]:
        """By what varies: "drawn.load_growth"."""
        return [f"{self.name}.{name}" for name in _draws(context).names]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Those of the randomisation."""
        draws = _draws(context)
        return draws.low, draws.high

    def entries(self, context: BlockContext) -> list[Entry]:
        """Shifts of prices have a unit."""
        return [
            replace(entry, unit="USD/MWh") if entry.name.endswith("usd_mwh") else entry
            for entry in super().entries(context)
        ]

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What each row drew."""
        assert view.draws is not None
        out[:] = view.draws.table(view.random_load)


def _draws(context: BlockContext) -> DrawSource:
    if context.draws is None or not context.draws.names:
        raise ValueError(
            "RandomisedFactors: the environment has nothing that is drawn for an episode: give it "
            "randomise=Randomisation(...), or leave the block out"
        )
    return context.draws
