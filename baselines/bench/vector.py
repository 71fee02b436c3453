"""`distgrid bench vector`: environment steps per second of whole batches, and where the time goes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv

from ...cases import Feeder
from ...cases.profiles import DT_H, ONE_DAY
from ...envs import DistGridVectorEnv, vector
from ...envs.core import grid as transition
from ...envs.vectorised import info_arrays as vector_info
from ...physics.balanced.kernels.solve_rows import Inputs, Outputs, sweep_rows, workspace_for
from ...physics.balanced.stepper import Stepper
from ...physics.numba_tools.lanes import LANES
from ...physics.unbalanced.kernel_tables import Outputs as Outputs3
from ...physics.unbalanced.kernels.solve_rows import solve_rows
from ...physics.unbalanced.kernels.solve_rows import workspace_for as room_for_phases
from ...physics.unbalanced.stepper import Stepper3
from .harness.stopwatch import Stopwatch, around
from .harness.timing import Samples, take_turns, timing
from .report.machine import describe
from .report.results import EnvProfile, Target, TimePart, VectorMemory, VectorReport, VectorRow

SMALL, LARGE, LARGEST = "VoltVar-33bw-v0", "VoltVar-141-v0", "DistGrid-533mt_hi-v0"
PHASES = "DistGrid3Phase-ieee123-v0"  # 20 resources
SIZES = {SMALL: (64, 1024, 4096, 16384), LARGE: (1024, 4096), PHASES: (256, 1024, 4096)}
TARGET_STEPS = {SMALL: 1_000_000.0, LARGE: 250_000.0, PHASES: 100_000.0}
TARGET_SIZES = (1024, 4096)
KEPT_SHARE, MEMORY_GB, MEMORY_ENVS, PEER_ENVS = 0.8, 1.0, 4096, 64
OURS, PEER = "distgrid", "gymnasium SyncVectorEnv of single environments"
_EPISODE = ONE_DAY.steps(DT_H) + 1  # the steps of a day, and the one that begins the next
_DRAWN = 8  # actions drawn beforehand, used in turn
SOLVE, MEASURE, REST = "physics: power flow", "physics: measuring what was solved", "Python of a step"


def bench_vector(*, quick: bool = False, seed: int = 0, threads: int | None = None) -> VectorReport:
    """Time vector environments under random actions; observations, rewards, costs and infos included.

    Args:
        quick: small batches and one round: shows that everything works, no numbers to quote.
        seed: of the actions and of the episodes.
        threads: of our vector environment; None: all cores.
    """
    machine = describe()
    sizes = {SMALL: (16, 64), LARGE: (16,), PHASES: (16,)} if quick else SIZES
    work: dict[str, Callable[[], object]] = {}
    told: dict[str, tuple[str, str, int]] = {}
    for name, counts in sizes.items():
        for count in counts:
            env = _made(name, count, threads)
            key = f"{name} {count}"
            work[key], told[key] = _episode(env, seed), (name, OURS, count)
        peer = SyncVectorEnv([_single(name)] * (4 if quick else PEER_ENVS))
        work[f"{name} peer"], told[f"{name} peer"] = _episode(peer, seed), (name, PEER, peer.num_envs)
    rounds = 2 if quick else 12
    samples = take_turns(work, rounds=rounds, slice_s=0.0)
    rows = [_row(*told[key], samples[key]) for key in work]
    profiles = [_profile(name, 16 if quick else 1024, seed, 5 if quick else 200) for name in sizes]
    memory = _memory(16 if quick else MEMORY_ENVS)
    used = threads or os.cpu_count() or 1
    return VectorReport(
        quick=quick, machine=machine, threads=used, rows=rows, profiles=profiles, memory=memory,
        targets=[] if quick else _targets(rows, memory),
    )  # fmt: skip


def _made(name: str, num_envs: int, threads: int | None) -> DistGridVectorEnv:
    env = gymnasium.make_vec(
        f"distgrid/{name}", num_envs=num_envs, vectorization_mode="vector_entry_point", threads=threads
    )
    assert isinstance(env, DistGridVectorEnv)
    return env


def _single(name: str) -> Callable[[], gymnasium.Env[Any, Any]]:
    return lambda: gymnasium.make(f"distgrid/{name}", disable_env_checker=True)


def _actions(env: gymnasium.vector.VectorEnv[Any, Any, Any], seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    shape = env.action_space.shape
    return [rng.uniform(-1.0, 1.0, shape).astype(np.float32) for _ in range(_DRAWN)]


def _episode(env: gymnasium.vector.VectorEnv[Any, Any, Any], seed: int) -> Callable[[], object]:
    """One day in every environment, autoreset included."""
    drawn = _actions(env, seed)
    env.reset(seed=seed)

    def work() -> None:
        for k in range(_EPISODE):
            env.step(drawn[k % _DRAWN])

    return work


def _row(name: str, way: str, num_envs: int, samples: Samples) -> VectorRow:
    steps = num_envs * _EPISODE
    took = timing(Samples(samples.wall / steps, samples.cpu / steps, steps))
    return VectorRow(
        env=name, way=way, num_envs=num_envs, timing=took, steps_per_s=1.0 / took.wall_s.median,
        best_steps_per_s=float(steps / samples.wall.min()), steps_per_cpu_s=1.0 / took.cpu_s.median,
        best_steps_per_cpu_s=float(steps / samples.cpu.min()),
    )  # fmt: skip


def _targets(rows: list[VectorRow], memory: VectorMemory) -> list[Target]:
    best = {(r.env, r.num_envs): r.best_steps_per_s for r in rows if r.way == OURS}
    targets = [
        Target(name=f"{name}, {count} environments: steps per second, best round", wanted=wanted,
               value=best[name, count])
        for name, wanted in TARGET_STEPS.items() for count in TARGET_SIZES
    ]  # fmt: skip
    rates = [best[SMALL, count] for count in SIZES[SMALL]]
    spread = (
        f"{SMALL}: lowest rate from {SIZES[SMALL][0]} to {SIZES[SMALL][-1]} environments over the highest"
    )
    targets.append(Target(name=spread, wanted=KEPT_SHARE, value=min(rates) / max(rates)))
    stored = f"{memory.env}, {memory.num_envs} environments: largest memory of the process, GB"
    targets.append(Target(name=stored, wanted=MEMORY_GB, value=memory.peak_gb, at_most=True))
    return targets


# Linux counts the largest memory of a process from the one that started it; the file in /proc does not.
_MEASURED = """
import re, resource, sys, gymnasium, distgrid
env = gymnasium.make_vec(sys.argv[1], num_envs=int(sys.argv[2]), vectorization_mode="vector_entry_point")
kept = env.reset(seed=0)
for _ in range(4):
    kept = env.step(env.neutral_action)
if sys.platform == "linux":
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024 / 1e9)
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak * (1 if sys.platform == "darwin" else 1024) / 1e9)
"""


def _memory(num_envs: int) -> VectorMemory:
    """The whole process, interpreter and libraries included, with a transition kept."""
    command = [sys.executable, "-c", _MEASURED, f"distgrid/{LARGEST}"]
    subprocess.run([*command, "16"], capture_output=True, check=True)  # compiling takes memory, once
    done = subprocess.run([*command, str(num_envs)], capture_output=True, text=True, check=True)
    return VectorMemory(env=LARGEST, num_envs=num_envs, peak_gb=float(done.stdout))


def _places(env: DistGridVectorEnv) -> list[tuple[str, Any, str]]:
    """What the stopwatch is put around: (part, owner, attribute). Nested parts are not counted twice."""
    resources, observation, infos = "resources: fleet", "observation", "infos"
    places: list[tuple[str, Any, str]] = [
        ("action check", vector, "checked"), ("clocks and ends", transition, "tick_rows"),
        (infos, vector, "masked"),
    ]  # fmt: skip
    for name in ("__init__", "write_state", "write_outcome", "state", "step"):
        places.append((infos, vector_info.InfoArrays, name))
    for shard in env.shards:
        grid = shard.grid
        places += [(resources, grid.fleet, n) for n in ("advance", "add_injections", "costs", "observe")]
        places += [
            (SOLVE, grid.stepper, "solve"),
            (observation, grid, "observe"),
        ]
        places += [("sums of rewards and costs", grid, name) for name in ("_priced", "_total")]
    lead = env.shards.grid
    return [*places, ("load profile", lead.load, "fill_rows"), ("task: reward terms", lead.task, "terms")]


def _profile(name: str, num_envs: int, seed: int, steps: int) -> EnvProfile:
    """On one thread, where the stopwatch sees everything; microseconds of one environment's step."""
    env = _made(name, num_envs, 1)
    drawn = _actions(env, seed)
    watch = Stopwatch()
    watch.calibrate()
    with around(watch, _places(env)):
        step = watch.wrap(REST, env.step)
        env.reset(seed=seed)
        watch.clear()
        taken = 0
        while taken < steps:
            for k in range(min(_EPISODE - 1, steps - taken)):
                step(drawn[k % _DRAWN])
                taken += 1
            watch.running = False
            env.reset()
            watch.running = True
    parts = watch.parts()
    swept = min(parts[SOLVE], taken * sum(_sweep_s(env.feeder, shard.grid.stepper) for shard in env.shards))
    parts[MEASURE], parts[SOLVE] = parts[SOLVE] - swept, swept
    total, each = sum(parts.values()), num_envs * taken
    listed = [
        TimePart(name=part, microseconds=1e6 * s / each, share=s / total)
        for part, s in sorted(parts.items(), key=lambda item: -item[1])
    ]
    return EnvProfile(
        env=f"{name}, {num_envs} environments, one thread", steps=each, step_us=1e6 * total / each,
        stopwatch_us=1e6 * watch.overhead_s / each, parts=listed,
    )  # fmt: skip


def _sweep_s(feeder: Feeder, stepper: Any) -> float:
    """Seconds of the power flow without measuring, on the loads that the stepper holds: median of some."""
    sweep = (_blocks if feeder.phases == "per-phase" else _rows)(stepper)
    sweep()  # compiled
    took = []
    for _ in range(9):
        began = time.perf_counter()
        sweep()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def _blocks(stepper: Stepper3) -> Callable[[], None]:
    """Per phase, as often as there are blocks: the one that was solved last."""
    net, size = stepper.net, min(LANES, stepper.batch)
    given, room = stepper.last_block, room_for_phases(net.topology.plan, net.cap_on.size, size)
    width = 6 * net.n_bus + 3 * len(net.sources)
    out = Outputs3(np.empty((size, width), np.complex128), np.zeros((size, 3)))

    def sweep() -> None:
        for _ in range(-(-stepper.batch // size)):
            solve_rows(
                net.topology.plan, room, given, out, True, 0, size, 3.0 / net.base_mva, 1e-8, 100,
                stepper.v_collapse_pu,
            )  # fmt: skip

    return sweep


def _rows(stepper: Stepper) -> Callable[[], None]:
    net, batch = stepper.net, stepper.batch
    inputs = Inputs(stepper.load_p_mw, stepper.load_q_mvar, stepper.inject_p_mw, stepper.inject_q_mvar)
    outputs = Outputs(
        np.empty_like(stepper.v), np.empty_like(stepper.s_from),
        np.empty((batch, net.source_node.size), np.complex128), stepper.ended.copy(), stepper.measured.copy(),
    )  # fmt: skip
    source, start = np.repeat(net.source_phasor[None], batch, axis=0), np.empty((0, 0), np.complex128)
    room = workspace_for(net.topology.plan, batch)

    def sweep() -> None:
        sweep_rows(
            net.topology.plan, room, source, start, inputs, outputs, 0, batch, 1.0 / net.base_mva, 1e-8, 100,
            stepper.v_collapse_pu,
        )  # fmt: skip

    return sweep
