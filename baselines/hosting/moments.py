"""When it is asked: one operating point, or the steps of days, with loads, sun, wind and cars of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.profiles import Profiles, assignment, load_profiles
from ...envs.core.columns import load_points
from ...envs.core.load_source import ProfileLoad
from ..errors import RunError
from .flows import Arguments, Flows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CHARGER_KW = 6.6  # of a car of the sessions that are shipped


@dataclass(frozen=True)
class Moments:
    """Loads of each moment, and the part of its rating that a plant of each profile has then.

    Attributes:
        step: (moments,) interval of the profiles' calendar; -1: the operating point of the feeder's tables.
        loads: Arguments of `physics.solve`, each (moments, ...).
        part: Profile name to (moments,).
    """

    step: IntArray
    loads: Arguments
    part: dict[str, FloatArray]

    def __len__(self) -> int:
        return int(self.step.size)

    def rows(self, at: IntArray) -> Arguments:
        """The loads of rows, by the moment of each."""
        return {name: value[at] for name, value in self.loads.items()}


def operating_point(flows: Flows, load_scale: float = 1.0) -> Moments:
    """The nominal loads of the feeder times a number; plants are at their full rating."""
    if not (np.isfinite(load_scale) and load_scale >= 0.0):
        raise RunError(f"load scale is {load_scale}: expected a finite number, 0 or more")
    net = flows.net
    names = {"p_mw": "load_p_mw", "q_mvar": "load_q_mvar"}
    if flows.per_phase:
        names |= {"p_delta_mw": "delta_p_mw", "q_delta_mvar": "delta_q_mvar"}
    loads = {name: load_scale * getattr(net, source)[None] for name, source in names.items()}
    always = np.ones(1)
    return Moments(np.array([-1]), loads, dict.fromkeys(("pv", "wind", "always", "ev", "load"), always))


def steps_of_days(
    flows: Flows, split: str, days: Sequence[int] | None = None, load_scale: float = 1.0,
    profiles: Profiles | None = None,
) -> Moments:  # fmt: skip
    """Every step of a split, or of some days of it: loads of the shipped year, sun, wind, cars, load.

    Args:
        flows: Of the feeder.
        split: "train", "val", "test" or a suite.
        days: Of the split, by their numbers; None: all.
        load_scale: Of all loads.
        profiles: None: the shipped year.

    Raises:
        ValueError: an unknown split, or a day that it has not.
    """
    year = load_profiles() if profiles is None else profiles
    have = year.split_days(split).tolist()
    chosen = have if days is None else [int(day) for day in days]
    foreign = [day for day in chosen if day not in have]
    if foreign or not chosen:
        raise RunError(f"day {foreign[0] if foreign else '(none)'} is not one of split {split!r}")
    per_day = year.steps_per_day
    steps = np.concatenate([np.arange(day * per_day, (day + 1) * per_day) for day in chosen])
    return at_steps(flows, steps, load_scale, year)


def at_steps(
    flows: Flows, steps: IntArray, load_scale: float = 1.0, profiles: Profiles | None = None
) -> Moments:
    """Some intervals of the year: loads, sun, wind, cars, load.

    Args:
        flows: Of the feeder.
        steps: (moments,) of the year.
        load_scale: Of all loads.
        profiles: None: the shipped year.
    """
    year = load_profiles() if profiles is None else profiles
    p, q = _load_points(flows.feeder, year, steps)
    loads = placed_loads(flows, load_scale * p, load_scale * q)
    load = year.load_p[steps].mean(axis=1) / year.load_p.mean(axis=1).max()
    part = {
        "pv": year.pv[steps].max(axis=1) if year.has("pv") else np.ones(steps.size),
        "wind": year.wind[steps].max(axis=1) if year.has("wind") else np.ones(steps.size),
        "always": np.ones(steps.size),
        "ev": charging(year)[steps],
        "load": load,
    }
    return Moments(steps, loads, part)


def _load_points(feeder: Feeder, year: Profiles, steps: IntArray) -> tuple[FloatArray, FloatArray]:
    source = ProfileLoad(feeder, assignment(feeder), year)
    p, q = (np.empty((steps.size, source.s_max_mva.size)) for _ in range(2))
    source.fill(steps, p, q)
    return p, q


def placed_loads(flows: Flows, p: FloatArray, q: FloatArray) -> Arguments:
    """Loads of points as arguments of the power flow."""
    if not flows.per_phase:
        return {"p_mw": p, "q_mvar": q}
    n = len(flows.node_ids)
    slot = load_points(flows.feeder).slot
    found = {}
    for name, values in (("p", p), ("q", q)):
        flat = np.zeros((len(values), 6 * n))
        flat[:, slot] = values
        unit = "mw" if name == "p" else "mvar"
        found[f"{name}_{unit}"] = flat[:, : 3 * n].reshape(-1, n, 3)
        found[f"{name}_delta_{unit}"] = flat[:, 3 * n :].reshape(-1, n, 3)
    return found


def charging(year: Profiles) -> FloatArray:
    """(n_steps,) power of all cars of the shipped sessions, each charged at once, over its largest."""
    return year.kept("hosting charging", lambda: _charging(year))


def _charging(year: Profiles) -> FloatArray:
    sessions = year.ev_sessions
    day, arrival, energy = (sessions[name].to_numpy() for name in ("day", "arrival_h", "del_kwh"))
    first = 24.0 * day + arrival
    last = first + energy / _CHARGER_KW
    edge = year.dt_h * np.arange(year.n_steps + 1)
    begun = np.searchsorted(np.sort(first), edge)
    ended = np.searchsorted(np.sort(last), edge)
    busy = (begun - ended)[1:].astype(np.float64)
    return np.asarray(busy / max(busy.max(), 1.0))
