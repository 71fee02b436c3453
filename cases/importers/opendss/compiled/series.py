"""Lines, series reactors and series capacitors as wires: impedances between two buses, phase by phase."""

from __future__ import annotations

import numpy as np

from ..parts import Wire
from .pieces import PHASES, Piece, Pieces

KM = {
    "mi": 1.609344, "kft": 0.3048, "km": 1.0, "m": 1e-3, "ft": 3.048e-4, "in": 2.54e-5, "cm": 1e-5,
    "mm": 1e-6,
}  # fmt: skip
NO_CHARGE = 0.01  # nF: so much, and a switch has a hundredth of that, is nothing beside any load
_ROUNDING = 1e-9  # of the largest admittance: what the two ends of an element may differ by


def is_series(piece: Piece) -> bool:
    """Whether a reactor or capacitor lies between two buses."""
    if len(piece.terminals) < 2:
        return False
    return any(a[0] != b[0] and a[1] and b[1] for a, b in zip(*piece.terminals[:2], strict=True))


def wire_of(pieces: Pieces, piece: Piece, switched: set[str], rated: bool) -> Wire:
    """An element in series.

    Raises:
        CaseError: phases that differ at its ends, a neutral that is not at ground, ends that are not alike.
    """
    nodes, y = pieces.reduced(piece)
    start, end = (piece.terminals[k][0][0] for k in (0, 1))
    sides = [[k for k, node in enumerate(nodes) if node[0] == bus] for bus in (start, end)]
    letters = [[nodes[k][1] for k in side] for side in sides]
    ends = zip((start, end), letters, strict=True)
    shown = " to ".join(f"{bus}.{'.'.join(map(str, mine))}" for bus, mine in ends)
    if start == end:
        raise piece.error("bus1, bus2", shown, "two buses")
    if any(node not in PHASES for mine in letters for node in mine):
        expected = "phases 1 to 3 and neutrals at ground (node 0): no neutral conductor of its own"
        raise piece.error("bus1, bus2", shown, expected)
    if sorted(letters[0]) != sorted(letters[1]) or len(set(letters[0])) < len(letters[0]):
        raise piece.error("bus1, bus2", shown, "the same phases, each once, at both ends")
    other = [sides[1][letters[1].index(node)] for node in letters[0]]
    n = len(letters[0])
    order = [*sides[0], *other]
    y = y[np.ix_(order, order)]
    series = -(y[:n, n:] + y[n:, :n]) / 2.0
    shunts = y[:n, :n] - series, y[n:, n:] - series
    size = np.abs(y).max(initial=0.0)
    if not size or not np.isfinite(y).all():
        raise piece.error("", "", "an impedance that is finite and not zero")
    if np.abs(shunts[0] - shunts[1]).max() > _ROUNDING * size:
        raise piece.error("", shown, "both ends alike, and each phase joined with itself")
    charging = shunts[0] + shunts[1]
    noise = 1e-15 * size  # the charging is the small difference of large admittances
    charging[np.abs(charging) < noise] = 0.0
    if np.abs(charging.real).max(initial=0.0) > max(1e-12 * size, 1e-6 * np.abs(charging).max()):
        expected = "each phase joined with itself, and no conductance to ground"
        raise piece.error("", shown, expected)
    z = np.linalg.inv(series)
    z = (z + z.T) / 2.0
    resistance = np.where(np.abs(z.real) < 1e-12 * np.abs(z).max(), 0.0, z.real)
    z = resistance + 1j * np.where(np.abs(z.imag) < 1e-12 * np.abs(z).max(), 0.0, z.imag)
    b = (charging.imag + charging.imag.T) / 2.0
    c_nf = b / (2.0 * np.pi * pieces.header["hz"]) * 1e9
    closed, open_at = _state(piece, c_nf)
    is_line = piece.kind == "line"
    return Wire(
        piece.name, (start, end), tuple(letters[0]), z, c_nf,
        is_line and (piece.flag("switch") or piece.name in switched), closed, open_at,
        piece.amps if rated and is_line and piece.amps > 0 else None,
        _kilometres(piece) if is_line else None, piece.place,
    )  # fmt: skip


def _state(piece: Piece, c_nf: np.ndarray) -> tuple[bool, str]:
    """Whether it is closed at one end at least, and the bus at whose side it is open then."""
    if not piece.enabled:
        return False, ""
    if piece.some_open():
        raise piece.error("open", "", "all phases of a terminal open, or none")
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
