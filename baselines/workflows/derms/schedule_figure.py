"""der_schedule.png: power of the assets by kind with load and prices, and states of charge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ...jobs.pictures import new_figure, png

_INK, _PRICE = "#222222", "#D55E00"
_COLOURS = {
    "pv": "#E69F00", "wind": "#56B4E9", "battery": "#009E73", "ev": "#CC79A7", "flexible_load": "#0072B2",
    "generator": "#999999",
}  # fmt: skip
_OTHER = "#bbbbbb"
_LINES = 12


def schedule_png(tables: Mapping[str, pa.Table]) -> bytes:
    """Of the first day that has a schedule, as PNG with the same bytes every time."""
    figure = new_figure(10.0, 7.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1.0))
    network = tables["der_schedule_network"].to_pylist()
    day = network[0]["day"] if network else None
    rows = [row for row in tables["der_schedule"].to_pylist() if row["day"] == day]
    if not rows:
        top.set_title("No schedule keeps the limits", fontsize=10)
        top.set_axis_off()
        bottom.set_axis_off()
    else:
        _stack(top, rows, [row for row in network if row["day"] == day])
        _charge(bottom, rows)
    return png(figure)


def _stack(ax: Any, rows: list[dict[str, Any]], network: list[dict[str, Any]]) -> None:
    dt_h, steps = rows[0]["dt_h"], len(network)
    hours = np.arange(steps) * dt_h
    kinds = list(dict.fromkeys(row["asset_type"] or "other" for row in rows))
    up, down = np.zeros(steps), np.zeros(steps)
    for kind in kinds:
        p = np.zeros(steps)
        for row in rows:
            if (row["asset_type"] or "other") == kind:
                p[row["step"]] += row["p_mw"]
        colour = _COLOURS.get(kind, _OTHER)
        above, below = np.maximum(p, 0.0), np.minimum(p, 0.0)
        options = {"width": dt_h, "align": "edge", "color": colour, "linewidth": 0.0}
        ax.bar(hours, above, bottom=up, label=kind, **options)
        ax.bar(hours, below, bottom=down, **options)
        up, down = up + above, down + below
    for name, style in (("load_mw", "-"), ("head_mw", "--")):
        values = np.array([row[name] for row in network])
        ax.stairs(
            values,
            np.append(hours, hours[-1] + dt_h),
            color=_INK,
            linestyle=style,
            label=name[:-3],
            baseline=None,
        )
    ax.axhline(0.0, color=_INK, linewidth=0.6)
    ax.set_ylabel("MW (positive: fed in, load)")
    ax.set_title(f"day {network[0]['day']}: schedule", fontsize=10)
    ax.grid(alpha=0.3)
    price = ax.twinx()
    values = np.array([row["price_usd_mwh"] for row in network])
    price.stairs(values, np.append(hours, hours[-1] + dt_h), color=_PRICE, linewidth=1.0, baseline=None)
    price.set_ylabel("price, USD/MWh", color=_PRICE)
    ax.legend(frameon=False, ncols=4, fontsize=8, loc="upper left")


def _charge(ax: Any, rows: list[dict[str, Any]]) -> None:
    dt_h, drawn = rows[0]["dt_h"], 0
    for name in dict.fromkeys(row["asset_id"] for row in rows if row["soc"] is not None):
        if drawn == _LINES:
            break
        mine = [row for row in rows if row["asset_id"] == name]
        hours = [(row["step"] + 1) * dt_h for row in mine]
        ax.plot(hours, [100.0 * row["soc"] for row in mine], linewidth=1.0, label=name)
        drawn += 1
    ax.set(xlabel="hour of the day", ylabel="state of charge, %", ylim=(-2.0, 102.0), xlim=(0.0, 24.0))
    ax.grid(alpha=0.3)
    if drawn:
        ax.legend(frameon=False, ncols=4, fontsize=7)
