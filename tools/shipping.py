"""What the builders of shipped feeders share: the ladder of ratings, the ratings of open ties, writing.

Ratings that a source does not give are the smallest current of the ladder `LADDER_A` that the nominal load
fills to at most `LOADING`; an open tie gets the larger rating of the closed branches that it touches.
"""

from __future__ import annotations

import filecmp
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distgrid import cases

LOADING = 0.70  # of the rating, by the nominal load, at most
LADDER_A = (50, 75, 100, 125, 150, 200, 250, 300, 350, 400, 500, 600, 700, 800, 1000, 1200, 1500, 2000)


def with_open_ties(
    feeder: cases.Feeder, step: NDArray[np.intp], counted: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Steps of the ladder (n_branch,), those of open branches from the `counted` ones that they touch."""
    first, second = (feeder.column("branches", name) for name in ("from_node", "to_node"))
    ends = list(zip(first, second, strict=True))
    at_node: dict[str, int] = {}
    for k in np.flatnonzero(counted):
        for node in ends[k]:
            at_node[node] = max(at_node.get(node, 0), int(step[k]))
    told = step.copy()
    for k in np.flatnonzero(~feeder.column("branches", "status")):
        told[k] = max(at_node.get(node, 0) for node in ends[k])
    return told


def deliver(feeders: Iterable[cases.Feeder], out: Path, *, check: bool) -> int:
    """Write every feeder into its folder under `out`; with `check` compare the bytes instead.

    Returns:
        The exit status: 1 when a checked folder differs.
    """
    return min(sum([_differs(feeder, out) if check else _written(feeder, out) for feeder in feeders]), 1)


def _written(feeder: cases.Feeder, out: Path) -> int:
    print("wrote", feeder.save(out / feeder.name))
    return 0


def _differs(feeder: cases.Feeder, out: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        fresh = feeder.save(Path(folder) / feeder.name)
        files = [path.name for path in fresh.iterdir()]
        _, differ, missing = filecmp.cmpfiles(fresh, out / feeder.name, files, shallow=False)
    wrong = sorted(differ + missing)
    print(feeder.name, "differs: " + ", ".join(wrong) if wrong else "is the same")
    return int(bool(wrong))
