"""Power flows of a feeder with plants, many rows at once, and the quantities that limits speak of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ...cases import Feeder
from .limits import (
    OVER,
    REVERSE,
    THERMAL,
    UNDER,
    HostingLimits,
    Quantities,
    columns_of,
    joined,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Arguments = dict[str, Any]

#: Rows solved at once: what they hold stays some hundred megabytes.
_ENTRIES = 12_000_000


@dataclass(frozen=True)
class Shown:
    """What power flows show of rows.

    Attributes:
        x: (rows, columns) quantities of the limits.
        found: (rows,) whether the power flow has a usable solution.
        v_pu: (rows, buses) or (rows, buses, 3) voltages.
        controls: Where regulators and banks came to rest, as arguments of rows; empty where they are held.
    """

    x: FloatArray
    found: BoolArray
    v_pu: FloatArray
    controls: Arguments = field(default_factory=dict)


class Flows(ABC):
    """A feeder that is solved again and again; `quantities` says what the columns are."""

    per_phase: ClassVar[bool]

    def __init__(self, feeder: Feeder, limits: HostingLimits, v_source_pu: float | None) -> None:
        self.feeder, self.limits, self.v_source_pu = feeder, limits, v_source_pu
        self.node_ids = [str(name) for name in feeder.column("nodes", "node_id")]
        self.branch_ids = [str(name) for name in feeder.column("branches", "branch_id")]
        self.source_ids = [str(name) for name in feeder.column("sources", "node_id")]

    net: Any  # physics.Network or physics.Network3
    quantities: Quantities

    @abstractmethod
    def solve(self, loads: Arguments, p_inject_mw: FloatArray, q_inject_mvar: FloatArray) -> Shown:
        """Rows of loads (arguments of `physics.solve`) with what plants inject, rows of ``shape``."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the power that one row takes: (buses,) or (buses, 3)."""

    @property
    def rows_at_once(self) -> int:
        """How many rows are solved together."""
        return max(64, _ENTRIES // max(1, len(self.quantities.element)))


class BalancedFlows(Flows):
    """A balanced feeder."""

    per_phase = False

    def __init__(self, feeder: Feeder, limits: HostingLimits, v_source_pu: float | None = None) -> None:
        super().__init__(feeder, limits, v_source_pu)
        self.net = physics.compile(feeder, keep_loops=True)
        self.options: Arguments = {} if v_source_pu is None else {"v_source_pu": v_source_pu}
        self.nodes = np.flatnonzero(self.net.energised)
        low, high = limits.band(feeder)
        parts = [
            columns_of(
                [self.node_ids[n] for n in self.nodes], (UNDER, OVER), low[self.nodes], high[self.nodes],
                np.inf if limits.voltage_deviation is None else limits.voltage_deviation,
                np.where(limits.judged(feeder)[self.nodes], -1, self.nodes),
            )
        ]  # fmt: skip
        rated = np.isfinite(self.net.rating_mva) & self.net.topology.in_tree
        self.branches = np.flatnonzero(rated) if limits.thermal_margin is not None else np.empty(0, np.int64)
        if self.branches.size:
            most = 1.0 - float(limits.thermal_margin or 0.0)
            parts.append(
                columns_of([self.branch_ids[e] for e in self.branches], (THERMAL, THERMAL), high=most)
            )
        if limits.reverse_mw is not None:
            parts.append(columns_of(self.source_ids, (REVERSE, REVERSE), low=-limits.reverse_mw))
        self.quantities = joined(parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """(buses,)."""
        return (self.net.n_bus,)

    def solve(self, loads: Arguments, p_inject_mw: FloatArray, q_inject_mvar: FloatArray) -> Shown:
        """See `Flows.solve`."""
        sol = physics.solve(
            self.net, **loads, **self.options, p_inject_mw=p_inject_mw, q_inject_mvar=q_inject_mvar,
            currents=bool(self.branches.size),
        )  # fmt: skip
        v = sol.v_pu
        parts = [v[:, self.nodes]]
        if self.branches.size:
            parts.append(sol.loading[:, self.branches])
        if self.limits.reverse_mw is not None:
            parts.append(sol.s_source_mva.real)
        return Shown(np.hstack(parts), sol.converged & ~sol.collapsed, v)
