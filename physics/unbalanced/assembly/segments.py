"""Segments of a branch as seen from its parent, from incidences and impedances in per unit of one phase.

A winding pair (or a phase that passes straight through) is an ideal ratio with its impedance at the *from*
side: ``v_to = rho (v_from - zeta i_from)``, ``i_from = rho i_to``, with winding voltages that are sums of
terminal voltages. `connect` turns the pairs of one branch into segments, for either direction of feeding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernel_tables import FLOATING, GENERAL, PAIR, SCALED, SINGLE, SPLIT, TAP, TAP_LEG, TRIPLE, WIRE

Matrix = NDArray[np.complex128]
Terminals = tuple[tuple[int, float], ...]  # (phase, sign); one entry: to ground
_COUPLED = {1: SINGLE, 2: PAIR, 3: TRIPLE}


@dataclass(frozen=True)
class Winding:
    """One pair of windings, or one phase of a jumper."""

    start: Terminals  # of the from side
    end: Terminals
    rho: float
    zeta: complex
    regulator: int = -1  # row of the regulators table that moves the to winding


@dataclass(frozen=True)
class TapEntry:
    """What a segment with a movable ratio needs: the ratio is ``factor * tap[row]`` from `from` to `to`."""

    regulator: int  # -1: does not move
    child_is_from: bool
    factor: float


@dataclass(frozen=True, eq=False)
class Segment:
    """``V_child = A V_parent - B I_child``, ``I_parent = D I_child`` at nominal taps."""

    kind: int
    child: tuple[int, ...]  # phases of the child node
    parent: tuple[int, ...]  # phases of the parent node; for TAP_LEG the two of the winding
    a: Matrix
    b: Matrix
    d: Matrix
    tap: TapEntry | None = None
    reference: int = -1  # phase of the child node that a TAP_LEG starts from
    windings: tuple[Winding, ...] = ()  # what it is made of; a line: none

    def kept(self, live: list[bool]) -> Segment | None:
        """A line without the conductors that are dead at its parent; None for other kinds."""
        if self.kind not in (PAIR, TRIPLE) or not any(live):
            return None
        keep = np.flatnonzero(live)
        phases = tuple(self.child[k] for k in keep)
        z = self.b[np.ix_(keep, keep)]
        unit = np.eye(len(keep), dtype=np.complex128)
        return replace(self, kind=_COUPLED[len(keep)], child=phases, parent=phases, a=unit, b=z, d=unit)

    def coefficients(self) -> list[complex]:
        """What the kernel reads, in its order."""
        if self.kind == WIRE:
            return []
        if self.kind == SCALED:
            return [complex(self.a[0, 0]), complex(self.b[0, 0])]
        blocks = (self.a, self.b, self.d) if self.kind in (GENERAL, FLOATING, SPLIT) else (self.b,)
        return [complex(x) for block in blocks for x in block.ravel()]


def sub_block(block: NDArray[Any], at: Sequence[int]) -> NDArray[Any]:
    """Rows and columns ``at`` of a (3, 3) block; all three of them are the block itself."""
    if len(at) == 3:
        return block
    index = np.array(at)
    return np.asarray(block[index[:, None], index])


def coupled_groups(z: Matrix) -> list[list[int]]:
    """Positions of a matrix that hang together through elements off the diagonal."""
    left, groups = list(range(z.shape[0])), []
    while left:
        group = [left.pop(0)]
        for k in group:
            more = [j for j in left if z[k, j] != 0 or z[j, k] != 0]
            group += more
            left = [j for j in left if j not in more]
        groups.append(sorted(group))
    return groups


def line(phases: tuple[int, ...], z: Matrix) -> list[Segment]:
    """Segments of a line, switch or source impedance; ``z`` (n, n) pu of the phases it has."""
    segments = []
    for group in coupled_groups(z):
        part = z if len(group) == len(phases) else z[np.ix_(group, group)]
        mine = tuple(phases[k] for k in group)
        unit = np.eye(len(group), dtype=np.complex128)
        kind = WIRE if len(group) == 1 and part[0, 0] == 0 else _COUPLED[len(group)]
        segments.append(Segment(kind, mine, mine, unit, part, unit))
    return segments


def connect(windings: list[Winding], *, child_is_to: bool) -> tuple[list[Segment], tuple[int, ...], Matrix]:
    """Segments of a bank; besides, phases and admittance block that it shows its parent node.

    Raises:
        ValueError: the connection cannot be fed from this end.
    """
    segments, rest = _single_phase(windings, child_is_to)
    if not rest:
        return segments, (), np.zeros((0, 0), dtype=np.complex128)
    if any(w.regulator >= 0 for w in windings):
        raise ValueError("its taps move windings that are no segment of a tree")
    segment, shunt = _general(windings, child_is_to)
    return [segment], segment.parent, shunt


def _ends(winding: Winding, child_is_to: bool) -> tuple[Terminals, Terminals]:
    """(child, parent) terminals."""
    return (winding.end, winding.start) if child_is_to else (winding.start, winding.end)


def _seen(winding: Winding, child_is_to: bool) -> tuple[float, complex]:
    """Ratio and impedance as seen from the parent."""
    if child_is_to:
        return winding.rho, winding.rho**2 * winding.zeta
    return 1.0 / winding.rho, winding.zeta


def _single_phase(windings: list[Winding], child_is_to: bool) -> tuple[list[Segment], list[Winding]]:
    """Windings that are segments of their own, and the rest: grounded pairs, legs that start from them."""
    segments: list[Segment] = []
    fed: set[int] = set()
    rest = []
    for winding in windings:
        child, parent = _ends(winding, child_is_to)
        alone = len(child) == 1 and len(parent) == 1 and child[0][1] == parent[0][1] == 1.0
        if not alone or child[0][0] in fed:
            rest.append(winding)
            continue
        fed.add(child[0][0])
        segments.append(_pair_to_ground(winding, child_is_to))
    legs, rest = rest, []
    for winding in legs:
        leg = _leg(winding, child_is_to, fed)
        if leg is None:
            rest.append(winding)
            continue
        segments.append(leg)
        fed.add(leg.child[0])
    return segments, rest


def _matrix(value: complex) -> Matrix:
    return np.array([[value]], dtype=np.complex128)


def _pair_to_ground(winding: Winding, child_is_to: bool) -> Segment:
    child, parent = _ends(winding, child_is_to)
    ratio, z = _seen(winding, child_is_to)
    tap = None
    if winding.regulator >= 0:
        kind, z = TAP, winding.zeta
        tap = TapEntry(winding.regulator, not child_is_to, winding.rho)
    elif ratio != 1.0:
        kind = SCALED
    else:
        kind = WIRE if z == 0 else SINGLE
    a = _matrix(ratio)
    return Segment(kind, (child[0][0],), (parent[0][0],), a, _matrix(z), a, tap, windings=(winding,))


def _leg(winding: Winding, child_is_to: bool, fed: set[int]) -> Segment | None:
    """A winding between two phases of which one is fed already; None where this is not one."""
    child, parent = _ends(winding, child_is_to)
    if len(child) != 2 or len(parent) != 2:
        return None
    known = [k for k, (phase, _) in enumerate(child) if phase in fed]
    if len(known) != 1:
        return None
    (target, sign), (reference, _) = child[1 - known[0]], child[known[0]]
    plus = next(phase for phase, s in parent if s == sign)
    minus = next(phase for phase, s in parent if s == -sign)
    tap = TapEntry(winding.regulator, not child_is_to, winding.rho)
    ratio, _ = _seen(winding, child_is_to)
    a = np.array([[ratio, -ratio]], dtype=np.complex128)
    z = _matrix(winding.zeta)
    return Segment(TAP_LEG, (target,), (plus, minus), a, z, a.T, tap, reference, (winding,))


def _incidence(sides: list[Terminals]) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Phases that appear, in order, and (winding, phase) signs."""
    phases = tuple(sorted({phase for side in sides for phase, _ in side}))
    signs = np.zeros((len(sides), len(phases)))
    for k, side in enumerate(sides):
        for phase, sign in side:
            signs[k, phases.index(phase)] += sign
    return phases, signs


def _general(windings: list[Winding], child_is_to: bool) -> tuple[Segment, Matrix]:
    """Solve ``S V_c + Z i = E V_p, S' i = I_c`` for V_c and the winding currents i.

    Where no child winding is grounded, S has the null vector 1: the mean of V_c is left to `FLOATING`.
    """
    child, s = _incidence([_ends(w, child_is_to)[0] for w in windings])
    parent, e = _incidence([_ends(w, child_is_to)[1] for w in windings])
    seen = [_seen(w, child_is_to) for w in windings]
    e = e * np.array([ratio for ratio, _ in seen])[:, None]
    z = np.diag([impedance for _, impedance in seen])
    n, nc = len(windings), len(child)
    missing = nc - np.linalg.matrix_rank(s)
    floating = missing == 1 and not (s @ np.ones(nc)).any()
    if missing and not floating:
        raise ValueError("its windings do not fix the voltage of every phase from this end")
    ones = np.full((nc, nc), 1.0 / nc) if floating else np.zeros((nc, nc))
    system = np.block([[z, s.astype(complex)], [s.T.astype(complex), ones.astype(complex)]])
    if np.linalg.cond(system) > 1e14:
        raise ValueError("how current divides between its windings is not defined: give them an impedance")
    right = np.zeros((n + nc, len(parent) + nc), dtype=np.complex128)
    right[:n, : len(parent)] = e
    right[n:, len(parent) :] = np.eye(nc) - ones
    answer = np.linalg.solve(system, right)
    a, b = answer[n:, : len(parent)].astype(np.complex128), -answer[n:, len(parent) :].astype(np.complex128)
    d = e.T @ answer[:n, len(parent) :]
    shunt = e.T @ answer[:n, : len(parent)]
    shunt[np.abs(shunt) < 1e-12 * max(1.0, np.abs(1.0 / z.diagonal()).max())] = 0.0
    kind = FLOATING if floating else GENERAL
    return Segment(kind, child, parent, a, b, d, windings=tuple(windings)), shunt


def from_admittance(child: tuple[int, ...], parent: tuple[int, ...], y: Matrix) -> tuple[Segment, Matrix]:
    """A segment from the nodal admittances of a branch, children first; and what its parent is left with."""
    n = len(child)
    if np.linalg.cond(y[:n, :n]) > 1e12:
        raise ValueError("its windings do not fix the voltage of every phase from this end")
    b = np.asarray(np.linalg.inv(y[:n, :n]), dtype=np.complex128)
    a, d = -b @ y[:n, n:], -y[n:, :n] @ b
    shunt = y[n:, n:] + y[n:, :n] @ a
    shunt[np.abs(shunt) < 1e-10 * np.abs(y).max()] = 0.0
    kind = SPLIT if (n, len(parent)) == (2, 1) else GENERAL
    return Segment(kind, child, parent, a, b, d), shunt
