"""The source of an OpenDSS circuit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .lexer import Param, Place, number
from .objects import Circuit, DssObject
from .properties import Handler, bus_of, one_of, only, put, replay

ROOT3 = math.sqrt(3.0)


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


@dataclass
class _Source:
    """The source while its properties are read."""

    basekv: float = 115.0
    pu: float = 1.0
    angle: float = 0.0
    x1r1: float = 4.0
    x0r0: float = 3.0
    mvasc3: float = 2000.0
    mvasc1: float = 2100.0
    isc3: float = 0.0
    isc1: float = 0.0
    level: str = "mvasc"  # which short-circuit quantity was set last
    hz: float = 0.0
    phases: int = 3
    ohms: dict[str, float] = field(default_factory=dict)


def _level(name: str) -> Handler[_Source]:
    def handler(state: _Source, edit: Param) -> None:
        if state.ohms:
            raise edit.place.error(name, edit.value, "either a short-circuit level or impedances, not both")
        setattr(state, name, number(edit))
        state.level = name[:-1]

    return handler


def _ohm(state: _Source, edit: Param) -> None:
    state.ohms[edit.name] = number(edit)


_HANDLERS: dict[str, Handler[_Source]] = {
    **{name: put(name) for name in ("basekv", "pu", "angle", "x1r1", "x0r0")},
    **{name: _level(name) for name in ("mvasc3", "mvasc1", "isc3", "isc1")},
    **dict.fromkeys(("r1", "x1", "r0", "x0"), _ohm),
    "phases": put("phases", one_of(3)),
    "model": only("thev"),
    "frequency": put("hz"),
}


def feed(circuit: Circuit) -> Feed:
    """The one source of the circuit."""
    sources = circuit.of("vsource")
    if len(sources) != 1:
        place = sources[1].place if sources else circuit.objects["vsource", "source"].place
        raise place.error("vsource", str(len(sources)), "one source that takes part")
    obj = sources[0]
    state = replay(obj, _Source(), _HANDLERS, circuit.hz, known=("bus1",))
    if state.basekv <= 0 or state.pu <= 0 or state.hz not in (0.0, circuit.hz):
        shown = f"{state.basekv:g}, {state.pu:g}, {state.hz:g}"
        raise obj.error("basekv, pu, frequency", shown, "numbers > 0, and the circuit's frequency")
    at, bus = obj.last("bus1"), "sourcebus"
    if at is not None:
        bus, nodes = bus_of(at, 3, 3)
        if nodes != (1, 2, 3):
            raise at.place.error("vsource.source bus1", at.value, "the phases 1.2.3")
    z1, z0 = _sequence(obj, state)
    z = np.full((3, 3), (z0 - z1) / 3.0)
    np.fill_diagonal(z, (2.0 * z1 + z0) / 3.0)
    if not np.isfinite(z).all() or abs(np.linalg.det(z)) == 0:
        raise obj.error("", "", "an impedance that is finite and not zero")
    return Feed(obj.name, bus, state.basekv, state.pu, state.angle, z, obj.place)


def _sequence(obj: DssObject, state: _Source) -> tuple[complex, complex]:
    """Positive- and zero-sequence impedance in ohm, as given or from the short-circuit levels."""
    ohms = state.ohms
    if ohms:
        if len(ohms) < 4:
            raise obj.error("", ", ".join(ohms), "r1, x1, r0 and x0 together")
        return complex(ohms["r1"], ohms["x1"]), complex(ohms["r0"], ohms["x0"])
    per_mva: Callable[[float], float] = lambda mva: mva * 1000.0 / (ROOT3 * state.basekv)  # noqa: E731
    three, one = per_mva(state.mvasc3), per_mva(state.mvasc1)
    if state.level == "isc":
        three, one = state.isc3, state.isc1
    if min(three, one, state.x1r1, state.x0r0) <= 0:
        expected = "numbers > 0: both levels, X/R of both sequences"
        raise obj.error("mvasc or isc, x1r1, x0r0", f"{three:g}, {one:g}", expected)
    x1 = state.basekv * 1000.0 / (ROOT3 * three) / math.sqrt(1.0 + 1.0 / state.x1r1**2)
    r1 = x1 / state.x1r1
    # Z0 such that |2 Z1 + Z0| is what the one-phase level says.
    a = 1.0 + state.x0r0**2
    b = 4.0 * (r1 + x1 * state.x0r0)
    c = 4.0 * (r1 * r1 + x1 * x1) - (3.0 * state.basekv * 1000.0 / (ROOT3 * one)) ** 2
    root = b * b - 4.0 * a * c
    if not 0 <= root < math.inf:
        raise obj.error("mvasc1", "", "a one-phase level that the three-phase level allows")
    r0 = max((-b + math.sqrt(root)) / (2 * a), (-b - math.sqrt(root)) / (2 * a))
    return complex(r1, x1), complex(r0, r0 * state.x0r0)
