"""Which columns of the load stand where units are connected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..kernels import present_load as kernels
from .base import Floats, Ints

_PHASES, _LEGS = ("A", "B", "C"), ("AB", "BC", "CA")


class PresentLoad:
    """The load that the units of a program could take away, each alike from all of its phases.

    At a node of a balanced feeder that is the load of the node. Per phase it is that from the unit's phase
    to ground, of "AB", "BC", "CA" that between the two; "ABC" has three times the least of the phases, and
    of the legs. ``columns`` lists, for each unit, groups of columns of the load.
    """

    def __init__(
        self, buses: Sequence[str], phases: Sequence[str], names: Sequence[str], per_phase: bool
    ) -> None:
        """``names``: of the columns of the load, as `ColumnNames.load` has them."""
        column = {name: k for k, name in enumerate(names)}
        self.columns: tuple[tuple[Ints, ...], ...] = tuple(
            tuple(
                np.array([column[name] for name in group], dtype=np.int64)
                for group in (_groups(bus, phase) if per_phase else ((bus,),))
                if all(name in column for name in group)
            )
            for bus, phase in zip(buses, phases, strict=True)
        )
        groups = [group for unit in self.columns for group in unit]
        self._of_unit = np.cumsum([0, *(len(unit) for unit in self.columns)], dtype=np.int64)
        self._of_group = np.cumsum([0, *(group.size for group in groups)], dtype=np.int64)
        self._column = np.concatenate([np.zeros(0, dtype=np.int64), *groups])

    def fill(self, load_p_mw: Floats, out: Floats) -> None:
        """Write (batch, n_units) MW, 0 or more, for the loads (batch, columns)."""
        kernels.present_load(load_p_mw, self._of_unit, self._of_group, self._column, out)


def _groups(bus: str, phase: str) -> tuple[tuple[str, ...], ...]:
    """Names of columns that a unit on ``phase`` takes from alike."""
    groups = (_PHASES, _LEGS) if phase == "ABC" else ((phase,),)
    return tuple(tuple(f"{bus}.{name}" for name in group) for group in groups)
