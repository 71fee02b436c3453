"""Taps, banks and switches of `dist opf`: which are free, what they are set to, and the table of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from .... import cases, physics
from ...errors import RunError, unknown
from ...jobs.unit_tables import TEXT, YES_NO, schema, table_of_rows
from ...optimal.integers import optimal_settings
from ...optimal.phase_dispatch import PhaseUnit, tuned_phase_optimum
from ...optimal.switched import best_settings
from ...optimal.topology.reconfigure import best_topology

ALL, BRANCHES = "all", "branches"
SETTINGS = schema(
    ("step", pa.int64(), "interval of the year"),
    ("kind", TEXT, ""),  # tap, bank or switch
    ("device_id", TEXT, ""),  # of regulator or capacitor bank; of a switch that of its branch
    ("place", TEXT, ""),  # branch of a tap or a switch, node of a bank
    ("state_before", pa.int64(), ""), ("state", pa.int64(), ""),  # position; 1: on, closed
    ("changed", YES_NO, ""),
)  # fmt: skip
_TURNS = 3  # of switches and of taps and banks
_GAIN = 1e-9  # of the objective: no gain of account
_OF_PHASES = {"loss": "loss", "cost": "head"}  # what taps and banks per phase make small


@dataclass(frozen=True)
class Free:
    """Ids of what may be set; of switches the branches.

    Attributes:
        taps, banks: Rows of the feeder's tables. switches: Branches that may be opened and closed.
    """

    taps: tuple[str, ...] = ()
    banks: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is something to set."""
        return bool(self.taps or self.banks or self.switches)

    @classmethod
    def of(
        cls, feeder: cases.Feeder, taps: Sequence[str], banks: Sequence[str], switches: Sequence[str]
    ) -> Free:
        """From the command line: ids, or `all`; of switches also `branches`. RunError for unknown ones."""
        branch_of = {
            str(one): str(branch)
            for one, branch in zip(
                feeder.column("switches", "switch_id"), feeder.column("switches", "branch_id"), strict=True
            )
        }
        every = [str(one) for one in feeder.column("branches", "branch_id")]
        if tuple(switches) == (BRANCHES,):
            chosen = tuple(every)
        else:
            known = {**branch_of, **{name: name for name in every}}
            given = list(branch_of) if tuple(switches) == (ALL,) else switches
            if switches and not given:
                raise RunError(
                    f"--switches: feeder {feeder.name!r} has no switches; `branches` takes every branch"
                )
            for name in given:
                if name not in known:
                    raise unknown("--switches: switch or branch", name, known)
            chosen = tuple(dict.fromkeys(known[name] for name in given))
        return cls(
            _ids("--taps", taps, feeder, "regulators", "reg_id"),
            _ids("--banks", banks, feeder, "capacitors", "cap_id"), chosen,
        )  # fmt: skip


def _ids(flag: str, given: Sequence[str], feeder: cases.Feeder, table: str, column: str) -> tuple[str, ...]:
    known = [str(one) for one in feeder.column(table, column)]
    if given and not known:
        raise RunError(f"{flag}: feeder {feeder.name!r} has none in its table of {table}")
    if tuple(given) == (ALL,):
        return tuple(known)
    for name in given:
        if name not in known:
            raise unknown(f"{flag}: {column}", name, known)
    return tuple(dict.fromkeys(given))


@dataclass(frozen=True, eq=False)
class Point:
    """An operating point; ``asked`` and ``loads`` are arguments of `optimal_dispatch` or `phase_optimum`."""

    feeder: cases.Feeder
    units: Sequence[Any]
    asked: Mapping[str, Any]
    loads: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Settled:
    """A feeder with its best settings, and what is said of them.

    Attributes:
        bound: Nothing that keeps the limits is better; NaN where nothing is proved.
        status: "optimal" or "best known".
        value: Of the AC power flow.
    """

    feeder: cases.Feeder
    value: float
    bound: float
    status: str


def settled(point: Point, free: Free) -> Settled:
    """The best settings of what is free, with the units dispatched.

    Switches and the rest take turns where both are free; nothing bounds both together.

    Raises:
        LimitsError: nothing keeps the limits, or nothing was found that does.
        RunError: an objective that switches, or taps and banks per phase, do not cover.
    """
    if not (free.taps or free.banks):
        return _switched(point, free)
    if not free.switches:
        return _tuned(point, free)
    best: Settled | None = None
    for _ in range(_TURNS):
        first = _switched(point, free)
        found = _tuned(replace(point, feeder=first.feeder), free)
        if best is not None and found.value >= best.value - _GAIN * abs(best.value):
            break
        best = Settled(found.feeder, found.value, math.nan, "best known")
        point = replace(point, feeder=found.feeder)
    assert best is not None
    return best


def _switched(point: Point, free: Free) -> Settled:
    net = physics.compile(point.feeder, keep_loops=True)
    found = best_topology(net, point.units, switches=free.switches, **point.asked, **point.loads)
    bound = found.bound
    if found.status == "optimal" and math.isnan(bound):
        bound = found.value  # all topologies were solved
    return Settled(found.feeder, found.value, bound, found.status)


def _tuned(point: Point, free: Free) -> Settled:
    if point.feeder.phases != "balanced":
        return _tuned_phases(point, free)
    net = physics.compile(point.feeder, keep_loops=True)
    found = optimal_settings(net, point.units, taps=free.taps, banks=free.banks, **point.asked, **point.loads)
    return Settled(
        _with_positions(point.feeder, found.tap_pos, found.cap_on), found.value, found.bound, found.status
    )


def _tuned_phases(point: Point, free: Free) -> Settled:
    """The band is judged while settings are looked for, ratings when the plan is played."""
    asked, feeder = point.asked, point.feeder
    net = physics.compile_per_phase(feeder, keep_loops=True)
    if asked["objective"] not in _OF_PHASES:
        raise unknown("--taps and --banks per phase: objective", asked["objective"], _OF_PHASES)
    given = {**point.loads, "v_source_pu": asked["v_source_pu"]}
    if point.units:
        phased = [unit for unit in point.units if isinstance(unit, PhaseUnit)]
        numbers = {name: asked[name] for name in ("objective", "limits", "head_usd_mwh")}
        near = tuned_phase_optimum(net, phased, **numbers, taps=free.taps, banks=free.banks, **given)
        tap_pos, cap_on, value = near.tap_pos, near.cap_on, float(near.dispatch.objective)
        bound, status = math.nan, "best known"
    else:
        limits, names = asked["limits"], feeder.column("nodes", "node_id")
        judged = limits.judges(names)
        judged[[source.node for source in net.sources]] = False
        one = best_settings(
            net, objective=_OF_PHASES[asked["objective"]], v_band=limits.v_band or (0.0, 2.0),
            buses=[str(name) for name in names[judged]], taps=free.taps, banks=free.banks, **given,
        )  # fmt: skip
        scale = asked["head_usd_mwh"] if asked["objective"] == "cost" else 1.0
        tap_pos, cap_on, value = one.tap_pos, one.cap_on, scale * one.objective_mw
        bound, status = (value, "optimal") if one.status == "optimal" else (math.nan, "best known")
    taps = dict(zip(feeder.column("regulators", "reg_id"), tap_pos.tolist(), strict=True))
    banks = dict(zip(feeder.column("capacitors", "cap_id"), np.asarray(cap_on).tolist(), strict=True))
    return Settled(_with_positions(feeder, taps, banks), value, bound, status)


def _with_positions(
    feeder: cases.Feeder, tap_pos: Mapping[Any, int], cap_on: Mapping[Any, bool]
) -> cases.Feeder:
    for name, position in tap_pos.items():
        feeder = feeder.with_regulator(str(name), int(position))
    for name, on in cap_on.items():
        feeder = feeder.with_capacitor(str(name), bool(on))
    return feeder


# -- tables --------------------------------------------------------------------------------------------------


def settings_table(step: int | None, before: cases.Feeder, after: cases.Feeder, free: Free) -> pa.Table:
    """A row of every device that was free."""
    rows: list[tuple[Any, ...]] = []
    for kind, ids, table, columns in (
        ("tap", free.taps, "regulators", ("reg_id", "branch_id", "tap_pos")),
        ("bank", free.banks, "capacitors", ("cap_id", "node_id", "status")),
        ("switch", free.switches, "branches", ("branch_id", "branch_id", "status")),
    ):
        name, place, state = columns
        was, now = (
            dict(zip(feeder.column(table, name), feeder.column(table, state), strict=True))
            for feeder in (before, after)
        )
        at = dict(zip(before.column(table, name), before.column(table, place), strict=True))
        rows += [
            (step, kind, one, str(at[one]), int(was[one]), int(now[one]), was[one] != now[one]) for one in ids
        ]
    return table_of_rows([(*row[:-1], bool(row[-1])) for row in rows], SETTINGS)


def with_settings(feeder: cases.Feeder, rows: Iterable[Mapping[str, Any]]) -> cases.Feeder:
    """The feeder with the states of a table's rows."""
    for row in rows:
        if not row["changed"]:
            continue
        if row["kind"] == "tap":
            feeder = feeder.with_regulator(row["device_id"], row["state"])
        elif row["kind"] == "bank":
            feeder = feeder.with_capacitor(row["device_id"], bool(row["state"]))
        else:
            feeder = feeder.with_switch(row["device_id"], bool(row["state"]))
    return feeder
