"""Tasks of one's own: what their terms may be, and costs of devices by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid.cases.profiles import Duration
from distgrid.envs import (
    EV,
    Battery,
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Exogenous,
    LossMinimisation,
    Resource,
    TapChanger,
    Task,
    VoltVar,
)
from distgrid.envs.tasks import StepView, WorstCase

from .test_vector import rough, same
from .world import FEEDER, FEEDER3, flat_load

Floats = NDArray[np.float64]
Terms = Callable[[StepView], Any]


@dataclass(frozen=True)
class Own(Task):
    """A task whose terms are a function."""

    of: Terms = lambda _: {}
    worst: float = -100.0

    @property
    def blocks(self) -> tuple[str, ...]:
        return ("clock", "v_pu")

    def terms(self, view: StepView) -> dict[str, Floats]:
        found: dict[str, Floats] = self.of(view)
        return found

    def worst_step(self, worst: WorstCase) -> float:
        return self.worst


def single(task: Task, **options: Any) -> DistGridEnv:
    env = DistGridEnv(FEEDER, [Battery(18, 0.2, 0.8)], task, load=flat_load(), **options)
    env.reset(seed=0)
    return env


def many(task: Task, **options: Any) -> DistGridVectorEnv:
    env = DistGridVectorEnv(FEEDER, [Battery(18, 0.2, 0.8)], task, load=flat_load(), num_envs=3, **options)
    env.reset(seed=0)
    return env


PLAIN: list[tuple[Terms, float]] = [
    (lambda _: {"a": 1.5, "b": -0.5}, 1.0),
    (lambda _: {"a": 1}, 1.0),
    (lambda _: {"a": np.float32(1.0)}, 1.0),
    (lambda view: {"a": np.array(0.25), "b": np.full(view.p_loss_mw.shape, 0.75)}, 1.0),
    (lambda view: {"a": [1.0] * len(view.p_loss_mw)}, 1.0),
    (lambda _: {}, 0.0),
]


@pytest.mark.parametrize(("terms", "reward"), PLAIN)
def test_plain_numbers_are_terms_in_both_faces(terms: Terms, reward: float) -> None:
    one, three = single(Own(of=terms)), many(Own(of=terms))
    for _ in range(2):
        _, got, _, _, info = one.step([0.0])
        _, rewards, _, _, infos = three.step(np.zeros((3, 1)))
        assert got == reward == pytest.approx(sum(info["rewards"].values()))
        np.testing.assert_array_equal(rewards, np.full(3, reward))
        for name, value in info["rewards"].items():
            np.testing.assert_array_equal(infos["rewards"][name], np.full(3, value))


def test_a_live_array_may_be_a_term() -> None:
    """What is handed out is a copy: it does not change with the next step."""
    env = single(Own(of=lambda view: {"slack": view.p_slack_mw}))
    first = env.step([1.0])[4]
    kept = dict(first["rewards"])
    assert kept["slack"] == first["p_slack_MW"]
    env.step([-1.0])
    assert first["rewards"] == kept


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_term_that_is_no_number_is_named(value: float) -> None:
    """In the row where it happens, and before it can reach a learner."""

    def terms(view: StepView) -> dict[str, Any]:
        return {"fine": 1.0, "odd": np.where(view.throughput_mwh > 0.01, value, 0.0)}

    one = single(Own(of=terms))
    one.step([0.0])
    with pytest.raises(ValueError, match=r"Own: term 'odd' is -?(nan|inf) in environment 0"):
        one.step([1.0])
    three = many(Own(of=terms), threads=1)
    with pytest.raises(ValueError, match=r"Own: term 'odd' is -?(nan|inf) in environment 2"):
        three.step(np.array([[0.0], [0.0], [1.0]]))
    lots = DistGridVectorEnv(FEEDER, [Battery(18, 0.2, 0.8)], Own(of=terms), num_envs=600, load=flat_load())
    assert len(lots.shards.shards) > 1
    lots.reset(seed=0)
    action = np.zeros((600, 1))
    action[577] = 1.0
    with pytest.raises(ValueError, match="in environment 577"):
        lots.step(action)
    with pytest.raises(ValueError, match="term 'a' is nan"):
        single(Own(of=lambda _: {"a": float("nan")})).step([0.0])


def test_a_subclass_of_a_shipped_task_is_looked_after_too() -> None:
    @dataclass(frozen=True)
    class Broken(VoltVar):
        def terms(self, view: StepView) -> dict[str, Floats]:
            return {**super().terms(view), "bonus": np.log(view.p_loss_mw * 0.0 - 1.0)}

    with np.errstate(all="ignore"), pytest.raises(ValueError, match="Broken: term 'bonus' is nan"):
        single(Broken()).step([0.0])


@pytest.mark.parametrize(
    ("terms", "error", "message"),
    [
        (lambda _: 1.0, TypeError, r"Own.terms must return a dict of arrays by name, got float"),
        (lambda _: None, TypeError, "got NoneType"),
        (lambda _: {"a": "much"}, TypeError, "term 'a' must be numbers, got 'much'"),
        (lambda _: {"a": None}, ValueError, "term 'a' is nan"),
        (lambda view: {"a": view.v_pu}, ValueError, r"term 'a' has shape \(1, 33\): expected \(1,\)"),
        (lambda _: {"a": np.zeros(7)}, ValueError, r"term 'a' has shape \(7,\)"),
    ],
)
def test_terms_of_a_wrong_kind_are_named(terms: Terms, error: type[Exception], message: str) -> None:
    """When the first episode begins, not steps later."""
    with pytest.raises(error, match=message):
        single(Own(of=terms)).step([0.0])


def test_terms_keep_their_names() -> None:
    """Arrays of a vector's infos are by name: one that comes and goes would be another's."""
    env = single(Own(of=lambda view: {"a": 1.0} if view.throughput_mwh[0] == 0.0 else {"b": 1.0}))
    env.step([0.0])
    with pytest.raises(ValueError, match="the same names in every step: a at first, now b"):
        env.step([1.0])


def test_what_a_failed_row_brings_is_not_judged() -> None:
    """Diagnostics may be anything; the row has its price, the others have their terms."""
    task = Own(
        of=lambda view: {"loss": np.where(view.p_loss_mw > 5.0, np.nan, -view.p_loss_mw)},
        episode=Duration(hours=9 / 4),
    )
    env = DistGridVectorEnv(**{**rough(), "task": task}, num_envs=4)
    env.reset(seed=0, options={"day": [0, 1, 2, 3]})
    ended = np.zeros(4, dtype=bool)
    for _ in range(8):
        _, reward, terminated, _, infos = env.step(env.neutral_action)
        assert np.isfinite(reward).all()
        left = 9 - infos["step"] + 1
        np.testing.assert_array_equal(reward[terminated], -100.0 * left[terminated])
        ended |= terminated
    assert ended.tolist() == [False, True, False, True]


@pytest.mark.parametrize("worst", [np.nan, -np.inf, "much", None])
def test_a_bound_that_is_none_is_refused(worst: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"Own.worst_step must"):
        DistGridEnv(FEEDER, task=Own(worst=worst))


def test_a_cost_that_there_is_not_is_named() -> None:
    @dataclass(frozen=True)
    class Charges(LossMinimisation):
        @property
        def costs(self) -> tuple[str, ...]:
            return ("voltage",)

    with pytest.raises(ValueError, match=r"costs name 'voltage': expected some of voltage_violation"):
        DistGridEnv(FEEDER, task=Charges())


def test_blocks_and_charges_are_several_names() -> None:
    @dataclass(frozen=True)
    class OneText(LossMinimisation):
        @property
        def blocks(self) -> tuple[str, ...]:
            return "v_pu"  # type: ignore[return-value]

    with pytest.raises(TypeError, match=r"blocks must be a list of names.*write blocks=\('v_pu',\)"):
        DistGridEnv(FEEDER, task=OneText())


# -- costs by name ---------------------------------------------------------------------------------------


class Boiler(Resource):
    """Two costs of one device."""

    kind = "boiler"
    max_cost_per_step = 3.0
    varies: ClassVar[bool] = False

    def __init__(self, bus: int) -> None:
        super().__init__([bus], s_mva=0.1, actions=("p",))

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.current_p_mw[:] = -0.05 * (action + 1.0)

    def costs(self) -> dict[str, Floats]:
        cold = 1.0 + 10.0 * self.current_p_mw[:, 0]
        if self.varies and cold[0] < 0.5:
            return {"cold": cold}
        return {"cold": cold, "noise": np.full(len(cold), 0.125)}


def test_costs_of_devices_have_names() -> None:
    """In `info["costs"]`, at reset already, and in both faces; they add up to the cost."""
    fleet = [Boiler(18), Boiler(25), EV(8, 0.02, sessions=[(0.0, 0.5, 0.009)])]
    options: dict[str, Any] = {"case": FEEDER, "resources": fleet, "task": VoltVar(v_band=(0.5, 1.5))}
    env, vector = (
        DistGridEnv(**options, load=flat_load()),
        DistGridVectorEnv(**options, load=flat_load(), num_envs=2),
    )
    names = {"boiler.cold", "boiler.noise", "boiler#2.cold", "boiler#2.noise", "ev.undelivered"}
    _, info = env.reset(seed=0)
    assert names | {"voltage_violation", "unserved", "power_flow_failure"} == set(info["costs"])
    vector.reset(seed=0)
    for _ in range(2):
        *_, info = env.step([0.0, 1.0, 1.0])
        *_, infos = vector.step(np.tile([[0.0, 1.0, 1.0]], (2, 1)))
    costs = info["costs"]
    assert costs["boiler.cold"] == pytest.approx(0.5)
    assert costs["boiler#2.cold"] == pytest.approx(0.0)
    assert costs["boiler.noise"] == 0.125
    assert costs["ev.undelivered"] == pytest.approx(0.009)
    assert info["cost"] == pytest.approx(sum(costs.values())) == pytest.approx(info["cost_resource"])
    for name in names:
        np.testing.assert_array_equal(infos["costs"][name], np.full(2, costs[name]))
    assert "resource" not in costs


def test_costs_of_taps_and_banks_have_names() -> None:
    fleet = [TapChanger("reg1", cost_per_step=0.5), CapacitorBank("cap1", cost_per_step=2.0)]
    env = DistGrid3PhaseEnv(FEEDER3, fleet)
    env.reset(seed=0)
    costs = env.step([-1.0, 0.5])[4]["costs"]
    assert costs["tap_changer.wear"] > 0.0
    assert costs["capacitor_bank.wear"] == 2.0


def test_a_task_that_charges_no_devices_has_no_costs_of_theirs() -> None:
    @dataclass(frozen=True)
    class Careless(VoltVar):
        @property
        def costs(self) -> tuple[str, ...]:
            return ("voltage_violation",)

    env = DistGridEnv(FEEDER, [Boiler(18)], Careless())
    env.reset(seed=0)
    *_, info = env.step([0.0])
    assert set(info["costs"]) == {"voltage_violation", "unserved", "power_flow_failure"}
    assert info["cost_resource"] > 0.0


def test_costs_keep_their_names() -> None:
    class Fickle(Boiler):
        varies: ClassVar[bool] = True

    env = DistGridEnv(FEEDER, [Fickle(18)])
    env.reset(seed=0)
    with pytest.raises(
        ValueError, match="Fickle: costs must have the same names in every step: cold, noise at first"
    ):
        env.step([1.0])


def test_a_task_is_told_with_all_its_numbers() -> None:
    """What `run.json` has of a task: its prices of failure among the fields."""
    task = VoltVar(failure_price=12.0)
    assert "failure_price=12.0" in repr(task)
    assert dataclasses.replace(task, loss_weight=3.0).failure_price == 12.0


def test_both_faces_play_an_own_task_alike() -> None:
    task = Own(of=lambda view: {"a": -view.p_loss_mw, "b": 0.25}, failure_price=50.0)
    options = {**rough(), "task": dataclasses.replace(task, episode=Duration(hours=9 / 4))}
    one, two = DistGridEnv(**options), DistGridVectorEnv(**options, num_envs=1)
    same(two.reset(seed=3)[0][0], one.reset(seed=3)[0])
    for _ in range(9):
        mine, theirs = one.step(one.neutral_action), two.step(two.neutral_action)
        assert mine[1] == theirs[1][0]
        if mine[2] or mine[3]:
            break
