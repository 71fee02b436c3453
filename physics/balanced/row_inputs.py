"""Taps and banks as inputs of a row, checked: which columns hold others than the feeder."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .adjustment import RowGroup, RowSettings
from .arguments import refuse, states_of
from .kernels.adjusted import take_ratios
from .network import Network
from .tree import BoolArray, FloatArray, IntArray

_FIRST_ROWS = 8
NO_ROWS = np.empty(0, dtype=np.int64)
NO_COLUMNS, NO_SETTINGS = np.empty(0, dtype=np.int32), np.empty((0, 0))


def row_settings(
    net: Network, tap: ArrayLike | None, cap_on: ArrayLike | None, batch: int
) -> RowSettings | None:
    """Taps (batch, n_branch) and states (batch, n_cap) as settings; None where all are the feeder's.

    ValueError for a wrong shape, a tap that is not finite and above 0, a state that is not True or False.
    """
    banks = NO_ROWS
    if cap_on is not None:
        states = states_of("cap_on", cap_on, batch, net.cap_on.size)
        banks = np.flatnonzero((states != net.cap_on).any(axis=0))
    taps, values, good = NO_ROWS, np.empty((batch, banks.size)), True
    if tap is not None:
        taps, values, good = _taken(net, _ratios(net, tap), batch, banks.size)
    if not taps.size and not banks.size:
        return None
    if not good:
        given = np.asarray(tap)
        refuse("tap", given, ~np.isfinite(given), "a finite number")
        refuse("tap", given, given <= 0, "above 0 (1.0 is the nominal ratio)")
    if banks.size:
        values[:, taps.size :] = states[:, banks]
    return RowSettings(taps, banks, values)


def by_settings(net: Network, closed: BoolArray, rows: IntArray, settings: RowSettings) -> list[RowGroup]:
    """Groups of ``rows`` with a tree for each combination of settings, ``closed`` (n_branch,) for all."""
    values, label = np.unique(settings.values[rows], axis=0, return_inverse=True)
    label, n = label.reshape(-1), settings.tap.size
    groups = []
    for j, value in enumerate(values):
        tap, cap_on = net.tap.copy(), net.cap_on.copy()
        tap[settings.tap], cap_on[settings.bank] = value[:n], value[n:] != 0.0
        groups.append(RowGroup(rows[label == j], net.variant(closed, tap, cap_on), None))
    return groups


def _taken(net: Network, ratios: FloatArray, batch: int, more: int) -> tuple[IntArray, FloatArray, bool]:
    """Branches with others than the feeder's, (batch, n + more) with these first, whether all are good.

    The first rows tell which branches these will be, so that one pass over a batch most often is enough.
    """
    bits, few = np.zeros(net.n_branch, dtype=np.int64), min(batch, _FIRST_ROWS)
    exact, stored = ratios.view(np.int64), net.tap.view(np.int64)
    take_ratios(ratios[:few], exact[:few], stored, NO_ROWS, np.empty((few, 0)), bits)
    while True:
        taps = np.flatnonzero(bits)
        values = np.empty((batch, taps.size + more))
        good = take_ratios(ratios, exact, stored, taps, values, bits)
        if np.count_nonzero(bits) == taps.size:
            return taps, values, bool(good)


def _ratios(net: Network, tap: ArrayLike) -> FloatArray:
    """``tap`` as a writeable (batch or 1, n_branch) array."""
    array = np.asarray(tap, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != net.n_branch:
        raise ValueError(
            f"tap must have shape ({net.n_branch},) or (batch, {net.n_branch}), got {array.shape}"
        )
    array = array.reshape(-1, net.n_branch)
    return array if array.flags.carray else array.copy()
