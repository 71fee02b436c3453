"""One object holds what all faces share: its fields, defaults, checks, documentation and content."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import gymnasium as gym
import numpy as np
import pytest

from distgrid.envs import (
    PV,
    Battery,
    Continuous,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    EnvOptions,
    LossMinimisation,
    SeriesLoad,
    VoltVar,
    sb3_vec_env,
)
from distgrid.envs.core.options import EnvKeywords, OptionKeywords, option_rows, priced_options

from .world import FEEDER, flat_load

ID = "distgrid/VoltVar-33bw-v0"
FACES: dict[str, tuple[Any, str]] = {
    "single": (DistGridEnv, "case33bw"),
    "vector": (DistGridVectorEnv, "case33bw"),
    "single, per phase": (DistGrid3PhaseEnv, "ieee13"),
    "vector, per phase": (DistGrid3PhaseVectorEnv, "ieee13"),
}
NAMES = [item.name for item in dataclasses.fields(EnvOptions)]
#: All doors by which an environment of an id is made.
DOORS: dict[str, Callable[..., Any]] = {
    "make": lambda **keywords: gym.make(ID, **keywords).unwrapped,
    "make_vec": lambda **keywords: gym.make_vec(ID, num_envs=2, **keywords),
    "sb3_vec_env": lambda **keywords: sb3_vec_env(ID, 2, **keywords).env,
}


@pytest.mark.parametrize("face", FACES)
def test_every_face_takes_every_option_with_the_same_default(face: str) -> None:
    """Signature and docstring of a face show all fields of `EnvOptions`; only the default feeder differs."""
    make, case = FACES[face]
    shown = inspect.signature(make).parameters
    for item in dataclasses.fields(EnvOptions):
        assert shown[item.name].default == (case if item.name == "case" else item.default)
        assert f"- ``{item.name}``: " in (make.__doc__ or "")
    assert make().options == EnvOptions(case)


def test_type_checkers_know_the_same_keywords() -> None:
    """The typed keywords are the fields of `EnvOptions`, with the same types."""
    wanted = get_type_hints(EnvOptions)
    assert {name: wanted[name] for name in NAMES} == get_type_hints(EnvKeywords)
    assert set(get_type_hints(OptionKeywords)) == set(NAMES) - {"case", "resources", "task", "split"}


def test_splits_choose_the_set_of_days() -> None:
    """`splits="weeks-apart"` draws from its days, and `profiles` say so; bad values are refused."""
    env = DistGridEnv(split="cloudy", splits="weeks-apart")
    assert env.days.tolist() == env.profiles.split_days("cloudy").tolist()
    assert env.profiles.splits == "weeks-apart"
    assert DistGridEnv().profiles.splits == "weeks"
    mine = flat_load(days=2)
    named = SeriesLoad(FEEDER, mine.active_mw, splits={"train": [0], "test": [1]})
    for message, keywords in (
        ("unknown set of splits 'week'; did you mean 'weeks'", {"splits": "week"}),
        ("'cloudy' is not one of splits='weeks'", {"split": "cloudy"}),
        ("this load names its own", {"case": FEEDER, "load": named, "splits": "weeks-apart"}),
    ):
        with pytest.raises(ValueError, match=message):
            DistGridEnv(**keywords)


def test_every_option_says_what_it_is() -> None:
    """The documentation's table has a line for each field: name, default, meaning."""
    rows = option_rows()
    assert [row.name for row in rows] == NAMES
    assert all(len(row.meaning) > 15 and row.default for row in rows)
    assert next(row for row in rows if row.name == "load_scale").default == "1.0"


@pytest.mark.parametrize("face", FACES)
def test_an_object_or_keywords(face: str) -> None:
    """`options=` makes the environment that the same keywords make; both together are an error."""
    make, case = FACES[face]
    given = EnvOptions(case, [], VoltVar(), days=[3, 5], load_scale=1.2, v_source_pu=1.01)
    one = make(options=given)
    other = make(case, [], VoltVar(), days=[3, 5], load_scale=1.2, v_source_pu=1.01)
    assert one.options is given
    assert one.options == other.options
    assert one.v_source_pu == 1.01
    np.testing.assert_array_equal(one.reset(seed=1)[0], other.reset(seed=1)[0])
    with pytest.raises(TypeError, match=r"options= holds case already.*not both"):
        make("case33bw", options=given)
    with pytest.raises(TypeError, match="options= holds load_scale already"):
        make(options=given, load_scale=1.2)
    with pytest.raises(TypeError, match="options must be EnvOptions, got dict"):
        make(options={"case": case})


@pytest.mark.parametrize("face", FACES)
def test_an_unknown_keyword_is_told_with_the_nearest(face: str) -> None:
    make, _ = FACES[face]
    with pytest.raises(TypeError, match=r"no argument 'load_scal'; did you mean 'load_scale'\?"):
        make(load_scal=1.2)
    with pytest.raises(TypeError, match="no argument 'xyz'; expected one of case, resources"):
        make(xyz=1)


@pytest.mark.parametrize("door", DOORS)
def test_an_id_takes_the_same_keywords(door: str) -> None:
    """Registered ids, single, vector and for stable-baselines3: same options, same errors."""
    env = DOORS[door](split="test", v_source_pu=1.03)
    assert (env.options.split, env.options.v_source_pu, env.options.load_scale) == ("test", 1.03, 1.4)
    assert env.options.resources == env.resources
    with pytest.raises(TypeError, match=r"did you mean 'v_source_pu'\?"):
        DOORS[door](v_source=1.03)
    with pytest.raises(TypeError, match="options= holds case already"):
        DOORS[door](options=EnvOptions())


def test_options_never_change() -> None:
    """Neither the object nor what its maker goes on changing."""
    fleet: list[Any] = [Battery(18, 0.2, 0.8)]
    options = EnvOptions(FEEDER, fleet, days=[1, 2])
    fleet.append(PV(25, 0.5))
    assert len(options.resources) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.load_scale = 2.0  # type: ignore[misc]
    env = DistGridEnv(options=options)
    with pytest.raises(AttributeError, match="make another with other keywords"):
        env.options = EnvOptions()


def test_one_more_resource_is_another_option() -> None:
    """`register_resource` leaves the object it was given alone; the environment's options tell the fleet."""
    options = EnvOptions(FEEDER, [Battery(18, 0.2, 0.8)])
    env = DistGridEnv(options=options)
    env.register_resource(PV(25, 0.5))
    assert [type(one) for one in env.options.resources] == [Battery, PV]
    assert env.options.resources == env.resources
    assert len(options.resources) == 1
    with pytest.raises(ValueError, match="77"):
        env.register_resource(PV(77, 0.5))
    assert len(env.options.resources) == len(env.units) == 2


def test_content_names_what_decides_a_result() -> None:
    """What is hashed into run.json: task, each resource, loads of one's own; not what other hashes cover."""
    plain = dict(EnvOptions(days=[3], load_scale=1.1, v_source_pu=1.0).content())
    assert plain == {"task": LossMinimisation(), "action_space": Continuous()}
    load = flat_load()
    full = dict(EnvOptions(FEEDER, [Battery(18, 0.2, 0.8), PV(25, 0.5)], VoltVar(), load=load).content())
    assert list(full) == ["resource 1, Battery", "resource 2, PV", "task", "loads", "action_space"]
    assert full["loads"] is load


def test_options_that_move_a_price_of_failure_say_so() -> None:
    """Another feeder, fleet or load voids a stated price; other days or another split do not."""
    assert {"case", "resources", "load", "load_scale", "v_source_pu"} <= priced_options()
    assert not {"task", "split", "days"} & priced_options()
