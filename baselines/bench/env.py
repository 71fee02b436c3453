"""`distgrid bench env`: steps per second of single environments, and where the time of a step goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

from ...cases.profiles import DT_H, ONE_DAY
from ...envs import DistGridEnv, dist
from ...envs.core import grid as transition
from .harness.stopwatch import Stopwatch, around
from .harness.timing import Samples, take_turns, timing
from .report.machine import describe
from .report.results import EnvProfile, EnvReport, EnvRow, Target, TimePart

#: Environments timed, with the steps per processor second wanted where there is a target.
ENVIRONMENTS: dict[str, float | None] = {
    "distgrid/DistGrid-33bw-v0": 20_000.0,
    "distgrid/VoltVar-33bw-v0": None,
    "distgrid/DistGrid3Phase-ieee123-v0": 8_000.0,  # 20 resources
}
SAMPLED = "Gymnasium's definition: gymnasium.make, sampling and resets on the clock"
DRAWN = "gymnasium.make, actions drawn beforehand, resets on the clock"
SAMPLE = "action_space.sample() alone: Gymnasium's own time"
REST = "step's own Python"
_EPISODE = ONE_DAY.steps(DT_H)  # of the registered environments


def bench_env(*, quick: bool = False, seed: int = 0) -> EnvReport:
    """Time single environments under random actions; observation, reward, costs and info included.

    Args:
        quick: a few episodes only: shows that everything works, no numbers to quote.
        seed: of the actions and of the episodes.
    """
    machine = describe()
    episodes = 1 if quick else 10
    work: dict[tuple[str, str], Callable[[], object]] = {}
    for identity in ENVIRONMENTS:
        work[identity, SAMPLED] = _sampled(_made(identity, seed), episodes)
        work[identity, DRAWN] = _random_load(_made(identity, seed), episodes)
        work[identity, SAMPLE] = _sampling(_made(identity, seed), episodes)
    named = {"\n".join(key): function for key, function in work.items()}
    samples = take_turns(named, rounds=3 if quick else 20, slice_s=0.0)
    rows = [_row(*key, samples["\n".join(key)], episodes * _EPISODE) for key in work]
    profiles = [_profile(identity, seed, 2 if quick else 40) for identity in ENVIRONMENTS]
    wanted = {_short(identity): steps for identity, steps in ENVIRONMENTS.items() if steps is not None}
    targets = [
        Target(
            name=f"{row.env}: steps per processor second, {DRAWN}", wanted=wanted[row.env],
            value=row.steps_per_cpu_s,
        )
        for row in rows
        if row.env in wanted and row.way == DRAWN
    ]  # fmt: skip
    return EnvReport(quick=quick, machine=machine, rows=rows, profiles=profiles, targets=targets)


def _short(identity: str) -> str:
    return identity.rpartition("/")[2]


def _made(identity: str, seed: int) -> gymnasium.Env[Any, Any]:
    env = gymnasium.make(identity)
    env.action_space.seed(seed)
    env.reset(seed=seed)
    return env


def _sampled(env: gymnasium.Env[Any, Any], episodes: int) -> Callable[[], object]:
    """The loop of `gymnasium.utils.performance.benchmark_step`, for a number of steps instead of a time."""

    def work() -> None:
        for _ in range(episodes * _EPISODE):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()

    return work


def _random_load(env: gymnasium.Env[Any, Any], episodes: int) -> Callable[[], object]:
    """The same without the sampling, which is Gymnasium's own time."""
    drawn = [env.action_space.sample() for _ in range(episodes * _EPISODE)]

    def work() -> None:
        for action in drawn:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return work


def _sampling(env: gymnasium.Env[Any, Any], episodes: int) -> Callable[[], object]:
    """What the definition of Gymnasium counts and no environment can help."""
    sample = env.action_space.sample

    def work() -> None:
        for _ in range(episodes * _EPISODE):
            sample()

    return work


def _row(identity: str, way: str, samples: Samples, steps: int) -> EnvRow:
    per_step = Samples(samples.wall / steps, samples.cpu / steps, samples.calls * steps)
    took = timing(per_step)
    return EnvRow(
        env=_short(identity), way=way, timing=took,
        steps_per_s=1.0 / took.wall_s.median, steps_per_cpu_s=1.0 / took.cpu_s.median,
    )  # fmt: skip


def _places(env: DistGridEnv) -> list[tuple[str, Any, str]]:
    """What the stopwatch is put around: (part, owner, attribute). Nested parts are not counted twice."""
    grid = env.grid
    physics, resources, observation = "physics: Stepper.solve", "resources: fleet", "observation"
    places: list[tuple[str, Any, str]] = [
        (physics, grid.stepper, "solve"), (observation, grid, "observe"),
        ("load profile", grid.load, "fill_rows"), ("task: reward terms", grid.task, "terms"),
        ("action check", dist, "checked"), ("info dictionaries", dist, "step_info"),
        ("clocks and ends", transition, "tick_rows"),
    ]  # fmt: skip
    places += [(resources, grid.fleet, name) for name in ("advance", "add_injections", "costs", "observe")]
    return places + [("sums of rewards and costs", grid, name) for name in ("_priced", "_total")]


def _profile(identity: str, seed: int, episodes: int) -> EnvProfile:
    env = _made(identity, seed).unwrapped
    assert isinstance(env, DistGridEnv)
    drawn = [env.action_space.sample() for _ in range(_EPISODE)]
    watch = Stopwatch()
    watch.calibrate()
    with around(watch, _places(env)):
        step = watch.wrap(REST, env.step)
        for episode in range(-1, episodes):  # the first one warms up
            if episode == 0:
                watch.clear()
            watch.running = False
            env.reset(options={"day": int(env.days[episode % env.days.size])})
            watch.running = True
            for action in drawn:
                step(action)
    return _shares(_short(identity), watch, episodes * _EPISODE)


def _shares(name: str, watch: Stopwatch, steps: int) -> EnvProfile:
    parts = watch.parts()
    total = sum(parts.values())
    listed = [
        TimePart(name=part, microseconds=1e6 * s / steps, share=s / total)
        for part, s in sorted(parts.items(), key=lambda item: -item[1])
    ]
    return EnvProfile(
        env=name, steps=steps, step_us=1e6 * total / steps,
        stopwatch_us=1e6 * watch.overhead_s / steps, parts=listed,
    )  # fmt: skip
