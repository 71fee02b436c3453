"""Power into both ends of every branch, from voltages and series currents."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numba_tools.jit import inline, lean_kernel
from .tree import BoolArray, FloatArray, IntArray


class Ends(NamedTuple):
    """Per branch, in the order of the feeder."""

    rows: NDArray[np.int32]  # (n_branch, 4): from row, to row, whether the to end is the child, in the tree
    pi: FloatArray  # (n_branch, 4): ratio at the from end (re, im), 1 / |ratio|^2, half the charging in pu


def ends_of(
    from_row: IntArray, to_row: IntArray, child_is_to: BoolArray, in_tree: BoolArray,
    ratio: NDArray[np.complex128], b_pu: FloatArray,
) -> Ends:  # fmt: skip
    """Pack (n_branch,) arrays; ``ratio`` complex tap, ``b_pu`` total charging."""
    rows = np.stack([from_row, to_row, child_is_to, in_tree], axis=1).astype(np.int32)
    squared = ratio.real**2 + ratio.imag**2
    return Ends(rows, np.stack([ratio.real, ratio.imag, 1.0 / squared, 0.5 * b_pu], axis=1))


@inline
def branch_flow(ends, e, base_mva, xf, yf, xt, yt, c, d):  # type: ignore[no-untyped-def]
    """MW and Mvar into the from and the to end of branch e, of numbers or of lanes.

    ``xf + j yf`` and ``xt + j yt`` are the voltages of the ends, ``c + j d`` the series current into the
    child end, all in pu. The ideal ratio a stands at the from end, half the charging on either side of the
    series impedance: S = V conj(I + j half V).
    """
    a_re, a_im, per_a2, half = ends.pi[e, 0], ends.pi[e, 1], ends.pi[e, 2], ends.pi[e, 3]
    if ends.rows[e, 2]:  # from -> to: what leaves the from end is I_c / conj(a)
        f_re, f_im = (a_re * c - a_im * d) * per_a2, (a_re * d + a_im * c) * per_a2
        t_re, t_im = 0.0 - c, 0.0 - d
    else:  # to -> from: what leaves the to end is conj(a) I_c
        f_re, f_im = 0.0 - c, 0.0 - d
        t_re, t_im = a_re * c + a_im * d, a_re * d - a_im * c
    p_from = base_mva * (xf * f_re + yf * f_im)
    q_from = base_mva * (yf * f_re - xf * f_im - (half * per_a2) * (xf * xf + yf * yf))
    p_to = base_mva * (xt * t_re + yt * t_im)
    q_to = base_mva * (yt * t_re - xt * t_im - half * (xt * xt + yt * yt))
    return p_from, q_from, p_to, q_to


@lean_kernel
def flow_rows(rows, pi, lo, hi, base_mva, v, current, s_from, s_to):  # type: ignore[no-untyped-def]
    """Complex MVA into both ends of every branch, rows [lo, hi); the first two arguments are an Ends."""
    ends = Ends(rows, pi)
    for row in range(lo, hi):
        for e in range(rows.shape[0]):
            p_from, q_from, p_to, q_to = 0.0, 0.0, 0.0, 0.0
            if rows[e, 3]:
                f, t, i = v[row, rows[e, 0]], v[row, rows[e, 1]], current[row, e]
                p_from, q_from, p_to, q_to = branch_flow(
                    ends, e, base_mva, f.real, f.imag, t.real, t.imag, i.real, i.imag
                )
            s_from[row, e] = complex(p_from, q_from)
            s_to[row, e] = complex(p_to, q_to)
