"""A dispatch on the AC power flow itself: values and exact slopes of the objective and of every limit.

Balanced and per-phase feeders alike: what follows a bus or a branch is kept flat, (rows, n) or (rows, 3 n).
One power flow gives the values of a batch, one adjoint sweep with a lane for each scalar its slopes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import physics
from .affine import FloatArray, IntArray
from .branch_flow import NetworkLimits
from .quadratic import Setpoints

ComplexArray = NDArray[np.complex128]
TOLERANCE_PU = 1e-11
_V_SCALE = 0.1  # pu beyond a band that weigh as much as a whole rating


@dataclass(frozen=True, eq=False)
class AcLimits:
    """Limits of a network, flat: excess in their own unit, and what is one in their scale.

    Attributes:
        node: (n_v,) flat nodes of the band; low, high: pu.
        branch: two of (n_end,) flat ends, at the from and at the to side; rating: two of (n_end,) MVA.
        most_import_mw, most_export_mw: Of all sources; inf: none.
    """

    node: IntArray
    low: float
    high: float
    branch: tuple[IntArray, IntArray]
    rating: tuple[FloatArray, FloatArray]
    most_import_mw: float
    most_export_mw: float

    @classmethod
    def of(cls, net: Any, limits: NetworkLimits, live: NDArray[np.bool_]) -> AcLimits:
        """Of a network; ``live``: (size,) flat nodes that have a voltage and are no source's."""
        judged = np.repeat(limits.judges(net.feeder.column("nodes", "node_id")), live.size // net.n_bus)
        node = np.flatnonzero(live & judged) if limits.v_band is not None else np.empty(0, dtype=np.int64)
        low, high = limits.v_band or (0.0, np.inf)
        rating = np.full((2, 0), np.nan)
        if limits.thermal_margin is not None:
            each = net.phase_rating_mva if isinstance(net, physics.Network3) else [net.rating_mva] * 2
            rating = (1.0 - limits.thermal_margin) * np.array(each).reshape(2, -1)
        rated = [np.flatnonzero(np.isfinite(end)) for end in rating]
        return cls(
            node, low, high, (rated[0], rated[1]), (rating[0][rated[0]], rating[1][rated[1]]),
            limits.most_import_mw, limits.most_export_mw,
        )  # fmt: skip

    @cached_property
    def scale(self) -> FloatArray:
        """(n,) of each limit, in its own unit: bands above and below, ends, import, export."""
        heads = [max(abs(m), 1e-3) for m in (self.most_import_mw, self.most_export_mw) if np.isfinite(m)]
        band = np.full(2 * self.node.size, _V_SCALE)
        return np.concatenate([band, *(np.maximum(r, 1e-6) for r in self.rating), heads])

    def excess(self, v_pu: FloatArray, flows: Any, head_mw: FloatArray) -> FloatArray:
        """(rows, n) beyond each limit, in its own unit."""
        at = v_pu[:, self.node]
        parts = [at - self.high, self.low - at]
        parts += [np.abs(s[:, b]) - r for s, b, r in zip(flows, self.branch, self.rating, strict=True)]
        if np.isfinite(self.most_import_mw):
            parts.append(head_mw[:, None] - self.most_import_mw)
        if np.isfinite(self.most_export_mw):
            parts.append(-head_mw[:, None] - self.most_export_mw)
        return np.concatenate(parts, axis=1)

    def split(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Weights of limits as those of (voltages, from ends, to ends, power of the head)."""
        sizes = [self.node.size, self.node.size, self.branch[0].size, self.branch[1].size]
        above, below, near, far, head = np.split(weights / self.scale, np.cumsum(sizes), axis=1)
        signs = [s for s, m in ((1.0, self.most_import_mw), (-1.0, self.most_export_mw)) if np.isfinite(m)]
        return above - below, near, far, head @ np.array(signs, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class AcState:
    """A batch of power flows of a dispatch.

    Attributes:
        solution: Of `physics.solve`. v: its complex voltages, where another one may start.
        v_pu: (rows, size), NaN where there is none. flows: two of (rows, ends) MVA.
        value: (rows,) the part of the objective that the setpoints' own costs are not; inf where there is no
            solution.
        excess: (rows, n) beyond each limit, in its scale; at most 0 where it is kept.
    """

    solution: Any
    v: ComplexArray
    v_pu: FloatArray
    flows: tuple[ComplexArray, ComplexArray]
    value: FloatArray
    excess: FloatArray


@dataclass(frozen=True, eq=False)
class AcProblem:
    """The dispatch of one feeder for a batch of loads.

    Attributes:
        net: Balanced or per-phase network.
        setpoints: P of all units, then Q.
        share: (n_unit, size) what of a unit is fed in at each flat node.
        objective: "loss", "cost", "voltage" or "host".
        head_usd_mwh: Price of what the head delivers.
        limits: Of the network.
        loads: Arguments of `physics.solve` with a row for each problem.
        settings: Arguments of `physics.solve` that all rows have in common.
        beside: (2, size) P and Q that all rows feed in besides the units; 0: none.
    """

    net: Any
    setpoints: Setpoints
    share: FloatArray
    objective: str
    head_usd_mwh: float
    limits: AcLimits
    loads: dict[str, FloatArray]
    settings: dict[str, Any] = field(default_factory=dict)
    beside: FloatArray = field(default_factory=lambda: np.zeros((2, 1)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is told of a node or a branch, after their number."""
        return (3,) if isinstance(self.net, physics.Network3) else ()

    def evaluate(self, rows: IntArray, x: FloatArray, v: ComplexArray | None) -> AcState:
        """Power flows at (rows, n_x) setpoints of problems ``rows``; ``v``: where they start."""
        n = self.share.shape[0]
        shape = (rows.size, self.net.n_bus, *self.shape)
        given: dict[str, Any] = {name: array[rows] for name, array in self.loads.items()}
        sol = physics.solve(
            self.net, p_inject_mw=(x[:, :n] @ self.share + self.beside[0]).reshape(shape),
            q_inject_mvar=(x[:, n:] @ self.share + self.beside[1]).reshape(shape), v0=v, tol=TOLERANCE_PU,
            **given, **self.settings,
        )  # fmt: skip
        return self._state(sol, rows.size)

    def _state(self, sol: Any, rows: int) -> AcState:
        v = np.asarray(sol.v)
        v_pu = np.abs(v).reshape(rows, -1)
        ends = ((sol.p_from_mw, sol.q_from_mvar), (sol.p_to_mw, sol.q_to_mvar))
        flows = tuple((np.asarray(p) + 1j * np.asarray(q)).reshape(rows, -1) for p, q in ends)
        value = np.zeros(rows)
        if self.objective == "loss":
            value = np.array(sol.p_loss_mw)
        elif self.objective == "cost":
            value = self.head_usd_mwh * np.array(sol.p_slack_mw)
        elif self.objective == "voltage":
            value = np.nansum((v_pu - 1.0) ** 2, axis=1)
        value = np.where(sol.converged & ~sol.collapsed, value, np.inf)
        excess = self.limits.excess(v_pu, flows, np.array(sol.p_slack_mw)) / self.limits.scale
        return AcState(sol, v, v_pu, (flows[0], flows[1]), value, excess)

    def slopes(self, state: AcState, of_value: FloatArray, of_excess: FloatArray) -> FloatArray:
        """(lanes, n_x) gradients of ``of_value`` (lanes,) times value, ``of_excess`` (lanes, n) times excess.

        A state of one row serves all lanes.
        """
        lanes = of_value.size
        seeds = {"v_pu": np.zeros((lanes, state.v_pu.shape[1])), **self._of_objective(state, of_value)}
        band, near, far, head = self.limits.split(of_excess)
        seeds["v_pu"][:, self.limits.node] += band
        if head.any():
            seeds["p_slack_mw"] = seeds.get("p_slack_mw", 0.0) + head
        for side, weight in enumerate((near, far)):
            if weight.any():
                seeds |= self._of_end(state, side, weight)
        shaped: dict[str, Any] = {
            name: seed if seed.ndim == 1 else seed.reshape(lanes, -1, *self.shape)
            for name, seed in seeds.items()
        }
        by = physics.gradient(state.solution, **shaped)
        parts = (by.p_inject_mw, by.q_inject_mvar)
        flat = [np.asarray(part).reshape(lanes, -1) @ self.share.T for part in parts]
        return np.concatenate(flat, axis=1)

    def _of_objective(self, state: AcState, of_value: FloatArray) -> dict[str, FloatArray]:
        """What the weighted value is by results of the power flow."""
        if self.objective == "voltage":
            return {"v_pu": of_value[:, None] * 2.0 * np.nan_to_num(state.v_pu - 1.0)}
        if not of_value.any():
            return {}
        if self.objective == "loss":
            return {"p_loss_mw": of_value}
        return {"p_slack_mw": self.head_usd_mwh * of_value} if self.objective == "cost" else {}

    def _of_end(self, state: AcState, side: int, weight: FloatArray) -> dict[str, FloatArray]:
        """Derivatives of weighted apparent powers at one end of branches, by P and Q there."""
        flow, at = state.flows[side], self.limits.branch[side]
        unit = weight * flow[:, at] / np.where(flow[:, at] != 0.0, np.abs(flow[:, at]), 1.0)
        names = (("p_from_mw", "q_from_mvar"), ("p_to_mw", "q_to_mvar"))[side]
        found = {name: np.zeros((weight.shape[0], flow.shape[1])) for name in names}
        for name, part in zip(names, (unit.real, unit.imag), strict=True):
            found[name][:, at] = part
        return found
