"""Columns of an observation by what stands there: name, bus and phase, at any level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...envs.core.ladder import LEVELS, ORACLE
from ...envs.core.planning import PlannedScenario
from ..errors import RunError
from ..policy import FloatArray


class Shown:
    """What the observation of an environment shows, looked up for a rule, which `who` names."""

    def __init__(self, scenario: PlannedScenario, who: str) -> None:
        self._layout, self._who = scenario.layout, who
        self._rows = self._layout.describe()

    def columns(self, block: str, bus: str, phase: str) -> tuple[int, ...]:
        """Columns of `block` at the bus: that of `phase`, or of all, or of each of its phases or legs.

        RunError where the level does not show all of them; says which levels do.
        """
        place = self._layout[block] if block in self._layout else slice(0, 0)
        here = {row.phase: row.index for row in self._rows[place] if row.bus == bus}
        for names in ((phase,), ("ABC",), tuple(phase), ("AB", "BC", "CA") if phase == "ABC" else (phase,)):
            found = tuple(here[name] for name in names if name in here)
            if len(found) == len(names):
                return found
        raise RunError(
            f"{self._who} reads {block} at bus {bus}, phase {phase}, which the observation does not show "
            f"(level {self._layout.level!r}, or a meter that has other columns): make the environment with "
            f"observation= one of {', '.join(repr(level) for level in LEVELS if level != ORACLE)}"
        )


def mean_of(batch: FloatArray, columns: Sequence[Sequence[int]]) -> FloatArray:
    """(rows, places) means over the columns of each place; those of one column are as they are."""
    first = batch[:, [one[0] for one in columns]]
    for k, several in enumerate(columns):
        for column in several[1:]:
            first[:, k] += batch[:, column]
    counts = np.array([len(one) for one in columns], dtype=np.float64)
    return np.asarray(first / counts)
