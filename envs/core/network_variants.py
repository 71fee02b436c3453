"""The networks of a randomisation: feeders with other lines and switches, compiled once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ... import physics
from ...cases import CaseError, Feeder
from .randomise import Randomisation, SwitchStates

Factors = NDArray[np.float64]
_NUMBERS, _MATRICES = {"line_r": "r", "line_x": "x"}, {"line_r": "r_ohm", "line_x": "x_ohm"}


class Variant(NamedTuple):
    """One network of a randomisation."""

    net: Any
    topology: int  # which of its topologies
    line_r: float  # mean factors of the lines
    line_x: float
    what: str  # in words, for messages


def network_variants(feeder: Feeder, spec: Randomisation) -> tuple[Variant, ...]:
    """All networks that ``spec`` makes of a feeder, topology by topology.

    Raises:
        ValueError: an unknown switch, a topology with a loop (its branches are named) or without supply for
            nodes that the feeder feeds (they are named).
    """
    rng, found = np.random.default_rng(spec.seed), []
    for k, states in enumerate(spec.states):
        what = f"topologies[{k}] ({states})"
        switched = _switched(feeder, states, what)
        for n in range(spec.draws_per_topology):
            factors = _line_factors(switched, spec, rng)
            drawn = _with_lines(switched, factors) if spec.varies_lines else switched
            limited = feeder.phases == "balanced"
            net = physics.compile(drawn, allow_mesh_pruning=False, enforce_q_limits=limited)
            words = f"{what}, lines {n}" if spec.varies_lines else what
            r, x = (float(drawn_of.mean()) for drawn_of in factors.values())
            found.append(Variant(net, k, r, x, words))
    return tuple(found)


def _switched(feeder: Feeder, states: SwitchStates, what: str) -> Feeder:
    changed = feeder
    try:
        for closed, ids in ((True, states.close), (False, states.open)):
            for switch in ids:
                changed = changed.with_switch(switch, closed)
    except CaseError as error:
        raise ValueError(f"Randomisation: {what}: {error}") from error
    topology = changed.topology()
    if topology.meshes:
        raise ValueError(
            f"Randomisation: {what} has a loop: branches {', '.join(topology.meshes[0])}; open one of them"
        )
    dark = _dark(changed) - _dark(feeder)
    if dark:
        some = sorted(dark)
        more = f" and {len(some) - 8} more" if len(some) > 8 else ""
        raise ValueError(
            f"Randomisation: {what} leaves nodes {', '.join(some[:8])}{more} without a source: close a "
            "switch that feeds them"
        )
    return changed


def _dark(feeder: Feeder) -> set[str]:
    return {node for island in feeder.topology().islands if not island.energised for node in island.nodes}


def _line_factors(feeder: Feeder, spec: Randomisation, rng: np.random.Generator) -> dict[str, Factors]:
    """Of the resistance and of the reactance of each line, in the order of the table."""
    n = int((feeder.column("branches", "type") == "line").sum())
    length = rng.uniform(*spec.line_length)
    r, x = (rng.uniform(low, high, size=n) * length for low, high in (spec.line_r, spec.line_x))
    return {"line_r": r, "line_x": x}


def _with_lines(feeder: Feeder, factors: dict[str, Factors]) -> Feeder:
    """The feeder with the impedances of its lines drawn."""
    lines, table = feeder.column("branches", "type") == "line", feeder.branches
    for name, drawn in factors.items():
        factor = np.ones(lines.size)
        factor[lines] = drawn
        table = _scaled(table, _NUMBERS[name], factor)
        table = _scaled_matrices(table, _MATRICES[name], factor)
    return replace(feeder, branches=table)


def _scaled(table: pa.Table, column: str, factor: Factors) -> pa.Table:
    at = table.schema.get_field_index(column)
    values = np.asarray(table.column(column).to_numpy(), dtype=np.float64) * factor
    return table.set_column(at, table.schema.field(at), pa.array(values))


def _scaled_matrices(table: pa.Table, column: str, factor: Factors) -> pa.Table:
    at = table.schema.get_field_index(column)
    field = table.schema.field(at)
    rows = table.column(column).to_pylist()
    scaled = [
        None if row is None else [value * one for value in row]
        for row, one in zip(rows, factor.tolist(), strict=True)
    ]
    return table.set_column(at, field, pa.array(scaled, type=field.type))
