"""Load that holds all episode: that of one interval of its day."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .load_source import FloatArray, IntArray, LoadSource

#: From and to, hours after midnight.
Hours = tuple[float, float]


class SnapshotLoad(LoadSource):
    """The load of another source in one interval of the day, in every interval of an episode.

    It is the interval between two hours in which all loads together are least: for hosting, with the sun
    high. `draw` says which; nothing is random.
    """

    n_random: ClassVar[int] = 1

    def __init__(self, source: LoadSource, hours: Hours) -> None:
        """ValueError for a source that is random, or steps of which none begins between `hours`."""
        if source.n_random:
            raise ValueError(f"{type(source).__name__} draws its load: it has no snapshot to choose from")
        self.source, self.calendar, self.dated = source, source.calendar, source.dated
        self.s_max_mva, self.splits = source.s_max_mva, source.splits
        first, last = (int(np.ceil(hour / self.calendar.dt_h - 1e-9)) for hour in hours)
        if first >= last:
            raise ValueError(
                f"no step of {self.calendar.dt_h:g} h begins between {hours[0]:g} and {hours[1]:g} h"
            )
        self._offsets = np.arange(first, last)
        self._interval = np.full(self.n_days, -1, dtype=np.int64)  # of each day, once it is known

    @property
    def active_mw(self) -> None:
        """It depends on the day of the episode."""
        return

    @property
    def reactive_mvar(self) -> None:
        """As `active_mw`."""
        return

    def draw(self, rng: np.random.Generator, day: int) -> FloatArray:
        """The interval whose load holds."""
        if self._interval[day] < 0:
            self._interval[day] = self._least(day)
        return self._interval[day : day + 1].astype(np.float64)

    def _least(self, day: int) -> int:
        t_index = day * self.calendar.steps_per_day + self._offsets
        p, q = (np.empty((t_index.size, self.s_max_mva.size)) for _ in range(2))
        self.source.fill(t_index, p, q)
        return int(t_index[p.sum(axis=1).argmin()])

    def fill(  # type: ignore[override]
        self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray, random: FloatArray
    ) -> None:
        """See `LoadSource`; `t_index` says nothing."""
        self.source.fill(random[:, 0].astype(np.int64), p_mw, q_mvar)
