"""The picture of certificates: every day's rule, best known value and bound."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..jobs.pictures import new_figure, png

_RULE, _KNOWN, _BOUND = "#8a8a8a", "#0072B2", "#D55E00"


def brackets_png(certificates: pa.Table, title: str) -> bytes:
    """Shares of what the best known plan gains over doing nothing, day by day, as PNG."""
    columns = {name: certificates[name].to_numpy(zero_copy_only=False) for name in certificates.column_names}
    gained = columns["best_known"] - columns["do_nothing"]
    scale = np.where(gained > 0.0, gained, np.nan)
    place = np.arange(certificates.num_rows)
    figure = new_figure(9.0, 4.5)
    top, bottom = figure.subplots(2, 1, sharex=True)
    rule = (columns["best_rule_return"].astype(float) - columns["do_nothing"]) / scale
    top.bar(place, rule, color=_RULE, label="best rule of the day")
    top.axhline(1.0, color=_KNOWN, label="best known (AC replay)")
    top.axhline(0.0, color="#222222", linewidth=0.8)
    top.set(ylabel="share of the gain", title=title)
    top.set_ylim(top=1.35)
    top.legend(loc="upper right", fontsize="small", ncols=2)
    gap = columns["gap"].astype(float)
    bottom.bar(place, 100.0 * np.nan_to_num(gap, nan=0.0, posinf=0.0), color=_BOUND)
    bottom.set(ylabel="bound above best known,\n% of the gain", xlabel="day of the split")
    if np.isnan(gap).all():
        bottom.text(0.5, 0.5, "no bound is proved", transform=bottom.transAxes, ha="center", va="center")
    bottom.set_xticks(place[:: max(len(place) // 12, 1)])
    bottom.set_xticklabels([str(day) for day in columns["day"][:: max(len(place) // 12, 1)]])
    return png(figure)
