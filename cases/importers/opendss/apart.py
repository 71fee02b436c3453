"""Loads of one point at nodes of their own, where the point as a whole could not say what they do.

A series gives a point its power, which the loads there share as they do at nominal power. That is exact
where all of them depend on the voltage in one way, or follow one shape. Where loads cancel at nominal power
there is nothing to share. Each further kind of loads gets a node then, behind a line that is next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from .compiled.shunts import ANY_VOLTAGE
from .compiled.transformers import INSIDE
from .parts import Parts, Shunt, Wire

COMPLETE = "nothing is left out"  # how a note ends that no power flow need repeat
DROP_PU = 1e-8  # across such a line at nominal power
_LEAST_MVA = 1e-3
_MODEL = (
    *("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac", "cvr_p", "cvr_q", "v_low_pu", "v_high_pu"),
    "v_rated_pu",
)
_Model = tuple[float | tuple[float, ...] | None, ...]


def mixed_buses(parts: Parts, followed: Mapping[str, str]) -> set[str]:
    """Buses where a phase or leg has loads of several models that follow several things.

    Args:
        parts: of a circuit.
        followed: what the power of a row follows, by the name of the row; rows without stay as they are.
    """
    met: dict[tuple[str, tuple[int, ...]], list[Shunt]] = {}
    for load in parts.loads:
        for place in _places(load):
            met.setdefault((load.bus, place), []).append(load)
    return {
        bus for (bus, _), there in met.items()
        if len({_model(load) for load in there}) > 1
        and len({followed.get(load.name, "") for load in there}) > 1
    }  # fmt: skip


def cancelling_buses(loads: Iterable[Mapping[str, Any]]) -> set[str]:
    """Nodes where loads of several models cancel in a phase or leg, by rows of the loads table."""
    met: dict[tuple[str, str, bool], list[tuple[float, float]]] = {}
    models: dict[tuple[str, str, bool], set[tuple[Any, ...]]] = {}
    for load in loads:
        phase, delta = load["phase"], load["connection"] == "delta"
        places = combinations(phase, 2) if delta else phase
        size = len(phase) if not delta or len(phase) == 3 else 1
        for place in places:
            key = (load["node_id"], "".join(place), delta)
            met.setdefault(key, []).append((load["p_mw"] / size, load["q_mvar"] / size))
            models.setdefault(key, set()).add(tuple(load[name] for name in _MODEL))
    return {
        key[0] for key, powers in met.items()
        if len(models[key]) > 1 and any(not sum(part) and any(part) for part in zip(*powers, strict=True))
    }  # fmt: skip


def with_loads_apart(parts: Parts, buses: set[str]) -> Parts:
    """The same circuit, with loads of one model only at each of the buses and at each node beside it."""
    at: dict[str, list[Shunt]] = {}
    for load in parts.loads:
        if load.bus in buses:
            at.setdefault(load.bus, []).append(load)
    moved: dict[str, str] = {}
    wires: list[Wire] = []
    for bus, loads in at.items():
        groups: dict[_Model, list[Shunt]] = {}
        for load in sorted(loads, key=lambda one: _model(one) != _PLAIN):  # what gives constant power stays
            groups.setdefault(_model(load), []).append(load)
        for k, group in enumerate(list(groups.values())[1:], 1):
            wire = _line(f"{bus}{INSIDE}{k}", bus, group)
            wires.append(wire)
            moved.update((load.name, wire.buses[1]) for load in group)
    if not moved:
        return parts
    loads = [replace(load, bus=moved.get(load.name, load.bus)) for load in parts.loads]
    note = f"{len(moved)} loads have nodes of their own, so that each point has one model: {COMPLETE}"
    return replace(parts, loads=loads, wires=[*parts.wires, *wires], notes=[*parts.notes, note])


def _model(load: Shunt) -> _Model:
    """How the power of a load depends on the voltage."""
    plain = load.exponents is None and not any(load.shares) and not load.v_low and load.v_high >= ANY_VOLTAGE
    return _PLAIN if plain else (load.shares, load.exponents, load.v_low, load.v_high, load.part_kv)


_PLAIN: _Model = ()


def _places(load: Shunt) -> Iterable[tuple[int, ...]]:
    """Phases of a wye, legs of a delta."""
    if load.connection != "delta":
        return ((node,) for node in load.nodes)
    ends = sorted(load.nodes)
    return ((a, b) for k, a in enumerate(ends) for b in ends[k + 1 :])


def _line(name: str, bus: str, loads: list[Shunt]) -> Wire:
    """From a bus to the node of some of its loads."""
    nodes = tuple(sorted({node for load in loads for node in load.nodes}))
    mva = max(sum(abs(complex(load.p_mw, load.q_mvar)) for load in loads), _LEAST_MVA)
    ohm = DROP_PU * min(load.part_kv for load in loads) ** 2 / mva
    size = len(nodes)
    return Wire(
        name, (bus, name), nodes, np.eye(size) * complex(ohm), np.zeros((size, size)), False, True, "", None,
        None, loads[0].place,
    )  # fmt: skip
