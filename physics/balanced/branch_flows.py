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
    pi: FloatArray  # (n_branch, 6): ratio at the from end (re, im), 1 / |ratio|^2, half the charging in pu,
    # and the ratio of a tap of 1 (re, im)


def ends_of(
    from_row: IntArray, to_row: IntArray, child_is_to: BoolArray, in_tree: BoolArray,
    ratio: NDArray[np.complex128], turn: NDArray[np.complex128], b_pu: FloatArray,
) -> Ends:  # fmt: skip
    """Pack (n_branch,) arrays; ``ratio`` complex tap, ``turn`` its direction, ``b_pu`` total charging."""
    rows = np.stack([from_row, to_row, child_is_to, in_tree], axis=1).astype(np.int32)
    columns = [ratio.real, ratio.imag, 1.0 / squared(ratio), 0.5 * b_pu, turn.real, turn.imag]
    return Ends(rows, np.stack(columns, axis=1))


def squared(ratio: NDArray[np.complex128]) -> FloatArray:
    """|ratio|^2, rounded as the kernels round it."""
    return np.asarray(ratio.real**2 + ratio.imag**2)


@inline
def branch_flow(ratio, half, child_is_to, base_mva, xf, yf, xt, yt, c, d):  # type: ignore[no-untyped-def]
    """MW and Mvar into the from and the to end of a branch, of numbers or of lanes.

    ``xf + j yf`` and ``xt + j yt`` are the voltages of the ends, ``c + j d`` the series current into the
    child end, all in pu; ``ratio`` is (re, im, 1 / |ratio|^2) and ``half`` half the charging. The ideal ratio
    a stands at the from end, half the charging on either side of the series impedance:
    S = V conj(I + j half V).
    """
    a_re, a_im, per_a2 = ratio
    if child_is_to:  # from -> to: what leaves the from end is I_c / conj(a)
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
def flow_rows(rows, pi, lo, hi, base_mva, tap_at, settings, v, current, s_from, s_to):  # type: ignore[no-untyped-def]
    """Complex MVA into both ends of every branch, rows [lo, hi); the first two arguments are an Ends.

    ``tap_at`` (n_branch or 0,): column of ``settings`` (batch, columns) with each branch's ratio, -1: none.
    """
    for row in range(lo, hi):
        for e in range(rows.shape[0]):
            p_from, q_from, p_to, q_to = 0.0, 0.0, 0.0, 0.0
            if rows[e, 3]:
                f, t, i = v[row, rows[e, 0]], v[row, rows[e, 1]], current[row, e]
                ratio = pi[e, 0], pi[e, 1], pi[e, 2]
                if tap_at.size > 0 and tap_at[e] >= 0:
                    tap = settings[row, tap_at[e]]
                    re, im = tap * pi[e, 4], tap * pi[e, 5]
                    ratio = re, im, 1.0 / (re * re + im * im)
                p_from, q_from, p_to, q_to = branch_flow(
                    ratio, pi[e, 3], rows[e, 2], base_mva, f.real, f.imag, t.real, t.imag, i.real, i.imag
                )
            s_from[row, e] = complex(p_from, q_from)
            s_to[row, e] = complex(p_to, q_to)
