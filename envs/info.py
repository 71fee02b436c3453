"""The info dictionaries of a single environment. Every array is a copy; keys as documented on the pages."""

from __future__ import annotations

from typing import Any

from .grid import Grid, Outcome


def state_info(grid: Grid, row: int = 0) -> dict[str, Any]:
    """What the solved grid of ``row`` looks like; the whole info of ``reset``."""
    stepper = grid.stepper
    slack, loss, status = stepper.slack_mva[row], stepper.loss_mva[row], stepper.flags(row)
    return {
        "p_slack_MW": float(slack.real),
        "q_slack_MVAr": float(slack.imag),
        "p_loss_MW": float(loss.real),
        "q_loss_MVAr": float(loss.imag),
        "voltages": stepper.v_pu[row].copy(),
        "branch_loading": stepper.loading[row].copy(),
        "pf_converged": status.converged and not status.collapsed,
        "is_diverged": status.diverged,
        "voltage_collapse": status.collapsed,
        "pf_iterations": int(stepper.iterations[row]),
        "vuf_pct": 0.0,  # balanced by assumption
        "cost_voltage_violation": float(stepper.voltage_violation_pu[row]),
        "cost_thermal_overload": float(stepper.overload_mva[row]),
        "cost_vuf_violation": 0.0,
        "n_voltage_violations": int(stepper.n_voltage_violations[row]),
        "n_thermal_overloads": int(stepper.n_overloads[row]),
        "n_vuf_violations": 0,
        "day": int(grid.day[row]),
        "step": int(grid.step_index[row]),
        "t_index": int(grid.t_index[row]),
    }


def step_info(grid: Grid, outcome: Outcome, row: int = 0) -> dict[str, Any]:
    """``state_info`` and what the step earned, cost and delivered."""
    info = state_info(grid, row)
    resource_costs = {name: float(value[row]) for name, value in outcome.resource_costs.items()}
    info["cost_resource"] = sum(resource_costs.values())
    info["n_resource_violations"] = sum(1 for value in resource_costs.values() if value > 0.0)
    info["rewards"] = {name: float(value[row]) for name, value in outcome.rewards.items()}
    info["costs"] = {name: float(value[row]) for name, value in outcome.costs.items()}
    info["cost"] = float(outcome.cost[row])
    info["delivered"] = {
        "p_mw": grid.fleet.delivered_p_mw[row].copy(),
        "q_mvar": grid.fleet.delivered_q_mvar[row].copy(),
    }
    return info
