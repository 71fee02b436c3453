"""Timings of the power flow and of the environments on this machine.

    python tools/bench.py [--seconds 1.0]

Compilation is not counted. A rate is the best of three rounds: other programs can only slow one down.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable

import gymnasium
import numpy as np
from rich.console import Console
from rich.table import Table

import distgrid
from distgrid import cases, physics

BATCHES = (1, 64, 4096)
FEEDERS = ("case33bw", "case118zh", "case141", "case533mt_hi")


def rate(work: Callable[[], int], seconds: float) -> float:
    """Items a second: `work` does some and says how many."""
    work()
    best = 0.0
    for _ in range(3):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds / 3:
            done += work()
        best = max(best, done / (time.perf_counter() - start))
    return best


def power_flow(name: str, batch: int, seconds: float) -> float:
    """Power flows a second with every row's loads drawn between 50 % and 110 % of nominal."""
    feeder = cases.load(name)
    net = physics.compile(feeder)
    share = np.random.default_rng(0).uniform(0.5, 1.1, (batch, feeder.n_nodes))
    p_mw = share * feeder.column("nodes", "load_p_mw")
    q_mvar = share * feeder.column("nodes", "load_q_mvar")

    def work() -> int:
        solution = physics.solve(net, p_mw, q_mvar)
        if not np.all(solution.converged):
            raise RuntimeError(f"{name}: a power flow of the benchmark did not converge")
        return batch

    return rate(work, seconds)


def steps(identity: str, seconds: float) -> float:
    """Steps a second of one environment under random actions, resets included."""
    env = gymnasium.make(identity)
    env.action_space.seed(0)
    env.reset(seed=0)
    actions = [env.action_space.sample() for _ in range(96)]

    def work() -> int:
        for count, action in enumerate(actions, 1):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
                return count
        return len(actions)

    return rate(work, seconds)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="time to spend on each number")
    seconds = parser.parse_args().seconds
    console = Console()
    console.print(
        f"distgrid {distgrid.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"{platform.machine()}; tolerance 1e-8 pu"
    )
    flows = Table("feeder", *(f"batch {b}" for b in BATCHES), title="power flows per second")
    for name in FEEDERS:
        flows.add_row(name, *(f"{power_flow(name, batch, seconds):,.0f}" for batch in BATCHES))
    console.print(flows)
    stepped = Table("environment", "steps", title="environment steps per second")
    for identity in (i for i in gymnasium.registry if i.startswith("distgrid/")):
        stepped.add_row(identity, f"{steps(identity, seconds):,.0f}")
    console.print(stepped)


if __name__ == "__main__":
    main()
