"""What the terms of a reward read of a feeder that is linearised around the AC power flow of a plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..affine import Affine, FloatArray, IntArray
from ..program import Program
from .slopes import Slopes, State

_LOSSLESS = 0.98  # share of a rating that flows without losses keep to
_LEANING = 1.0  # price of what reactive power loses where losses are not curved: it has a best value then


class LinearGrid:
    """See `rewards.PlannedGrid`: voltages and flows as straight lines, losses and deviations as squares.

    Args:
        program: Takes columns and rows.
        slopes: Of the feeder.
        state: What it is linearised around.
        change: (steps, d) columns, P and Q: by how much what is fed in differs from the state's, pu.
        most: (steps, d) the most of their sizes.
        straight: (steps,) where losses are a straight line, too, because more of them would pay.
        v_band: Of the task; None: it has none.
        margin_pu: (steps, m) by how much voltages keep within it.
    """

    def __init__(
        self, program: Program, slopes: Slopes, state: State, change: tuple[Affine, Affine],
        most: tuple[FloatArray, FloatArray], straight: NDArray[np.bool_],
        v_band: tuple[float, float] | None, margin_pu: FloatArray,
    ) -> None:  # fmt: skip
        self._program, self._slopes, self._state = program, slopes, state
        self._p, self._q = change
        self._most, self._v_band, self._margin_pu = most, v_band, margin_pu
        base = slopes.network.base_mva
        self.loss_mw = self._losses(straight)
        self.p_source_mw = self.loss_mw + (state.p_source_mw - state.loss_mw) - base * self._p.sum(axis=1)

    # -- terms -----------------------------------------------------------------------------------------------

    def deviation(self, reference_pu: float) -> Affine:
        """Mean square of the voltages' straight lines from a reference."""
        v = self._state.v_pu
        slope = np.concatenate([self._slopes.r, self._slopes.x], axis=1) / (2.0 * v[:, :, None])
        return self._square(v - reference_pu, slope).sum() / self._slopes.network.size

    def violation(self) -> Affine:
        """Of the watched positions, each for those that it stands for, beyond a band less the margin."""
        if self._v_band is None:
            return Affine(0.0)
        watched, weight = self._slopes.watched, self._slopes.weight
        (low, high), margin = self._v_band, self._margin_pu[:, watched]
        half = 0.5 / self._state.v_pu[:, watched, None]
        v = self._line(
            self._state.v_pu[:, watched], self._slopes.r[watched] * half, self._slopes.x[watched] * half
        )
        out = [self._program.positive(low + margin - v), self._program.positive(v - (high - margin))]
        return (weight * (out[0] + out[1])).sum()

    def overload(self) -> Affine:
        """Only branches that can be loaded beyond their rating have rows."""
        network, below, program = self._slopes.network, self._slopes.below, self._program
        sizes = [
            np.abs(flow) + most @ below.T
            for flow, most in zip((self._state.p, self._state.q), self._most, strict=True)
        ]
        rating = _LOSSLESS * network.rating_mva / network.base_mva
        which = np.flatnonzero((np.hypot(*sizes) > rating).any(axis=0))
        if not which.size:
            return Affine(0.0)
        shape = (len(sizes[0]), which.size, below.shape[1])
        none, by = np.zeros(shape), np.broadcast_to(-below[which], shape)
        p = self._line(self._state.p[:, which], by, none)
        q = self._line(self._state.q[:, which], none, by)
        above = program.columns(p.shape, sizes[0][:, which] + sizes[1][:, which])
        program.nonneg(above)
        program.cone(above + rating[which], p, q)
        return network.base_mva * above.sum()

    def squared_voltages(self, positions: IntArray) -> Affine:
        """(steps, k)."""
        v = self._state.v_pu[:, positions]
        shape = (*v.shape, self._slopes.at.size)
        r, x = (np.broadcast_to(one[positions], shape) for one in (self._slopes.r, self._slopes.x))
        return self._line(np.square(v), r, x)

    # -- lines and squares -----------------------------------------------------------------------------------

    def _losses(self, straight: NDArray[np.bool_]) -> Affine:
        """(steps,) MW: r (P^2 + Q^2) / v of all branches, as it differs from what the state loses."""
        state, below = self._state, self._slopes.below
        network = self._slopes.network
        share = np.sqrt(np.maximum(network.r_pu, 0.0)) / state.v_pu[:, network.fed]
        slope = -share[:, :, None] * below
        gradient = 2.0 * np.einsum("tfd,tf->td", slope, share * state.p) * straight[:, None]
        total = Affine(state.loss_mw) + network.base_mva * (gradient * self._p).sum(axis=1)
        for flow, change, curved in (
            (state.p, self._p, np.flatnonzero(~straight)),
            (state.q, self._q, np.arange(straight.size)),
        ):
            if not curved.size:
                continue
            square = network.base_mva * self._curve((share * flow)[curved], slope[curved], change[curved])
            counted = (~straight)[curved].astype(np.float64)
            total = total + (square * counted).scattered(curved, straight.size)
            self._program.minimise(_LEANING * (square * (1.0 - counted)).sum())
        return total

    def _curve(self, at: FloatArray, slope: FloatArray, change: Affine) -> Affine:
        """(k,) |at + slope change|^2 - |at|^2."""
        return _square_of(self._program, at, slope, change) - np.square(at).sum(axis=1)

    def _square(self, at: FloatArray, slope: FloatArray) -> Affine:
        """(steps,) |at + slope (p, q)|^2."""
        both = _beside(self._p, self._q)
        return _square_of(self._program, at, slope, both)

    def _line(self, at: FloatArray, by_p: FloatArray, by_q: FloatArray) -> Affine:
        """(steps, k) at + by_p p + by_q q, slopes (steps, k, d)."""
        return _lines(at, np.concatenate([by_p, by_q], axis=2), _beside(self._p, self._q))


def _beside(one: Affine, other: Affine) -> Affine:
    """(steps, 2 d) columns of two arrays of columns."""
    shape = one.shape
    both = np.concatenate([one.column.reshape(shape), other.column.reshape(shape)], axis=1)
    return Affine.of_columns(both)


def _lines(at: FloatArray, slope: FloatArray, columns: Affine) -> Affine:
    """(steps, k) at + slope columns; slope (steps, k, n), columns (steps, n)."""
    steps, k, n = slope.shape
    column = np.broadcast_to(columns.column.reshape(steps, 1, n), slope.shape)
    return Affine(at, np.repeat(np.arange(steps * k), n), column.ravel(), slope.ravel())


def _square_of(program: Program, at: FloatArray, slope: FloatArray, columns: Affine) -> Affine:
    """(steps,) an upper bound of |at + slope columns|^2, tight where minimised: one cone an interval.

    Of at + slope columns only the part in the range of the slopes moves; the rest is a number.
    """
    basis, upper = np.linalg.qr(slope)  # (steps, m, n), (steps, n, n)
    inside = np.einsum("tmn,tm->tn", basis, at)
    rest = np.maximum(np.square(at).sum(axis=1) - np.square(inside).sum(axis=1), 0.0)
    lines = _lines(inside, upper, columns)
    reach = np.square(program.reach_of(lines)).sum(axis=1) + 1e-9
    top = program.columns(reach.shape, reach)
    program.rotated(top, Affine(np.ones(reach.shape)), *(lines[:, j] for j in range(lines.shape[1])))
    return top + rest
