"""Voltage sources: one for each island; what else holds a voltage gives constant power."""

from __future__ import annotations

import numpy as np

from ....errors import CaseError, Problem
from ..parts import Feed
from .labels import Groups
from .pieces import Piece, Pieces
from .series import is_series


def feeds(sources: list[Piece], pieces: Pieces) -> tuple[list[Feed], list[Piece]]:
    """The first source of each island, and the others.

    Raises:
        CaseError: no source, or one that the tables cannot hold.
    """
    if not sources:
        raise CaseError([Problem(pieces.file, None, "vsource", "0", "a source that takes part")])
    joined = islands(pieces)
    found: dict[object, Feed] = {}
    further = []
    for piece in sources:
        if abs(piece.number("frequency") - float(pieces.header["hz"])) > 1e-6:
            raise piece.error("frequency", piece.properties["frequency"], f"{pieces.header['hz']:g}")
        if any(node for _, node in piece.terminals[1]):
            raise piece.error("bus2", "", "ground behind a source")
        island = joined.of((piece.terminals[0][0][0], 0))
        if island in found:
            further.append(piece)
        else:
            found[island] = _feed(piece)
    return list(found.values()), further


def islands(pieces: Pieces) -> Groups:
    """Buses that branches join, each by its node 0."""
    groups = Groups()
    for piece in pieces.of("line", "reactor", "capacitor", "transformer"):
        buses = list(dict.fromkeys(side[0][0] for side in piece.terminals))
        joins = piece.kind == "transformer" or is_series(piece)
        if joins and not any(piece.all_open(k) for k in range(len(piece.terminals))):
            for bus in buses[1:]:
                groups.join((buses[0], 0), (bus, 0))
    return groups


def _feed(piece: Piece) -> Feed:
    nodes = [node for _, node in piece.terminals[0]]
    assert piece.y is not None
    kv, pu = piece.number("basekv"), piece.number("pu")
    if kv <= 0 or pu <= 0:
        raise piece.error("basekv, pu", f"{kv:g}, {pu:g}", "numbers > 0")
    bus, angle = piece.terminals[0][0][0], piece.number("angle")
    if nodes == [1, 2, 3]:
        z = np.linalg.inv(piece.y[:3, :3])
        return Feed(piece.name, bus, kv, pu, angle, (z + z.T) / 2.0, piece.place)
    if len(nodes) == 1 and nodes[0] in (1, 2, 3):  # its phase of three that are alike
        z = np.eye(3) / piece.y[0, 0]
        line_kv = kv * 3**0.5
        return Feed(piece.name, bus, line_kv, pu, angle + 120.0 * (nodes[0] - 1), z, piece.place)
    raise piece.error("bus1", ".".join(map(str, nodes)), "three phases 1.2.3, or one")
