"""What may be said of a plan, and which of two is the better one: by its replay's limits and its bound."""

from __future__ import annotations

#: A replay is that of the plan up to so many pu, and its limits are kept up to so much of their own unit.
REPLAY_PU = 1e-6
KEPT = 1e-6
_LEAST_SCALE = 0.01  # relative gaps are of the value, and of no less than this


def allowed_gap(value: float, tolerance: float) -> float:
    """The gap that a relative tolerance allows at a value."""
    return tolerance * max(abs(value), _LEAST_SCALE)


def status_of(violation: float, gap: float, bound: float, tolerance: float) -> str:
    """Say "inexact" of broken limits, "optimal" within the tolerance of the bound, else "feasible"."""
    if violation > KEPT:
        return "inexact"
    return "optimal" if gap <= allowed_gap(bound, tolerance) else "feasible"


def better(second: tuple[float, float], first: tuple[float, float]) -> bool:
    """Whether a (violation, gap) is nearer to the bound, or keeps limits that the other breaks."""
    kept = [violation <= KEPT for violation, _ in (first, second)]
    return second[1] < first[1] if kept[0] == kept[1] else kept[1]
