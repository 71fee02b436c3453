"""Episodes played side by side give the bytes of episodes played one by one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from distgrid import baselines
from distgrid.baselines.bench import RolloutReport
from distgrid.baselines.jobs.files import table_bytes
from distgrid.baselines.policy import plays_batches
from distgrid.baselines.rollouts import job, rows
from distgrid.baselines.rollouts.episodes import KINDS, Episodes, run_episodes
from distgrid.baselines.scripted.do_nothing import DoNothing
from distgrid.baselines.scripted.random import Random
from distgrid.cli import build_app
from distgrid.envs import PV, Battery, DistGridEnv, DistGridVectorEnv, VoltVar

TABLES = (*KINDS, "episodes")


def one_by_one(env_id: str) -> Any:
    """What is handed in is played itself."""
    return gymnasium.make(f"distgrid/{env_id}", split="test", disable_env_checker=True)


def bytes_of(result: baselines.RunResult) -> dict[str, bytes]:
    return {name: table_bytes(getattr(result, name)) for name in TABLES}


def play(env: Any, policies: Any, episodes: int = 5, **options: Any) -> dict[str, bytes]:
    options = {"seed": 3, "progress": False, "split": "test", **options}
    return bytes_of(baselines.rollout(env, policies, episodes, **options))


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many episodes were played side by side, time after time."""
    found: list[int] = []

    def noted(env: Any, *args: Any) -> dict[str, pa.Table]:
        found.append(env.num_envs)
        return rows.run_rows(env, *args)

    monkeypatch.setattr(job, "run_rows", noted)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "policies"),
    [
        ("VoltVar-33bw-v0", ("do-nothing", "random", "volt-var-fuzzy")),
        ("DistGrid-33bw-v0", ("random", "volt-var-vde4105", "power-factor-vde4105")),
        pytest.param(
            "VoltVar3-ieee13-v0", ("do-nothing", "random", "volt-var-ieee1547"), marks=pytest.mark.slow
        ),
    ],
)
def test_rows_give_the_bytes_of_one_by_one(env_id: str, policies: tuple[str, ...], widths: list[int]) -> None:
    """Capability 78: balanced and phase by phase, fixed and drawn actions, however the rows are cut."""
    expected = play(one_by_one(env_id), policies)
    assert widths == []
    assert play(env_id, policies) == expected
    assert widths == [5, 5, 5]
    assert play(env_id, policies, chunk_episodes=2) == expected
    assert widths[3:] == 3 * [2, 2]  # and one is left


def test_a_killed_run_goes_on_with_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capability 77: stopped between chunks, other rows beside each other, the same bytes."""
    calls = []

    def interrupted(*args: Any) -> dict[str, pa.Table]:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rows.run_rows(*args)

    options: dict[str, Any] = {"out": tmp_path / "out", "chunk_episodes": 2, "report": False}
    with monkeypatch.context() as patched:
        patched.setattr(job, "run_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            play("VoltVar-33bw-v0", "random", **options)
    assert play("VoltVar-33bw-v0", "random", **options) == play("VoltVar-33bw-v0", "random")


def test_episodes_that_end_early() -> None:
    """A collapse ends its own row; the others play on, and nothing of what that row begins anew is told."""
    fleet = (Battery(18, 7.0, 30.0, soc_init=0.5), PV(33, 0.5))
    make = functools.partial(DistGridEnv, "case33bw", fleet, VoltVar(), "test")
    single = make()
    days = tuple(range(100, 112))
    episodes = Episodes("random", 4, days, 7)
    expected = run_episodes(single, Random(single), episodes)
    lengths = np.unique(expected["steps"]["episode"].to_numpy(), return_counts=True)[1]
    assert len(set(lengths.tolist())) > 3
    many = DistGridVectorEnv("case33bw", fleet, VoltVar(), "test", num_envs=len(days))
    found = rows.run_rows(many, single, Random(many), episodes)
    assert {name: table_bytes(table) for name, table in found.items()} == {
        name: table_bytes(table) for name, table in expected.items()
    }


class Heavy(PV):
    """A device of somebody's own."""


def test_what_a_function_makes(widths: list[int]) -> None:
    """An own fleet, with and without a limit of steps; not an own device, and nothing with wrappers."""
    make = functools.partial(DistGridEnv, "case33bw", (PV(18, 1.0), Battery(25, 0.3, 0.6)), VoltVar(), "test")
    limited = functools.partial(_limited, make)
    for function in (make, limited):
        assert play(function, "random", 3) == play(function(), "random", 3)
    assert widths == [3, 3]
    assert baselines.rollout(limited, "random", 3, progress=False).steps.num_rows == 3 * 7
    del widths[:]
    play(functools.partial(DistGridEnv, "case33bw", (Heavy(18, 1.0),), VoltVar(), "test"), "random", 2)
    play(lambda: gymnasium.Wrapper(make()), "random", 2)
    assert widths == []


def _limited(make: Any) -> Any:
    return gymnasium.wrappers.TimeLimit(make(), 7)


class Own(DoNothing):
    """A policy of somebody's own, which was written for one observation."""

    def act(self, obs: Any, info: Any) -> Any:
        assert obs.ndim == 1
        return super().act(obs, info)


class OwnRows(Own):
    """One that says that it plays batches."""

    plays_batches = True

    def act(self, obs: Any, info: Any) -> Any:
        return DoNothing.act(self, obs, info)


def test_what_does_not_say_so_is_played_one_by_one(widths: list[int]) -> None:
    """Own policies, own environments, and policies that read the inside of a single one."""
    env = one_by_one("VoltVar-33bw-v0")
    play("VoltVar-33bw-v0", Own(env), 2)
    play(env, "do-nothing", 2)
    play("VoltVar3-ieee13-v0", "local-control", 2)
    play("VoltVar-33bw-v0", "do-nothing", 1)
    assert widths == []
    play("VoltVar-33bw-v0", OwnRows(env), 2)
    assert widths == [2]
    replaced = DoNothing(env)
    replaced.act = Own(env).act  # type: ignore[method-assign]
    assert not plays_batches(replaced)


@pytest.mark.slow
def test_the_benchmark_of_rows() -> None:
    """`distgrid bench rollout`: both ways, told as JSON."""
    shown = CliRunner().invoke(build_app(), ["bench", "rollout", "--quick", "--json", "-"])
    report = RolloutReport.model_validate_json(shown.stdout)
    assert "QUICK RUN" in shown.stderr
    assert [row.way for row in report.rows] == ["rows of a vector environment", "one by one"]
    assert report.rows[0].ratio.wall.median > 1.0
