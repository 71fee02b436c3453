"""`distgrid bench ppo`: steps per second within PPO's loop, where they go, and how long learning takes."""

from __future__ import annotations

import time
from dataclasses import replace

import gymnasium
import numpy as np

from ..learned.learner import Settings
from ..learned.ppo import PPO
from ..rollouts.env_source import make_source
from ..training.evaluation import Days
from ..training.learners import policy_of
from ..training.sb3 import StableBaselines
from .report.learning import LoopRow, PpoReport, ScoreRow
from .report.machine import describe
from .report.results import Target

ENV = "distgrid/VoltVar-33bw-v1"
WANTED_PER_S = 60_000.0
WANTED_SCORE = 0.8
#: For speed: many rows, large steps of the optimiser. For learning from few steps: fewer and smaller ones.
FAST = Settings(rows=1024, batch=8192, epochs=2, gamma=0.9, std=0.6, threads=2)
KEEN = Settings(rows=64, batch=1024, epochs=2, gamma=0.9, std=0.6)


def bench_ppo(*, quick: bool = False, seed: int = 0, threads: int = 2) -> PpoReport:
    """Time the loops of this package's PPO and of stable-baselines3's, and a training up to a score.

    Args:
        quick: An iteration and no score to reach: shows that everything works, no numbers to quote.
        seed: Of everything that is drawn.
        threads: Of environments and PyTorch, for the loops.
    """
    machine = describe()
    rounds = 1 if quick else 6
    fast = replace(FAST, threads=threads, rows=64 if quick else FAST.rows)
    loops = [_own_loop(fast, rounds, seed)]
    loops.append(_own_loop(replace(KEEN, threads=1), rounds if quick else 20, seed))
    for rows in (64,) if quick else (64, 256):
        settings = replace(KEEN, steps=96 * rows * (1 if quick else 3), rows=rows, epochs=10, threads=threads)
        loops.append(_their_loop(settings, seed))
    score = _to_score(replace(KEEN, steps=6144 if quick else 600_000), 0.0 if quick else WANTED_SCORE, seed)
    targets = [
        Target(name=f"{ENV}: environment steps per second within PPO's loop", wanted=WANTED_PER_S,
               value=loops[0].steps_per_s),
    ]  # fmt: skip
    return PpoReport(
        quick=quick, machine=machine, env=ENV, loops=loops, to_score=score, targets=[] if quick else targets
    )


def _own_loop(settings: Settings, iterations: int, seed: int) -> LoopRow:
    learner = _learner(replace(settings, steps=10**9), seed)
    learner.iterate()  # compiles, and touches memory
    learner.clock.sampling_s = learner.clock.inference_s = learner.clock.learning_s = 0.0
    cpu = time.process_time()
    for _ in range(iterations):
        learner.iterate()
    cpu_s = time.process_time() - cpu
    steps = iterations * learner.episode_steps * settings.rows
    clock = learner.clock
    return LoopRow(
        learner="distgrid ppo", num_envs=settings.rows, threads=settings.threads, steps=steps,
        steps_per_s=steps / clock.wall_s, steps_per_cpu_s=steps / cpu_s,
        sampling=clock.sampling_s / clock.wall_s, inference=clock.inference_s / clock.wall_s,
        learning=clock.learning_s / clock.wall_s,
    )  # fmt: skip


def _their_loop(settings: Settings, seed: int) -> LoopRow:
    envs = gymnasium.make_vec(
        ENV, num_envs=settings.rows, split="train", threads=settings.threads,
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )  # fmt: skip
    learner = StableBaselines("ppo-sb3", envs, settings, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    learner.iterate()
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    return LoopRow(
        learner="stable-baselines3 PPO", num_envs=settings.rows, threads=settings.threads,
        steps=learner.steps, steps_per_s=learner.steps / wall_s, steps_per_cpu_s=learner.steps / cpu_s,
        sampling=None, inference=None, learning=None,
    )  # fmt: skip


def _to_score(settings: Settings, wanted: float, seed: int) -> ScoreRow:
    """Train until the mean normalised score of the test days is reached, or the steps are used up."""
    learner, days = _learner(settings, seed), Days(make_source(ENV, "test"))
    wall_s = cpu_s = score = 0.0
    while learner.iterations_done < learner.iterations and (score < wanted or not learner.iterations_done):
        wall, cpu = time.perf_counter(), time.process_time()
        learner.iterate()
        wall_s, cpu_s = wall_s + time.perf_counter() - wall, cpu_s + time.process_time() - cpu
        if learner.iterations_done % 5 == 0 or learner.iterations_done == learner.iterations:
            found = days.scores(days.returns(policy_of(learner, "ppo", ENV, settings, seed)))
            score = float(np.mean([one for one in found if one is not None]))
    days.close()
    return ScoreRow(
        learner="distgrid ppo", num_envs=settings.rows, score=score, steps=learner.steps, wall_s=wall_s,
        cpu_s=cpu_s,
    )  # fmt: skip


def _learner(settings: Settings, seed: int) -> PPO:
    envs = gymnasium.make_vec(
        ENV, num_envs=settings.rows, split="train", threads=settings.threads, copy=False
    )  # fmt: skip
    return PPO(envs, settings, seed)
