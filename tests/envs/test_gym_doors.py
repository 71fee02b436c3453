"""Gymnasium's own doors: specs, limits of time, wrappers, recorders, `call` and `get_attr`."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, RenderCollection, TimeAwareObservation, TimeLimit

from distgrid import cases
from distgrid.cases.profiles import Duration
from distgrid.envs import (
    EV,
    PV,
    Battery,
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGridEnv,
    LossMinimisation,
    TapChanger,
    VoltVar,
    VoltVar3,
)
from distgrid.envs import registration as registered
from distgrid.envs.resources.base import Exogenous, Resource
from distgrid.envs.suites import ENTRIES, RegisteredEnv

from .test_vector import rough, same
from .world import FEEDER, WORLDS, make

ID = "distgrid/VoltVar-33bw-v0"
ID3 = "distgrid/VoltVar3-ieee13-v0"
FLEET: list[Any] = [
    Battery(18, 0.2, 0.8, soc_init=(0.2, 0.8)),
    PV(25, 0.5, site=3),
    EV(8, 0.02, sessions=[(8.0, 17.0, 0.05)]),
]


def bare(env: Any) -> DistGridEnv:
    grid = env.unwrapped
    assert isinstance(grid, DistGridEnv)
    return grid


# -- time limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_the_spec_tells_how_long_an_episode_is(entry: RegisteredEnv) -> None:
    assert gym.spec(entry.id).max_episode_steps == entry.task.episode.steps(entry.dt_h) == entry.episode_steps


def test_the_spec_of_an_environment_tells_it_too() -> None:
    assert gym.make(ID).spec.max_episode_steps == 96  # type: ignore[union-attr]
    assert gym.make(ID, max_episode_steps=7).spec.max_episode_steps == 7  # type: ignore[union-attr]
    assert gym.make_vec(ID, num_envs=2).spec.max_episode_steps == 96  # type: ignore[union-attr]


def test_a_longer_task_lifts_the_limit_of_its_id() -> None:
    """`max_episode_steps=-1`: then the task alone ends an episode, on both faces."""
    two_days = VoltVar(episode=Duration(hours=48))
    env = gym.make(ID, task=two_days, max_episode_steps=-1)
    assert env.spec.max_episode_steps is None  # type: ignore[union-attr]
    env.reset(seed=0)
    neutral = env.action_space.sample() * 0
    assert [env.step(neutral)[3] for _ in range(192)] == [False] * 191 + [True]
    envs = gym.make_vec(ID, num_envs=2, task=two_days, max_episode_steps=-1)
    envs.reset(seed=0)
    ends = [envs.step(np.stack([neutral, neutral]))[3].any() for _ in range(192)]
    assert ends == [False] * 191 + [True]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_limit_of_time_cuts_both_faces_alike(mode: str) -> None:
    """`max_episode_steps` of `make_vec` is that of `make`, bit for bit, failed power flows and all."""
    options = rough(VoltVar(episode=Duration(hours=9 / 4)))

    def one() -> gym.Env[Any, Any]:
        return TimeLimit(DistGridEnv(**options), 6)

    apart = SyncVectorEnv([one] * 4, autoreset_mode=gym.vector.AutoresetMode(mode))
    together: Any = gym.make_vec(
        "distgrid/DistGrid-33bw-v0",
        num_envs=4,
        max_episode_steps=6,
        autoreset_mode=mode,
        **options,
    )
    rng = np.random.default_rng(1)
    same(together.reset(seed=5), apart.reset(seed=5))
    cut = failed = 0
    for _ in range(30):
        action = rng.uniform(-1.0, 1.0, together.action_space.shape).astype(np.float32)
        ours, theirs = together.step(action), apart.step(action)
        same(ours, theirs)
        failed, cut = failed + int(ours[2].sum()), cut + int(ours[3].sum())
    assert failed > 3
    assert cut > 3


def test_limits_that_are_none_are_named() -> None:
    for steps in (0, -2, 1.5, True):
        with pytest.raises(ValueError, match="max_episode_steps must be"):
            gym.make_vec(ID, num_envs=2, max_episode_steps=steps)
    assert gym.make_vec(ID, num_envs=2, max_episode_steps=-1).num_envs == 2


def test_time_can_be_observed() -> None:
    env = TimeAwareObservation(gym.make(ID, max_episode_steps=5), normalize_time=True)
    observation, _ = env.reset(seed=0)
    seen = [observation[-1]]
    for _ in range(5):
        observation, _, _, truncated, _ = env.step(env.action_space.sample())
        seen.append(observation[-1])
    np.testing.assert_allclose(seen, np.arange(6) / 5)
    assert truncated


# -- specs -----------------------------------------------------------------------------------------------

MADE: dict[str, dict[str, Any]] = {
    "plain": {"id": ID, "split": "test"},
    "task": {"id": ID, "task": VoltVar(loss_weight=2.0, v_band=(0.97, 1.03))},
    "resources": {"id": ID, "resources": FLEET, "task": LossMinimisation(voltage_penalty_weight=1.0)},
    "days": {"id": ID, "days": [3, 4], "v_source_pu": 1.01},
    "per-phase": {
        "id": ID3,
        "resources": [TapChanger("reg1", max_steps=2), CapacitorBank("cap1"), PV("675", 0.2, phase="A")],
        "task": VoltVar3(unbalance_weight=1.0),
    },
}


def day_of(env: Any) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    told: list[Any] = [env.reset(seed=3)]
    told += [env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)) for _ in range(5)]
    return tuple(told)


@pytest.mark.parametrize("options", MADE.values(), ids=MADE)
def test_a_spec_makes_the_same_environment_again(options: dict[str, Any]) -> None:
    """`make(env.spec)`, and through JSON, with tasks and resources."""
    env = gym.make(**options)
    assert env.spec is not None
    wanted = day_of(env)
    np.testing.assert_equal(day_of(gym.make(env.spec)), wanted)
    loaded = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    again = gym.make(loaded)
    np.testing.assert_equal(day_of(again), wanted)
    assert bare(again).task == bare(env).task
    assert bare(again).resources == bare(env).resources


def test_a_spec_of_a_vector_makes_it_again() -> None:
    envs: Any = gym.make_vec(ID, num_envs=3, task=VoltVar(loss_weight=2.0))
    again: Any = gym.make_vec(envs.spec)
    assert again.num_envs == 3
    same(again.reset(seed=1), envs.reset(seed=1))
    same(again.step(envs.neutral_action), envs.step(envs.neutral_action))


class Heater(Resource):
    """A device of the user's own: not a value that JSON can hold."""

    def advance(self, action: np.ndarray, exo: Exogenous) -> None:
        self.current_p_mw[:] = -0.01


@pytest.mark.parametrize(
    "options",
    [{"resources": [Heater([5], s_mva=0.1)]}, {"case": cases.load("case69")}, {"days": np.array([1])}],
)
def test_what_json_cannot_hold_is_refused_when_it_is_saved(options: dict[str, Any]) -> None:
    if "case" in options:
        options = {**options, "resources": []}
    env = gym.make(ID, **options)
    assert env.spec is not None
    with pytest.raises(TypeError, match=r"not JSON serializable|cannot pickle"):
        env.spec.to_json()
    day_of(gym.make(env.spec))  # as it is, it does


def test_a_mapping_of_no_known_class_is_refused() -> None:
    with pytest.raises(TypeError, match=r"class_name '': expected a task itself.*distgrid.envs:VoltVar"):
        DistGridEnv(FEEDER, task={"loss_weight": 2.0})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"class_name 'os:system'.*distgrid.envs:Battery"):
        DistGridEnv(FEEDER, [{"class_name": "os:system", "bus": 18}])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="bsu"):
        DistGridEnv(FEEDER, [{"class_name": "distgrid.envs:Battery", "bsu": 18}])  # type: ignore[list-item]


def test_a_version_plays_its_own_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id `-v8` beside `-v0`: each is found by its whole id, not by its name."""
    old = next(entry for entry in ENTRIES if entry.id == ID)
    new = dataclasses.replace(old, version=8, options={**old.options, "load_scale": 0.7})
    monkeypatch.setattr(registered, "ENTRIES", (*ENTRIES, new))
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    registered.register_all()
    with pytest.warns(DeprecationWarning, match="out of date"):
        both = {0: gym.make("distgrid/VoltVar-33bw-v0")}
    both[1] = gym.make("distgrid/VoltVar-33bw-v8")
    assert [bare(env).load_scale for env in both.values()] == [1.4, 0.7]
    p = [env.reset(options={"day": 5})[0][bare(env).layout["load_p_mw"]].sum() for env in both.values()]
    assert p[1] == pytest.approx(p[0] / 2, rel=1e-5)
    many = gym.make_vec("distgrid/VoltVar-33bw-v8", num_envs=2)
    assert many.unwrapped.get_attr("load_scale") == (0.7, 0.7)  # type: ignore[attr-defined]
    with pytest.raises(
        ValueError, match=r"'distgrid/VoltVar-33bw-v9'; did you mean .*distgrid/VoltVar-33bw-v[018]"
    ):
        registered.create("distgrid/VoltVar-33bw-v9")


def test_every_id_is_registered_once() -> None:
    assert len({entry.id for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert gym.spec(entry.id).kwargs["entry"] == entry.id


# -- pictures --------------------------------------------------------------------------------------------


def test_pictures_can_be_collected() -> None:
    env = gym.make(ID, render_mode="rgb_array_list")
    assert isinstance(env, RenderCollection)
    env.reset(seed=0)
    for _ in range(2):
        env.step(env.action_space.sample())
    frames: Any = env.render()
    assert len(frames) == 3
    assert frames[0].shape == frames[-1].shape
    assert (frames[0] != frames[-1]).any()


def test_the_entry_point_tells_the_modes_of_the_class() -> None:
    assert registered.create.metadata == DistGridEnv.metadata == DistGrid3PhaseEnv.metadata


# -- recorders -------------------------------------------------------------------------------------------


def shape_of(info: Any) -> Any:
    """Keys, kinds and shapes, at every depth: what a recorder of episodes stacks over the steps."""
    if isinstance(info, dict):
        return {key: shape_of(value) for key, value in info.items()}
    array = np.asarray(info)
    return type(info), array.dtype, array.shape


@pytest.mark.quick(8)
@pytest.mark.parametrize("identity", [entry.id for entry in ENTRIES])
def test_infos_have_one_structure(identity: str) -> None:
    """Minari's recorder with infos: it stacks those of reset and of all steps."""
    env = gym.make(identity)
    infos = [env.reset(seed=0)[1]]
    infos += [env.step(env.action_space.sample())[4] for _ in range(2)]
    infos.append(env.reset()[1])
    assert all(shape_of(info) == shape_of(infos[0]) for info in infos)
    assert list(infos[1]) == list(infos[0])


@pytest.mark.parametrize("world", WORLDS)
def test_nothing_is_earned_when_an_episode_opens(world: str) -> None:
    env = WORLDS[world]()
    _, info = env.reset(seed=0)
    assert not any(info["rewards"].values())
    assert not any(info["costs"].values())
    assert info["cost"] == info["cost_resource"] == info["n_resource_violations"] == 0
    assert not info["delivered"]["p_mw"].any()


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """What Minari's DataCollector does: copies of everything, stacked at the end of an episode."""

    def __init__(self, env: gym.Env[Any, Any], record_infos: bool) -> None:
        super().__init__(env)
        self.record_infos, self.episodes = record_infos, list[dict[str, Any]]()

    def reset(self, **kwargs: Any) -> Any:
        observation, info = self.env.reset(**kwargs)
        self._kept: dict[str, list[Any]] = {
            "observations": [copy.deepcopy(observation)],
            "rewards": [],
            "infos": [],
        }
        self._like = shape_of(info)
        if self.record_infos:
            self._kept["infos"].append(copy.deepcopy(info))
        return observation, info

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._kept["observations"].append(copy.deepcopy(observation))
        self._kept["rewards"].append(reward)
        if self.record_infos:
            assert shape_of(info) == self._like, "inconsistent with the info of reset"
            self._kept["infos"].append(copy.deepcopy(info))
        if terminated or truncated:
            self.episodes.append({**self._kept, "infos": _stacked(self._kept["infos"])})
        return observation, reward, terminated, truncated, info


def _stacked(infos: list[Any]) -> Any:
    if infos and isinstance(infos[0], dict):
        return {key: _stacked([info[key] for info in infos]) for key in infos[0]}
    return np.ma.stack(infos) if infos and isinstance(infos[0], np.ma.MaskedArray) else np.array(infos)


@pytest.mark.parametrize("record_infos", [False, True])
@pytest.mark.parametrize("identity", [ID, ID3])
def test_episodes_are_recorded_with_and_without_infos(identity: str, record_infos: bool) -> None:
    env = Recorder(gym.make(identity, max_episode_steps=6), record_infos)
    for seed in range(2):
        env.reset(seed=seed)
        for _ in range(6):
            env.step(env.action_space.sample())
    assert len(env.episodes) == 2
    for episode in env.episodes:
        assert np.stack(episode["observations"]).shape[0] == 7
        if record_infos:
            told = episode["infos"]
            np.testing.assert_allclose(sum(told["rewards"].values())[1:], episode["rewards"], rtol=1e-12)
            assert told["voltages"].shape[0] == 7
            assert told["step"].tolist() == list(range(7))


def test_a_failed_step_has_the_structure_of_the_others() -> None:
    env = DistGridEnv(**rough())
    shapes: dict[Any, Any] = {}
    for day in (0, 1):
        _, info = env.reset(options={"day": day})
        shapes[day, "reset"] = shape_of(info)
        for _ in range(9):
            *_, terminated, truncated, info = env.step(env.neutral_action)
            shapes[day, terminated] = shape_of(info)
            if terminated or truncated:
                break
    assert terminated
    assert len(shapes) == 5, "two resets, steps of both days, and one that failed"
    assert all(shape == shapes[0, "reset"] for shape in shapes.values())


# -- wrappers and copies ---------------------------------------------------------------------------------


def test_wrapped_environments_are_copied_and_pickled() -> None:
    env = RecordEpisodeStatistics(gym.make(ID, max_episode_steps=4))
    env.reset(seed=0)
    env.step(env.action_space.sample())
    action = env.action_space.sample()
    wanted = env.step(action)[0]
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):  # noqa: S301
        np.testing.assert_array_equal(bare(twin).obs(), wanted)
        assert bare(twin).split == "train"
        with pytest.raises(AttributeError, match="make another with split="):
            bare(twin).split = "test"


def test_json_of_a_task_is_plain() -> None:
    """What ends up in a file can be read by people: names and numbers."""
    env = gym.make(ID, task=VoltVar(loss_weight=2.0))
    assert env.spec is not None
    saved = json.loads(env.spec.to_json())["kwargs"]["task"]
    assert saved["class_name"] == "distgrid.envs:VoltVar"
    assert saved["loss_weight"] == 2.0
    assert bare(make(task=saved)).task == VoltVar(loss_weight=2.0)
