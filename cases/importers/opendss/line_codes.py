"""Line codes of OpenDSS, and the impedances of one unit of length that codes and lines have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .lexer import Param, flag, matrix, number, whole
from .objects import Circuit, DssObject
from .properties import Handler, one_of, put, replay

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
        if len(self.matrices) == 3:
            return self.matrices["r"] + 1j * self.matrices["x"], self.matrices["c"]
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


Codes = Callable[[Param], "Impedance"]


@dataclass
class _Code(Impedance):
    """A line code while its properties are read."""

    neutral: int = 0
    kron: bool = False


def order_of(edit: Param) -> int:
    """A number of conductors."""
    return one_of(*range(1, MAX_CONDUCTORS + 1))(edit)


def _code_order(state: _Code, edit: Param) -> None:
    state.order = order_of(edit)
    state.matrices.clear()


def units_of(edit: Param) -> str:
    """A unit of length, as `METRES` names it, or none."""
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


def set_matrix(state: Impedance, edit: Param) -> None:
    """One of the matrices, of the order that holds."""
    if getattr(state, "kron", False):
        raise edit.place.error(edit.name, repr(edit.value), "matrices before kron=yes, which reduces them")
    state.matrices[edit.name[0]] = np.array(matrix(edit, state.order))


def set_amps(state: Impedance, edit: Param) -> None:
    """The rated current."""
    state.amps = number(edit)
    if state.amps <= 0:
        raise edit.place.error(edit.name, edit.value, "A > 0")


ELECTRICAL: dict[str, Handler[Impedance]] = {
    **dict.fromkeys(DEFAULT, _component),
    **dict.fromkeys(("b1", "b0"), _susceptance),
    **dict.fromkeys(("rmatrix", "xmatrix", "cmatrix"), set_matrix),
    "normamps": set_amps,
}
_CODE: dict[str, Handler[_Code]] = {
    **ELECTRICAL,
    "nphases": _code_order,
    "units": put("units", units_of),
    "neutral": put("neutral", whole),
    "kron": put("kron", flag),
}


def line_codes(circuit: Circuit) -> Codes:
    """What a line takes over when it names a code: the code as it stands at that moment.

    Every code is read once as a whole, too, so that what is wrong with one that nobody uses is found.
    """
    found: dict[tuple[str, int], Impedance] = {}

    def code_of(edit: Param) -> Impedance:
        obj = circuit.objects.get(("linecode", edit.value.lower()))
        if obj is None or obj.order >= edit.order:
            raise edit.place.error("linecode", repr(edit.value), "a line code that exists")
        late = obj.edits[-1].order >= edit.order if obj.edits else False
        key = (obj.name, edit.order if late else -1)
        if key not in found:
            found[key] = _code(obj, circuit.hz, edit.order if late else None)
        return found[key]

    for obj in circuit.objects.values():
        if obj.kind == "linecode":
            found[obj.name, -1] = _code(obj, circuit.hz, None)
    return code_of


def _code(obj: DssObject, hz: float, until: int | None) -> Impedance:
    """A code; if it has a matrix it has all three."""
    state = replay(obj, _Code(hz=hz), _CODE, hz, until=until)
    _unmixed(obj, state)
    if state.kron:
        return _reduced(obj, state, state.neutral or state.order)
    if state.matrices:
        z, c = state.full()
        state.matrices = {"r": z.real, "x": z.imag, "c": c}
    return state


def _unmixed(obj: DssObject, state: Impedance) -> None:
    if state.matrices and state.given:
        raise obj.error("", min(state.given), "either matrices or symmetrical components, not both")


def _reduced(obj: DssObject, state: Impedance, neutral: int) -> Impedance:
    """The code with its grounded neutral eliminated (Kron); the neutral's capacitances are dropped."""
    if not state.matrices or not 1 <= neutral <= state.order or state.order < 2:
        raise obj.error("kron", str(neutral), "matrices, and the number of one of their conductors")
    z, c = state.full()
    n, keep = neutral - 1, [k for k in range(state.order) if k != neutral - 1]
    if z[n, n] == 0:
        raise obj.error("kron", str(neutral), "an impedance of the neutral that is not zero")
    z = z[np.ix_(keep, keep)] - np.outer(z[keep, n], z[n, keep]) / z[n, n]
    matrices = {"r": z.real, "x": z.imag, "c": c[np.ix_(keep, keep)]}
    return replace(state, order=state.order - 1, matrices=matrices)
