"""Generators, photovoltaics and storage as rows of an asset table: their ratings, not what they give.

The rows of the loads table keep what they give in the snapshot; `Assets.stand_for` says which rows are which
asset's, so that nobody counts one twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..parts import Shunt, listed
from .injections import Injection
from .pieces import PHASES, Piece

Row = dict[str, Any]
_LEGS = {frozenset((1, 2)): "AB", frozenset((2, 3)): "BC", frozenset((1, 3)): "CA"}
_SHOWN = 3
VOLTAGE_HELD = 3  # model of a generator that holds its voltage within minkvar and maxkvar


@dataclass(frozen=True, eq=False)
class Assets:
    """What the elements of a circuit are as assets.

    Attributes:
        rows: by columns of `der_assets`; those that are missing are null.
        stand_for: asset of each row of the loads table that stands for one.
        notes: which elements are none, and why.
    """

    rows: tuple[Row, ...]
    stand_for: Mapping[str, str]
    notes: tuple[str, ...]


def assets_of(
    pieces: list[Piece], given: Mapping[str, Injection], behind_taps: Callable[[str], bool]
) -> Assets:
    """Assets of elements that inject.

    Args:
        pieces: generators, PV systems and storage that take part.
        given: their rows of the loads table, by class and name.
        behind_taps: whether a bus lies behind a centre tap, where assets have no phase.
    """
    rows: list[Row] = []
    stand_for: dict[str, str] = {}
    none: dict[str, list[str]] = {}  # by reason
    for piece in pieces:
        shunts = given[piece.title].rows if piece.title in given else []
        if not shunts or piece.kind not in _RATINGS:
            continue
        why = "legs behind a centre tap have no phase of assets" if behind_taps(shunts[0].bus) else ""
        ratings = _RATINGS[piece.kind](piece)
        why = why or ("" if ratings["p_max_mw"] > 0.0 else "no power by its ratings")
        if why:
            none.setdefault(why, []).append(piece.title)
            continue
        for name, phase, share, of in _places(shunts):
            row = {"asset_id": name, "bus_id": shunts[0].bus, "phase": phase, **ratings}
            rows.append({key: value * share if key in _SHARED else value for key, value in row.items()})
            stand_for.update(dict.fromkeys((shunt.name for shunt in of), name))
    notes = []
    for why, titles in none.items():
        verb = "stand" if len(titles) > 1 else "stands"
        notes.append(f"{listed(titles, _SHOWN)} {verb} in the loads and in no asset: {why}")
    return Assets(tuple(rows), stand_for, tuple(notes))


def _places(shunts: list[Shunt]) -> Iterator[tuple[str, str, float, list[Shunt]]]:
    """Id, phase and share of the ratings of each asset, and the rows of the loads table that it has there."""
    alone = [shunt.nodes[0] for shunt in shunts if shunt.connection == "wye" and len(shunt.nodes) == 1]
    if len(shunts) == 3 and sorted(alone) == list(PHASES):
        yield shunts[0].name.rpartition("#")[0], "ABC", 1.0, shunts
        return
    for shunt in shunts:
        share = 1.0 / len(shunts)
        if len(shunt.nodes) == 3:
            yield shunt.name, "ABC", share, [shunt]
        elif shunt.connection == "delta":
            yield shunt.name, _LEGS[frozenset(shunt.nodes)], share, [shunt]
        else:
            for node in shunt.nodes:
                letter = "ABC"[node - 1]
                name = shunt.name if len(shunt.nodes) == 1 else f"{shunt.name}-{letter.lower()}"
                yield name, letter, share / len(shunt.nodes), [shunt]


_SHARED = frozenset("p_min_mw p_max_mw q_min_mvar q_max_mvar s_rated_mva energy_cap_mwh".split())


def _generator(piece: Piece) -> Row:
    p_mw = piece.number("kw") / 1e3
    s_mva = max(piece.number("kva") / 1e3, p_mw)
    room = math.sqrt(max(s_mva**2 - p_mw**2, 0.0))
    low, high = -room, room
    if round(piece.number("model")) == VOLTAGE_HELD:
        low, high = (min(max(piece.number(name) / 1e3, -room), room) for name in ("minkvar", "maxkvar"))
    return {
        "asset_type": "generator", "p_min_mw": 0.0, "p_max_mw": p_mw, "q_min_mvar": min(low, 0.0),
        "q_max_mvar": max(high, 0.0), "s_rated_mva": s_mva,
    }  # fmt: skip


def _photovoltaics(piece: Piece) -> Row:
    s_mva = piece.number("kva") / 1e3
    p_mw = min(piece.number("pmpp") * piece.number("%pmpp") / 1e5, s_mva)
    return {"asset_type": "pv", "p_min_mw": 0.0, "p_max_mw": p_mw, **_inverter(piece, s_mva)}


def _storage(piece: Piece) -> Row:
    s_mva = piece.number("kva") / 1e3
    p_mw = min(piece.number("kwrated") / 1e3, s_mva)
    low = min(max(piece.number("%reserve") / 100.0, 0.0), 0.99)
    return {
        "asset_type": "battery", "p_min_mw": -p_mw, "p_max_mw": p_mw, **_inverter(piece, s_mva),
        "energy_cap_mwh": piece.number("kwhrated") / 1e3, "soc_min": low, "soc_max": 1.0,
        "soc_init": min(max(piece.number("%stored") / 100.0, low), 1.0),
        "efficiency": piece.number("%effcharge") / 100.0,
        "efficiency_discharge": piece.number("%effdischarge") / 100.0,
    }  # fmt: skip


def _inverter(piece: Piece, s_mva: float) -> Row:
    """Reactive power that it can give and take: the smaller of both, as assets have them alike."""
    q_mvar = min(abs(piece.number("kvarmax")) / 1e3, abs(piece.number("kvarmaxabs")) / 1e3, s_mva)
    return {"q_min_mvar": -q_mvar, "q_max_mvar": q_mvar, "s_rated_mva": s_mva}


_RATINGS: Mapping[str, Callable[[Piece], Row]] = {
    "generator": _generator, "pvsystem": _photovoltaics, "storage": _storage,
}  # fmt: skip
