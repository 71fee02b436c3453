"""`distgrid bench marl`: joint steps per second of many agents, and how they grow with their number."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...cases import Feeder, load
from ...envs import (
    PV,
    Battery,
    DERDispatch,
    DistGridVectorEnv,
    HeatPump,
    ParallelVec,
    ResourceSpec,
    parallel_env,
    parallel_vec,
)
from ...envs.agents import Cut
from .harness.timing import Samples, exponent, take_turns, timing
from .report.machine import describe
from .report.marl import MarlGrowth, MarlReport, MarlRow
from .report.results import NOT_INSTALLED, Target

FEEDER, AGENTS = "case533mt_hi", 500
PHASES = "marl_ders_benchmark-ieee123-v0"  # 1,000 agents
TARGET_STEPS = {FEEDER: 4_000.0, PHASES: 1_500.0}
GROWTH, MOST_EXPONENT = (125, 250, 500, 1000, 2000), 1.1
BATCHED, THIN = "batched, one thread", "PettingZoo ParallelEnv"
PEER, PEER_AGENTS = "mpe2 simple_spread_v3", 20
_ENVS = 64
_DRAWN = 4  # actions drawn beforehand, used in turn


def bench_marl(*, quick: bool = False, seed: int = 0) -> MarlReport:
    """Time joint steps on one core under random actions; the scope of observations is "zone".

    Args:
        quick: few agents and one round: shows that everything works, no numbers to quote.
        seed: of the actions and of the episodes.
    """
    machine = describe()
    envs, rounds, steps = (4, 1, 2) if quick else (_ENVS, 7, 24)
    agents = 50 if quick else AGENTS
    feeder = load(FEEDER)
    work: dict[str, Callable[[], object]] = {}
    told: dict[str, tuple[str, str, int, int]] = {}

    def add(env: str, way: str, n_agents: int, num_envs: int, run: Callable[[], object]) -> None:
        work[f"{env} {way}"], told[f"{env} {way}"] = run, (env, way, n_agents, num_envs)

    add(FEEDER, BATCHED, agents, envs, _batched(many(feeder, agents, envs), steps, seed))
    phased = parallel_vec(PHASES, envs, threads=1)
    add(PHASES, BATCHED, phased.num_agents, envs, _batched(phased, steps, seed))
    thin = parallel_env(PHASES)
    add(PHASES, THIN, len(thin.possible_agents), 1, _by_name(thin, steps, seed))
    peer = _peer(10 if quick else PEER_AGENTS)
    if peer is not None:
        add(PEER, THIN, len(peer.possible_agents), 1, _by_name(peer, steps, seed))
    sizes = (20, 40) if quick else GROWTH
    for n in sizes:
        work[f"growth {n}"] = _batched(many(feeder, n, envs), steps, seed)
    samples = take_turns(work, rounds=rounds, slice_s=0.0)
    rows = [_row(*told[key], samples[key], steps) for key in told]
    if peer is None:
        rows.append(MarlRow(env=PEER, way=THIN, agents=PEER_AGENTS, num_envs=1, status=NOT_INSTALLED))
    took = [float(np.median(samples[f"growth {n}"].cpu)) / (envs * steps) for n in sizes]
    grows = exponent(sizes, took)
    growth = MarlGrowth(
        env=FEEDER, agents=list(sizes), cpu_s=took, exponent=grows if grows is not None else 0.0
    )
    targets = [] if quick else _targets(rows, growth)
    return MarlReport(quick=quick, machine=machine, rows=rows, growth=growth, targets=targets)


def many(feeder: Feeder, agents: int, num_envs: int) -> ParallelVec:
    """A balanced feeder with so many small devices, one agent each: batteries, PV and heat pumps in turn."""
    buses = [str(bus) for bus in feeder.column("nodes", "node_id")][1:]
    share = 4.0 / agents  # MW each: together about what the feeder draws
    fleet: list[ResourceSpec] = []
    for k in range(agents):
        bus = buses[k * len(buses) // agents] if agents < len(buses) else buses[k % len(buses)]
        kinds: Sequence[Callable[[], ResourceSpec]] = (
            lambda bus=bus: Battery(bus, share, 4.0 * share),  # type: ignore[misc]
            lambda bus=bus, k=k: PV(bus, share, site=k % 25, controls="q"),  # type: ignore[misc]
            lambda bus=bus: HeatPump(bus, 0.5 * share, discomfort_cost_per_kh=10.0 * share),  # type: ignore[misc]
        )
        fleet.append(kinds[k % len(kinds)]())
    env = DistGridVectorEnv(feeder, fleet, DERDispatch(), num_envs=num_envs, threads=1, observation="global")
    return ParallelVec(env, Cut())


def _batched(env: ParallelVec, steps: int, seed: int) -> Callable[[], object]:
    """Joint steps of the batched form."""
    rng = np.random.default_rng(seed)
    shape = (_DRAWN, env.num_envs, env.num_agents, env.action_width)
    drawn = rng.uniform(-1.0, 1.0, shape).astype(np.float32)
    env.reset(seed=seed)

    def work() -> None:
        for k in range(steps):
            env.step(drawn[k % _DRAWN])

    return work


def _by_name(env: Any, steps: int, seed: int) -> Callable[[], object]:
    """Joint steps of a PettingZoo ParallelEnv; the resets of episodes that end are on the clock."""
    env.reset(seed=seed)
    drawn = []
    for k, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(seed + k)
    for _ in range(_DRAWN):
        drawn.append({agent: env.action_space(agent).sample() for agent in env.possible_agents})

    def work() -> None:
        for k in range(steps):
            if not env.agents:
                env.reset()
            env.step(drawn[k % _DRAWN])

    return work


def _peer(agents: int) -> Any:
    """PettingZoo's particle world with so many agents; None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from mpe2 import simple_spread_v3
        except ImportError:
            return None
        return simple_spread_v3.parallel_env(N=agents, max_cycles=96)


def _row(env: str, way: str, agents: int, num_envs: int, samples: Samples, steps: int) -> MarlRow:
    joint = num_envs * steps
    took = timing(Samples(samples.wall / joint, samples.cpu / joint, joint))
    rate = 1.0 / took.wall_s.median
    return MarlRow(
        env=env, way=way, agents=agents, num_envs=num_envs, timing=took, joint_steps_per_s=rate,
        joint_steps_per_cpu_s=1.0 / took.cpu_s.median, agent_steps_per_s=agents * rate,
    )  # fmt: skip


def _targets(rows: Sequence[MarlRow], growth: MarlGrowth) -> list[Target]:
    best = {row.env: row for row in rows if row.way == BATCHED}
    found = [
        Target(name=f"{env}, {best[env].agents} agents: joint steps per processor second, one thread",
               wanted=wanted, value=best[env].joint_steps_per_cpu_s)
        for env, wanted in TARGET_STEPS.items()
    ]  # fmt: skip
    name = f"{growth.env}: exponent of a joint step's time in the number of agents"
    return [*found, Target(name=name, wanted=MOST_EXPONENT, value=growth.exponent, at_most=True)]
