"""Local control against OpenDSS's own: end state, every action on the way, and the voltages at rest."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.cases.model.feeder import Feeder
from distgrid.cases.schema import TABLES, table

from .control_grids import THREE, behind_regulator, from_neutral, random_controls, with_banks

pytest.importorskip("dss", reason="the extra `oracle` brings OpenDSS")

from . import dss_controls

#: Facts: what OpenDSS's scripts of the IEEE feeders end with, started from neutral taps.
PUBLISHED = {
    "ieee13": [9, 6, 9],
    "ieee34": [13, 5, 5, 12, 12, 12],
    "ieee37": [16, 14],
    "ieee123": [6, 0, 2, 0, 10, 4, 6],
}


def compare(feeder: Feeder, *, bands: bool = False) -> physics.Settled:
    """Taps, banks, actions and voltages of both programs; returns ours."""
    net = physics.compile_per_phase(feeder, voltage_bands=bands, keep_loops=True)
    ours = physics.settle_controls(net, tol=1e-10)
    ref = dss_controls.settle(feeder, bands=bands)
    assert ours.settled
    assert ours.tap_pos.tolist() == ref.tap_pos.tolist()
    assert ours.cap_on.tolist() == ref.cap_on.tolist()
    done = [(a.iteration, a.device, a.state) for a in ours.actions if a.kind != "direction"]
    assert sorted(done) == sorted(_moves(ref.log))
    assert np.nanmax(np.abs(ours.solution.v - ref.v)) < 1e-8
    return ours


def _moves(log: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    """Without those at the last tap: OpenDSS adds up 1.1 with rounding errors and may step in place."""
    last: dict[str, int] = {}
    moves = []
    for iteration, device, state in sorted(log):
        if last.get(device) != state:
            moves.append((iteration, device, state))
        last[device] = state
    return moves


@pytest.mark.parametrize("bands", [True, False], ids=["bands", "models"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_ieee_feeders_from_neutral(name: str, bands: bool) -> None:
    """Capabilities 8, 106: LDC, delays and limits as stored; 13: 9, 6, 9."""
    ours = compare(from_neutral(cases.load(name)), bands=bands)
    assert ours.tap_pos.tolist() == PUBLISHED[name]


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_shipped_taps_are_at_rest(name: str) -> None:
    """Capability 8: the stored taps satisfy every control, here as in OpenDSS; nothing moves."""
    ours = compare(cases.load(name), bands=True)
    assert ours.actions == ()


def test_ieee123_with_a_tie_closed() -> None:
    """Capability 8: around a loop, too, with the same steps on the way."""
    ours = compare(from_neutral(cases.load("ieee123").with_switch("sw7", closed=True)), bands=True)
    assert ours.tap_pos.tolist() != PUBLISHED["ieee123"]


def test_ieee123_one_tap_at_a_time() -> None:
    """Capability 8: with the settings of the feeder's voltage-profile study it rests at the shipped taps."""
    feeder = from_neutral(cases.load("ieee123"))
    rows = feeder.regulators.to_pylist()
    for row in rows:
        row |= {"max_tap_change": 1, "delay_s": 15.0 if row["reg_id"] == "creg1a" else 30.0}
    columns = {name: [row[name] for row in rows] for name in TABLES["regulators"].names}
    slow = dataclasses.replace(feeder, regulators=table("regulators", columns))
    assert compare(slow, bands=True).tap_pos.tolist() == [6, 0, 2, 0, 8, 2, 5]


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5, 7, 8, 11])
def test_random_settings(seed: int) -> None:
    """Capability 8: cascades of regulators with random bands, delays, compensation, limits."""
    compare(random_controls(seed))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"reversible": True},
        {"reversible": True, "rev_neutral": True},
        {"reversible": True, "rev_neutral": True, "rev_delay_s": 5.0, "max_tap_change": 1},
        {"reversible": True, "rev_v_reg_v": 118.0, "rev_band_v": 2.0},
        {"reversible": True, "rev_delay_s": 5.0, "rev_v_reg_v": 121.0},
        {"reversible": True, "ldc_r_v": 2.0, "rev_ldc_r_v": 3.0, "rev_ldc_x_v": 1.0},
        {"v_limit_v": 121.5},
    ],
)
@pytest.mark.parametrize("p_mw", [0.3, -0.03, -0.3])
def test_reverse_mode_and_limits(p_mw: float, settings: dict[str, Any]) -> None:
    """Capability 8: direction by power, its delay and own setting; to neutral; the highest voltage."""
    ours = compare(behind_regulator(p_mw, (3, 0, -3), **settings))
    assert ours.reversed.all() == (p_mw < -0.05 and settings.get("reversible", False))


KINDS = [
    {"type": "kvar", "on_setting": 150.0, "off_setting": -100.0, "monitored_phase": "A"},
    {"type": "kvar", "on_setting": 150.0, "off_setting": -100.0, "monitored_phase": "B", "branch_id": "c-b",
     "end": "to"},
    {"type": "voltage", "on_setting": 117.0, "off_setting": 123.0, "monitored_phase": "C"},
    {"type": "current", "on_setting": 60.0, "off_setting": 40.0, "monitored_phase": "B"},
    {"type": "kvar", "on_setting": 1500.0, "off_setting": -1000.0, "monitored_phase": "A",
     "v_override": True, "v_min_v": 118.0, "v_max_v": 121.0},
]  # fmt: skip


@pytest.mark.quick(10)
@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("scale", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("control", KINDS, ids=["kvar", "kvar-to-end", "voltage", "current", "override"])
def test_capacitor_controls(control: dict[str, Any], scale: float, on: bool) -> None:
    """Capability 7: kvar, voltage, current and the voltage override, alone and beside regulators."""
    compare(with_banks(scale, [control], THREE, on=on))
    compare(with_banks(scale, [control], THREE, on=on, regulators=True))


@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("scale", [0.2, 1.0, 2.0])
def test_several_banks_and_delta_banks(scale: float, on: bool) -> None:
    """Capability 7: banks with delays of their own; the relay of a delta bank sits between phases."""
    single = [{"node": "d", "phase": p, "q": 0.1} for p in "ABC"]
    three = [
        {"type": "voltage", "on_setting": 117.0 + k, "off_setting": 121.0 + k, "monitored_phase": p,
         "delay_on_s": 10.0 + 5 * k, "delay_off_s": 12.0 + k}
        for k, p in enumerate("ABC")
    ]  # fmt: skip
    compare(with_banks(scale, three, single, on=on, regulators=True))
    between = {"type": "voltage", "on_setting": 205.0, "off_setting": 212.0, "monitored_phase": "C"}
    compare(with_banks(scale, [between], [THREE[0] | {"connection": "delta"}], on=on))
