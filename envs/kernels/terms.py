"""Terms of a reward from what kernels have written: one call for all rows, terms and their sum."""

from __future__ import annotations

from ...physics.numba_tools.jit import lean_kernel
from .rows import mean_square

#: Where a term's value comes from: a column of ``measured``, the mean square of voltages about a reference,
#: the sum of an account over units; or somewhere else, and its line of ``out`` is filled already.
MEASURED, MEAN_SQUARE, ACCOUNT, ELSEWHERE = range(4)


@lean_kernel
def term_rows(kind, column, number, factor, measured, v_pu, accounts, first, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (terms + 1, batch): each term, then their sum in the order of the terms.

    ``kind, column, number, factor`` (terms,): source, its column or account, its reference, the weight.
    ``accounts`` (accounts, batch, units), ``first`` (programs + 1,) as of `sum_units`.
    """
    n = kind.size
    for row in range(out.shape[1]):
        whole = 0.0
        for k in range(n):
            if kind[k] == MEASURED:
                out[k, row] = factor[k] * measured[row, column[k]]
            elif kind[k] == MEAN_SQUARE:
                out[k, row] = factor[k] * mean_square(v_pu[row], number[k])
            elif kind[k] == ACCOUNT:
                total = 0.0
                for program in range(first.size - 1):
                    part = 0.0
                    for unit in range(first[program], first[program + 1]):
                        part += accounts[column[k], row, unit]
                    total += part
                out[k, row] = factor[k] * total
            whole = out[k, row] if k == 0 else whole + out[k, row]
        out[n, row] = whole
