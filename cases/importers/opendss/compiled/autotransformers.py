"""Autotransformers as transformers of separate windings: seen from their buses the two are one.

The series winding lies between the phases of the first and of the second bus, the common one between the
second bus and ground. Turns from the first bus to ground are those of both; what drops inside is read from
the primitive admittances, which hold it between each two of the windings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .pieces import ROOT3, Piece

KIND = "autotrans"


def as_transformers(pieces: list[Piece]) -> list[Piece]:
    """The same elements, autotransformers that take part as transformers.

    Raises:
        CaseError: one that is not a series winding, a star at ground, and perhaps a third winding.
    """
    names = {piece.name for piece in pieces if piece.kind == "transformer"}
    return [_plain(piece, names) if piece.kind == KIND and piece.enabled else piece for piece in pieces]


def _plain(piece: Piece, names: set[str]) -> Piece:
    kinds = [word[:1] for word in piece.words("conns")]
    p, sides = piece.phases, piece.terminals
    if len(kinds) not in (2, 3) or kinds[0] != "s" or kinds[1] != "w" or p not in (1, 3):
        expected = "a series winding, a wye and at most a third winding, of 1 or 3 phases"
        raise piece.error("conns", ", ".join(piece.words("conns")), expected)
    if any(any(side) for side in piece.opened):
        raise piece.error("open", "", "no open terminal")
    common = sides[1][:p]
    if [node for _, node in sides[0][p:]] != [node for _, node in common] or any(n for _, n in sides[1][p:]):
        shown = ".".join(str(node) for _, node in sides[1])
        raise piece.error("bus of winding 2", f"{common[0][0]}.{shown}", "phases, and ground as neutral")
    delta = [False, False, kinds[-1] == "d"][: len(kinds)]
    terminals = [[*sides[0][:p], (sides[0][0][0], 0)], sides[1], *sides[2:]]
    rated, taps = np.array(piece.numbers("kvs")), np.array(piece.numbers("taps"))
    turns = rated * taps
    turns[0] = (rated[0] - rated[1]) * taps[0] + turns[1]
    kva = piece.numbers("kvas")[0]
    z = 100.0 * _impedances(piece, turns / np.where((p == 1) | np.array(delta), 1.0, ROOT3), kva)
    if z.real.min() < 0.0:
        shown = ", ".join(f"{one:.3g}" for one in z.real)
        raise piece.error("%rs", f"star of {shown} percent", "resistances >= 0 of the star of its windings")
    windings: list[dict[str, Any]] = [
        {"kv": kv, "kva": kva, "tap": turn / kv, "r": one.real, "delta": is_delta, "min": 0.9, "max": 1.1,
         "steps": 32.0, "rneut": -1.0, "xneut": 0.0}
        for kv, turn, one, is_delta in zip(rated.tolist(), turns.tolist(), z.tolist(), delta, strict=True)
    ]  # fmt: skip
    pairs = [(0, 1), (0, 2), (1, 2)][: 1 if len(kinds) == 2 else 3]
    drops = " ".join(repr(float(z[a].imag + z[b].imag)) for a, b in pairs)
    return replace(
        piece, kind="transformer", name=f"{KIND}.{piece.name}" if piece.name in names else piece.name,
        called=piece.title, properties={**piece.properties, "xscarray": drops}, terminals=terminals,
        windings=windings, y=None,
    )  # fmt: skip


def _impedances(piece: Piece, volts: np.ndarray, kva: float) -> np.ndarray:
    """Impedances of the windings, as a star of them has them, in pu of the rating of all phases.

    Args:
        piece: the autotransformer.
        volts: (windings,) turns in kV across each.
        kva: the rating.
    """
    assert piece.y is not None
    p = piece.phases
    high, low, third = 0, 2 * p, 4 * p  # one conductor of each; the series winding's other ends are at `low`
    y_hl = piece.y[high, low] + piece.y[high, p]
    s = kva / 1e3 / p
    if len(volts) == 2:
        z = -s / (y_hl * volts[0] * volts[1])
        return np.array([z / 2.0, z / 2.0])
    y_ht = piece.y[high, third]
    y_lt = piece.y[low, third] + piece.y[p, third]
    ring = [-s / (y * a * b) for y, a, b in (
        (y_hl, volts[0], volts[1]), (y_ht, volts[0], volts[2]), (y_lt, volts[1], volts[2]),
    )]  # fmt: skip
    hl, ht, lt = ring
    return np.array([hl * ht, hl * lt, ht * lt]) / sum(ring)
