"""Masks say which codes can be followed next: by `action_masks`, and in the info of discrete spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid.envs import Discrete, DistGridEnv, DistGridVectorEnv, MultiDiscrete
from distgrid.envs.resources.base import Exogenous, Floats, Ints, Resource

from .test_action_spaces import make3
from .world import FEEDER, make


class HeatPumps(Resource):
    """Two heat pumps with three positions each, which may only rest in every second interval."""

    kind = "heat_pump"

    def __init__(self) -> None:
        super().__init__([18, 25], s_mva=0.1, actions=("step",))

    @property
    def action_positions(self) -> tuple[int | None, ...]:
        return (3, 3)

    @property
    def neutral_action(self) -> Floats:
        return np.full(2, -1.0)

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.current_p_mw[:] = -0.05 * (action + 1.0)

    def allowed(self, values: Floats, t_index: Ints) -> NDArray[np.bool_]:
        """Anything in even intervals, else nothing but rest."""
        return (t_index % 2 == 0)[:, None, None] | (values == -1.0)[None]


def test_masks_tell_which_positions_can_be_reached() -> None:
    """Two steps from where the tap stands; banks and inverters are free. What is allowed is what happens."""
    env = make3()
    env.reset(seed=0)
    env.step(np.array([14, 0, 2]))
    mask = env.action_masks()
    assert mask.shape == (33 + 2 + 5,)
    assert mask[33:].all()
    for _ in range(5):
        stands = int(env.step(np.array([0, 0, 2]))[4]["delivered"]["tap_pos"][0]) + 16
        mask = env.action_masks()[:33]
        assert np.flatnonzero(mask).tolist() == [k for k in range(33) if abs(k - stands) <= 2]
        reached = set()
        state = env.get_state()
        for code in range(33):
            env.set_state(state)
            reached.add(int(env.step(np.array([code, 0, 2]))[4]["delivered"]["tap_pos"][0]) + 16)
        assert reached == set(np.flatnonzero(mask).tolist())
        env.set_state(state)


def test_info_holds_the_mask_of_a_discrete_space() -> None:
    """As Gymnasium has it: int8, for `sample`; the same as `action_masks`; none for other spaces."""
    steps = [2.0 * k / 32 - 1.0 for k in range(33)]
    env = make3(Discrete(table=[(tap, -1.0, 0.0) for tap in steps]))
    env.action_space.seed(0)
    _, info = env.reset(seed=0)
    for _ in range(20):
        assert info["action_mask"].dtype == np.int8
        np.testing.assert_array_equal(info["action_mask"], env.action_masks())
        assert info["action_mask"].sum() <= 5
        code = env.action_space.sample(info["action_mask"])
        *_, info = env.step(code)
        assert int(info["delivered"]["tap_pos"][0]) + 16 == code
    assert "action_mask" not in make3().reset(seed=0)[1]
    assert "action_mask" not in make().reset(seed=0)[1]


def test_where_nothing_is_allowed_everything_is() -> None:
    """A table without any position in reach: the taps go as far as they get, and samplers find a code."""
    env = make3(Discrete(table=[(1.0, 1.0, 0.0), (-1.0, 1.0, 0.0)]))
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [1, 1]


def test_floats_have_no_masks() -> None:
    env = make()
    env.reset(seed=0)
    assert env.action_masks().shape == (0,)


@pytest.mark.parametrize("space", [MultiDiscrete(5), Discrete(3)], ids=["levels", "combinations"])
def test_a_resource_of_ones_own_says_what_is_allowed_when(space: Any) -> None:
    """`action_positions` and `allowed` of a NumPy resource reach the spaces and masks of all faces."""
    env = DistGridEnv(FEEDER, [HeatPumps()], action_space=space)
    envs = DistGridVectorEnv(FEEDER, [HeatPumps()], num_envs=2, threads=2, action_space=space)
    _, info = env.reset(seed=0, options={"day": 20})
    envs.reset(seed=0, options={"day": 20})
    rest = [True, False, False] * 2 if isinstance(space, MultiDiscrete) else [True] + [False] * 8
    for step in range(4):
        expected = rest if step % 2 else [True] * len(rest)
        assert env.action_masks().tolist() == expected
        assert envs.action_masks().tolist() == [expected] * 2
        if isinstance(space, Discrete):
            assert info["action_mask"].tolist() == expected
        info = env.step(env.neutral_action)[4]
        envs.step(envs.neutral_action)
