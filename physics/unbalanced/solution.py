"""What a three-phase power flow returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..flags import COLLAPSED, CONVERGED, DIVERGED
from ..flow_properties import FlowViews
from .kernel_tables import Outputs
from .kernels.branch_flows import flow_rows
from .network import Network3
from .topology import SweepTopology

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
_TURN = np.exp(2j * np.pi / 3.0)


def unbalance_pct(v: ComplexArray) -> FloatArray:
    """|V2| / |V1| in percent of phase voltages (..., 3); NaN where a phase is missing."""
    first = v[..., 0] + _TURN * v[..., 1] + _TURN**2 * v[..., 2]
    second = v[..., 0] + _TURN**2 * v[..., 1] + _TURN * v[..., 2]
    size = np.abs(first)
    return np.asarray(100.0 * np.abs(second) / np.where(size > 0, size, np.nan))


def _total(array: FloatArray) -> FloatArray:
    """(batch,) sums over branches and phases, in an order that does not depend on the batch."""
    return np.asarray(array.reshape(array.shape[0], -1).sum(axis=1))


@dataclass(frozen=True, eq=False, init=False)
class Solution3(FlowViews):
    """Result of :func:`distgrid.physics.solve` for a per-phase network.

    Arrays are ``(batch, n_bus, 3)`` or ``(batch, n_branch, 3)``, phases A, B, C last; without the batch axis
    where the arguments had none. Phases that do not exist or have no source are NaN, but for dead phases of
    lines that their neighbours induce a voltage in; branches carry 0 on phases they do not have. Legs 1 and 2
    of split-phase wires stand at A and B.

    ``converged``, ``diverged``, ``collapsed`` mean what they mean in :class:`distgrid.physics.Solution`.
    """

    net: Network3
    _phasors: ComplexArray = field(repr=False)  # as in `program.Outputs`
    _notes: FloatArray = field(repr=False)
    # What was solved: the fields of an `Inputs`, the caller's arrays where they were taken as they are.
    _given: tuple[NDArray[Any], ...] = field(repr=False)
    groups: tuple[tuple[Any, SweepTopology], ...] = field(repr=False)  # (rows, topology)
    squeeze: bool = field(repr=False)

    def __init__(
        self,
        net: Network3,
        out: Outputs,
        given: tuple[NDArray[Any], ...],
        groups: tuple[tuple[Any, SweepTopology], ...],
        squeeze: bool,
    ) -> None:
        # Straight into the dictionary: the setters of a frozen dataclass cost as much as a sweep.
        own = self.__dict__
        own["net"], own["_given"], own["groups"], own["squeeze"] = net, given, groups, squeeze
        own["_phasors"], own["_notes"] = out

    def memory(self, net: Network3, batch: int, columns: int) -> Outputs:
        """The arrays of this solution, for another one. ValueError where that has other shapes."""
        if self.net is not net or self._phasors.shape != (batch, columns):
            held = "with" if self._phasors.shape[1] > 3 * self.net.n_bus else "without"
            raise ValueError(
                f"out must be a solution of this network with {batch} rows and as many numbers, got "
                f"{self._phasors.shape[0]} rows {held} currents of feeder {self.net.feeder.name!r}"
            )
        return Outputs(self._phasors, self._notes)

    def _out(self, array: NDArray[Any]) -> Any:
        return array[0] if self.squeeze else array

    def _batched(self, array: NDArray[Any]) -> NDArray[Any]:
        return array[None] if self.squeeze else array

    def _flag(self, bit: int) -> Any:
        return self._out(self._notes[:, 0].astype(np.int64) & bit != 0)

    @property
    def _tap(self) -> FloatArray:
        """(batch or 1, n_regulator)."""
        return self._given[10]

    @property
    def notes(self) -> FloatArray:
        """(batch, 3) status bits, iterations, last voltage update; see `program.Outputs`."""
        return self._notes

    @cached_property
    def converged(self) -> Any:
        """(batch,) a true solution."""
        return self._flag(CONVERGED)

    @cached_property
    def diverged(self) -> Any:
        """(batch,) ``max_iter`` reached or the update grew without bound: the last iterate."""
        return self._flag(DIVERGED)

    @cached_property
    def collapsed(self) -> Any:
        """(batch,) some phase fell below ``v_collapse_pu``."""
        return self._flag(COLLAPSED)

    @cached_property
    def iterations(self) -> Any:
        """(batch,) sweeps, and the check that ends them."""
        return self._out(self._notes[:, 1].astype(np.int64))

    @cached_property
    def v_update_pu(self) -> Any:
        """(batch,) by how much a further sweep would move a voltage."""
        return self._out(self._notes[:, 2])

    def _part(self, start: int, rows: int) -> ComplexArray:
        if 3 * start >= self._phasors.shape[1]:
            raise AttributeError("this power flow was solved with currents=False: it has voltages only")
        part = self._phasors[:, 3 * start : 3 * (start + rows)]
        return np.asarray(self._out(part.reshape(part.shape[0], rows, 3)))

    @cached_property
    def v(self) -> ComplexArray:
        """(batch, n_bus, 3) complex voltage to ground, pu of base_kv / sqrt 3."""
        return self._part(0, self.net.n_bus)

    @cached_property
    def i_node(self) -> ComplexArray:
        """(batch, n_bus, 3) pu, current into each node from what feeds it; 0 where the feeder is no tree."""
        return self._part(self.net.n_bus, self.net.n_bus)

    @cached_property
    def i_source(self) -> ComplexArray:
        """(batch, n_source, 3) pu."""
        return self._part(2 * self.net.n_bus, len(self.net.sources))

    @cached_property
    def v_pu(self) -> FloatArray:
        """Voltage magnitude to ground, pu of base_kv / sqrt 3."""
        return np.asarray(np.abs(self.v))

    @cached_property
    def v_deg(self) -> FloatArray:
        """Voltage angle in degrees."""
        return np.asarray(np.angle(self.v, deg=True))

    @cached_property
    def vuf_pct(self) -> FloatArray:
        """(batch, n_bus) negative over positive sequence voltage, %; NaN at nodes with fewer than three
        phases that a source feeds.
        """
        percent = self._batched(unbalance_pct(self.v))
        for rows, topology in self.groups:
            percent[rows] = np.where(topology.energised.all(axis=1), percent[rows], np.nan)
        return np.asarray(self._out(percent))

    @cached_property
    def currents(self) -> tuple[ComplexArray, ComplexArray]:
        """Complex pu into both ends of branches, (batch, n_branch, 3) each, always with the batch axis."""
        v, current = np.nan_to_num(self._batched(self.v)), self._batched(self.i_node)
        batch = v.shape[0]
        v, current = (np.ascontiguousarray(a.reshape(batch, -1)) for a in (v, current))
        ends = np.zeros((2, batch, 3 * self.net.n_branch), dtype=np.complex128)
        for rows, topology in self.groups:
            if topology.irregular:
                first = 6 * self.net.n_bus + 3 * len(self.net.sources)
                values = self._phasors[rows, first:].reshape(-1, 2, ends.shape[2])
                ends[0][rows], ends[1][rows] = values[:, 0], values[:, 1]
                continue
            whole = isinstance(rows, slice)
            tap = self._tap if whole or self._tap.shape[0] == 1 else np.ascontiguousarray(self._tap[rows])
            v_part, i_part = (v, current) if whole else (v[rows], current[rows])
            into = (
                (ends[0], ends[1]) if whole else (np.empty_like(ends[0][rows]), np.empty_like(ends[0][rows]))
            )
            flow_rows(*topology.plan, *topology.flows, 0, v_part.shape[0], tap, v_part, i_part, *into)
            if not whole:
                ends[0][rows], ends[1][rows] = into
        shape = (batch, self.net.n_branch, 3)
        return ends[0].reshape(shape), ends[1].reshape(shape)

    @cached_property
    def _flows(self) -> tuple[ComplexArray, ComplexArray]:
        """Complex MVA into both ends, (batch, n_branch, 3)."""
        v = np.nan_to_num(self._batched(self.v))
        base = self.net.base_mva / 3.0
        ends = zip((self.net.from_row, self.net.to_row), self.currents, strict=True)
        s_from, s_to = (base * v[:, node] * np.conj(current) for node, current in ends)
        return s_from, s_to

    @cached_property
    def i_ka(self) -> FloatArray:
        """Larger of the two ends' currents per phase, kA."""
        base = self.net.base_mva / self.net.base_kv / np.sqrt(3.0)  # kA: a third of it over kV to ground
        sizes = [
            np.abs(current) * base[node][:, None]
            for node, current in zip((self.net.from_row, self.net.to_row), self.currents, strict=True)
        ]
        return np.asarray(self._out(np.maximum(*sizes)))

    @cached_property
    def loading(self) -> FloatArray:
        """Larger end's apparent power per phase over a third of the rating; NaN without a rating.

        A rating is that of three phases at the rated current: each phase may carry a third of it. Phases that
        the branch does not have are NaN.
        """
        ends = zip(self._flows, self.net.phase_rating_mva, strict=True)
        return np.asarray(self._out(np.fmax(*(np.abs(flow) / rating for flow, rating in ends))))

    @cached_property
    def p_loss_mw(self) -> Any:
        """Sum over branches of the power that enters and does not leave."""
        return self._out(_total(self._flows[0].real + self._flows[1].real))

    @cached_property
    def q_loss_mvar(self) -> Any:
        """Same for reactive power: series losses less what line charging makes."""
        return self._out(_total(self._flows[0].imag + self._flows[1].imag))

    @cached_property
    def s_source_mva(self) -> ComplexArray:
        """(batch, n_source) power that each source delivers at its node, behind its impedance."""
        nodes = [source.node for source in self.net.sources]
        v = np.nan_to_num(self._batched(self.v)[:, nodes])
        power = (v * np.conj(self._batched(self.i_source))).sum(axis=2) * self.net.base_mva / 3.0
        return np.asarray(self._out(power))

    @cached_property
    def p_slack_mw(self) -> Any:
        """Active power delivered by all sources together."""
        return self.s_source_mva.real.sum(axis=-1)

    @cached_property
    def q_slack_mvar(self) -> Any:
        """Reactive power delivered by all sources together."""
        return self.s_source_mva.imag.sum(axis=-1)
