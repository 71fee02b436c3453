"""The check of a batch of actions, compiled."""

from __future__ import annotations

from ...physics.numba_tools.jit import kernel


@kernel
def first_bad(action, tolerance):  # type: ignore[no-untyped-def]
    """Flat index of the first entry that is not in [-1, 1]; -1 where all are. Clips within the tolerance."""
    flat = action.reshape(-1)
    for i in range(flat.size):
        a = flat[i]
        if not -1.0 <= a <= 1.0:
            if not -1.0 - tolerance <= a <= 1.0 + tolerance:
                return i
            flat[i] = min(max(a, -1.0), 1.0)
    return -1
