"""What infos tell, key by key: the one list that faces, tasks, recorders and pages read.

A new key of what is measured anyway is one line of `INFO`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from ...physics.flags import COLLAPSED, CONVERGED, DIVERGED
from ...physics.row_results import (
    ITERATIONS,
    N_ENDED,
    N_MEASURED,
    N_OVERLOAD,
    N_UNBALANCE,
    N_VOLTAGE,
    OVERLOAD,
    P_LOSS,
    P_SLACK,
    Q_LOSS,
    Q_SLACK,
    STATUS,
    VOLTAGE_VIOLATION,
    VUF_VIOLATION,
)


class Measured(NamedTuple):
    """A column of ``measured``: one float a row."""

    column: int


class Counted(NamedTuple):
    """A column of ``ended``: one integer a row."""

    column: int


class Flag(NamedTuple):
    """True where the bits ``mask`` of the status are ``wanted``."""

    mask: int
    wanted: int


class PerPlace(NamedTuple):
    """Many numbers a row: a field of the grid's ``shown``, of this array of the grid's results."""

    array: str


#: The clocks of an environment, one integer a row each.
CLOCKS = ("day", "step_index", "t_index")


class ClockValue(NamedTuple):
    """One of `CLOCKS`."""

    array: str


class Earned(NamedTuple):
    """What a step brings: faces fill it from rewards, costs and deliveries."""


class InfoKey(NamedTuple):
    """One key of an info: its name, unit and meaning, and where it is read."""

    key: str
    unit: str
    meaning: str
    source: Measured | Counted | Flag | PerPlace | ClockValue | Earned


INFO: tuple[InfoKey, ...] = (
    InfoKey("p_slack_MW", "MW", "active power taken from the substation", Measured(P_SLACK)),
    InfoKey("q_slack_MVAr", "MVAr", "reactive power taken from the substation", Measured(Q_SLACK)),
    InfoKey("p_loss_MW", "MW", "active losses of all branches", Measured(P_LOSS)),
    InfoKey("q_loss_MVAr", "MVAr", "reactive losses of all branches", Measured(Q_LOSS)),
    InfoKey(
        "voltages", "pu",
        "(n_nodes,) voltage magnitudes; per phase (n_nodes, 3), between phases where there is no ground",
        PerPlace("v_pu"),
    ),
    InfoKey(
        "branch_loading", "1",
        "(n_branches,) apparent power over rating, the larger of both ends; per phase (n_branches, 3)",
        PerPlace("loading"),
    ),
    InfoKey(
        "vuf_pct", "%",
        "voltage unbalance factor: 0 on balanced feeders; per phase (n_nodes,)", PerPlace("vuf_pct"),
    ),
    InfoKey(
        "pf_converged", "", "converged and not collapsed: the numbers are a solution",
        Flag(CONVERGED | COLLAPSED, CONVERGED),
    ),
    InfoKey(
        "is_diverged", "", "the iteration did not converge: the numbers are diagnostics",
        Flag(DIVERGED, DIVERGED),
    ),
    InfoKey(
        "voltage_collapse", "", "a voltage fell below the collapse limit", Flag(COLLAPSED, COLLAPSED)
    ),
    InfoKey("pf_iterations", "", "sweeps that the power flow took", Counted(ITERATIONS)),
    InfoKey(
        "cost_voltage_violation", "pu", "sum over nodes (and phases) of what lies outside the band",
        Measured(VOLTAGE_VIOLATION),
    ),
    InfoKey(
        "cost_thermal_overload", "MVA", "sum over branches (and phases) of what lies above the rating",
        Measured(OVERLOAD),
    ),
    InfoKey(
        "cost_vuf_violation", "%",
        "sum over nodes of unbalance above the limit; 0 on balanced feeders", Measured(VUF_VIOLATION),
    ),
    InfoKey(
        "n_voltage_violations", "", "number of nodes (and phases) outside the band", Counted(N_VOLTAGE)
    ),
    InfoKey(
        "n_thermal_overloads", "", "number of branches (and phases) above their rating", Counted(N_OVERLOAD)
    ),
    InfoKey(
        "n_vuf_violations", "", "number of nodes above it; 0 on balanced feeders", Counted(N_UNBALANCE)
    ),
    InfoKey("day", "", "day of the data, counted from 0", ClockValue("day")),
    InfoKey("step", "", "intervals done in this episode", ClockValue("step_index")),
    InfoKey(
        "t_index", "", "row of the profiles of the interval that is decided next", ClockValue("t_index")
    ),
    InfoKey(
        "unserved_MW", "MW", "load that got no power: on nodes that no source reaches, or shed", Earned()
    ),
    InfoKey("cost_resource", "", "sum of the devices' own costs", Earned()),
    InfoKey("n_resource_violations", "", "number of kinds of devices with a cost", Earned()),
    InfoKey("rewards", "", "the weighted terms by name; their sum is the reward", Earned()),
    InfoKey(
        "costs", "",
        "the costs by name; those of devices as `ev.undelivered`, and `resource`, which is 0, where no "
        "device has any",
        Earned(),
    ),
    InfoKey("cost", "", "their sum", Earned()),
    InfoKey(
        "delivered", "MW, MVAr",
        "`p_mw` and `q_mvar` of each unit, positive when injecting: what really flowed; `tap_pos` and "
        "`cap_on` of tap changers and banks; where devices control by voltage, `unsettled`: 1 for each "
        "unit that found no rest",
        Earned(),
    ),
)  # fmt: skip


_ALL_BITS = CONVERGED | DIVERGED | COLLAPSED


class InfoPlan:
    """How infos with these keys are made: which columns, in which order."""

    def __init__(self, keys: Sequence[InfoKey] = INFO) -> None:
        self.keys = tuple(keys)
        measured, counted = self._of(Measured), self._of(Counted)
        flags, places, clocks = self._of(Flag), self._of(PerPlace), self._of(ClockValue)
        #: Keys of what a state tells, in the order of the list; `step` adds the others.
        self.state = tuple(k.key for k in keys if not isinstance(k.source, Earned))
        self.numbers, self.counts, self.flags = (
            tuple(k for k, _ in part) for part in (measured, counted, flags)
        )
        self.places = tuple((key, source.array) for key, source in places)
        self.clocks = tuple((key, source.array) for key, source in clocks)
        self.number_columns, self.count_columns = (
            np.array([s.column for _, s in part], dtype=np.int64) for part in (measured, counted)
        )
        self.clock_rows = np.array([CLOCKS.index(source.array) for _, source in clocks], dtype=np.int64)
        #: Of lines of numbers, counts, clocks, flags and what is shown: where each key of a state is.
        lines = (*self.numbers, *self.counts, *(key for key, _ in clocks), *self.flags)
        lines = (*lines, *(key for key, _ in places))
        self.pick_lines = itemgetter(*(lines.index(key) for key in self.state))
        self.column_of = {key: s.column for key, s in measured}
        self.flag_bits = np.array([source for _, source in flags], dtype=np.int64)
        self._flags = [
            tuple(status & s.mask == s.wanted for _, s in flags) for status in range(_ALL_BITS + 1)
        ]
        #: Of what `row` lists, in the order of its parts: where each key of a state is.
        place = {key: s.column for key, s in measured} | {key: N_MEASURED + s.column for key, s in counted}
        rest = N_MEASURED + N_ENDED
        others = (*self.flags, *(key for key, _ in places))
        place |= {key: rest + k for k, key in enumerate(others)}
        place |= {key: rest + len(others) + CLOCKS.index(source.array) for key, source in clocks}
        self._pick = itemgetter(*(place[key] for key in self.state))

    def _of(self, kind: type) -> list[tuple[str, Any]]:
        return [(k.key, k.source) for k in self.keys if isinstance(k.source, kind)]

    def row(
        self, measured: list[float], ended: list[int], places: list[Any], clocks: list[int]
    ) -> dict[str, Any]:
        """The state of one row from its two tables, its tables by place, and `CLOCKS`."""
        flags = self._flags[ended[STATUS] & _ALL_BITS]
        return dict(zip(self.state, self._pick((*measured, *ended, *flags, *places, *clocks)), strict=True))


#: The plan of every face.
PLAN = InfoPlan()
