"""Rows of the tables for the devices of an OpenDSS circuit: units, controls, loads, capacitors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .branches import ROOT3, Bus, Span
from .parts import BankControl, Place, Shunt, TapControl, Unit, Winding

STEP_ROUNDING = 1e-6  # of a step: how far a tap may lie beside a position
NO_LIMIT_PU = 999.0  # of a voltage that no load reaches: what has no band is given one of 1000 pu
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Frame:
    """The buses that rows refer to, and their base voltages."""

    buses: Mapping[str, Bus]
    base: Mapping[str, float]

    def phases(self, bus: str, nodes: Iterable[int]) -> str:
        """Letters of some nodes of a bus, in the order given."""
        letters = "12?" if bus in self.buses and self.buses[bus].split else "ABC"
        return "".join(letters[node - 1] for node in nodes)

    def kv(self, bus: str, place: Place) -> float:
        """Base voltage of a bus that exists."""
        if bus not in self.base:
            raise place.error("bus", repr(bus), "a bus that a line or transformer ends at")
        return self.base[bus]


def unit_row(frame: Frame, span: Span, unit: Unit, regulated: bool) -> Row:
    """A row of the transformers table."""
    tapped = unit.connection == "centre-tap"
    legs = dict(zip(("r_h_pct", "r_1_pct", "r_2_pct"), unit.r_pct, strict=True)) if tapped else {}
    legs |= {"x_h2_pct": unit.x_pct[1], "x_12_pct": unit.x_pct[2]} if tapped else {}
    return {
        "transformer_id": unit.name,
        "branch_id": span.name,
        "s_mva": unit.kva / 1000.0,
        "hv_kv": unit.kv[0],
        "lv_kv": unit.kv[1],
        "connection": unit.connection,
        "from_phase": frame.phases(unit.buses[0], unit.terminals[0]),
        "to_phase": frame.phases(unit.buses[1], unit.terminals[1]),
        "r_pct": unit.r_pct[0] + unit.r_pct[1],
        "x_pct": unit.x_pct[0],
        "tap_from": unit.taps[0],
        "tap_to": _turns_at_neutral(unit.windings[1]) if regulated else unit.taps[1],
        "lag_deg": unit.lag_deg,
        "noload_pct": unit.noload_pct or None,
        "imag_pct": unit.imag_pct or None,
        "antifloat_ppm": unit.ppm or None,
        **{name: legs.get(name) for name in ("r_h_pct", "r_1_pct", "r_2_pct", "x_h2_pct", "x_12_pct")},
    }


def _step(winding: Winding) -> float:
    """How far one step moves the ratio of a winding."""
    return (winding.max_tap - winding.min_tap) / winding.steps if winding.steps else 0.0


def _turns_at_neutral(winding: Winding) -> float:
    """What the turns are at neutral, so that at a whole number of steps from there they are what they are."""
    step = _step(winding)
    position = round((winding.tap - 1.0) / step) if step > 0 else 0
    turns = winding.tap / (1.0 + position * step)
    return 1.0 if abs(turns - 1.0) < STEP_ROUNDING * max(step, 1e-6) else turns


def regulator_row(frame: Frame, at: int, control: TapControl, span: Span) -> Row:
    """A row of the regulators table."""
    unit, settings = control.unit, dict(control.settings)
    winding = unit.windings[1]
    step = _step(winding)
    low = math.ceil((winding.min_tap - 1.0) / step - STEP_ROUNDING)
    high = math.floor((winding.max_tap - 1.0) / step + STEP_ROUNDING)
    terminals = unit.terminals[1]
    of_branch = {node for mate in span.units for node in mate.terminals[0]}
    size = len(terminals)
    delta = unit.connection.endswith("delta")
    watched = terminals[control.monitored : control.monitored + 1]
    if delta:
        watched = (
            terminals if size == 2 else (terminals[control.monitored], terminals[(control.monitored + 1) % 3])
        )
    base_v = frame.base[unit.buses[1]] * 1000.0 / (1.0 if delta else ROOT3)
    ratio = settings["pt_ratio"]
    settings["max_tap_change"] = round(settings["max_tap_change"])
    return {
        "reg_id": control.name,
        "branch_id": span.name,
        "phase": frame.phases(unit.buses[1], sorted(of_branch.intersection(terminals) or terminals)),
        "tap_pos": round((winding.tap - 1.0) / step),
        "tap_min": low,
        "tap_max": high,
        "tap_step_pu": step,
        "v_set_pu": settings["v_reg_v"] * ratio / base_v,
        "band_pu": settings["band_v"] * ratio / base_v,
        "transformer_id": unit.name,
        "monitored_phase": frame.phases(unit.buses[1], watched),
        **settings,
        "v_limit_v": settings["v_limit_v"] or None,
        **control.flags,
        "order": at,
    }


def _scale(frame: Frame, shunt: Shunt) -> float:
    """Base voltage across one part of the device over its rated voltage."""
    kv = frame.kv(shunt.bus, shunt.place)
    if shunt.connection == "delta" and frame.buses[shunt.bus].split:
        return 2.0 * kv / ROOT3 / shunt.part_kv
    return (kv if shunt.connection == "delta" else kv / ROOT3) / shunt.part_kv


def _phase(frame: Frame, shunt: Shunt) -> str:
    bus = frame.buses[shunt.bus]
    for node in shunt.nodes:
        if node not in bus.nodes:
            expected = f"a phase that bus {shunt.bus} has"
            raise shunt.place.error(f"{shunt.name} bus1", f"{shunt.bus}.{node}", expected)
    return frame.phases(shunt.bus, sorted(shunt.nodes))


def dead_phases(buses: Mapping[str, Bus], shunts: Iterable[Shunt]) -> dict[str, set[int]]:
    """Phases that loads and capacitors have at a bus and no line or transformer brings there, by bus.

    Raises:
        CaseError: a device between phases that leaves such a phase without
            ground, or one in series with what is grounded
            there: the power flow knows it only where parts from two live phases meet.
    """
    dead: dict[str, set[int]] = {}
    meeting: dict[tuple[str, int], set[int]] = {}
    legs: list[tuple[Shunt, int]] = []
    for shunt in shunts:
        bus = buses.get(shunt.bus)
        missing = set(shunt.nodes) - bus.nodes if bus is not None else set()
        if bus is None or not missing or (bus.split and 3 in missing):
            continue
        dead.setdefault(shunt.bus, set()).update(missing)
        conducts = shunt.on and (shunt.p_mw or shunt.q_mvar)
        for node in missing if shunt.connection == "delta" else ():
            legs.append((shunt, node))
            live = meeting.setdefault((shunt.bus, node), set())
            live.update(set(shunt.nodes) & bus.nodes if conducts else ())
    for shunt, node in legs:
        if len(meeting[shunt.bus, node]) < 2:
            where = f"{shunt.name} bus1"
            expected = f"a phase that bus {shunt.bus} has, or one that parts from two such phases meet at"
            raise shunt.place.error(where, f"{shunt.bus}.{node}", expected)
    return dead


def load_row(frame: Frame, shunt: Shunt) -> Row:
    """A row of the loads table, converted to the base voltage of its node."""
    k = _scale(frame, shunt)
    pz, pi, qz, qi = shunt.shares
    p, p_parts = _rescaled(shunt, shunt.p_mw, pz, pi, k)
    q, q_parts = _rescaled(shunt, shunt.q_mvar, qz, qi, k)
    if shunt.exponents:
        p, q = p * k ** shunt.exponents[0], q * k ** shunt.exponents[1]
    return {
        "load_id": shunt.name,
        "node_id": shunt.bus,
        "phase": _phase(frame, shunt),
        "p_mw": p,
        "q_mvar": q,
        **dict(zip(("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"), (*p_parts, *q_parts), strict=True)),
        "cvr_p": shunt.exponents[0] if shunt.exponents else None,
        "cvr_q": shunt.exponents[1] if shunt.exponents else None,
        "connection": shunt.connection,
        "v_low_pu": shunt.v_low / k if shunt.v_low else None,
        "v_high_pu": shunt.v_high / k if shunt.v_high < NO_LIMIT_PU else None,
        "v_rated_pu": 1.0 / k,
    }


def capacitor_row(frame: Frame, shunt: Shunt) -> Row:
    """A row of the capacitors table, converted to the base voltage of its node."""
    return {
        "cap_id": shunt.name,
        "node_id": shunt.bus,
        "q_mvar": shunt.q_mvar * _scale(frame, shunt) ** 2,
        "phase": _phase(frame, shunt),
        "status": shunt.on,
        "connection": shunt.connection,
    }


def bank_control_row(frame: Frame, control: BankControl, span: Span | None) -> Row:
    """A row of the cap_controls table."""
    wire = next((w for w in span.wires if w.name == control.line), None) if span else None
    if span is None or wire is None or not 0 <= control.phase < len(wire.nodes):
        expected = "a line that takes part, and one of its phases"
        raise control.place.error(f"capcontrol.{control.name} element", control.line, expected)
    settings = dict(control.settings)
    if not control.v_override:
        settings |= {"v_min_v": None, "v_max_v": None}  # type: ignore[dict-item]
    flipped = wire.buses != span.buses
    end = {"from": "to", "to": "from"}[control.end] if flipped else control.end
    return {
        "control_id": control.name,
        "cap_id": control.capacitor,
        "type": control.kind,
        "branch_id": span.name,
        "end": end,
        "monitored_phase": frame.phases(span.buses[0], [wire.nodes[control.phase]]),
        "v_override": control.v_override,
        **settings,
    }


def _rescaled(shunt: Shunt, power: float, z: float, i: float, k: float) -> tuple[float, tuple[float, float]]:
    """Power and its impedance and current shares at a voltage k times the rated one."""
    total = z * k * k + i * k + (1.0 - z - i)
    if abs(total) < 1e-9:
        raise shunt.place.error(
            f"load.{shunt.name} zipv", "", "shares that leave a load at its bus's voltage"
        )
    return power * total, (z * k * k / total, i * k / total)
