"""What the bracket of a day decides and bounds beside its cones: windows, commitments, reach; whole days."""

from __future__ import annotations

import itertools

import gymnasium
import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.optimal.bracket import bracket
from distgrid.baselines.optimal.branch_flow import Demand
from distgrid.baselines.optimal.devices import Box
from distgrid.baselines.optimal.devices.generators import _best_path
from distgrid.baselines.optimal.devices.load_windows import best_windows
from distgrid.baselines.optimal.radial import radial_network
from distgrid.baselines.optimal.reach import reachable
from distgrid.envs.resources.outlook import Commitment


def window_by_program(take: np.ndarray, back: np.ndarray, most: np.ndarray, most_back: float) -> float:
    """Least cost of one window by linear programming: what is taken is returned later within it."""
    from scipy.optimize import linprog

    n = take.size
    pairs = [(s, t) for s in range(n) for t in range(s + 1, n)]
    if not pairs:
        return 0.0
    rows = np.zeros((2 * n, len(pairs)))
    for k, (s, t) in enumerate(pairs):
        rows[s, k] = rows[n + t, k] = 1.0
    cost = [take[s] + back[t] for s, t in pairs]
    return float(linprog(cost, A_ub=rows, b_ub=np.concatenate([most, np.full(n, most_back)])).fun)


@pytest.mark.parametrize("seed", range(4))
def test_windows_are_the_best_of_all_partitions(seed: int) -> None:
    """Against every way to cut 7 intervals into windows of 3 at most, each by linear programming."""
    rng = np.random.default_rng(seed)
    take, most = np.abs(rng.normal(size=7)), rng.uniform(0.2, 1.0, 7)  # nothing pays to be left owed
    back = -np.abs(rng.normal(size=7))
    windows = [(a, b) for a in range(7) for b in range(a + 1, min(a + 3, 7) + 1)]
    worth = {(a, b): window_by_program(take[a:b], back[a:b], most[a:b], 0.6) for a, b in windows}
    least = np.inf
    for cuts in itertools.product((1, 2, 3), repeat=7):
        ends = np.cumsum(cuts)
        ends = ends[: int(np.searchsorted(ends, 7)) + 1]
        if ends[-1] == 7:
            least = min(least, sum(worth[part] for part in itertools.pairwise([0, *ends.tolist()])))
    cost, number = best_windows(take, back, most, 0.6, 3)
    assert cost == pytest.approx(least, abs=1e-9)
    assert all(np.sum(number == k) <= 3 for k in range(1, number.max() + 1))


@pytest.mark.parametrize("seed", range(4))
def test_commitments_are_the_best_of_all(seed: int) -> None:
    """Against all 2^9 ways to be on and off, with the least times of each start and stop."""
    rng, steps, up, down = np.random.default_rng(seed), 9, 3, 2
    running, starts, stops = rng.normal(size=steps), rng.uniform(0, 1, steps), rng.uniform(0, 1, steps)
    one = np.ones(1)
    units = Commitment(
        np.array([seed % 2 == 1]), 5.0 * one, 0.0 * one, 0.1 * one, one, 0.0 * one, np.inf * one, up * one,
        down * one, 0.0 * one, 0.0 * one, 0.0 * one, 0.0 * one,
    )  # fmt: skip
    least = np.inf
    for path in itertools.product((0, 1), repeat=steps):
        state, since, cost, legal = int(units.on[0]), 5, 0.0, True
        for t, now in enumerate(path):
            if now != state:
                legal &= since >= (up if state else down)
                cost += starts[t] if now else stops[t]
                state, since = now, 0
            since += 1
            cost += running[t] * now
        least = min(least, cost) if legal else least
    cost, found = _best_path(units, 0, running, starts, stops)
    assert cost == pytest.approx(least, abs=1e-9)
    assert set(found.tolist()) <= {0, 1}


def test_no_power_flow_is_beyond_the_reach() -> None:
    """Row 20: voltages and currents of 200 draws within boxes lie within the intervals."""
    net = physics.compile(cases.load("case33bw"))
    network = radial_network(net)
    rng, m, n = np.random.default_rng(0), network.size, 200
    demand = Demand(
        net.load_p_mw[None, network.node], net.load_q_mvar[None, network.node], np.full((1, 1), 1.02)
    )
    most = np.zeros((1, m))
    most[0, [5, 17, 24, 32]] = 0.5
    reach = reachable(network, demand, Box(-most, most, -0.5 * most, 0.5 * most))
    assert reach is not None
    p, q = np.zeros((n, net.n_bus)), np.zeros((n, net.n_bus))
    p[:, network.node] = rng.choice([-1.0, 1.0], (n, m)) * most
    q[:, network.node] = rng.choice([-0.5, 0.5], (n, m)) * most
    loads = (np.repeat(one[None], n, axis=0) for one in (net.load_p_mw, net.load_q_mvar))
    sol = physics.solve(
        net, *loads, p_inject_mw=p, q_inject_mvar=q, v_source_pu=np.full((n, 1), 1.02), tol=1e-10
    )
    v2 = sol.v_pu[:, network.node] ** 2
    assert sol.converged.all()
    assert (v2 >= reach.v_low).all()
    assert (v2 <= reach.v_high).all()
    assert v2.min() - reach.v_low.min() < 0.02  # and it is no empty statement


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "day"),
    [("DERDispatch-33bw-v0", 266), ("EVCharging-33bw-v0", 203), ("SetpointTracking-33bw-v0", 202)],
)
def test_days_of_the_suite_are_within_a_per_cent(name: str, day: int) -> None:
    """Capability 77: generators, windows, rooms, functions of inverters and a signal, on registered days."""
    found = bracket(gymnasium.make(f"distgrid/{name}", split="test", disable_env_checker=True), day)
    assert found.do_nothing < found.best_known <= found.bound + 1e-4
    assert found.gap < 0.005
