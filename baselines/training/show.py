"""What a person sees of trainings in the terminal."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from rich.table import Table


def seeds_table(episodes: pa.Table, title: str) -> Table:
    """Mean returns by seed and split of a table `tables.EPISODES`, and the mean normalised score."""
    rows = episodes.to_pylist()
    table = Table(title=title, title_justify="left")
    for name in ("Seed", "Val return", "Do nothing", "Test return", "Do nothing", "Normalised score"):
        table.add_column(name, justify="right")
    for seed in dict.fromkeys(row["seed"] for row in rows):
        cells = [str(seed)]
        for split in ("val", "test"):
            own = [row for row in rows if (row["seed"], row["split"]) == (seed, split)]
            cells += [f"{np.mean([row[name] for row in own]):,.2f}" for name in ("return", "do_nothing")]
        scores = [row["normalised_score"] for row in own if row["normalised_score"] is not None]
        table.add_row(*cells, f"{np.mean(scores):.3f}" if scores else "–")
    return table
