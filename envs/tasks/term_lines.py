"""The terms of a reward, read in one compiled call; those that no kernel knows are read by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kernels.terms import ACCOUNT, ELSEWHERE, MEAN_SQUARE, MEASURED, term_rows
from .terms import Term

if TYPE_CHECKING:
    from ...physics.solved_grid import SolvedGrid
    from ..resources import Fleet
    from .base import StepView

FloatArray = NDArray[np.float64]


class TermLines:
    """Terms of one grid: the bytes of `Readers`, and their sum.

    Args:
        terms: of the task.
        stepper: whose results are read.
        fleet: whose accounts are read.
    """

    def __init__(self, terms: tuple[Term, ...], stepper: SolvedGrid, fleet: Fleet) -> None:
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
            if source.kind == MEASURED:
                column[k] = source.of
            elif source.kind == ACCOUNT:
                column[k] = written.index(str(source.of))
            else:
                assert source.kind == MEAN_SQUARE
                number[k] = {**term.of.parameters, **dict(term.parameters)}[str(source.of)]
        self._others = tuple(others)
        self._shape = (n + 1, stepper.batch)
        accounts = fleet.accounts
        self._given = (
            kind, column, number, factor, stepper.measured, stepper.v_pu, accounts.table, accounts.first,
        )  # fmt: skip

    def read(self, view: StepView) -> FloatArray:
        """(terms + 1, batch) of the solved interval: each term, then their sum; a fresh array."""
        out = np.empty(self._shape)
        for k, factor, value in self._others:
            out[k] = factor * value(view)
        term_rows(*self._given, out)
        return out
