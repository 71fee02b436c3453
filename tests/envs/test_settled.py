"""Arguments of the wrong kind are told in words; what an environment was made with stays."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from distgrid.envs import (
    PV,
    Battery,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    LossMinimisation,
    SeriesLoad,
    TapChanger,
    VoltVar,
    VoltVar3,
    sb3_vec_env,
)

from .world import FEEDER, FEEDER3, WORLDS, flat_load, make

FACES: dict[str, Any] = {
    "single": (DistGridEnv, FEEDER),
    "vector": (DistGridVectorEnv, FEEDER),
    "single, per phase": (DistGrid3PhaseEnv, FEEDER3),
    "vector, per phase": (DistGrid3PhaseVectorEnv, FEEDER3),
}
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"task": VoltVar}, TypeError, r"task is the class VoltVar.*write VoltVar\(\)"),
    ({"task": "VoltVar"}, TypeError, r"task must be a Task such as VoltVar\(\).*str 'VoltVar'"),
    ({"task": 3}, TypeError, "task must be a Task"),
    ({"resources": Battery(18, 0.2, 0.8)}, TypeError, r"write resources=\[Battery\(...\)\]"),
    ({"resources": "battery"}, TypeError, r"a list such as \[Battery"),
    ({"resources": {"battery": 1}}, TypeError, "a list such as"),
    ({"resources": 7}, TypeError, "a list such as"),
    ({"resources": None}, TypeError, "a list such as"),
    ({"resources": [Battery]}, TypeError, r"resource 0 is the class Battery.*write Battery\(bus"),
    ({"resources": ["battery"]}, TypeError, "resource 0 is str 'battery'"),
    ({"resources": [None]}, TypeError, "resource 0 is NoneType"),
    ({"load": np.ones((96, 33))}, TypeError, r"got ndarray: write load=SeriesLoad\(feeder"),
    ({"load": [[1.0]]}, TypeError, "must be a LoadSource, got list"),
    ({"load": SeriesLoad}, TypeError, "load is the class SeriesLoad"),
    ({"v_source_pu": 12.66}, ValueError, "v_source_pu must be above 0.5 and at most 1.5.*not kV"),
    ({"v_source_pu": 0.0}, ValueError, "v_source_pu must be above 0.5"),
    ({"v_source_pu": np.nan}, ValueError, "v_source_pu must be above 0.5"),
    ({"v_source_pu": "1.0"}, TypeError, "v_source_pu must be a number, got str"),
    ({"v_source_pu": True}, TypeError, "v_source_pu must be a number, got bool"),
    ({"load_scale": "2"}, TypeError, "load_scale must be a number"),
    ({"load_scale": True}, TypeError, "load_scale must be a number"),
    ({"load_scale": np.inf}, ValueError, "load_scale must be finite"),
    ({"load_scale": np.nan}, ValueError, "load_scale must be above 0"),
    ({"load_scale": 0}, ValueError, "load_scale must be above 0"),
    (
        {"case": None},
        TypeError,
        "case must be the name of a shipped feeder, a path or a Feeder, got NoneType",
    ),
    ({"case": np.ones(3)}, TypeError, "case must be the name of a shipped feeder"),
    ({"split": 3}, TypeError, "split must be the name of a split"),
    ({"split": ["test"]}, TypeError, "split must be the name of a split"),
    ({"allow_mesh_pruning": "no"}, TypeError, "allow_mesh_pruning must be True or False"),
    ({"allow_mesh_pruning": 1}, TypeError, "allow_mesh_pruning must be True or False"),
]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(("options", "error", "message"), WRONG, ids=str)
def test_arguments_of_the_wrong_kind_say_what_was_expected(
    face: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    make_one, case = FACES[face]
    with pytest.raises(error, match=message):
        make_one(**{"case": case, **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_envs": 0}, ValueError, "num_envs must be a whole number of at least 1"),
        ({"num_envs": 2.0}, ValueError, "num_envs must be a whole number"),
        ({"num_envs": True}, ValueError, "num_envs must be a whole number"),
        ({"threads": 1.5}, ValueError, "threads must be a whole number"),
        ({"threads": -1}, ValueError, "threads must be a whole number"),
        ({"copy": "yes"}, TypeError, "copy must be True or False"),
        ({"autoreset_mode": "later"}, ValueError, "later"),
    ],
)
def test_arguments_of_the_vector_face(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DistGridVectorEnv(FEEDER, **options)


@pytest.mark.parametrize("task", [VoltVar, VoltVar3, LossMinimisation])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -1.0, "1", None, True])
def test_weights_are_finite_numbers(task: Any, value: Any) -> None:
    names = [name for name in task.__dataclass_fields__ if name.endswith("_weight")]
    assert len(names) >= 3
    for name in names:
        with pytest.raises(ValueError, match=rf"{task.__name__}: {name} must be"):
            task(**{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episode": 9.5}, "episode must be a Duration"),
        ({"episode": "9"}, "episode must be a Duration"),
        ({"episode": True}, "episode must be a Duration"),
        ({"v_band": 0.95}, "v_band must be"),
        ({"v_band": (0.95,)}, "v_band must be"),
        ({"v_band": ("0.95", "1.05")}, "v_band must be"),
        ({"v_band": (np.nan, 1.05)}, "v_band must be"),
        ({"v_band": (0.95, np.inf)}, "v_band must be"),
        ({"vuf_max_pct": np.nan}, "vuf_max_pct must be"),
        ({"vuf_max_pct": "2"}, "vuf_max_pct must be"),
        ({"failure_price": 0.0}, "failure_price must be greater than 0"),
        ({"failure_price": -5.0}, "failure_price must be greater than 0"),
        ({"failure_price": np.inf}, "failure_price must be a finite number"),
        ({"failure_price": "bond"}, "failure_price must be a number above 0 or 'bound'"),
        ({"failure_cost": np.nan}, "failure_cost must be a finite number"),
    ],
)
def test_fields_of_a_task(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        VoltVar(**options)


def test_taps_move_whole_steps() -> None:
    with pytest.raises(ValueError, match="max_steps must be a whole number"):
        TapChanger("reg1", max_steps=1.5)  # type: ignore[arg-type]


def test_reset_takes_options_that_it_knows() -> None:
    env, many = make(), DistGridVectorEnv(FEEDER, num_envs=2)
    for options in (["day"], 3, "day"):
        for face in (env, many):
            with pytest.raises(TypeError, match="options must be a dict"):
                face.reset(options=options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown reset option 'dya'; options are 'day' and 'start'"):
        env.reset(options={"dya": 1})
    with pytest.raises(ValueError, match="options are 'day' and 'start' and 'reset_mask'"):
        many.reset(options={"dya": 1})


@pytest.mark.parametrize("keys", ["cost", 3, {"cost": 1}, [1]])
def test_info_keys_are_a_list_of_names(keys: Any) -> None:
    """`info_keys="cost"` would ask for c, o, s and t."""
    with pytest.raises(TypeError, match="info_keys must be a list of names"):
        sb3_vec_env("distgrid/VoltVar-33bw-v0", 2, info_keys=keys)


def test_a_single_environment_is_no_vector() -> None:
    with pytest.raises(TypeError, match="a distgrid vector environment, got DistGridEnv"):
        sb3_vec_env(make())  # type: ignore[arg-type]


# -- what cannot be changed ------------------------------------------------------------------------------

SETTLED = {
    "split": "test", "task": LossMinimisation(), "load": flat_load(), "days": np.array([3]), "feeder": FEEDER,
    "net": None, "profiles": None, "load_scale": 2.0, "v_source_pu": 1.05, "allow_mesh_pruning": False,
    "resources": [], "render_mode": "human",
}  # fmt: skip


@pytest.mark.parametrize("name", [*SETTLED, "day"])
@pytest.mark.parametrize("world", WORLDS)
def test_attributes_do_not_lie(world: str, name: str) -> None:
    """Setting one would change neither what is played nor what is recorded: the message says what does."""
    env = WORLDS[world]()
    before = getattr(env, name) if name != "day" else env.day
    with pytest.raises(AttributeError, match=r"make another|reset\(options|register_resource|shipped year"):
        setattr(env, name, {**SETTLED, "day": 5}[name])
    after = getattr(env, name)
    assert after is before or after == before
    if name != "day":
        with pytest.raises(AttributeError):
            delattr(env, name)


@pytest.mark.parametrize("name", [*SETTLED, "num_envs", "copy", "autoreset_mode"])
def test_attributes_of_a_vector_do_not_lie(name: str) -> None:
    envs = DistGridVectorEnv(FEEDER, num_envs=2)
    before = getattr(envs, name)
    with pytest.raises(AttributeError, match=r"make another|shipped year|no pictures"):
        setattr(envs, name, SETTLED.get(name, 3))
    assert getattr(envs, name) is before


def test_days_cannot_be_written_into() -> None:
    for days in (make().days, make(load=flat_load(days=3)).days, make(days=[4, 5]).days):
        with pytest.raises(ValueError, match="read-only"):
            days[0] = 9


@pytest.mark.parametrize("world", WORLDS)
def test_writing_into_the_bounds_changes_no_observation(world: str) -> None:
    env, other = WORLDS[world](), WORLDS[world]()
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    space.low[:] = 5.0
    space.high[:] = 6.0
    np.testing.assert_array_equal(env.reset(seed=0)[0], other.reset(seed=0)[0])


def test_writing_into_the_bounds_of_a_vector_changes_no_observation() -> None:
    envs: Any = gym.make_vec("distgrid/VoltVar-33bw-v0", num_envs=2)
    wanted = envs.reset(seed=0)[0]
    envs.single_observation_space.low[:] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        envs.observation_space.low[:] = 5.0
    np.testing.assert_array_equal(envs.reset(seed=0)[0], wanted)


def test_a_split_given_is_the_split_told() -> None:
    assert make(split="val").split == "val"
    assert make().split == "train"
    assert [env.split for env in (make(days=[3]), make(load=flat_load()))] == ["days", "all"]


def test_resources_that_are_told_are_those_that_play() -> None:
    """A list that its owner goes on changing is not the environment's."""
    mine: list[Any] = [Battery(18, 0.2, 0.8)]
    env, many = DistGridEnv(FEEDER, mine), DistGridVectorEnv(FEEDER, mine, num_envs=2)
    mine.append(PV(25, 0.5))
    for face in (env, many):
        assert len(face.resources) == len(face.units) == 1
