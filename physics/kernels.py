"""The balanced backward-forward sweep on blocks of lanes.

A batch is solved in blocks of ``LANES`` rows. Inside a block every array is (position, lane): the inner
loop runs over lanes, which LLVM turns into vector instructions, and a row's arithmetic never touches its
neighbours', so a row has the same bits in any batch.

Per sweep (Shirmohammadi et al. 1988; Kersting, Distribution System Modeling and Analysis):
backward ``I_parent += conj(a) I_child``; forward ``V_child = a V_parent - z I_child`` with the new node
current ``I = conj(S / V) + y V`` formed in the same pass. A row is done when two sweeps in a row moved
every voltage by less than ``tol`` and left a power mismatch below ``10 tol``; what is returned is the state
after the second one, with branch currents gathered from exactly that state. A row that has not settled after
``PLAIN_SWEEPS`` sweeps goes on with Newton's steps on the tree (newton_tree.py) and must, besides, lie on the
operable branch.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .dependence import drawn
from .lanes import LANES, larger, load, smaller, splat, store
from .newton_tree import N_FIELDS, newton_step

V_FLOOR_PU = 0.05  # keeps numbers finite; a row that touches it is never reported as converged
WARM_SHARE = 0.999  # a start on the lower branch, an unstable fixed point, is left for the upper one
RUNAWAY_PU = 100.0  # an update of this size has grown without bound
PLAIN_SWEEPS = 16  # a row that needs more is near the nose: Newton's steps take over
NEWTON_STEPS = 40  # a row that needs more has no solution there
STEP_LIMIT_PU = 0.3  # of each component of a Newton step: keeps a row without solution finite

CONVERGED = 1
DIVERGED = 2
COLLAPSED = 4


@inline
def _backward(tree, i_re, i_im):  # type: ignore[no-untyped-def]
    """Gather node currents into branch currents, leaves first."""
    for k in range(tree.parent.size - 1, -1, -1):
        up = tree.parent[k]
        if up < 0:
            continue
        x, y = load(i_re, k), load(i_im, k)
        if not tree.plain[k]:
            a_re, a_im = tree.a_re[k], tree.a_im[k]
            x, y = a_re * x + a_im * y, a_re * y - a_im * x
        store(i_re, up, load(i_re, up) + x)
        store(i_im, up, load(i_im, up) + y)


@inline
def _node_current(tree, k, p, q, x, y, v2, i_re, i_im):  # type: ignore[no-untyped-def]
    """Current drawn at position k by constant power and shunt at the voltage x + jy; returns |I|^2."""
    w = 1.0 / larger(v2, splat(V_FLOOR_PU * V_FLOOR_PU))
    power, reactive = load(p, k), load(q, k)
    y_re, y_im = tree.y_re[k], tree.y_im[k]
    c = (power * x + reactive * y) * w + (y_re * x - y_im * y)
    d = (power * y - reactive * x) * w + (y_re * y + y_im * x)
    store(i_re, k, c)
    store(i_im, k, d)
    return c * c + d * d


@inline
def _voltage_dependent(tree, p_zip, q_zip, v_re, v_im, i_re, i_im, i2_max):  # type: ignore[no-untyped-def]
    """Add the currents of ZIP and CVR loads (their whole nominal power is in p_zip, q_zip)."""
    floor2 = V_FLOOR_PU * V_FLOOR_PU
    for j in range(tree.zip_pos.size):
        k = tree.zip_pos[j]
        shares = tree.zip_coef[j]
        for lane in range(LANES):
            x, y = v_re[k, lane], v_im[k, lane]
            v2 = max(x * x + y * y, floor2)
            v = np.sqrt(v2)
            p = drawn(p_zip[j, lane], shares[0], shares[1], shares[4], v)
            q = drawn(q_zip[j, lane], shares[2], shares[3], shares[5], v)
            c = i_re[k, lane] + (p * x + q * y) / v2
            d = i_im[k, lane] + (p * y - q * x) / v2
            i_re[k, lane] = c
            i_im[k, lane] = d
            i2_max[lane] = max(i2_max[lane], c * c + d * d)


@inline
def _forward(tree, p, q, v_re, v_im, i_re, i_im, track):  # type: ignore[no-untyped-def]
    """New voltages from the branch currents, then new node currents, sources first.

    ``track`` rows, per lane: largest squared voltage update, smallest |V|^2, largest |I|^2 of a node.
    """
    d2_max, v2_min, i2_max = splat(0.0), splat(np.inf), splat(0.0)
    for k in range(tree.parent.size):
        up = tree.parent[k]
        if up < 0:
            x, y = load(v_re, k), load(v_im, k)
        else:
            z_re, z_im = tree.z_re[k], tree.z_im[k]
            x, y = load(v_re, up), load(v_im, up)
            if not tree.plain[k]:
                a_re, a_im = tree.a_re[k], tree.a_im[k]
                x, y = a_re * x - a_im * y, a_re * y + a_im * x
            c, d = load(i_re, k), load(i_im, k)
            x = x - (z_re * c - z_im * d)
            y = y - (z_re * d + z_im * c)
            dx, dy = x - load(v_re, k), y - load(v_im, k)
            store(v_re, k, x)
            store(v_im, k, y)
            d2_max = larger(dx * dx + dy * dy, d2_max)
        v2 = x * x + y * y
        v2_min = smaller(v2, v2_min)
        i2_max = larger(_node_current(tree, k, p, q, x, y, v2, i_re, i_im), i2_max)
    store(track, 0, d2_max)
    store(track, 1, v2_min)
    store(track, 2, i2_max)


@inline
def _newton_forward(  # type: ignore[no-untyped-def]
    tree, p, q, p_zip, q_zip, v_re, v_im, i_re, i_im, work, pivot, track
):
    """As `_forward`, with Newton's step in place of the sweep's."""
    newton_step(tree, p, q, p_zip, q_zip, v_re, v_im, i_re, i_im, work, pivot)
    d2_max, v2_min, i2_max = splat(0.0), splat(np.inf), splat(0.0)
    low, high = splat(-STEP_LIMIT_PU), splat(STEP_LIMIT_PU)
    for k in range(tree.parent.size):
        dx = smaller(larger(load(work[4], k), low), high)  # also replaces NaN, from a pivot of zero
        dy = smaller(larger(load(work[5], k), low), high)
        x, y = load(v_re, k) + dx, load(v_im, k) + dy
        store(v_re, k, x)
        store(v_im, k, y)
        d2_max = larger(dx * dx + dy * dy, d2_max)
        v2 = x * x + y * y
        v2_min = smaller(v2, v2_min)
        i2_max = larger(_node_current(tree, k, p, q, x, y, v2, i_re, i_im), i2_max)
    store(track, 0, d2_max)
    store(track, 1, v2_min)
    store(track, 2, i2_max)


@inline
def _gather_power(positions, order, row, width, p_mw, q_mvar, scale, p, q):  # type: ignore[no-untyped-def]
    """Rows [row, row + width) of (batch, bus) arrays into (position, lane), per unit; padding is zero."""
    for j in range(p.shape[0]):
        node = order[positions[j]] if positions.size else order[j]
        for lane in range(width):
            p[j, lane] = p_mw[row + lane, node] * scale
            q[j, lane] = q_mvar[row + lane, node] * scale
        for lane in range(width, LANES):
            p[j, lane] = 0.0
            q[j, lane] = 0.0


@inline
def _start_block(tree, row, width, v_start, v_source, v_re, v_im):  # type: ignore[no-untyped-def]
    """Sources at their set voltage, the rest at no load, then moved nearly all the way to ``v_start``."""
    source = 0
    for k in range(tree.parent.size):
        up = tree.parent[k]
        if up < 0:
            for lane in range(LANES):
                v = v_source[row + min(lane, width - 1), source]
                v_re[k, lane] = v.real
                v_im[k, lane] = v.imag
            source += 1
        else:
            a_re, a_im = tree.a_re[k], tree.a_im[k]
            x, y = load(v_re, up), load(v_im, up)
            store(v_re, k, a_re * x - a_im * y)
            store(v_im, k, a_re * y + a_im * x)
    if v_start.shape[0] == 0:
        return
    for k in range(tree.parent.size):
        if tree.parent[k] >= 0:
            for lane in range(LANES):
                v = v_start[row + min(lane, width - 1), tree.order[k]]
                v_re[k, lane] += WARM_SHARE * (v.real - v_re[k, lane])
                v_im[k, lane] += WARM_SHARE * (v.imag - v_im[k, lane])


@inline
def _finite(i_re, i_im, lane):  # type: ignore[no-untyped-def]
    """Whether no current of a lane is NaN or infinite: ``larger`` passes a NaN by."""
    for k in range(i_re.shape[0]):
        if not (np.isfinite(i_re[k, lane]) and np.isfinite(i_im[k, lane])):
            return False
    return True


@inline
def _first_currents(tree, p, q, v_re, v_im, i_re, i_im):  # type: ignore[no-untyped-def]
    for k in range(tree.parent.size):
        x, y = load(v_re, k), load(v_im, k)
        _node_current(tree, k, p, q, x, y, x * x + y * y, i_re, i_im)


@inline
def _write_row(tree, row, lane, v_re, v_im, i_re, i_im, v, current, i_source):  # type: ignore[no-untyped-def]
    """A finished lane's voltages and branch currents into the caller's arrays, in feeder order."""
    source = 0
    for k in range(tree.parent.size):
        v[row, tree.order[k]] = complex(v_re[k, lane], v_im[k, lane])
        if tree.parent[k] < 0:
            i_source[row, source] = complex(i_re[k, lane], i_im[k, lane])
            source += 1
        else:
            current[row, tree.branch[k]] = complex(i_re[k, lane], i_im[k, lane])


@kernel
def sweep_rows(  # type: ignore[no-untyped-def]
    tree, lo, hi, p_mw, q_mvar, p_zip_mw, q_zip_mvar, v_source, v_start, scale, tol, max_iter, v_collapse,
    v, current, i_source, status, iterations, residual,
):  # fmt: skip
    """Solve rows [lo, hi) of a batch.

    ``p_mw, q_mvar`` (batch, bus): constant-power net load; ``p_zip_mw, q_zip_mvar`` (batch, bus): nominal
    power of loads that depend on voltage, read only at ``tree.zip_pos``; ``v_source`` (batch, source)
    complex; ``v_start`` (batch or 0, bus) complex; ``scale`` 1 / base MVA. Written: ``v`` (batch, bus),
    ``current`` (batch, branch) into the child, ``i_source`` (batch, source), ``status`` bits, ``iterations``
    and ``residual`` (last voltage update) per row.
    """
    m = tree.parent.size
    n_zip = tree.zip_pos.size
    block = np.empty((6, m, LANES))
    v_re, v_im, i_re, i_im, p, q = block[0], block[1], block[2], block[3], block[4], block[5]
    zip_block = np.empty((2, n_zip, LANES))
    track = np.zeros((3, LANES))
    d2_max, v2_min, i2_max = track[0], track[1], track[2]
    everywhere = np.empty(0, dtype=np.int64)
    streak = np.empty(LANES, dtype=np.int64)  # sweeps in a row that met the criterion; -1: row written
    sunk = np.empty(LANES, dtype=np.bool_)
    floor2, sunk2 = V_FLOOR_PU * V_FLOOR_PU, v_collapse * v_collapse
    work = np.empty((0, 0, LANES))  # of Newton's steps: most calls never need it
    pivot = np.empty(LANES)
    most = min(max_iter, PLAIN_SWEEPS + NEWTON_STEPS)
    for row in range(lo, hi, LANES):
        width = min(LANES, hi - row)
        _gather_power(everywhere, tree.order, row, width, p_mw, q_mvar, scale, p, q)
        _start_block(tree, row, width, v_start, v_source, v_re, v_im)
        _first_currents(tree, p, q, v_re, v_im, i_re, i_im)
        if n_zip:
            _gather_power(
                tree.zip_pos, tree.order, row, width, p_zip_mw, q_zip_mvar, scale, zip_block[0], zip_block[1]
            )
            _voltage_dependent(tree, zip_block[0], zip_block[1], v_re, v_im, i_re, i_im, i2_max)
        for lane in range(LANES):
            streak[lane] = 0 if lane < width else -1
            sunk[lane] = False
            pivot[lane] = 1.0
        left = width
        for sweep in range(1, most + 2):
            _backward(tree, i_re, i_im)
            for lane in range(width):
                if streak[lane] < 0:
                    continue
                settled = streak[lane] >= 2 and pivot[lane] > 0.0 and _finite(i_re, i_im, lane)
                runaway = sweep > 1 and d2_max[lane] > RUNAWAY_PU * RUNAWAY_PU
                if not (settled or runaway or sweep == most + 1):
                    continue
                flags = CONVERGED if settled else DIVERGED
                if v2_min[lane] < sunk2 or (sunk[lane] and not settled):
                    flags |= COLLAPSED
                status[row + lane] = flags
                iterations[row + lane] = sweep - 1
                residual[row + lane] = np.sqrt(d2_max[lane])
                _write_row(tree, row + lane, lane, v_re, v_im, i_re, i_im, v, current, i_source)
                streak[lane] = -1
                left -= 1
            if left == 0:
                break
            if sweep <= PLAIN_SWEEPS:
                _forward(tree, p, q, v_re, v_im, i_re, i_im, track)
            else:
                if work.shape[0] == 0:
                    work = np.empty((N_FIELDS, m, LANES))
                _newton_forward(
                    tree, p, q, zip_block[0], zip_block[1], v_re, v_im, i_re, i_im, work, pivot, track
                )
            if n_zip:
                _voltage_dependent(tree, zip_block[0], zip_block[1], v_re, v_im, i_re, i_im, i2_max)
            for lane in range(width):
                if streak[lane] < 0:
                    continue
                sunk[lane] |= v2_min[lane] < sunk2
                close = d2_max[lane] < tol * tol and d2_max[lane] * i2_max[lane] < 100.0 * tol * tol
                streak[lane] = streak[lane] + 1 if close and v2_min[lane] > floor2 else 0


@kernel
def flow_rows(  # type: ignore[no-untyped-def]
    lo, hi, from_row, to_row, child_is_to, in_tree, ratio, charging, base_mva, v, current, s_from, s_to
):
    """Complex power in MVA into both ends of every branch, rows [lo, hi).

    ``ratio`` (branch,) complex tap at the from side, ``charging`` (branch,) total b in pu, ``current``
    (batch, branch) series current into the child end.
    """
    for row in range(lo, hi):
        for e in range(from_row.size):
            if not in_tree[e]:
                s_from[row, e] = 0.0
                s_to[row, e] = 0.0
                continue
            a = ratio[e]
            half = 0.5j * charging[e]
            v_f, v_t = v[row, from_row[e]], v[row, to_row[e]]
            i_c = current[row, e]
            if child_is_to[e]:
                i_f = i_c / np.conj(a)
                i_t = -i_c
            else:
                i_f = -i_c
                i_t = np.conj(a) * i_c
            a2 = a.real * a.real + a.imag * a.imag
            s_from[row, e] = base_mva * v_f * np.conj(i_f + half / a2 * v_f)
            s_to[row, e] = base_mva * v_t * np.conj(i_t + half * v_t)
