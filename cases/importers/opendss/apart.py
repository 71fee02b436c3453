"""Loads of one point that no series of the point could hold, at nodes of their own.

A series gives a point its power, which the loads there share as they do at nominal power. That is exact
where all of them depend on the voltage in one way, or follow one shape. Others get a node each, behind a line
that is next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from .compiled.transformers import INSIDE
from .parts import Parts, Shunt, Wire

COMPLETE = "nothing is left out"  # how a note ends that no power flow need repeat
DROP_PU = 1e-8  # across such a line at nominal power
_LEAST_MVA = 1e-3
_Model = tuple[float | tuple[float, ...] | None, ...]


def with_loads_apart(parts: Parts, followed: Mapping[str, str]) -> Parts:
    """The same circuit, in which each point can have one series.

    Args:
        parts: of a circuit.
        followed: what the power of a row follows, by the name of the row; rows without stay as they are.
    """
    at: dict[str, list[Shunt]] = {}
    for load in parts.loads:
        at.setdefault(load.bus, []).append(load)
    moved: dict[str, str] = {}
    wires: list[Wire] = []
    for bus, loads in at.items():
        if not _mixed(loads, followed):
            continue
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
    note = f"{len(moved)} loads have nodes of their own, so that each point has one series: {COMPLETE}"
    return replace(parts, loads=loads, wires=[*parts.wires, *wires], notes=[*parts.notes, note])


def _model(load: Shunt) -> _Model:
    """How the power of a load depends on the voltage."""
    plain = load.exponents is None and not any(load.shares) and not load.v_low and load.v_high >= _ANY_VOLTAGE
    return _PLAIN if plain else (load.shares, load.exponents, load.v_low, load.v_high, load.part_kv)


_PLAIN: _Model = ()
_ANY_VOLTAGE = 1e3


def _mixed(loads: list[Shunt], followed: Mapping[str, str]) -> bool:
    """Whether some phase or leg has loads of several models that follow several things."""
    met: dict[tuple[int, ...], list[Shunt]] = {}
    for load in loads:
        for place in _places(load):
            met.setdefault(place, []).append(load)
    return any(
        len({_model(load) for load in there}) > 1 and len({followed.get(load.name, "") for load in there}) > 1
        for there in met.values()
    )


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
