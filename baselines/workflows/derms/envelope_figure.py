"""der_envelopes.png: P-Q polygons of regions, and operating limits of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ...jobs.pictures import new_figure, png

_INK, _MOST = "#222222", 24
_EXPORT, _IMPORT = "#D55E00", "#0072B2"


def envelope_png(title: str, tables: Mapping[str, pa.Table]) -> bytes:
    """As PNG with the same bytes every time."""
    customers = tables.get("der_operating_envelopes")
    shown = customers is not None and customers.num_rows > 0
    figure = new_figure(11.0 if shown else 7.0, 5.4)
    axes = figure.subplots(1, 2 if shown else 1, squeeze=False)[0]
    _regions(figure, axes[0], title, tables)
    if customers is not None and shown:
        _limits(axes[1], customers)
    return png(figure)


def _regions(figure: Any, ax: Any, title: str, tables: Mapping[str, pa.Table]) -> None:
    """One group: a polygon for each step. Several: those of the first step that has any."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Polygon, Rectangle

    rows = tables["der_envelopes"].to_pylist()
    names = list(dict.fromkeys(row["region"] for row in rows))
    by_step = len(names) <= 1
    if not by_step:
        rows = [row for row in rows if row["step"] == rows[0]["step"]]
    polygons: dict[Any, list[tuple[float, float]]] = {}
    for row in rows:
        key = row["step"] if by_step else row["region"]
        polygons.setdefault(key, []).append((row["p_mw"], row["q_mvar"]))
    colours = colormaps["viridis"](np.linspace(0.0, 0.95, max(len(polygons), 1)))
    for (key, corners), colour in zip(polygons.items(), colours, strict=False):
        ax.add_patch(Polygon(corners, closed=True, fill=False, edgecolor=colour, linewidth=1.3,
                             label=None if by_step else str(key)))  # fmt: skip
        ax.plot(*np.array(corners).T, ".", markersize=2.5, color=colour)
    if len(polygons) == 1:
        for row in tables["der_envelope_boxes"].to_pylist():
            width, height = row["p_max_mw"] - row["p_min_mw"], row["q_max_mvar"] - row["q_min_mvar"]
            style = "--" if row["box"] == "outer" else ":"
            box = Rectangle(
                (row["p_min_mw"], row["q_min_mvar"]), width, height, fill=False, linestyle=style,
                edgecolor=_INK, linewidth=0.8, label=f"{row['box']} box",
            )  # fmt: skip
            ax.add_patch(box)
    head = bool(rows) and rows[0]["seen_at"] == "head"
    side = "that arrives at the head" if head else "fed in"
    ax.set(xlabel=f"P {side}, MW", ylabel=f"Q {side}, Mvar")
    ax.set_title(title if rows else f"{title}: no group keeps the limits", fontsize=10)
    ax.autoscale_view()
    ax.grid(alpha=0.3)
    if by_step and len(polygons) > 1:
        steps = list(polygons)
        scale = ScalarMappable(Normalize(steps[0], steps[-1]), "viridis")
        figure.colorbar(scale, ax=ax, label="step of the day")
    elif 0 < len(ax.get_legend_handles_labels()[0]) <= _MOST:
        ax.legend(frameon=False, fontsize=8)


def _limits(ax: Any, customers: pa.Table) -> None:
    """Range of limits over steps, by customer."""
    names = list(dict.fromkeys(customers["customer"].to_pylist()))
    place = {name: k for k, name in enumerate(names)}
    at = np.array([place[name] for name in customers["customer"].to_pylist()])
    for column, colour, word, sign in (
        ("opModExpLimW", _EXPORT, "export", 1.0), ("opModImpLimW", _IMPORT, "import", -1.0)
    ):  # fmt: skip
        kw = sign * 1e-3 * customers[column].to_numpy()
        low, high = (np.array([f(kw[at == k]) for k in range(len(names))]) for f in (np.min, np.max))
        ax.vlines(np.arange(len(names)), low, high, color=colour, linewidth=2.0, label=word)
        ax.scatter(at, kw, s=6, color=colour)
    ax.axhline(0.0, color=_INK, linewidth=0.6)
    ax.set(xlabel="customer", ylabel="limit at the connection point, kW (export above 0)")
    ax.set_title("Operating envelopes", fontsize=10)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
