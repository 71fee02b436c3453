"""Taps and banks of a balanced feeder as inputs of a row: what differs between rows is solved in one call."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases, physics
from distgrid.physics.balanced.network import Network as Balanced
from distgrid.physics.balanced.stepper import Stepper

from .grids import Features, Grid, random_tree, with_parallel_branches
from .oracle import dense_newton, pandapower_newton

ALL = Features(taps=True, shifts=True, charging=True, shunts=True, zips=True, exponents=True, generation=True)


def stepper_of(net: Any, batch: int) -> Stepper:
    """A stepper with the nominal loads, which differ a little from row to row."""
    stepper = Stepper(net, batch, np.full(net.n_bus, 0.95), np.full(net.n_bus, 1.05))
    share = np.linspace(0.8, 1.1, batch)[:, None]
    stepper.load_p_mw[:], stepper.load_q_mvar[:] = share * net.load_p_mw, share * net.load_q_mvar
    return stepper


def edited(feeder: cases.Feeder, tap: np.ndarray, cap_on: np.ndarray) -> cases.Feeder:
    """The feeder with these ratios of branches and states of banks."""
    ids, stored = feeder.column("branches", "branch_id"), feeder.column("branches", "tap")
    for e in np.flatnonzero(tap != stored):
        feeder = feeder.with_tap(str(ids[e]), tap=float(tap[e]))
    for name, on in zip(feeder.column("capacitors", "cap_id"), cap_on, strict=True):
        feeder = feeder.with_capacitor(str(name), bool(on))
    return feeder


def equal(batch: physics.Solution, row: int, alone: physics.Solution) -> None:
    """The same bits in all that a solution tells."""
    for name in ("v", "i_branch", "p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka", "s_source_mva"):
        np.testing.assert_array_equal(getattr(batch, name)[row], getattr(alone, name), err_msg=name)
    for name in ("p_loss_mw", "iterations", "converged"):
        assert getattr(batch, name)[row] == getattr(alone, name)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(2, 25), st.integers(1, 20),
    st.floats(0.0, 1.0), st.booleans(),
)  # fmt: skip
def test_a_row_equals_the_feeder_edited_so(seed: int, n: int, rows: int, share: float, plain: bool) -> None:
    """Capability 5, 7: any ratios, either way round, with shift and charging, and banks: the same bits."""
    grid = random_tree(seed, n, Features() if plain else ALL)
    rng = np.random.default_rng(seed)
    names = [str(row["node_id"]) for row in grid.rows["nodes"]]
    for _ in range(int(rng.integers(0, 4))):
        grid.cap(str(rng.choice(names)), 0.02 * grid.base_mva / n, on=bool(rng.random() < 0.5))
    feeder = grid.feeder()
    net: Any = physics.compile(feeder)
    tap = np.repeat(net.tap[None], rows, axis=0)
    moving = rng.random(net.n_branch) < share
    tap[:, moving] *= rng.uniform(0.96, 1.04, (rows, int(moving.sum())))
    cap_on = rng.random((rows, net.cap_on.size)) < 0.5
    load = net.load_p_mw * rng.uniform(0.5, 1.0, (rows, net.n_bus))
    batch = physics.solve(net, load, tap=tap, cap_on=cap_on)
    assert batch.converged.all()
    for row in {0, rows - 1}:
        changed = edited(feeder, tap[row], cap_on[row])
        lone = physics.compile(changed)
        equal(batch, row, physics.solve(lone, load[row]))
        assert np.abs(physics.solve(lone, tol=1e-12).v - dense_newton(changed)).max() < 1e-9


@pytest.mark.quick(1)
@pytest.mark.parametrize("case", ["case33bw", "case118zh", "case141"])
def test_trafo_taps_and_shunt_steps_equal_pandapowers(case: str) -> None:
    """Capability 5, 7: a ratio at the substation and further out, and banks, other ones in every row."""
    feeder = cases.load(case)
    nodes = feeder.column("nodes", "node_id")
    for k in (10, 20, 30):
        feeder = feeder.with_new_capacitor(str(nodes[k]), 0.2, on=k == 20)
    net: Any = physics.compile(feeder)
    rng = np.random.default_rng(3)
    tap, cap_on = np.ones((20, net.n_branch)), rng.random((20, 3)) < 0.5
    tap[:, [0, 5, 25]] = 1.0 + 0.00625 * rng.integers(-8, 9, (20, 3))
    batch = physics.solve(net, tap=tap, cap_on=cap_on, tol=1e-10)
    assert len(batch.groups) == 1
    for row in (0, 7, 19):
        theirs = pandapower_newton(edited(feeder, tap[row], cap_on[row]), 1e-9)
        assert np.abs(batch.v[row] - theirs).max() < 1e-8
    assert (np.ptp(batch.v_pu, axis=0) > 0.01).sum() > 10


def regulated(n_bank: int = 2) -> cases.Feeder:
    """33 buses with two regulators, one of them in a branch against the flow, and banks."""
    feeder = cases.load("case33bw")
    ids, nodes = feeder.column("branches", "branch_id"), feeder.column("nodes", "node_id")
    feeder = feeder.with_new_regulator(str(ids[0]), tap_pos=3).with_new_regulator(str(ids[20]))
    for k in range(n_bank):
        feeder = feeder.with_new_capacitor(str(nodes[10 + 8 * k]), 0.3, on=k == 0)
    return feeder


def test_a_regulator_multiplies_the_voltage_behind_it() -> None:
    """Its position is part of the ratio of its branch: 1 + position * step, at the from end."""
    feeder = regulated()
    net: Any = physics.compile(feeder)
    assert net.tap[0] == 1.0 / (1.0 + 3 * 0.00625)
    assert net.tap[20] == 1.0
    equal(
        physics.solve(net, net.load_p_mw[None]), 0,
        physics.solve(physics.compile(cases.load("case33bw").with_tap("1-2", tap=1 / (1 + 3 * 0.00625))
                                      .with_new_capacitor("11", 0.3, on=True))),
    )  # fmt: skip
    higher = physics.solve(physics.compile(feeder.with_regulator("reg_1-2", 10)))
    assert higher.v_pu[1] > physics.solve(net).v_pu[1] + 0.03


@pytest.mark.parametrize("batch", [1, 5, 40])
def test_a_stepper_takes_positions_of_every_row(batch: int) -> None:
    """`Stepper.tap` (1 + position * step) and `cap_on`: the bits of the feeder with these positions."""
    feeder = regulated()
    net: Any = physics.compile(feeder)
    stepper = stepper_of(net, batch)
    stepper.solve()
    stored = physics.solve(net, stepper.load_p_mw, stepper.load_q_mvar)
    np.testing.assert_array_equal(stepper.v, stored.v)
    rng = np.random.default_rng(batch)
    position = rng.integers(-16, 17, (batch, 2))
    stepper.tap[:], stepper.cap_on[:] = 1.0 + position * 0.00625, rng.random((batch, 2)) < 0.5
    stepper.solve()
    assert stepper.converged.all()
    for row in {0, batch - 1}:
        changed = feeder
        for name, where in zip(("reg_1-2", "reg_21-22"), position[row], strict=True):
            changed = changed.with_regulator(name, int(where))
        changed = edited(changed, changed.column("branches", "tap"), stepper.cap_on[row] > 0)
        alone = stepper_of(physics.compile(changed), 1)
        alone.load_p_mw[:], alone.load_q_mvar[:] = stepper.load_p_mw[row], stepper.load_q_mvar[row]
        alone.solve()
        for name in ("v", "s_from", "s_to", "i_ka", "loading", "measured", "ended"):
            np.testing.assert_array_equal(getattr(stepper, name)[row], getattr(alone, name)[0], err_msg=name)


def test_rows_of_a_range_are_solved_with_their_own_taps() -> None:
    """`solve(lo, hi)` reads the settings of these rows."""
    net: Any = physics.compile(regulated())
    whole, part = stepper_of(net, 40), stepper_of(net, 40)
    for stepper in (whole, part):
        stepper.tap[:, 0] = np.linspace(0.95, 1.05, 40)
        stepper.cap_on[:, 1] = np.arange(40) % 2
    whole.solve()
    for lo, hi in ((0, 3), (3, 20), (20, 21), (21, 40)):
        part.solve(lo=lo, hi=hi)
    np.testing.assert_array_equal(whole.v, part.v)
    np.testing.assert_array_equal(whole.measured, part.measured)


def test_a_copied_stepper_keeps_taps_of_its_own() -> None:
    """Positions come along, and moving the copy's leaves the first alone."""
    stepper = stepper_of(physics.compile(regulated()), 3)
    stepper.tap[:], stepper.cap_on[:] = 1.02, 1.0
    other = copy.deepcopy(stepper)
    stepper.solve()
    other.solve()
    np.testing.assert_array_equal(stepper.v, other.v)
    other.tap[:] = 0.99
    other.solve()
    before = stepper.v.copy()
    stepper.solve()
    np.testing.assert_array_equal(stepper.v, before)
    assert np.abs(other.v - stepper.v).max() > 0.01


@pytest.mark.parametrize("rows", [1, 5, 40, 300])
def test_any_row_may_be_the_only_one_with_another_tap(rows: int) -> None:
    """The last row too, whatever was solved before in the same memory; a bad tap there is named."""
    net: Any = physics.compile(cases.load("case33bw"))
    for branches in ([4, 7, 30], [2], [0, 4, 9, 20, 21]):
        tap = np.repeat(net.tap[None], rows, axis=0)
        tap[0, branches[0]], tap[-1, branches] = 1.01, 0.97
        batch = physics.solve(net, net.load_p_mw[None], tap=tap, threads=2)
        for row in {0, rows // 2, rows - 1}:
            alone = physics.solve(physics.compile(edited(net.feeder, tap[row], net.cap_on)))
            equal(batch, row, alone)
        tap[-1, 12] = np.nan
        with pytest.raises(ValueError, match=rf"tap\[{rows - 1}, 12\] is nan: it must be a finite number"):
            physics.solve(net, tap=tap)


def ring() -> Grid:
    """A loop of four buses with a bank."""
    grid = Grid(base_mva=10.0)
    for name in "sabc":
        grid.node(name)
    for start, end in ("sa", "ab", "bc", "cs"):
        grid.branch(start, end, 0.01, 0.03, b=0.002)
    for name in "abc":
        grid.load(name, 0.5, 0.2)
    grid.source("s")
    grid.cap("b", 0.3)
    return grid


def doubled() -> Grid:
    """A tree with parallel branches and a bank."""
    grid = with_parallel_branches(random_tree(4, 8, Features(charging=True)), np.random.default_rng(2))
    grid.cap(str(grid.rows["nodes"][3]["node_id"]), 0.02 * grid.base_mva)
    return grid


def held() -> Grid:
    """A generator that holds the voltage at the end of a line, and a bank."""
    grid = ring()
    grid.rows["branches"].pop()
    grid.load("c", -0.4, 0.0)
    grid.rows["loads"][-1].update(v_set_pu=1.0, q_min_mvar=-0.2, q_max_mvar=0.2)
    return grid


@pytest.mark.parametrize("grid", [ring, doubled, held])
def test_rows_of_what_is_no_plain_tree_have_taps_of_their_own_too(grid: Callable[[], Grid]) -> None:
    """Loops, parallel branches, held voltages: solved row by row, as the feeder edited so."""
    feeder = grid().feeder()
    feeder = feeder.with_new_regulator(str(feeder.column("branches", "branch_id")[0]))
    net: Any = physics.compile(feeder, keep_loops=True)
    assert not net.topology.plain
    stepper = stepper_of(net, 5)
    position = np.array([0, 4, -4, 4, 7])
    stepper.tap[:, 0] = 1.0 + position * 0.00625
    stepper.cap_on[:, 0] = (1, 0, 1, 1, 0)
    stepper.solve()
    assert stepper.converged.all()
    for row in range(5):
        changed = feeder.with_regulator(str(feeder.column("regulators", "reg_id")[0]), int(position[row]))
        changed = edited(changed, changed.column("branches", "tap"), stepper.cap_on[row] > 0)
        alone = stepper_of(physics.compile(changed, keep_loops=True), 1)
        alone.load_p_mw[:], alone.load_q_mvar[:] = stepper.load_p_mw[row], stepper.load_q_mvar[row]
        alone.solve()
        for name in ("v", "s_from", "loading", "measured", "ended", "q_held_mvar"):
            np.testing.assert_array_equal(getattr(stepper, name)[row], getattr(alone, name)[0], err_msg=name)
    assert len(np.unique(stepper.v[:, 2])) == 5


def test_closed_switches_and_taps_together() -> None:
    """Capability 9: a tree for each state of the switches, taps and banks of each row on it."""
    feeder = regulated(1)
    net: Any = physics.compile(feeder, keep_loops=True)
    rows = 6
    closed = np.zeros((rows, net.switch_branch.size), dtype=bool)
    closed[:, 0] = np.arange(rows) % 3 == 2  # a loop in these
    tap, cap_on = np.ones((rows, net.n_branch)), np.arange(rows)[:, None] % 2 == 0
    tap[:, 0] = np.linspace(0.97, 1.03, rows)
    batch = physics.solve(net, closed=closed, tap=tap, cap_on=cap_on)
    assert batch.converged.all()
    for row in range(rows):
        alone = physics.solve(net, closed=closed[row], tap=tap[row], cap_on=cap_on[row])
        equal(batch, row, alone)
        one = physics.solve(net, closed=closed[row], tap=tap[row], cap_on=cap_on[row], method="newton")
        assert np.abs(one.v - alone.v).max() < 1e-7


def test_two_regulators_in_one_branch_are_refused() -> None:
    """Each branch has one ratio."""
    feeder = regulated().with_new_regulator("1-2", reg_id="another")
    with pytest.raises(ValueError, match=r"'reg_1-2', 'another' stand in the same branch '1-2'"):
        physics.compile(feeder)
    assert isinstance(physics.compile(regulated()), Balanced)


def test_bounds_hold_for_every_position() -> None:
    """Regulators anywhere in their ranges, banks on or off: no voltage, flow or loss is beyond the bounds."""
    feeder = regulated()
    net: Any = physics.compile(feeder)
    bounds = physics.state_bounds(net, np.hypot(net.load_p_mw, net.load_q_mvar))
    rows = 64
    stepper = stepper_of(net, rows)
    rng = np.random.default_rng(0)
    stepper.load_p_mw[:], stepper.load_q_mvar[:] = (
        rng.uniform(0, 1, (rows, 1)) * given for given in (net.load_p_mw, net.load_q_mvar)
    )
    stepper.tap[:] = 1.0 + 0.00625 * rng.choice([-16, 16], (rows, 2))
    stepper.cap_on[:] = rng.random((rows, 2)) < 0.5
    stepper.solve()
    assert (stepper.v_pu <= bounds.v_high_pu).all()
    assert stepper.v_pu.max() > 1.1
    assert (np.abs(stepper.s_from) <= bounds.s_branch_mva).all()
    assert (stepper.loss_mva.real <= bounds.p_loss_mw).all()
