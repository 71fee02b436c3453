"""One row of a batch has the same bits alone, in any batch, beside any neighbour, on any thread."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import physics
from distgrid.physics.balanced.kernels import solve_rows as kernels
from distgrid.physics.numba_tools.lanes import LANES

from .grids import Features, random_tree

FIELDS = (
    "v", "i_branch", "s_source_mva", "converged", "diverged", "collapsed", "iterations", "v_update_pu",
    "v_pu", "v_deg", "p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka", "loading",
    "p_loss_mw", "q_loss_mvar", "p_slack_mw", "q_slack_mvar",
)  # fmt: skip
Floats = NDArray[np.float64]


def same_bits(one: physics.Solution, many: physics.Solution, row: int) -> None:
    """Every field of a solution without batch axis equals a row of another, NaN included."""
    for name in FIELDS:
        a, b = np.asarray(getattr(one, name)), np.asarray(getattr(many, name))[row]
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes(), name


def scenarios(net: physics.Network, count: int) -> tuple[Floats, Floats]:
    """(count, n_bus) loads from a tenth to three times the nominal ones."""
    rng = np.random.default_rng(5)
    p = net.load_p_mw * rng.uniform(0.1, 3.0, (count, 1)) * rng.uniform(0.8, 1.2, (count, net.n_bus))
    return p, net.load_q_mvar * rng.uniform(0.1, 3.0, (count, 1))


@pytest.fixture(scope="module")
def rich() -> physics.Network:
    """A tree with everything: taps, shifts, charging, shunts, ZIP and CVR loads."""
    feeder = random_tree(11, 45, Features(*[True] * 7), drop=0.1).feeder()
    net = physics.compile(feeder)
    assert net.zip_node.size > 5
    assert not net.topology.tree.plain.all()
    return net


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 3, 8, 9, 700])
def test_a_row_does_not_depend_on_its_batch(count: int, threads: int, rich: physics.Network) -> None:
    """Capability 17: batch sizes around the lane width, and large enough for two threads."""
    p, q = scenarios(rich, count)
    many = physics.solve(rich, p, q, threads=threads)
    assert many.v.shape == (count, rich.n_bus)
    for row in range(count) if count < 10 else (0, 1, 7, 8, 350, 351, 352, 353, 696, 699):
        same_bits(physics.solve(rich, p[row], q[row]), many, row)
        same_bits(physics.solve(rich, p[row], q[row], threads=2), many, row)


def test_every_row_of_a_large_batch(network: Callable[[str], physics.Network]) -> None:
    """Capability 17: thread counts 1, 2, 3 give the same bytes for all rows of case118zh."""
    net = network("case118zh")
    p, q = scenarios(net, 1037)
    one = physics.solve(net, p, q, threads=1)
    assert one.converged.any()
    assert one.diverged.any()
    for threads in (2, 3):
        other = physics.solve(net, p, q, threads=threads)
        for name in FIELDS:
            a, b = (np.asarray(getattr(sol, name)) for sol in (one, other))
            assert a.tobytes() == b.tobytes(), name


def test_threads_share_the_rows(
    network: Callable[[str], physics.Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of 700 is split at a block border: else comparing thread counts would prove nothing."""
    net, ranges = network("case33bw"), []

    def spy(*arguments: object) -> None:
        ranges.append(arguments[6:8])
        kernels.sweep_rows(*arguments)

    monkeypatch.setattr(sys.modules["distgrid.physics.balanced.solve"], "sweep_rows", spy)
    physics.solve(net, np.tile(net.load_p_mw, (700, 1)), threads=2)
    assert sorted(ranges) == [(0, 352), (352, 700)]


BAD = {
    "no solution": 1000.0, "runs away": 1e6, "overflows": 1e160, "generates too much": -1e4, "nothing": 0.0,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow|invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_neighbour_changes_nothing(bad: str, rich: physics.Network) -> None:
    """Capability 100, Trap 8: rows beside a diverging one keep every bit, wherever it sits in the block."""
    p, q = scenarios(rich, LANES)
    clean = physics.solve(rich, p, q)
    for lane in range(LANES):
        dirty_p, dirty_q = p.copy(), q.copy()
        dirty_p[lane] = BAD[bad] * p[lane]
        dirty_q[lane] = BAD[bad] * q[lane]
        dirty = physics.solve(rich, dirty_p, dirty_q)
        assert bool(dirty.converged[lane]) == (bad == "nothing")
        assert bool(dirty.diverged[lane]) == (bad != "nothing")
        for row in set(range(LANES)) - {lane}:
            assert dirty.v[row].tobytes() == clean.v[row].tobytes()
            assert dirty.iterations[row] == clean.iterations[row]
            assert dirty.p_from_mw[row].tobytes() == clean.p_from_mw[row].tobytes()


def test_rows_with_other_topologies_and_starts(network: Callable[[str], physics.Network]) -> None:
    """Capability 9, 17: switch, source and start of a row are its own: mixed batches equal single rows."""
    net, rng = network("case33bw"), np.random.default_rng(2)
    closed = np.zeros((20, net.switch_branch.size), dtype=bool)
    taps = np.where(rng.random((20, net.n_branch)) < 0.05, 0.98, 1.0)
    level, (p, q) = rng.uniform(0.95, 1.05, 20), scenarios(net, 20)
    start = physics.solve(net, p, q).v * 1.01
    many = physics.solve(net, p, q, v_source_pu=level, closed=closed, tap=taps, v0=start)
    for row in range(20):
        mine = {"v_source_pu": float(level[row]), "closed": closed[row], "tap": taps[row], "v0": start[row]}
        same_bits(physics.solve(net, p[row], q[row], **mine), many, row)


def test_shapes(network: Callable[[str], physics.Network]) -> None:
    """One row without a batch axis gives results without one; a batch of one keeps it; 0 rows are legal."""
    net = network("case33bw")
    one, batch, none = (
        physics.solve(net, p) for p in (net.load_p_mw, net.load_p_mw[None], np.zeros((0, net.n_bus)))
    )
    assert one.v_pu.shape == (net.n_bus,)
    assert one.loading.shape == (net.n_branch,)
    assert np.shape(one.p_loss_mw) == np.shape(one.converged) == ()
    assert batch.v_pu.shape == (1, net.n_bus)
    assert batch.p_loss_mw.shape == batch.vuf_pct.shape == (1,)
    assert none.v_pu.shape == (0, net.n_bus)
    assert none.p_slack_mw.shape == (0,)
    mixed = physics.solve(net, np.tile(net.load_p_mw, (5, 1)), net.load_q_mvar[None], v_source_pu=[1.0])
    assert mixed.v_pu.shape == (5, net.n_bus)
    assert (mixed.v == one.v).all()
