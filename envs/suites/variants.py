"""Variants of a registered environment: what is harder, longer, coarser in time, or acts in whole positions.

A family names them in one line each::

    ENTRIES = (base, variant(base, "hard"), variant(base, "week"))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ...cases.profiles import Duration
from ..core.action_spaces import Hybrid, MultiDiscrete
from ..core.ladder import MEASURED
from ..resources import CapacitorBank, TapChanger
from ..tasks import MoneyTask
from ..tasks.base import BOUND
from .entry import RegisteredEnv

WEEK_H = 168.0
HOUR_H = 1.0
#: Kinds of device that move in whole positions.
_IN_POSITIONS = (TapChanger, CapacitorBank)


def variant(base: RegisteredEnv, kind: str) -> RegisteredEnv:
    """The environment ``NAME-KIND`` of the same version as ``base``, which stays what it is.

    Args:
        base: what it is a variant of.
        kind: "hard" (what real meters show, with their errors, and forecasts), "week" (an episode of seven
            days), "hourly" (steps of an hour), "discrete" (a ``MultiDiscrete`` space of actions: positions of
            taps and banks, five levels of the others) or "hybrid" (positions of taps and banks, floats for
            the others).

    A week's price of failure is that of seven days. An hourly day keeps that of a day in quarter hours, which
    is enough where terms are per interval and too much of it: search it and state it by ``.priced``.

    Raises:
        ValueError: an unknown kind, or "discrete" or "hybrid" of a fleet in which nothing moves in positions.
    """
    if kind not in VARIANTS:
        raise ValueError(f"variant {kind!r} is unknown; expected one of {', '.join(VARIANTS)}")
    made, said = VARIANTS[kind]
    derived = made(base)
    return replace(derived, name=f"{base.name}-{kind}", summary=f"{base.summary}; {said}")


def _hard(base: RegisteredEnv) -> RegisteredEnv:
    return replace(base, options={**base.options, "observation": MEASURED})


def _week(base: RegisteredEnv) -> RegisteredEnv:
    days = WEEK_H / base.task.episode.hours
    price, cost = (
        BOUND if isinstance(one, str) else one * days
        for one in (base.task.failure_price, base.task.failure_cost)
    )
    episode = Duration(hours=WEEK_H)
    return replace(base, task=replace(base.task, episode=episode, failure_price=price, failure_cost=cost))


def _hourly(base: RegisteredEnv) -> RegisteredEnv:
    task = base.task
    if isinstance(task, MoneyTask):  # limits cost as much an hour, beside energy that costs what it does
        task = task.of_steps(HOUR_H / base.dt_h)
    return replace(base, task=task, dt_h=HOUR_H)


def _discrete(base: RegisteredEnv) -> RegisteredEnv:
    return replace(_checked(base), options={**base.options, "action_space": MultiDiscrete()})


def _hybrid(base: RegisteredEnv) -> RegisteredEnv:
    return replace(_checked(base), options={**base.options, "action_space": Hybrid()})


def _checked(base: RegisteredEnv) -> RegisteredEnv:
    if not any(isinstance(one, _IN_POSITIONS) for one in base.resources):
        raise ValueError(
            f"{base.name} has no TapChanger or CapacitorBank: nothing moves in whole positions, so there is "
            "no discrete or hybrid variant"
        )
    return base


#: What makes each variant, and what it is in words.
VARIANTS: Mapping[str, tuple[Callable[[RegisteredEnv], RegisteredEnv], str]] = {
    "hard": (_hard, "as real meters show it, with forecasts in place of the truth"),
    "week": (_week, "over a week"),
    "hourly": (_hourly, "in steps of an hour"),
    "discrete": (_discrete, "in positions and levels"),
    "hybrid": (_hybrid, "in positions where devices have them"),
}
