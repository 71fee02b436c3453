"""What a violation of a limit is: the one definition that costs, counts, tables and reports share.

A limit holds up to and including itself, to the last bit: ``value > limit`` is a violation, of the size
``value - limit``, and there is no tolerance. What does not exist (NaN: a dead node, an absent phase, no
rating) violates nothing. The voltage of a source is given to the feeder, no result, and is not judged.

Kernels call the first functions, with numbers or with lanes; whoever has arrays calls the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .numba_tools.jit import inline
from .numba_tools.lanes import choose, larger

if TYPE_CHECKING:
    from ..cases import Feeder

FloatArray = NDArray[np.float64]

#: Unbalance above this counts as this much: without a positive sequence it has no bound.
VUF_TOP_PCT = 100.0
#: The loading that is told of a branch whose flow is above its rating by less than a division can show.
JUST_ABOVE = float(np.nextafter(1.0, 2.0))


@inline
def excess(beyond, zero):  # type: ignore[no-untyped-def]
    """``beyond`` its limit where above 0, else ``zero``; NaN is no violation."""
    return choose(beyond, beyond, zero)


@inline
def excess_of_band(value, low, high, zero):  # type: ignore[no-untyped-def]
    """How far ``value`` is outside [low, high]; a limit of NaN is none."""
    return excess(value - high, excess(low - value, zero))


@inline
def loading_above(over, ratio, just_above):  # type: ignore[no-untyped-def]
    """``ratio`` of flow to rating, above 1 if and only if ``over``, their difference, is above 0."""
    return choose(over, larger(ratio, just_above), ratio)


class OfBand(NamedTuple):
    """How far values lie outside a band; 0 where they do not."""

    over: FloatArray
    under: FloatArray


def judged_band(feeder: Feeder, band: tuple[float, float] | None = None) -> tuple[FloatArray, FloatArray]:
    """(n_nodes,) lowest and highest voltage allowed: ``band``, or the nodes' limits; of sources 0 and inf."""
    v_min, v_max = (feeder.column("nodes", c).copy() for c in ("v_min", "v_max"))
    if band is not None:
        v_min[:], v_max[:] = band
    sources = [feeder.node_index[str(node)] for node in feeder.column("sources", "node_id")]
    v_min[sources], v_max[sources] = 0.0, np.inf
    return v_min, v_max


def of_band(value: FloatArray, low: FloatArray, high: FloatArray) -> OfBand:
    """How far ``value`` is above ``high`` and below ``low``, in the values' unit and shape."""
    return OfBand(_excess(value - high), _excess(low - value))


def of_rating(loading: FloatArray, rating_mva: FloatArray) -> FloatArray:
    """MVA above the rating, from the ``loading`` that a power flow tells (1: at the rating)."""
    return _excess((loading - 1.0) * rating_mva)


def of_unbalance(vuf_pct: FloatArray, vuf_max_pct: float) -> FloatArray:
    """Per cent above the limit of unbalance, where 100 % is the most that counts."""
    return _excess(np.minimum(vuf_pct, VUF_TOP_PCT) - vuf_max_pct)


def _excess(beyond: FloatArray) -> FloatArray:
    return np.where(beyond > 0.0, beyond, 0.0)
