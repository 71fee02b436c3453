"""What stands at one bus: loads, generators, capacitors and reactors, part by part between two nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ....schema import LINEAR_SHARE
from ..parts import Shunt
from .pieces import PHASES, ROOT3, Node, Piece, Pieces

# Shares of constant impedance and constant current by model: of P, then of Q. Models 3 and 4 have
# exponents instead: outside of its voltage band OpenDSS treats such a load as constant power.
MODELS: Mapping[int, tuple[float, float, float, float]] = {
    1: (0, 0, 0, 0), 2: (1, 0, 1, 0), 3: (0, 0, 0, 0), 4: (0, 0, 0, 0), 5: (0, 1, 0, 1), 6: (0, 0, 0, 0),
    7: (0, 0, 1, 0),
}  # fmt: skip
ZIPV = 8
FIXED_Q = (6, 7)  # models whose reactive power no multiplier and no shape moves
NO_NEUTRAL = "a neutral conductor of its own needs --approximate, which takes it as grounded"
_NONE = (0.0, 0.0, 0.0, 0.0)
_IMPEDANCE = (1.0, 0.0, 1.0, 0.0)
ANY_VOLTAGE = 1e3  # pu, of what has no band


class Part(NamedTuple):
    """Where one phase of a device lies: from a node to another or to ground (0)."""

    bus: str
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Draw:
    """A device before its parts are told: powers of all parts together at `part_kv` across each."""

    p_mw: float
    q_mvar: float
    part_kv: float
    shares: tuple[float, float, float, float] = _NONE
    exponents: tuple[float, float] | None = None
    v_low: float = 0.0
    v_high: float = ANY_VOLTAGE
    on: bool = True


# -- where -------------------------------------------------------------------------------------------------


def parts_of(pieces: Pieces, piece: Piece, delta: bool) -> list[Part]:
    """The parts of a device with one terminal, by its connection."""
    nodes = piece.terminals[0]
    bus, n = nodes[0][0], piece.phases
    ends = [node for _, node in nodes]
    if delta:
        pairs = delta_pairs(ends, n)
    else:
        neutral = ends[n] if len(ends) > n else 0
        if n == 3 and (bus, neutral) in pieces.private:
            raise piece.error("bus1", _shown(nodes), "a neutral at ground (node 0), not a floating one")
        pairs = [(end, neutral) for end in ends[:n]]
    return [_part(piece, bus, pair) for pair in pairs]


def delta_pairs(ends: Sequence[int], phases: int) -> list[tuple[int, int]]:
    """First and second end of each part of a device between phases: three close a ring, others a chain."""
    if phases == 3:
        return [(ends[k], ends[(k + 1) % 3]) for k in range(3)]
    return list(pairwise(ends))[:phases]


def _part(piece: Piece, bus: str, pair: tuple[int, ...]) -> Part:
    live = tuple(node for node in pair if node)
    if any(node not in PHASES for node in live):
        expected = f"phases 1 to 3 and ground; {NO_NEUTRAL}"
        raise piece.error("bus1", f"{bus}.{'.'.join(map(str, pair))}", expected)
    return Part(bus, live if len(set(live)) == len(live) else ())


def _shown(nodes: list[Node]) -> str:
    return f"{nodes[0][0]}.{'.'.join(str(node) for _, node in nodes)}"


def shunts_at(piece: Piece, parts: list[Part], draw: Draw) -> list[Shunt]:
    """Rows of the tables: all parts in one where a wye or a delta says it, else one for each."""
    share = 1.0 / len(parts)
    real = [part for part in parts if part.nodes]
    alone = [part.nodes[0] for part in real if len(part.nodes) == 1]
    pairs = [part.nodes for part in real if len(part.nodes) == 2]
    legs = {frozenset(pair) for pair in pairs}
    if real and not pairs and len(set(alone)) == len(alone):
        return [shunt(piece, piece.name, real[0].bus, tuple(alone), "wye", _scaled(draw, share * len(real)))]
    if len(parts) == len(pairs) == len(legs) == 3:
        return [shunt(piece, piece.name, real[0].bus, PHASES, "delta", draw)]
    found = []
    for k, part in enumerate(real):
        name = piece.name if len(real) == 1 else f"{piece.name}#{k + 1}"
        kind = "wye" if len(part.nodes) == 1 else "delta"
        found.append(shunt(piece, name, part.bus, part.nodes, kind, _scaled(draw, share)))
    return found


def _scaled(draw: Draw, share: float) -> Draw:
    return replace(draw, p_mw=draw.p_mw * share, q_mvar=draw.q_mvar * share) if share != 1.0 else draw


def shunt(piece: Piece, name: str, bus: str, nodes: tuple[int, ...], kind: str, draw: Draw) -> Shunt:
    """A row of the tables."""
    return Shunt(
        name, bus, nodes, kind, draw.part_kv, draw.p_mw, draw.q_mvar, draw.shares, draw.exponents,
        draw.v_low, draw.v_high, draw.on, piece.place,
    )  # fmt: skip


def across(piece: Piece, delta: bool) -> float:
    """Rated kV across one part."""
    kv = piece.number("kv")
    if kv <= 0:
        raise piece.error("kv", f"{kv:g}", "a voltage > 0")
    return kv / ROOT3 if piece.phases > 1 and not delta else kv


def is_delta(piece: Piece) -> bool:
    """Whether a device with one terminal lies between phases."""
    return piece.text("conn")[:1] in ("d", "l")


def is_star_without_ground(pieces: Pieces, piece: Piece) -> bool:
    """Whether a device from three phases to ground stands where no winding has a path to it.

    Three phases alike need none: the device lies between the phases as a delta of the same power does. That
    is exact at balanced voltages, and for constant impedances.
    """
    nodes = piece.terminals[0]
    if "conn" in piece.properties and is_delta(piece):
        return False
    alike = piece.phases == 3 and not any(node for _, node in nodes[3:])
    return alike and any(node in pieces.adrift for node in nodes[:3])


# -- loads -------------------------------------------------------------------------------------------------


def loads_of(pieces: Pieces, piece: Piece) -> list[Shunt]:
    """A load."""
    if piece.all_open(0):
        return []
    if piece.some_open():
        raise piece.error("open", "", "all phases of a load open, or none")
    model = round(piece.number("model"))
    delta = is_delta(piece) or is_star_without_ground(pieces, piece)
    factor = _load_factor(pieces, piece)
    shares, exponents = MODELS.get(model, _NONE), None
    if model == ZIPV:
        shares = _zip_shares(piece)
    elif model == 3:
        exponents = (0.0, 2.0)
    elif model == 4:
        exponents = (piece.number("cvrwatts"), piece.number("cvrvars"))
    elif model not in MODELS:
        raise piece.error("model", str(model), "1 to 8")
    q_factor = 1.0 if model in FIXED_Q else factor
    draw = Draw(
        piece.number("kw") * factor / 1000.0, piece.number("kvar") * q_factor / 1000.0, across(piece, delta),
        shares, exponents, _lowest(piece), piece.number("vmaxpu"),
    )  # fmt: skip
    return shunts_at(piece, parts_of(pieces, piece, delta), draw)


def _lowest(piece: Piece) -> float:
    """Where a load's band begins, in pu. Below `vlowpu` it is an impedance, whatever `vminpu` says."""
    return max(piece.number("vminpu"), min(piece.number("vlowpu"), LINEAR_SHARE))


def _load_factor(pieces: Pieces, piece: Piece) -> float:
    """What the circuit's load multiplier makes of a load."""
    growth = float(pieces.header["growth"])
    if growth != 1.0 and piece.text("growth"):
        raise piece.error("growth", piece.text("growth"), "no growth shape of its own in a later year")
    fixed = piece.text("status")[:1] in ("f", "e")
    return growth * (1.0 if fixed else float(pieces.header["loadmult"]))


def _zip_shares(piece: Piece) -> tuple[float, float, float, float]:
    values = piece.numbers("zipv")
    if len(values) != 7:
        raise piece.error("zipv", piece.properties["zipv"], "seven numbers")
    pz, pi, pp, qz, qi, qp, _ = values
    if abs(pz + pi + pp - 1) > 1e-6 or abs(qz + qi + qp - 1) > 1e-6:
        raise piece.error("zipv", str(values), "shares of P that add up to 1, and shares of Q that do")
    return pz, pi, qz, qi


# -- capacitors and reactors ---------------------------------------------------------------------------------


def capacitors_of(pieces: Pieces, piece: Piece) -> list[Shunt]:
    """A bank of capacitors, step by step."""
    delta = is_delta(piece)
    if piece.some_open() or (not delta and len(piece.terminals) < 2):
        return admittance_of(pieces, piece)
    states = [value > 0 for value in piece.numbers("states")]
    steps = piece.numbers("kvar")
    star = not delta and _ungrounded(pieces, piece)  # three alike without ground: as good as a delta
    parts = _bank_parts(piece, delta or star)
    part_kv = across(piece, delta or star)
    kvar_on = sum(kvar for kvar, on in zip(steps, states, strict=False) if on)
    if len(states) != len(steps) or not _says(pieces, piece, parts, kvar_on / 1000.0 / part_kv**2):
        return admittance_of(pieces, piece)
    open_end = any(piece.all_open(k) for k in range(len(piece.terminals)))
    found = []
    for k, kvar in enumerate(steps):
        on = states[k] and not open_end
        draw = Draw(0.0, kvar / 1000.0, part_kv, on=on)
        rows = shunts_at(piece, parts, draw)
        found += rows if len(steps) == 1 else [replace(row, name=f"{row.name}#s{k + 1}") for row in rows]
    return found


def _says(pieces: Pieces, piece: Piece, parts: list[Part], siemens: float) -> bool:
    """Whether the kvar of a bank say its admittances: no filter, no matrix of its own."""
    nodes, y = pieces.reduced(piece)
    told = np.zeros_like(y)
    for part in parts:
        ends = [nodes.index((part.bus, node)) for node in part.nodes]
        for a in ends:
            for b in ends:
                told[a, b] += 1j * siemens / len(parts) * (1 if a == b else -1)
    return bool(np.abs(told - y).max(initial=0.0) <= 1e-6 * np.abs(y).max(initial=0.0))


def _ungrounded(pieces: Pieces, piece: Piece) -> bool:
    """Whether the other ends of three phases meet in a node that nothing else touches."""
    ends = set(piece.terminals[1])
    node = next(iter(ends))
    return piece.phases == 3 and len(ends) == 1 and node in pieces.private


def _bank_parts(piece: Piece, delta: bool) -> list[Part]:
    bus, n = piece.terminals[0][0][0], piece.phases
    ends = [node for _, node in piece.terminals[0]]
    if delta:
        return [_part(piece, bus, pair) for pair in delta_pairs(ends, n)]
    others = [node for _, node in piece.terminals[1]]
    return [_part(piece, bus, pair) for pair in zip(ends[:n], others[:n], strict=True)]


def admittance_of(pieces: Pieces, piece: Piece) -> list[Shunt]:
    """A shunt by its primitive admittances: constant impedances to ground and between phases."""
    if any(piece.all_open(k) for k in range(len(piece.terminals))):
        return []
    nodes, y = pieces.reduced(piece)
    if any(node not in PHASES for _, node in nodes) or len({bus for bus, _ in nodes}) > 1:
        shown = " ".join(f"{bus}.{node}" for bus, node in nodes)
        raise piece.error("bus1", shown, f"phases of one bus and ground; {NO_NEUTRAL}")
    assert piece.y is not None
    return list(stars_and_legs(piece, nodes, y, size=np.abs(piece.y).max(initial=0.0)))


def stars_and_legs(
    piece: Piece, nodes: list[Node], y: np.ndarray, at: str = "", size: float = 0.0
) -> Iterator[Shunt]:
    """Admittances to ground and between phases; what is nothing beside `size` is left out."""
    noise = 1e-12 * max(np.abs(y).max(initial=0.0), 1e-2 * size)
    for k, (bus, node) in enumerate(nodes):
        to_ground = y[k].sum()
        if abs(to_ground) > noise:
            yield _impedance(piece, f"{piece.name}{at}#{node}", bus, (node,), to_ground)
        for j in range(k + 1, len(nodes)):
            if abs(y[k, j]) > noise:
                pair = (node, nodes[j][1])
                yield _impedance(piece, f"{piece.name}{at}#{node}{nodes[j][1]}", bus, pair, -y[k, j])


def _impedance(piece: Piece, name: str, bus: str, nodes: tuple[int, ...], y: complex) -> Shunt:
    """An admittance of y siemens: at 1 kV across it takes conj(y) MVA. What is of a bank stays one."""
    kind = "wye" if len(nodes) == 1 else "delta"
    if piece.kind == "capacitor" and y.imag > 0 and abs(y.real) < 1e-9 * y.imag:
        return shunt(piece, name, bus, nodes, kind, Draw(0.0, y.imag, 1.0))
    return shunt(piece, name, bus, nodes, kind, Draw(y.real, -y.imag, 1.0, _IMPEDANCE))
