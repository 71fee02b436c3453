"""Settings as a function of the levels of load and sun: the table that an operator looks up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import RunError
from .study import Setting, stacked

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SettingsTable:
    """Settings on a grid of levels.

    Attributes:
        load_level: (n_load,) ascending, loads over the nominal ones. sun_level: (n_sun,) ascending.
        settings: Of all points, those of one load level side by side.
    """

    load_level: FloatArray
    sun_level: FloatArray
    settings: tuple[Setting, ...]

    def __post_init__(self) -> None:
        """RunError unless levels ascend and every point has a setting."""
        for name, level in (("load", self.load_level), ("sun", self.sun_level)):
            if not level.size or (np.diff(level) <= 0.0).any() or not np.isfinite(level).all():
                raise RunError(f"levels of {name} are {level.tolist()}: expected finite numbers that ascend")
        if len(self.settings) != self.load_level.size * self.sun_level.size:
            raise RunError(
                f"{len(self.settings)} settings for {self.load_level.size} levels of load and "
                f"{self.sun_level.size} of sun"
            )

    def at(self, load_level: FloatArray, sun: FloatArray) -> Setting:
        """(rows, ...) the settings of the nearest point to each level of load and sun."""
        load, sky = _nearest(self.load_level, load_level), _nearest(self.sun_level, sun)
        return stacked(self.settings).rows(load * self.sun_level.size + sky)


def _nearest(levels: FloatArray, values: FloatArray) -> IntArray:
    return np.asarray(np.abs(values[:, None] - levels[None]).argmin(axis=1))
