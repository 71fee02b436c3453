"""What a power flow returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..flags import COLLAPSED, CONVERGED, DIVERGED
from ..flow_properties import FlowViews
from .adjustment import RowGroup
from .branch_flows import flow_rows
from .kernels.solve_rows import Outputs
from .network import Network
from .row_inputs import NO_COLUMNS, NO_SETTINGS

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
NO_LOADS = np.empty((1, 0), dtype=np.complex128)


@dataclass(frozen=True, eq=False, init=False)
class Solution(FlowViews):
    """Result of :func:`distgrid.physics.solve`, in the order of ``feeder.nodes`` and ``feeder.branches``.

    Arrays are ``(batch, n_bus)`` or ``(batch, n_branch)``; for a single case given without a batch axis they
    have no batch axis, and the scalars below are NumPy scalars. De-energised nodes are NaN, branches that
    are open, dead or left out carry 0.

    ``converged``: a true solution on the operable branch: a further sweep would move no voltage by ``tol``
    and the power mismatch is below ``10 tol``. ``diverged``: ``max_iter`` reached or the update grew without
    bound; the numbers are the last iterate. ``collapsed``: some node fell below ``v_collapse_pu``: of the
    solution where converged, of any iterate otherwise.
    """

    net: Network
    _v: NDArray[np.complex128] = field(repr=False)  # (batch, n_bus) pu
    _current: NDArray[np.complex128] = field(repr=False)  # (batch, n_branch) pu
    _s_source_mva: NDArray[np.complex128] = field(repr=False)  # (batch, n_source)
    _ended: NDArray[np.int64] = field(repr=False)  # (batch, 2) status bits, iterations
    _measured: FloatArray = field(repr=False)  # (batch, 1) last voltage change
    groups: tuple[RowGroup, ...] = field(repr=False)
    squeeze: bool = field(repr=False)
    _q_held: FloatArray | None = field(repr=False)  # (batch, n_held) Mvar
    # (batch, n_zip) complex: loads that depend on voltage, at 1 pu, in the order of ``net.zip_node``
    zip_load_mva: NDArray[np.complex128] = field(repr=False)

    def __init__(
        self, net: Network, outputs: Outputs, groups: tuple[RowGroup, ...], squeeze: bool,
        q_held: FloatArray | None = None, zip_load_mva: NDArray[np.complex128] = NO_LOADS,
    ) -> None:  # fmt: skip
        # Straight into the dictionary: the setters of a frozen dataclass cost as much as a sweep.
        own = self.__dict__
        own["zip_load_mva"] = zip_load_mva
        own["net"], own["groups"], own["squeeze"], own["_q_held"] = net, groups, squeeze, q_held
        own["_v"], own["_current"], own["_s_source_mva"], own["_ended"], own["_measured"] = outputs

    def memory(self, net: Network, batch: int) -> Outputs:
        """The arrays of this solution, for another one. ValueError where that has other shapes."""
        if self.net is not net or self._v.shape[0] != batch:
            raise ValueError(
                f"out must be a solution of this network with {batch} rows, got {self._v.shape[0]} rows of "
                f"feeder {self.net.feeder.name!r}"
            )
        return Outputs(self._v, self._current, self._s_source_mva, self._ended, self._measured)

    def _out(self, array: NDArray[Any]) -> Any:
        return array[0] if self.squeeze else array

    @cached_property
    def v(self) -> NDArray[np.complex128]:
        """Complex voltage, pu of each bus's base."""
        return np.asarray(self._out(self._v))

    @cached_property
    def i_branch(self) -> NDArray[np.complex128]:
        """Series current of each branch into its child end, pu."""
        return np.asarray(self._out(self._branch_current))

    @property
    def _branch_current(self) -> NDArray[np.complex128]:
        if self._current.shape[0] != self._v.shape[0]:
            raise AttributeError("this power flow was solved with currents=False: it has voltages only")
        return self._current

    @cached_property
    def s_source_mva(self) -> NDArray[np.complex128]:
        """Complex power delivered by each source."""
        return np.asarray(self._out(self._s_source_mva))

    @cached_property
    def q_held_mvar(self) -> FloatArray:
        """Reactive power that generators inject at each node whose voltage they hold, (batch, n_held).

        In the order of ``net.held_node``; 0 at dead nodes. Loads and injections of these nodes come on top.
        """
        rows = self._v.shape[0]
        return np.asarray(self._out(np.zeros((rows, 0)) if self._q_held is None else self._q_held))

    @cached_property
    def converged(self) -> BoolArray:
        """Whether this is a true solution; see the class."""
        return self._flag(CONVERGED)

    @cached_property
    def diverged(self) -> BoolArray:
        """Whether no solution was found."""
        return self._flag(DIVERGED)

    @cached_property
    def collapsed(self) -> BoolArray:
        """Whether some node fell below the collapse voltage."""
        return self._flag(COLLAPSED)

    def _flag(self, bit: int) -> Any:
        return self._out((self._ended[:, 0] & bit) != 0)

    @cached_property
    def iterations(self) -> Any:
        """Sweeps and Newton steps."""
        return self._out(self._ended[:, 1])

    @cached_property
    def v_update_pu(self) -> Any:
        """Last voltage change; of pandapower's methods, the length of Newton's next step."""
        return self._out(self._measured[:, 0])

    @cached_property
    def v_pu(self) -> FloatArray:
        """Voltage magnitude, pu of each bus's base."""
        return np.asarray(self._out(np.abs(self._v)))

    @cached_property
    def v_deg(self) -> FloatArray:
        """Voltage angle in degrees."""
        return np.asarray(self._out(np.angle(self._v, deg=True)))

    @cached_property
    def _flows(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Complex MVA into the from and the to end of each branch, (batch, n_branch)."""
        net, v, current = self.net, self._v, self._branch_current
        s_from, s_to = np.empty_like(current), np.empty_like(current)
        for rows, top, settings in self.groups:
            whole = isinstance(rows, slice)
            part_v, part_i = (v, current) if whole else (v[rows], current[rows])
            ends = (s_from, s_to) if whole else (np.empty_like(part_i), np.empty_like(part_i))
            column, values = NO_COLUMNS, NO_SETTINGS
            if settings is not None:
                column, values = settings.columns(net.n_branch), settings.values
            flow_rows(*top.ends, 0, part_v.shape[0], net.base_mva, column, values, part_v, part_i, *ends)
            if not whole:
                s_from[rows], s_to[rows] = ends
        return s_from, s_to

    @cached_property
    def i_ka(self) -> FloatArray:
        """Larger of the two ends' currents, kA."""
        return np.asarray(self._out(branch_current_ka(self.net, self._v, *self._flows)))

    @cached_property
    def loading(self) -> FloatArray:
        """Larger end's apparent power over the rating; NaN where a branch has no rating."""
        s = np.maximum(np.abs(self._flows[0]), np.abs(self._flows[1]))
        return np.asarray(self._out(s / self.net.rating_mva))

    @cached_property
    def p_loss_mw(self) -> Any:
        """Sum over branches of the power that enters and does not leave."""
        return self._out((self._flows[0].real + self._flows[1].real).sum(axis=1))

    @cached_property
    def q_loss_mvar(self) -> Any:
        """Same for reactive power: series losses less what line charging makes."""
        return self._out((self._flows[0].imag + self._flows[1].imag).sum(axis=1))

    @cached_property
    def p_slack_mw(self) -> Any:
        """Active power delivered by all sources together."""
        return self._out(self._s_source_mva.real.sum(axis=1))

    @cached_property
    def q_slack_mvar(self) -> Any:
        """Reactive power delivered by all sources together."""
        return self._out(self._s_source_mva.imag.sum(axis=1))

    @property
    def vuf_pct(self) -> Any:
        """Voltage unbalance: zero by the assumption of a balanced (positive-sequence) feeder."""
        return self._out(np.zeros(self._v.shape[0]))


def branch_current_ka(
    net: Network, v: NDArray[np.complex128], s_from: NDArray[np.complex128], s_to: NDArray[np.complex128]
) -> FloatArray:
    """(batch, n_branch) larger of the two ends' currents, from voltages in pu and flows in MVA."""
    ends = []
    for flow, row in ((s_from, net.from_row), (s_to, net.to_row)):
        kv = np.abs(v[:, row]) * net.base_kv[row]
        safe = np.where(np.isfinite(kv) & (kv > 0), kv, 1.0)  # dead ends carry no flow
        ends.append(np.abs(flow) / (np.sqrt(3.0) * safe))
    return np.asarray(np.maximum(*ends))
