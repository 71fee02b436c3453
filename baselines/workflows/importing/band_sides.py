"""Loads that jump at the edges of their voltage band, and the side of the band on which they stand.

OpenDSS takes loads with an exponent (models 3 and 4) as constant power outside of their band, so their power
jumps at its edges, and a power flow may have several solutions: one with the load inside of its band, and one
with it outside, at the voltage that its other power makes. Neither is wrong. With each such load held on the
side where another engine has it there is one solution, which is that engine's if the circuits are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....cases import Feeder
from ....cases.model.edit import node_loads
from ....cases.phases import LEG_PLACE, PLACE, places
from ....cases.schema import LINEAR_SHARE, SPLIT_PHASES, table_of_rows

INSIDE, ABOVE, BELOW, FAR_BELOW = 0, 1, 2, 3
_EDGES = ("v_low_pu", "v_high_pu")
_MODEL = ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac", "cvr_p", "cvr_q")
Row = dict[str, Any]


class Part(NamedTuple):
    """A phase or leg of a row of the loads table."""

    row: int
    node: int
    place: int
    phase: str
    delta: bool
    share: float  # of the row's power


def jumping(feeder: Feeder) -> list[Part]:
    """The phases and legs of loads that jump at the edges of a band."""
    rows = feeder.loads.to_pylist()
    return [part for part in _parts(feeder, rows) if _jumps(rows[part.row])]


def sides(feeder: Feeder, parts: list[Part], v: NDArray[np.complex128]) -> NDArray[np.int64]:
    """Where parts stand at (n_nodes, 3) voltages in pu: INSIDE, ABOVE, BELOW, FAR_BELOW."""
    rows = feeder.loads.to_pylist()
    split = [phase in SPLIT_PHASES for phase in feeder.column("nodes", "phase")]
    found = np.zeros(len(parts), dtype=np.int64)
    for k, part in enumerate(parts):
        row, at = rows[part.row], v[part.node]
        size = abs(at[part.place])
        if part.delta:
            size = abs(at[part.place] - at[(part.place + 1) % 3]) / (2.0 if split[part.node] else 3**0.5)
        low, high, rated = _band(row)
        if size > high:
            found[k] = ABOVE
        elif size < low:
            found[k] = FAR_BELOW if size <= LINEAR_SHARE * rated else BELOW
    return found


def held(
    feeder: Feeder, parts: list[Part], where: NDArray[np.int64], powers: Mapping[str, NDArray[np.float64]]
) -> Feeder:
    """The feeder with those parts on one side of their band at any voltage, each as a load of its own.

    Args:
        feeder: a per-phase feeder.
        parts: see `jumping`.
        where: see `sides`.
        powers: (n_nodes, 3) load of nodes or legs that takes the place of the nominal one: p_mw, q_mvar,
            p_delta_mw, q_delta_mvar; empty: the nominal one.
    """
    rows = feeder.loads.to_pylist()
    at_side = {(part.row, part.place): int(side) for part, side in zip(parts, where, strict=True)}
    every = list(_parts(feeder, rows))
    nominal = np.zeros((2, 2, feeder.n_nodes, 3))  # P and Q, wye and delta
    for part in every:
        row = rows[part.row]
        nominal[:, int(part.delta), part.node, part.place] += (
            row["p_mw"] * part.share, row["q_mvar"] * part.share,
        )  # fmt: skip
    made = []
    for part in every:
        row = dict(rows[part.row])
        slot = (int(part.delta), part.node, part.place)
        for unit, name in enumerate(("p_mw", "q_mvar")):
            row[name] *= part.share
            wanted = powers.get(name.replace("_", "_delta_") if part.delta else name)
            if wanted is not None:
                total, of_slot = float(wanted[slot[1:]]), float(nominal[(unit, *slot)])
                row[name] = row[name] / of_slot * total if of_slot else 0.0
        row |= {"load_id": f"{row['load_id']}.{part.phase}", "phase": part.phase}
        side = at_side.get((part.row, part.place))
        made.append(row if side is None else _on_side(row, side))
    loads = table_of_rows("loads", made, feeder.feeder_id)
    return dataclasses.replace(feeder, loads=loads, nodes=node_loads(feeder.nodes, loads))


def _parts(feeder: Feeder, rows: list[Row]) -> Iterator[Part]:
    for k, row in enumerate(rows):
        phase, node = str(row["phase"]), feeder.node_index[row["node_id"]]
        if row["connection"] != "delta":
            at = [(letter, PLACE[letter]) for letter in phase]
        elif phase == "12":
            at = [(phase, LEG_PLACE[phase])]
        else:
            has = set(places(phase))
            at = [(leg, place) for leg, place in LEG_PLACE.items()
                  if leg != "12" and set(places(leg)) <= has]  # fmt: skip
        for name, place in at:
            named = "".join(sorted(name)) if row["connection"] == "delta" else name
            yield Part(k, node, place, named, row["connection"] == "delta", 1.0 / len(at))


def _jumps(row: Row) -> bool:
    return row["cvr_p"] is not None and any(row[edge] is not None for edge in _EDGES)


def _band(row: Row) -> tuple[float, float, float]:
    return row["v_low_pu"] or 0.0, row["v_high_pu"] or np.inf, row["v_rated_pu"] or 1.0


def _on_side(row: Row, side: int) -> Row:
    """A load of one phase without its band, as it is on one side of it."""
    low, high, rated = _band(row)
    free = row | dict.fromkeys(_EDGES)
    if side == INSIDE:
        return free
    if side == BELOW:  # a current that falls in a straight line to that of the impedance
        floor = LINEAR_SHARE * rated
        slope = (1.0 / low - floor / rated**2) / (low - floor)
        z, i = slope, floor / rated**2 - slope * floor
    else:
        z, i = 1.0 / (high if side == ABOVE else rated) ** 2, 0.0
    found = free | dict.fromkeys(_MODEL)
    for power, exponent, shares in (("p_mw", "cvr_p", _MODEL[:2]), ("q_mvar", "cvr_q", _MODEL[2:4])):
        found[power] = row[power] * rated ** row[exponent] * (z + i)
        found |= dict(zip(shares, (z / (z + i), i / (z + i)), strict=True))
    return found
