"""Power summation: sweeps of real numbers that bring a row close to its solution.

Branch powers P, Q and squared voltages U of a tree obey (Baran & Wu 1989, exact for trees)

    l = (P^2 + Q^2) / U                                   squared current of the branch into a node,
    P_parent += P + r l,  Q_parent += Q + x l             backward, leaves first,
    U = |a|^2 U_parent - 2 (r P + x Q) - |z|^2 l          forward, sources first,

where a node's own P + jQ is its load plus ``conj(y) U`` of its shunts. Loads of constant power enter them
without any error, only losses depend on U, so that an update is some hundred times smaller than the one
before, against some ten times in sweeps that sum currents. Angles are not needed until the end:
``V = a V_parent (1 - z conj(S) / |a V_parent|^2)`` with S the power sent into z.

A row that contracts as it should gets complex voltages from this, which the caller verifies by Kirchhoff's
laws; one that does not is left to the methods that cope with hard cases.
"""

from __future__ import annotations

import numpy as np

from ...load_models import load_power
from ...numba_tools.jit import inline
from ...numba_tools.lanes import anywhere, choose, every, larger, load, pick, put, store, width
from .adjusted import admittance, has_ratio, has_shunt, impedance, ratio

V_FLOOR_PU = 0.05  # keeps numbers finite; a row that touches it is never reported as converged
MOST_SWEEPS = 10
CONTRACTION = 0.3  # an update above this share of the one before: a hard case. The lower branch repels
_SHARE_OF_TOL = 0.01  # of the error that is left, estimated
# The rate after one sweep as a share of its update: from no load, the more drop, the more loss; a warm start
# says nothing of it.
COLD_RATE, WARM_RATE = 0.1, 0.0
_ROUNDING = 1e-15  # updates of U at this size no longer shrink

# Fields of ``flow``: P and Q received, later sent, later the current; the drop of U, later 1 / |V|^2; U.
P, Q, DROP, U = 0, 1, 2, 3
# Fields of ``track``: largest update of U, the one before, whether a lane moves on, whether it contracted as
# it should, its sweeps, a number that is finite where all U are.
MOVED, BEFORE, ACTIVE, SOUND, SWEEPS, TOTAL = 0, 1, 2, 3, 4, 5
N_TRACKED = 6


@inline
def _backward(plan, flow, floor2):  # type: ignore[no-untyped-def]
    """Sums of power, leaves first, and the drops. Stores are what costs here: as few as can be."""
    for k in range(plan.link.shape[0] - 1, -1, -1):
        up = plan.link[k, 0]
        if up < 0:
            continue
        r, x = impedance(plan, k, flow)
        p, q = load(flow, k, P), load(flow, k, Q)
        squared = (p * p + q * q) / larger(load(flow, k, U), floor2)
        p_sent, q_sent = p + r * squared, q + x * squared
        store(flow, k, DROP, r * (p + p_sent) + x * (q + q_sent))
        store(flow, up, P, load(flow, up, P) + p_sent)
        store(flow, up, Q, load(flow, up, Q) + q_sent)


@inline
def _forward(plan, draw, flow, track):  # type: ignore[no-untyped-def]
    active = load(track, 0, ACTIVE)
    moved, total = every(flow, 0.0), every(flow, 0.0)
    for k in range(plan.link.shape[0]):
        up = plan.link[k, 0]
        u = load(flow, k, U)
        if up >= 0:
            above = raised(plan, k, load(flow, up, U), flow)
            now = choose(active, above - load(flow, k, DROP), u)
            step = now - u
            moved = larger(larger(step, 0.0 - step), moved)
            total = total + step
            u = now
            store(flow, k, U, u)
        own_power(plan, draw, flow, k, u)
    store(track, 0, MOVED, moved)
    store(track, 0, TOTAL, total)


@inline
def raised(plan, k, u, flow):  # type: ignore[no-untyped-def]
    """|a|^2 times a squared voltage of the parent."""
    if has_ratio(plan, k):
        a_re, a_im = ratio(plan, k, flow)
        return (a_re * a_re + a_im * a_im) * u
    return u


@inline
def own_power(plan, draw, flow, k, u):  # type: ignore[no-untyped-def]
    """The node's own power at the squared voltage ``u``."""
    p, q = load(draw, k, 0), load(draw, k, 1)
    if has_shunt(plan, k):
        g, b = admittance(plan, k, flow)
        p = p + g * u
        q = q - b * u
    store(flow, k, P, p)
    store(flow, k, Q, q)


@inline
def dependent_power(plan, nominal, flow):  # type: ignore[no-untyped-def]
    """Add the power of ZIP and CVR loads at the U that ``flow`` holds."""
    for j in range(plan.zip_pos.size):
        k = plan.zip_pos[j]
        c = plan.zip_coef[j]
        for lane in range(width(flow)):
            v = np.sqrt(max(pick(flow, k, U, lane), V_FLOOR_PU * V_FLOOR_PU))
            p = load_power(pick(nominal, j, 0, lane), c[0], c[1], c[4], v)
            q = load_power(pick(nominal, j, 1, lane), c[2], c[3], c[5], v)
            put(flow, k, P, lane, pick(flow, k, P, lane) + p)
            put(flow, k, Q, lane, pick(flow, k, Q, lane) + q)


@inline
def _send(plan, flow, floor2):  # type: ignore[no-untyped-def]
    """The last sums of power: P and Q of ``flow`` become what each branch is sent."""
    for k in range(plan.link.shape[0] - 1, -1, -1):
        up = plan.link[k, 0]
        if up < 0:
            continue
        r, x = impedance(plan, k, flow)
        p, q = load(flow, k, P), load(flow, k, Q)
        squared = (p * p + q * q) / larger(load(flow, k, U), floor2)
        p_sent, q_sent = p + r * squared, q + x * squared
        store(flow, k, P, p_sent)
        store(flow, k, Q, q_sent)
        store(flow, up, P, load(flow, up, P) + p_sent)
        store(flow, up, Q, load(flow, up, Q) + q_sent)


@inline
def _judge(track, sweep, limit, tol, first_rate):  # type: ignore[no-untyped-def]
    """Which lanes go on; returns whether any does. The error left after one more sweep is moved * rate^2."""
    zero, one = every(track, 0.0), every(track, 1.0)
    active, moved, total = load(track, 0, ACTIVE), load(track, 0, MOVED), load(track, 0, TOTAL)
    rate = moved / load(track, 0, BEFORE) if sweep > 1 else first_rate * moved
    settled = choose(moved - _ROUNDING, zero, one)
    contracts = choose(rate - CONTRACTION, settled, one)
    sound = choose(1.0 - (total - total), contracts, zero)  # not where the total is infinite or NaN
    arrived = settled
    if sweep > 1 or first_rate > 0.0:
        arrived = choose(_SHARE_OF_TOL * tol - moved * rate * rate, one, settled)
    over = every(track, 1.0 if sweep == limit else 0.0)
    done = choose(sound, choose(arrived, one, over), one)
    store(track, 0, BEFORE, moved)
    store(track, 0, SWEEPS, choose(active, every(track, float(sweep)), load(track, 0, SWEEPS)))
    store(track, 0, SOUND, choose(active * done, sound, load(track, 0, SOUND)))
    active = choose(done, zero, active)
    store(track, 0, ACTIVE, active)
    return anywhere(active)


@inline
def sum_powers(plan, draw, nominal, flow, track, limit, tol, first_rate):  # type: ignore[no-untyped-def]
    """Sweep until every lane has arrived or turned out hard, from U and every node's own power in ``flow``.

    ``draw`` (m, 2) constant power, ``nominal`` (n_zip, 2) power at 1 pu of loads that depend on voltage,
    ``first_rate`` one of the constants above.
    On return ``flow`` holds the powers sent into the branches and U; ``track`` says which lanes are sound.
    """
    store(track, 0, SOUND, every(track, 0.0))
    store(track, 0, SWEEPS, every(track, 0.0))
    store(track, 0, ACTIVE, every(track, 1.0))
    floor2 = every(flow, V_FLOOR_PU * V_FLOOR_PU)
    for sweep in range(1, limit + 1):
        _backward(plan, flow, floor2)
        _forward(plan, draw, flow, track)
        dependent_power(plan, nominal, flow)
        if not _judge(track, sweep, limit, tol, first_rate):
            break
    _send(plan, flow, floor2)
