"""Zones without ground: phases that delta windings, or stars with a neutral of their own, alone feed."""

from __future__ import annotations

from collections.abc import Iterable

from ..parts import Shunt
from .labels import Groups, joined
from .pieces import Node, Piece, Pieces
from .sources import islands
from .transformers import floats

GROUND: Node = ("", 0)


def phases_without_ground(pieces: Pieces) -> frozenset[Node]:
    """Nodes that windings feed, in islands with a source, without a path to ground by winding or source."""
    groups, live = Groups(), islands(pieces)
    for a, b in joined(piece for piece in pieces.all if not _cut(piece)):
        groups.join(a, b)
    fed: list[Node] = []
    sources = [piece.terminals[0] for piece in pieces.of("vsource")]
    for side in sources:
        for node in side:
            groups.join(GROUND, node)
    for piece in pieces.of("transformer"):
        for k in range(0 if _cut(piece) else len(piece.terminals)):
            ends = _tied(pieces, piece, k)
            fed += [node for node in ends if node[1]]
            for node in ends[1:]:
                groups.join(ends[0], node)
    with_source = {live.of((side[0][0], 0)) for side in sources}
    grounded = groups.of(GROUND)
    return frozenset(
        node for node in _members(groups, pieces, fed)
        if groups.of(node) != grounded and live.of((node[0], 0)) in with_source
    )  # fmt: skip


def _cut(piece: Piece) -> bool:
    return any(piece.all_open(k) for k in range(len(piece.terminals)))


def _tied(pieces: Pieces, piece: Piece, k: int) -> list[Node]:
    """Nodes that a winding ties together, `GROUND` among them where it ends there."""
    side = piece.terminals[k]
    alone = piece.phases == 3 and (piece.windings[k]["delta"] or floats(pieces, piece))
    size = piece.phases if alone else piece.phases + 1
    ends = [node if node[1] else GROUND for node in side[:size]]
    return [*ends, GROUND] if (piece.name, k) in pieces.star_z and not alone else ends


def _members(groups: Groups, pieces: Pieces, fed: Iterable[Node]) -> list[Node]:
    """All nodes that are one with those that windings feed."""
    tops = {groups.of(node) for node in fed}
    return [node for node in pieces.touched if node[1] and groups.of(node) in tops]


def check_ground(rows: Iterable[Shunt], adrift: frozenset[Node]) -> None:
    """Raise where something draws from one phase to a ground that is not there."""
    for row in rows:
        if row.connection == "wye" and (row.p_mw or row.q_mvar):
            lost = next((node for node in row.nodes if (row.bus, node) in adrift), 0)
            if lost:
                raise row.place.error(
                    f"{row.name} bus1", f"{row.bus}.{lost}",
                    "a load between phases, or alike on three: windings without ground feed this bus",
                )  # fmt: skip
