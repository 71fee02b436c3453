"""Actions as floats, levels, joint actions or a mixture: one codec on every face, floats below it."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from distgrid.cases.profiles import Duration
from distgrid.envs import (
    PV,
    Battery,
    CapacitorBank,
    Continuous,
    Discrete,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Hybrid,
    LossMinimisation,
    MultiDiscrete,
    TapChanger,
    VoltVar,
)

from .test_vector import same
from .world import FEEDER, FEEDER3, make

TABLE = ((0.0, 1.0, 0.0), (1.0, 1.0, -1.0), (-1.0, 0.5, 0.25), (0.0, 1.0, 1.0))
SPACES: dict[str, Any] = {
    "floats": Continuous(),
    "levels": MultiDiscrete(5),
    "combinations": Discrete(3),
    "table": Discrete(table=TABLE),
    "mixture": Hybrid({"battery_18.p": 4}),
}
DISCRETE = [name for name in SPACES if name != "floats"]
TAPS: list[Any] = [TapChanger("reg1", max_steps=2), CapacitorBank("cap1"), PV("675", 0.2, phase="A")]


def make3(action_space: Any = "multi-discrete", **options: Any) -> DistGrid3PhaseEnv:
    return DistGrid3PhaseEnv(FEEDER3, TAPS, action_space=action_space, **options)


def floats_of(env: DistGridEnv, code: Any) -> Any:
    return env.codec.decode(code, 1)[0].tolist()


# -- spaces and what codes mean --------------------------------------------------------------------------


def test_levels_are_even_and_hold_the_neutral_action() -> None:
    """Ends, evenly between, and exactly what leaves a device alone: also where that is no even step."""
    env = make(action_space=MultiDiscrete({"battery_18.p": 4, "pv_25.p": 2, "pv_25.q": 3}))
    assert env.action_space == spaces.MultiDiscrete([4, 2, 3])
    levels = [floats_of(env, np.array([k, 0, 0]))[0] for k in range(4)]
    np.testing.assert_allclose(levels, [-1.0, 0.0, 1.0 / 3.0, 1.0])
    assert floats_of(env, np.array([3, 1, 2])) == [1.0, 1.0, 1.0]
    assert env.neutral_action.tolist() == [1, 1, 1]
    assert floats_of(env, env.neutral_action) == env.fleet.neutral_action.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(
        ValueError, match=r"levels of battery_18.p must be at least 3: its neutral action 0 is"
    ):
        make(action_space=MultiDiscrete(2))


def test_taps_and_banks_have_a_level_for_each_position() -> None:
    """Their codes are positions: what is asked for is where they stand, from end to end."""
    fleet = [TapChanger("reg1"), CapacitorBank("cap1")]
    env = DistGrid3PhaseEnv(FEEDER3, fleet, action_space="multi-discrete")
    assert env.action_space == spaces.MultiDiscrete([33, 2])
    assert [dim.positions for dim in env.action_layout] == [33, 2]
    env.reset(seed=0)
    for code, position in ((0, -16), (32, 16), (16, 0), (21, 5)):
        delivered = env.step(np.array([code, code % 2]))[4]["delivered"]
        assert delivered["tap_pos"].tolist() == [position]
        assert delivered["cap_on"].tolist() == [code % 2]


def test_joint_actions_are_all_combinations_or_a_table() -> None:
    """The last dimension runs fastest; a table is taken as it is; either is one number."""
    env = make(action_space="discrete")
    assert env.action_space == spaces.Discrete(27)
    assert [floats_of(env, k) for k in (0, 1, 3, 26)] == [
        [-1.0, -1.0, -1.0], [-1.0, -1.0, 0.0], [-1.0, 0.0, -1.0], [1.0, 1.0, 1.0]
    ]  # fmt: skip
    own = make(action_space=Discrete(table=np.array(TABLE)))
    assert own.action_space == spaces.Discrete(4)
    assert [floats_of(own, k) for k in range(4)] == [list(row) for row in TABLE]
    assert own.neutral_action == 0


def test_too_many_combinations_are_refused() -> None:
    """A number with what can be done about it; a table of one's own may be as long as one likes."""
    with pytest.raises(ValueError, match=r"17 x 17 x 17 levels make 4913 joint actions, more than 4096"):
        make(action_space=Discrete(17))
    assert make(action_space=Discrete(16)).action_space.n == 4096  # type: ignore[attr-defined]
    long = np.zeros((5000, 3))
    assert make(action_space=Discrete(table=long)).action_space.n == 5000  # type: ignore[attr-defined]


def test_a_mixture_has_floats_and_levels() -> None:
    """Positions are levels by themselves, others where they are named."""
    env = make3("hybrid")
    assert env.action_space == spaces.Dict(
        continuous=spaces.Box(-1.0, 1.0, (1,), np.float32), discrete=spaces.MultiDiscrete([33, 2])
    )
    action = {"continuous": np.array([0.5], dtype=np.float32), "discrete": np.array([17, 1])}
    assert floats_of(env, action) == [2.0 * 17 / 32 - 1.0, 1.0, 0.5]
    named = make(action_space=Hybrid({"pv_25.p": 3}))
    assert named.action_space["discrete"] == spaces.MultiDiscrete([3])  # type: ignore[index]


def test_a_mixture_may_have_no_levels_at_all() -> None:
    """Of devices that all take any value, none of them named: the discrete part is empty and plays."""
    env = make(action_space="hybrid")
    env.reset(seed=0)
    neutral = env.neutral_action
    assert neutral["discrete"].shape == (0,)
    assert floats_of(env, neutral) == env.fleet.neutral_action.tolist()
    assert env.action_masks().shape == (0,)
    assert env.step(neutral)[0].shape == env.observation_space.shape


@pytest.mark.parametrize("space", SPACES)
def test_encoding_finds_the_nearest_code(space: str) -> None:
    """Each code is its own nearest; floats in between go to the nearest joint action of all."""
    env = make(action_space=SPACES[space])
    env.action_space.seed(0)
    codec = env.codec
    rng = np.random.default_rng(0)
    action = rng.uniform(-1.0, 1.0, (50, 3)).astype(np.float32)
    near = codec.decode(codec.encode(action), 50)
    again = codec.decode(codec.encode(near), 50)
    np.testing.assert_array_equal(again, near)
    for _ in range(30):
        other = codec.decode(env.action_space.sample(), 1)
        assert (np.linalg.norm(near - action, axis=1) <= np.linalg.norm(other - action, axis=1) + 1e-6).all()
    np.testing.assert_array_equal(codec.decode(env.neutral_action, 1)[0], env.fleet.neutral_action)


# -- wrong actions and wrong spaces ----------------------------------------------------------------------

BAD: list[tuple[str, Any, str]] = [
    ("levels", np.array([0, 5, 0]), r"action\[1\] \(pv_25.p\) is 5: expected a whole number in 0..4$"),
    ("levels", np.array([0, 0, -1]), r"action\[2\] \(pv_25.q\) is -1: expected a whole number in 0..4$"),
    (
        "levels",
        np.array([0.0, np.nan, 0.0]),
        r"action\[1\] \(pv_25.p\) is nan: .* 0..4 as an integer",
    ),
    ("levels", np.array([1.0, 2.0, 3.0]), r"action\[0\] \(battery_18.p\) is 1.0: .* integer, not float64"),
    ("levels", np.array([True, False, True]), r"action\[0\] \(battery_18.p\) is True: .* not bool"),
    (
        "levels",
        [0, 1],
        r"shape \(2,\), expected \(3,\): one entry for each of battery_18.p, pv_25.p",
    ),
    ("levels", 3, r"shape \(\), expected \(3,\)"),
    ("levels", "up", r"shape \(\), expected \(3,\)"),
    ("table", 4, r"action \(a row of the table of joint actions \(battery_18.p, .*\)\) is 4: .* in 0..3$"),
    ("table", -1, r"is -1: expected a whole number in 0..3$"),
    ("table", 1.5, r"is 1.5: .* in 0..3 as an integer, not float64"),
    ("table", np.nan, r"is nan: expected a whole number in 0..3"),
    ("table", "up", r"is up: expected a whole number in 0..3 as an integer"),
    ("table", [0, 1], r"shape \(2,\), expected \(\): a number of a row of the table"),
    ("mixture", np.zeros(3), r"a dict of 'continuous' and 'discrete', got array"),
    ("mixture", {"continuous": np.zeros(2)}, r"a dict of 'continuous' and 'discrete'"),
    ("mixture", {"continuous": np.zeros(2), "discrete": [4]}, r"action\[0\] \(battery_18.p\) is 4: .* 0..3"),
    (
        "mixture",
        {"continuous": [2.0, 0.0], "discrete": [0]},
        r"action\[0\] \(pv_25.p\) is 2.0: .* number",
    ),
]


@pytest.mark.parametrize(("space", "action", "message"), BAD, ids=str)
def test_bad_codes_are_told_with_dimension_and_range(space: str, action: Any, message: str) -> None:
    env = make(action_space=SPACES[space])
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_bad_codes_of_a_vector_name_the_environment() -> None:
    envs = DistGridVectorEnv(FEEDER, [Battery(18, 0.2, 0.8)], num_envs=2, action_space="multi-discrete")
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"action\[1, 0\] \(battery_18.p\) is 9: expected a whole number in"):
        envs.step(np.array([[0], [9]]))
    envs = DistGridVectorEnv(FEEDER, [Battery(18, 0.2, 0.8)], num_envs=2, action_space="discrete")
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"action\[1\] \(a row .*\) is 9: expected a whole number in 0..2"):
        envs.step(np.array([0, 9]))
    with pytest.raises(ValueError, match=r"shape \(1,\), expected \(2,\)"):
        envs.step(np.array([0]))


WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: make(action_space="boxes"), TypeError, r"Continuous\(\), .*'multi-discrete'.*got 'boxes'"),
    (lambda: make(action_space=3), TypeError, "action_space must be"),
    (lambda: make(action_space=Discrete), TypeError, r"is the class Discrete: write Discrete\(\)"),
    (
        lambda: make(action_space={"levels": 3}),
        TypeError,
        "an action space is a mapping that names",
    ),
    (lambda: MultiDiscrete(1), ValueError, "levels must be a whole number of at least 2, got 1"),
    (lambda: MultiDiscrete(True), ValueError, "levels must be a whole number"),
    (lambda: MultiDiscrete({"a": 2.5}), ValueError, "levels of a must be a whole number"),  # type: ignore[dict-item]
    (lambda: Hybrid(3), TypeError, "levels must be a dict of levels by dimension, got 3"),  # type: ignore[arg-type]
    (
        lambda: make(action_space=MultiDiscrete({"pv": 3})),
        ValueError,
        "'pv', which is no .* battery_18.p",
    ),
    (
        lambda: make3(MultiDiscrete({"tap_reg1.tap": 3})),
        ValueError,
        "positions of its own; those are pv_675",
    ),
    (
        lambda: Discrete(table=[[0.0, 2.0]]),
        ValueError,
        r"table\[0\]\[1\] is 2.0: expected a number in \[-1, 1\]",
    ),
    (lambda: Discrete(table=[[np.nan]]), ValueError, r"table\[0\]\[0\] is nan"),
    (lambda: Discrete(table=[]), ValueError, r"\(n, n_actions\) with n of 1 or more, got shape \(0,\)"),
    (lambda: Discrete(table=[["a"]]), ValueError, "table must be rows of numbers"),  # type: ignore[list-item]
    (
        lambda: make(action_space=Discrete(table=[[0.0]])),
        ValueError,
        "has 1 columns for 3 action dimensions",
    ),
]


@pytest.mark.parametrize(("made", "error", "message"), WRONG, ids=[message[:24] for _, _, message in WRONG])
def test_spaces_that_cannot_be_say_why(made: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made()


def test_one_more_resource_is_one_more_dimension() -> None:
    """The space grows with the fleet; where a table does not fit any more nothing changes."""
    env = make(action_space="multi-discrete")
    env.register_resource(Battery(7, 0.1, 0.4))
    assert env.action_space == spaces.MultiDiscrete([5, 5, 5, 5])
    own = make(action_space=Discrete(table=TABLE))
    with pytest.raises(ValueError, match="3 columns for 4 action dimensions"):
        own.register_resource(Battery(7, 0.1, 0.4))
    assert len(own.units) == 2
    own.reset(seed=0)
    own.step(3)


# -- the same on every face ------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_vector_environments_play_codes_as_single_ones_do(space: str, mode: str) -> None:
    """Bit for bit, ends, masks and last infos included."""
    options: dict[str, Any] = {
        "case": FEEDER, "resources": [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="pq")],
        "task": VoltVar(episode=Duration(hours=3 / 4)), "action_space": SPACES[space],
    }  # fmt: skip
    together = DistGridVectorEnv(num_envs=3, autoreset_mode=mode, threads=2, **options)
    autoreset = gym.vector.AutoresetMode(mode)
    apart = SyncVectorEnv([lambda: DistGridEnv(**options)] * 3, autoreset_mode=autoreset)
    assert together.action_space == apart.action_space
    assert together.single_action_space == apart.single_action_space
    same(together.reset(seed=5), apart.reset(seed=5))
    apart.action_space.seed(1)
    for _ in range(8):
        action = apart.action_space.sample()
        same(together.step(action), apart.step(action))
    np.testing.assert_array_equal(together.action_masks(), apart.call("action_masks"))
    for row, neutral in zip(together.rows(), apart.get_attr("neutral_action"), strict=True):
        np.testing.assert_equal(row.neutral_action, neutral)
        np.testing.assert_array_equal(row.action_masks(), apart.call("action_masks")[0])
    assert together.neutral_action in together.action_space


@pytest.mark.parametrize("space", ["multi-discrete", "hybrid", "table"])
def test_per_phase_vectors_play_codes_as_single_ones_do(space: str) -> None:
    """Taps, banks and inverters, bit for bit; the masks of taps that move two steps at most."""
    steps = [2.0 * k / 32 - 1.0 for k in range(33)]
    table = Discrete(table=[(tap, on, 0.0) for tap in steps for on in (-1.0, 1.0)])
    options: dict[str, Any] = {
        "case": FEEDER3, "resources": TAPS, "task": LossMinimisation(episode=Duration(hours=1)),
        "action_space": table if space == "table" else space,
    }  # fmt: skip
    together = DistGrid3PhaseVectorEnv(num_envs=2, **options)
    apart = SyncVectorEnv([lambda: DistGrid3PhaseEnv(**options)] * 2)
    same(together.reset(seed=5), apart.reset(seed=5))
    apart.action_space.seed(1)
    for _ in range(6):
        action = apart.action_space.sample()
        same(together.step(action), apart.step(action))
        np.testing.assert_array_equal(together.action_masks(), apart.call("action_masks"))
    assert not together.action_masks().all()


@pytest.mark.parametrize("space", DISCRETE)
def test_checkers_pass(space: str) -> None:
    """Gymnasium's checker, and that of stable-baselines3 (which knows no dicts of actions)."""
    env = make(action_space=SPACES[space])
    check_env(env, skip_render_check=True)
    if space != "mixture":
        check_env_sb3(env)


@pytest.mark.parametrize("space", SPACES)
def test_a_spec_keeps_the_action_space(space: str) -> None:
    """`make(env.spec)`, also through JSON, with tables and levels."""
    fleet: list[Any] = [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="pq")]
    made = gym.make("distgrid/DistGrid-33bw-v0", resources=fleet, action_space=SPACES[space])
    assert made.spec is not None
    loaded = gym.envs.registration.EnvSpec.from_json(made.spec.to_json())
    again: Any = gym.make(loaded)
    assert again.action_space == made.action_space
    assert again.unwrapped.options.action_space == SPACES[space]


def test_specs_are_values() -> None:
    """Equal where their fields are, never changed."""
    assert Discrete(table=np.array(TABLE)) == Discrete(table=TABLE) != Discrete()
    with pytest.raises(dataclasses.FrozenInstanceError):
        MultiDiscrete(3).levels = 5  # type: ignore[misc]
