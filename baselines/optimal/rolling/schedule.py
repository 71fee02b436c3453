"""What devices do hour by hour: the relaxation's plan of a window, in longer intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....envs.core.planning import PlannedScenario, Window
from ....envs.resources.outlook import Outlook
from ..affine import FloatArray, IntArray
from ..day import relaxed_window
from .coarse import can_be_coarse, coarse

_HOUR = 1.0
_HOLD = 1000.0
#: Kinds whose power nothing but the interval itself decides, and kinds that give now and take later.
FREE, _STORES = ("pv", "wind"), ("battery",)


@dataclass(frozen=True, eq=False)
class Schedule:
    """What is planned, in long intervals.

    Attributes:
        times: Intervals of the environment in a long one.
        window: What it was planned for, in long intervals.
        actions: (long, n_actions) floats in [-1, 1].
        p_mw: (long, n_units) by program; on: (long,) 1 where a generator runs, by its name.
        held: (long, n_units) whole positions, by the kind of what moves.
        peak_mw: Most power at the head.
    """

    times: int
    window: Window
    actions: FloatArray
    p_mw: Mapping[str, FloatArray]
    on: Mapping[str, IntArray]
    held: Mapping[str, FloatArray]
    peak_mw: float

    def power_mw(self, program: str, at: int, low_mw: FloatArray, high_mw: FloatArray) -> FloatArray:
        """(n_units,) of a program in an interval whose bounds are these.

        What a unit does in an hour for a part of which it is there, it does while it is there.
        """
        return while_there(self.p_mw[program][at], self.window.outlooks[program], at, low_mw, high_mw)


def while_there(
    planned_mw: FloatArray, told: Outlook, at: int, low_mw: FloatArray, high_mw: FloatArray
) -> FloatArray:
    """(n_units,) what is planned for a long interval, in one of its intervals whose bounds are these.

    What a unit does in an hour for a part of which it is there, it does while it is there.
    """
    low, high = told.p_min_mw[at], told.p_max_mw[at]
    bound, now = np.where(planned_mw < 0.0, low, high), np.where(planned_mw < 0.0, low_mw, high_mw)
    share = np.where(bound != 0.0, now / np.where(bound != 0.0, bound, 1.0), 0.0)
    return np.asarray(planned_mw * share)


def price_of_leaving(kind: str, window: Window) -> float:
    """Of a MW off the schedule in an interval, in the reward of the task; 0 where the interval decides alone.

    Storage leaves it where that is worth more than its energy at the highest price of the day.
    """
    if kind in FREE:
        return 0.0
    highest = 0.0 if window.so_far is None else window.so_far.highest_usd_mwh
    return highest * window.dt_h if kind in _STORES and highest > 0.0 else _HOLD


def times_of(scenario: PlannedScenario) -> int:
    """How many intervals of an environment are planned as one: an hour, where all its devices can."""
    if not can_be_coarse(scenario):
        return 1
    times = max(round(_HOUR / scenario.calendar.dt_h), 1)
    return times if scenario.episode_steps % times == 0 else 1


def scheduled(scenario: PlannedScenario, window: Window, times: int) -> Schedule:
    """The plan of a window; its intervals must be whole long ones.

    Raises:
        RunError: the solver ends without a plan.
    """
    long = coarse(window, times)
    found = relaxed_window(scenario, long)
    names = [program.kind for program in scenario.fleet.programs]
    kinds = dict(zip(long.outlooks, names, strict=True))
    p: dict[str, FloatArray] = {}
    on: dict[str, IntArray] = {}
    injecting = [name for name, told in long.outlooks.items() if told.positions is None]
    actions = found.actions()
    column = {dimension.name: dimension.index for dimension in scenario.action_layout}
    for name, one in zip(injecting, found.fleet, strict=True):
        p[name] = one.p_mw.at(found.found.x)
        if kinds[name] == "generator":
            on |= {unit: (actions[:, column[f"{unit}.p"]] >= 0.0).astype(np.int64) for unit in one.names}
    peak = float(found.flow.p_source_mw.at(found.found.x).max())
    return Schedule(times, long, actions, p, on, found.held, peak)
