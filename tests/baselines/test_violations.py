"""The table of what went wrong: time, place, size."""

from __future__ import annotations

import warnings
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pyarrow.compute as pc
import pytest

from distgrid import baselines, cases, physics
from distgrid.baselines.scoring.violations import Violations
from distgrid.baselines.workflows.dist.pf import power_flow
from distgrid.cases.profiles import Duration
from distgrid.envs import PV, DistGrid3PhaseEnv, DistGridEnv, LossMinimisation, SeriesLoad, VoltVar
from distgrid.envs.core.columns import load_points

FEEDER = cases.load("case33bw")


def day_of_load(scale: np.ndarray) -> SeriesLoad:
    p, q = FEEDER.column("nodes", "load_p_mw"), FEEDER.column("nodes", "load_q_mvar")
    return SeriesLoad(FEEDER, scale[:, None] * p, scale[:, None] * q)


def test_rows_say_when_where_and_how_much() -> None:
    """Capability 113: reverse flow and voltage violations, one row each, equal to the arrays of the steps."""
    env = DistGridEnv(FEEDER, [PV(18, 3.0, site=0), PV(33, 3.0, site=1)], VoltVar(), split="summer-pv")
    result = baselines.rollout(env, "do-nothing", 2, progress=False)
    table = result.violations
    kinds = set(table["kind"].to_pylist())
    assert {"overvoltage", "reverse_flow", "overload"} <= kinds
    assert pc.min(table["magnitude"]).as_py() > 0.0
    for episode in range(2):
        steps = result.steps.filter(pc.equal(result.steps["episode"], episode))
        rows = table.filter(pc.equal(table["episode"], episode))
        env.reset(options={"day": steps["day"][0].as_py()})
        for step in range(96):
            *_, info = env.step(env.neutral_action)
            now = rows.filter(pc.equal(rows["step"], step)).to_pylist()
            high = {r["element"]: r for r in now if r["kind"] == "overvoltage"}
            expected = [n for n in range(1, 33) if info["voltages"][n] > 1.05]
            assert sorted(high) == sorted(str(FEEDER.column("nodes", "node_id")[n]) for n in expected)
            for n in expected:
                row = high[str(FEEDER.column("nodes", "node_id")[n])]
                assert row["value"] == info["voltages"][n]
                assert row["magnitude"] == pytest.approx(info["voltages"][n] - 1.05)
                assert row["hour"] == step * 0.25
            back = [r for r in now if r["kind"] == "reverse_flow"]
            assert len(back) == (info["p_slack_MW"] < 0)
            overloaded = [r["magnitude"] for r in now if r["kind"] == "overload"]
            assert sum(overloaded) == pytest.approx(info["cost_thermal_overload"], abs=1e-9)


def test_the_table_is_empty_if_and_only_if_every_limit_is_kept() -> None:
    """Capability 14."""
    calm = DistGridEnv(FEEDER, task=LossMinimisation(), load=day_of_load(np.full(96, 0.3)))
    assert baselines.rollout(calm, "do-nothing", 1, progress=False).violations.num_rows == 0
    scale = np.full(96, 0.3)
    scale[40] = 1.3
    once = DistGridEnv(FEEDER, task=LossMinimisation(), load=day_of_load(scale))
    table = baselines.rollout(once, "do-nothing", 1, progress=False).violations
    assert set(table["step"].to_pylist()) == {40}
    assert set(table["kind"].to_pylist()) <= {"undervoltage", "overload"}


def test_a_failed_power_flow_is_one_row_and_no_diagnostics() -> None:
    """Capability 108: a last iterate is never scored."""
    scale = np.full(96, 0.3)
    scale[7] = 20.0
    env = DistGridEnv(FEEDER, task=VoltVar(), load=day_of_load(scale))
    rows = baselines.rollout(env, "do-nothing", 1, progress=False).violations.to_pylist()
    assert [(r["step"], r["kind"], r["magnitude"]) for r in rows] == [(7, "failed_power_flow", None)]


def test_phases_and_unbalance_are_named() -> None:
    """Capability 109: every phase beyond its limit is a row of its own, and so is every unbalanced node."""
    env: Any = gym.make("distgrid/VoltVar3-ieee13-v0", split="test").unwrapped
    env.reset(options={"day": 172})
    info: dict[str, Any] = {}
    for _ in range(60):
        *_, info = env.step(np.array([-1.0, 0.2, 1.0] + [1.0, 1.0] + [0.0] * 10))
    found = Violations(env)
    found.add(("p", 0, 172), 59, 0, info)
    rows = found.table().to_pylist()
    phased = [row for row in rows if row["kind"] in ("overvoltage", "undervoltage")]
    assert len(phased) == info["n_voltage_violations"] > 0
    assert sum(row["magnitude"] for row in phased) == pytest.approx(info["cost_voltage_violation"])
    assert {row["element"][-2:] for row in phased} <= {".A", ".B", ".C"}
    uneven = [row for row in rows if row["kind"] == "unbalance"]
    assert len(uneven) == info["n_vuf_violations"] > 0
    assert sum(row["magnitude"] for row in uneven) == pytest.approx(info["cost_vuf_violation"])
    heavy = [row for row in rows if row["kind"] == "overload"]
    assert sum(row["magnitude"] for row in heavy) == pytest.approx(info["cost_thermal_overload"], abs=1e-12)


# -- one definition --------------------------------------------------------------------------------------

#: Kinds of rows, and the keys of the info that they add up to.
COSTS = {
    ("overvoltage", "undervoltage"): ("cost_voltage_violation", "n_voltage_violations"),
    ("overload",): ("cost_thermal_overload", "n_thermal_overloads"),
    ("unbalance",): ("cost_vuf_violation", "n_vuf_violations"),
}


def agree(rows: list[dict[str, Any]], info: dict[str, Any]) -> dict[str, int]:
    """Rows of one step against its costs: equal counts, equal sums, zero together; returns the counts."""
    counts = {}
    for kinds, (cost, count) in COSTS.items():
        found = [row["magnitude"] for row in rows if row["kind"] in kinds]
        assert len(found) == info[count], kinds
        assert sum(found) == pytest.approx(info[cost], rel=1e-9, abs=1e-14), kinds
        assert (info[cost] > 0.0) == bool(found)
        assert min(found, default=1.0) > 0.0
        counts[cost] = len(found)
    return counts


WORLDS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "balanced": (
        {"case": "case33bw", "resources": [PV(18, 4.0, site=0, controls="pq"), PV(33, 4.0, site=1)],
         "task": VoltVar()},
        {"cost_voltage_violation", "cost_thermal_overload"},
    ),
    "limits of the feeder": (
        {"case": "case33bw", "resources": [PV(18, 4.0, site=0)], "task": LossMinimisation(),
         "v_source_pu": 1.06},
        {"cost_voltage_violation", "cost_thermal_overload"},
    ),
    "phases": (
        {"case": "ieee13", "resources": [PV("675", 3.0, site=0, phase="A"), PV("611", 1.0, phase="C")],
         "task": VoltVar(vuf_max_pct=1.0)},
        {"cost_voltage_violation", "cost_thermal_overload", "cost_vuf_violation"},
    ),
    "delta": (
        {"case": "ieee37", "resources": [PV("742", 2.0, site=0, phase="AB")],
         "task": VoltVar(vuf_max_pct=1.0)},
        {"cost_voltage_violation", "cost_thermal_overload"},
    ),
}  # fmt: skip


def test_load_that_is_not_supplied_is_a_row_of_each_step() -> None:
    """What was charged for it, one by one and side by side."""
    island = FEEDER.with_switch("2-19", closed=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", physics.IslandWarning)
        env = DistGridEnv(island, task=VoltVar(episode=Duration(hours=1)), load=day_of_load(np.full(96, 0.3)))
        result = baselines.rollout(env, "do-nothing", 2, progress=False)
    table = result.violations
    rows = table.filter(pc.equal(table["kind"], "unserved")).to_pylist()
    assert [row["magnitude"] for row in rows] == result.steps["cost_unserved"].to_pylist()
    assert {(row["element"], row["unit"], row["limit"]) for row in rows} == {("case33bw", "MW", 0.0)}
    assert rows[0]["magnitude"] == pytest.approx(0.3 * 0.36)


@pytest.mark.parametrize("world", WORLDS)
def test_rows_add_up_to_the_costs_of_their_step(world: str) -> None:
    """On random days under random actions: what the table lists is what was charged, row by row."""
    options, expected = WORLDS[world]
    kind = DistGridEnv if cases.load(options["case"]).phases == "balanced" else DistGrid3PhaseEnv
    env, rng = kind(**options, split="train"), np.random.default_rng(7)
    seen: set[str] = set()
    for day in (160, int(rng.integers(366))):
        env.reset(seed=0, options={"day": day})
        for step in range(96):
            t_index = int(env.grid.t_index[0])
            *_, info = env.step(rng.uniform(-1.0, 1.0, env.action_space.shape))
            found = Violations(env)
            found.add(("p", 0, day), step, t_index, info)
            counts = agree(found.table().to_pylist(), info)
            seen |= {cost for cost, count in counts.items() if count}
    assert seen >= expected


def at_points(feeder: cases.Feeder, column: str) -> np.ndarray:
    """Nominal loads of a per-phase feeder at the points where a series has them."""
    points = load_points(feeder)
    total = np.zeros(len(points.names))
    np.add.at(total, points.point, points.share * feeder.column("loads", column)[points.row])
    return total


@pytest.mark.parametrize(
    ("name", "scale"), [("case33bw", 1.3), ("case118zh", 1.0), ("ieee13", 1.0), ("ieee37", 1.0)]
)
def test_a_power_flow_reports_what_an_environment_charges(name: str, scale: float) -> None:
    """`dist pf` of the nominal loads and a step with these loads: the same limits, the same rows."""
    feeder, kind = cases.load(name), cast(type[DistGridEnv], DistGrid3PhaseEnv)
    if feeder.phases == "balanced":
        p, q = (feeder.column("nodes", c) * scale for c in ("load_p_mw", "load_q_mvar"))
        feeder, kind = feeder.with_loads(p, q), DistGridEnv
    else:
        p, q = at_points(feeder, "p_mw"), at_points(feeder, "q_mvar")
    load = SeriesLoad(feeder, np.tile(p, (96, 1)), np.tile(q, (96, 1)))
    env = kind(feeder, task=LossMinimisation(vuf_max_pct=1.0), load=load)
    env.reset(seed=0)
    *_, info = env.step([])
    rows = power_flow(feeder, vuf_max_pct=1.0).violations.to_pylist()
    counts = agree(rows, info)
    assert sum(counts.values()) > 0
