"""Hosting capacity as people find it by hand: one bus after another, one power flow after another."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from ....cases import Feeder
from ...hosting.capacity import HostingStudy, Settings
from ...hosting.limits import WORSE
from ...hosting.siting import Sites
from ..problems.balanced import problem
from .balanced_peers import pandapower_net

LONE = "distgrid, bisection bus by bus"
ALONE = "distgrid, one candidate after another"
PANDAPOWER = "pandapower runpp, bisection bus by bus"

#: MW and number of power flows of a candidate.
Alone = Callable[[int], tuple[float, int]]


def plain_bisection(
    kept: Callable[[float], bool], first_mw: float, largest_mw: float, tol_mw: float
) -> tuple[float, int]:
    """Doubled from a small size until a limit is passed, then halved: the size, and how often was asked."""
    low, high, asked = 0.0, first_mw, 1
    while kept(high):
        if high >= largest_mw:
            return high, asked
        low, high, asked = high, min(2.0 * high, largest_mw), asked + 1
    while high - low > tol_mw:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if kept(middle) else (low, middle)
        asked += 1
    return low, asked


def bisected(study: HostingStudy, sites: Sites) -> Alone:
    """Our own power flows, one row each, of a study whose controls are held; all of its limits."""

    def alone(candidate: int) -> tuple[float, int]:
        row = np.array([candidate * study.n_bases])

        def kept(size: float) -> bool:
            for judge in study.judges:
                shown = study.evaluate(judge, sites, row, np.array([size]))
                bounds = study.bounds_of(judge, sites, row).bounds
                if not (shown.found[0] and bounds.kept(shown.x)[0]):
                    return False
            return True

        return plain_bisection(kept, study.max_mw / 256.0, study.max_mw, study.settings.tol_mw)

    return alone


def searched(study: HostingStudy, sites: Sites) -> Alone:
    """The search of the batch itself, one candidate at a time."""

    def alone(candidate: int) -> tuple[float, int]:
        found = study.capacities(sites.part(slice(candidate, candidate + 1)))
        return float(found.max_mw[0]), int(found.power_flows[0])

    return alone


def pandapower_bisected(feeder: Feeder, settings: Settings, sites: Sites, largest_mw: float) -> Alone:
    """pandapower with Numba from a flat start: voltage band, deviation, and |S| of both ends by the rating;
    what the feeder passes by itself may get no worse.

    ValueError for feeders that not every program models the same way, see `problems.balanced.problem`.
    """
    one = problem(feeder)
    net, pp = pandapower_net(one), import_module("pandapower")
    plant = pp.create_sgen(net, one.source, 0.0)
    low, high = settings.limits.band(feeder)
    share = 1.0 - float(settings.limits.thermal_margin or 0.0)
    most = share * np.where(np.isfinite(one.net.rating_mva), one.net.rating_mva, np.inf)[one.net.closed]
    before, flowing = _run(pp, net)
    low, high = np.minimum(low, before - WORSE), np.maximum(high, before + WORSE)
    most = np.maximum(most, flowing * (1.0 + WORSE))
    moves = np.inf if settings.limits.voltage_deviation is None else settings.limits.voltage_deviation

    def alone(candidate: int) -> tuple[float, int]:
        net.sgen.loc[plant, "bus"] = feeder.node_index[sites.name[candidate]]

        def kept(size: float) -> bool:
            net.sgen.loc[plant, "p_mw"] = size
            try:
                v, s = _run(pp, net)
            except pp.powerflow.LoadflowNotConverged:
                return False
            inside = (v <= high).all() and (v >= low).all() and (np.abs(v - before) <= moves).all()
            return bool(inside and (s <= most).all())

        return plain_bisection(kept, largest_mw / 256.0, largest_mw, settings.tol_mw)

    return alone


def _run(pp: Any, net: Any) -> tuple[Any, Any]:
    """Voltages of buses, and the larger apparent power of both ends of each line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pp.runpp(net, algorithm="nr", init="flat", numba=True, lightsim2grid=False, tolerance_mva=1e-8)
    line = net.res_line
    ends = (np.hypot(line[f"p_{end}_mw"], line[f"q_{end}_mvar"]) for end in ("from", "to"))
    return net.res_bus.vm_pu.to_numpy().copy(), np.maximum(*(end.to_numpy() for end in ends))
