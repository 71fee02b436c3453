"""Newton's method on a tree, by elimination from the leaves: exact, and linear in the number of buses.

Near the nose of the PV curve plain sweeps contract slowly or not at all. The equations of the tree are, for
every position with branch current J and voltage V,

    0 = V - a V_parent + z J,        J = I(V) + sum over children of conj(a) J_child,

with the node current I(V) = conj(S(V) / V) + y V. Newton's step solves their linearisation. I(V) is not
analytic, so its derivative is a real 2x2 matrix F acting on (Re dV, Im dV). From the leaves upwards
``dJ = M dV + m`` with M = F + sum of the children's, and from the source downwards
``dV = K (a dV_parent - z m - e)``, K = inverse of (1 + Z M), e the residual of the first equation.

The determinants of (1 + Z M) are the pivots of the Jacobian. All are 1 without load, and one vanishes where
the upper branch of the PV curve ends. So a solution is on the operable branch when all pivots are positive.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline
from .dependence import drawn, drawn_slope
from .lanes import LANES, load, smaller, splat, store

#: Rows of the workspace of a step, each (position, lane): M (xx, xy, yx, yy), m (re, im), K, w (re, im).
N_FIELDS = 12


@inline
def _constant_power_slope(tree, k, p, q, v_re, v_im, work):  # type: ignore[no-untyped-def]
    """F of constant power and shunt at position k; the accumulators of k start from it.

    d conj(S/V) = -conj(S) / conj(V)^2 * conj(dV): with g = conj(S) / conj(V)^2, the matrix
    [[-g_re, -g_im], [-g_im, g_re]]; the shunt adds [[y_re, -y_im], [y_im, y_re]].
    """
    x, y = load(v_re, k), load(v_im, k)
    power, reactive = load(p, k), load(q, k)
    w = 1.0 / (x * x + y * y)
    # 1 / conj(V)^2 = V^2 / |V|^4
    c, d = (x * x - y * y) * w * w, 2.0 * x * y * w * w
    g_re = power * c + reactive * d
    g_im = power * d - reactive * c
    y_re, y_im = splat(tree.y_re[k]), splat(tree.y_im[k])
    store(work[0], k, y_re - g_re)
    store(work[1], k, splat(0.0) - y_im - g_im)
    store(work[2], k, y_im - g_im)
    store(work[3], k, y_re + g_re)
    store(work[4], k, splat(0.0))
    store(work[5], k, splat(0.0))


@inline
def _dependent_slope(tree, p_zip, q_zip, v_re, v_im, work):  # type: ignore[no-untyped-def]
    """Add F of ZIP and CVR loads: the part at fixed S, and dS/d|V| times d|V| = Re(conj(V) dV) / |V|."""
    for j in range(tree.zip_pos.size):
        k = tree.zip_pos[j]
        shares = tree.zip_coef[j]
        for lane in range(LANES):
            x, y = v_re[k, lane], v_im[k, lane]
            v2 = x * x + y * y
            v = np.sqrt(v2)
            p = drawn(p_zip[j, lane], shares[0], shares[1], shares[4], v)
            q = drawn(q_zip[j, lane], shares[2], shares[3], shares[5], v)
            dp = drawn_slope(p_zip[j, lane], shares[0], shares[1], shares[4], v)
            dq = drawn_slope(q_zip[j, lane], shares[2], shares[3], shares[5], v)
            c, d = (x * x - y * y) / (v2 * v2), 2.0 * x * y / (v2 * v2)
            g_re, g_im = p * c + q * d, p * d - q * c
            s_re, s_im = (dp * x + dq * y) / v2, (dp * y - dq * x) / v2  # conj(dS/d|V| / V)
            work[0, k, lane] += s_re * x / v - g_re
            work[1, k, lane] += s_re * y / v - g_im
            work[2, k, lane] += s_im * x / v - g_im
            work[3, k, lane] += s_im * y / v + g_re


@inline
def newton_step(tree, p, q, p_zip, q_zip, v_re, v_im, i_re, i_im, work, pivot):  # type: ignore[no-untyped-def]
    """The step dV of every position, into work[4] and work[5]; ``i_re, i_im`` hold the branch currents J.

    ``pivot`` (lane) receives the smallest determinant of (1 + Z M).
    """
    m = tree.parent.size
    for k in range(m):
        _constant_power_slope(tree, k, p, q, v_re, v_im, work)
    _dependent_slope(tree, p_zip, q_zip, v_re, v_im, work)
    least = splat(np.inf)
    for k in range(m - 1, -1, -1):
        up = tree.parent[k]
        if up < 0:
            continue
        z_re, z_im = tree.z_re[k], tree.z_im[k]
        a_re, a_im = tree.a_re[k], tree.a_im[k]
        xx, xy, yx, yy = load(work[0], k), load(work[1], k), load(work[2], k), load(work[3], k)
        m_re, m_im = load(work[4], k), load(work[5], k)
        # A = 1 + Z M, K = its inverse
        p11, p12 = 1.0 + (z_re * xx - z_im * yx), z_re * xy - z_im * yy
        p21, p22 = z_im * xx + z_re * yx, 1.0 + (z_im * xy + z_re * yy)
        determinant = p11 * p22 - p12 * p21
        least = smaller(determinant, least)
        scale = 1.0 / determinant
        k11, k12, k21, k22 = p22 * scale, (0.0 - p12) * scale, (0.0 - p21) * scale, p11 * scale
        # w = z m + e, e = V - a V_parent + z J
        u_re, u_im = load(v_re, up), load(v_im, up)
        j_re, j_im = load(i_re, k) + m_re, load(i_im, k) + m_im
        w_re = load(v_re, k) - (a_re * u_re - a_im * u_im) + (z_re * j_re - z_im * j_im)
        w_im = load(v_im, k) - (a_re * u_im + a_im * u_re) + (z_re * j_im + z_im * j_re)
        store(work[6], k, k11)
        store(work[7], k, k12)
        store(work[8], k, k21)
        store(work[9], k, k22)
        store(work[10], k, w_re)
        store(work[11], k, w_im)
        # B = M K, and what the parent sees: conj(a) (B a dV_parent + m - B w)
        b11, b12 = xx * k11 + xy * k21, xx * k12 + xy * k22
        b21, b22 = yx * k11 + yy * k21, yx * k12 + yy * k22
        r_re = m_re - (b11 * w_re + b12 * w_im)
        r_im = m_im - (b21 * w_re + b22 * w_im)
        if not tree.plain[k]:
            b11, b12, b21, b22 = _turned(b11, b12, b21, b22, a_re, a_im)
            r_re, r_im = a_re * r_re + a_im * r_im, a_re * r_im - a_im * r_re
        store(work[0], up, load(work[0], up) + b11)
        store(work[1], up, load(work[1], up) + b12)
        store(work[2], up, load(work[2], up) + b21)
        store(work[3], up, load(work[3], up) + b22)
        store(work[4], up, load(work[4], up) + r_re)
        store(work[5], up, load(work[5], up) + r_im)
    store(pivot, 0, least)
    _substitute(tree, work)


@inline
def _turned(b11, b12, b21, b22, a_re, a_im):  # type: ignore[no-untyped-def]
    """conj(A) B A as real matrices, A = [[a_re, -a_im], [a_im, a_re]]."""
    c11, c12 = b11 * a_re + b12 * a_im, b12 * a_re - b11 * a_im
    c21, c22 = b21 * a_re + b22 * a_im, b22 * a_re - b21 * a_im
    return (
        a_re * c11 + a_im * c21,
        a_re * c12 + a_im * c22,
        a_re * c21 - a_im * c11,
        a_re * c22 - a_im * c12,
    )


@inline
def _substitute(tree, work):  # type: ignore[no-untyped-def]
    """dV from the sources downwards, into work[4] and work[5]."""
    for k in range(tree.parent.size):
        up = tree.parent[k]
        if up < 0:
            store(work[4], k, splat(0.0))
            store(work[5], k, splat(0.0))
            continue
        a_re, a_im = tree.a_re[k], tree.a_im[k]
        d_re, d_im = load(work[4], up), load(work[5], up)
        if not tree.plain[k]:
            d_re, d_im = a_re * d_re - a_im * d_im, a_re * d_im + a_im * d_re
        d_re = d_re - load(work[10], k)
        d_im = d_im - load(work[11], k)
        store(work[4], k, load(work[6], k) * d_re + load(work[7], k) * d_im)
        store(work[5], k, load(work[8], k) * d_re + load(work[9], k) * d_im)
