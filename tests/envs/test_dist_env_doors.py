"""DistGridEnv: what people hand in: actions, resources, tasks, days, and what they get told."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from distgrid import physics
from distgrid.cases import CaseError
from distgrid.cases.profiles import Duration
from distgrid.envs import (
    PV,
    Battery,
    DistGridEnv,
    Entry,
    Exogenous,
    LossMinimisation,
    Resource,
    SeriesLoad,
    Task,
    VoltVar,
)
from distgrid.envs.tasks import StepView, WorstCase

from .world import FEEDER, NODES, flat_load, make


@pytest.fixture(scope="module")
def shared() -> DistGridEnv:
    return make(split="test")


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([np.nan, 0.0, 0.0], r"action\[0\] \(battery_18\.p\) is nan"),
        ([0.0, 1.5, 0.0], r"action\[1\] \(pv_25\.p\) is 1\.5"),
        ([0.0, 0.0, -np.inf], r"action\[2\] \(pv_25\.q\) is -inf"),
        ([0.0, 0.0], r"shape \(2,\), expected \(3,\)"),
        ("full", "numbers"),
        ([[0.0, 0.0, 0.0]] * 2, "shape"),
    ],
)
def test_bad_actions_name_the_dimension(shared: DistGridEnv, action: Any, message: str) -> None:
    shared.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        shared.step(action)
    shared.step([0.0, 1.0, 0.0])  # nothing is lost: the episode goes on


def test_register_resource_grows_the_spaces_and_acts() -> None:
    """Capabilities 93 and 110: the public door; bus and phase override the spec's."""
    env = DistGridEnv(FEEDER)
    assert env.action_space.shape == (0,)
    env.register_resource(Battery(18, 0.2, 0.8), bus=33, phase="ABC")
    env.register_resource(PV(25, 0.4), phase="ABC")
    assert [d.name for d in env.action_layout] == ["battery_33.p", "pv_25.q"]
    with pytest.raises(RuntimeError, match="reset"):
        env.step([0.0, 0.0])
    env.reset(seed=0)
    *_, info = env.step([1.0, 0.0])
    assert info["delivered"]["p_mw"][0] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="bus"):
        env.register_resource(Battery(999, 0.2, 0.8))
    assert len(env.units) == 2, "a refused resource leaves the environment as it was"
    env.reset(seed=0)
    env.step([1.0, 0.0])


class Heater(Resource):
    """A user's resource in plain NumPy: draws up to 0.1 MW per unit, charges for discomfort."""

    kind = "heater"
    max_cost_per_step = 1.0

    def __init__(self, buses: list[int]) -> None:
        super().__init__(buses, s_mva=0.1, actions=("p",), observations=(Entry("heat", "1", 0.0, 1.0),))

    def advance(self, action: np.ndarray, exo: Exogenous) -> None:
        self.current_p_mw[:] = -0.05 * (action + 1.0)

    def observe(self, t_index: np.ndarray, out: np.ndarray) -> None:
        out[:] = self.current_p_mw / -0.1

    def costs(self) -> dict[str, np.ndarray]:
        return {"discomfort": 1.0 + 10.0 * self.current_p_mw.mean(axis=1)}


def test_a_users_own_resource_takes_part() -> None:
    env = make(resources=[Heater([5, 18]), Battery(18, 0.2, 0.8)])
    env.reset(seed=0)
    observation, _, _, _, info = env.step([1.0, 0.0, 0.0])
    np.testing.assert_allclose(info["delivered"]["p_mw"], [-0.1, -0.05, 0.0])
    assert info["cost_resource"] == pytest.approx(0.25) == info["costs"]["heater.discomfort"]
    assert "resource" not in info["costs"], "by name, and not a second time as a sum"
    np.testing.assert_allclose(observation[env.layout["heater.heat"]], [1.0, 0.5])


def test_meshes_are_pruned_with_a_warning_or_refused() -> None:
    """Capability 97."""
    meshed = FEEDER.with_switch("s9-15", closed=True)
    with pytest.warns(physics.MeshWarning, match="without"):
        env = DistGridEnv(meshed)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="meshed"):
        DistGridEnv(meshed, allow_mesh_pruning=False)


def test_an_island_goes_dark_without_breaking_the_observation() -> None:
    """Trap 8 and Capability 9: an isolated part has no voltage; its load is not served."""
    with pytest.warns(physics.IslandWarning, match="no source"):
        env = DistGridEnv(FEEDER.with_switch("6-26", closed=False), [Battery(18, 0.2, 0.8)])
    observation, info = env.reset(seed=0)
    assert np.isnan(info["voltages"][NODES.index("26")])
    assert np.isfinite(observation).all()
    _, reward, terminated, _, info = env.step([0.5])
    assert np.isfinite(reward)
    assert not terminated


def test_bad_input_is_told_clearly() -> None:
    with pytest.raises(ValueError, match="case33bw"):
        DistGridEnv("case33b")
    with pytest.raises(ValueError, match="test"):
        DistGridEnv(FEEDER, split="tests")
    with pytest.raises(ValueError, match="rgb_array"):
        DistGridEnv(FEEDER, render_mode="ansi")
    with pytest.raises(ValueError, match="load_scale"):
        DistGridEnv(FEEDER, load_scale=-1.0)
    with pytest.raises(ValueError, match="above 0 and at most 8784, got 8785"):
        VoltVar(episode=Duration(hours=8785))
    with pytest.raises(ValueError, match="v_band"):
        VoltVar(v_band=(1.05, 0.95))
    with pytest.raises(ValueError, match="weight"):
        LossMinimisation(loss_penalty_weight=-1.0)
    env = DistGridEnv(FEEDER)
    for day in (366, -1, 2.5, "monday"):
        with pytest.raises((ValueError, TypeError), match="365"):
            env.reset(options={"day": day})
    with pytest.raises(ValueError, match="option"):
        env.reset(options={"dya": 3})


def test_nan_in_a_series_is_named() -> None:
    p = np.tile(FEEDER.column("nodes", "load_p_mw"), (96, 1))
    p[17, 4] = np.nan
    with pytest.raises(CaseError, match=r"(?s)active_mw.*17.*node 5.*nan"):
        SeriesLoad(FEEDER, p)
    with pytest.raises(ValueError, match="33 nodes"):
        SeriesLoad(FEEDER, np.zeros((96, 5)))


@dataclass(frozen=True)
class Misspelt(Task):
    """A task that observes what is not there."""

    @property
    def blocks(self) -> tuple[str, ...]:
        return ("voltage",)

    def terms(self, view: StepView) -> dict[str, np.ndarray]:
        return {}

    def worst_step(self, worst: WorstCase) -> float:
        return 0.0


def test_an_unknown_observation_block_is_named() -> None:
    with pytest.raises(ValueError, match=r"'voltage'.*v_pu"):
        DistGridEnv(FEEDER, task=Misspelt())


def test_short_episodes_and_custom_days() -> None:
    env = make(task=LossMinimisation(episode=Duration(hours=3 / 4)), load=flat_load(days=2))
    assert env.days.tolist() == [0, 1]
    env.reset(seed=0)
    flags = [env.step(env.neutral_action)[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]


def test_two_environments_do_not_disturb_each_other() -> None:
    """Trap 25a: engines that are process-wide singletons."""
    one, two, alone = make(), make(), make()
    for env in (one, two, alone):
        env.reset(seed=5)
    for k in range(8):
        action = np.array([0.1 * k, 0.5, -0.1 * k])
        a = one.step(action)[0]
        two.step(-action)
        b = alone.step(action)[0]
        np.testing.assert_array_equal(a, b)


def test_rendering_draws_the_feeder_and_the_day() -> None:
    env = make(render_mode="rgb_array", task=VoltVar())
    env.reset(seed=0)
    first = env.render()
    for _ in range(30):
        env.step([1.0, 1.0, 0.0])
    later = env.render()
    for frame in (first, later):
        assert frame is not None
        assert frame.dtype == np.uint8
        assert frame.ndim == 3
        assert frame.std() > 5, "not an empty page"
    assert first is not None
    assert later is not None
    assert np.abs(first.astype(int) - later.astype(int)).max() > 50
    env.close()
    with pytest.raises(ValueError, match="render_mode"):
        make().render()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_a_copy_of_an_environment_that_was_drawn_goes_its_own_way(copied: Any) -> None:
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    env.step(env.neutral_action)
    before = env.render()
    twin = copied(env)
    np.testing.assert_array_equal(twin.render(), before)
    twin.step([1.0, 1.0, 0.0])
    assert (twin.render() != before).any()
    np.testing.assert_array_equal(env.render(), before)
