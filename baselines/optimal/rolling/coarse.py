"""Windows in longer intervals: what a plan of many hours needs of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ....envs.core.planning import PlannedScenario, Window
from ....envs.resources.outlook import Commitment, Flexibility, Outlook, Positions, Session
from ..affine import FloatArray

#: Kinds of devices whose limits are known in longer intervals, too.
_KINDS = (
    "battery", "pv", "wind", "ev", "generator", "flexible_load", "heat_pump", "tap_changer", "capacitor_bank"
)  # fmt: skip


def can_be_coarse(scenario: PlannedScenario) -> bool:
    """Whether all devices of an environment can be planned in longer intervals."""
    return all(program.kind in _KINDS for program in scenario.fleet.programs)


def coarse(window: Window, times: int) -> Window:
    """The same hours in intervals that are so many times as long; a rest at the end is left out.

    Powers, prices and bounds are means of what they hold together; least times are rounded up.

    Args:
        window: With ``times`` intervals or more.
        times: Intervals that make one.
    """
    if times == 1:
        return window
    kept = window.t_index.size // times * times
    setpoint = None if window.setpoint_mw is None else _means(window.setpoint_mw[:kept], times)
    outlooks = {name: _outlook(told, times, kept) for name, told in window.outlooks.items()}
    return Window(
        window.t_index[:kept:times], window.dt_h * times, _means(window.load_p_mw[:kept], times),
        _means(window.load_q_mvar[:kept], times), _means(window.price_usd_mwh[:kept], times),
        outlooks, window.so_far, setpoint,
    )  # fmt: skip


def _means(values: FloatArray, times: int) -> FloatArray:
    """Along the first axis."""
    return np.asarray(values.reshape(-1, times, *values.shape[1:]).mean(axis=1))


def _outlook(told: Outlook, times: int, kept: int) -> Outlook:
    rooms = told.rooms
    if rooms is not None:
        rooms = replace(
            rooms, outdoor_c=_means(rooms.outdoor_c[:kept], times), cop=_means(rooms.cop[:kept], times)
        )
    return replace(
        told,
        p_min_mw=_means(told.p_min_mw[:kept], times),
        p_max_mw=_means(told.p_max_mw[:kept], times),
        available_mw=None if told.available_mw is None else _means(told.available_mw[:kept], times),
        sessions=tuple(_stay(stay, times, kept) for stay in told.sessions if stay.first < kept),
        positions=None if told.positions is None else _positions(told.positions, times),
        rooms=rooms,
        flexibility=None if told.flexibility is None else _flexibility(told.flexibility, times, kept),
        commitment=None if told.commitment is None else _commitment(told.commitment, times),
    )


def _stay(stay: Session, times: int, kept: int) -> Session:
    """It ends with the long interval in which the car leaves: bounds of power say for how much of it."""
    beyond = stay.stays or stay.stop > kept
    return stay._replace(first=stay.first // times, stop=-(-min(stay.stop, kept) // times), stays=beyond)


def _positions(told: Positions, times: int) -> Positions:
    return replace(told, max_steps=told.max_steps * times)


def _flexibility(told: Flexibility, times: int, kept: int) -> Flexibility:
    parts = told.closes[:kept].reshape(-1, times, told.closes.shape[1])
    closes: NDArray[np.bool_] = np.asarray(parts.any(axis=1))
    return replace(told, closes=closes, window=np.maximum(told.window // times, 2))


def _commitment(told: Commitment, times: int) -> Commitment:
    since, up, down = (np.ceil(part / times) for part in (told.since, told.min_up, told.min_down))
    return replace(told, since=since, min_up=up, min_down=down, ramp_mw=told.ramp_mw * times)
