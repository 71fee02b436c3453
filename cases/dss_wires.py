"""Lines, line codes and series reactors of OpenDSS as 3x3-able matrices in ohm and microsiemens.

The rules are those of OpenDSS: symmetrical components fill the matrices ((2 Z1 + Z0)/3 and (Z0 - Z1)/3; one phase
takes Z1 alone), a code's units are converted to the line's only where both say theirs, `switch=y` is a milliohm,
and a code that gives no capacitance has the default one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .dss_lex import Param, Place, flag, matrix, number, whole
from .dss_run import Circuit, Thing
from .dss_words import IGNORED

METRES: Mapping[str, float] = {
    "mi": 1609.344, "kft": 304.8, "km": 1000.0, "m": 1.0, "ft": 0.3048, "in": 0.0254, "cm": 0.01, "mm": 0.001,
}  # fmt: skip
DEFAULT = {"r1": 0.058, "x1": 0.1206, "r0": 0.1784, "x0": 0.4047, "c1": 3.4, "c0": 1.6}  # ohm and nF
SWITCH = {"r1": 1.0, "x1": 1.0, "r0": 1.0, "x0": 1.0, "c1": 1.1, "c0": 1.0}
MATRICES = {"rmatrix": "r", "xmatrix": "x", "cmatrix": "c"}
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


def refuse(thing: Thing, edit: Param, known: frozenset[str] = frozenset()) -> None:
    """Raise for a property that the importer can neither use nor leave out."""
    if edit.name in IGNORED[thing.kind] or edit.name in known:
        return
    where = f"{thing.kind}.{thing.name} {edit.name}"
    raise edit.place.error(where, repr(edit.value), "no such property: the importer cannot convert it")


def bus_of(edit: Param, phases: int, conductors: int) -> tuple[str, tuple[int, ...]]:
    """Bus and node numbers of a terminal: those that stand there, else 1, 2, 3, then ground."""
    name, *rest = edit.value.lower().split(".")
    try:
        listed = [int(node) for node in rest]
    except ValueError:
        listed = [-1]
    if not name or any(not 0 <= node <= 3 for node in listed):
        raise edit.place.error(edit.name, repr(edit.value), "bus.1.2.3 with phases 1 to 3, or 0 for ground")
    default = [k + 1 if k < phases else 0 for k in range(conductors)]
    if any(listed[conductors:]):
        raise edit.place.error(edit.name, repr(edit.value), f"at most {conductors} nodes")
    nodes = listed[:conductors] + default[len(listed) :]
    return name, tuple(nodes)


def base_frequency(thing: Thing, edit: Param, hz: float) -> None:
    """Raise unless the property names the frequency of the circuit."""
    if number(edit) != hz:
        raise edit.place.error(f"{thing.kind}.{thing.name} basefreq", edit.value, f"{hz:g}, the circuit's")


# -- codes ---------------------------------------------------------------------------------------------------


def line_codes(circuit: Circuit) -> dict[str, Impedance]:
    """Every line code by name."""
    return {
        name: _code(thing, circuit.hz) for (kind, name), thing in circuit.things.items() if kind == "linecode"
    }


def _code(thing: Thing, hz: float) -> Impedance:
    state, neutral, kron = Impedance(), 0, False
    for edit in thing.edits:
        if edit.name == "nphases":
            state.order = _order(edit)
            state.matrices.clear()
        elif edit.name == "units":
            state.units = _units(edit)
        elif edit.name == "neutral":
            neutral = whole(edit)
        elif edit.name == "kron":
            kron = flag(edit)
        elif edit.name == "basefreq":
            base_frequency(thing, edit, hz)
        elif not _electrical(state, edit, hz):
            refuse(thing, edit)
    _unmixed(thing, state)
    return _reduced(thing, state, neutral or state.order) if kron else state


def _order(edit: Param) -> int:
    order = whole(edit)
    if not 1 <= order <= MAX_CONDUCTORS:
        raise edit.place.error(edit.name, edit.value, f"1 to {MAX_CONDUCTORS} conductors")
    return order


def _units(edit: Param) -> str:
    word = edit.value.lower()
    for unit in ("none", *METRES):
        if word == unit or (len(word) > 1 and word.startswith(unit) and unit in ("mi", "none")):
            return unit
    if word == "miles":
        return "mi"
    raise edit.place.error(edit.name, repr(edit.value), f"one of none, {', '.join(METRES)}")


def _electrical(state: Impedance, edit: Param, hz: float) -> bool:
    """Take over an impedance, a capacitance or a rating; False if the property is none of them."""
    if edit.name in DEFAULT:
        state.symmetrical[edit.name] = number(edit)
        state.given.add(edit.name)
    elif edit.name in ("b1", "b0"):  # microsiemens
        name = f"c{edit.name[1]}"
        state.symmetrical[name] = number(edit) / (2.0 * math.pi * hz) * 1e3
        state.given.add(name)
    elif edit.name in MATRICES:
        state.matrices[MATRICES[edit.name]] = np.array(matrix(edit, state.order))
    elif edit.name == "normamps":
        state.amps = number(edit)
        if state.amps <= 0:
            raise edit.place.error(edit.name, edit.value, "A > 0")
    else:
        return False
    return True


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

    state: Impedance = field(default_factory=Impedance)
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
    line = _Line()
    for edit in thing.edits:
        _line_property(thing, line, edit, codes, hz)
    state = line.state
    _unmixed(thing, state)
    if line.length <= 0:
        raise thing.error("length", str(line.length), "a length > 0")
    z, c = _line_matrices(thing, line)
    units = line.units if line.units != "none" else line.code_units or "none"
    km = line.length * METRES[units] / 1000.0 if units != "none" else None
    closed = thing.enabled and thing.opened is None
    return _wire(thing, z * line.length, c * line.length, line.is_switch, closed, state.amps, km)


def _line_property(thing: Thing, line: _Line, edit: Param, codes: Mapping[str, Impedance], hz: float) -> None:
    name, state = edit.name, line.state
    if name == "linecode":
        code = codes.get(edit.value.lower())
        if code is None:
            raise edit.place.error(f"line.{thing.name} linecode", repr(edit.value), "a line code that exists")
        line.state = replace(
            code, symmetrical=dict(code.symmetrical), given=set(code.given), matrices=dict(code.matrices)
        )
        line.code_units = code.units
    elif name == "phases":
        order = _order(edit)
        if order != state.order and state.matrices:
            expected = f"{state.order}, as its matrices have"
            raise edit.place.error(f"line.{thing.name} phases", edit.value, expected)
        state.order = order
    elif name == "length":
        line.length = number(edit)
    elif name == "units":
        units = _units(edit)
        if line.units not in ("none", units) and line.code_units is None:
            raise edit.place.error(f"line.{thing.name} units", edit.value, f"{line.units}, as before")
        line.units = units
    elif name == "switch":
        if flag(edit):
            line.is_switch, line.capacitive, line.length, line.code_units = True, True, 0.001, None
            line.state = Impedance(order=state.order, symmetrical=dict(SWITCH), amps=state.amps)
    elif name == "basefreq":
        base_frequency(thing, edit, hz)
    elif _electrical(state, edit, hz):
        line.capacitive |= name in ("c1", "c0", "b1", "b0", "cmatrix")
    else:
        refuse(thing, edit, frozenset({"bus1", "bus2", "enabled"}))


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


def _reactor(thing: Thing, hz: float) -> Wire:
    """A series reactor, given by R and X per phase."""
    order, r, x = 3, 0.0, None
    for edit in thing.edits:
        if edit.name == "phases":
            order = _order(edit)
        elif edit.name == "r":
            r = number(edit)
        elif edit.name == "x":
            x = number(edit)
        elif edit.name == "basefreq":
            base_frequency(thing, edit, hz)
        else:
            refuse(thing, edit, frozenset({"bus1", "bus2", "enabled"}))
    if x is None or thing.last("bus2") is None or order > 3:
        raise thing.error("", "", "a series reactor with bus1, bus2, R and X")
    z = (r + 1j * x) * np.eye(order)
    return _wire(thing, z, np.zeros((order, order)), False, True, None, None)
