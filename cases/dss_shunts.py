"""Loads, capacitors, their controls and the source of an OpenDSS circuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .dss_lex import Param, Place, flag, number, numbers, whole
from .dss_run import Circuit, Thing
from .dss_units import connection
from .dss_wires import base_frequency, bus_of, refuse

ROOT3 = math.sqrt(3.0)
# Shares of constant impedance and constant current by model: of P, then of Q. Models 3 (the exponents 0 and 2)
# and 4 have exponents instead: outside of its voltage band OpenDSS treats such a load as constant power.
MODELS: Mapping[int, tuple[float, float, float, float]] = {
    1: (0, 0, 0, 0), 2: (1, 0, 1, 0), 3: (0, 0, 0, 0), 4: (0, 0, 0, 0), 5: (0, 1, 0, 1),
}  # fmt: skip
ZIPV = 8


@dataclass(frozen=True)
class Shunt:
    """A load or capacitor; powers are at the rated voltage `kv` between the ends of each part."""

    name: str
    bus: str
    nodes: tuple[int, ...]  # phases of a wye, in order; both ends of a leg; all three of a delta
    connection: str
    part_kv: float  # rated voltage across one part
    p_mw: float
    q_mvar: float
    shares: tuple[float, float, float, float]
    exponents: tuple[float, float] | None
    v_low: float
    v_high: float
    on: bool
    place: Place


@dataclass(frozen=True)
class Feed:
    """The source: a balanced voltage behind an impedance."""

    name: str
    bus: str
    base_kv: float
    v_pu: float
    v_deg: float
    z_ohm: np.ndarray  # (3, 3) complex
    place: Place


@dataclass(frozen=True)
class BankControl:
    """A capacitor control."""

    name: str
    capacitor: str
    line: str
    end: str
    phase: int
    kind: str
    settings: Mapping[str, float]  # by the column of the cap_controls table
    v_override: bool
    place: Place


# -- loads ---------------------------------------------------------------------------------------------------


@dataclass
class _Load:
    """A load while its properties are read."""

    phases: int = 3
    kind: str = "wye"
    kv: float = 12.47
    kw: float = 10.0
    kvar: float = 5.0
    pf: float = 0.88
    kva: float = 0.0
    spec: str = "pf"  # what was given last beside kW: pf, kvar, or kva with pf
    model: int = 1
    zipv: tuple[float, ...] = ()
    cvr: tuple[float, float] = (1.0, 2.0)
    v_low: float = 0.95
    v_high: float = 1.05


def loads(circuit: Circuit) -> list[Shunt]:
    """The loads that take part, in the order of their definition."""
    return [_load(thing, circuit.hz) for thing in circuit.of("load")]


def _load(thing: Thing, hz: float) -> Shunt:
    load = _Load()
    for edit in thing.edits:
        _load_property(thing, load, edit, hz)
    if load.kv <= 0 or load.v_low < 0 or load.v_high <= load.v_low:
        raise thing.error("kV, vminpu, vmaxpu", f"{load.kv:g}", "kV > 0 and 0 <= vminpu < vmaxpu")
    p, q = _power(thing, load)
    bus, nodes, kind = _shape(thing, load.phases, load.kind)
    shares = MODELS.get(load.model, (0.0, 0.0, 0.0, 0.0))
    if load.model == ZIPV:
        shares = _zip_shares(thing, load)
    return Shunt(
        name=thing.name,
        bus=bus,
        nodes=nodes,
        connection=kind,
        part_kv=load.kv / ROOT3 if load.phases > 1 and load.kind == "wye" else load.kv,
        p_mw=p / 1000.0,
        q_mvar=q / 1000.0,
        shares=shares,
        exponents={3: (0.0, 2.0), 4: load.cvr}.get(load.model),
        v_low=load.v_low,
        v_high=load.v_high,
        on=True,
        place=thing.place,
    )


_LOAD_NUMBERS = {
    "kv": "kv",
    "kw": "kw",
    "kvar": "kvar",
    "pf": "pf",
    "kva": "kva",
    "vminpu": "v_low",
    "vmaxpu": "v_high",
}


def _load_property(thing: Thing, load: _Load, edit: Param, hz: float) -> None:
    name = edit.name
    where = f"load.{thing.name} {name}"
    if name in _LOAD_NUMBERS:
        setattr(load, _LOAD_NUMBERS[name], number(edit))
        if name in ("kvar", "pf", "kva"):
            load.spec = name if name != "pf" or load.spec != "kva" else "kva"
    elif name == "phases":
        load.phases = whole(edit)
        if not 1 <= load.phases <= 3:
            raise edit.place.error(where, edit.value, "1 to 3")
    elif name == "conn":
        load.kind = connection(edit)
    elif name == "model":
        load.model = whole(edit)
        if load.model not in (*MODELS, ZIPV):
            raise edit.place.error(where, edit.value, f"one of {', '.join(map(str, MODELS))}, {ZIPV}")
    elif name == "zipv":
        load.zipv = tuple(numbers(edit))
        if len(load.zipv) != 7:
            raise edit.place.error(where, repr(edit.value), "seven numbers")
    elif name == "cvrwatts":
        load.cvr = (number(edit), load.cvr[1])
    elif name == "cvrvars":
        load.cvr = (load.cvr[0], number(edit))
    elif name == "status":
        if not edit.value.lower().startswith(("v", "f", "e")):
            raise edit.place.error(where, repr(edit.value), "variable, fixed or exempt")
    elif name == "basefreq":
        base_frequency(thing, edit, hz)
    else:
        refuse(thing, edit, frozenset({"bus1", "enabled"}))


def _power(thing: Thing, load: _Load) -> tuple[float, float]:
    """kW and kvar at rated voltage."""
    if load.spec == "kvar":
        return load.kw, load.kvar
    if not 0 < abs(load.pf) <= 1:
        raise thing.error("pf", f"{load.pf:g}", "a power factor from -1 to 1 and not 0")
    p = load.kva * abs(load.pf) if load.spec == "kva" else load.kw
    return p, p * math.sqrt(1.0 / load.pf**2 - 1.0) * math.copysign(1.0, load.pf)


def _zip_shares(thing: Thing, load: _Load) -> tuple[float, float, float, float]:
    if len(load.zipv) != 7 or load.zipv[6] > 0:
        raise thing.error("zipv", str(load.zipv), "six shares, and 0 as the voltage of disconnection")
    pz, pi, pp, qz, qi, qp, _ = load.zipv
    if abs(pz + pi + pp - 1) > 1e-6 or abs(qz + qi + qp - 1) > 1e-6:
        raise thing.error("zipv", str(load.zipv), "shares of P that add up to 1, and shares of Q that do")
    return pz, pi, qz, qi


def _shape(thing: Thing, phases: int, kind: str) -> tuple[str, tuple[int, ...], str]:
    """Bus, nodes and connection as the tables have them, from where the conductors really lie."""
    edit = thing.last("bus1")
    if edit is None:
        raise thing.error("bus1", "", "a bus")
    conductors = phases + 1 if kind == "wye" or phases == 1 else phases
    bus, nodes = bus_of(edit, phases, conductors)
    where = f"{thing.kind}.{thing.name} bus1"
    hot = tuple(node for node in nodes if node)
    if len(set(hot)) < len(hot) or not hot:
        raise edit.place.error(where, repr(edit.value), "phases, each once")
    if phases == 1:
        # From a phase to ground, or from phase to phase: conn says nothing more.
        return bus, hot, "wye" if len(hot) == 1 else "delta"
    if kind == "wye":
        if nodes[phases] != 0 or 0 in nodes[:phases]:
            raise edit.place.error(where, repr(edit.value), "a neutral at ground (node 0)")
        return bus, hot, "wye"
    if phases == 2 or len(hot) < 3:
        raise edit.place.error(where, repr(edit.value), "three phases of a delta, or one-phase legs of it")
    return bus, hot, "delta"


# -- capacitors ----------------------------------------------------------------------------------------------


def capacitors(circuit: Circuit) -> list[Shunt]:
    """The shunt capacitors that take part, in the order of their definition."""
    return [_capacitor(thing, circuit.hz) for thing in circuit.of("capacitor")]


def _capacitor(thing: Thing, hz: float) -> Shunt:
    phases, kind, kv, kvar, on = 3, "wye", 12.47, 1200.0, True
    for edit in thing.edits:
        name = edit.name
        where = f"capacitor.{thing.name} {name}"
        if name == "phases":
            phases = whole(edit)
            if not 1 <= phases <= 3:
                raise edit.place.error(where, edit.value, "1 to 3")
        elif name == "conn":
            kind = connection(edit)
        elif name == "kv":
            kv = number(edit)
        elif name in ("kvar", "states", "r", "xl"):
            values = numbers(edit)
            if len(values) != 1 or (name in ("r", "xl") and values[0] != 0) or values[0] < 0:
                raise edit.place.error(where, repr(edit.value), "one step without series impedance")
            kvar = values[0] if name == "kvar" else kvar
            on = bool(values[0]) if name == "states" else on
        elif name == "numsteps":
            if whole(edit) != 1:
                raise edit.place.error(where, edit.value, "1 step (write several capacitors)")
        elif name == "harm" and number(edit) == 0:
            continue
        elif name == "basefreq":
            base_frequency(thing, edit, hz)
        elif name == "bus2":
            if any(part not in ("0", "") for part in edit.value.split(".")[1:]) or "." not in edit.value:
                raise edit.place.error(where, repr(edit.value), "ground: a shunt, not a series capacitor")
        else:
            refuse(thing, edit, frozenset({"bus1", "enabled"}))
    if kv <= 0:
        raise thing.error("kv", f"{kv:g}", "kV > 0")
    bus, nodes, shape = _shape(thing, phases, kind)
    part = kv / ROOT3 if phases > 1 and kind == "wye" else kv
    none = (0.0, 0.0, 0.0, 0.0)
    return Shunt(thing.name, bus, nodes, shape, part, 0.0, kvar / 1000.0, none, None, 0, 0, on, thing.place)


# -- capacitor controls --------------------------------------------------------------------------------------


_BANK_SETTINGS = {
    "ptratio": ("pt_ratio", 60.0), "ctratio": ("ct_ratio", 60.0), "onsetting": ("on_setting", 300.0),
    "offsetting": ("off_setting", 200.0), "delay": ("delay_on_s", 15.0), "delayoff": ("delay_off_s", 15.0),
    "deadtime": ("dead_time_s", 300.0), "vmin": ("v_min_v", 115.0), "vmax": ("v_max_v", 126.0),
}  # fmt: skip


def bank_controls(circuit: Circuit) -> list[BankControl]:
    """The capacitor controls that take part."""
    return [_bank_control(thing, circuit.hz) for thing in circuit.of("capcontrol")]


def _bank_control(thing: Thing, hz: float) -> BankControl:
    settings, kind, override, terminal = dict(_BANK_SETTINGS.values()), "current", False, 1
    phases = {"ctphase": 1, "ptphase": 1}
    for edit in thing.edits:
        name = edit.name
        if name in _BANK_SETTINGS:
            settings[_BANK_SETTINGS[name][0]] = number(edit)
        elif name == "type":
            kind = edit.value.lower()
            if kind not in ("kvar", "voltage", "current"):
                raise edit.place.error(
                    f"capcontrol.{thing.name} type", edit.value, "kvar, voltage or current"
                )
        elif name == "voltoverride":
            override = flag(edit)
        elif name == "terminal":
            terminal = whole(edit)
        elif name in phases:
            phases[name] = whole(edit)
        elif name == "basefreq":
            base_frequency(thing, edit, hz)
        else:
            refuse(thing, edit, frozenset({"element", "capacitor", "enabled"}))
    element, bank = thing.last("element"), thing.last("capacitor")
    if element is None or bank is None or not element.value.lower().startswith("line."):
        raise thing.error("element", "" if element is None else element.value, "a line, and a capacitor")
    if terminal not in (1, 2) or phases["ctphase"] != phases["ptphase"]:
        raise thing.error(
            "terminal, ctphase, ptphase", str(terminal), "terminal 1 or 2, and one phase for both"
        )
    return BankControl(
        thing.name, bank.value.lower(), element.value.lower()[5:], ("from", "to")[terminal - 1],
        phases["ctphase"] - 1, kind, settings, override, thing.place,
    )  # fmt: skip


# -- the source ----------------------------------------------------------------------------------------------


def feed(circuit: Circuit) -> Feed:
    """The one source of the circuit."""
    sources = circuit.of("vsource")
    if len(sources) != 1:
        place = sources[1].place if sources else Place("", 0)
        raise place.error("vsource", str(len(sources)), "one source that takes part")
    thing = sources[0]
    values = {
        "basekv": 115.0,
        "pu": 1.0,
        "angle": 0.0,
        "x1r1": 4.0,
        "x0r0": 3.0,
        "mvasc3": 2000.0,
        "mvasc1": 2100.0,
    }
    ohms: dict[str, float] = {}
    level = ""  # which short-circuit quantity was set last
    for edit in thing.edits:
        name = edit.name
        if name in values or name in ("isc3", "isc1"):
            values[name] = number(edit)
            if name[:-1] in ("mvasc", "isc"):
                level = name[:-1]
                ohms.clear()
        elif name in ("r1", "x1", "r0", "x0"):
            ohms[name] = number(edit)
        elif name == "phases":
            if whole(edit) != 3:
                raise edit.place.error("vsource.source phases", edit.value, "3")
        elif name in ("basefreq", "frequency"):
            base_frequency(thing, edit, circuit.hz)
        elif name == "model":
            if not edit.value.lower().startswith("thev"):
                raise edit.place.error("vsource.source model", edit.value, "Thevenin")
        else:
            refuse(thing, edit, frozenset({"bus1", "enabled"}))
    if values["basekv"] <= 0 or values["pu"] <= 0:
        raise thing.error("basekv, pu", f"{values['basekv']:g}, {values['pu']:g}", "numbers > 0")
    bus, nodes = "sourcebus", (1, 2, 3)
    at = thing.last("bus1")
    if at is not None:
        bus, nodes = bus_of(at, 3, 3)
        if nodes != (1, 2, 3):
            raise at.place.error("vsource.source bus1", at.value, "the phases 1.2.3")
    z1, z0 = _sequence(thing, values, ohms, level)
    own, mutual = (2.0 * z1 + z0) / 3.0, (z0 - z1) / 3.0
    z = np.full((3, 3), mutual)
    np.fill_diagonal(z, own)
    return Feed(thing.name, bus, values["basekv"], values["pu"], values["angle"], z, thing.place)


def _sequence(
    thing: Thing, values: dict[str, float], ohms: dict[str, float], level: str
) -> tuple[complex, complex]:
    """Positive- and zero-sequence impedance in ohm, as given or from the short-circuit levels."""
    if ohms:
        if len(ohms) < 4:
            raise thing.error("", ", ".join(ohms), "r1, x1, r0 and x0 together")
        return complex(ohms["r1"], ohms["x1"]), complex(ohms["r0"], ohms["x0"])
    kv, x1r1, x0r0 = values["basekv"], values["x1r1"], values["x0r0"]
    if level == "isc":
        if "isc3" not in values or "isc1" not in values:
            raise thing.error("isc3, isc1", "", "both")
        three, one = values["isc3"], values["isc1"]
    else:
        three, one = values["mvasc3"] * 1000.0 / (ROOT3 * kv), values["mvasc1"] * 1000.0 / (ROOT3 * kv)
    if min(three, one, x1r1) <= 0 or x0r0 <= 0:
        raise thing.error("mvasc3, mvasc1, x1r1, x0r0", "", "numbers > 0")
    x1 = kv * 1000.0 / (ROOT3 * three) / math.sqrt(1.0 + 1.0 / x1r1**2)
    r1 = x1 / x1r1
    a = 1.0 + x0r0**2
    b = 4.0 * (r1 + x1 * x0r0)
    c = 4.0 * (r1 * r1 + x1 * x1) - (3.0 * kv * 1000.0 / (ROOT3 * one)) ** 2
    root = b * b - 4.0 * a * c
    if root < 0:
        raise thing.error("mvasc1", "", "a one-phase level that the three-phase level allows")
    r0 = max((-b + math.sqrt(root)) / (2 * a), (-b - math.sqrt(root)) / (2 * a))
    return complex(r1, x1), complex(r0, r0 * x0r0)
