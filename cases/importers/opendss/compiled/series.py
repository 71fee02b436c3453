"""Lines, series reactors and series capacitors as wires: impedances between two buses, phase by phase."""

from __future__ import annotations

import numpy as np

from ..parts import Shunt, Wire
from .pieces import PHASES, Node, Piece, Pieces
from .shunts import NO_NEUTRAL, stars_and_legs

KM = {
    "mi": 1.609344, "kft": 0.3048, "km": 1.0, "m": 1e-3, "ft": 3.048e-4, "in": 2.54e-5, "cm": 1e-5,
    "mm": 1e-6,
}  # fmt: skip
NO_CHARGE = 0.01  # nF: so much, and a switch has a hundredth of that, is nothing beside any load
_LITTLE = 1e-4  # of it: charging of an open conductor
_ROUNDING = 1e-9  # of the largest admittance: what the two ends of an element may differ by


def is_series(piece: Piece) -> bool:
    """Whether a reactor or capacitor lies between two buses."""
    if len(piece.terminals) < 2:
        return False
    return any(a[0] != b[0] and a[1] and b[1] for a, b in zip(*piece.terminals[:2], strict=True))


def wire_of(pieces: Pieces, piece: Piece, switched: set[str], rated: bool) -> tuple[Wire, list[Shunt]]:
    """An element in series, and what stands at its ends where these are not alike.

    Raises:
        CaseError: phases that differ at its ends, a neutral that is not at ground.
    """
    nodes, y = pieces.reduced(piece)
    start, end = (piece.terminals[k][0][0] for k in (0, 1))
    sides = [[k for k, node in enumerate(nodes) if node[0] == bus] for bus in (start, end)]
    letters = [[nodes[k][1] for k in side] for side in sides]
    ends = zip((start, end), letters, strict=True)
    shown = " to ".join(f"{bus}.{'.'.join(map(str, mine))}" for bus, mine in ends)
    if any(node not in PHASES for mine in letters for node in mine):
        raise piece.error("bus1, bus2", shown, f"phases 1 to 3 and neutrals at ground (node 0); {NO_NEUTRAL}")
    phases = [node for node in letters[0] if node in letters[1]]
    alone = [k for side, mine, other in zip(sides, letters, letters[::-1], strict=True)
             for k, node in zip(side, mine, strict=True) if node not in other]  # fmt: skip
    if not phases or len(set(letters[0])) < len(letters[0]) or len(set(letters[1])) < len(letters[1]):
        raise piece.error("bus1, bus2", shown, "the same phases, each once, at both ends")
    near, far = (
        [side[mine.index(node)] for node in phases] for side, mine in zip(sides, letters, strict=True)
    )
    size = np.abs(y).max(initial=0.0)
    if not size or not np.isfinite(y).all():
        raise piece.error("", "", "an impedance that is finite and not zero")
    series = -(y[np.ix_(near, far)] + y[np.ix_(far, near)].T) / 2.0
    series = (series + series.T) / 2.0
    left = y.copy()  # what is not the series impedance
    for a, b, sign in ((near, near, 1), (far, far, 1), (near, far, -1), (far, near, -1)):
        left[np.ix_(a, b)] -= sign * series
    across = np.abs(left[np.ix_(sides[0], sides[1])]).max(initial=0.0)
    if alone and across <= _LITTLE * size:
        left = _on_one_side(left, near, far)
    elif across > _ROUNDING * size:
        raise piece.error("bus1, bus2", shown, "the same phases at both ends, each joined with itself")
    charging, shunts = _at_the_ends(piece, nodes, left, (near, far), alone, size)
    z = np.linalg.inv(series)
    z = (z + z.T) / 2.0
    resistance = np.where(np.abs(z.real) < 1e-12 * np.abs(z).max(), 0.0, z.real)
    z = resistance + 1j * np.where(np.abs(z.imag) < 1e-12 * np.abs(z).max(), 0.0, z.imag)
    c_nf = charging / (2.0 * np.pi * pieces.header["hz"]) * 1e9
    closed, open_at = _state(piece, c_nf)
    is_line = piece.kind == "line"
    wire = Wire(
        piece.name, (start, end), tuple(phases), z, c_nf,
        is_line and (piece.flag("switch") or piece.name in switched), closed, open_at,
        piece.amps if rated and is_line and piece.amps > 0 else None,
        _kilometres(piece) if is_line else None, piece.place,
    )  # fmt: skip
    return wire, shunts if closed else []


def _on_one_side(left: np.ndarray, near: list[int], far: list[int]) -> np.ndarray:
    """Charging between the open end of a conductor and the others, all of it where the conductor ends.

    The others have almost the same voltage at both of their ends, and the charging is small.
    """
    moved = left.copy()
    others = [k for k in range(len(left)) if k not in (*near, *far)]
    on = {k: (near if any(abs(left[k, j]) for j in near) else far) for k in others}
    for k in others:
        mine, theirs = (near, far) if on[k] is near else (far, near)
        moved[k, mine] += left[k, theirs]
        moved[mine, k] += left[theirs, k]
        moved[k, theirs] = moved[theirs, k] = 0.0
    moved[np.ix_(near, far)] = moved[np.ix_(far, near)] = 0.0
    return moved


def _at_the_ends(
    piece: Piece, nodes: list[Node], left: np.ndarray, ends: tuple[list[int], list[int]], alone: list[int],
    size: float,
) -> tuple[np.ndarray, list[Shunt]]:  # fmt: skip
    """Charging in S where both ends are alike and have no conductance; else none, and all of it as shunts."""
    first, second = (left[np.ix_(end, end)] for end in ends)
    charging = first + second
    charging[np.abs(charging) < 1e-15 * size] = 0.0  # it is the small difference of large admittances
    lossy = np.abs(charging.real).max(initial=0.0) > max(1e-12 * size, 1e-6 * np.abs(charging).max())
    if not alone and not lossy and np.abs(first - second).max() <= _ROUNDING * size:
        return (charging.imag + charging.imag.T) / 2.0, []
    shunts = []
    for bus in dict.fromkeys(node[0] for node in nodes):
        mine = [k for k, node in enumerate(nodes) if node[0] == bus]
        shunts += stars_and_legs(piece, [nodes[k] for k in mine], left[np.ix_(mine, mine)], f"@{bus}", size)
    return np.zeros_like(charging.real), shunts


def _state(piece: Piece, c_nf: np.ndarray) -> tuple[bool, str]:
    """Whether it is closed at one end at least, and the bus at whose side it is open then."""
    if not piece.enabled:
        return False, ""
    opened = [k for k in (0, 1) if piece.all_open(k)]
    if not opened:
        return True, ""
    charges = np.abs(c_nf).max(initial=0.0) > NO_CHARGE
    if len(opened) == 2 or not charges:
        return False, ""
    return True, piece.terminals[opened[0]][0][0]


def _kilometres(piece: Piece) -> float | None:
    factor = KM.get(piece.text("units"))
    return None if factor is None else piece.number("length") * factor
