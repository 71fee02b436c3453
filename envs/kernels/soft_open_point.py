"""Two converters back to back, between two buses."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.jit import lean_kernel
from .circle import left_beside

Floats = NDArray[np.float64]


@lean_kernel
def soft_open_advance(
    action: Floats,  # (batch, 3 links) p, q at the first end, q at the second
    s_max: Floats,  # (links,) MVA of each converter
    loss: Floats,  # (links,) MW lost in a converter for each MVA that it passes
    p: Floats,  # (batch, 2 links) MW, first and second end of each link, out
    q: Floats,  # (batch, 2 links) MVAr, out
) -> None:
    """One interval of every link: what crosses the DC side is `p` times the most that both ends can pass.

    Each converter loses `loss * |S|`, which comes off what it gives to its bus: P + loss * sqrt(P^2 + Q^2) is
    the power at its DC side, solved for P. P goes first; Q is cut to what leaves |S| within `s_max`.
    """
    for b in range(action.shape[0]):
        for k in range(s_max.shape[0]):
            s, rest = s_max[k], 1.0 - loss[k] * loss[k]
            across = min(max(action[b, 3 * k], -1.0), 1.0) * (1.0 - loss[k]) * s
            for end in range(2):
                dc = across if end == 0 else -across
                at_rating = dc - loss[k] * s  # P where |S| is s
                ask = min(max(action[b, 3 * k + 1 + end], -1.0), 1.0) * s
                ask = left_beside(ask, at_rating, s)
                p[b, 2 * k + end] = (dc - loss[k] * sqrt(dc * dc + rest * ask * ask)) / rest
                q[b, 2 * k + end] = ask
