"""The best of AC local optima from several starts: what is reached where the problem has many valleys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import physics
from .affine import FloatArray
from .local import LocalOptimum, local_optimum
from .units import Unit
from .verdict import better

_DRAWN, _SEED = 3, 0


def spread_starts(units: Sequence[Unit]) -> FloatArray:
    """(starts, 2, n_unit) P and Q: nothing, the ends and the middle of all boxes, and some drawn within them.

    The same each time. Ends are those of P with Q in the middle: all feed in what they can, or draw it.
    """
    low = np.array([[u.p_min_mw for u in units], [u.q_min_mvar for u in units]]).reshape(2, -1)
    high = np.array([[u.p_max_mw for u in units], [u.q_max_mvar for u in units]]).reshape(2, -1)
    middle = 0.5 * (low + high)
    most, least = middle.copy(), middle.copy()
    most[0], least[0] = high[0], low[0]
    share = np.random.default_rng(_SEED).random((_DRAWN, 2, len(units)))
    return np.concatenate([[np.zeros_like(middle), most, middle, least], low + share * (high - low)])


def best_local_optimum(
    net: physics.Network,
    units: Sequence[Unit],
    *,
    starts: Sequence[tuple[FloatArray, FloatArray]] = (),
    **asked: Any,
) -> LocalOptimum:
    """The best of the local optima of one operating point from `spread_starts`, and from ``starts``.

    All are solved as rows of one batch.

    Args:
        net: As `local_optimum` takes it.
        units: What is dispatched.
        starts: P and Q of units, (n_unit,), to begin from besides.
        **asked: Arguments of `local_optimum` but ``start``; loads (n_bus,).

    Raises:
        RunError: as `local_optimum`.
    """
    every = np.concatenate(
        [np.array(starts, dtype=np.float64).reshape(-1, 2, len(units)), spread_starts(units)]
    )
    rows = dict(asked)
    for name, stored in (("p_mw", net.load_p_mw), ("q_mvar", net.load_q_mvar)):
        one = stored if asked.get(name) is None else np.asarray(asked[name], dtype=np.float64)
        rows[name] = np.broadcast_to(one, (len(every), *np.shape(one)))
    found = local_optimum(net, units, start=(every[:, 0], every[:, 1]), **rows)
    sign = -1.0 if asked.get("objective") == "host" else 1.0
    best = 0
    for k in range(1, len(every)):
        told = [(float(found.violation[i]), sign * float(found.objective[i])) for i in (k, best)]
        best = k if better(told[0], told[1]) else best
    return local_optimum(net, units, start=(found.p_mw[best], found.q_mvar[best]), **asked)
