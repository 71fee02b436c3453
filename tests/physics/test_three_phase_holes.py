"""What users reported of per-phase feeders, kind by kind: values from OpenDSS or by hand."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distgrid import cases, physics
from distgrid.cases.model.feeder import Feeder
from distgrid.cases.schema import TABLES

from . import dss_controls, dss_oracle
from .control_grids import REGULATOR
from .phase_grids import LETTERS, Grid3
from .test_newton_kinds import apart, compiled, scaled

SPLIT: dict[str, Any] = {
    "connection": "centre-tap", "to_phase": "12", "hv_kv": 7.2, "lv_kv": 0.12, "s_mva": 0.025,
    "r_h_pct": 0.6, "r_1_pct": 1.2, "r_2_pct": 1.2, "x_pct": 2.04, "x_h2_pct": 2.04, "x_12_pct": 1.36,
    "antifloat_ppm": 1.0,
}  # fmt: skip


def split_phase(high: str = "B", hv_kv: float = 7.2) -> Grid3:
    """120/240 V behind one phase, or behind two."""
    grid = Grid3(base_mva=0.3)
    grid.node("s", kv=12.47)
    grid.source("s", 1.0, 0.0, (0.3 + 0.6j, 0.1 + 0.2j))
    grid.node("x", "12", kv=0.208)
    unit = SPLIT | {"from_phase": high, "hv_kv": hv_kv}
    grid.bank("s", "x", [unit], phase="".join(sorted(high)))
    return grid


@pytest.mark.parametrize("band", [None, (0.9, 1.05)], ids=["everywhere", "band"])
@pytest.mark.parametrize(
    "model", [{}, {"z": 1.0}, {"i": 1.0}, {"z": 0.4, "i": 0.3}, {"cvr": (0.8, 2.0)}],
    ids=["p", "z", "i", "zip", "cvr"],
)  # fmt: skip
def test_between_two_hot_legs_stand_two_per_unit(model: dict[str, Any], band: Any) -> None:
    """A load of 240 V draws its power at 240 V, by every model, within its band and outside."""
    for scale in (1.0, 6.0):  # the second one pulls the voltage out of the band
        grid = split_phase()
        grid.load("x", "12", 0.004 * scale, 0.001 * scale, connection="delta", band=band, **model)
        grid.load("x", "1", 0.001, 0.0, **model)
        grid.cap("x", "12", 0.001, connection="delta")
        feeder = grid.feeder()
        net = physics.compile_per_phase(feeder, voltage_bands=band is not None)
        sol = physics.solve(net, tol=1e-10)
        assert sol.converged
        assert apart(sol.v, dss_oracle.solve(feeder, bands=band is not None).v) < 1e-8
    drawn = physics.consumption(net, sol)
    given = sol.p_slack_mw - sol.p_loss_mw
    assert abs(drawn.load.real.sum() + drawn.shunt.real.sum() - given) < 1e-12


def test_a_240_volt_impedance_by_hand() -> None:
    """At 240 V exactly an impedance draws its rated power: with √3 for 2 it drew a third more."""
    grid = Grid3(base_mva=0.3)
    grid.node("x", "12", kv=0.12 * np.sqrt(3.0))
    grid.node("s", kv=12.47)
    grid.source("s")
    grid.bank(
        "s", "x", [SPLIT | {"from_phase": "A", "r_h_pct": 1e-9, "r_1_pct": 1e-9, "r_2_pct": 1e-9}], phase="A"
    )
    grid.load("x", "12", 0.0001, 0.0, connection="delta", z=1.0)
    net = compiled(grid.feeder())
    sol = physics.solve(net)
    across = abs(sol.v[0, 0] - sol.v[0, 1])
    drawn = physics.consumption(net, sol).load.real.sum()
    assert drawn == pytest.approx(0.0001 * (across / 2.0) ** 2, rel=1e-9)
    assert across == pytest.approx(2.0 * 12.47 / np.sqrt(3.0) / 7.2, rel=1e-3)


@pytest.mark.parametrize("high", ["AB", "CB", "CA"])
def test_a_centre_tap_between_two_phases(high: str) -> None:
    """Fed by 12.47 kV between two phases, in either order."""
    grid = split_phase(high, 12.47)
    grid.load("x", "12", 0.005, 0.002, connection="delta")
    grid.load("x", "2", 0.003, 0.001)
    feeder = grid.feeder()
    sol = physics.solve(compiled(feeder), tol=1e-10)
    assert sol.converged
    assert apart(sol.v, dss_oracle.solve(feeder).v) < 1e-8


def fed_two_ways(order: list[int]) -> Feeder:
    """Phases A and B of a bus arrive by one line, C by two others; lines in any order."""
    grid = Grid3()
    for node in "sbeg":
        grid.node(node)
    grid.node("f", "C")
    grid.source("s", 1.02, 0.0, (0.05 + 0.1j, 0.01 + 0.03j))
    grid.line("s", "b")
    grid.line("b", "e", "AB")
    grid.line("b", "f", "C")
    grid.line("e", "f", "C")
    grid.line("g", "e", "ABC")
    for node, p in (("b", 0.03), ("g", 0.02)):
        for phase in LETTERS:
            grid.load(node, phase, p, 0.4 * p)
    rows = grid.rows["branches"]
    grid.rows["branches"] = [rows[k] for k in order]
    return grid.feeder()


def test_phases_of_a_bus_may_arrive_by_different_ways() -> None:
    """All phases live and equal OpenDSS's, whatever the order of lines in the file."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        feeder = fed_two_ways([int(k) for k in rng.permutation(5)])
        net = physics.compile_per_phase(feeder, allow_mesh_pruning=False)
        assert (net.energised == net.present).all()
        assert apart(physics.solve(net, tol=1e-10).v, dss_oracle.solve(feeder).v) < 1e-8


@pytest.mark.slow
def test_no_switch_state_darkens_a_phase_that_has_a_path() -> None:
    """All 256 states of the switches of IEEE 123: a phase lives where wires or regulators lead to it."""
    feeder = cases.load("ieee123")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = physics.compile_per_phase(feeder, allow_mesh_pruning=True)
    states = np.array([[(k >> j) & 1 for j in range(8)] for k in range(256)], dtype=bool)
    assert states.shape[1] == net.switch_branch.size
    for state in states:
        closed = net.closed.copy()
        closed[net.switch_branch] = state
        topology = net.variant(closed)
        assert (topology.energised | ~reached(net, closed)).all(), state
    solved = physics.solve(net, closed=states[::16])
    assert solved.converged.all()


def reached(net: physics.Network3, closed: np.ndarray) -> np.ndarray:
    """(n_bus, 3) phases that closed branches connect with a source, without the delta bank of IEEE 123."""
    live = np.zeros((net.n_bus, 3), dtype=bool)
    for source in net.sources:
        live[source.node, list(source.phases)] = True
    for _ in range(net.n_bus):
        before = live.copy()
        for element in net.elements:
            if closed[element.row] and all(len(start) == 1 for start, _ in element.sides()):
                ends = element.from_node, element.to_node
                for phase in element.phases(0):
                    both = live[ends[0], phase] or live[ends[1], phase]
                    live[ends[0], phase] = live[ends[1], phase] = both
        if (live == before).all():
            break
    return live


def test_a_loop_in_one_phase_is_cut_in_that_phase_and_said() -> None:
    """The other phases of the branch carry on; the phase that is cut hangs on the side reached first."""
    grid = Grid3()
    for node in "sab":
        grid.node(node)
    grid.node("c", "C")
    grid.source("s", 1.0, 0.0, (0.05 + 0.1j, 0.01 + 0.03j))
    grid.line("s", "c", "C")
    grid.line("s", "a")
    grid.line("c", "b", "C", km=0.2)
    grid.line("a", "b", "ABC", km=5.0)
    for phase in LETTERS:
        grid.load("b", phase, 0.03, 0.01)
    feeder = grid.feeder()
    with pytest.raises(ValueError, match=r"close loops: .*\(phase C\)"):
        physics.compile_per_phase(feeder, allow_mesh_pruning=False)
    with pytest.warns(physics.MeshWarning, match=r"without .*\(phase C\)"):
        net = physics.compile_per_phase(feeder, allow_mesh_pruning=True)
    assert (net.energised == net.present).all()
    sol = physics.solve(net)
    assert sol.converged
    row = int(net.topology.dropped[0])
    carried = np.hypot(sol.p_from_mw[row], sol.q_from_mvar[row])
    where = "ABC".index("C")
    assert carried[where] < 1e-3 < carried[0]


def test_parallel_branches_carry_both() -> None:
    """Lines, banks and switches side by side: voltages are OpenDSS's, and every one tells its own flow."""
    grid = Grid3()
    for node in "sabc":
        grid.node(node)
    grid.node("d", kv=0.48)
    grid.source("s", 1.02, 0.0, (0.05 + 0.1j, 0.01 + 0.03j))
    grid.line("s", "a", km=1.0, branch_id="l1")
    grid.line("a", "s", km=2.5, branch_id="l2")
    grid.line("s", "a", "BC", km=1.5, branch_id="l3")
    grid.line("a", "b", km=0.01, kind="switch", branch_id="w1")
    grid.line("a", "b", km=0.01, kind="switch", branch_id="w2")
    for k, x in enumerate((4.0, 6.0)):
        grid.bank(
            "b",
            "d",
            [{"connection": "delta-wye", "lag_deg": 30.0, "lv_kv": 0.48, "x_pct": x}],
            branch_id=f"t{k}",
        )
    grid.line("b", "c", km=0.5, branch_id="l4")
    for phase in LETTERS:
        grid.load("d", phase, 0.06, 0.02)
        grid.load("c", phase, 0.03, 0.01)
    feeder = grid.feeder()
    net = physics.compile_per_phase(feeder, allow_mesh_pruning=False)
    assert net.topology.dropped.size == 0
    sol = physics.solve(net, tol=1e-10)
    assert apart(sol.v, dss_oracle.solve(feeder).v) < 1e-8
    row = feeder.branch_index
    p = sol.p_from_mw
    np.testing.assert_allclose(p[row["w1"]], p[row["w2"]], rtol=1e-9)
    assert p[row["t0"]].sum() / p[row["t1"]].sum() == pytest.approx(6.0 / 4.0, rel=2e-2)
    bus_a = p[row["l1"]] + sol.p_to_mw[row["l2"]] * -1.0  # l2 is written the other way round
    assert (bus_a > 0).all()
    into_a = -sol.p_to_mw[row["l1"]] - sol.p_from_mw[row["l2"]] - sol.p_to_mw[row["l3"]]
    np.testing.assert_allclose(into_a, p[row["w1"]] + p[row["w2"]], atol=1e-9)


def test_ltc_on_every_bank_settles_as_opendss_does() -> None:
    """Capability 8: whatever the connection of a bank with taps, its controls end where OpenDSS's do."""
    connections = [("delta-wye", 30.0), ("delta-wye", -30.0), ("wye-delta", 30.0), ("delta-delta", 0.0)]
    for connection, lag in [*connections, ("wye-wye", 0.0)]:
        grid = Grid3()
        grid.node("s", kv=12.47)
        for node in "abc":
            grid.node(node, kv=12.47 if node == "a" else 4.16)
        grid.source("s", 1.0, 0.0, (0.5 + 1.5j, 0.1 + 0.3j))
        grid.line("s", "a", km=2.0)
        unit = {
            "connection": connection, "lag_deg": lag, "hv_kv": 12.47, "lv_kv": 4.16, "s_mva": 2.0,
            "taps": 0, "x_pct": 7.0, "antifloat_ppm": 1.0,
        }  # fmt: skip
        grid.bank("a", "b", [unit], kind="transformer")
        grid.line("b", "c", km=0.3)
        grid.load("c", "ABC", 1.2, 0.5, connection="delta")
        delta = connection.endswith("delta")
        for row in grid.rows["regulators"]:
            row.update(REGULATOR | {"order": 0, "monitored_phase": "AB" if delta else "A",
                                    "pt_ratio": 4160 / 120 if delta else 20.0, "v_reg_v": 121.0})  # fmt: skip
        feeder = grid.feeder()
        net = physics.compile_per_phase(feeder)
        ours, theirs = physics.settle_controls(net, tol=1e-10), dss_controls.settle(feeder, bands=False)
        assert ours.settled
        assert ours.tap_pos.tolist() == theirs.tap_pos.tolist() != [0], connection
        assert apart(ours.solution.v, theirs.v) < 1e-7, connection


def test_a_cable_that_is_open_at_its_far_end_is_charged() -> None:
    """Its charging flows, from either end; what lies beyond is dead, what lies on the way lives."""
    for end in ("to", "from"):
        grid = Grid3()
        for node in "sbme":
            grid.node(node)
        grid.source("s", 1.0, 0.0, (0.05 + 0.1j, 0.01 + 0.03j))
        grid.line("s", "b")
        grid.line("b", "m", km=30.0)
        grid.line(*(("m", "e") if end == "to" else ("e", "m")), km=40.0, open_ends=end, branch_id="open")
        grid.load("b", "ABC", 0.3, 0.1)
        feeder = grid.feeder()
        net = compiled(feeder)
        sol = physics.solve(net, tol=1e-10)
        theirs = dss_oracle.solve(feeder)
        assert apart(sol.v, theirs.v) < 1e-9
        assert net.energised[feeder.node_index["m"]].all()
        assert np.isnan(sol.v[feeder.node_index["e"]]).all()
        charging = (sol.q_from_mvar if end == "to" else sol.q_to_mvar)[feeder.branch_index["open"]]
        assert (charging < -5e-4).all()
        drawn = physics.consumption(net, sol)
        assert sol.p_slack_mw == pytest.approx(sol.p_loss_mw + drawn.load.real.sum(), abs=1e-10)
        assert sol.q_slack_mvar == pytest.approx(sol.q_loss_mvar + drawn.load.imag.sum(), abs=1e-10)


def test_zero_sequence_paths_need_few_iterations() -> None:
    """Grounded wye to delta behind zero-sequence impedances from a tenth to thirty times its own."""
    for share in (0.1, 0.9, 1.0, 1.1, 5.0, 30.0):
        grid = Grid3()
        for node in "sab":
            grid.node(node, kv=4.16 if node != "b" else 0.48)
        grid.source("s", 1.0, 0.0, (0.02 + 0.05j, 0.01 + 0.03j))
        bank_ohm = 0.05 * 4.16**2 / 0.5
        zero = share * bank_ohm
        z = np.full((3, 3), (zero - 0.2) / 3.0 * (0.3 + 1j)) + np.diag([0.2 * (0.3 + 1j)] * 3)
        grid.line("s", "a", matrix=z, charging=np.zeros((3, 3)))
        grid.bank(
            "a",
            "b",
            [{"connection": "wye-delta", "lag_deg": 30.0, "lv_kv": 0.48, "x_pct": 5.0, "antifloat_ppm": 1.0}],
        )
        grid.load("a", "A", 0.05, 0.02)
        grid.load("b", "ABC", 0.1, 0.05, connection="delta")
        grid.cap("b", "ABC", 0.001)
        feeder = grid.feeder()
        sol = physics.solve(compiled(feeder), tol=1e-9)
        assert sol.converged, share
        assert sol.iterations <= 12, share
        assert apart(sol.v, dss_oracle.solve(feeder).v) < 1e-8, share


NOSES = {"ieee13": 2.596, "ieee34": 1.428, "ieee37": 2.259, "ieee123": 3.207, "european_lv": 11.954}


def constant_power(name: str) -> Feeder:
    """A shipped feeder with every load at constant power."""
    feeder = cases.load(name)
    zero, null = pa.array(np.zeros(len(feeder.loads))), pa.nulls(len(feeder.loads), pa.float64())
    loads = feeder.loads
    for column in ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac", "cvr_p", "cvr_q"):
        field = TABLES["loads"].field(column)
        values = null if column.startswith("cvr") else zero
        loads = loads.set_column(loads.schema.get_field_index(column), field, values)
    return dataclasses.replace(feeder, loads=loads)


@pytest.mark.parametrize("name", NOSES)
def test_close_to_the_nose_the_solution_is_found(name: str) -> None:
    """At 0.99, 0.995 and 0.999 of the nose, to 1e-6; above it nothing is called converged."""
    net = physics.compile_per_phase(constant_power(name))
    shares = [NOSES[name] * part for part in (0.9, 0.99, 0.995, 0.999, 1.0005, 1.01)]
    loose, tight = scaled(net, shares), scaled(net, shares, tol=1e-11, max_iter=20000)
    assert loose.converged.tolist() == tight.converged.tolist() == [True] * 4 + [False] * 2
    assert apart(loose.v[:4], tight.v[:4]) < 10 * 1e-8
    assert (tight.iterations < 400).all()
    lowest = np.nanmin(loose.v_pu[:4].reshape(4, -1), axis=1)
    assert (np.diff(lowest) < 0).all()  # on one branch, falling towards the nose
    near = scaled(net, [share * (1 - 1e-7) for share in shares[:4]])
    slope = np.abs(near.v - loose.v[:4]).reshape(4, -1)
    assert np.nanmax(slope) < 1e-3  # the operable branch is continuous


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_converged_means_an_error_of_the_order_of_tol(name: str) -> None:
    """From light load up to the nose, whatever the tolerance: what creeps is finished by Newton's method."""
    net = physics.compile_per_phase(constant_power(name))
    shares = [NOSES[name] * part for part in np.linspace(0.3, 0.9993, 30)]
    exact = scaled(net, shares, tol=1e-12, max_iter=2000)
    for tol in (1e-4, 1e-6, 1e-8):
        rough = scaled(net, shares, tol=tol)
        assert rough.converged.all()
        assert apart(rough.v, exact.v) < 10 * tol
