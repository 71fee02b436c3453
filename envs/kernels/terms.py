"""Terms of a reward from what kernels have written: one call for all rows, terms and their sum."""

from __future__ import annotations

from ...physics.numba_tools.jit import lean_kernel
from .devices import sum_of_programs
from .rows import mean_square

#: Where a term's value comes from: a column of ``measured``, the mean square of voltages about a reference,
#: the sum of an account over units, a column of the ledger; or somewhere else, and its line of ``out`` is
#: filled already.
MEASURED, MEAN_SQUARE, ACCOUNT, LEDGER, ELSEWHERE = range(5)


@lean_kernel
def term_rows(  # type: ignore[no-untyped-def]
    kind, column, number, factor, charged, measured, v_pu, accounts, first, entries, out
):
    """Fill ``out`` (terms + 2, batch): each term, their sum in the order of the terms, and the cost.

    ``kind, column, number, factor`` (terms,): source, its column or account, its reference, the weight.
    ``accounts`` (accounts, batch, units), ``first`` (programs + 1,) where the units of each program begin,
    ``entries`` (batch, columns) of the ledger. The cost is the sum of columns ``charged`` of ``measured``.
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
                out[k, row] = factor[k] * sum_of_programs(accounts[column[k], row], first)
            elif kind[k] == LEDGER:
                out[k, row] = factor[k] * entries[row, column[k]]
            whole = out[k, row] if k == 0 else whole + out[k, row]
        out[n, row] = whole
        cost = 0.0
        for k in range(charged.size):
            here = measured[row, charged[k]]
            cost = here if k == 0 else cost + here
        out[n + 1, row] = cost
