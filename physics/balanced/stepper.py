"""A power flow with its memory kept: the same network solved again and again for the same number of rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..row_results import N_ENDED, N_MEASURED, RowResults
from .adjustment import RowGroup, RowSettings, adjustment
from .kernels.adjusted import ratios_of
from .kernels.measure import measure_rows
from .kernels.solve_rows import Inputs, Outputs, workspace_for
from .kernels.step_rows import DETAILS, StepLimits, StepResults, step_rows
from .network import Network
from .row_inputs import by_settings
from .solve import solve_group

FloatArray = NDArray[np.float64]
_KEPT = (
    "load_p_mw", "load_q_mvar", "inject_p_mw", "inject_q_mvar", "v", "v_pu", "s_from", "s_to", "i_ka",
    "loading", "ended", "measured", "q_held_mvar", "tap", "cap_on",
)  # fmt: skip
_NO_ROWS = np.empty((0, 0), dtype=np.complex128)


class Stepper(RowResults):
    """Solve ``batch`` rows of ``net`` into arrays that are allocated once.

    Fill ``load_p_mw, load_q_mvar`` (batch, n_bus; power at 1 pu, positive when it consumes) and
    ``inject_p_mw, inject_q_mvar`` (batch, n_bus; constant power, positive when it injects), ``tap`` (batch,
    n_regulator) ratios 1 + position * step and ``cap_on`` (batch, n_capacitor) 0 or 1, which start as stored;
    call :meth:`solve`, read the results. The next call overwrites them: copy what you hand out.
    Thermal and voltage limits are per branch and per node; NaN means no limit. Networks with loops or held
    voltages are solved one row after the other.

    Attributes (written by ``solve``): ``v`` (batch, n_bus) complex pu, ``v_pu``; ``s_from, s_to`` (batch,
    n_branch) complex MVA into the branch; ``i_ka``, ``loading``; ``loss_mva, slack_mva`` (batch,) complex;
    ``voltage_violation_pu, n_voltage_violations, overload_mva, n_overloads``; ``status, iterations,
    v_update_pu``; ``q_held_mvar`` (batch, n_held) as in a Solution. Those per row are columns of ``ended``
    and ``measured``, see `RowResults`. Of ``s_from, s_to, i_ka`` those that ``details`` does not name are not
    computed and have no rows.
    """

    def __init__(
        self,
        net: Network,
        batch: int,
        v_min: FloatArray,
        v_max: FloatArray,
        details: Collection[str] = DETAILS,
    ) -> None:
        n, m = net.n_bus, net.n_branch
        self.net, self.batch, self.details = net, batch, tuple(d for d in DETAILS if d in details)
        rows = {name: batch if name in details else 0 for name in DETAILS}
        self._band = np.stack([v_min, v_max], axis=1)
        self.v_min, self.v_max = self._band.T
        self.v_collapse_pu = 0.5
        self._inputs = inputs = Inputs(*(np.zeros((batch, n)) for _ in Inputs._fields))
        self.load_p_mw, self.load_q_mvar = inputs.load_p_mw, inputs.load_q_mvar
        self.inject_p_mw, self.inject_q_mvar = inputs.inject_p_mw, inputs.inject_q_mvar
        self._outputs = outputs = _outputs(net, batch)
        self._results = flows = StepResults(
            s_from=np.zeros((rows["s_from"], m), dtype=np.complex128),
            s_to=np.zeros((rows["s_to"], m), dtype=np.complex128),
            v_pu=np.zeros((batch, n)), i_ka=np.zeros((rows["i_ka"], m)), loading=np.zeros((batch, m)),
        )  # fmt: skip
        self._name_columns(outputs.ended, outputs.measured)
        self.v, self.v_pu = outputs.v, flows.v_pu
        self.port_v_pu = self.v_pu  # what resources see: their node's voltage
        self.vuf_pct = np.zeros((batch, 0))  # balanced: there is none to tell of
        self.s_from, self.s_to, self.i_ka, self.loading = flows.s_from, flows.s_to, flows.i_ka, flows.loading
        top, n_reg, n_cap = net.topology, net.reg_branch.size, net.cap_on.size
        self.tap = np.repeat(net.reg_gain[None], batch, axis=0)
        # As the power flow reads them: ratios of the branches with regulators, then states of banks.
        values = np.empty((batch, n_reg + n_cap))
        values[:] = np.append(net.tap[net.reg_branch], net.cap_on)
        self._settings = RowSettings(net.reg_branch, np.arange(n_cap), values)
        self.cap_on = values[:, n_reg:]
        self._adjusts, self._plain = n_reg + n_cap > 0, top.plain
        plan, n_own = top.plan, 0
        if self._adjusts and self._plain:
            self._own = adjustment(net, top, *self._settings[:2])
            plan, n_own = self._own.sweep, self._own.size
        self._sources = np.repeat(net.source_phasor[None], batch, axis=0)
        self._ratings = _ratings(net)
        self.q_held_mvar = np.zeros((batch, net.held_node.size))
        self._room = workspace_for(plan, batch, n_own)
        self._run = step_rows.bind(
            plan=plan, ends=top.ends, inputs=inputs, v_source=self._sources, v_start=_NO_ROWS,
            base_mva=net.base_mva, state=self._room, outputs=outputs,
            limits=StepLimits(self._band, self._ratings), flows=flows,
        )  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has arrays of its own, and its attributes are views of these again."""
        state = {name: getattr(self, name) for name in _KEPT}
        made = (self.net, self.batch, *self._band.T, self.details)
        return Stepper, made, {**state, "v_collapse_pu": self.v_collapse_pu}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.v_collapse_pu = state.pop("v_collapse_pu")
        for name, array in state.items():
            np.copyto(getattr(self, name), array)

    def solve(self, tol: float = 1e-8, max_iter: int = 100, lo: int = 0, hi: int | None = None) -> None:
        """Solve rows [lo, hi), all by default, from no-load voltages: the past has no influence."""
        hi = self.batch if hi is None else hi
        if self._adjusts:
            ratios_of(self.net.reg_ratio, self.tap, lo, hi, self._settings.values)
        if not self._plain:
            self._solve_any(lo, hi, tol, max_iter)
            return
        if self._adjusts:
            self._own.fill(self._room, lo, hi, self._settings.values)
        self._run(lo, hi, tol, max_iter, self.v_collapse_pu)

    def _solve_any(self, lo: int, hi: int, tol: float, max_iter: int) -> None:
        """The same where branches are parallel, make loops, or generators hold voltages."""
        net, part = self.net, slice(lo, hi)
        outputs = Outputs._make(a[part] for a in self._outputs)
        outputs = outputs._replace(current=np.zeros((hi - lo, net.n_branch), dtype=np.complex128))
        numbers = (1.0 / net.base_mva, tol, max_iter, self.v_collapse_pu)
        inputs = Inputs(*(a[part] for a in self._inputs))
        groups = [RowGroup(slice(None), net.topology, None)]
        if self._adjusts:
            settings = self._settings.of(part)
            groups = by_settings(net, net.closed, np.arange(hi - lo), settings)
        for group in groups:
            solve_group(
                group, inputs, self._sources[part], _NO_ROWS, outputs, numbers, 1, net, "backward-forward",
                self.q_held_mvar[part],
            )  # fmt: skip
            rows = [(lo, hi)] if isinstance(group.rows, slice) else [(lo + r, lo + r + 1) for r in group.rows]
            for first, last in rows:
                measure_rows(
                    *group.topology.ends, first, last, net.base_mva, self.v,
                    outputs.current[first - lo : last - lo], self._outputs.s_source_mva, self.ended,
                    self.measured, self._band, self._ratings, *self._results,
                )  # fmt: skip


def _ratings(net: Network) -> FloatArray:
    """(n_branch, 3) rating in MVA, sqrt(3) kV of the from and of the to end."""
    kv = np.sqrt(3.0) * net.base_kv
    return np.stack([net.rating_mva, kv[net.from_row], kv[net.to_row]], axis=1)


def _outputs(net: Network, batch: int) -> Outputs:
    return Outputs(
        v=np.full((batch, net.n_bus), np.nan + 0j),
        current=np.empty((0, net.n_branch), dtype=np.complex128),  # measured, not kept
        s_source_mva=np.zeros((batch, net.source_node.size), dtype=np.complex128),
        ended=np.zeros((batch, N_ENDED), dtype=np.int64),
        measured=np.zeros((batch, N_MEASURED)),
    )
