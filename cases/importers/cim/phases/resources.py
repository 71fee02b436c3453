"""Inverters and generators of a model with single phases, as words of a script, at what they give now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ..models import CimObject, grouped
from .models import (
    BatteryUnit,
    PhotovoltaicUnit,
    PowerElectronicsConnection,
    PowerElectronicsConnectionPhase,
    PowerElectronicsUnit,
    RotatingMachine,
)
from .network import Network
from .places import ALWAYS, Place, Places, kind

_LEAST_SOC = 0.01
_STATES = {"charging": -1.0, "discharging": 1.0}


def resources(net: Network, places: Places) -> Iterator[str]:
    """Panels, batteries, other inverters, and generators."""
    units = {one.connection: one for one in net.model.of(PowerElectronicsUnit)}
    phases = grouped(net.model.of(PowerElectronicsConnectionPhase), lambda one: one.owner)
    sign = _given(net, units, phases, places)
    for one in net.model.of(PowerElectronicsConnection):
        (terminal,) = net.terminals(one, 1)
        for at in places.of(one, phases.get(one.mrid, []), "Y", True, terminal):
            if terminal.connected:
                name, words = _resource(units.get(one.mrid), at, one.rated_va, sign)
                place = f"bus1={net.bus(terminal, at.nodes)} {kind(at.nodes, at.delta)} kv={at.kv!r}"
                yield f"new {name}.{net.names.of(at.who.mrid)} {place} {words} {ALWAYS}"
    for machine in net.model.of(RotatingMachine):
        (terminal,) = net.terminals(machine, 1)
        if terminal.connected:
            size = f" kva={machine.rated_va / 1e3!r}" if machine.rated_va else ""
            yield (
                f"new generator.{net.names.of(machine.mrid)} bus1={net.bus(terminal, (1, 2, 3))} phases=3 "
                f"kv={net.nominal_v(machine) / 1e3!r} kw={sign * machine.p_w / 1e3!r} "
                f"kvar={sign * machine.q_var / 1e3!r}{size} model=1 {ALWAYS}"
            )


def _given(
    net: Network, units: Mapping[str, PowerElectronicsUnit],
    phases: Mapping[str, list[PowerElectronicsConnectionPhase]], places: Places,
) -> float:  # fmt: skip
    """1 where the powers of a model's resources are given, -1 where they are consumed.

    IEC 61970 counts them as consumed, most writers of such models as given. Panels and generators give, and
    batteries say what they do. Where nothing tells, powers are given.
    """
    given: dict[float, CimObject] = {}
    for one in net.model.of(PowerElectronicsConnection):
        unit = units.get(one.mrid)
        gives = 1.0 if isinstance(unit, PhotovoltaicUnit) else 0.0
        if isinstance(unit, BatteryUnit):
            gives = _STATES.get(unit.state, 0.0)
        (p_w, _), _ = places.powers(one, phases.get(one.mrid, []))
        if gives * p_w:
            given.setdefault(math.copysign(1.0, gives * p_w), one)
    for machine in net.model.of(RotatingMachine):
        if machine.p_w:
            given.setdefault(math.copysign(1.0, machine.p_w), machine)
    if len(given) > 1:
        raise net.refuse(given[1.0], f"a p of the same sense as that of {given[-1.0].mrid}")
    return next(iter(given), 1.0)


def _resource(unit: PowerElectronicsUnit | None, at: Place, rated_va: float, sign: float) -> tuple[str, str]:
    """The class of what is behind an inverter, and its words."""
    kva, kw, kvar = at.part * rated_va / 1e3, sign * at.p_w / 1e3, sign * at.q_var / 1e3
    within = math.hypot(kw, kvar) <= kva
    if isinstance(unit, PhotovoltaicUnit) and kw >= 0.0 and within:
        most = max(at.part * (unit.most_w or rated_va) / 1e3, kw)
        sun = f"pmpp={most!r} irradiance={kw / most!r}"
        return "pvsystem", f"kva={kva!r} {sun} kvar={kvar!r} %cutin=0 %cutout=0"
    if isinstance(unit, BatteryUnit) and within:
        full = unit.rated_wh
        now = 0.5 * full if unit.stored_wh is None else min(unit.stored_wh, full)
        if kw:  # a model says what it does now: an empty one gives nothing, a full one takes nothing
            now = min(max(now, _LEAST_SOC * full), (1.0 - _LEAST_SOC) * full)
        state = "discharging" if kw > 0 else "charging" if kw < 0 else "idling"
        energy = f"kwhrated={at.part * full / 1e3!r} kwhstored={at.part * now / 1e3!r}"
        losses = "%idlingkw=0 %reserve=0 %cutin=0 %cutout=0"
        return (
            "storage",
            f"kva={kva!r} kwrated={kva!r} {energy} {losses} state={state} kw={kw!r} kvar={kvar!r}",
        )
    return "generator", f"kw={kw!r} kvar={kvar!r} kva={kva!r} model=1"
