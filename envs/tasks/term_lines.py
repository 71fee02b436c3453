"""The terms of a reward, read in one compiled call; those that no kernel knows are read by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kernels.terms import ACCOUNT, ELSEWHERE, LEDGER, MEAN_SQUARE, MEASURED, term_rows
from .terms import Term

if TYPE_CHECKING:
    from ...physics.solved_grid import SolvedGrid
    from ..resources import Fleet
    from .base import StepView

FloatArray = NDArray[np.float64]


class TermLines:
    """Terms of one grid: the bytes of `Readers`, and their sum; beside it the cost that is measured.

    Args:
        terms: of the task.
        charged: columns of ``measured`` that are costs.
        stepper: whose results are read.
        fleet: whose accounts are read.
        entries: of the ledger, (batch, columns).
    """

    def __init__(
        self,
        terms: tuple[Term, ...],
        charged: Sequence[int],
        stepper: SolvedGrid,
        fleet: Fleet,
        entries: FloatArray,
    ) -> None:
        self.names = tuple(term.name for term in terms)
        n, written = len(terms), fleet.accounts.written
        kind, column = np.full(n, ELSEWHERE, dtype=np.int64), np.zeros(n, dtype=np.int64)
        number, factor = np.zeros(n), np.zeros(n)
        others = []
        for k, term in enumerate(terms):
            factor[k], value = term.reader()
            source = term.of.source
            if source is None or (source.kind == ACCOUNT and source.of not in written):
                others.append((k, float(factor[k]), value))
                continue
            kind[k] = source.kind
            if source.kind in (MEASURED, LEDGER):
                column[k] = source.of
            elif source.kind == ACCOUNT:
                column[k] = written.index(str(source.of))
            else:
                assert source.kind == MEAN_SQUARE
                number[k] = {**term.of.parameters, **dict(term.parameters)}[str(source.of)]
        self._others = tuple(others)
        self._shape = (n + 2, stepper.batch)
        accounts = fleet.accounts
        self._given = (
            kind, column, number, factor, np.array(charged, dtype=np.int64), stepper.measured,
            stepper.v_pu, accounts.table, accounts.first, entries,
        )  # fmt: skip

    def read(self, view: StepView) -> FloatArray:
        """(terms + 2, batch) of the solved interval: each term, their sum, the cost; a fresh array."""
        out = np.empty(self._shape)
        for k, factor, value in self._others:
            out[k] = factor * value(view)
        term_rows(*self._given, out)
        return out
