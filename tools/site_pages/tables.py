"""Tables of what a live environment has: observations, actions, devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distgrid.envs.core.ladder import LEVELS

from .markdown import number, span, table

#: What an entry of the action drives, where its word alone does not say it.
QUANTITIES = {
    "p": "active power",
    "q": "reactive power",
    "tap": "tap position",
    "on": "on or off",
}


def observation_table(env: Any, prefix: str = "") -> str:
    """One line for each block of the observation whose name begins with `prefix`."""
    described = env.layout.describe()
    rows = []
    for name, where in env.layout.items():
        if not name.startswith(prefix):
            continue
        block = described[where]
        units = ", ".join(sorted({row.unit for row in block}))
        low, high = span(row.low for row in block), span(row.high for row in block)
        first, last = block[0].name, block[-1].name
        names = f"`{first}`" if first == last else f"`{first}` … `{last}`"
        index = f"{where.start}" if len(block) == 1 else f"{where.start}–{where.stop - 1}"
        times = ", ".join(dict.fromkeys(row.time for row in block))
        rows.append((index, f"`{name}`", env.layout.blocks[name].meaning, times, names, units, low, high))
    return table(("Index", "Block", "Meaning", "Of when", "Entries", "Unit", "Low", "High"), rows)


def level_table(of_level: Callable[[str], Any]) -> str:
    """What an environment shows at each level of observation, and of when it is.

    Args:
        of_level: makes the environment with a value of ``observation``; it is closed here.
    """
    rows = []
    for level in LEVELS:
        env = of_level(level)
        times: dict[str, list[str]] = {"now": [], "coming": [], "last": [], "ahead": []}
        for name, where in env.layout.items():
            first = env.layout.describe()[where][0].time.partition(" ")[0]
            kind = first if first in times else "ahead"
            times[kind].append(f"`{name}`")
        told = [", ".join(times[kind]) or "–" for kind in ("coming", "now", "last", "ahead")]
        rows.append((f"`{level}`", env.layout.size, *told))
        env.close()
    header = (
        "`observation=`",
        "Entries",
        "Of the interval that is decided",
        "Now",
        "Of the last interval",
        "Ahead",
    )
    return table(header, rows)


def action_table(env: Any) -> str:
    """One line for each dimension of the action."""
    neutral = env.scenario.neutral_action
    rows = [
        (
            dim.index,
            f"`{dim.name}`",
            dim.bus,
            QUANTITIES.get(dim.quantity, dim.quantity),
            -1,
            1,
            number(neutral[dim.index]),
        )
        for dim in env.action_layout
    ]
    return table(("Index", "Name", "Bus", "Controls", "Low", "High", "Neutral"), rows)


def device_table(env: Any) -> str:
    """One line for each unit of the fleet, with its ratings."""
    if not env.units:
        return "None: attach your own with `resources=` or `register_resource`.\n"
    rows = []
    for u in env.units:
        ratings = [number(x) for x in (u.p_mw, u.s_mva, u.q_max_mvar)] if u.s_mva else ["–"] * 3
        energy = number(u.energy_mwh) if u.energy_mwh else "–"
        rows.append((u.name, u.bus, u.phase, *ratings, energy))
    return table(("Device", "Bus", "Phase", "P, MW", "S, MVA", "Largest Q, MVAr", "Energy, MWh"), rows)


def band(env: Any) -> str:
    """The voltage limits in words."""
    if env.task.v_band is None:
        return "Voltages are judged against the limits of the feeder's nodes."
    low, high = env.task.v_band
    return f"Voltages are judged against {low} to {high} pu."
