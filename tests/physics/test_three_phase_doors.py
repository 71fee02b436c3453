"""What goes into a per-phase power flow and what comes out: arguments, refusals, matrices, the stepper."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distgrid import physics
from distgrid.physics import IslandWarning, MeshWarning
from distgrid.physics.unbalanced.stepper import Columns, Stepper3

from .phase_grids import Grid3, random_feeder


def ladder() -> Grid3:
    """Source, a regulator per phase, a trunk with two switches, a lateral of two phases."""
    grid = Grid3()
    for node, phase in (("s", "ABC"), ("r", "ABC"), ("a", "ABC"), ("b", "ABC"), ("c", "AC")):
        grid.node(node, phase)
    grid.source("s", 1.0, z=(0.01 + 0.05j, 0.002 + 0.01j))
    units = [
        {"from_phase": p, "to_phase": p, "hv_kv": 2.4, "lv_kv": 2.4, "taps": t}
        for p, t in zip("ABC", (5, 0, -3), strict=True)
    ]
    grid.bank("s", "r", units, kind="regulator")
    grid.line("r", "a", km=1.0, rating=3.0)
    grid.line("a", "b", km=1.0, kind="switch", branch_id="s1")
    grid.line("r", "b", km=2.0, kind="switch", branch_id="s2", closed=False)
    grid.line("a", "c", "AC", km=0.5, rating=1.0)
    for branch in ("s1", "s2"):
        grid.switch(branch)
    grid.load("b", "ABC", 0.6, 0.2)
    grid.load("c", "A", 0.1, 0.05, i=1.0)
    grid.load("c", "A", 0.1, 0.05)
    grid.load("c", "AC", 0.1, 0.05, connection="delta")
    grid.cap("b", "ABC", 0.3)
    return grid


@pytest.fixture(scope="module")
def net() -> physics.Network3:
    return physics.compile_per_phase(ladder().feeder())


def test_compile_and_solve_take_both_kinds(net: physics.Network3) -> None:
    """Capability 18: one door."""
    assert isinstance(physics.compile(ladder().feeder()), physics.Network3)
    assert isinstance(physics.solve(net), physics.Solution3)


def test_absent_phases_are_nan_everywhere(net: physics.Network3) -> None:
    """Capability 107, trap 3: also in the unbalance of a node with two phases."""
    sol = physics.solve(net)
    c = net.feeder.node_index["c"]
    assert np.isnan(sol.v_pu[c]).tolist() == [False, True, False]
    assert np.isnan(sol.vuf_pct[c])
    assert np.isfinite(sol.vuf_pct[:c]).all()
    branch = net.feeder.branch_index["a-c"]
    assert np.isnan(sol.loading[branch]).tolist() == [False, True, False]
    assert sol.i_ka[branch, 1] == 0.0


def test_unbalance_is_negative_over_positive_sequence(net: physics.Network3) -> None:
    """Capability 103: by the matrix of Fortescue."""
    sol = physics.solve(net)
    turn = np.exp(2j * np.pi / 3)
    split = np.array([[1, 1, 1], [1, turn, turn**2], [1, turn**2, turn]]) / 3
    parts = split @ sol.v[2]
    assert sol.vuf_pct[2] == pytest.approx(100 * abs(parts[2]) / abs(parts[1]), rel=1e-12)


def test_arguments_with_and_without_a_batch(net: physics.Network3) -> None:
    """Capability 17: (n_bus, 3) gives no batch axis, (batch, n_bus, 3) does; single rows serve all."""
    scale = np.linspace(0.5, 1.5, 5)[:, None, None]
    many = physics.solve(net, net.load_p_mw * scale, net.load_q_mvar, v_source_pu=np.linspace(0.98, 1.02, 5))
    assert many.v.shape == (5, net.n_bus, 3)
    assert many.p_loss_mw.shape == (5,)
    one = physics.solve(net, net.load_p_mw * scale[3], net.load_q_mvar, v_source_pu=1.01)
    assert one.v.shape == (net.n_bus, 3)
    assert np.ndim(one.p_loss_mw) == 0
    assert np.nanmax(np.abs(one.v - many.v[3])) < 1e-15


def test_nominal_arguments_change_nothing(net: physics.Network3) -> None:
    """Capability 6: None is the stored value of loads, taps, banks, switches; injections of zero are none."""
    zero = np.zeros((net.n_bus, 3))
    sol = physics.solve(net)
    told = physics.solve(
        net, net.load_p_mw, net.load_q_mvar, p_delta_mw=net.delta_p_mw, q_delta_mvar=net.delta_q_mvar,
        p_inject_mw=zero, q_inject_mvar=zero, p_delta_inject_mw=zero, q_delta_inject_mvar=zero,
        tap=net.tap, cap_on=[True], closed=[True, False], v_source_pu=1.0,
    )  # fmt: skip
    assert np.array_equal(sol.v, told.v, equal_nan=True)


def test_injections_undo_loads(net: physics.Network3) -> None:
    """Capability 110: constant power injected where it is drawn; between phases as well."""
    inject = np.zeros((net.n_bus, 3))
    inject[net.feeder.node_index["b"]] = 0.2
    base = physics.solve(net, tol=1e-11)
    less = physics.solve(net, net.load_p_mw + inject, p_inject_mw=inject, tol=1e-11)
    assert np.nanmax(np.abs(base.v - less.v)) < 1e-10
    legs = np.zeros((net.n_bus, 3))
    legs[net.feeder.node_index["a"]] = 0.1
    same = physics.solve(net, p_delta_mw=net.delta_p_mw + legs, p_delta_inject_mw=legs, tol=1e-11)
    assert np.nanmax(np.abs(base.v - same.v)) < 1e-10
    other = physics.solve(net, p_delta_mw=net.delta_p_mw + legs, tol=1e-11)
    assert np.nanmax(np.abs(base.v - other.v)) > 1e-4


def test_taps_and_banks_are_arguments_row_by_row(net: physics.Network3) -> None:
    """Capabilities 7, 8: the same as tables that store them; a higher ratio raises its own phase."""
    grid = ladder()
    for row, steps in zip(grid.rows["regulators"], (-2, 7, 1), strict=True):
        row["tap_pos"] = steps
    grid.rows["capacitors"][0]["status"] = False
    stored = physics.solve(physics.compile_per_phase(grid.feeder()), tol=1e-12)
    tap = np.stack([net.tap, 1 + np.array([-2, 7, 1]) * 0.00625])
    told = physics.solve(net, tap=tap, cap_on=[[True], [False]], tol=1e-12)
    assert np.nanmax(np.abs(told.v[1] - stored.v)) < 1e-11
    assert told.p_loss_mw[1] == pytest.approx(stored.p_loss_mw, abs=1e-11)
    assert np.array_equal(told.v[0], physics.solve(net, tol=1e-12).v, equal_nan=True)
    r = net.feeder.node_index["r"]
    assert told.v_pu[1, r] / physics.solve(net, tap=[1, 1, 1], cap_on=[False]).v_pu[r] == pytest.approx(
        tap[1], abs=0.01
    )


def test_switch_states_row_by_row(net: physics.Network3) -> None:
    """Capability 106: another path; an opened phase is dead; a loop is cut with a warning."""
    grid = ladder()
    grid.rows["branches"][2]["status"], grid.rows["branches"][3]["status"] = False, True
    stored = physics.solve(physics.compile_per_phase(grid.feeder()))
    told = physics.solve(net, closed=[[True, False], [False, True], [False, False]])
    assert np.nanmax(np.abs(told.v[1] - stored.v)) < 1e-14
    assert told.p_from_mw[1] == pytest.approx(stored.p_from_mw, abs=1e-14)
    b = net.feeder.node_index["b"]
    assert np.isnan(told.v[2, b]).all()
    assert np.isfinite(told.v[:2, b]).all()
    grid.rows["branches"][2]["status"] = True
    with pytest.warns(MeshWarning, match=r"s1|s2"):
        physics.compile_per_phase(grid.feeder())
    with pytest.raises(ValueError, match="meshed"):
        physics.compile_per_phase(grid.feeder(), allow_mesh_pruning=False)
    grid.rows["branches"][2]["status"] = grid.rows["branches"][3]["status"] = False
    with pytest.warns(IslandWarning, match="'b'"):
        physics.compile_per_phase(grid.feeder())


def test_a_start_changes_the_way_and_not_the_answer(net: physics.Network3) -> None:
    """Capability 108."""
    cold = physics.solve(net, tol=1e-10)
    warm = physics.solve(net, tol=1e-10, v0=cold)
    assert warm.iterations < cold.iterations
    assert np.nanmax(np.abs(warm.v - cold.v)) < 1e-9


def one_number(where: tuple[str, int], value: float) -> Callable[[physics.Network3], Any]:
    """(n_bus, 3) zeros but for one entry."""

    def make(net: physics.Network3) -> Any:
        array = np.zeros((net.n_bus, 3))
        array[net.feeder.node_index[where[0]], where[1]] = value
        return array

    return make


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("p_mw", one_number(("c", 1), 0.1), "p_mw at bus 'c', phase B, is 0.1"),
        ("q_inject_mvar", one_number(("c", 1), 0.1), "q_inject_mvar at bus 'c', phase B"),
        ("p_mw", one_number(("c", 0), np.nan), "bus 'c', phase A, is nan"),
        ("p_delta_mw", one_number(("c", 0), 0.1), "bus 'c', leg AB, is 0.1"),
        ("p_delta_mw", one_number(("c", 2), 0.1), None),
        ("p_mw", lambda net: np.zeros(net.n_bus), "shape"),
        ("p_mw", lambda net: np.zeros((net.n_bus, 2)), "shape"),
        ("tap", lambda _: np.zeros(3), "tap has the value 0.0"),
        ("tap", lambda _: np.ones(2), "shape"),
        ("cap_on", lambda _: [0.5], "True or False"),
        ("v_source_pu", lambda _: -1.0, "above 0"),
        ("tol", lambda _: 0.0, "tol"),
        ("method", lambda _: "newton", "balanced"),
    ],
)
def test_refusals_name_what_is_wrong(
    net: physics.Network3, name: str, value: Any, message: str | None
) -> None:
    """Capability 107: power on a phase that does not exist is an error, not a phantom."""
    arguments = {name: value(net)}
    if message is None:
        assert physics.solve(net, **arguments).converged
        return
    with pytest.raises(ValueError, match=message):
        physics.solve(net, **arguments)


def test_batches_must_agree(net: physics.Network3) -> None:
    with pytest.raises(ValueError, match="p_mw has 2, tap has 3"):
        physics.solve(net, np.zeros((2, net.n_bus, 3)), tap=np.ones((3, 3)))


def test_ground_loads_behind_a_floating_winding_are_refused() -> None:
    """Capability 106: nothing fixes that voltage; between phases all is well."""
    grid = Grid3()
    for node in ("s", "d"):
        grid.node(node)
    grid.source("s")
    grid.bank("s", "d", [{"connection": "delta-delta", "antifloat_ppm": 1.0}])
    grid.load("d", "AB", 0.1, 0.05, connection="delta")
    net = physics.compile_per_phase(grid.feeder())
    assert physics.solve(net).converged
    with pytest.raises(ValueError, match=r"'d'.*delta winding"):
        physics.solve(net, p_inject_mw=one_number(("d", 0), 0.01)(net))
    grid.load("d", "A", 0.1, 0.05)
    with pytest.raises(ValueError, match=r"'d'.*delta winding"):
        physics.compile_per_phase(grid.feeder())


def test_a_network_survives_pickling(net: physics.Network3) -> None:
    copy = pickle.loads(pickle.dumps(net))  # noqa: S301
    assert np.array_equal(physics.solve(copy).v, physics.solve(net).v, equal_nan=True)


def test_index_of_phases(net: physics.Network3) -> None:
    """Capability 104: node by node, A, B, C, absent ones left out; there and back."""
    index = net.topo3ph
    assert len(index) == np.count_nonzero(net.present) == 14
    assert [index.at(k) for k in (0, 1, 2, 12, 13)] == [
        ("s", "A"),
        ("s", "B"),
        ("s", "C"),
        ("c", "A"),
        ("c", "C"),
    ]
    for k in range(len(index)):
        assert index[index.at(k)] == k
    assert index.row[4].tolist() == [12, -1, 13]


@pytest.mark.parametrize("seed", range(3))
def test_the_dense_direct_method_gives_the_sweeps_answer(seed: int) -> None:
    """Capability 92: V = no load - BCBV BIBC I(V), with the currents of loads, banks and charging."""
    net = physics.compile_per_phase(random_feeder(seed, n=20, models=False, delta=False).feeder())
    sol = physics.solve(net, tol=1e-12)
    matrices = physics.bibc(net)
    at = net.present.ravel()
    assert matrices.bibc.shape == (at.sum(), at.sum())
    power = ((net.load_p_mw + 1j * net.load_q_mvar) * 3 / net.base_mva).ravel()[at]
    shunt = np.zeros((net.n_bus, 3, net.n_bus, 3), dtype=complex)
    for n in range(net.n_bus):
        shunt[n, :, n, :] = net.topology.layout.node_shunt[n]
    for bank in net.node_loads.banks:
        shunt[bank.node, bank.place, bank.node, bank.place] += 1j * bank.b_pu
    admittance = shunt.reshape(at.size, at.size)[np.ix_(at, at)]
    v = matrices.no_load
    for _ in range(60):
        drawn = np.conj(power / v) + admittance @ v
        v = matrices.no_load - matrices.bcbv @ (matrices.bibc @ drawn)
    assert np.abs(v - sol.v.ravel()[at]).max() < 1e-10
    assert np.abs(matrices.bibc @ drawn - sol.i_node.ravel()[at]).max() < 1e-10


def all_of(
    net: physics.Network3, v_min: float, v_max: float, vuf_max_pct: float, ports: list[int]
) -> Columns:
    """Every phase of every node and branch, loads wherever they can be; ports at given slots."""
    phases = np.flatnonzero(net.present)
    whole = np.flatnonzero(net.present.all(axis=1))
    return Columns(
        voltage=np.column_stack([phases, np.full(phases.size, -1)]), v_min=np.full(phases.size, v_min),
        v_max=np.full(phases.size, v_max), judged=np.empty((0, 2), dtype=np.int64),
        branch=np.arange(3 * net.n_branch), balance=whole, vuf_max_pct=vuf_max_pct, v_top_pu=2.0,
        load=np.flatnonzero(np.append(net.topology.ground_slots, net.topology.leg_slots)), n_port=len(ports),
        port=np.arange(len(ports)), port_slot=np.array(ports, dtype=np.int64), port_share=np.ones(len(ports)),
    )  # fmt: skip


def nominal(net: physics.Network3, columns: Columns) -> tuple[Any, Any]:
    p, q = (
        np.append(*pair) for pair in ((net.load_p_mw, net.delta_p_mw), (net.load_q_mvar, net.delta_q_mvar))
    )
    return p[columns.load], q[columns.load]


@pytest.mark.parametrize("batch", [1, 3, 16, 21])
def test_the_stepper_is_the_power_flow(net: physics.Network3, batch: int) -> None:
    """Capability 109: the same numbers, alone and beside others, and sums beyond crafted limits."""
    rng = np.random.default_rng(4)
    node, c = net.feeder.node_index["b"], net.feeder.node_index["c"]
    ports = [3 * node + 1, 3 * net.n_bus + 3 * c + 2]
    columns = all_of(net, 0.99, 1.01, 0.5, ports)
    stepper = Stepper3(net, batch, columns)
    scale = rng.uniform(0.5, 2.0, (batch, 1))
    for array, value in zip((stepper.load_p_mw, stepper.load_q_mvar), nominal(net, columns), strict=True):
        array[:] = value * scale
    stepper.inject_p_mw[:] = rng.uniform(-0.1, 0.2, (batch, 2))
    wye, leg = np.zeros((batch, net.n_bus, 3)), np.zeros((batch, net.n_bus, 3))
    wye[:, node, 1], leg[:, c, 2] = stepper.inject_p_mw.T
    stepper.tap[:] = 1 + rng.integers(-8, 9, stepper.tap.shape) * 0.00625
    stepper.cap_on[0] = 0
    stepper.solve(tol=1e-10)
    wide = scale[:, :, None]
    sol = physics.solve(
        net, net.load_p_mw * wide, net.load_q_mvar * wide, p_delta_mw=net.delta_p_mw * wide,
        q_delta_mvar=net.delta_q_mvar * wide, p_inject_mw=wye, p_delta_inject_mw=leg, tap=stepper.tap,
        cap_on=stepper.cap_on, tol=1e-10,
    )  # fmt: skip

    def near(ours: Any, theirs: Any, columns: Any = slice(None)) -> None:
        np.testing.assert_allclose(ours, theirs.reshape(batch, -1)[:, columns], rtol=1e-10, atol=1e-12)

    near(stepper.v, sol.v, columns.voltage[:, 0])
    near(stepper.v_pu, sol.v_pu, columns.voltage[:, 0])
    near(stepper.vuf_pct, sol.vuf_pct, columns.balance)
    near(stepper.i_ka, sol.i_ka)
    near(stepper.loading, sol.loading)
    near(stepper.s_from, sol.p_from_mw + 1j * sol.q_from_mvar)
    across = np.abs(sol.v[:, c, 2] - sol.v[:, c, 0]) / 3**0.5
    near(stepper.port_v_pu, np.column_stack([sol.v_pu[:, node, 1], across]))
    assert stepper.iterations.tolist() == sol.iterations.tolist()
    assert stepper.converged.all()
    assert stepper.loss_mva == pytest.approx(sol.p_loss_mw + 1j * sol.q_loss_mvar, abs=1e-12)
    assert stepper.slack_mva == pytest.approx(sol.p_slack_mw + 1j * sol.q_slack_mvar, abs=1e-12)
    outside = np.nan_to_num(np.maximum(sol.v_pu - 1.01, 0) + np.maximum(0.99 - sol.v_pu, 0))
    assert stepper.voltage_violation_pu == pytest.approx(outside.sum(axis=(1, 2)))
    assert stepper.n_voltage_violations.tolist() == np.count_nonzero(outside, axis=(1, 2)).tolist()
    above = np.nan_to_num(np.maximum(sol.vuf_pct - 0.5, 0))
    assert above.any()
    assert stepper.vuf_violation_pct == pytest.approx(above.sum(axis=1))
    rating = net.phase_rating_mva
    sizes = [np.hypot(p, q) for p, q in ((sol.p_from_mw, sol.q_from_mvar), (sol.p_to_mw, sol.q_to_mvar))]
    over = np.nan_to_num(np.fmax(sizes[0] - rating[0], sizes[1] - rating[1]))
    over = np.maximum(over, 0)
    assert stepper.overload_mva == pytest.approx(over.sum(axis=(1, 2)))
    assert stepper.n_overloads.tolist() == np.count_nonzero(over, axis=(1, 2)).tolist()
    if batch == 1:
        np.testing.assert_array_equal(stepper.solution().v, sol.v)


@pytest.mark.parametrize(
    ("what", "phase"), [("n_voltage_violations", 0), ("n_overloads", 2), ("n_vuf_violations", 1)]
)
def test_crafted_unbalance_trips_each_limit(net: physics.Network3, what: str, phase: int) -> None:
    """Capability 109: a load on one phase breaks the limit of that phase."""
    columns = all_of(net, 0.9, 1.1, 1.0, [])
    stepper = Stepper3(net, 1, columns)
    stepper.tap[:] = 1.0
    stepper.solve()
    assert getattr(stepper, what)[0] == 0
    stepper.load_p_mw[0, columns.load == 3 * net.feeder.node_index["a"] + phase] = 1.6
    stepper.solve()
    assert stepper.converged[0]
    assert getattr(stepper, what)[0] > 0
    if what == "n_overloads":
        assert (stepper.loading[0].reshape(-1, 3) > 1.0).any(axis=0).tolist() == [False, False, True]


def test_what_a_stepper_cannot_solve_is_refused(net: physics.Network3) -> None:
    """Power that is not a number, wherever its row is; the whole state of more rows than one."""
    stepper = Stepper3(net, 20, all_of(net, 0.9, 1.1, 1.0, []))
    stepper.load_p_mw[18, 2] = np.nan
    with pytest.raises(ValueError, match="is nan: it must be a finite number"):
        stepper.solve()
    with pytest.raises(ValueError, match="of one row keeps its whole state, this one has 20"):
        stepper.solution()
