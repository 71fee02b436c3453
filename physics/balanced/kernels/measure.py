"""What an environment asks of solved rows, from voltages and currents: for networks that are no plain tree.

The same numbers as step_rows.py, which measures a block of rows while the sweep holds it.
"""

from __future__ import annotations

from ...numba_tools.jit import inline, lean_kernel
from ...row_results import (
    N_OVERLOAD,
    N_VOLTAGE,
    OVERLOAD,
    P_LOSS,
    P_SLACK,
    Q_LOSS,
    Q_SLACK,
    VOLTAGE_VIOLATION,
)
from ...violations import JUST_ABOVE, excess, excess_of_band, loading_above
from ..branch_flows import Ends, branch_flow


@lean_kernel
def measure_rows(  # type: ignore[no-untyped-def]
    rows, pi, lo, hi, base_mva, v, current, s_source_mva, ended, measured, band, branch,
    s_from, s_to, v_pu, i_ka, loading,
):  # fmt: skip
    """Measure rows [lo, hi); arguments as :func:`distgrid.physics.balanced.kernels.step_rows.step_rows`.

    ``current`` (hi - lo, n_branch) belongs to these rows alone.
    """
    ends = Ends(rows, pi)
    for row in range(lo, hi):
        _measure_voltages(row, v, ended, measured, band, v_pu)
        loss, over, count = 0j, 0.0, 0
        for e in range(rows.shape[0]):
            sent, received, ka = _measure_branch(ends, e, base_mva, v[row], current[row - lo, e], branch[e])
            loss += sent + received
            apparent = max(abs(sent), abs(received))
            above = excess(apparent - branch[e, 0], 0.0)
            over, count = over + above, count + (above > 0.0)
            loading[row, e] = loading_above(above, apparent / branch[e, 0], JUST_ABOVE)
            if s_from.shape[0] > 0:
                s_from[row, e] = sent
            if s_to.shape[0] > 0:
                s_to[row, e] = received
            if i_ka.shape[0] > 0:
                i_ka[row, e] = ka
        measured[row, P_LOSS], measured[row, Q_LOSS] = loss.real, loss.imag
        measured[row, OVERLOAD], ended[row, N_OVERLOAD] = over, count
        supplied = 0j
        for s in range(s_source_mva.shape[1]):
            supplied += s_source_mva[row, s]
        measured[row, P_SLACK], measured[row, Q_SLACK] = supplied.real, supplied.imag


@inline
def _measure_voltages(row, v, ended, measured, band, v_pu):  # type: ignore[no-untyped-def]
    """Magnitudes, the sum of pu outside the band and the number of nodes outside; dead nodes are NaN."""
    total, count = 0.0, 0
    for node in range(v.shape[1]):
        size = abs(v[row, node])
        v_pu[row, node] = size
        outside = excess_of_band(size, band[node, 0], band[node, 1], 0.0)
        total, count = total + outside, count + (outside > 0.0)
    measured[row, VOLTAGE_VIOLATION], ended[row, N_VOLTAGE] = total, count


@inline
def _measure_branch(ends, e, base_mva, v, i, branch):  # type: ignore[no-untyped-def]
    """MVA into both ends of branch e and the larger current in kA; nothing where it is dead."""
    if not ends.rows[e, 3]:
        return 0j, 0j, 0.0
    f, t = v[ends.rows[e, 0]], v[ends.rows[e, 1]]
    ratio = ends.pi[e, 0], ends.pi[e, 1], ends.pi[e, 2]
    p_f, q_f, p_t, q_t = branch_flow(
        ratio, ends.pi[e, 3], ends.rows[e, 2], base_mva, f.real, f.imag, t.real, t.imag, i.real, i.imag
    )
    sent, received = complex(p_f, q_f), complex(p_t, q_t)
    return sent, received, max(abs(sent) / (abs(f) * branch[1]), abs(received) / (abs(t) * branch[2]))
