"""One round on the way to where the powers of devices and the voltages that rule them agree, row by row.

A row is solved with powers x, its devices answer F(x) to the voltages found, and it rests where F(x) = x.
The next x is that of Anderson's method (type II: of the last steps, the mixture whose answers differ least)
with damping; where that leads astray, the row goes back to its best x and starts anew with half the damping,
so that in the end it is a damped iteration. Rows never mix.

Source: D. G. Anderson, Iterative procedures for nonlinear integral equations, J. ACM 12 (1965); H. F. Walker
and P. Ni, Anderson acceleration for fixed-point iterations, SIAM J. Numer. Anal. 49 (2011).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from ...physics.numba_tools.jit import inline

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Where a row is: it looks on, it was given its last powers and is solved with them, it is done.
SEEKS, ENDS, DONE = range(3)

MEMORY = 4  # steps that are mixed
_ASTRAY = 3.0  # times the best difference
_LEAST_DAMPING = 1.0 / 64.0
_ROUNDING = 1e-13  # of the squares: below this, steps are no longer told from each other


class Trail(NamedTuple):
    """What rows remember while they settle; x are active powers, then reactive, of n units."""

    phase: Ints  # (batch,)
    known: Ints  # (batch,) steps taken since the trail began, of which the last are remembered
    damping: Floats  # (batch,)
    best: Floats  # (batch,) least difference so far
    x: Floats  # (batch, 2 n) powers that the row was solved with, MW and MVAr
    x_best: Floats  # (batch, 2 n)
    r_best: Floats  # (batch, 2 n)
    r: Floats  # (batch, 2 n) of the round before
    steps: Floats  # (batch, MEMORY, 2 n) differences of x of successive rounds
    turns: Floats  # (batch, MEMORY, 2 n) differences of the answers
    system: Floats  # (MEMORY, MEMORY + 1) room for work
    missed: NDArray[np.bool_]  # (batch, n) whose answer is another than its power, in the end


@inline
def _equations(m, turns, r, scale, system):  # type: ignore[no-untyped-def]
    """Normal equations of the mixture of the last `m` turns that comes nearest to `r`, into `system`."""
    largest = 0.0
    for i in range(m):
        for j in range(i + 1):
            total = 0.0
            for d in range(r.size):
                total += turns[i, d] * turns[j, d] * scale[d] * scale[d]
            system[i, j] = system[j, i] = total
        largest = max(largest, system[i, i])
        total = 0.0
        for d in range(r.size):
            total += turns[i, d] * r[d] * scale[d] * scale[d]
        system[i, m] = total
    for i in range(m):
        system[i, i] += _ROUNDING * largest


@inline
def _eliminate(m, system):  # type: ignore[no-untyped-def]
    """Solve a positive definite system (no search for pivots) into its last column; False: it is none."""
    for i in range(m):
        if not system[i, i] > 0.0:
            return False
        for k in range(i + 1, m):
            factor = system[k, i] / system[i, i]
            for j in range(i, m + 1):
                system[k, j] -= factor * system[i, j]
    for i in range(m - 1, -1, -1):
        total = system[i, m]
        for j in range(i + 1, m):
            total -= system[i, j] * system[j, m]
        system[i, m] = total / system[i, i]
    return True


@inline
def _difference(x, r, scale):  # type: ignore[no-untyped-def]
    """Answers less powers, in place of the answers; returns the largest."""
    worst = 0.0
    for d in range(r.size):
        r[d] -= x[d]
        worst = max(worst, abs(r[d]) * scale[d])
    return worst


@inline
def _take_over(b, trail, r, scale, tolerance):  # type: ignore[no-untyped-def]
    """The answers are the last powers; who still differs is noted."""
    n = r.size // 2
    trail.phase[b] = ENDS
    for u in range(n):
        off = max(abs(r[u]) * scale[u], abs(r[n + u]) * scale[n + u])
        trail.missed[b, u] = not off <= tolerance
    for d in range(r.size):
        trail.x[b, d] += r[d]


@inline
def _remember(b, trail, r, worst):  # type: ignore[no-untyped-def]
    """What the last step has changed; where it led astray, the row is back at its best powers."""
    if trail.known[b] > 0:
        slot = (trail.known[b] - 1) % MEMORY
        for d in range(r.size):
            trail.turns[b, slot, d] = r[d] - trail.r[b, d]
    if worst < trail.best[b]:
        trail.best[b] = worst
        for d in range(r.size):
            trail.x_best[b, d], trail.r_best[b, d] = trail.x[b, d], r[d]
    elif worst > _ASTRAY * trail.best[b]:
        trail.known[b] = 0
        trail.damping[b] = max(0.5 * trail.damping[b], _LEAST_DAMPING)
        for d in range(r.size):
            trail.x[b, d], r[d] = trail.x_best[b, d], trail.r_best[b, d]


@inline
def _step(b, trail, r, scale):  # type: ignore[no-untyped-def]
    """The next powers of a row, into `trail.x`."""
    damping, m = trail.damping[b], min(trail.known[b], MEMORY)
    _equations(m, trail.turns[b], r, scale, trail.system)
    mixed = m > 0 and _eliminate(m, trail.system)
    for d in range(r.size):
        move = damping * r[d]
        if mixed:
            for i in range(m):
                move -= trail.system[i, m] * (trail.steps[b, i, d] + damping * trail.turns[b, i, d])
        trail.r[b, d] = r[d]
        trail.x[b, d] += move
        trail.steps[b, trail.known[b] % MEMORY, d] = move  # what it changes is known after the next round
    trail.known[b] += 1


@flattened(trail=Trail)
def seek(trail, answer, scale, failed, tolerance, last_round):  # type: ignore[no-untyped-def]
    """Give every row its next powers, `trail.x`; returns how many are to be solved again.

    `answer` (batch, 2 n): what the devices give at the voltages that `trail.x` brought about; `scale` (2 n,):
    one over the apparent power of each; `failed` (batch,): the row has no solution, and is left alone.
    A row whose powers all agree to `tolerance` of the apparent power gets what was answered and is solved a
    last time. In the `last_round` every row does, and `trail.missed` says which units did not agree.
    """
    going = 0
    for b in range(trail.x.shape[0]):
        if trail.phase[b] == ENDS or failed[b]:
            trail.phase[b] = DONE
        if trail.phase[b] == DONE:
            continue
        r = answer[b]
        worst = _difference(trail.x[b], r, scale)
        if worst == 0.0:
            trail.phase[b] = DONE
            continue
        going += 1
        if worst <= tolerance or last_round:
            _take_over(b, trail, r, scale, tolerance)
        else:
            _remember(b, trail, r, worst)
            _step(b, trail, r, scale)
    return going
