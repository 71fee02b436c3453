"""`distgrid train-rllib` where RLlib is not installed; tests/rllib has the rest."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest

from distgrid.baselines import RunError
from distgrid.baselines.learned import rllib_env
from distgrid.baselines.learned.rllib import train
from distgrid.cli import main
from distgrid.envs import EnvOptions, VoltVar, options_to_dict

OPTIONS = EnvOptions("case33bw", (), VoltVar())


def test_workers_make_the_environment_from_plain_data() -> None:
    """The id that RLlib names: single and vector, from what `options_to_dict` tells."""
    content = options_to_dict(OPTIONS)
    env = gym.make(rllib_env.ID, options=content, disable_env_checker=True)
    rows = gym.make_vec(rllib_env.ID, 3, "vector_entry_point", options=content)
    assert env.unwrapped.options == rows.unwrapped.options == OPTIONS  # type: ignore[attr-defined]
    np.testing.assert_array_equal(rows.reset(seed=4)[0][0], env.reset(seed=4)[0])


@pytest.mark.parametrize("name", ["workers", "envs_per_worker", "iterations"])
def test_numbers_that_cannot_be_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{name} must be a whole number of at least"):
        train(OPTIONS, out=tmp_path, **cast(Any, {name: -1}))


def test_a_machine_without_rllib_is_told_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RLlib needs what the libraries of these tests exclude: it says so, and nothing is written."""
    assert importlib.util.find_spec("tree") is None, "dm-tree, which RLlib needs, is not among the libraries"
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as left:
        main(["train-rllib", "VoltVar-33bw-v0", "--out", str(out)])
    assert left.value.code == 2
    assert "make rllib" in capsys.readouterr().err
    assert not out.exists()
