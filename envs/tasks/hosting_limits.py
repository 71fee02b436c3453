"""What a step that connects new generation must keep: limits that bind where it makes things worse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kernels.hosting import worsened_rows

if TYPE_CHECKING:
    from .base import StepView

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: How far a voltage may move (PNNL i2x, ``defaults.json``: vdiff 3 %), and the most loading, of the rating.
DEVIATION_PU, MOST_LOADING = 0.03, 1.0


def violates(view: StepView, deviation_pu: float, most_loading: float) -> BoolArray:
    """(batch,) whether a limit is violated that was not when the episode opened, or is worse than then.

    Limits are those of voltages, ``most_loading`` times the ratings, and ``deviation_pu`` of every voltage
    from what it was. As in California's integration capacity analysis, and PNNL's i2x, a limit that was
    violated before any of it binds only where new generation makes it worse.
    """
    opened, out = view.opened, np.empty(len(view.v_pu), dtype=np.bool_)
    worsened_rows(
        view.v_pu, view.loading, opened.v_pu, opened.loading, opened.v_min, opened.v_max, deviation_pu,
        most_loading, out,
    )  # fmt: skip
    return out


def refused_mw(view: StepView, deviation_pu: float, most_loading: float) -> FloatArray:
    """(batch,) MW newly connected where a limit is violated, else 0."""
    return np.where(violates(view, deviation_pu, most_loading), view.account("connected_mw"), 0.0)
