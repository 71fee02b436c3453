"""curves.png: what the days of val brought, over the steps of the training, seed by seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..jobs.pictures import new_figure, png
from ..scoring.summary import interquartile_mean


def curves_png(curve: pa.Table, title: str) -> bytes:
    """A picture of a table `tables.CURVE`: a thin line for each seed, a thick one for their middle."""
    rows = curve.to_pylist()
    figure = new_figure(6.4, 4.0)
    ax = figure.add_subplot()
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    lines = {seed: [(r["steps"], r["val_return"]) for r in rows if r["seed"] == seed] for seed in seeds}
    for line in lines.values():
        ax.plot(*zip(*line, strict=True), color="#9bb7d4", linewidth=0.9)
    shared = [steps for steps, _ in lines[seeds[0]]]
    if all([steps for steps, _ in line] == shared for line in lines.values()):
        middle = [interquartile_mean(np.array(values)) for values in _by_step(lines)]
        label = "interquartile mean of the seeds" if len(seeds) > 1 else "one seed"
        ax.plot(shared, middle, color="#1f4e8c", linewidth=2.0, label=label)
    rest = rows[0]["val_do_nothing"]
    ax.axhline(rest, color="#888888", linestyle="--", linewidth=1.0, label="do nothing")
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel("environment steps")
    ax.set_ylabel("mean return on val days")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return png(figure)


def _by_step(lines: dict[int, list[tuple[int, float]]]) -> list[tuple[float, ...]]:
    """Values of all seeds at each look."""
    return list(zip(*([value for _, value in line] for line in lines.values()), strict=True))
