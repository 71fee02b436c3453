"""`distgrid bench rollout`: episodes per second of runs, one by one and as rows of a vector environment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gymnasium

from ..rollouts.play import rollout
from .harness.timing import Samples, ratio, take_turns, timing
from .report.machine import describe
from .report.results import RolloutReport, RolloutRow, Target

ENV = "VoltVar-33bw-v0"
POLICIES = ("do-nothing", "random", "volt-var-ieee1547", "volt-var-fuzzy")
ROWS, ONE_BY_ONE = "rows of a vector environment", "one by one"
WANTED = 10.0  # times the episodes per second of one by one


def bench_rollout(*, quick: bool = False, seed: int = 0) -> RolloutReport:
    """Time whole runs in memory: environment, policy, tables of steps, extremes and violations, Parquet.

    Both ways play the same episodes and give the same bytes. One by one is how an environment is played that
    was handed in; the rows are those of its id.

    Args:
        quick: A few episodes and one round: shows that everything works, no numbers to quote.
        seed: Of the first episode.
    """
    machine = describe()
    episodes = {ROWS: 8 if quick else 256, ONE_BY_ONE: 2 if quick else 16}
    names = POLICIES[:1] if quick else POLICIES
    work: dict[str, Callable[[], object]] = {}
    for name in names:
        for way, count in episodes.items():
            work[f"{name} {way}"] = functools.partial(_run, name, way, count, seed)
    samples = take_turns(work, rounds=1 if quick else 7, slice_s=0.0)
    found = {key: _each(samples[key], episodes[key.partition(" ")[2]]) for key in work}
    rows = []
    for name in names:
        ours, peer = found[f"{name} {ROWS}"], found[f"{name} {ONE_BY_ONE}"]
        for way, taken in ((ROWS, ours), (ONE_BY_ONE, peer)):
            took = timing(taken)
            rows.append(
                RolloutRow(
                    env=ENV, policy=name, way=way, episodes=episodes[way], timing=took,
                    episodes_per_s=1.0 / took.wall_s.median, ratio=ratio(ONE_BY_ONE, peer, taken),
                )
            )  # fmt: skip
    return RolloutReport(quick=quick, machine=machine, rows=rows, targets=[] if quick else _targets(rows))


def _each(samples: Samples, episodes: int) -> Samples:
    """Of one episode."""
    return Samples(samples.wall / episodes, samples.cpu / episodes, episodes)


def _run(policy: str, way: str, episodes: int, seed: int) -> None:
    env: Any = ENV if way == ROWS else _single()
    rollout(env, policy, episodes, split="test", seed=seed, chunk_episodes=episodes, progress=False)


def _single() -> gymnasium.Env[Any, Any]:
    return gymnasium.make(f"distgrid/{ENV}", split="test", disable_env_checker=True)


def _targets(rows: list[RolloutRow]) -> list[Target]:
    return [
        Target(name=f"{row.env}, {row.policy}: episodes per second over one by one", wanted=WANTED,
               value=row.ratio.wall.median)
        for row in rows if row.way == ROWS
    ]  # fmt: skip
