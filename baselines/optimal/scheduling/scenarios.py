"""Scenarios of what may go otherwise on a day, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .case import ScheduleCase
from .worlds import (
    ASSET,
    COMMUNICATION,
    DAY_H,
    FORECAST,
    KINDS,
    LINE,
    LOAD,
    PRICE,
    SUN,
    WIND,
    Event,
    lower_ends,
)


def drawn(case: ScheduleCase, seed: int, scenario: int, kinds: Sequence[str] = KINDS) -> tuple[Event, ...]:
    """The events of one scenario: the same whatever other scenarios and policies there are.

    Price: a level (lognormal, 0.2) and, three days in ten, two hours at two to five times it. Load: a level
    of 0.8 to 1.2. Sun and wind: 0.3 to 1.1 of what was thought, at most the plant's most. Outages: of a
    branch three days in ten, of an asset four in ten, for one to four and two to twelve hours. Errors of
    forecasts: half to twice. Communication: lost by an aggregator, or an asset where there is none, three
    days in ten for one to six hours.

    Args:
        case: Its feeder and assets.
        seed: Of the study.
        scenario: Number.
        kinds: Of events; the draws of a kind do not depend on which others there are.
    """
    found: list[Event] = []
    for kind in KINDS:
        rng = np.random.default_rng((seed, scenario, KINDS.index(kind)))
        if kind in kinds:
            found += _DRAWS[kind](case, rng)
    return tuple(found)


def _level(kind: str, low: float, high: float) -> Callable[[ScheduleCase, np.random.Generator], list[Event]]:
    def draw(_case: ScheduleCase, rng: np.random.Generator) -> list[Event]:
        return [Event(kind, "", 0.0, DAY_H, round(float(rng.uniform(low, high)), 4))]

    return draw


def _price(_case: ScheduleCase, rng: np.random.Generator) -> list[Event]:
    found = [Event(PRICE, "", 0.0, DAY_H, round(float(rng.lognormal(0.0, 0.2)), 4))]
    spike, hour, factor = rng.random() < 0.3, float(rng.integers(0, 23)), float(rng.uniform(2.0, 5.0))
    return [*found, Event(PRICE, "", hour, hour + 2.0, round(factor, 4))] if spike else found


def _errors(_case: ScheduleCase, rng: np.random.Generator) -> list[Event]:
    return [Event(FORECAST, "", 0.0, DAY_H, round(float(2.0 ** rng.uniform(-1.0, 1.0)), 4))]


def _happens(
    kind: str, share: float, hours: tuple[int, int], among: Callable[[ScheduleCase], Sequence[str]]
) -> Callable[[ScheduleCase, np.random.Generator], list[Event]]:
    def draw(case: ScheduleCase, rng: np.random.Generator) -> list[Event]:
        names = among(case)
        happens, which = rng.random() < share, int(rng.integers(len(names)))
        first, lasts = float(rng.integers(0, 24)), float(rng.integers(hours[0], hours[1] + 1))
        return [Event(kind, names[which], first, min(first + lasts, DAY_H), 0.0)] if happens else []

    return draw


def _closed_branches(case: ScheduleCase) -> list[str]:
    return [name for name, end in zip(case.branch_ids, lower_ends(case), strict=True) if end >= 0]


def _speakers(case: ScheduleCase) -> list[str]:
    return sorted({asset.agg for asset in case.assets if asset.agg}) or [a.name for a in case.assets]


_DRAWS: dict[str, Callable[[ScheduleCase, np.random.Generator], list[Event]]] = {
    PRICE: _price, LOAD: _level(LOAD, 0.8, 1.2), SUN: _level(SUN, 0.3, 1.1), WIND: _level(WIND, 0.3, 1.1),
    LINE: _happens(LINE, 0.3, (1, 4), _closed_branches),
    ASSET: _happens(ASSET, 0.4, (2, 12), lambda case: [asset.name for asset in case.assets]),
    FORECAST: _errors, COMMUNICATION: _happens(COMMUNICATION, 0.3, (1, 6), _speakers),
}  # fmt: skip
