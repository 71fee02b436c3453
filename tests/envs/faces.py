"""What tests of devices ask of every kind: the same bits in every face, restored states, bounds that hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from distgrid.envs import DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, DistGridEnv, DistGridVectorEnv
from distgrid.envs.resources import ACCOUNTS

SINGLE = {False: DistGridEnv, True: DistGrid3PhaseEnv}
VECTOR: dict[bool, Any] = {False: DistGridVectorEnv, True: DistGrid3PhaseVectorEnv}


def check_faces(
    resources: Sequence[Any], *, case: Any = "case33bw", steps: int = 30, phased: bool = False
) -> None:
    """Rows of a vector environment are single ones, bit for bit, through resets and states that are restored.

    Accounts and costs stay below their bounds, observations inside their space.
    """
    days, rng = [40, 170, 300], np.random.default_rng(11)
    vector = VECTOR[phased](case, resources, num_envs=len(days))
    singles = [SINGLE[phased](case, resources) for _ in days]
    seen, _ = vector.reset(seed=[3, 4, 5], options={"day": days})
    for row, env in enumerate(singles):
        np.testing.assert_array_equal(env.reset(seed=3 + row, options={"day": days[row]})[0], seen[row])
    for action in rng.uniform(-1.0, 1.0, (steps, len(days), len(vector.action_layout))).astype(np.float32):
        if rng.random() < 0.3:
            action[:] = np.sign(action)
        seen, rewards, *_, infos = vector.step(action)
        for row, env in enumerate(singles):
            obs, reward, *_, info = env.step(action[row])
            np.testing.assert_array_equal(obs, seen[row])
            assert reward == rewards[row]
            for key in ("costs", "delivered"):
                assert info[key].keys() <= infos[key].keys()
                for name, value in info[key].items():
                    np.testing.assert_array_equal(value, infos[key][name][row], err_msg=name)
            for name in ACCOUNTS:
                np.testing.assert_array_equal(env.fleet.accounts[name][0], vector.fleet.accounts[name][row])
            _check_bounds(env, obs)
    _check_restored(singles[1])


def _check_bounds(env: Any, obs: Any) -> None:
    """What an interval brought is inside the spaces and below the bounds that price a failed power flow."""
    assert env.observation_space.contains(obs)
    fleet, most = env.fleet, 1.0 + 1e-12
    for name in ACCOUNTS:
        assert (fleet.accounts[name] >= 0.0).all(), name
        assert fleet.accounts.total(name)[0] <= most * fleet.most_of(name, env.grid.dt_h), name
    s_mva = np.hypot(fleet.delivered_p_mw, fleet.delivered_q_mvar)[0]
    assert (s_mva <= most * fleet.max_apparent_mva).all()
    assert sum(cost[0] for cost in fleet.costs().values()) <= most * fleet.max_cost_per_step


def _check_restored(env: Any) -> None:
    """The same future twice from one state."""
    saved = env.get_state()
    played = []
    for _ in range(2):
        env.set_state(saved)
        played.append([env.step(env.neutral_action)[:2] for _ in range(5)])
    for (obs, reward), (again, same) in zip(*played, strict=True):
        np.testing.assert_array_equal(obs, again)
        assert reward == same


def refuses(kind: Any, good: dict[str, Any], change: dict[str, Any], message: str) -> None:
    """A bad number is refused by an error that says which and what was expected; the good ones are taken."""
    kind(**good)
    with pytest.raises(ValueError, match=message):
        kind(**{**good, **change})
