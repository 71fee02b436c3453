"""Lines, line codes and series reactors of OpenDSS as matrices in ohm and nanofarad.

The rules are those of OpenDSS: symmetrical components fill the matrices ((2 Z1 + Z0)/3 and (Z0 - Z1)/3; one
phase takes Z1 alone), a code's units are converted to the line's only where both say theirs, `switch=y` is a
milliohm, and a code that gives no capacitance has the default one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .dss_lex import Param, Place, flag, matrix, number, whole
from .dss_props import Handler, bus_of, one_of, put, replay
from .dss_run import Circuit, Thing

METRES: Mapping[str, float] = {
    "mi": 1609.344, "kft": 304.8, "km": 1000.0, "m": 1.0, "ft": 0.3048, "in": 0.0254, "cm": 0.01, "mm": 0.001,
}  # fmt: skip
DEFAULT = {"r1": 0.058, "x1": 0.1206, "r0": 0.1784, "x0": 0.4047, "c1": 3.4, "c0": 1.6}  # ohm and nF
SWITCH = {"r1": 1.0, "x1": 1.0, "r0": 1.0, "x0": 1.0, "c1": 1.1, "c0": 1.0}
MAX_CONDUCTORS = 4


@dataclass
class Impedance:
    """What a line or line code says of one unit of length."""

    order: int = 3
    symmetrical: dict[str, float] = field(default_factory=lambda: dict(DEFAULT))
    given: set[str] = field(default_factory=set)  # symmetrical components that were set
    matrices: dict[str, np.ndarray] = field(default_factory=dict)  # "r", "x", "c"
    units: str = "none"
    amps: float | None = None
    hz: float = 60.0

    def full(self) -> tuple[np.ndarray, np.ndarray]:
        """Ohm and nF per unit of length, (order, order)."""
        part = self.symmetrical
        alone = self.order == 1 and not self.matrices
        found = {}
        for letter in "rxc":
            one, zero = part[f"{letter}1"], part[f"{letter}1" if alone else f"{letter}0"]
            own, mutual = (2.0 * one + zero) / 3.0, (zero - one) / 3.0
            symmetrical = np.full((self.order, self.order), mutual)
            np.fill_diagonal(symmetrical, own)
            found[letter] = self.matrices.get(letter, symmetrical)
        return found["r"] + 1j * found["x"], found["c"]


@dataclass(frozen=True)
class Wire:
    """A line, switch or series reactor between two buses."""

    name: str
    buses: tuple[str, str]
    nodes: tuple[int, ...]  # in the order of the matrices
    z_ohm: np.ndarray  # (phases, phases) complex
    c_nf: np.ndarray
    is_switch: bool
    closed: bool
    amps: float | None
    length_km: float | None
    place: Place


# -- codes ---------------------------------------------------------------------------------------------------


@dataclass
class _Code(Impedance):
    """A line code while its properties are read."""

    neutral: int = 0
    kron: bool = False


def _order(edit: Param) -> int:
    return one_of(*range(1, MAX_CONDUCTORS + 1))(edit)


def _code_order(state: _Code, edit: Param) -> None:
    state.order = _order(edit)
    state.matrices.clear()


def _units(edit: Param) -> str:
    word = edit.value.lower()
    known = {"miles": "mi", "mile": "mi", "": "?"}
    word = known.get(word, word)
    if word not in ("none", *METRES):
        raise edit.place.error(edit.name, repr(edit.value), f"one of none, {', '.join(METRES)}")
    return word


def _component(state: Impedance, edit: Param) -> None:
    state.symmetrical[edit.name] = number(edit)
    state.given.add(edit.name)


def _susceptance(state: Impedance, edit: Param) -> None:
    """b1 and b0 are microsiemens at the circuit's frequency."""
    name = f"c{edit.name[1]}"
    state.symmetrical[name] = number(edit) / (2.0 * math.pi * state.hz) * 1e3
    state.given.add(name)


def _matrix(state: Impedance, edit: Param) -> None:
    if getattr(state, "kron", False):
        raise edit.place.error(edit.name, repr(edit.value), "matrices before kron=yes, which reduces them")
    state.matrices[edit.name[0]] = np.array(matrix(edit, state.order))


def _amps(state: Impedance, edit: Param) -> None:
    state.amps = number(edit)
    if state.amps <= 0:
        raise edit.place.error(edit.name, edit.value, "A > 0")


ELECTRICAL: dict[str, Handler[Impedance]] = {
    **dict.fromkeys(DEFAULT, _component),
    **dict.fromkeys(("b1", "b0"), _susceptance),
    **dict.fromkeys(("rmatrix", "xmatrix", "cmatrix"), _matrix),
    "normamps": _amps,
}
_CODE: dict[str, Handler[_Code]] = {
    **ELECTRICAL,
    "nphases": _code_order,
    "units": put("units", _units),
    "neutral": put("neutral", whole),
    "kron": put("kron", flag),
}


def line_codes(circuit: Circuit) -> dict[str, Impedance]:
    """Every line code by name."""
    codes = [thing for thing in circuit.things.values() if thing.kind == "linecode"]
    return {thing.name: _code(thing, circuit.hz) for thing in codes}


def _code(thing: Thing, hz: float) -> Impedance:
    state = replay(thing, _Code(hz=hz), _CODE, hz)
    _unmixed(thing, state)
    return _reduced(thing, state, state.neutral or state.order) if state.kron else state


def _unmixed(thing: Thing, state: Impedance) -> None:
    if state.matrices and state.given:
        raise thing.error("", min(state.given), "either matrices or symmetrical components, not both")


def _reduced(thing: Thing, state: Impedance, neutral: int) -> Impedance:
    """The code with its grounded neutral eliminated (Kron); the neutral's capacitances are dropped."""
    if not state.matrices or not 1 <= neutral <= state.order or state.order < 2:
        raise thing.error("kron", str(neutral), "matrices, and the number of one of their conductors")
    z, c = state.full()
    n, keep = neutral - 1, [k for k in range(state.order) if k != neutral - 1]
    if z[n, n] == 0:
        raise thing.error("kron", str(neutral), "an impedance of the neutral that is not zero")
    z = z[np.ix_(keep, keep)] - np.outer(z[keep, n], z[n, keep]) / z[n, n]
    matrices = {"r": z.real, "x": z.imag, "c": c[np.ix_(keep, keep)]}
    return replace(state, order=state.order - 1, matrices=matrices)


# -- lines ---------------------------------------------------------------------------------------------------


@dataclass
class _Line:
    """A line while its properties are read."""

    state: Impedance
    code_units: str | None = None
    units: str = "none"
    length: float = 1.0
    is_switch: bool = False
    capacitive: bool = False


def wires(circuit: Circuit) -> list[Wire]:
    """Lines and series reactors, disabled lines as open ones, in the order of their definition."""
    codes = line_codes(circuit)
    found = []
    for thing in circuit.things.values():
        if thing.kind == "line":
            found.append(_line(thing, codes, circuit.hz))
        elif thing.kind == "reactor" and thing.enabled:
            found.append(_reactor(thing, circuit.hz))
    return found


def _line(thing: Thing, codes: Mapping[str, Impedance], hz: float) -> Wire:
    def coded(line: _Line, edit: Param) -> None:
        code = codes.get(edit.value.lower())
        if code is None:
            raise edit.place.error(f"line.{thing.name} linecode", repr(edit.value), "a line code that exists")
        line.state = Impedance(
            code.order,
            dict(code.symmetrical),
            set(code.given),
            dict(code.matrices),
            code.units,
            code.amps,
            hz,
        )
        line.code_units = code.units
        line.capacitive = True

    line = _Line(Impedance(hz=hz))
    replay(thing, line, {**_LINE, "linecode": coded}, hz, known=("bus1", "bus2"))
    _unmixed(thing, line.state)
    if line.length <= 0:
        raise thing.error("length", str(line.length), "a length > 0")
    z, c = _line_matrices(thing, line)
    units = line.units if line.units != "none" else line.code_units or "none"
    km = line.length * METRES[units] / 1000.0 if units != "none" else None
    closed = thing.enabled and thing.opened is None
    return _wire(thing, z * line.length, c * line.length, line.is_switch, closed, line.state.amps, km)


def _line_order(line: _Line, edit: Param) -> None:
    order = _order(edit)
    if order != line.state.order and line.state.matrices:
        raise edit.place.error("phases", edit.value, f"{line.state.order}, as its matrices have")
    line.state.order = order


def _line_units(line: _Line, edit: Param) -> None:
    units = _units(edit)
    if line.units not in ("none", units) and line.code_units is None:
        raise edit.place.error("units", edit.value, f"{line.units}, as before")
    line.units = units


def _line_switch(line: _Line, edit: Param) -> None:
    if flag(edit):
        line.is_switch, line.capacitive, line.length, line.code_units = True, True, 0.001, None
        old = line.state
        line.state = Impedance(order=old.order, symmetrical=dict(SWITCH), amps=old.amps, hz=old.hz)


def _of_state(name: str) -> Handler[_Line]:
    def handler(line: _Line, edit: Param) -> None:
        ELECTRICAL[name](line.state, edit)
        line.capacitive |= name[0] in "cb"
        if name != "normamps":
            line.code_units = (
                None  # what the line says itself is per unit of its own length, whatever that is
            )

    return handler


_LINE: dict[str, Handler[_Line]] = {
    **{name: _of_state(name) for name in ELECTRICAL},
    "phases": _line_order,
    "length": put("length"),
    "units": _line_units,
    "switch": _line_switch,
}


def _line_matrices(thing: Thing, line: _Line) -> tuple[np.ndarray, np.ndarray]:
    """Ohm and nF per unit of the line's length."""
    state, factor = line.state, 1.0
    if line.code_units is not None and "none" not in (line.code_units, line.units):
        factor = METRES[line.units] / METRES[line.code_units]
    if line.code_units is None and not line.capacitive and line.units != "none":
        # Of a line without a code, OpenDSS means its default capacitance per 1000 ft.
        if state.matrices:
            raise thing.error("cmatrix", "", "the capacitances of a line given by matrices")
        kft = METRES[line.units] / METRES["kft"]
        state.symmetrical |= {"c1": DEFAULT["c1"] * kft, "c0": DEFAULT["c0"] * kft}
    z, c = state.full()
    return z * factor, c * factor


def _wire(
    thing: Thing,
    z: np.ndarray,
    c: np.ndarray,
    is_switch: bool,
    closed: bool,
    amps: float | None,
    km: float | None,
) -> Wire:
    ends = []
    for name in ("bus1", "bus2"):
        edit = thing.last(name)
        if edit is None:
            raise thing.error(name, "", "the buses of both ends")
        listed = edit.value.count(".")
        if 0 < listed < len(z):
            raise edit.place.error(name, repr(edit.value), f"{len(z)} nodes, one per phase, or none")
        ends.append(bus_of(edit, len(z), len(z)))
    (start, nodes), (end, others) = ends
    if nodes != others or len(set(nodes)) < len(nodes) or 0 in nodes:
        shown = f"{nodes} to {others}"
        raise thing.error("bus1, bus2", shown, "the same phases, each once, at both ends")
    if not (np.isfinite(z).all() and np.isfinite(c).all()):
        raise thing.error("", "", "finite impedances")
    return Wire(thing.name, (start, end), nodes, z, c, is_switch, closed, amps, km, thing.place)


@dataclass
class _Reactor:
    """A series reactor while its properties are read."""

    order: int = 3
    r: float = 0.0
    x: float | None = None


_REACTOR: dict[str, Handler[_Reactor]] = {
    "phases": put("order", one_of(1, 2, 3)),
    "r": put("r"),
    "x": put("x"),
}


def _reactor(thing: Thing, hz: float) -> Wire:
    """A series reactor, given by R and X per phase."""
    state = replay(thing, _Reactor(), _REACTOR, hz, known=("bus1", "bus2"))
    if state.x is None or thing.last("bus2") is None:
        raise thing.error("", "", "a series reactor with bus1, bus2, R and X")
    z = (state.r + 1j * state.x) * np.eye(state.order)
    return _wire(thing, z, np.zeros((state.order, state.order)), False, True, None, None)
