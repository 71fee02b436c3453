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

from ...load_models import load_power, load_power_slope
from ...numba_tools.jit import inline
from ...numba_tools.lanes import every, load, pick, put, smaller, store, width
from .adjusted import admittance, has_ratio, impedance, ratio

#: Fields of the workspace of a step: M (xx, xy, yx, yy), m (re, im) and later dV, K, w (re, im).
N_FIELDS = 12


@inline
def _constant_power_slope(plan, k, draw, volt, work):  # type: ignore[no-untyped-def]
    """F of constant power and shunt at position k; the accumulators of k start from it.

    d conj(S/V) = -conj(S) / conj(V)^2 * conj(dV): with g = conj(S) / conj(V)^2, the matrix
    [[-g_re, -g_im], [-g_im, g_re]]; the shunt adds [[y_re, -y_im], [y_im, y_re]].
    """
    x, y = load(volt, k, 0), load(volt, k, 1)
    power, reactive = load(draw, k, 0), load(draw, k, 1)
    w = 1.0 / (x * x + y * y)
    # 1 / conj(V)^2 = V^2 / |V|^4
    c, d = (x * x - y * y) * w * w, 2.0 * x * y * w * w
    g_re = power * c + reactive * d
    g_im = power * d - reactive * c
    y_re, y_im = admittance(plan, k, work)
    zero = every(work, 0.0)
    store(work, k, 0, y_re - g_re)
    store(work, k, 1, zero - y_im - g_im)
    store(work, k, 2, y_im - g_im)
    store(work, k, 3, y_re + g_re)
    store(work, k, 4, zero)
    store(work, k, 5, zero)


@inline
def _dependent_slope(plan, nominal, volt, work):  # type: ignore[no-untyped-def]
    """Add F of ZIP and CVR loads: the part at fixed S, and dS/d|V| times d|V| = Re(conj(V) dV) / |V|."""
    for j in range(plan.zip_pos.size):
        k = plan.zip_pos[j]
        shares = plan.zip_coef[j]
        for lane in range(width(work)):
            x, y = pick(volt, k, 0, lane), pick(volt, k, 1, lane)
            v2 = x * x + y * y
            v = np.sqrt(v2)
            p = load_power(pick(nominal, j, 0, lane), shares[0], shares[1], shares[4], v)
            q = load_power(pick(nominal, j, 1, lane), shares[2], shares[3], shares[5], v)
            dp = load_power_slope(pick(nominal, j, 0, lane), shares[0], shares[1], shares[4], v)
            dq = load_power_slope(pick(nominal, j, 1, lane), shares[2], shares[3], shares[5], v)
            c, d = (x * x - y * y) / (v2 * v2), 2.0 * x * y / (v2 * v2)
            g_re, g_im = p * c + q * d, p * d - q * c
            s_re, s_im = (dp * x + dq * y) / v2, (dp * y - dq * x) / v2  # conj(dS/d|V| / V)
            put(work, k, 0, lane, pick(work, k, 0, lane) + (s_re * x / v - g_re))
            put(work, k, 1, lane, pick(work, k, 1, lane) + (s_re * y / v - g_im))
            put(work, k, 2, lane, pick(work, k, 2, lane) + (s_im * x / v - g_im))
            put(work, k, 3, lane, pick(work, k, 3, lane) + (s_im * y / v + g_re))


@inline
def newton_step(plan, draw, nominal, volt, flow, work):  # type: ignore[no-untyped-def]
    """The step dV of every position; ``flow`` holds the branch currents J.

    Written: fields 4 and 5 of ``work``. Answers the smallest determinant of (1 + Z M).
    """
    m = plan.link.shape[0]
    for k in range(m):
        _constant_power_slope(plan, k, draw, volt, work)
    _dependent_slope(plan, nominal, volt, work)
    least = every(work, np.inf)
    for k in range(m - 1, -1, -1):
        up = plan.link[k, 0]
        if up < 0:
            continue
        z_re, z_im = impedance(plan, k, work)
        a_re, a_im = ratio(plan, k, work)
        xx, xy, yx, yy = load(work, k, 0), load(work, k, 1), load(work, k, 2), load(work, k, 3)
        m_re, m_im = load(work, k, 4), load(work, k, 5)
        # A = 1 + Z M, K = its inverse
        p11, p12 = 1.0 + (z_re * xx - z_im * yx), z_re * xy - z_im * yy
        p21, p22 = z_im * xx + z_re * yx, 1.0 + (z_im * xy + z_re * yy)
        determinant = p11 * p22 - p12 * p21
        least = smaller(determinant, least)
        scale = 1.0 / determinant
        k11, k12, k21, k22 = p22 * scale, (0.0 - p12) * scale, (0.0 - p21) * scale, p11 * scale
        # w = z m + e, e = V - a V_parent + z J
        u_re, u_im = load(volt, up, 0), load(volt, up, 1)
        j_re, j_im = load(flow, k, 0) + m_re, load(flow, k, 1) + m_im
        w_re = load(volt, k, 0) - (a_re * u_re - a_im * u_im) + (z_re * j_re - z_im * j_im)
        w_im = load(volt, k, 1) - (a_re * u_im + a_im * u_re) + (z_re * j_im + z_im * j_re)
        store(work, k, 6, k11)
        store(work, k, 7, k12)
        store(work, k, 8, k21)
        store(work, k, 9, k22)
        store(work, k, 10, w_re)
        store(work, k, 11, w_im)
        # B = M K, and what the parent sees: conj(a) (B a dV_parent + m - B w)
        b11, b12 = xx * k11 + xy * k21, xx * k12 + xy * k22
        b21, b22 = yx * k11 + yy * k21, yx * k12 + yy * k22
        r_re = m_re - (b11 * w_re + b12 * w_im)
        r_im = m_im - (b21 * w_re + b22 * w_im)
        if has_ratio(plan, k):
            b11, b12, b21, b22 = _turned(b11, b12, b21, b22, a_re, a_im)
            r_re, r_im = a_re * r_re + a_im * r_im, a_re * r_im - a_im * r_re
        store(work, up, 0, load(work, up, 0) + b11)
        store(work, up, 1, load(work, up, 1) + b12)
        store(work, up, 2, load(work, up, 2) + b21)
        store(work, up, 3, load(work, up, 3) + b22)
        store(work, up, 4, load(work, up, 4) + r_re)
        store(work, up, 5, load(work, up, 5) + r_im)
    _substitute(plan, work)
    return least


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
def _substitute(plan, work):  # type: ignore[no-untyped-def]
    """dV from the sources downwards, into work[4] and work[5]."""
    for k in range(plan.link.shape[0]):
        up = plan.link[k, 0]
        if up < 0:
            store(work, k, 4, every(work, 0.0))
            store(work, k, 5, every(work, 0.0))
            continue
        a_re, a_im = ratio(plan, k, work)
        d_re, d_im = load(work, up, 4), load(work, up, 5)
        if has_ratio(plan, k):
            d_re, d_im = a_re * d_re - a_im * d_im, a_re * d_im + a_im * d_re
        d_re = d_re - load(work, k, 10)
        d_im = d_im - load(work, k, 11)
        store(work, k, 4, load(work, k, 6) * d_re + load(work, k, 7) * d_im)
        store(work, k, 5, load(work, k, 8) * d_re + load(work, k, 9) * d_im)
