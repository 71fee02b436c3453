"""Loads that grow: those of another source, times a factor that each episode draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...cases.profiles import Calendar
from .load_source import LoadSource
from .randomise import Range

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class GrownLoad(LoadSource):
    """The loads of ``source`` times a factor in ``growth``; the first number that an episode draws."""

    def __init__(self, source: LoadSource, growth: Range) -> None:
        self.source, self.growth = source, growth
        self.calendar: Calendar = source.calendar
        self.s_max_mva = source.s_max_mva * growth[1]
        self.dated, self.splits = source.dated, source.splits
        self._names = getattr(source, "point_names", None)

    @property
    def n_random(self) -> int:  # type: ignore[override]
        """The factor, and what the source draws itself."""
        return 1 + self.source.n_random

    @property
    def active_mw(self) -> FloatArray | None:
        """That of the source: as it is before it grows."""
        return self.source.active_mw

    @property
    def reactive_mvar(self) -> FloatArray | None:
        """That of the source: as it is before it grows."""
        return self.source.reactive_mvar

    def draw(self, rng: np.random.Generator, day: int) -> FloatArray:
        """The factor, then what the source draws."""
        factor = rng.uniform(*self.growth)
        own = self.source.checked_draw(rng, day) if self.source.n_random else np.empty(0)
        return np.append(factor, own)

    def fill(  # type: ignore[override]
        self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray, random: FloatArray
    ) -> None:
        """See `LoadSource`; ``random`` (batch, n_random) what the episodes drew."""
        if self.source.n_random:
            self.source.fill(t_index, p_mw, q_mvar, random[:, 1:])  # type: ignore[call-arg]
        else:
            self.source.fill(t_index, p_mw, q_mvar)
        p_mw *= random[:, :1]
        q_mvar *= random[:, :1]
