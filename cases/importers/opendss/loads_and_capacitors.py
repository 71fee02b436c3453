"""Loads and shunt capacitors of an OpenDSS circuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from .lexer import Param, Place, number, numbers
from .objects import Circuit, DssObject
from .properties import Handler, bus_of, connection, one_of, only, put, replay

ROOT3 = math.sqrt(3.0)
# Shares of constant impedance and constant current by model: of P, then of Q. Models 3 and 4 have
# exponents instead: outside of its voltage band OpenDSS treats such a load as constant power.
MODELS: Mapping[int, tuple[float, float, float, float]] = {
    1: (0, 0, 0, 0), 2: (1, 0, 1, 0), 3: (0, 0, 0, 0), 4: (0, 0, 0, 0), 5: (0, 1, 0, 1),
}  # fmt: skip
ZIPV = 8
MAX_EXPONENT = 20


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
    spec: str = "pf"  # how Q is found: from pf, as kvar, or from kva with pf
    model: int = 1
    zipv: tuple[float, ...] = ()
    cvr_p: float = 1.0
    cvr_q: float = 2.0
    v_low: float = 0.95
    v_high: float = 1.05


def loads(circuit: Circuit) -> list[Shunt]:
    """The loads that take part, in the order of their definition."""
    return [_load(obj, circuit.hz) for obj in circuit.of("load")]


def _load(obj: DssObject, hz: float) -> Shunt:
    _one_size(obj)
    load = replay(obj, _Load(), _LOAD, hz, ("bus1",), lambda state, _: _settle(obj, state))
    _settle(obj, load)
    if load.kv <= 0 or load.v_low < 0 or load.v_high <= load.v_low:
        raise obj.error("kV, vminpu, vmaxpu", f"{load.kv:g}", "kV > 0 and 0 <= vminpu < vmaxpu")
    p, q = load.kw, load.kvar
    bus, nodes, kind = _shape(obj, load.phases, load.kind)
    shares = MODELS.get(load.model, (0.0, 0.0, 0.0, 0.0))
    if load.model == ZIPV:
        shares = _zip_shares(obj, load)
    return Shunt(
        name=obj.name,
        bus=bus,
        nodes=nodes,
        connection=kind,
        part_kv=load.kv / ROOT3 if load.phases > 1 and load.kind == "wye" else load.kv,
        p_mw=p / 1000.0,
        q_mvar=q / 1000.0,
        shares=shares,
        exponents={3: (0.0, 2.0), 4: (load.cvr_p, load.cvr_q)}.get(load.model),
        v_low=load.v_low,
        v_high=load.v_high,
        on=True,
        place=obj.place,
    )


def _one_size(obj: DssObject) -> None:
    """Raise where a later command changes the number of phases, which OpenDSS does not survive."""
    given = [edit for edit in obj.edits if edit.name == "phases"]
    for first, later in pairwise(given):
        if later.order != first.order and later.value != first.value:
            raise later.place.error(f"load.{obj.name} phases", later.value, f"{first.value}, as before")


def _load_part(name: str) -> Handler[_Load]:
    """Of kW, kvar and kVA the last one that is given says how Q is found: kW and kVA mean with pf."""

    def handler(load: _Load, edit: Param) -> None:
        setattr(load, name, number(edit))
        if name != "pf":
            load.spec = {"kw": "pf"}.get(name, name)

    return handler


def _settle(obj: DssObject, load: _Load) -> None:
    """What OpenDSS makes of kW, kvar, pf and kVA at the end of each command: each that is not given."""
    if load.spec == "kvar":
        size = math.hypot(load.kw, load.kvar)
        if size:
            load.pf = (
                load.kw / size * (math.copysign(1.0, load.kw * load.kvar) if load.kw * load.kvar else 1.0)
            )
        return
    if not 0 < abs(load.pf) <= 1:
        raise obj.error("pf", f"{load.pf:g}", "a power factor from -1 to 1 and not 0")
    if load.spec == "kva":
        load.kw = load.kva * abs(load.pf)
    load.kvar = load.kw * math.sqrt(1.0 / load.pf**2 - 1.0) * math.copysign(1.0, load.pf)


def _shares(edit: Param) -> tuple[float, ...]:
    values = tuple(numbers(edit))
    if len(values) != 7:
        raise edit.place.error("zipv", repr(edit.value), "seven numbers")
    return values


def _exponent(edit: Param) -> float:
    value = number(edit)
    if abs(value) > MAX_EXPONENT:
        raise edit.place.error(edit.name, edit.value, f"an exponent from -{MAX_EXPONENT} to {MAX_EXPONENT}")
    return value


_LOAD: dict[str, Handler[_Load]] = {
    **{name: _load_part(name) for name in ("kw", "kvar", "pf", "kva")},
    "kv": put("kv"),
    "vminpu": put("v_low"),
    "vmaxpu": put("v_high"),
    "phases": put("phases", one_of(1, 2, 3)),
    "conn": put("kind", connection),
    "model": put("model", one_of(*MODELS, ZIPV)),
    "zipv": put("zipv", _shares),
    "cvrwatts": put("cvr_p", _exponent),
    "cvrvars": put("cvr_q", _exponent),
    "status": only("v", "f", "e"),
}


def _zip_shares(obj: DssObject, load: _Load) -> tuple[float, float, float, float]:
    if len(load.zipv) != 7 or load.zipv[6] > 0:
        raise obj.error("zipv", str(load.zipv), "six shares, and 0 as the voltage of disconnection")
    pz, pi, pp, qz, qi, qp, _ = load.zipv
    if abs(pz + pi + pp - 1) > 1e-6 or abs(qz + qi + qp - 1) > 1e-6:
        raise obj.error("zipv", str(load.zipv), "shares of P that add up to 1, and shares of Q that do")
    return pz, pi, qz, qi


def _shape(obj: DssObject, phases: int, kind: str) -> tuple[str, tuple[int, ...], str]:
    """Bus, nodes and connection as the tables have them, from where the conductors really lie."""
    edit = obj.last("bus1")
    if edit is None:
        raise obj.error("bus1", "", "a bus")
    conductors = phases + 1 if kind == "wye" or phases == 1 else phases
    if obj.kind == "capacitor" and kind == "wye":
        conductors = phases  # it has a second terminal, at ground, and no neutral beside its phases
    bus, nodes = bus_of(edit, phases, conductors)
    where = f"{obj.kind}.{obj.name} bus1"
    hot = tuple(node for node in nodes if node)
    if len(set(hot)) < len(hot) or not hot:
        raise edit.place.error(where, repr(edit.value), "phases, each once")
    if phases == 1:
        # From a phase to ground, or from phase to phase: conn says nothing more.
        return bus, hot, "wye" if len(hot) == 1 else "delta"
    if kind == "wye":
        if any(nodes[phases:]) or 0 in nodes[:phases]:
            raise edit.place.error(where, repr(edit.value), "a neutral at ground (node 0)")
        return bus, hot, "wye"
    if phases == 2 or len(hot) < 3:
        raise edit.place.error(where, repr(edit.value), "three phases of a delta, or one-phase legs of it")
    return bus, hot, "delta"


# -- capacitors ----------------------------------------------------------------------------------------------


def capacitors(circuit: Circuit) -> list[Shunt]:
    """The shunt capacitors that take part, in the order of their definition."""
    return [_capacitor(obj, circuit.hz) for obj in circuit.of("capacitor")]


@dataclass
class _Capacitor:
    """A capacitor while its properties are read."""

    phases: int = 3
    kind: str = "wye"
    kv: float = 12.47
    kvar: float = 1200.0
    on: bool = True
    other: Param | None = None  # bus2 where it is not ground


def _single(edit: Param) -> float:
    """The one value of a list that has one per step."""
    values = numbers(edit)
    if len(values) != 1 or values[0] < 0:
        raise edit.place.error(edit.name, repr(edit.value), "one number >= 0: one step")
    return values[0]


def _one_step(bank: _Capacitor, edit: Param) -> None:
    """All that there is, and switched on again, whatever `states` said before."""
    one_of(1)(edit)
    bank.on = True


def _nothing(_: _Capacitor, edit: Param) -> None:
    if any(numbers(edit)):
        raise edit.place.error(edit.name, repr(edit.value), "0: no impedance or filter in series")


def _bank_kind(bank: _Capacitor, edit: Param) -> None:
    kind = connection(edit)
    if bank.kind == "delta" and kind == "wye":
        raise edit.place.error("conn", edit.value, "delta, as before: OpenDSS lays its second end elsewhere")
    bank.kind = kind


def _second(bank: _Capacitor, edit: Param) -> None:
    if bank.kind == "delta":
        raise edit.place.error("bus2", repr(edit.value), "one bus of a delta")
    nodes = edit.value.split(".")[1:]
    grounded = bool(nodes) and all(node == "0" for node in nodes)
    bank.other = None if grounded else edit


_CAPACITOR: dict[str, Handler[_Capacitor]] = {
    "phases": put("phases", one_of(1, 2, 3)),
    "conn": _bank_kind,
    "kv": put("kv"),
    "kvar": put("kvar", _single),
    "states": put("on", lambda edit: bool(_single(edit))),
    "numsteps": _one_step,
    **dict.fromkeys(("r", "xl", "harm"), _nothing),
    "bus2": _second,
}


def _across(
    obj: DssObject, bank: _Capacitor, edit: Param, bus: str, nodes: tuple[int, ...]
) -> tuple[int, ...]:
    """Both ends of a one-phase capacitor between two nodes of its bus."""
    expected = "ground, or another node of the same bus for one phase: a shunt, not a series capacitor"
    if bank.phases != 1 or bank.kind != "wye" or "." not in edit.value:
        raise edit.place.error("bus2", repr(edit.value), expected)
    other, ends = bus_of(edit, 1, 1)
    if other != bus or ends[0] in nodes:
        raise edit.place.error("bus2", repr(edit.value), expected)
    first = obj.last("bus1")
    if first is not None and first.order > edit.order:
        expected = "bus1 in the same command as bus2 or before it: OpenDSS may ground the other end"
        raise first.place.error("bus1", repr(first.value), expected)
    return (*nodes, *ends)


def _capacitor(obj: DssObject, hz: float) -> Shunt:
    bank = replay(obj, _Capacitor(), _CAPACITOR, hz, known=("bus1",))
    phases, kind, kv = bank.phases, bank.kind, bank.kv
    if kv <= 0:
        raise obj.error("kv", f"{kv:g}", "kV > 0")
    bus, nodes, shape = _shape(obj, phases, kind)
    if bank.other is not None:
        nodes, shape = _across(obj, bank, bank.other, bus, nodes), "delta"
    part = kv / ROOT3 if phases > 1 and kind == "wye" else kv
    none = (0.0, 0.0, 0.0, 0.0)
    return Shunt(
        obj.name, bus, nodes, shape, part, 0.0, bank.kvar / 1000.0, none, None, 0, 0, bank.on, obj.place
    )
