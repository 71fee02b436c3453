"""Lines, line codes and series reactors of OpenDSS as matrices in ohm and nanofarad.

The rules are those of OpenDSS: symmetrical components fill the matrices ((2 Z1 + Z0)/3 and (Z0 - Z1)/3; one
phase takes Z1 alone), a code's units are converted to the line's only where both say theirs, `switch=y` is a
milliohm, and a code that gives no capacitance has the default one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .lexer import Param, Place, flag
from .line_codes import (
    DEFAULT,
    ELECTRICAL,
    METRES,
    SWITCH,
    Codes,
    Impedance,
    line_codes,
    order_of,
    set_amps,
    set_matrix,
    units_of,
)
from .objects import Circuit, DssObject
from .properties import Handler, bus_of, one_of, put, replay

NO_CHARGE = 0.01  # nF: so much, and a switch has a hundredth of that, is nothing beside any load


@dataclass(frozen=True)
class Wire:
    """A line, switch or series reactor between two buses."""

    name: str
    buses: tuple[str, str]
    nodes: tuple[int, ...]  # in the order of the matrices
    z_ohm: np.ndarray  # (phases, phases) complex
    c_nf: np.ndarray
    is_switch: bool
    closed: bool  # at one end at least
    open_at: str  # the bus at whose side it is open while it is closed at the other; empty if there is none
    amps: float | None
    length_km: float | None
    place: Place


# -- lines ---------------------------------------------------------------------------------------------------


@dataclass
class _Line:
    """A line while its properties are read, with the switches in OpenDSS's head.

    Attributes:
        state: impedances per unit of length.
        code_units: units of the code that holds, None where the line speaks for itself.
        units: units of the length, as far as they hold.
        factor: how many units of the impedances are one unit of the length.
        is_switch: whether `switch=y` was said.
        capacitive: whether capacitances were given (not those of a code); else the first matrices that are
            built take those that stand there for values per 1000 ft.
        pending: symmetrical components were set since matrices were built last.
        enabled: whether it takes part.
        built: whether OpenDSS has built its matrices before.
    """

    state: Impedance
    code_units: str | None = None
    units: str = "none"
    factor: float = 1.0
    length: float = 1.0
    is_switch: bool = False
    capacitive: bool = False
    pending: bool = False
    enabled: bool = True
    built: bool = False
    shown_units: str = "none"  # the last that were said: what the length means to a reader

    def build(self) -> None:
        """What OpenDSS does when it first needs the matrices."""
        if not self.pending:
            return
        if not self.capacitive and self.units != "none":
            factor = METRES[self.units] / METRES["kft"]
            part = self.state.symmetrical
            part |= {"c1": part["c1"] * factor, "c0": part["c0"] * factor}
        self.capacitive, self.pending = True, False
        self.computed()

    def computed(self) -> None:
        """The symmetrical components become the matrices; of one phase, zero sequence is the positive one."""
        part = self.state.symmetrical
        if self.state.order == 1:
            part |= {"r0": part["r1"], "x0": part["x1"], "c0": part["c1"]}

    def own(self) -> None:
        """The line speaks for itself from here, per unit of its own length, whatever that is."""
        self.code_units, self.units, self.factor = None, "none", 1.0


def wires(circuit: Circuit) -> list[Wire]:
    """Lines and series reactors, disabled lines as open ones, in the order of their definition."""
    codes = line_codes(circuit)
    found = []
    for obj in circuit.objects.values():
        if obj.kind == "line":
            found.append(_line(obj, codes, circuit))
        elif obj.kind == "reactor" and obj.enabled:
            found.append(_reactor(obj, circuit.hz))
    return found


def _line(obj: DssObject, codes: Codes, circuit: Circuit) -> Wire:
    builds, at = circuit.builds, 0

    def coded(line: _Line, edit: Param) -> None:
        code = codes(edit)
        if code.matrices and line.pending:
            expected = "matrices of a code in front of what it would replace: OpenDSS keeps that"
            raise edit.place.error(f"line.{obj.name} linecode", repr(edit.value), expected)
        old = line.state
        if code.matrices:  # these leave the symmetrical components of the line as they are
            parts, matrices = dict(old.symmetrical), dict(code.matrices)
        else:
            parts, matrices = dict(code.symmetrical), {}
        line.state = Impedance(code.order, parts, set(), matrices, code.units, code.amps, circuit.hz)
        line.code_units = code.units
        line.factor = _conversion(code.units, line.units)
        if not code.matrices:
            line.pending = False
            line.computed()

    def between(line: _Line, command: int) -> None:
        nonlocal at
        while at < len(builds) and builds[at] < command:
            if builds[at] > obj.order and line.enabled:
                line.build()
                line.built = True
            at += 1

    line = _Line(Impedance(hz=circuit.hz))
    replay(obj, line, {**_LINE, "linecode": coded}, circuit.hz, ("bus1", "bus2"), between if builds else None)
    line.build()
    if line.state.matrices and line.code_units is None and not line.capacitive and line.units != "none":
        raise obj.error("cmatrix", "", "the capacitances of a line given by matrices")
    if line.length <= 0:
        raise obj.error("length", str(line.length), "a length > 0")
    z, c = line.state.full()
    units = line.shown_units if line.shown_units != "none" else line.code_units or "none"
    km = line.length * METRES[units] / 1000.0 if units != "none" else None
    return _wire(
        obj,
        z * line.factor * line.length,
        c * line.factor * line.length,
        line.is_switch,
        line.state.amps,
        km,
    )


def _conversion(old: str, new: str) -> float:
    """How many of the old units are one of the new ones; 1 where either is unknown."""
    return 1.0 if "none" in (old, new) else METRES[new] / METRES[old]


def _line_order(line: _Line, edit: Param) -> None:
    order = order_of(edit)
    if order != line.state.order:
        if line.state.matrices:
            raise edit.place.error("phases", edit.value, f"{line.state.order}, as its matrices have")
        line.state.order = order
        line.pending = False
        line.computed()


def _line_units(line: _Line, edit: Param) -> None:
    units = units_of(edit)
    if line.code_units is not None:
        line.factor = _conversion(line.code_units, units)
    else:
        line.factor *= _conversion(line.units, units)
    line.units = line.shown_units = units


def _line_switch(line: _Line, edit: Param) -> None:
    line.is_switch = flag(edit)
    if line.is_switch:
        line.own()
        line.length, line.pending, line.shown_units = 0.001, True, "none"
        old = line.state
        line.state = Impedance(order=old.order, symmetrical=dict(SWITCH), amps=old.amps, hz=old.hz)


def _line_component(line: _Line, edit: Param) -> None:
    ELECTRICAL[edit.name](line.state, edit)
    if line.state.matrices:
        raise edit.place.error(edit.name, edit.value, "either matrices or symmetrical components, not both")
    if line.built and edit.name[0] == "b":
        raise edit.place.error(
            edit.name, edit.value, "c1 and c0 behind a solution: OpenDSS does not build b1 and b0 in"
        )
    line.capacitive |= edit.name[0] in "cb"
    line.pending = True
    line.own()


def _line_matrix(line: _Line, edit: Param) -> None:
    if line.pending:
        expected = (
            "either matrices or symmetrical components (and switch=y), not both: OpenDSS keeps the latter"
        )
        raise edit.place.error(edit.name, repr(edit.value), expected)
    if not line.state.matrices:  # the rest stays as the symmetrical components have made it
        z, c = line.state.full()
        line.state.matrices = {"r": z.real, "x": z.imag, "c": c}
    set_matrix(line.state, edit)
    line.capacitive |= edit.name[0] == "c"
    line.own()


def _line_enabled(line: _Line, edit: Param) -> None:
    line.enabled = flag(edit)


_LINE: dict[str, Handler[_Line]] = {
    **dict.fromkeys((*DEFAULT, "b1", "b0"), _line_component),
    **dict.fromkeys(("rmatrix", "xmatrix", "cmatrix"), _line_matrix),
    "normamps": lambda line, edit: set_amps(line.state, edit),
    "phases": _line_order,
    "length": put("length"),
    "units": _line_units,
    "switch": _line_switch,
    "enabled": _line_enabled,
}


def _wire(
    obj: DssObject,
    z: np.ndarray,
    c: np.ndarray,
    is_switch: bool,
    amps: float | None,
    km: float | None,
) -> Wire:
    if len(z) > 3:
        raise obj.error("phases", str(len(z)), "1 to 3 conductors (kron=yes eliminates a grounded neutral)")
    ends = []
    for name in ("bus1", "bus2"):
        edit = obj.last(name)
        if edit is None:
            raise obj.error(name, "", "the buses of both ends")
        listed = edit.value.count(".")
        if 0 < listed < len(z):
            raise edit.place.error(name, repr(edit.value), f"{len(z)} nodes, one per phase, or none")
        ends.append(bus_of(edit, len(z), len(z)))
    (start, nodes), (end, others) = ends
    if nodes != others or len(set(nodes)) < len(nodes) or 0 in nodes:
        shown = f"{nodes} to {others}"
        raise obj.error("bus1, bus2", shown, "the same phases, each once, at both ends")
    if not (np.isfinite(z).all() and np.isfinite(c).all()):
        raise obj.error("", "", "finite impedances")
    # What is open at one end is closed at the other where that can be told from being open at both.
    closed = obj.enabled and (not obj.opened or (len(obj.opened) < 2 and np.abs(c).max() > NO_CHARGE))
    open_at = "".join((start, end)[terminal - 1] for terminal in obj.opened) if closed else ""
    return Wire(obj.name, (start, end), nodes, z, c, is_switch, closed, open_at, amps, km, obj.place)


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


def _reactor(obj: DssObject, hz: float) -> Wire:
    """A series reactor, given by R and X per phase."""
    state = replay(obj, _Reactor(), _REACTOR, hz, known=("bus1", "bus2"))
    if state.x is None or obj.last("bus2") is None:
        raise obj.error("", "", "a series reactor with bus1, bus2, R and X")
    z = (state.r + 1j * state.x) * np.eye(state.order)
    return _wire(obj, z, np.zeros((state.order, state.order)), False, None, None)
