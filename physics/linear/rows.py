"""Rows of a feeder's tables by id, and one solved row of a network, checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..balanced.network import Network
from ..balanced.solution import Solution
from ..unbalanced.network import Network3
from ..unbalanced.solution import Solution3


def rows_named(kind: str, index: Mapping[str, int], names: Sequence[str] | None, n: int) -> NDArray[np.int64]:
    """Rows of ``names``, all ``n`` where None; ValueError with the nearest name for one that is not there."""
    if names is None:
        return np.arange(n)
    if isinstance(names, str):
        raise TypeError(f"give several {kind} ids, as in [{names!r}], not one text")
    rows = []
    for name in names:
        if str(name) not in index:
            near = difflib.get_close_matches(str(name), list(index), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"there is no {kind} {str(name)!r} in this feeder{hint}")
        rows.append(index[str(name)])
    return np.array(rows, dtype=np.int64)


def check_one_row(net: Network | Network3, sol: Solution | Solution3) -> None:
    """ValueError unless ``sol`` is one converged row of ``net`` without a batch axis."""
    if sol.net is not net:
        raise ValueError(
            f"the solution is of feeder {sol.net.feeder.name!r}, compiled apart from the network given"
        )
    if not sol.squeeze:
        raise ValueError("give the solution of one row, solved without a batch axis")
    if not sol.converged:
        raise ValueError(
            "the power flow did not converge: around what is no solution nothing has a sensitivity"
        )
