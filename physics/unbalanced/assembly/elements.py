"""Per-phase branches of a feeder as elements in per unit: lines, switches, transformer banks, regulators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....cases.model.feeder import Feeder
from ....cases.phases import places
from .segments import Matrix, Segment, Terminals, Winding, connect, from_admittance, line, sub_block


class Magnetising(NamedTuple):
    """Core loss and magnetising current across a winding whose regulator changes its turns."""

    side: Terminals  # at the to end
    y: complex  # pu, at the neutral step
    regulator: int


@dataclass(eq=False)
class Element:
    """One branch: what it is in series, and the admittance it shows its two nodes."""

    row: int
    name: str
    from_node: int
    to_node: int
    y_from: Matrix  # (3, 3) pu
    y_to: Matrix
    line_phases: tuple[int, ...] = ()
    z: Matrix = field(default_factory=lambda: np.zeros((0, 0), dtype=np.complex128))
    windings: list[Winding] = field(default_factory=list)
    centre_tap: Matrix | None = None  # nodal admittance of the high terminals (one or two), leg 1, leg 2
    high: tuple[int, ...] = ()  # phases of a centre-tap transformer's high side
    open_end: str = ""  # "from" or "to": not connected there, its charging hangs on the other end
    magnetising: list[Magnetising] = field(default_factory=list)  # that moves with a tap

    def phases(self, end: int) -> list[int]:
        """Places that carry current at the from end (0) or the to end (1)."""
        if self.centre_tap is not None:
            return sorted(self.high) if end == 0 else [0, 1]
        sides = [w.start if end == 0 else w.end for w in self.windings]
        return sorted(set(self.line_phases) | {phase for side in sides for phase, _ in side})

    def pairs(self) -> list[Winding | None]:
        """Its winding pairs; None stands for a centre-tap transformer as a whole."""
        return [None] if self.centre_tap is not None else [*self.windings]

    def sides(self) -> list[tuple[Terminals, Terminals]]:
        """Terminals of each of :meth:`pairs` at the from and at the to end."""
        if self.centre_tap is not None:
            return [(tuple((p, 1.0) for p in self.high), ((0, 1.0), (1, 1.0)))]
        return [(w.start, w.end) for w in self.windings]

    def view(self, child_is_to: bool) -> tuple[list[Segment], Matrix]:
        """Its segments, and the further (3, 3) admittance at its parent node, for one direction."""
        shunt = np.zeros((3, 3), dtype=np.complex128)
        if self.centre_tap is not None:
            n = len(self.high)
            order = [n, n + 1, *range(n)] if child_is_to else list(range(n + 2))
            legs, high = (0, 1), self.high
            child, parent = (legs, high) if child_is_to else (high, legs)
            segment, block = from_admittance(child, parent, self.centre_tap[np.ix_(order, order)])
            shunt[np.ix_(segment.parent, segment.parent)] = block
            return [segment], shunt
        if self.windings:
            try:
                segments, phases, block = connect(self.windings, child_is_to=child_is_to)
            except ValueError as error:
                raise ValueError(f"branch {self.name!r}: {error}") from None
            shunt[np.ix_(phases, phases)] = block
            return segments, shunt
        return line(self.line_phases, self.z), shunt


class _Bases:
    """Voltage bases (V to ground) of a branch's ends and the base of one phase (VA)."""

    def __init__(self, feeder: Feeder, kv: NDArray[np.float64], from_node: int, to_node: int) -> None:
        self.v_from = float(kv[from_node]) * 1e3 / np.sqrt(3.0)
        self.v_to = float(kv[to_node]) * 1e3 / np.sqrt(3.0)
        self.s = feeder.base_mva * 1e6 / 3.0


def elements(feeder: Feeder) -> list[Element]:
    """Every branch of a per-phase feeder, in the order of its table."""
    column = feeder.column
    ends = [
        np.array([feeder.node_index[n] for n in column("branches", c)], dtype=np.int64)
        for c in ("from_node", "to_node")
    ]
    matrices = [np.nan_to_num(column("branches", c)) for c in ("r_ohm", "x_ohm", "b_us")]
    kv = column("nodes", "base_kv")
    kinds, phases = column("branches", "type"), column("branches", "phase")
    units = _units(feeder)
    regulators = _regulator_rows(feeder)
    open_ends = column("branches", "open_ends")
    found = []
    for row, branch in enumerate(column("branches", "branch_id")):
        start, end = int(ends[0][row]), int(ends[1][row])
        bases = _Bases(feeder, kv, start, end)
        r, x, b = (m[row] for m in matrices)
        element = Element(row, str(branch), start, end, *_line_shunts(b, bases))
        if kinds[row] in ("line", "switch"):
            mine = places(str(phases[row]))
            _make_line(element, mine, r + 1j * x, bases, str(branch))
            if open_ends[row]:
                _open(element, str(open_ends[row]))
        else:
            _make_bank(element, units.get(str(branch), []), regulators, r + 1j * x, bases, str(branch))
        found.append(element)
    return found


def _line_shunts(b_us: NDArray[np.float64], bases: _Bases) -> tuple[Matrix, Matrix]:
    half = 0.5j * b_us * 1e-6
    return half * bases.v_from**2 / bases.s, half * bases.v_to**2 / bases.s


def _make_line(element: Element, phases: tuple[int, ...], z_ohm: Matrix, bases: _Bases, branch: str) -> None:
    if abs(bases.v_from / bases.v_to - 1.0) > 1e-9:
        raise ValueError(f"branch {branch!r} is a line between nodes of different base_kv: use a transformer")
    element.line_phases = phases
    element.z = sub_block(z_ohm, phases) * bases.s / bases.v_from**2


def _open(element: Element, end: str) -> None:
    """Leave the charging that the closed end sees: half of it there, half behind the impedance."""
    at = np.ix_(element.line_phases, element.line_phases)
    near = element.y_from[at]
    far = np.linalg.inv(np.eye(len(near)) + element.z @ near)
    kept, gone = (element.y_to, element.y_from) if end == "from" else (element.y_from, element.y_to)
    kept[at] = near + near @ far
    gone[:] = 0.0
    element.open_end = end


def _units(feeder: Feeder) -> dict[str, list[dict[str, Any]]]:
    """Rows of the transformers table by branch id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for unit in feeder.transformers.to_pylist():
        found.setdefault(unit["branch_id"], []).append(unit)
    return found


def _regulator_rows(feeder: Feeder) -> dict[str, int]:
    """Row of the regulators table that moves the taps of each unit."""
    ids = feeder.column("regulators", "transformer_id")
    return {str(unit): row for row, unit in enumerate(ids) if unit is not None}


def _make_bank(
    element: Element,
    units: list[dict[str, Any]],
    regulators: dict[str, int],
    z_ohm: Matrix,
    bases: _Bases,
    branch: str,
) -> None:
    for phase in range(3):  # phases that pass straight through beside the units
        if z_ohm[phase, phase] != 0:
            zeta = complex(z_ohm[phase, phase] * bases.s / bases.v_from**2)
            side = ((phase, 1.0),)
            element.windings.append(Winding(side, side, bases.v_from / bases.v_to, zeta))
    if (z_ohm != np.diag(z_ohm.diagonal())).any():
        raise ValueError(f"branch {branch!r}: phases beside the units of a bank must not be coupled")
    for unit in units:
        if unit["connection"] == "centre-tap":
            if len(units) > 1:
                raise ValueError(f"branch {branch!r}: a centre-tap transformer must have a branch of its own")
            _make_centre_tap(element, unit, bases)
        else:
            regulator = regulators.get(unit["transformer_id"], -1)
            element.windings += _unit_windings(element, unit, regulator, bases)


def _unit_windings(element: Element, unit: dict[str, Any], regulator: int, bases: _Bases) -> list[Winding]:
    """Winding pairs of one unit; its shunts go into the element."""
    from_kind, to_kind = unit["connection"].split("-")
    lag = unit["lag_deg"] or 0.0
    turn = 1 if lag == 0 else (-1 if (lag > 0) == (from_kind == "delta") else 1)
    starts = _sides(unit["from_phase"], from_kind, turn)
    ends = _sides(unit["to_phase"], to_kind, turn)
    three = len(starts) == 3
    s_w = unit["s_mva"] * 1e6 / (3.0 if three else 1.0)
    v_f, v_t = (
        unit[c] * 1e3 / (np.sqrt(3.0) if three and kind != "delta" else 1.0)
        for c, kind in (("hv_kv", from_kind), ("lv_kv", to_kind))
    )
    n_f, n_t = v_f * unit["tap_from"], v_t * unit["tap_to"]
    rho = (n_t / n_f) * (bases.v_from / bases.v_to)
    rho = 1.0 if abs(rho - 1.0) < 1e-12 else rho
    z = complex(unit["r_pct"], unit["x_pct"]) / 100.0 / s_w
    zeta = z * n_f**2 * bases.s / bases.v_from**2
    magnetising = complex(unit["noload_pct"] or 0.0, -(unit["imag_pct"] or 0.0)) / 100.0 * s_w / n_t**2
    antifloat = -0.5e-6j * (unit["antifloat_ppm"] or 0.0) * s_w
    for sides, y, v in ((starts, element.y_from, bases.v_from), (ends, element.y_to, bases.v_to)):
        rated = v_f if sides is starts else v_t
        for side in sides:
            for phase, _ in side if len(side) < 3 else side[:1]:
                y[phase, phase] += antifloat / rated**2 * v**2 / bases.s
    for side in ends if magnetising != 0 else ():
        y = magnetising * bases.v_to**2 / bases.s
        if regulator >= 0:
            element.magnetising.append(Magnetising(side, y, regulator))
        else:
            add_across(element.y_to, side, y)
    return [Winding(f, t, rho, zeta, regulator) for f, t in zip(starts, ends, strict=True)]


def _sides(letters: str, kind: str, turn: int) -> list[Terminals]:
    """Terminals of each winding of one side of a unit."""
    at = places(letters)
    if kind == "wye":
        return [((phase, 1.0),) for phase in at]
    if kind == "floating":
        # Opposite a delta the windings' voltages add up to zero: their neutral is at the mean of the phases.
        return [((at[k], 2 / 3), (at[k - 2], -1 / 3), (at[k - 1], -1 / 3)) for k in range(3)]
    if len(at) == 2:
        return [((at[0], 1.0), (at[1], -1.0))]
    return [((at[k], 1.0), (at[(k + turn) % 3], -1.0)) for k in range(3)]


def add_across(y: Matrix, side: Terminals, admittance: complex) -> None:
    """Add an admittance between the terminals of a winding."""
    for phase, sign in side:
        for other, other_sign in side:
            y[phase, other] += sign * other_sign * admittance


def _make_centre_tap(element: Element, unit: dict[str, Any], bases: _Bases) -> None:
    s_w = unit["s_mva"] * 1e6
    r_h, r_1, r_2 = (unit[c] for c in ("r_h_pct", "r_1_pct", "r_2_pct"))
    first = complex(r_h + r_1, unit["x_pct"])
    second = complex(r_h + r_2, unit["x_h2_pct"])
    mutual = (first + second - complex(r_1 + r_2, unit["x_12_pct"])) / 2.0
    z = np.array([[first, mutual], [mutual, second]]) / 100.0 / s_w
    turns = np.array([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    nominal = np.array([unit["hv_kv"], unit["lv_kv"], unit["lv_kv"]]) * 1e3
    volts = nominal * [unit["tap_from"], unit["tap_to"], unit["tap_to"]]
    sign = np.array([1.0, 1.0, -1.0])  # leg 2 is wound from ground to its terminal
    scale = sign * np.array([bases.v_from, bases.v_to, bases.v_to]) / volts
    y = turns @ np.linalg.inv(z) @ turns.T
    y = y * np.outer(scale, scale) / bases.s
    element.high = places(unit["from_phase"])
    if len(element.high) == 2:  # the high winding stands between two phases
        between = np.array([[1.0, -1.0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        y = between.T @ y @ between
    element.centre_tap = y
    antifloat = -0.5e-6j * (unit["antifloat_ppm"] or 0.0) * s_w / nominal**2 / bases.s
    for phase in element.high:
        element.y_from[phase, phase] += antifloat[0] * bases.v_from**2
    for leg, terminals in ((0, 1.0), (1, 2.0)):  # OpenDSS counts leg 2 twice
        element.y_to[leg, leg] += terminals * antifloat[1] * bases.v_to**2
    magnetising = complex(unit["noload_pct"] or 0.0, -(unit["imag_pct"] or 0.0)) / 100.0 * s_w
    element.y_to[0, 0] += magnetising / volts[1] ** 2 * bases.v_to**2 / bases.s
