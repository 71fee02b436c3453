"""The linear model of a feeder about an operating point, from the power flow and its exact gradient.

Without loads and injections it is LinDistFlow, balanced or per phase (see `distgrid.physics.linear`): squared
voltages and flows that are linear in power, losses that are a quadratic form of it. About a solved point it
has the exact slopes there, and the curvature of the losses from differences of exact gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import physics
from ...errors import RunError
from ..affine import FloatArray
from .controls import Controls

_STEP = 1e-3  # of a column's range (at most of all load): differences of what is smooth
_BANK_STEP = 0.02


@dataclass(frozen=True, eq=False)
class Observed:
    """What limits and objectives see of solved rows, batch first.

    Attributes:
        v2: (batch, nodes) squared voltages, phases one by one. flow: (batch, 2, 2, branches) P and Q at the
            from and the to end. head: (batch,) MW of all sources. converged: (batch,).
    """

    v2: FloatArray
    flow: FloatArray
    head: FloatArray
    converged: FloatArray

    @classmethod
    def of(cls, sol: Any) -> Observed:
        """Of a batch of solutions."""
        batch = sol.p_slack_mw.shape[0]
        ends = (sol.p_from_mw, sol.q_from_mvar), (sol.p_to_mw, sol.q_to_mvar)
        flow = np.stack([np.stack([a.reshape(batch, -1) for a in end], axis=1) for end in ends], axis=1)
        ok = np.asarray(sol.converged) & ~np.asarray(sol.collapsed)
        return cls(sol.v_pu.reshape(batch, -1) ** 2, np.nan_to_num(flow), np.asarray(sol.p_slack_mw), ok)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """``y(x) = y0 + (x - x0) dy`` for squared voltages, flows and the head; the objective with its curvature.

    Attributes:
        x0: (n,). v2, flow, head: at x0, of one row; by_v2, by_flow, by_head: (n, ...) slopes.
        slope: (n,) of the smooth part of the objective. curve: (n, n) its second derivatives.
    """

    x0: FloatArray
    v2: FloatArray
    flow: FloatArray
    head: float
    by_v2: FloatArray
    by_flow: FloatArray
    by_head: FloatArray
    slope: FloatArray
    curve: FloatArray


def linearised(
    controls: Controls, x0: FloatArray, scalar: dict[str, float], *, of_no_load: bool = False
) -> LinearModel:
    """The model about ``x0``.

    Args:
        controls: What is set.
        x0: (n,) about which; with ``of_no_load`` without power of any unit.
        scalar: The smooth part of the objective as `physics.gradient` takes it, as in ``{"p_loss_mw": 1.0}``.
        of_no_load: About no load at all, then told for the loads that there are: LinDistFlow.
    """
    n, load0 = controls.n, 0.0 if of_no_load else 1.0
    step = _steps(controls)
    rows, load, extra = _around(controls, x0, load0, step)
    sol = controls.solve(rows, load, extra)
    seen = Observed.of(sol)
    if not seen.converged.all():
        raise RunError(
            "the power flow does not converge about the setpoints: the loads are beyond the feeder"
        )
    slopes = _slopes(controls, sol, rows, scalar)
    width = np.concatenate([step, [_STEP]])

    def slope_of(y: FloatArray) -> FloatArray:
        more, less = y[1 : n + 2], y[n + 2 :]
        return np.asarray((more - less) / (2.0 * width).reshape(-1, *(1,) * (y.ndim - 1)))

    by_v2, by_flow, by_head = slope_of(seen.v2), slope_of(seen.flow), slope_of(seen.head)
    curve = slope_of(slopes)  # (n + 1, n)
    v2, flow, head, slope = seen.v2[0], seen.flow[0], float(seen.head[0]), slopes[0]
    if of_no_load:  # the loads are one more column, which is 1
        v2, flow, head = v2 + by_v2[n], flow + by_flow[n], head + float(by_head[n])
        slope = slope + curve[n]
    curve = 0.5 * (curve[:n] + curve[:n].T)
    return LinearModel(x0, v2, flow, head, by_v2[:n], by_flow[:n], by_head[:n], slope, curve)


def _steps(controls: Controls) -> FloatArray:
    reach = (controls.most - controls.least) * controls.scale
    most = max(float(np.abs(controls.load_p).sum()), 1e-3)
    step = _STEP * np.clip(reach, 1e-3 * most, most) / controls.scale
    step[controls.first_tap :] = 1.0
    step[controls.first_bank :] = _BANK_STEP
    return np.asarray(step)


def _around(
    controls: Controls, x0: FloatArray, load0: float, step: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows at x0, then one column more by its step, then less; the loads are the last column."""
    n = controls.n
    rows = np.repeat(x0[None], 2 * n + 3, axis=0)
    load = np.full(2 * n + 3, load0)
    extra = np.zeros((2 * n + 3, controls.place.shape[1]))
    for first, sign in ((1, 1.0), (n + 2, -1.0)):
        for k in range(controls.first_bank):
            rows[first + k, k] += sign * step[k]
        load[first + n] += sign * _STEP
    if controls.banks.size:  # a bank in part is reactive power at the voltage that there is
        v2 = np.nan_to_num(Observed.of(controls.solve(x0[None], np.array([load0]))).v2[0])
        for first, sign in ((1, 1.0), (n + 2, -1.0)):
            for k in range(controls.first_bank, n):
                extra[first + k] = sign * step[k] * controls.place[k] * v2
    return rows, load, extra


def _slopes(controls: Controls, sol: Any, rows: FloatArray, scalar: dict[str, float]) -> FloatArray:
    """(batch, n) of the scalar by every column, exact in every row."""
    batch, n_unit = rows.shape[0], len(controls.units)
    found = np.zeros((batch, controls.n))
    if not scalar:
        return found
    seeds: dict[str, Any] = {name: np.full(batch, value) for name, value in scalar.items()}
    by = physics.gradient(sol, **seeds)
    p, q = (np.nan_to_num(a).reshape(batch, -1) for a in (by.p_inject_mw, by.q_inject_mvar))
    found[:, :n_unit] = p @ controls.place[:n_unit].T
    found[:, n_unit : controls.first_tap] = q @ controls.place[n_unit : controls.first_tap].T
    if controls.taps.size:
        found[:, controls.first_tap : controls.first_bank] = (
            by.tap[:, controls.tap_columns] * controls.tap_steps
        )
    if controls.banks.size:
        v2 = np.nan_to_num(sol.v_pu.reshape(batch, -1)) ** 2
        found[:, controls.first_bank :] = (q * v2) @ controls.place[controls.first_bank :].T
    return found * controls.scale
