"""Where a grid's two kinds of power flow differ, beyond the attributes that both steppers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...physics import Network, Network3, StateBounds, Stepper, state_bounds
from ..blocks import chosen_blocks, details_read
from .phase_stepper import STATE, PhaseStepper

if TYPE_CHECKING:
    from ..resources import Fleet
    from ..tasks import Task
    from .load_source import LoadSource

FloatArray = NDArray[np.float64]
AnyStepper = Stepper | PhaseStepper


def stepper_for(
    net: Network | Network3,
    batch: int,
    limits: tuple[FloatArray, FloatArray],
    fleet: Fleet,
    task: Task,
    like: AnyStepper | None,
) -> AnyStepper:
    """The power flow of a grid, limits per node; ``like``: that of another grid of the scenario.

    It keeps of its details what the task shows: writing the others takes longer than solving.
    """
    v_min, v_max = limits
    kept = details_read(chosen_blocks(task.blocks))
    if isinstance(net, Network3):
        other = like if isinstance(like, PhaseStepper) else None
        return PhaseStepper(net, batch, v_min, v_max, fleet.ports, task.vuf_max_pct, kept, other)
    return Stepper(net, batch, v_min, v_max, kept)


def bounds_of(stepper: AnyStepper, load: LoadSource, fleet: Fleet) -> StateBounds:
    """Bounds of every solved state, per column."""
    if isinstance(stepper, PhaseStepper):
        return stepper.bounds(load.s_max_mva, fleet.s_mva_by_port())
    return state_bounds(stepper.net, load.s_max_mva + fleet.s_mva_by_node(), stepper.v_collapse_pu)


def limits_of(stepper: AnyStepper) -> tuple[FloatArray, FloatArray]:
    """Voltage limits per column."""
    if isinstance(stepper, PhaseStepper):
        at = stepper.voltage_at[:, 0]
        return stepper.v_min[at], stepper.v_max[at]
    return stepper.v_min, stepper.v_max


def rating_of(stepper: AnyStepper) -> FloatArray:
    """Rating per column of branches, MVA."""
    return stepper.rating_mva() if isinstance(stepper, PhaseStepper) else stepper.net.rating_mva


def state_arrays(stepper: AnyStepper) -> tuple[str, ...]:
    """Arrays of the solved state that only one kind has."""
    return STATE if isinstance(stepper, PhaseStepper) else ("s_to",)


def vuf_bound(stepper: AnyStepper) -> float:
    """The most that the sum can be: 100 % counts for more."""
    return stepper.vuf_at.size * (100.0 - stepper.vuf_max_pct) if isinstance(stepper, PhaseStepper) else 0.0


def names_of(stepper: AnyStepper) -> tuple[list[str], list[str], list[str], list[str]]:
    """Names of the columns of voltages, loads, branches and unbalance."""
    if isinstance(stepper, PhaseStepper):
        return stepper.names()
    column = stepper.net.feeder.column
    nodes, branches = (
        [str(x) for x in column(*at)] for at in (("nodes", "node_id"), ("branches", "branch_id"))
    )
    return nodes, nodes, branches, []


def top_current(stepper: AnyStepper, s_branch_mva: FloatArray, v_low_pu: float) -> FloatArray:
    """(columns of branches,) kA: a current that carries ``s_branch_mva`` at the lowest voltage."""
    net = stepper.net
    kv = np.minimum(net.base_kv[net.from_row], net.base_kv[net.to_row]) * v_low_pu
    if isinstance(stepper, PhaseStepper):
        kv = kv[stepper.branch_at[:, 0]] / np.sqrt(3.0)
    return np.asarray(s_branch_mva / kv)


def shown(stepper: AnyStepper, row: int) -> dict[str, Any]:
    """What the info of ``row`` tells of voltages, loading and unbalance; copies."""
    if isinstance(stepper, PhaseStepper):
        return {
            "voltages": stepper.by_node(row),
            "branch_loading": stepper.by_branch(row),
            "vuf_pct": stepper.unbalance(row),
        }
    return {
        "voltages": stepper.v_pu[row].copy(),
        "branch_loading": stepper.loading[row].copy(),
        "vuf_pct": 0.0,  # balanced by assumption
    }


def node_voltages(stepper: AnyStepper, row: int) -> FloatArray:
    """(n_nodes,) or (n_nodes, 3) magnitudes for a picture; NaN where there is none."""
    return stepper.by_node(row).data if isinstance(stepper, PhaseStepper) else stepper.v_pu[row]


def branch_loading(stepper: AnyStepper, row: int) -> FloatArray:
    """(n_branches,) loading, that of the most loaded phase; 0 without a rating."""
    if isinstance(stepper, PhaseStepper):
        return np.asarray(stepper.by_branch(row).max(axis=1).filled(0.0))
    return stepper.loading[row]
