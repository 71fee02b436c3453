"""Load that is not supplied: told, charged and priced in every task, so that a blackout never pays."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from distgrid import cases, physics
from distgrid.cases import Feeder
from distgrid.envs import (
    EV,
    PV,
    Battery,
    DataTask,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    LossMinimisation,
    Task,
    Term,
    VoltVar,
    VoltVar3,
)
from distgrid.envs.suites import ENTRIES
from distgrid.envs.tasks.base import VALUE_OF_LOST_LOAD

from .test_accounts import Heater
from .test_own_tasks import Own
from .test_task_as_data import PEAK_SHAVING
from .world import FEEDER, FEEDER3, flat_load

Floats = NDArray[np.float64]
ISLAND = FEEDER.with_switch("2-19", closed=False)  # nodes 19 to 22 are dead
TASKS: dict[str, Task] = {
    "losses": LossMinimisation(),
    "volt-var": VoltVar(),
    "volt-var 3": VoltVar3(),
    "data": PEAK_SHAVING,
    "own": Own(of=lambda view: {"loss": -view.p_loss_mw}),
}


def quiet(make: Any, *args: Any, **options: Any) -> Any:
    """An environment on a feeder with dead nodes, without the warning that names them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", physics.IslandWarning)
        env = make(*args, **options)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("name", TASKS)
def test_a_feeder_with_an_open_switch_is_charged_in_every_task(name: str) -> None:
    """Step by step the active load of the dead nodes: in the info, as a cost, and times its weight."""
    env = quiet(DistGridEnv, ISLAND, [Battery(18, 0.2, 0.8)], TASKS[name], split="train")
    dead = [ISLAND.node_index[str(node)] for node in range(19, 23)]
    seen = set()
    for _ in range(5):
        load = env.grid.stepper.load_p_mw[0, dead].sum()
        _, reward, terminated, _, info = env.step(env.neutral_action)
        assert not terminated
        assert info["unserved_MW"] == pytest.approx(load) != 0.0
        assert np.isnan(info["voltages"][dead]).all()
        assert info["costs"]["unserved"] == info["unserved_MW"]
        assert info["rewards"]["unserved"] == -VALUE_OF_LOST_LOAD * info["unserved_MW"]
        assert reward == pytest.approx(sum(info["rewards"].values()))
        assert info["cost"] == pytest.approx(sum(info["costs"].values()))
        assert env.grid.worst_reward <= reward
        assert info["cost"] <= env.grid.worst_cost
        seen.add(info["unserved_MW"])
    assert len(seen) == 5, "the load of the interval, not of another"


def test_all_load_that_is_supplied_is_none_that_is_not() -> None:
    """What the sources give, the losses and what is lost add up to the load, whichever switch is open."""
    p, q = (FEEDER.column("nodes", c) for c in ("load_p_mw", "load_q_mvar"))
    total = p.sum()
    for switch, nodes in (("2-19", range(19, 23)), ("6-26", range(26, 34)), ("17-18", [18])):
        feeder = FEEDER.with_switch(switch, closed=False)
        env = quiet(DistGridEnv, feeder, load=flat_load())
        *_, info = env.step([])
        lost = sum(p[FEEDER.node_index[str(node)]] for node in nodes)
        assert info["unserved_MW"] == pytest.approx(lost)
        assert info["p_slack_MW"] - info["p_loss_MW"] == pytest.approx(total - lost, abs=1e-6)
    assert q.any()


def test_phases_that_are_dead_are_lost_one_by_one() -> None:
    """On a per-phase feeder: loads to ground and between phases that no source reaches."""
    loads = FEEDER3.loads.to_pylist()
    feeder = FEEDER3.with_switch("671692", closed=False)
    env = quiet(DistGrid3PhaseEnv, feeder, [PV("671", 0.3, phase="A", site=2)], VoltVar3())
    dead = {"692", "675"}
    for _ in range(3):
        names, load = env.grid.stepper.names.load, env.grid.stepper.load_p_mw[0].copy()
        _, reward, _, _, info = env.step(env.neutral_action)
        lost = sum(p for name, p in zip(names, load, strict=True) if name.rpartition(".")[0] in dead)
        assert info["unserved_MW"] == pytest.approx(lost) != 0.0
        assert reward < -VALUE_OF_LOST_LOAD * lost
    assert {row["node_id"] for row in loads} >= dead


def test_one_dead_phase_of_three_is_lost_alone() -> None:
    """A cable that loses its phase C: the loads of A and B behind it go on, that of C does not."""
    feeder = one_phase_less(cases.load("ieee13"), "692675", "C")
    env = quiet(DistGrid3PhaseEnv, feeder, [EV("675", 0.03, phase="C", sessions=[(0.0, 3.0, 0.06)])])
    stepper = env.grid.stepper
    assert [stepper.names.load[k] for k in stepper.dead_columns[0]] == ["675.C"]
    load = stepper.load_p_mw[0, stepper.names.load.index("675.C")]
    *_, info = env.step([-1.0])
    assert info["pf_converged"]
    assert info["unserved_MW"] == pytest.approx(load + 0.03) != 0.03
    voltages = info["voltages"][feeder.node_index["675"]]
    assert voltages.mask.tolist() == [False, False, True]


def one_phase_less(feeder: Feeder, branch: str, phase: str) -> Feeder:
    """The feeder with a line that has lost the conductor of one phase."""
    row = feeder.branches.slice(feeder.branch_index[branch], 1).to_pylist()[0]
    kept = [place for place in range(3) if "ABC"[place] != phase]
    cells: dict[str, Any] = {"phase": "".join("ABC"[place] for place in kept)}
    for name in ("r_ohm", "x_ohm", "b_us"):
        part = np.zeros((3, 3))
        part[np.ix_(kept, kept)] = np.array(row[name]).reshape(3, 3)[np.ix_(kept, kept)]
        cells[name] = part.ravel().tolist()
    return with_branch(feeder, branch, **cells)


def with_branch(feeder: Feeder, branch: str, **cells: Any) -> Feeder:
    """The feeder with other values in the row of a branch."""
    table = feeder.branches
    for name, value in cells.items():
        values = table.column(name).to_pylist()
        values[feeder.branch_index[branch]] = value
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    return dataclasses.replace(feeder, branches=table)


def test_both_faces_lose_the_same() -> None:
    fleet = [Battery(18, 0.2, 0.8), EV(20, 0.02, sessions=[(0.0, 3.0, 0.02)])]
    vector = quiet(DistGridVectorEnv, ISLAND, fleet, VoltVar(), num_envs=3)
    vector.reset(seed=0, options={"day": [3, 100, 200]})
    envs = []
    for row, day in enumerate((3, 100, 200)):
        env = quiet(DistGridEnv, ISLAND, fleet, VoltVar())
        _, info = env.reset(seed=row, options={"day": day})
        assert info["unserved_MW"] == 0.0, "nothing is earned, lost or charged yet"
        envs.append(env)
    for _ in range(4):
        _, rewards, _, _, infos = vector.step(vector.neutral_action)
        for row, env in enumerate(envs):
            _, reward, _, _, info = env.step(env.neutral_action)
            assert rewards[row] == reward
            for key in ("unserved_MW", "cost"):
                assert infos[key][row] == info[key] > 0.0
            assert infos["costs"]["unserved"][row] == info["costs"]["unserved"]
            assert infos["rewards"]["unserved"][row] == info["rewards"]["unserved"]


def test_a_device_without_voltage_takes_what_nobody_gives() -> None:
    """A car that charges on a dead node is load that is not supplied; sun on one helps nobody."""
    bare = quiet(DistGridEnv, ISLAND, load=flat_load())
    *_, info = bare.step([])
    lost = info["unserved_MW"]
    car = quiet(DistGridEnv, ISLAND, [EV(20, 0.02, sessions=[(0.0, 3.0, 0.02)])], load=flat_load())
    *_, info = car.step([-1.0])
    assert info["delivered"]["p_mw"][0] == -0.02
    assert info["unserved_MW"] == pytest.approx(lost + 0.02)
    battery = quiet(DistGridEnv, ISLAND, [Battery(20, 0.2, 0.8)], load=flat_load())
    *_, info = battery.step([1.0])
    assert info["unserved_MW"] == pytest.approx(lost)


def test_load_that_is_shed_is_lost_too() -> None:
    """Trap 18: what a device sheds is priced, on a feeder where everything is supplied."""

    class Free(Heater):
        writes: ClassVar[tuple[str, ...]] = ("unserved_mw", "discomfort_cost")

    env = DistGridEnv(FEEDER, [Free([7, 30])], load=flat_load())
    env.reset(seed=0)
    returns = []
    for action in (-1.0, 0.0, 1.0):
        _, reward, _, _, info = env.step([action, action])
        assert info["unserved_MW"] == pytest.approx(0.1 * (action + 1.0))
        assert info["rewards"]["unserved"] == pytest.approx(-20.0 * (action + 1.0))
        returns.append(reward)
    assert returns[0] > returns[1] > returns[2]


def test_another_weight_is_the_tasks_to_say() -> None:
    env = quiet(DistGridEnv, ISLAND, task=VoltVar(unserved_weight=1000.0), load=flat_load())
    *_, info = env.step([])
    assert info["rewards"]["unserved"] == -1000.0 * info["unserved_MW"]
    assert VoltVar().unserved_weight == VALUE_OF_LOST_LOAD == 200.0 * VoltVar().loss_weight


def test_nothing_is_lost_on_any_registered_feeder() -> None:
    """No id has dead nodes: what is priced here moves no score."""
    for name in {entry.case for entry in ENTRIES}:
        feeder = cases.load(name)
        net: Any = physics.compile(feeder)
        alive = net.energised if feeder.phases == "balanced" else net.energised | ~net.present
        assert alive.all()


BLACKOUTS: dict[str, tuple[Any, str, Task, dict[str, Any]]] = {
    "losses": (DistGridEnv, "case33bw", LossMinimisation(), {"load_scale": 1.5}),
    "volt-var": (DistGridEnv, "case33bw", VoltVar(), {"load_scale": 1.8, "v_source_pu": 0.97}),
    "large": (DistGridEnv, "case141", VoltVar(), {"load_scale": 1.7}),
    "low voltage": (DistGrid3PhaseEnv, "european_lv", VoltVar3(), {}),
    "phases": (DistGrid3PhaseEnv, "ieee13", VoltVar3(vuf_max_pct=1.0), {"load_scale": 1.4}),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "low voltage" else n for n in BLACKOUTS]
)
def test_a_blackout_never_pays(name: str) -> None:
    """Whatever branch is lost, on heavy days with voltages far out of band: each step is worth less."""
    kind, case, task, options = BLACKOUTS[name]
    feeder, rng = cases.load(case), np.random.default_rng(3)
    days, steps = [15, 200], 8
    served, none = returns_of(kind, feeder, task, options, days, steps)
    assert (served < 0.0).all()
    assert not none.any()
    ids = feeder.column("branches", "branch_id").astype(str)
    closed = ids[feeder.column("branches", "status").astype(bool)]
    supplied = 0
    for branch in rng.choice(closed, 5, replace=False):
        opened = with_branch(feeder, str(branch), status=False)
        blackout, lost = returns_of(kind, opened, task, options, days, steps)
        at = lost > 0.0  # NaN where the power flow failed
        assert (blackout[at] < served[at]).all(), branch
        supplied += int(at.sum())
    assert supplied > 0


def returns_of(
    kind: Any, feeder: Feeder, task: Task, options: dict[str, Any], days: list[int], steps: int
) -> tuple[Floats, Floats]:
    """Rewards and MW not supplied, (days, steps), of doing nothing; NaN from a failed power flow on."""
    rewards, lost = (np.full((len(days), steps), np.nan) for _ in range(2))
    env = quiet(kind, feeder, task=task, **options)
    for k, day in enumerate(days):
        env.reset(seed=0, options={"day": day})
        for step in range(steps):
            _, reward, terminated, _, info = env.step([])
            if terminated:
                break
            rewards[k, step], lost[k, step] = reward, info["unserved_MW"]
    return rewards, lost


def test_the_price_is_in_the_bound_of_a_failed_power_flow() -> None:
    """Failing early is no way out of a blackout: the rest of the day is priced with it."""
    whole = DistGridEnv(FEEDER, load=flat_load())
    part = quiet(DistGridEnv, ISLAND, load=flat_load())
    lost = part.grid.worst.unserved_mw
    assert lost >= 0.36
    assert part.grid.worst_reward < -200.0 * lost
    assert part.grid.worst_reward > whole.grid.worst_reward - 200.0 * lost
    assert part.grid.worst_cost > lost
    data = DataTask(rewards=(Term("lost", "unserved_mw", -1.0),))
    env = quiet(DistGridEnv, ISLAND, task=data, load=flat_load())
    _, reward, _, _, info = env.step([])
    assert reward == pytest.approx(-201.0 * info["unserved_MW"])
