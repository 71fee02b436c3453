"""Neutral conductors: nodes beyond the third that several elements touch.

The tables have phases only. A neutral at ground needs no place in them, one that hangs on one element alone
is eliminated exactly, and one between the star point of a transformer and an impedance to ground becomes an
impedance that all three phases share. Star points of several transformers that are joined, and hang on
nothing else, float as each alone does. Any other neutral is refused, or, if asked for, taken as grounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from .pieces import PHASES, Node, Piece, Pieces

SOLID_OHM = 1e-3  # an impedance to ground below this is ground; the verification has the last word


def neutrals(pieces: Pieces) -> list[Node]:
    """The neutral conductors, those that one element alone touches left out."""
    return [node for node, count in pieces.touched.items() if node[1] > 3 and count > 1]


def solid(pieces: Pieces) -> list[Node]:
    """Neutrals that lie at ground but for an impedance that is next to nothing."""
    return [node for node in neutrals(pieces) if abs(_to_ground(pieces, node)) * SOLID_OHM >= 1.0]


def star_points(pieces: Pieces) -> dict[tuple[str, int], complex]:
    """Impedance to ground in ohm of star points that nothing else touches, by transformer and winding.

    What stands between such a point and ground is told by this: `pieces.told`, and `pieces.inner` the points.
    """
    found: dict[tuple[str, int], complex] = {}
    at: dict[Node, list[Piece]] = {}
    wanted = {
        side[piece.phases]: (piece, k)
        for piece in pieces.of("transformer")
        for k, side in enumerate(piece.terminals)
        if piece.phases == 3 and not piece.windings[k]["delta"] and side[3][1] > 3
    }
    for piece in pieces.all:
        if piece.enabled:
            for node in set(piece.conductors) & wanted.keys():
                at.setdefault(node, []).append(piece)
    for node, (piece, k) in wanted.items():
        others = [one for one in at[node] if one is not piece]
        if any(one not in list(_grounding(pieces, node)) for one in others):
            continue
        y = sum((_admittance(pieces, one) for one in others), 0j)
        winding = piece.windings[k]
        if winding["rneut"] >= 0:
            z = complex(winding["rneut"], winding["xneut"])
            y = y + (1.0 / z if z else 1e9)
        if y:
            found[piece.name, k] = 1.0 / y
            pieces.told.update(one.title for one in others)
            pieces.inner.add(node)
    return found


def joined_stars(pieces: Pieces) -> set[Node]:
    """Nodes where only star points of three-phase transformers meet, each with one other winding.

    Zero-sequence currents into them add up to nothing. Opposite deltas, all windings between such a node and
    the phases of its bus have one zero-sequence voltage, so each of the currents is nothing. Opposite stars
    one may come from another, through loads to ground behind both: no voltage between phases knows of it.
    """
    stars = Counter(
        star
        for piece in pieces.of("transformer")
        if piece.phases == 3 and len(piece.windings) == 2 and not piece.some_open()
        for side, info in zip(piece.terminals, piece.windings, strict=True)
        if not info["delta"] and info["rneut"] < 0
        for star in [side[3]]
        if star[1] > 3 and sorted(node for _, node in side[:3]) == list(PHASES)
    )  # fmt: skip
    return {star for star, count in stars.items() if 1 < count == pieces.touched[star]}


def _to_ground(pieces: Pieces, node: Node) -> complex:
    return sum((_admittance(pieces, piece) for piece in _grounding(pieces, node)), 0j)


def _grounding(pieces: Pieces, node: Node) -> Iterator[Piece]:
    """Elements between a node and ground alone."""
    for piece in pieces.grounding.get(node, ()):
        if not any(any(side) for side in piece.opened):
            yield piece


def _admittance(pieces: Pieces, piece: Piece) -> complex:
    _, y = pieces.reduced(piece)
    return complex(np.sum(y))
