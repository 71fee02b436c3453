"""Transformers of three windings in CIM models: a star of the impedances of their ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import cases
from distgrid.baselines.workflows.importing.verification import nominal_voltages
from distgrid.cases import CaseError

from .cim_phases import Object, ends, written

#: kV at the node, rated kV, ohm, clock, S that the end draws, step of its tap changer of 1.5 %.
ENDS = (
    (110.0, 115.0, 1.2 + 21j, 0, 2e-6 - 9e-6j, -2),
    (20.0, 21.0, 0.06 + 0.9j, 5, 0j, 0),
    (10.0, 10.5, 0.02 + 0.31j, 11, 0j, 1),
)
LOADS = {1: 18.0 + 6.0j, 2: 7.0 + 2.0j}  # MVA


def model() -> list[Object]:
    """A source, a transformer, a load behind each of its other windings; kV, MW and ohm."""
    found: list[Object] = [("PowerTransformer", "unit", {}), *ends("unit", "0", "1", "2")]
    for k, (kv, rated, z, clock, y, step) in enumerate(ENDS):
        found += [
            ("BaseVoltage", f"base {k}", {"BaseVoltage.nominalVoltage": str(kv)}),
            ("VoltageLevel", f"level {k}", {"VoltageLevel.BaseVoltage": f"#base {k}"}),
            ("ConnectivityNode", f"node {k}", {"ConnectivityNode.ConnectivityNodeContainer": f"#level {k}"}),
            ("PowerTransformerEnd", f"end {k}", {
                "PowerTransformerEnd.PowerTransformer": "#unit", "TransformerEnd.endNumber": str(k + 1),
                "TransformerEnd.Terminal": f"#unit T{k + 1}", "PowerTransformerEnd.ratedU": str(rated),
                "PowerTransformerEnd.r": str(z.real), "PowerTransformerEnd.x": str(z.imag),
                "PowerTransformerEnd.g": str(y.real), "PowerTransformerEnd.b": str(y.imag),
                "PowerTransformerEnd.phaseAngleClock": str(clock), "PowerTransformerEnd.ratedS": "40",
            }),
            ("RatioTapChanger", f"tap {k}", {
                "RatioTapChanger.TransformerEnd": f"#end {k}", "TapChanger.step": str(step),
                "RatioTapChanger.stepVoltageIncrement": "1.5",
            }),
        ]  # fmt: skip
    found += [("EnergySource", "grid", {"EnergySource.voltageMagnitude": "112.0"}), *ends("grid", "0")]
    for k, s in LOADS.items():
        load = {"EnergyConsumer.p": str(s.real), "EnergyConsumer.q": str(s.imag)}
        found += [("EnergyConsumer", f"load {k}", load), *ends(f"load {k}", str(k))]
    return found


def by_hand() -> np.ndarray:
    """(3,) voltages in kV, phase to phase: ideal ratios around one star point, solved by fixed point."""
    ratio = np.array([rated * (1 + 0.015 * step) for _, rated, _, _, _, step in ENDS])
    turn = np.exp(-1j * np.deg2rad([30.0 * clock for _, _, _, clock, _, _ in ENDS]))
    z = np.array([ohm / rated**2 for _, rated, ohm, *_ in ENDS])  # pu of 1 MVA, at the untapped voltage
    source, star = 112.0 + 0j, 112.0 / ratio[0] / turn[0]
    v = np.array([source, star * ratio[1] * turn[1], star * ratio[2] * turn[2]])
    for _ in range(200):
        i = [0j] + [np.conj(LOADS[k] / v[k]) * ratio[k] * np.conj(turn[k]) for k in (1, 2)]
        star = source / ratio[0] / turn[0] - z[0] * sum(i)
        v = np.array([source, *((star - z[k] * i[k]) * ratio[k] * turn[k] for k in (1, 2))])
    return v


def test_voltages_are_those_of_a_star_by_hand(tmp_path: Path) -> None:
    """Row 3: ratios, taps and clocks of all three ends; the star point is a node of its own."""
    feeder = cases.load(written(tmp_path / "unit.xml", model()))
    v = nominal_voltages(feeder)
    for k, kv in enumerate(by_hand()):
        row = feeder.node_index[f"node {k}"]
        assert v[row] * feeder.column("nodes", "base_kv")[row] == pytest.approx(kv, abs=1e-7)
    assert set(feeder.column("branches", "branch_id")) == {"end 0", "end 1", "end 2"}
    assert "unit" in feeder.node_index
    drawn = ENDS[0][4] * 112.0**2 / (1 + 0.015 * ENDS[0][5]) ** 2  # the tap moves the winding, not the core
    row = feeder.node_index["node 0"]
    at_1_pu = feeder.column("nodes", "shunt_g_mw")[row] + 1j * feeder.column("nodes", "shunt_b_mvar")[row]
    assert at_1_pu * (112.0 / 110.0) ** 2 == pytest.approx(drawn, rel=1e-12)


def test_a_winding_that_is_not_connected_leaves_the_others(tmp_path: Path) -> None:
    """An open terminal opens its own branch."""
    objects = [
        (kind, name, has | ({"ACDCTerminal.connected": "false"} if name == "unit T3" else {}))
        for kind, name, has in model()
    ]
    v = nominal_voltages(cases.load(written(tmp_path / "open.xml", objects)))
    assert np.isnan(v).sum() == 1


def test_ends_without_a_terminal_of_the_transformer_are_refused(tmp_path: Path) -> None:
    """Row 116: by class, mRID and what was expected."""
    objects = [one for one in model() if one[1] not in ("end 2", "tap 2")]
    with pytest.raises(CaseError, match=r"PowerTransformer unit: expected ends at the terminals"):
        cases.load(written(tmp_path / "two.xml", objects))
    objects = [one for one in model() if one[1] not in ("end 0", "tap 0")]
    with pytest.raises(
        CaseError, match=r"PowerTransformer unit = 2 ends: expected two ends, numbered 1 and 2"
    ):
        cases.load(written(tmp_path / "ends.xml", objects))
