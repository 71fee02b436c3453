"""A task is data: terms, costs, blocks and an episode, and everything else follows from the one table."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid import cases
from distgrid.cases.profiles import Duration
from distgrid.envs import (
    PV,
    Battery,
    CapacitorBank,
    DataTask,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    LossMinimisation,
    Quantity,
    TapChanger,
    Task,
    Term,
    VoltVar,
    VoltVar3,
)
from distgrid.envs.tasks import QUANTITIES, StepView, WorstCase

from .world import FEEDER, FEEDER3, flat_load

Floats = NDArray[np.float64]
FLEET = [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="pq"), PV(3, 6.0, site=4, controls="pq")]

PEAK_SHAVING = DataTask(
    blocks=("clock", "v_pu", "load_p_mw", "p_slack_mw", "price_usd_mwh"),
    rewards=(
        Term("peak", "import_above_square", -1.0, {"limit_mw": 1.2}),
        Term("back", "export_above_mw", -0.5),
        Term("wear", "throughput_mwh", -0.02),
        Term("sun", "curtailed_mw", -0.1),
        Term("import", "slack_mw", -0.01),
        Term("bonus", "loss_mw", 0.1),
    ),
    costs=("thermal_overload", "resource", Term("over_contract", "import_above_mw", 3.0, {"limit_mw": 1.4})),
    v_band=(0.95, 1.05),
    episode=Duration(hours=12),
)
VOLTAGE_AND_SWITCHING = DataTask(
    rewards=(
        Term("voltage", "voltage_deviation", -0.5, {"band_pu": 0.03}),
        Term("balance", "unbalance_square", -0.1, {"limit_pct": 1.5}),
        Term("switching", "switchings", -0.01),
    ),
    costs=("voltage_violation", "vuf_violation"),
)


def test_the_terms_of_a_step_are_what_the_data_say() -> None:
    """By hand, from the info; rewards, costs, blocks and episode of fifteen lines of data."""
    env = DistGridEnv(FEEDER, FLEET, PEAK_SHAVING)
    env.reset(seed=0, options={"day": 170})
    assert list(env.layout)[:5] == list(PEAK_SHAVING.blocks)
    rng, seen = np.random.default_rng(0), np.zeros(6)
    for step in range(48):
        _, reward, terminated, truncated, info = env.step(rng.uniform(-1, 1, env.action_space.shape))
        slack, accounts = info["p_slack_MW"], env.fleet.accounts
        expected = {
            "peak": -(max(slack - 1.2, 0.0) ** 2),
            "back": -0.5 * max(-slack, 0.0),
            "wear": -0.02 * accounts["throughput_mwh"].sum(),
            "sun": -0.1 * accounts["curtailed_mw"].sum(),
            "import": -0.01 * slack,
            "bonus": 0.1 * info["p_loss_MW"],
        }
        assert {name: info["rewards"][name] for name in expected} == pytest.approx(expected)
        assert reward == pytest.approx(sum(expected.values()))
        assert list(info["costs"]) == ["thermal_overload", "resource", "over_contract", "unserved",
                                       "power_flow_failure"]  # fmt: skip
        assert info["costs"]["over_contract"] == pytest.approx(3.0 * max(slack - 1.4, 0.0))
        assert info["costs"]["thermal_overload"] == info["cost_thermal_overload"]
        assert info["cost"] == pytest.approx(sum(info["costs"].values()))
        seen += np.abs(list(expected.values()))
        assert (terminated, truncated) == (False, step == 47)
    assert (seen > 0.0).all()


@pytest.mark.parametrize(
    "task", [PEAK_SHAVING, dataclasses.replace(VOLTAGE_AND_SWITCHING, episode=Duration(hours=12))]
)
def test_all_faces_play_it_alike(task: DataTask) -> None:
    vector = DistGridVectorEnv(FEEDER, FLEET, task, num_envs=3)
    vector.reset(seed=0, options={"day": [170, 20, 300]})
    envs = []
    for row, day in enumerate((170, 20, 300)):
        env = DistGridEnv(FEEDER, FLEET, task)
        env.reset(seed=row, options={"day": day})
        envs.append(env)
    rng = np.random.default_rng(5)
    for _ in range(20):
        action = rng.uniform(-1.0, 1.0, vector.action_space.shape)
        obs, reward, _, _, infos = vector.step(action)
        for row, env in enumerate(envs):
            one_obs, one_reward, _, _, info = env.step(action[row])
            np.testing.assert_array_equal(obs[row], one_obs)
            assert reward[row] == one_reward
            assert infos["unserved_MW"][row] == info["unserved_MW"] == 0.0
            for part in ("rewards", "costs"):
                assert list(info[part]) == [name for name in infos[part] if not name.startswith("_")]
                for name, value in info[part].items():
                    assert infos[part][name][row] == value


def test_the_two_tasks_of_old_are_the_formulas_of_their_docstrings() -> None:
    """To the bit: as they were before they were data."""
    env = DistGrid3PhaseEnv(FEEDER3, [TapChanger("reg1"), CapacitorBank("cap1"), Battery("671", 0.2, 0.8)],
                            VoltVar3(voltage_weight=0.3, vuf_max_pct=1.25))  # fmt: skip
    env.reset(seed=0)
    rng = np.random.default_rng(1)
    for _ in range(9):
        *_, info = env.step(rng.uniform(-1.0, 1.0, 3))
        v = env.grid.stepper.v_pu[0]
        terms = info["rewards"]
        assert terms["loss"] == -info["p_loss_MW"]
        assert terms["voltage"] == pytest.approx(-0.3 * np.mean(((v - 1.0) / 0.05) ** 2), rel=1e-12)
        share = np.minimum(env.grid.stepper.vuf_pct / 1.25, 5.0)
        assert terms["unbalance"] == float((-0.25 * np.square(share).mean(axis=1))[0])
        assert terms["switching"] == -0.001 * env.fleet.accounts["switchings"].sum()
        assert terms["wear"] == -0.02 * env.fleet.accounts["throughput_mwh"].sum()


# -- how bad it can get ------------------------------------------------------------------------------------


def _balanced(task: Task) -> DistGridEnv:
    return DistGridEnv(FEEDER, FLEET, task, load_scale=1.3)


def _phases(task: Task) -> DistGridEnv:
    devices = [TapChanger("reg1"), CapacitorBank("cap1"), PV("675", 2.0, phase="A", controls="pq", site=2)]
    return DistGrid3PhaseEnv(FEEDER3, devices, task)


BOUNDED: dict[str, DistGridEnv] = {
    "peak": _balanced(PEAK_SHAVING),
    "losses": _balanced(LossMinimisation(voltage_penalty_weight=1.0, thermal_penalty_weight=1.0)),
    "volt-var": _balanced(VoltVar()),
    "switching": _phases(dataclasses.replace(VOLTAGE_AND_SWITCHING, v_band=(0.99, 1.01))),
    "volt-var 3": _phases(VoltVar3(vuf_max_pct=0.5)),
    "every": _balanced(DataTask(rewards=tuple(Term(name, name, -1.0) for name in QUANTITIES))),
    "every, gained": _balanced(DataTask(rewards=tuple(Term(name, name, 1.0) for name in QUANTITIES))),
}


@pytest.mark.parametrize("name", BOUNDED)
@given(day=st.integers(0, 364), seed=st.integers(0, 10**6), held=st.booleans())
@settings(max_examples=12, deadline=None)
def test_no_interval_falls_below_its_bound(name: str, day: int, seed: int, held: bool) -> None:
    """Random days, random and extreme actions: what prices a failed power flow is sound, term by term."""
    env, rng = BOUNDED[name], np.random.default_rng(seed)
    env.reset(seed=seed, options={"day": day})
    shape = env.action_space.shape
    ranges = {term.name: term.range(env.grid.worst) for term in env.task.reward_terms}
    assert env.grid.worst_reward == sum(least for least, _ in ranges.values())
    for _ in range(10):
        action = rng.choice([-1.0, 1.0], shape) if held else rng.uniform(-1.0, 1.0, shape)
        _, reward, terminated, _, info = env.step(action)
        if terminated:
            break
        assert env.grid.worst_reward <= reward
        assert info["cost"] <= env.grid.worst_cost
        for term, (least, most) in ranges.items():
            assert least <= info["rewards"][term] <= most, term


def test_every_quantity_has_a_row_and_a_finite_range() -> None:
    """Name, unit, meaning; the bound is one that a failed power flow can be priced with."""
    worst = BOUNDED["every"].grid.worst
    for name, quantity in QUANTITIES.items():
        assert quantity.name == name
        assert quantity.unit
        assert quantity.meaning
        least, most = quantity.range(worst, {})
        assert math.isfinite(least)
        assert math.isfinite(most)
        assert least <= most
    assert not worst.accounts["shifted_mwh"]


# -- the documentation -------------------------------------------------------------------------------------


def test_the_documentation_table_is_the_data() -> None:
    rows = PEAK_SHAVING.term_rows()
    assert [(row.part, row.name, row.quantity, row.unit, row.weight) for row in rows] == [
        ("reward", "peak", "import_above_square", "MW^2", -1.0),
        ("reward", "back", "export_above_mw", "MW", -0.5),
        ("reward", "wear", "throughput_mwh", "MWh", -0.02),
        ("reward", "sun", "curtailed_mw", "MW", -0.1),
        ("reward", "import", "slack_mw", "MW", -0.01),
        ("reward", "bonus", "loss_mw", "MW", 0.1),
        ("reward", "unserved", "unserved_mw", "MW", -200.0),
        ("cost", "thermal_overload", "thermal_overload_mva", "MVA", 1.0),
        ("cost", "resource", "resource_cost", "money", 1.0),
        ("cost", "over_contract", "import_above_mw", "MW", 3.0),
        ("cost", "unserved", "unserved_mw", "MW", 1.0),
    ]
    assert rows[0].parameters == "limit_mw 1.2"
    assert "square" in rows[0].meaning
    for task in (LossMinimisation(), VoltVar(), VoltVar3()):
        env = DistGridEnv(FEEDER, task=task)
        _, info = env.reset(seed=0)
        for part, key in (("reward", "rewards"), ("cost", "costs")):
            named = [row.name for row in task.term_rows() if row.part == part]
            assert [*named, "power_flow_failure"] == list(info[key])


# -- kept, made again, and wrong ---------------------------------------------------------------------------


def test_data_are_kept_as_json_copied_and_pickled() -> None:
    """`gymnasium.make(spec)` makes the same task again, and so does another process."""
    env: Any = gym.make("distgrid/DistGrid-33bw-v0", task=PEAK_SHAVING)
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    assert gym.make(spec).unwrapped.task == PEAK_SHAVING  # type: ignore[attr-defined]
    env.reset(seed=0)
    for other in (copy.deepcopy(PEAK_SHAVING), pickle.loads(pickle.dumps(PEAK_SHAVING))):  # noqa: S301
        assert other == PEAK_SHAVING
        assert other.reward_terms == PEAK_SHAVING.reward_terms
    assert hash(PEAK_SHAVING) == hash(dataclasses.replace(PEAK_SHAVING))
    assert json.loads(json.dumps(dataclasses.asdict(PEAK_SHAVING)))["rewards"][0]["weight"] == -1.0


def test_a_class_lists_its_terms_too() -> None:
    """A task with weights of its own: fields, and terms made of them; no method and no bound to write."""

    @dataclass(frozen=True)
    class Contract(Task):
        limit_mw: float = 2.0
        blocks = ("clock", "p_slack_mw")

        @property
        def rewards(self) -> tuple[Term, ...]:
            return (Term("peak", "import_above_mw", -1.0, {"limit_mw": self.limit_mw}),)

    env = DistGridEnv(FEEDER, task=Contract(limit_mw=1.0), load=flat_load())
    env.reset(seed=0)
    _, reward, _, _, info = env.step([])
    assert reward == -(info["p_slack_MW"] - 1.0)
    assert env.grid.worst_reward == 1.0 - env.grid.worst.slack_mw


def own_quantity(**options: Any) -> Quantity:
    made: dict[str, Any] = {
        "name": "lowest_pu", "unit": "pu", "meaning": "how far the lowest voltage is below 1",
        "value": lambda view: 1.0 - view.v_pu.min(axis=1), "bounds": lambda _: (-1.0, 0.5),
    }  # fmt: skip
    return Quantity(**(made | options))


def test_a_quantity_of_ones_own_is_looked_after() -> None:
    """It has its row like any other; values that are no numbers are refused by the name of the term."""
    task = DataTask(rewards=(Term("low", own_quantity(), -2.0),), costs=(Term("low", own_quantity(), 1.0),))
    with pytest.raises(ValueError, match="cost 'low' could be below 0, as lowest_pu can"):
        DistGridEnv(FEEDER, task=task)
    positive = own_quantity(bounds=lambda _: (0.0, 0.5))
    task = DataTask(rewards=(Term("low", positive, -2.0),), costs=(Term("low", positive, 1.0),))
    env = DistGridEnv(FEEDER, task=task, load=flat_load())
    env.reset(seed=0)
    _, reward, _, _, info = env.step([])
    assert info["costs"]["low"] == 1.0 - info["voltages"].min() == pytest.approx(-0.5 * reward)
    assert env.grid.worst_reward == -1.0
    broken = own_quantity(value=lambda view: np.log(view.p_loss_mw * 0.0 - 1.0))
    env = DistGridEnv(FEEDER, task=DataTask(rewards=(Term("odd", broken, 1.0),)), load=flat_load())
    with np.errstate(all="ignore"):
        env.reset(seed=0)
        with pytest.raises(ValueError, match="DataTask: term 'odd' is nan in environment 0"):
            env.step([])
    below = own_quantity(value=lambda view: -view.p_loss_mw, bounds=lambda _: (0.0, 1.0))
    task = DataTask(rewards=(Term("loss", "loss_mw", -1.0),), costs=(Term("odd", below, 1.0),))
    env = DistGridEnv(FEEDER, task=task, load=flat_load())
    env.reset(seed=0)
    with pytest.raises(ValueError, match="cost 'odd' is below 0"):
        env.step([])


LOSS = Term("loss", "loss_mw", -1.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Term("x", "lossmw", 1.0), ValueError, "quantity 'lossmw' is unknown; expected one of"),
        (lambda: Term("", "loss_mw", 1.0), ValueError, "a Term needs a name"),
        (lambda: Term("x", "loss_mw", math.nan), ValueError, "Term 'x': weight must be a finite number"),
        (lambda: Term("x", "loss_mw", 1.0, {"limit_mw": 1.0}), ValueError, "'loss_mw' has no param"),
        (lambda: Term("x", "import_above_mw", 1.0, {"limit": 1.0}), ValueError, "expected some of limit_mw"),
        (lambda: Term("x", "import_above_mw", 1.0, {"limit_mw": "a"}), ValueError, "must be a finite number"),
        (lambda: DataTask(), ValueError, "a DataTask needs rewards"),
        (lambda: DataTask(rewards=(LOSS, LOSS)), ValueError, "rewards name 'loss' twice"),
        (lambda: DataTask(rewards=cast(Any, LOSS)), TypeError, r"write rewards=\(\.\.\.,\)"),
        (lambda: DataTask(rewards=cast(Any, ("loss_mw",))), TypeError, "must be terms, got 'loss_mw'"),
        (lambda: DataTask(rewards=(LOSS,), costs=(LOSS,)), ValueError, "weight of a cost must be at least 0"),
        (lambda: DataTask(rewards=(LOSS,), costs=("loss",)), ValueError, "costs name 'loss': expected"),
        (lambda: VoltVar(unserved_weight=0.0), ValueError, "unserved_weight must be greater than 0"),
        (lambda: Quantity("", "1", "x", abs, abs), ValueError, "has a name and a meaning"),
        (lambda: own_quantity(value=1.0), TypeError, "value must be a function"),
    ],
)  # fmt: skip
def test_wrong_data_are_refused(make: Any, error: type[Exception], message: str) -> None:
    """By name, with what was expected, when the task is made."""
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", ["unserved", "power_flow_failure"])
def test_terms_of_every_task_keep_their_names(name: str) -> None:
    task = DataTask(rewards=(Term(name, "loss_mw", -1.0),))
    with pytest.raises(ValueError, match=f"'{name}' is a term of every task"):
        DistGridEnv(cases.load("case33bw"), task=task).reset(seed=0)


def test_methods_of_ones_own_go_through_the_same_door() -> None:
    """A subclass of a data task may add what no quantity says; its bound is then its own to write."""

    @dataclass(frozen=True)
    class Extended(VoltVar):
        def terms(self, view: StepView) -> dict[str, Floats]:
            return {**super().terms(view), "late": -view.p_loss_mw * view.dt_h}

        def worst_step(self, worst: WorstCase) -> float:
            return super().worst_step(worst) - 0.25 * worst.state.p_loss_mw

    env = DistGridEnv(FEEDER, FLEET, Extended(), load=flat_load())
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.neutral_action)
    assert info["rewards"]["late"] == -0.25 * info["p_loss_MW"]
    assert list(info["rewards"]) == ["loss", "voltage", "wear", "late", "unserved", "power_flow_failure"]
    assert reward == pytest.approx(sum(info["rewards"].values()))
