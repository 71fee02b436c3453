"""The info dictionaries of a single environment. Every array is a copy; keys as documented on the pages."""

from __future__ import annotations

from typing import Any

from ..kernels import info_table
from .grid import Grid
from .outcome import Outcome


def state_info(grid: Grid, row: int = 0) -> dict[str, Any]:
    """What the solved grid of ``row`` looks like; keys and order of `info_table.INFO`."""
    stepper = grid.stepper
    others = [filled(results[row]) for filled, results in grid.info_places]
    return info_table.PLAN.row(
        stepper.measured[row].tolist(), stepper.ended[row].tolist(), others, grid.clocks[:, row].tolist()
    )


def step_info(grid: Grid, outcome: Outcome, row: int = 0) -> dict[str, Any]:
    """``state_info`` and what the step earned, cost and delivered."""
    info = state_info(grid, row)
    info["unserved_MW"] = outcome.unserved_mw.item(row)
    info["cost_resource"], info["n_resource_violations"] = 0.0, 0
    if outcome.resource_costs:
        charged = [value.item(row) for value in outcome.resource_costs.values()]
        info["cost_resource"] = sum(charged, 0.0)
        info["n_resource_violations"] = sum([value > 0.0 for value in charged])
    info["rewards"] = {name: value.item(row) for name, value in outcome.rewards.items()}
    info["costs"] = {name: float(value.item(row)) for name, value in outcome.costs.items()}
    info["cost"] = outcome.cost.item(row)
    info["delivered"] = grid.fleet.delivered(row)
    return info


def reset_info(grid: Grid, row: int = 0) -> dict[str, Any]:
    """The info of ``reset``: that of a step in all its keys, so that recorders find one structure, and with
    nothing earned, charged or delivered yet.
    """
    assert grid.names is not None  # known from the reset on
    rewards, costs = grid.names
    info = state_info(grid, row)
    info["unserved_MW"] = 0.0
    info["cost_resource"] = 0.0
    info["n_resource_violations"] = 0
    info["rewards"] = dict.fromkeys(rewards, 0.0)
    info["costs"] = dict.fromkeys(costs, 0.0)
    info["cost"] = 0.0
    info["delivered"] = grid.fleet.delivered(row)
    return info
