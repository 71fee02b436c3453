"""The circle of apparent power, P^2 + Q^2 <= S^2: what one of the two leaves for the other."""

from __future__ import annotations

from math import sqrt

from ...physics.numba_tools.jit import inline


@inline
def left_beside(ask: float, other: float, s_max: float) -> float:
    """What of `ask`, of either sign, the circle has room for beside `other`."""
    room = sqrt(max(s_max * s_max - other * other, 0.0))
    return min(max(ask, -room), room)


@inline
def within_circle(p, q, s_max, reactive_first):  # type: ignore[no-untyped-def]
    """P, 0 or more, and Q inside the circle: Q is kept and P yields, or the other way round."""
    if reactive_first:
        return min(p, sqrt(max(s_max * s_max - q * q, 0.0))), q
    return p, left_beside(q, p, s_max)
