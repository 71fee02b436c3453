"""What stored and owed energy is worth, as learners are told at once and not when it is settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs.agents import AgentTable
from ...envs.blocks.time import steps_to_publication
from ...envs.core.planning import PlannedScenario
from ...envs.kernels.prices import plan_price
from ...envs.resources.ev import EVProgram
from ...envs.tasks.money import MoneyTask

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: Observations (rows, n_obs) and the intervals that they decide (rows,) to money, (rows,) or (rows, units).
Potential = Callable[[NDArray[Any], IntArray], FloatArray]


def potential_of(scenario: PlannedScenario) -> Potential:
    """The potential of states as their observations show them; 0 where nothing is settled in money.

    Stored energy is worth the middle of the two prices of settlement. What a car still needs will cost what
    its cheapest plan costs at the prices that are announced, with the fee of import, and what does not fit
    into its stay the price of energy that is missing at departure. Other owed energy will cost the middle
    price and the fee.
    """
    layout, task = scenario.layout, scenario.task
    if "energy_balance_mwh" not in layout or "settlement_price_usd_mwh" not in layout:
        return lambda obs, _t_index: np.zeros(len(obs))
    balance, prices = layout["energy_balance_mwh"], layout["settlement_price_usd_mwh"]
    fee = task.import_fee_usd_mwh if isinstance(task, MoneyTask) else 0.0
    plans = _car_plans(scenario, fee)

    def cars(obs: NDArray[Any], t_index: IntArray) -> tuple[FloatArray, FloatArray]:
        drawn_mwh, cost_usd = plans(obs, t_index)
        return drawn_mwh.sum(axis=1), cost_usd.sum(axis=1)

    def worth(obs: NDArray[Any], t_index: IntArray) -> FloatArray:
        stored, owed = obs[:, balance].T.astype(np.float64)
        middle = obs[:, prices].mean(axis=1, dtype=np.float64)
        by_cars_mwh, plans_usd = cars(obs, t_index)
        others = np.maximum(owed - by_cars_mwh, 0.0)
        return np.asarray(stored * middle - others * (middle + fee) - plans_usd, dtype=np.float64)

    return worth


def unit_potential_of(scenario: PlannedScenario) -> Potential:
    """As `potential_of`, (rows, units): what each battery holds and what the car at each station will draw.

    As if each settled alone; what other devices owe is left out.
    """
    layout, task, fleet = scenario.layout, scenario.task, scenario.fleet
    units = len(fleet.units())
    if "settlement_price_usd_mwh" not in layout:
        return lambda obs, _t_index: np.zeros((len(obs), units))
    prices = layout["settlement_price_usd_mwh"]
    stores = [unit for unit in fleet.units("battery") if "soc" in unit.observation]
    soc = np.array([unit.observation["soc"] for unit in stores], dtype=np.int64)
    energy_mwh = np.array([unit.energy_mwh for unit in stores], dtype=np.float64)
    at_stores, at_cars = ([unit.index for unit in found] for found in (stores, fleet.units("ev")))
    plans = _car_plans(scenario, task.import_fee_usd_mwh if isinstance(task, MoneyTask) else 0.0)

    def worth(obs: NDArray[Any], t_index: IntArray) -> FloatArray:
        found = np.zeros((len(obs), units))
        middle = obs[:, prices].mean(axis=1, dtype=np.float64)
        found[:, at_stores] = obs[:, soc] * energy_mwh * middle[:, None]
        found[:, at_cars] = -plans(obs, t_index)[1]
        return found

    return worth


def agent_potential_of(scenario: PlannedScenario, table: AgentTable) -> Potential:
    """(rows, agents): that of the units of each agent, or of all units where every agent gets everything."""
    units, owner = unit_potential_of(scenario), table.unit_agent
    belongs = (owner[:, None] == np.arange(table.n_agents)).astype(np.float64)  # (units, agents)
    if table.share is None:
        belongs[:] = 1.0
    return lambda obs, t_index: units(obs, t_index) @ belongs


def _car_plans(
    scenario: PlannedScenario, fee: float
) -> Callable[[NDArray[Any], IntArray], tuple[FloatArray, FloatArray]]:
    """Observations and intervals to the MWh that each car will draw, and what that costs; (rows, cars)."""
    layout, profiles = scenario.layout, scenario.profiles
    programs = [p for p in scenario.fleet.programs if isinstance(p, EVProgram)]
    if not programs or "ev.need_mwh" not in layout or "ev.departure_h" not in layout:
        return lambda obs, _t_index: (np.zeros((len(obs), 0)), np.zeros((len(obs), 0)))
    need, departure = layout["ev.need_mwh"], layout["ev.departure_h"]
    p_mw, eta, missing = (
        np.concatenate(column)
        for column in zip(*((p.rated_p_mw, p.eta_charge, p.price) for p in programs), strict=True)
    )
    price = np.asarray(profiles.price_usd_mwh, dtype=np.float64) + fee
    dt_h, per_day = profiles.dt_h, profiles.calendar.steps_per_day
    published = steps_to_publication(per_day)

    def plans(obs: NDArray[Any], t_index: IntArray) -> tuple[FloatArray, FloatArray]:
        drawn_mwh = obs[:, need] / eta
        each = np.empty(drawn_mwh.shape)
        until_h = obs[:, departure].astype(np.float64)
        wanted = drawn_mwh / (p_mw * dt_h)
        plan_price(price, t_index, until_h, wanted, missing * eta, per_day, published, dt_h, each)
        return drawn_mwh, each * (p_mw * dt_h)

    return plans
