"""Transformers of a compiled circuit as units of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..parts import Shunt, Unit, Winding, Wire
from .labels import centre_legs
from .pieces import OPEN, PHASES, ROOT3, Piece, Pieces
from .shunts import admittance_of

INSIDE = "~"  # joins the buses of three windings to the name of the node inside


@dataclass(frozen=True)
class Side:
    """One winding: what it stands between."""

    bus: str
    kind: str  # wye, delta, floating (a wye whose neutral carries nothing), odd
    terminals: tuple[int, ...]  # as the tables have them
    winding: Winding


def units_of(pieces: Pieces, piece: Piece, core: str) -> list[Unit]:
    """The units that a transformer is: one, or one for each winding around a node inside it, named `core`.

    Raises:
        CaseError: windings that the tables cannot hold.
    """
    if piece.phases == 2 and len(piece.terminals) == 2:
        return _two_phases(pieces, piece)
    sides = [_side(pieces, piece, k) for k in range(len(piece.terminals))]
    if len(sides) == 3 and _centre_tapped(piece, sides):
        return [_unit(piece, piece.name, (sides[0], sides[1]), "centre-tap", _reactances(piece), (1, 2))]
    if floats(pieces, piece):
        sides = [replace(side, kind="delta") for side in sides]
    kinds = [side.kind for side in sides]
    fits = ("wye", "delta", "floating") if len(sides) == 2 and "delta" in kinds else ("wye", "delta")
    for k, side in enumerate(sides):
        if side.kind not in fits:
            shown = f"{side.bus}.{'.'.join(str(node) for _, node in piece.terminals[k])}"
            expected = {
                "floating": "a neutral at ground (node 0), or one other winding only",
                "odd": "phases, each once, and ground only as neutral",
            }[side.kind]
            raise piece.error(f"bus of winding {k + 1}", shown, expected)
    if len(sides) == 2:
        return [_unit(piece, piece.name, (sides[0], sides[1]), "-".join(kinds), _reactances(piece))]
    if len(sides) == 3:
        return _star(piece, sides, core)
    raise piece.error("windings", str(len(sides)), "two or three windings")


def _two_phases(pieces: Pieces, piece: Piece) -> list[Unit]:
    """A transformer of two phases as two of one phase each."""
    units = []
    deltas = [bool(info["delta"]) for info in piece.windings]
    lags = (piece.windings[0]["kv"] >= piece.windings[1]["kv"]) != _leads(piece)
    back = deltas[0] != deltas[1] and lags == deltas[0]  # which neighbour a leg of the delta ends at
    for phase in (0, 1):
        windings = []
        for info in piece.windings:
            kv = info["kv"] if info["delta"] else info["kv"] / ROOT3
            windings.append({**info, "kva": info["kva"] / 2.0, "kv": kv})
        terminals = []
        for side, info in zip(piece.terminals, piece.windings, strict=True):
            other = side[(phase + (-1 if back else 1)) % 3] if info["delta"] else side[2]
            terminals.append([side[phase], other])
        one = replace(piece, name=f"{piece.name}#{phase + 1}", phases=1, terminals=terminals,
                      windings=windings)  # fmt: skip
        units += units_of(pieces, one, "")
    return units


def behind_neutral(
    piece: Piece, units: list[Unit], star_z: Mapping[tuple[str, int], complex]
) -> tuple[list[Unit], list[Wire]]:
    """Impedances of star points as wires that the phases share, between the windings and their buses."""
    wires = []
    for k in range(len(piece.terminals)):
        z = star_z.get((piece.name, k))
        if z is None:
            continue
        bus = piece.terminals[k][0][0]
        inner = f"{bus}{INSIDE}{piece.name}.{k + 1}"
        at, end = (0, k) if len(units) == 1 else (k, 0 if k == 0 else 1)
        ends = list(units[at].buses)
        ends[end] = inner
        units[at] = replace(units[at], buses=(ends[0], ends[1]))
        wires.append(
            Wire(
                f"{piece.name}#n{k + 1}", (inner, bus), PHASES, np.full((3, 3), z), np.zeros((3, 3)), False,
                True, "", None, None, piece.place,
            )
        )  # fmt: skip
    return units, wires


def _side(pieces: Pieces, piece: Piece, k: int) -> Side:
    given, info = piece.terminals[k], piece.windings[k]
    delta = bool(info["delta"])
    hot, neutral = given[: piece.phases], given[piece.phases]
    winding = Winding(
        "delta" if delta else "wye", info["kv"], info["kva"], info["tap"], info["r"],
        info["min"], info["max"], round(info["steps"]),
    )  # fmt: skip
    nodes = tuple(node for _, node in hot)
    if piece.phases == 1:
        ends = (given[0][1], given[1][1])
        if ends[0] in PHASES and not ends[1]:
            kind, nodes = "wye", ends[:1]
        elif ends[0] in PHASES and ends[1] in PHASES and ends[0] != ends[1]:
            kind, nodes = "delta", ends
        else:
            kind, nodes = "odd", ends
    elif len(set(nodes)) < len(nodes) or not set(nodes) <= set(PHASES):
        kind = "odd"
    elif delta:
        kind = "delta" if piece.phases == 3 else "odd"
    else:
        known = not neutral[1] or (piece.name, k) in pieces.star_z
        floats = neutral in pieces.private or neutral in pieces.inner
        kind = "wye" if known else "floating" if floats else "odd"
    return Side(given[0][0], kind, nodes, winding)


def standing(pieces: Pieces, piece: Piece) -> list[Shunt]:
    """What a transformer that is open at one side draws at the other: its core, and what a delta closes.

    Raises:
        CaseError: it has a third side that it still feeds.
    """
    opened = [piece.all_open(k) for k in range(len(piece.terminals))]
    if all(opened):
        return []
    if opened.count(False) > 1:
        raise piece.error("open", "", "one closed side of a transformer that is open, or none")
    sides = zip(piece.terminals, opened, strict=True)
    terminals = [
        [(bus, OPEN + j) if is_open and node else (bus, node) for j, (bus, node) in enumerate(side)]
        for side, is_open in sides
    ]
    return admittance_of(pieces, replace(piece, opened=[], terminals=terminals))


def floats(pieces: Pieces, piece: Piece) -> bool:
    """Whether a transformer has two stars, and no current into one of their neutrals.

    Nor is there any into the other one then, wherever it lies: both sides are what two deltas are between
    their phases.
    """
    if piece.phases != 3 or len(piece.terminals) != 2 or any(info["delta"] for info in piece.windings):
        return False
    kinds = [_side(pieces, piece, k).kind for k in (0, 1)]
    return "floating" in kinds and "odd" not in kinds


def _reactances(piece: Piece) -> tuple[float, ...]:
    return (*piece.numbers("xscarray"), 0.0, 0.0)[:3]


def _centre_tapped(piece: Piece, sides: list[Side]) -> bool:
    """A one-phase transformer with the middle of its secondary at ground."""
    _, low, other = sides
    same = (low.winding.kv, low.winding.tap) == (other.winding.kv, other.winding.tap)
    legs = centre_legs(piece)
    ends = legs is not None and [node for _, node in legs] == [1, 2]
    return same and ends and sides[0].kind in ("wye", "delta")


def _unit(
    piece: Piece, name: str, sides: tuple[Side, Side], connection: str, x_pct: tuple[float, ...],
    low: tuple[int, ...] = (),
) -> Unit:  # fmt: skip
    first, second = (side.winding for side in sides)
    kinds = connection.split("-")
    lag = 0.0
    if piece.phases > 1 and kinds[0] != kinds[1]:
        lag = 30.0 if (first.kv >= second.kv) != _leads(piece) else -30.0
    windings = tuple(side.winding for side in sides)
    resistances = [info["r"] for info in piece.windings] if low else [w.r_pct for w in windings]
    return Unit(
        name, piece.text("bank"), (sides[0].bus, sides[1].bus),
        (sides[0].terminals, low or sides[1].terminals), connection, piece.phases,
        (first.kv, second.kv), piece.windings[0]["kva"], tuple(resistances), x_pct,
        (first.tap, second.tap), lag, piece.number("%noloadloss"), piece.number("%imag"),
        piece.number("ppm_antifloat"), windings, piece.place,
    )  # fmt: skip


def _star(piece: Piece, sides: list[Side], core: str) -> list[Unit]:
    """Three windings as three units around a node inside: exact, as each phase has one such point."""
    hl, ht, lt = _reactances(piece)
    x_pct = (hl + ht - lt) / 2.0, (hl + lt - ht) / 2.0, (ht + lt - hl) / 2.0
    first = sides[0]
    phases = first.terminals[:1] if piece.phases == 1 else PHASES[: piece.phases]
    kv = first.winding.kv / (ROOT3 if piece.phases == 1 and len(first.terminals) == 2 else 1.0)
    inside = Side(core, "wye", phases, Winding("wye", kv, first.winding.kva, 1.0, 0.0))
    turn = _turn(piece, sides)
    units = []
    for k, side in enumerate(sides):
        pair = (side, inside) if k == 0 else (inside, side)
        kinds = f"{pair[0].kind}-{pair[1].kind}"
        unit = _unit(piece, f"{piece.name}#w{k + 1}", pair, kinds, (x_pct[k], 0.0, 0.0))
        mixed = piece.phases > 1 and side.kind == "delta"
        lag = (30.0 if (turn < 0) == (k == 0) else -30.0) if mixed else 0.0
        if k != 1:  # OpenDSS has core losses across its second winding
            unit = replace(unit, noload_pct=0.0, imag_pct=0.0)
        units.append(replace(unit, lag_deg=lag, ppm=0.0, bank=f"{piece.text('bank')}#w{k + 1}"))
    return units


def _turn(piece: Piece, sides: list[Side]) -> int:
    """Which way OpenDSS wires the deltas of a transformer: by its first two windings."""
    if piece.phases == 1 or sides[0].kind == sides[1].kind:
        return 1
    lags = (sides[0].winding.kv >= sides[1].winding.kv) != _leads(piece)
    return -1 if lags == (sides[0].kind == "delta") else 1


def _leads(piece: Piece) -> bool:
    return piece.text("leadlag") in ("lead", "euro")
