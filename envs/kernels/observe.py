"""The gather of an observation: one compiled call copies columns of many arrays as a table says.

A part is one line of the table (`OP`, `SOURCE`, `FIRST`, `COUNT`, `START`): how to read, which array, its
first column, how many columns, and where they go in the observation. A new quantity that stands in one of
these arrays is another line, not another branch of this code.
"""

from __future__ import annotations

import numpy as np

from ...physics.numba_tools.jit import inline, lean_kernel

#: Arrays of one real number a column, (batch, columns), in the order of `observe_rows`' arguments.
REAL_SOURCES = (
    "v_pu", "load_p_mw", "load_q_mvar", "i_ka", "loading", "vuf_pct", "measured", "fleet", "prepared",
    "memory",
)  # fmt: skip
#: Arrays of complex numbers.
COMPLEX_SOURCES = ("v", "s_from")
#: How a part is read; `SERIES` reads the row of the interval that is decided in a table over time.
VALUE, REAL, IMAG, DEGREES, SERIES = range(5)
OPS = {"value": VALUE, "real": REAL, "imag": IMAG, "degrees": DEGREES}
OP, SOURCE, FIRST, COUNT, START = range(5)  # columns of the table


@inline
def _clipped(value, low, high):  # type: ignore[no-untyped-def]
    """As float32 in the box; 0 for NaN (a dead node)."""
    rounded = np.float32(value)
    if np.isnan(rounded):
        rounded = np.float32(0.0)
    return min(max(rounded, low), high)


@inline
def _copy_reals(values, scale, low, high, out):  # type: ignore[no-untyped-def]
    """All begin at 0: with an offset in the index the compiler would not use vectors."""
    for i in range(out.size):
        out[i] = _clipped(values[i] * scale, low[i], high[i])


@inline
def _copy_parts(values, imaginary, scale, low, high, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = _clipped((values[i].imag if imaginary else values[i].real) * scale, low[i], high[i])


@inline
def _copy_angles(values, scale, low, high, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        degrees = np.arctan2(values[i].imag, values[i].real) * (180.0 / np.pi)
        out[i] = _clipped(degrees * scale, low[i], high[i])


@lean_kernel
def observe_rows(  # type: ignore[no-untyped-def]
    parts, scales, t_index, series, v_pu, load_p_mw, load_q_mvar, i_ka, loading, vuf_pct, measured, fleet,
    prepared, memory, v, s_from, box, out,
):  # fmt: skip
    """Write every part of every row, clipped to the box.

    ``parts`` (parts, 5) int64 and ``scales`` (parts,), see above; ``series`` (n_steps, columns) the tables
    over time side by side; ``prepared`` (batch, columns) what was computed elsewhere; ``memory`` (batch,
    columns) of the ledger; ``box`` (2, n_obs) lowest and highest value and ``out`` (batch, n_obs), float32.
    Rounding to float32 and the last iterate of a failed power flow may lie outside the box.
    """
    reals = (v_pu, load_p_mw, load_q_mvar, i_ka, loading, vuf_pct, measured, fleet, prepared, memory)
    for k in range(parts.shape[0]):
        op, source, first, scale = parts[k, OP], parts[k, SOURCE], parts[k, FIRST], scales[k]
        start, stop = parts[k, START], parts[k, START] + parts[k, COUNT]
        low, high = box[0, start:stop], box[1, start:stop]
        if op == VALUE:
            values = reals[source]
            for row in range(out.shape[0]):
                _copy_reals(values[row, first:], scale, low, high, out[row, start:stop])
        elif op == SERIES:
            for row in range(out.shape[0]):
                now = t_index[row] % series.shape[0]
                _copy_reals(series[now, first:], scale, low, high, out[row, start:stop])
        else:
            phasors = v if source == 0 else s_from
            for row in range(out.shape[0]):
                if op == DEGREES:
                    _copy_angles(phasors[row, first:], scale, low, high, out[row, start:stop])
                else:
                    _copy_parts(phasors[row, first:], op == IMAG, scale, low, high, out[row, start:stop])


@lean_kernel
def normalise_rows(low, gain, one, out):  # type: ignore[no-untyped-def]
    """Scale ``out`` (batch, n_obs) float32 in place to ``(out - low) * gain - one``, within [-1, 1].

    ``low``, ``gain``, ``one`` (n_obs,) float64; where an entry cannot vary, ``gain`` and ``one`` are 0.
    """
    for row in range(out.shape[0]):
        for k in range(out.shape[1]):
            scaled = (np.float64(out[row, k]) - low[k]) * gain[k] - one[k]
            out[row, k] = np.float32(min(max(scaled, -1.0), 1.0))
