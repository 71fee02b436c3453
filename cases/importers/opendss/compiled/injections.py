"""Generators, photovoltaics, storage, further sources: what they give at the solution, as constant power."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np

from ..parts import Shunt
from .pieces import ROOT3, Piece, Pieces
from .shunts import (
    Draw,
    Part,
    across,
    delta_pairs,
    is_delta,
    is_star_without_ground,
    parts_of,
    shunt,
    shunts_at,
)  # fmt: skip

INJECTIONS = ("generator", "pvsystem", "storage", "indmach012", "windgen", "vccs", "isource")
_INTO_GROUND = 0.01  # of the largest current: what charging of lines may bring back
_SAME = 1e-7  # of the largest current: what power shared equally may be beside it


@dataclass(frozen=True, eq=False)
class Injection:
    """What one element gives, as rows of the tables.

    Attributes:
        rows: with what it gives at the solution.
        shares: of all power in each row, where its parts share it equally; None: each part has its own.
        ends: first and second conductor of each part with a row; -1: ground.
        delta: whether it lies between phases.
        kept: parts that have a row of their own.
        size: conductors of its terminal.
    """

    rows: list[Shunt]
    shares: np.ndarray | None
    ends: list[tuple[int, int]]
    delta: bool
    kept: list[int]
    size: int

    def powers(self, volts: np.ndarray, amps: np.ndarray) -> np.ndarray:
        """(n, rows) complex MVA into each row.

        Args:
            volts: (n, conductors) to ground, in V.
            amps: (n, conductors) into the element.
        """
        if self.shares is not None:
            total = (volts * amps.conj()).sum(axis=1) / 1e6
            return np.asarray(total[:, None] * self.shares)
        drop = _drops(self.ends, volts)
        return np.asarray((drop * _by_part(amps, self.ends, self.delta).conj() / 1e6)[:, self.kept])


def injection_of(pieces: Pieces, piece: Piece, taken: Container[str] = ()) -> Injection | None:
    """What one element gives: shared equally where that is its currents, else part by part; None: nothing.

    Args:
        pieces: the circuit.
        piece: the element.
        taken: names of rows that there are; an element with such a name has its class before it.
    """
    amps_in = piece.amps_in
    if piece.all_open(0) or amps_in is None:
        return None
    if piece.name in taken or f"{piece.name}#1" in taken:
        piece = replace(piece, name=piece.title)
    star = is_star_without_ground(pieces, piece)
    delta = star or ("conn" in piece.properties and is_delta(piece))
    parts = parts_of(pieces, piece, delta)
    nodes = [node for _, node in piece.terminals[0]]
    bus = piece.terminals[0][0][0]
    volts = np.array([pieces.volts.get((bus, node), 0j) if node else 0j for node in nodes])
    amps = amps_in[: len(nodes)]
    into_ground, largest = abs(amps[:3].sum()), np.abs(amps).max(initial=0.0)
    if star and into_ground > _INTO_GROUND * largest + 1e-9:
        shown = f"{into_ground:.3g} A of {largest:.3g} A"
        raise piece.error("current to ground", shown, "none: windings without ground feed its bus")
    ends = _ends(nodes, piece.phases, delta)
    drop = _drops(ends, volts)
    total = complex(volts @ amps.conj()) / 1e6
    kv = _kv(pieces, piece, delta)
    whole = Draw(total.real, total.imag, kv)
    equal = np.divide(total * 1e6 / len(ends), drop, out=np.zeros_like(drop), where=drop != 0).conj()
    off = np.abs(_into(ends, equal, len(nodes)) - amps)[: piece.phases].max(initial=0.0)
    if len(ends) == 1 or off <= _SAME * np.abs(amps).max(initial=0.0) + 1e-9:
        shares = [row.p_mw for row in shunts_at(piece, parts, replace(whole, p_mw=1.0))]
        return Injection(shunts_at(piece, parts, whole), np.array(shares), ends, delta, [], len(nodes))
    kept = [k for k, part in enumerate(parts) if part.nodes]
    alone = _by_part(amps, ends, delta) * drop.conj() / 1e6  # conj(V conj(I))
    rows = []
    for k, (part, power) in enumerate(zip(parts, alone.conj().tolist(), strict=True)):
        rows += _row(piece, f"{piece.name}#{k + 1}", part, replace(whole, p_mw=power.real, q_mvar=power.imag))
    return Injection(rows, None, ends, delta, kept, len(nodes))


def _drops(ends: list[tuple[int, int]], volts: np.ndarray) -> np.ndarray:
    """(..., parts) V across each part of an element whose conductors have (..., conductors)."""
    return np.stack([volts[..., a] - (volts[..., b] if b >= 0 else 0j) for a, b in ends], axis=-1)


def _row(piece: Piece, name: str, part: Part, draw: Draw) -> list[Shunt]:
    kind = "wye" if len(part.nodes) == 1 else "delta"
    return [shunt(piece, name, part.bus, part.nodes, kind, draw)] if part.nodes else []


def _ends(nodes: list[int], phases: int, delta: bool) -> list[tuple[int, int]]:
    """First and second conductor of each part; -1: ground."""
    if delta:
        return delta_pairs(range(len(nodes)), phases)
    neutral = phases if len(nodes) > phases and nodes[phases] else -1
    return [(k, neutral) for k in range(phases)]


def _into(ends: list[tuple[int, int]], amps: np.ndarray, size: int) -> np.ndarray:
    found = np.zeros(size, dtype=complex)
    for (a, b), one in zip(ends, amps, strict=True):
        found[a] += one
        if b >= 0:
            found[b] -= one
    return found


def _by_part(amps: np.ndarray, ends: list[tuple[int, int]], delta: bool) -> np.ndarray:
    """Currents of the parts; those of a delta without the one that goes round in it."""
    if delta and len(ends) == 3:
        return (amps[..., :3] - np.roll(amps[..., :3], -1, axis=-1)) / 3.0
    if delta:
        return np.asarray(np.cumsum(amps[..., : len(ends)], axis=-1))
    return amps[..., : len(ends)]


def _kv(pieces: Pieces, piece: Piece, delta: bool) -> float:
    """Rated kV across one part; that of the bus where the class has none."""
    if "kv" in piece.properties:
        return across(piece, delta)
    kv = pieces.header["buses"].get(piece.terminals[0][0][0], {}).get("kv", 0.0)
    return (kv if kv > 0 else 1.0) / (1.0 if delta else ROOT3)
