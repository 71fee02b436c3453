"""The picture of a Volt/VAR plan: each device's setting over load and sun, and what the plan brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...jobs.pictures import new_figure, png
from ...optimal.volt_var.curves import STEEPEST
from ...optimal.volt_var.study import VoltVarStudy
from .vvo_tables import BANK, CURVE, INVERTER, LEVEL, TAP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_COLOURS = ("#8a8a8a", "#0072B2", "#D55E00", "#009E73")
_MEANS = {INVERTER: "inverters, mean Q", CURVE: "inverters, mean slope"}
_DARK = 0.75  # share of the largest setting from which a field is dark


def vvo_png(study: VoltVarStudy, tables: Mapping[str, pa.Table]) -> bytes:
    """Maps of tap positions, of banks and of the mean share of the inverters; bars of strategies; as PNG."""
    maps = _maps(tables["vvo_settings"])
    rows = -(-len(maps) // _COLUMNS)
    figure = new_figure(12.0, 2.6 * rows + 3.0)
    parts: Any = figure.subfigures(2, 1, height_ratios=(2.6 * rows, 3.0))
    upper, lower = parts
    axes = np.atleast_1d(upper.subplots(rows, _COLUMNS, squeeze=False)).reshape(-1)
    for ax in axes[len(maps) :]:
        ax.set_axis_off()
    for ax, (title, kind, load, sun, values) in zip(axes, maps, strict=False):
        _map(ax, title, kind, (load, sun), values)
    upper.suptitle(f"{study.feeder.name}: settings for least {_aim(study.objective)}", fontsize=11)
    _bars(lower.subplots(1, 3), tables["vvo_performance"])
    return png(figure)


def _aim(objective: str) -> str:
    return {"loss": "losses", "cvr": "power from upstream", "voltage": "distance from 1 pu"}[objective]


def _maps(settings: pa.Table) -> list[tuple[str, str, Any, Any, Any]]:
    """(title, kind, load levels, sun levels, values (sun, load)) of each device, inverters as their mean."""
    rows = [row for row in settings.to_pylist() if row["scope"] == LEVEL]
    load, sun = (sorted({row[name] for row in rows}) for name in ("load_level", "pv_level"))
    found: dict[str, tuple[str, Any]] = {}
    count: dict[str, int] = {}
    for row in rows:
        title = _MEANS.get(row["kind"], str(row["device_id"]))
        kind, values = found.setdefault(title, (row["kind"], np.zeros((len(sun), len(load)))))
        values[sun.index(row["pv_level"]), load.index(row["load_level"])] += row["setting"]
        count[title] = count.get(title, 0) + (kind in _MEANS)
    return [
        (title, kind, load, sun, values * values.size / max(count[title], values.size))
        for title, (kind, values) in found.items()
    ]


def _map(ax: Axes, title: str, kind: str, levels: tuple[Any, Any], values: Any) -> None:
    load, sun = levels
    most = {TAP: 16.0, BANK: 1.0, INVERTER: 1.0, CURVE: STEEPEST}[kind]
    ax.imshow(values, origin="lower", aspect="auto", cmap="PuOr", vmin=-1.4 * most, vmax=1.4 * most)
    for (y, x), value in np.ndenumerate(values):
        text = {
            TAP: f"{value:+.0f}", BANK: "on" if value else "off", INVERTER: f"{100 * value:+.0f} %",
            CURVE: f"{value:.1f}",
        }[kind]  # fmt: skip
        ink = "white" if abs(value) > _DARK * most else "black"
        ax.text(x, y, text, ha="center", va="center", fontsize=8, color=ink)
    ax.set_xticks(range(len(load)), [f"{level:g}" for level in load], fontsize=7)
    ax.set_yticks(range(len(sun)), [f"{level:g}" for level in sun], fontsize=7)
    ax.set_title(f"{title} ({kind})" if kind not in _MEANS else title, fontsize=8)
    ax.set_xlabel("load", fontsize=7)
    ax.set_ylabel("PV", fontsize=7)


def _bars(axes: Any, performance: pa.Table) -> None:
    rows = [row for row in performance.to_pylist() if row["day"] is None]
    names = [row["strategy"] for row in rows]
    colours = _COLOURS[: len(rows)]
    for ax, column, label in zip(
        axes, ("loss_mwh", "head_mwh", "tap_steps"), ("losses, MWh", "from upstream, MWh", "tap steps"),
        strict=True,
    ):  # fmt: skip
        ax.barh(names, [row[column] for row in rows], color=colours)
        ax.invert_yaxis()
        ax.tick_params(labelsize=7)
        ax.set_xlabel(label, fontsize=8)
