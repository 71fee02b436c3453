"""A network is shared: between threads, with forked and spawned processes, by pickle; and it may be large."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics

from .grids import Features, Grid, random_tree
from .oracle import load_power

Nets = Callable[[str], physics.Network]


def test_a_network_survives_pickling() -> None:
    """Capability 17: the copy, in any process, gives the same bits; loops are not warned of twice."""
    feeder = cases.load("case33bw").with_switch("9-15", closed=True)
    with pytest.warns(physics.MeshWarning):
        net = physics.compile(feeder)
    rich = physics.compile(random_tree(9, 30, Features(*[True] * 7)).feeder())
    for original in (net, rich):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            copy = pickle.loads(pickle.dumps(original))  # noqa: S301
        assert copy is not original
        assert copy.allow_mesh_pruning == original.allow_mesh_pruning
        assert (physics.solve(copy).v == physics.solve(original).v).all()


def test_eight_threads_on_one_network(network: Nets) -> None:
    """Capability 17: concurrent solves with different states equal the serial ones, bit for bit."""
    net = network("case118zh")
    rng = np.random.default_rng(1)
    jobs: list[dict[str, Any]] = []
    for _ in range(40):
        p = net.load_p_mw * rng.uniform(0.2, 1.5, (int(rng.integers(1, 40)), net.n_bus))
        taps = np.where(rng.random(net.n_branch) < 0.02, 0.98, 1.0)
        jobs.append({"p_mw": p, "tap": taps, "v_source_pu": float(rng.uniform(0.97, 1.03))})
    fresh = physics.compile(net.feeder)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: physics.solve(fresh, **job), jobs))
    for job, sol in zip(jobs, together, strict=True):
        alone = physics.solve(net, **job)
        assert alone.v.tobytes() == sol.v.tobytes()
        assert alone.p_slack_mw.tobytes() == sol.p_slack_mw.tobytes()


def test_many_topologies_are_remembered_up_to_a_limit(network: Nets) -> None:
    """Capability 9: a restoration that tries a thousand switch states does not fill the memory."""
    net = physics.compile(network("case33bw").feeder)
    taps = np.ones((700, net.n_branch))
    taps[:, 0] = np.linspace(0.95, 1.05, 700)
    sol = physics.solve(net, tap=taps)
    assert sol.converged.all()
    assert len(net._variants) <= 256
    assert (np.diff(sol.v_pu[:, 17]) < 0).all()


FORK = """
import os, signal, sys
import numpy as np
from distgrid import cases, physics
net = physics.compile(cases.load("case33bw"))
p = np.tile(net.load_p_mw, (700, 1))
parent = physics.solve(net, p, threads=2).v_pu
child = os.fork()
if child == 0:
    signal.alarm(30)  # a child that waits for ever ends and is reported
    good = (physics.solve(net, p, threads=2).v_pu == parent).all()
    os._exit(0 if good else 3)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_worker_has_threads_of_its_own() -> None:
    """Trap 25c: the parent's pool does not follow into a forked child, which must not wait for it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def wide(n: int, chain: bool) -> Grid:
    """A tree of n nodes without voltage problems: a chain, or each node below one of the last fifty."""
    rng = np.random.default_rng(8)
    grid = Grid(base_mva=100.0, name="large")
    for k in range(n):
        grid.node(f"n{k}")
        if k:
            up = k - 1 if chain else int(rng.integers(max(0, k - 50), k))
            z = 1e-6 if chain else 1e-4
            grid.branch(f"n{up}", f"n{k}", z, z)
            shares = (0.3, 0.2) if k % 2 else (0.0, 0.0)
            grid.load(f"n{k}", 1e-3 * rng.random(), 5e-4 * rng.random(), *shares)
    grid.source("n0")
    return grid.shuffled(rng)


@pytest.mark.quick(1)
@pytest.mark.parametrize("shape", ["tree", "chain"])
def test_twenty_thousand_nodes(shape: str) -> None:
    """Capability 17: no recursion, no quadratic step: compiled in a few seconds, power balances."""
    n = 20_000
    feeder = wide(n, shape == "chain").feeder()
    begin = time.perf_counter()
    net = physics.compile(feeder)
    sol = physics.solve(net)
    assert time.perf_counter() - begin < 10  # 0.2 s on a laptop; a quadratic step takes minutes
    assert sol.converged
    assert 0.5 < sol.v_pu.min() < 0.999
    served = load_power(feeder, sol.v_pu)[0].real.sum()
    assert sol.p_slack_mw == pytest.approx(served + sol.p_loss_mw, abs=1e-8)
    assert sol.p_loss_mw == pytest.approx(series_loss(net, sol), rel=1e-8)
    assert net.topology.in_tree.all()


def series_loss(net: physics.Network, sol: physics.Solution) -> float:
    """MW: r |I|^2 summed, with Ohm's law from the voltages."""
    z = net.r_pu + 1j * net.x_pu
    current = (sol.v[net.from_row] - sol.v[net.to_row]) / z
    return float((net.r_pu * np.abs(current) ** 2).sum() * net.base_mva)
