"""Power flows of a per-phase feeder with plants: see `flows`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ...cases import Feeder
from .flows import Arguments, Flows, Shown
from .limits import OVER, REVERSE, THERMAL, UNBALANCE, UNDER, HostingLimits, Quantities, columns_of, joined

FloatArray = NDArray[np.float64]
_LETTERS, _LEGS = "ABC", ("AB", "BC", "CA")


class PhaseFlows(Flows):
    """A per-phase feeder. Power has six places a bus: A, B, C to ground, then the legs AB, BC, CA.

    Taps and banks are those of ``settings`` (arguments ``tap`` and ``cap_on`` of `physics.solve`), which the
    rows have in common; None: as stored. Without ``voltage_bands`` loads keep their model at any voltage.
    """

    per_phase = True

    def __init__(
        self, feeder: Feeder, limits: HostingLimits, v_source_pu: float | None = None,
        settings: Arguments | None = None, voltage_bands: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(feeder, limits, v_source_pu)
        self.net = physics.compile_per_phase(feeder, voltage_bands=voltage_bands, keep_loops=True)
        self.options: Arguments = {} if v_source_pu is None else {"v_source_pu": v_source_pu}
        self.settings = dict(settings or {})
        live = self.net.present & self.net.energised
        grounded = self.net.topology.ground_slots.reshape(-1, 3)
        self.floating = live.any(axis=1) & ~grounded.any(axis=1)  # between delta windings: legs are judged
        legs = self.net.topology.leg_slots.reshape(-1, 3)
        self.places = np.where(self.floating[:, None], legs, live & grounded)  # where plants may stand
        self.nodes = np.flatnonzero(np.where(self.floating[:, None], legs, live).reshape(-1))
        low, high = limits.band(feeder)
        node, phase = np.divmod(self.nodes, 3)
        names = [
            f"{self.node_ids[n]}.{(_LEGS if self.floating[n] else _LETTERS)[k]}"
            for n, k in zip(node, phase, strict=True)
        ]
        self.moves = np.inf if limits.voltage_deviation is None else limits.voltage_deviation
        site = np.where(limits.judged(feeder)[node], -1, node)
        parts = [columns_of(names, (UNDER, OVER), low[node], high[node], self.moves, site)]
        self.branches = np.empty(0, dtype=np.int64)
        if limits.thermal_margin is not None:
            rated = np.isfinite(self.net.phase_rating_mva).any(axis=0) & self.net.topology.in_tree[:, None]
            self.branches = np.flatnonzero(rated.reshape(-1))
            branch, phase = np.divmod(self.branches, 3)
            names = [f"{self.branch_ids[e]}.{_LETTERS[k]}" for e, k in zip(branch, phase, strict=True)]
            parts.append(columns_of(names, (THERMAL, THERMAL), high=1.0 - limits.thermal_margin))
        if limits.reverse_mw is not None:
            parts.append(columns_of(self.source_ids, (REVERSE, REVERSE), low=-limits.reverse_mw))
        self.whole = np.empty(0, dtype=np.int64)
        if limits.vuf_max_pct is not None:
            self.whole = np.flatnonzero(live.all(axis=1))
            names = [self.node_ids[n] for n in self.whole]
            parts.append(columns_of(names, (UNBALANCE, UNBALANCE), high=limits.vuf_max_pct))
        self.quantities: Quantities = joined(parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """(buses, 6)."""
        return (self.net.n_bus, 6)

    def terminals(self, row: int) -> tuple[list[int], int]:
        """Phases of a bus that plants may stand at, and the first place of their kind: 0, or 3 for legs."""
        return np.flatnonzero(self.places[row]).tolist(), 3 if self.floating[row] else 0

    def letters(self, row: int) -> str:
        """The same as letters: "ABC", "B"."""
        return "".join(_LETTERS[k] for k in self.terminals(row)[0])

    @property
    def currents(self) -> bool:
        """Whether any limit speaks of what branches or sources carry."""
        return bool(self.branches.size) or self.limits.reverse_mw is not None

    def powers(self, p_inject_mw: FloatArray, q_inject_mvar: FloatArray) -> Arguments:
        """What plants inject, (rows, buses, 6), as arguments of the power flow."""
        split = {}
        for name, power in (("p_", p_inject_mw), ("q_", q_inject_mvar)):
            unit = "mw" if name == "p_" else "mvar"
            split[f"{name}inject_{unit}"] = np.ascontiguousarray(power[..., :3])
            split[f"{name}delta_inject_{unit}"] = np.ascontiguousarray(power[..., 3:])
        if not (p_inject_mw[..., 3:].any() or q_inject_mvar[..., 3:].any()):
            del split["p_delta_inject_mw"], split["q_delta_inject_mvar"]
        return split

    def solve(self, loads: Arguments, p_inject_mw: FloatArray, q_inject_mvar: FloatArray) -> Shown:
        """See `Flows.solve`."""
        arguments = {**loads, **self.options, **self.settings, **self.powers(p_inject_mw, q_inject_mvar)}
        sol = physics.solve(self.net, **arguments, currents=self.currents)
        return self.shown(sol)

    def shown(self, sol: Any) -> Shown:
        """What limits speak of, from a solution of several rows."""
        v = sol.v_pu
        if self.floating.any():
            at = sol.v[:, self.floating]
            v = v.copy()
            v[:, self.floating] = np.abs(at - np.roll(at, -1, axis=-1)) / np.sqrt(3.0)
        rows = v.shape[0]
        parts = [v.reshape(rows, -1)[:, self.nodes]]
        if self.branches.size:
            parts.append(sol.loading.reshape(rows, -1)[:, self.branches])
        if self.limits.reverse_mw is not None:
            parts.append(sol.s_source_mva.real)
        if self.whole.size:
            parts.append(sol.vuf_pct[:, self.whole])
        return Shown(np.hstack(parts), sol.converged & ~sol.collapsed, v)
