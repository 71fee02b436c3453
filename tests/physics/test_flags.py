"""What `converged`, `diverged` and `collapsed` promise, up to and beyond the nose of the PV curve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases, physics
from distgrid.physics.balanced.kernels import power_sweeps

from .grids import Features, chain, random_tree
from .oracle import dense_newton, load_power, reached

Nets = Callable[[str], physics.Network]
features = st.builds(Features, *[st.booleans()] * 7)
NUMBERS = (
    "v_pu", "v_deg", "p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka", "p_loss_mw", "q_loss_mvar",
    "p_slack_mw", "q_slack_mvar", "v_update_pu",
)  # fmt: skip


def times(net: physics.Network, factor: float, **options: Any) -> physics.Solution:
    """The feeder with all loads multiplied."""
    return physics.solve(net, factor * net.load_p_mw, factor * net.load_q_mvar, **options)


def true_solution(net: physics.Network, factor: float) -> np.ndarray:
    """Upper solution by Newton, led up the PV curve in steps."""
    v: np.ndarray | None = None
    for part in np.linspace(1.0, factor, 12):
        v = dense_newton(net.feeder.with_loads(part * net.load_p_mw, part * net.load_q_mvar), v0=v)
    assert v is not None
    return v


# 118zh has its nose at 2.469 times the load, 33bw at 3.62
NEAR_THE_NOSE = [
    ("case118zh", 2.3), ("case118zh", 2.4), ("case118zh", 2.44), ("case118zh", 2.46),
    ("case33bw", 3.3), ("case33bw", 3.5), ("case33bw", 3.6),
]  # fmt: skip


@pytest.mark.parametrize(("name", "factor"), NEAR_THE_NOSE)
def test_near_the_nose_the_answer_is_newtons_or_no(name: str, factor: float, network: Nets) -> None:
    """Trap 4, 8: no floor leaks into a converged result; given sweeps enough it does converge."""
    net, newton = network(name), true_solution(network(name), factor)
    default = times(net, factor)
    assert default.converged != default.diverged
    if default.converged:
        assert np.abs(default.v - newton).max() < 1e-6
    patient = times(net, factor, max_iter=5000)
    assert patient.converged
    assert np.abs(patient.v - newton).max() < 1e-6
    exact = times(net, factor, max_iter=5000, tol=1e-12)
    assert np.abs(exact.v - newton).max() < 1e-9


def test_118zh_at_two_and_four_tenths(network: Nets) -> None:
    """Trap 4: the lowest voltage is 0.5273; a floor on V^2 made 0.5495 of it and called it converged."""
    sol = times(network("case118zh"), 2.4)
    assert sol.converged
    assert not sol.collapsed
    assert sol.v_pu.min() == pytest.approx(0.5273, abs=5e-5)


def test_a_true_solution_below_half_a_pu_is_both(network: Nets) -> None:
    """Capability 100: just short of the nose both flags are true; v_collapse_pu moves one of them."""
    net = network("case33bw")
    sol = times(net, 3.6)
    assert sol.converged
    assert sol.collapsed
    assert not sol.diverged
    assert 0.46 < sol.v_pu.min() < 0.48
    lenient = times(net, 3.6, v_collapse_pu=0.4)
    assert lenient.converged
    assert not lenient.collapsed
    assert (lenient.v == sol.v).all()
    assert times(net, 1.0, v_collapse_pu=0.95).collapsed


@pytest.mark.parametrize("factor", [3.7, 4.0, 10.0, 100.0, 1e4, 1e6])
@pytest.mark.parametrize("max_iter", [100, 3000])
def test_overload_is_flagged_and_finite(factor: float, max_iter: int, network: Nets) -> None:
    """Capability 100, Trap 8: no solution: diverged, never converged, and every number finite."""
    sol = times(network("case33bw"), factor, max_iter=max_iter)
    assert sol.diverged
    assert not sol.converged
    for name in NUMBERS:
        assert np.isfinite(getattr(sol, name)).all(), name


@pytest.mark.parametrize("factor", [3.7, 4.0, 10.0])
def test_overload_collapses(factor: float, network: Nets) -> None:
    """Capability 100: the update enters |V| < 0.5 on its way, whatever the last iterate looks like."""
    assert times(network("case33bw"), factor).collapsed


def test_an_update_without_bound_stops_early(network: Nets) -> None:
    """Capability 100: a runaway is not fed for max_iter sweeps."""
    assert times(network("case33bw"), 1e6).iterations < 10


def test_one_sweep_is_never_enough(network: Nets) -> None:
    """Capability 100: max_iter=1 cannot have shown convergence, so it is diverged, with the last iterate."""
    sol = physics.solve(network("case33bw"), max_iter=1)
    assert sol.diverged
    assert not sol.converged
    assert not sol.collapsed
    assert sol.iterations == 1
    assert 1e-3 < sol.v_update_pu < 0.2
    assert np.isfinite(sol.v_pu).all()


def test_exactly_enough_sweeps_is_enough(network: Nets) -> None:
    """Capability 100: max_iter is a limit on sweeps: the number reported suffices, half of it does not."""
    net = network("case118zh")
    sol = physics.solve(net)
    again = physics.solve(net, max_iter=int(sol.iterations))
    assert again.converged
    assert (again.v == sol.v).all()
    for limit in range(1, int(sol.iterations)):
        short = physics.solve(net, max_iter=limit)
        assert short.iterations <= limit
        assert short.converged or short.diverged
        if short.converged:
            assert np.abs(short.v - sol.v).max() < 1e-7
    assert physics.solve(net, max_iter=int(sol.iterations) // 2).diverged


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), features, st.floats(0.05, 0.6))
def test_converged_means_a_true_solution(seed: int, n: int, having: Features, drop: float) -> None:
    """Capability 100, Trap 4: converged rows have no mismatch and no voltage near the clamp."""
    feeder = random_tree(seed, n, having, drop=drop).feeder()
    net = physics.compile(feeder)
    sol = physics.solve(net, tol=1e-11, max_iter=2000)
    assert sol.converged != sol.diverged
    if not sol.converged:
        assert drop > 0.15
        return
    assert sol.v_pu.min() > power_sweeps.V_FLOOR_PU
    assert bool(sol.collapsed) == bool(sol.v_pu.min() < 0.5)
    assert sol.v_update_pu < 1e-11
    assert mismatch(net, sol).max() < 1e-10


def mismatch(net: physics.Network, sol: physics.Solution) -> np.ndarray:
    """(m,) pu, by tree position: power that Ohm's law brings to a bus less what it draws there.

    Computed from the voltages alone. Their rounding, 1e-16 pu, is a flow of 1e-16 / |z|: that is taken off.
    """
    tree = net.topology.tree
    fed = np.flatnonzero(tree.branch >= 0)
    up, v = tree.parent[fed], sol.v[tree.order]
    ratio, z = (tree.a_re + 1j * tree.a_im)[fed], (tree.z_re + 1j * tree.z_im)[fed]
    arriving, rounding = np.zeros(v.size, complex), np.zeros(v.size)
    current = (ratio * v[up] - v[fed]) / z
    np.add.at(arriving, fed, current)
    np.add.at(arriving, up, -np.conj(ratio) * current)
    for ends in (fed, up):
        np.add.at(rounding, ends, 4e-15 / np.abs(z))
    demand, _ = load_power(net.feeder, sol.v_pu)
    drawn = np.conj(demand[tree.order] / net.base_mva / v) + (tree.y_re + 1j * tree.y_im) * v
    return np.maximum(np.abs(v * (arriving - drawn)) - rounding, 0.0)[fed]


def test_rows_are_flagged_apart(network: Nets) -> None:
    """Capability 100: one batch may hold a solved row, a collapsed one and a diverged one."""
    net = network("case33bw")
    factor = np.array([1.0, 3.6, 4.0, 0.0])[:, None]
    sol = physics.solve(net, factor * net.load_p_mw, factor * net.load_q_mvar)
    assert sol.converged.tolist() == [True, True, False, True]
    assert sol.diverged.tolist() == [False, False, True, False]
    assert sol.collapsed.tolist() == [False, True, True, False]


def test_the_nose_of_one_line() -> None:
    """Trap 4: a line with one load, closed form: true within 1e-6 of its nose, flagged beyond."""
    z, s = 0.1 + 0.1j, 1 + 0.5j
    per = np.conj(z) * s  # |V|^2 = root of u^2 + (2 Re(per) - 1) u + |per|^2
    limit = 1 / (2 * (per.real + abs(per)))
    for short in (1e-1, 1e-3, 1e-5, 1e-6):
        k = limit * (1 - short)
        b = 1 - 2 * k * per.real
        exact = np.sqrt((b + np.sqrt(b * b - 4 * k * k * abs(per) ** 2)) / 2)
        net = physics.compile(chain(2, p=k, q=0.5 * k, r=0.1, x=0.1, base_mva=1.0).feeder())
        sol = physics.solve(net, max_iter=200_000, tol=1e-12)
        assert sol.converged
        assert sol.v_pu[1] == pytest.approx(exact, abs=2e-8)
    beyond = chain(2, p=limit * 1.001, q=0.5005 * limit, r=0.1, x=0.1, base_mva=1.0).feeder()
    assert physics.solve(physics.compile(beyond), max_iter=20_000).diverged


def test_the_oracle_reaches_what_compile_energises() -> None:
    """The dense Newton's idea of what is connected equals the package's."""
    feeder = cases.load("case136ma")
    assert (reached(feeder) == physics.compile(feeder).energised).all()
