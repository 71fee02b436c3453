"""Shipped asset sets at their operating points: something is feasible on every test day."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from distgrid import envs
from distgrid.cases import assets
from distgrid.cases.profiles import load_profiles

NAMES = assets.asset_set_names()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_with_its_assets_at_rest_every_limit_is_kept_on_every_test_day(name: str) -> None:
    """Row 82: at the operating point of a set there is something feasible on every test day: rest."""
    days = load_profiles().split_days("test")
    options = dataclasses.replace(envs.shipped_asset_options(name, split="test"), resources=())
    env = envs.make_vector_env(options, num_envs=days.size)
    env.reset(seed=0, options={"day": days})
    low, high = (limit[:, None] for limit in envs.make_env(options).v_limits_pu)
    for _ in range(96):
        info = env.step(np.zeros(env.action_space.shape, np.float32))[4]
        v_pu = info["voltages"].reshape(days.size, low.size, -1)  # phases that a node lacks are masked
        assert (v_pu >= low).all()
        assert (v_pu <= high).all()
        assert (info["branch_loading"] <= 1.0).all()
