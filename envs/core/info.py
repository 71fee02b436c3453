"""The info dictionaries of a single environment. Every array is a copy; keys as documented on the pages."""

from __future__ import annotations

from typing import Any

from ...physics.flags import COLLAPSED, CONVERGED, DIVERGED
from .grid import Grid, Outcome
from .plant import shown


def state_info(grid: Grid, row: int = 0) -> dict[str, Any]:
    """What the solved grid of ``row`` looks like."""
    stepper = grid.stepper
    slack, loss, status = stepper.slack_mva.item(row), stepper.loss_mva.item(row), stepper.status.item(row)
    return {
        "p_slack_MW": slack.real,
        "q_slack_MVAr": slack.imag,
        "p_loss_MW": loss.real,
        "q_loss_MVAr": loss.imag,
        **shown(stepper, row),
        "pf_converged": status & (CONVERGED | COLLAPSED) == CONVERGED,
        "is_diverged": status & DIVERGED != 0,
        "voltage_collapse": status & COLLAPSED != 0,
        "pf_iterations": stepper.iterations.item(row),
        "cost_voltage_violation": stepper.voltage_violation_pu.item(row),
        "cost_thermal_overload": stepper.overload_mva.item(row),
        "cost_vuf_violation": stepper.vuf_violation_pct.item(row),
        "n_voltage_violations": stepper.n_voltage_violations.item(row),
        "n_thermal_overloads": stepper.n_overloads.item(row),
        "n_vuf_violations": stepper.n_vuf_violations.item(row),
        "day": grid.day.item(row),
        "step": grid.step_index.item(row),
        "t_index": grid.t_index.item(row),
    }


def step_info(grid: Grid, outcome: Outcome, row: int = 0) -> dict[str, Any]:
    """``state_info`` and what the step earned, cost and delivered."""
    info = state_info(grid, row)
    charged = [float(value[row]) for value in outcome.resource_costs.values()]
    info["cost_resource"] = sum(charged, 0.0)
    info["n_resource_violations"] = sum([value > 0.0 for value in charged])
    info["rewards"] = {name: float(value[row]) for name, value in outcome.rewards.items()}
    info["costs"] = {name: float(value[row]) for name, value in outcome.costs.items()}
    info["cost"] = float(outcome.cost[row])
    info["delivered"] = grid.fleet.delivered(row)
    return info


def reset_info(grid: Grid, row: int = 0) -> dict[str, Any]:
    """The info of ``reset``: that of a step in all its keys, so that recorders find one structure, and with
    nothing earned, charged or delivered yet.
    """
    assert grid.names is not None  # known from the reset on
    rewards, costs = grid.names
    info = state_info(grid, row)
    info["cost_resource"] = 0.0
    info["n_resource_violations"] = 0
    info["rewards"] = dict.fromkeys(rewards, 0.0)
    info["costs"] = dict.fromkeys(costs, 0.0)
    info["cost"] = 0.0
    info["delivered"] = grid.fleet.delivered(row)
    return info
