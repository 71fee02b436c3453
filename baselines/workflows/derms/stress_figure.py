"""stress.png: box plots of what scenarios did to each policy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ...jobs.pictures import new_figure, png
from ...optimal.scheduling.stress import MEASURES

_SHOWN = (
    "cost_usd",
    "curtailed_mwh",
    "violation_bus_h",
    "overload_branch_h",
    "unserved_mwh",
    "peak_import_mw",
)
_TITLES = {
    "cost_usd": "cost", "curtailed_mwh": "curtailed", "violation_bus_h": "bus-hours beyond the band",
    "overload_branch_h": "branch-hours overloaded", "unserved_mwh": "load without supply",
    "peak_import_mw": "highest import",
}  # fmt: skip
_INK, _FILL = "#0072B2", "#9ecae1"


def stress_png(results: pa.Table) -> bytes:
    """A panel for each of six measures, a box for each policy; the same bytes every time."""
    figure = new_figure(11.0, 6.5)
    names = np.array(results["policy"].to_pylist())
    policies = list(dict.fromkeys(names.tolist()))
    for ax, measure in zip(np.ravel(figure.subplots(2, 3)), _SHOWN, strict=True):
        values = results[measure].to_numpy()
        ax.boxplot(
            [values[names == policy] for policy in policies], tick_labels=policies, whis=(5, 95),
            patch_artist=True, boxprops={"facecolor": _FILL, "edgecolor": _INK},
            medianprops={"color": _INK, "linewidth": 1.5}, flierprops={"markersize": 3},
        )  # fmt: skip
        ax.set_title(f"{_TITLES[measure]}, {MEASURES[measure]}", fontsize=9)
        ax.tick_params(axis="x", rotation=30, labelsize=8)
        ax.grid(axis="y", alpha=0.3)
        if not values.any():
            ax.set_ylim(0.0, 1.0)
    n = len(set(results["scenario"].to_pylist()))
    figure.suptitle(f"{n} scenarios; whiskers from 5 % to 95 %", fontsize=10)
    return png(figure)
