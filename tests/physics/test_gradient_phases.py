"""Gradients of per-phase feeders against central differences of the power flow."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.physics.unbalanced.kernels.adjoint_tree import tree_rows

from .differences import agree, differences, draw_weights
from .phase_grids import random_feeder
from .phase_kinds import random_kinds

RESULTS = (
    "v_pu", "v_deg", "p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka", "loading", "p_loss_mw",
    "q_loss_mvar", "p_slack_mw", "q_slack_mvar",
)  # fmt: skip
TIGHT: dict[str, Any] = {"tol": 1e-12, "max_iter": 400}
LARGEST = 15.0  # times the median: at weaker places the power flow is bent too much for a difference
FEEDERS = tuple(cases.names(phases="per-phase"))


def far_from_kinks(sol: physics.Solution3, least_mva: float, apart_by: float) -> Any:
    """(n_branch, 3) phases with a flow, whose larger end stays the larger one."""
    sizes = [np.hypot(sol.p_from_mw, sol.q_from_mvar), np.hypot(sol.p_to_mw, sol.q_to_mvar)]
    currents = [np.abs(current[0]) for current in sol.currents]
    ratings = sol.net.phase_rating_mva
    loadings = [np.nan_to_num(size / rating) for size, rating in zip(sizes, ratings, strict=True)]
    apart = [np.abs(a - b) > apart_by * np.maximum(a, b) for a, b in (currents, loadings)]
    alike = np.abs(currents[0] - currents[1]) <= 1e-10 * currents[0]
    return (np.minimum(*sizes) > least_mva) & (apart[0] | alike) & apart[1]


def sound_places(sol: physics.Solution3) -> dict[str, Any]:
    """(n_bus, 3) phases and legs with a voltage: across none, a constant power has no solution nearby."""
    v = np.nan_to_num(sol.v)
    ground = np.abs(v) > 0.7
    legs = np.stack([np.abs(v[:, a] - v[:, b]) > 0.7 for a, b in ((0, 1), (1, 2), (2, 0))], axis=1)
    wye, delta = ("p_mw", "q_mvar", "p_inject_mw", "q_inject_mvar"), ("p_delta", "q_delta")
    names = dict.fromkeys(wye, ground)
    for name in delta:
        unit = "mw" if name.startswith("p") else "mvar"
        names |= {f"{name}_{unit}": legs, f"{name}_inject_{unit}": legs}
    return names


def compare(
    net: physics.Network3, seed: int, apart_by: float = 1e-4, few: int = 400, share: float = 3e-4
) -> None:
    """A random scalar of all results, by all arguments that exist; at most ``few`` entries of each."""
    sol = physics.solve(net, **TIGHT)
    assert sol.converged
    rng = np.random.default_rng(seed)
    size = share * max(float(np.abs(net.load_p_mw).max()), float(np.abs(net.delta_p_mw).max()), 1e-3)
    weights = draw_weights(rng, sol, RESULTS)
    for name in ("i_ka", "loading"):
        weights[name][~far_from_kinks(sol, 50.0 * size, apart_by)] = 0.0
    for name in ("v_pu", "v_deg"):
        weights[name][np.nan_to_num(sol.v_pu) < 0.3] = 0.0  # potentials that hardly anything fixes
    gradient = physics.gradient(sol, **weights)
    none = np.zeros((net.n_bus, 3))
    ground = net.topology.ground_slots.reshape(-1, 3) & net.energised
    legs = net.topology.leg_slots.reshape(-1, 3) & np.stack(
        [net.energised[:, a] & net.energised[:, b] for a, b in ((0, 1), (1, 2), (2, 0))], axis=1
    )
    starts = {
        "p_mw": (net.load_p_mw, ground, size), "q_mvar": (net.load_q_mvar, ground, size),
        "p_inject_mw": (none, ground, size), "q_inject_mvar": (none, ground, size),
        "p_delta_mw": (net.delta_p_mw, legs, size), "q_delta_mvar": (net.delta_q_mvar, legs, size),
        "p_delta_inject_mw": (none, legs, size), "q_delta_inject_mvar": (none, legs, size),
        "tap": (net.tap, np.ones(net.tap.shape, bool), 1e-4),
        "v_source_pu": (np.abs(net.source_phasor[:, 0]), np.ones(len(net.sources), bool), 1e-4),
    }  # fmt: skip
    sound = sound_places(sol)
    for name, (start, where, step) in starts.items():
        chosen = np.argwhere(where & sound[name] if name in sound else where)
        if len(chosen) > few:
            chosen = rng.choice(chosen, few, replace=False)
        at = tuple(chosen.T)
        found = getattr(gradient, name)
        assert (found[~where] == 0.0).all(), name
        size = np.abs(found[tuple(chosen.T)])
        chosen = chosen[size <= LARGEST * np.median(size)] if len(chosen) else chosen

        def solve(name: str = name, start: Any = start, at: Any = at, **changed: Any) -> Any:
            rows = np.repeat(start[None], len(changed["entries"]), axis=0)
            rows[(slice(None), *at)] = changed["entries"]
            given: dict[str, Any] = {name: rows}
            return physics.solve(net, **given, **TIGHT)

        if len(chosen):
            agree(found[at], differences(solve, weights, "entries", start[at], step))


@pytest.mark.parametrize("name", FEEDERS)
def test_gradients_of_shipped_feeders_are_central_differences(name: str) -> None:
    """Capability 40: any scalar of the phases' results, by every argument: wye, delta, taps, sources."""
    compare(physics.compile_per_phase(cases.load(name)), len(name), few=120 if name != "european_lv" else 15)


@pytest.mark.quick(1)
@pytest.mark.parametrize("first", range(0, 70, 10))
def test_gradients_of_random_feeders_are_central_differences(first: int) -> None:
    """Laterals, regulators, transformers, capacitors, wye and delta loads of every model: 70 feeders."""
    for seed in range(first, first + 10):
        compare(physics.compile_per_phase(random_feeder(seed).feeder()), seed, apart_by=5e-3, few=40)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 30, 10))
def test_gradients_of_feeders_that_are_no_trees_are_central_differences(first: int) -> None:
    """Parallel branches, phases from different ways, any bank from either end, taps on them: 30 feeders."""
    for seed in range(first, first + 10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", physics.IslandWarning)  # some of them have dead phases
            net = physics.compile_per_phase(random_kinds(seed).feeder())
        if physics.solve(net, **TIGHT).converged:
            compare(net, seed, apart_by=5e-3, few=40, share=1e-4)


@pytest.mark.parametrize("argument", ["p_delta_mw", "p_delta_inject_mw", "q_delta_inject_mvar"])
def test_legs_without_a_nominal_load_count_where_they_are_told(argument: str) -> None:
    """Power between two phases where the feeder has none, as an argument: alone and in a batch."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    ends = [net.energised[:, a] & net.energised[:, b] for a, b in ((0, 1), (1, 2), (2, 0))]
    at = np.stack(ends, axis=1) & (net.delta_p_mw == 0.0)
    told = (net.delta_p_mw if argument == "p_delta_mw" else 0.0) + np.where(at, 0.02, 0.0)
    h, bus = 1e-4, net.feeder.node_index["675"]
    moved = np.zeros((2, net.n_bus, 3))
    moved[:, bus, 1] = h, -h
    given: dict[str, Any] = {argument: told}
    rows: dict[str, Any] = {argument: np.repeat(told[None], 2, axis=0)}
    pair = physics.solve(net, p_inject_mw=moved, **rows, **TIGHT)
    expected = (pair.p_loss_mw[0] - pair.p_loss_mw[1]) / (2 * h)
    lone = physics.gradient(physics.solve(net, **given, **TIGHT), p_loss_mw=1.0)
    batch = physics.gradient(physics.solve(net, **rows, **TIGHT), p_loss_mw=1.0)
    assert lone.p_inject_mw[bus, 1] == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(batch.p_inject_mw[1], lone.p_inject_mw)
    without = physics.gradient(physics.solve(net, **TIGHT), p_loss_mw=1.0)
    assert abs(without.p_inject_mw[bus, 1] - expected) > 1e-4


def batch_of(net: physics.Network3, rows: int) -> dict[str, Any]:
    """Loads, injections, taps, banks and source voltages of each row."""
    rng = np.random.default_rng(7)
    return {
        "p_mw": net.load_p_mw * rng.uniform(0.4, 1.1, (rows, 1, 1)),
        "q_mvar": net.load_q_mvar * rng.uniform(0.4, 1.1, (rows, net.n_bus, 3)),
        "p_inject_mw": np.where(net.energised, rng.uniform(0, 0.02, (rows, net.n_bus, 3)), 0.0),
        "tap": net.tap * rng.uniform(0.98, 1.02, (rows, net.tap.size)),
        "cap_on": rng.random((rows, net.cap_on.size)) < 0.5,
        "v_source_pu": rng.uniform(0.98, 1.02, rows),
    }


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    """Alone and beside others, on one thread and on two."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    given = batch_of(net, 600)
    sol = physics.solve(net, **given)
    assert sol.converged.all()
    rng = np.random.default_rng(8)
    weights: dict[str, Any] = {name: rng.normal(size=np.shape(getattr(sol, name))) for name in RESULTS[:7]}
    two, one = (physics.gradient(sol, **weights, threads=n) for n in (2, 1))
    for row in (0, 17, 599):
        own: dict[str, Any] = {k: (float(v[row]) if v.ndim == 1 else v[row]) for k, v in given.items()}
        alone = physics.gradient(physics.solve(net, **own), **{name: w[row] for name, w in weights.items()})
        for name in ("p_inject_mw", "q_mvar", "p_delta_mw", "tap", "v_source_pu", "shunt_b_mvar"):
            assert np.array_equal(getattr(two, name)[row], getattr(alone, name)), name
            assert np.array_equal(getattr(two, name)[row], getattr(one, name)[row]), name


def test_rows_that_did_not_converge_have_no_gradient() -> None:
    """Their gradients are NaN and say so; their neighbours' are what they were."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    loads = np.stack([net.load_p_mw, 30.0 * net.load_p_mw, net.load_p_mw])
    found = physics.gradient(physics.solve(net, loads), p_loss_mw=1.0)
    assert found.converged.tolist() == [True, False, True]
    assert np.isnan(found.p_inject_mw[1]).all()
    assert np.isnan(found.tap[1]).all()
    alone = physics.gradient(physics.solve(net), p_loss_mw=1.0)
    assert np.array_equal(found.q_delta_mvar[2], alone.q_delta_mvar)


def test_switches_of_each_row() -> None:
    """Rows on different trees give what each gives alone."""
    net = physics.compile_per_phase(cases.load("ieee123"))
    closed = np.repeat(net.closed[net.switch_branch][None], 3, axis=0)
    sectionaliser = int(np.flatnonzero(closed[0])[-1])
    closed[1, sectionaliser] = False
    sol = physics.solve(net, closed=closed)
    found = physics.gradient(sol, p_loss_mw=1.0)
    for row in (0, 1):
        alone = physics.gradient(physics.solve(net, closed=closed[row]), p_loss_mw=1.0)
        assert np.array_equal(found.p_inject_mw[row], alone.p_inject_mw)
    assert not np.array_equal(found.p_inject_mw[0], found.p_inject_mw[1])


def test_a_kernel_is_compiled_for_a_row_and_for_many_and_never_again() -> None:
    """However a scalar is told: a read-only array is another type to the compiler, and half a minute."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    one, many = physics.solve(net), physics.solve(net, np.stack([net.load_p_mw, 0.9 * net.load_p_mw]))
    node, branch = np.zeros((net.n_bus, 3)), np.zeros((net.n_branch, 3))
    node[3, 1] = branch[3, 1] = 1.0
    kept = node.copy()
    kept.flags.writeable = False
    ways: tuple[dict[str, Any], ...] = (
        {"p_loss_mw": 1.0}, {"v_pu": node}, {"v_pu": kept}, {"v_pu": np.stack([node, node])},
        {"p_from_mw": branch, "v_deg": node}, {"i_ka": branch}, {"q_to_mvar": branch[None]},
    )  # fmt: skip
    for sol, told in itertools.product((one, many), ways):
        assert np.all(physics.gradient(sol, **told).converged)
    assert 1 <= len(tree_rows.flat.signatures) <= 2


def test_one_row_serves_many_scalars() -> None:
    """A batch of scalars of one solved row: the gradients of each."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    sol = physics.solve(net)
    each = np.zeros((5, net.n_bus, 3))
    each[np.arange(5), np.arange(2, 7), 2] = 1.0
    found = physics.gradient(sol, v_pu=each)
    alone = physics.gradient(sol, v_pu=each[3])
    assert found.p_inject_mw.shape == (5, net.n_bus, 3)
    assert np.array_equal(found.p_inject_mw[3], alone.p_inject_mw)


def test_loads_that_were_changed_since_are_noticed() -> None:
    """The solution does not copy the load arrays: a gradient of other loads would be wrong."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    loads = net.load_p_mw.copy()
    sol = physics.solve(net, loads)
    loads *= 0.5
    with pytest.raises(ValueError, match="have been changed since; solve again"):
        physics.gradient(sol, p_loss_mw=1.0)


def test_shapes_are_per_phase() -> None:
    """A scalar by bus where phases are asked for is refused."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    with pytest.raises(ValueError, match=r"v_pu must be \(16, 3\) or of shape \(batch, 16, 3\)"):
        physics.gradient(physics.solve(net), v_pu=np.ones(16))


def test_as_many_rows_as_buses_keep_their_own_taps() -> None:
    """16 rows of three regulators on the 16 buses of IEEE 13: each row its own, as in a batch of five."""
    net = physics.compile(cases.load("ieee13"))
    tap = 1.0 + 0.00625 * np.random.default_rng(0).integers(-4, 5, (net.n_bus, net.tap.size))
    found = physics.gradient(physics.solve(net, tap=tap, tol=1e-11), p_loss_mw=np.ones(net.n_bus))
    part = physics.gradient(physics.solve(net, tap=tap[:5], tol=1e-11), p_loss_mw=np.ones(5))
    np.testing.assert_array_equal(found.q_inject_mvar[:5], part.q_inject_mvar)
