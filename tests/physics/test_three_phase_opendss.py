"""Per-phase power flow against OpenDSS in the same process, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import physics
from distgrid.cases.model.feeder import Feeder

from .phase_grids import Grid3, random_feeder

pytest.importorskip("dss", reason="the extra `oracle` brings OpenDSS")

from . import dss_oracle

#: OpenDSS keeps a source impedance of 1e-9 ohm, iterates to 1e-11 and adds 4e-8 S to the ends of lines.
TOLERANCE_PU = 1e-8


def compare(feeder: Feeder, *, bands: bool = False, tolerance: float = TOLERANCE_PU) -> Any:
    """Voltages, losses and source power of both; returns our solution."""
    net = physics.compile_per_phase(feeder, voltage_bands=bands)
    sol = physics.solve(net, tol=1e-11, max_iter=300)
    ref = dss_oracle.solve(feeder, bands=bands)
    assert sol.converged
    assert np.array_equal(np.isnan(sol.v), np.isnan(ref.v))
    assert np.nanmax(np.abs(sol.v - ref.v)) < tolerance
    loss = complex(sol.p_loss_mw, sol.q_loss_mvar)
    assert abs(loss - ref.loss_mva) < 1e-6 * abs(ref.loss_mva)
    assert abs(complex(sol.p_slack_mw, sol.q_slack_mvar) - ref.source_mva) < 1e-6 * abs(ref.source_mva)
    return sol


def small() -> Grid3:
    """Lines with mutual coupling and charging in both directions, laterals of two and one phases."""
    grid = Grid3()
    for node, phase in (("s", "ABC"), ("a", "ABC"), ("b", "AC"), ("c", "B"), ("d", "ABC")):
        grid.node(node, phase)
    grid.source("s", 1.02, 10.0, (0.01 + 0.05j, 0.002 + 0.01j))
    grid.line("s", "a", km=2.0)
    grid.line("b", "a", "AC", km=1.0)
    grid.line("a", "c", "B", km=1.5)
    grid.line("a", "d", km=0.5)
    grid.load("a", "ABC", 0.3, 0.1)
    return grid


def test_lines_with_mutual_coupling_and_missing_phases() -> None:
    """Capability 105: full matrices, and laterals with the phases they have (Capability 107: the others
    NaN).
    """
    grid = small()
    grid.load("b", "C", 0.1, 0.05)
    grid.load("c", "B", 0.12, 0.06)
    grid.load("d", "A", 0.3, 0.1)
    feeder = grid.feeder()
    sol = compare(feeder)
    assert np.isnan(sol.v_pu[2, 1])
    assert np.isnan(sol.v_pu[3, [0, 2]]).all()
    for branch in grid.rows["branches"]:
        full = np.array(branch["r_ohm"]).reshape(3, 3)
        branch["r_ohm"] = np.diag(full.diagonal()).ravel().tolist()
        branch["x_ohm"] = np.diag(np.array(branch["x_ohm"]).reshape(3, 3).diagonal()).ravel().tolist()
    apart = physics.solve(physics.compile_per_phase(grid.feeder()))
    assert np.nanmax(np.abs(apart.v_pu - sol.v_pu)) > 1e-3


@pytest.mark.parametrize("connection", ["wye", "delta"])
@pytest.mark.parametrize(
    "model",
    [{}, {"z": 1.0}, {"i": 1.0}, {"z": 0.3, "i": 0.3}, {"cvr": (0.8, 2.0)}],
    ids=["power", "impedance", "current", "zip", "exponent"],
)
def test_load_models(connection: str, model: dict[str, Any]) -> None:
    """Capability 6: each model from phase to ground and between phases."""
    grid = small()
    grid.load("d", "ABC", 0.3, 0.1, connection=connection, **model)
    grid.load("b", "AC" if connection == "delta" else "A", 0.2, 0.1, connection=connection, **model)
    compare(grid.feeder())


@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_outside_their_band_loads_are_what_opendss_makes_of_them(factor: float) -> None:
    """Capability 6: with `voltage_bands`; with factor 0.3 some lie above their band, with 4 below."""
    grid = small()
    grid.rows["sources"][0]["v_pu"] = 1.06 if factor < 1 else 1.02
    for model in ({}, {"i": 1.0}, {"z": 1.0}, {"z": 0.3, "i": 0.3}, {"cvr": (0.8, 2.0)}):
        for connection, phase in (("wye", "C"), ("wye", "A"), ("delta", "AB")):
            power = 0.03 * factor, 0.01 * factor
            grid.load("d", phase, *power, connection=connection, band=(0.97, 1.01), **model)
    feeder = grid.feeder()
    sol = compare(feeder, bands=True)
    plain = physics.solve(physics.compile_per_phase(feeder))
    assert np.nanmax(np.abs(plain.v - sol.v)) > 1e-4


def test_capacitors_in_wye_and_delta() -> None:
    """Capability 7: per phase."""
    grid = small()
    grid.cap("d", "ABC", 0.15)
    grid.cap("b", "A", 0.05)
    grid.cap("a", "ABC", 0.06, connection="delta")
    grid.cap("b", "AC", 0.04, connection="delta")
    grid.cap("d", "B", 0.3, on=False)
    compare(grid.feeder())


WYE = {"hv_kv": 2.4, "lv_kv": 2.4, "s_mva": 0.3}
LOW = {"lv_kv": 0.48}
FLOATS = {"antifloat_ppm": 1.0}
DELTA: dict[str, Any] = {"connection": "delta-delta", "s_mva": 0.3}
BANKS: dict[str, tuple[list[dict[str, Any]], float, dict[str, Any]]] = {
    "wye-wye": ([LOW], 0.48, {}),
    "taps-and-other-rated-kv": ([{"lv_kv": 0.5, "tap_from": 1.025, "tap_to": 0.98}], 0.48, {}),
    "core": ([LOW | FLOATS | {"noload_pct": 0.5, "imag_pct": 1.0}], 0.48, {}),
    "delta-wye-lag": ([LOW | {"connection": "delta-wye", "lag_deg": 30.0}], 0.48, {}),
    "delta-wye-lead": ([LOW | {"connection": "delta-wye", "lag_deg": -30.0}], 0.48, {}),
    "wye-delta-lag": ([LOW | FLOATS | {"connection": "wye-delta", "lag_deg": 30.0}], 0.48, {"wye": False}),
    "wye-delta-lead": ([LOW | FLOATS | {"connection": "wye-delta", "lag_deg": -30.0}], 0.48, {"wye": False}),
    "delta-delta": ([LOW | FLOATS | DELTA], 0.48, {"wye": False}),
    "turned-terminals": (
        [LOW | {"connection": "delta-wye", "lag_deg": 30.0, "from_phase": "BCA", "to_phase": "CAB"}], 0.48, {}
    ),
    "three-delta-units": (
        [LOW | FLOATS | DELTA | {"from_phase": p, "to_phase": p, "x_pct": x} for p, x in
         (("AB", 4.0), ("BC", 3.0), ("CA", 5.0))], 0.48, {"wye": False},
    ),
    "open-wye-open-delta": (
        [FLOATS | {"connection": "wye-delta", "from_phase": p, "to_phase": q, "hv_kv": 2.4, "lv_kv": 0.48}
         for p, q in (("A", "AB"), ("B", "BC"))], 0.48, {"wye": False},
    ),
    "regulator-per-phase": (
        [WYE | {"from_phase": p, "to_phase": p, "taps": t} for p, t in zip("ABC", (9, 6, -4), strict=True)],
        4.16, {"kind": "regulator"},
    ),
    "regulator-ganged": ([{"taps": 7}], 4.16, {"kind": "regulator"}),
    "regulator-open-delta": (
        [DELTA | {"from_phase": p, "to_phase": p, "taps": t} for p, t in (("AB", 7), ("CB", 4))],
        4.16, {"kind": "regulator", "jumper": {"B": 1e-4 + 0j}},
    ),
}  # fmt: skip


def bank_feeder(name: str, *, backwards: bool = False) -> Grid3:
    """A source, the bank, and loads behind a line with charging; ``backwards``: fed from the bank's to
    end.
    """
    units, kv, options = BANKS[name]
    options = dict(options)
    wye = options.pop("wye", True)
    near, far = ("b", "a") if backwards else ("a", "b")
    volts = {near: 4.16, far: kv} if not backwards else {near: kv, far: 4.16}
    grid = Grid3()
    grid.node("s", kv=volts[near])
    grid.node(near, kv=volts[near])
    grid.node(far, kv=volts[far])
    grid.node("c", kv=volts[far])
    scale = {node: (v / 4.16) ** 2 for node, v in volts.items()}
    grid.source("s", 1.02, 10.0, ((0.01 + 0.05j) * scale[near], (0.002 + 0.01j) * scale[near]))
    for start, end, node, km in (("s", near, near, 0.3), (far, "c", far, 0.2)):
        grid.line(start, end, km=km * scale[node])
        charging = np.array(grid.rows["branches"][-1]["b_us"])
        grid.rows["branches"][-1]["b_us"] = (charging * 100 / scale[node] ** 2).tolist()
    grid.bank("a", "b", units, **options)
    grid.load(near, "ABC", 0.1, 0.05)
    if wye:
        grid.load("c", "A", 0.08, 0.03)
        grid.load("c", "ABC", 0.06, 0.02, i=1.0)
    grid.load("c", "AB", 0.06, 0.02, connection="delta")
    grid.load(far, "ABC", 0.09, 0.03, connection="delta", z=1.0)
    return grid


@pytest.mark.parametrize("name", BANKS)
def test_transformer_connections(name: str) -> None:
    """Capability 106: taps and phase shifts are modelled; Capability 8: regulators of each phase."""
    compare(bank_feeder(name).feeder())


@pytest.mark.parametrize(
    "name",
    ["wye-wye", "taps-and-other-rated-kv", "regulator-per-phase", "regulator-open-delta", "wye-delta-lag"],
)
def test_banks_fed_from_their_to_end(name: str) -> None:
    """Capability 106: the table's direction is not the direction of power."""
    compare(bank_feeder(name, backwards=True).feeder())


def test_centre_tap_transformer() -> None:
    """Capability 106: 120/240 V legs behind one phase, loads on both halves and across."""
    grid = Grid3()
    grid.node("s", kv=12.47)
    grid.node("h", "B", kv=12.47)
    grid.node("x", "12", kv=0.208)
    grid.node("y", "12", kv=0.208)
    grid.source("s", 1.01, 0.0, (0.1 + 0.5j, 0.02 + 0.1j))
    grid.line("s", "h", "B", km=2.0)
    grid.bank(
        "h", "x",
        [{"connection": "centre-tap", "from_phase": "B", "to_phase": "12", "hv_kv": 7.2, "lv_kv": 0.12,
          "s_mva": 0.025, "r_pct": 1.8, "x_pct": 2.04, "r_h_pct": 0.6, "r_1_pct": 1.2, "r_2_pct": 1.2,
          "x_h2_pct": 2.04, "x_12_pct": 1.36, "noload_pct": 0.2, "imag_pct": 0.5, "antifloat_ppm": 1.0}],
        phase="B",
    )  # fmt: skip
    z = np.zeros((3, 3), dtype=complex)
    z[:2, :2] = [[0.02 + 0.01j, 0.008 + 0.004j], [0.008 + 0.004j, 0.02 + 0.01j]]
    grid.line("x", "y", "12", matrix=z, charging=np.zeros((3, 3)))
    grid.load("y", "1", 0.004, 0.001)
    grid.load("y", "12", 0.005, 0.002, i=1.0)
    grid.load("y", "12", 0.006, 0.002, connection="delta")
    sol = compare(grid.feeder())
    assert np.isnan(sol.v[3, 2])
    assert abs(abs(np.angle(sol.v[3, 0] / sol.v[3, 1], deg=True)) - 180.0) < 3.0


@pytest.mark.parametrize("seed", range(6))
def test_random_feeders(seed: int) -> None:
    """Capability 106: everything at once."""
    compare(random_feeder(seed).feeder())


def phase_to_phase(v: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """(n_bus, 3) voltages AB, BC, CA."""
    return v - np.roll(v, -1, axis=1)


def test_a_delta_winding_without_shunts_is_right_between_phases() -> None:
    """Capability 106: where nothing fixes the potential to ground its mean is zero; between phases all is
    defined.
    """
    grid = bank_feeder("delta-delta")
    for unit in grid.rows["transformers"]:
        unit["antifloat_ppm"] = 0.0
    for branch in grid.rows["branches"]:
        if "b_us" in branch:
            branch["b_us"] = [0.0] * 9
    sol = physics.solve(physics.compile_per_phase(grid.feeder()), tol=1e-11)
    for unit in grid.rows["transformers"]:
        unit["antifloat_ppm"] = 1.0
    ref = dss_oracle.solve(grid.feeder())
    assert np.abs(phase_to_phase(sol.v) - phase_to_phase(ref.v)).max() < 1e-6
    assert abs(sol.v[2].mean()) < 1e-12
