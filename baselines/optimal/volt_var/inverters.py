"""Inverters whose reactive power is set: where they stand and how much of it they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....cases import Feeder
from ...errors import RunError, unknown
from ..phase_dispatch import PhaseUnit
from ..units import Unit

FloatArray = NDArray[np.float64]

_LETTERS = "ABC"
_FULL_FROM, _NONE_BELOW = 0.2, 0.05  # of the rated power, IEEE Std 1547-2018 section 5.2


@dataclass(frozen=True)
class Inverter:
    """A photovoltaic unit.

    Attributes:
        name: Id. bus: Node id. phase: Letters of a per-phase feeder, over which it is split equally.
        p_mw: Rated active power. s_mva: Apparent power.
        q_max_mvar: Most reactive power, either way.

    Raises:
        RunError: numbers that no inverter has.
    """

    name: str
    bus: str
    p_mw: float
    s_mva: float
    q_max_mvar: float
    phase: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_mw < np.inf:
            raise RunError(f"inverter {self.name!r}: p_mw is {self.p_mw}: expected a number, 0 or more")
        if not max(self.p_mw, 1e-12) <= self.s_mva < np.inf:
            raise RunError(f"inverter {self.name!r}: s_mva is {self.s_mva}: expected p_mw or more, above 0")
        if not 0.0 <= self.q_max_mvar <= self.s_mva:
            raise RunError(f"inverter {self.name!r}: q_max_mvar is {self.q_max_mvar}: expected 0 to s_mva")


class Inverters:
    """The inverters of a network, as arrays in their order.

    Attributes: ``p_mw``, ``s_mva``, ``q_max_mvar`` (n,); ``share`` (n, places) what of each is fed in at each
    bus, or bus and phase.
    """

    def __init__(self, net: Any, units: Sequence[Inverter]) -> None:
        """Place them. RunError for a bus or phase that is not fed, or a name that is there twice."""
        self.units = tuple(units)
        self.p_mw = np.array([unit.p_mw for unit in units], dtype=np.float64)
        self.s_mva = np.array([unit.s_mva for unit in units], dtype=np.float64)
        self.q_max_mvar = np.array([unit.q_max_mvar for unit in units], dtype=np.float64)
        self.per_phase = isinstance(net, physics.Network3)
        self.shape: tuple[int, ...] = (net.n_bus, 3) if self.per_phase else (net.n_bus,)
        self.share = np.zeros((len(units), *self.shape))
        self.place: list[tuple[int, list[int]]] = []  # bus row, and phases
        seen: set[str] = set()
        for k, unit in enumerate(units):
            if unit.name in seen:
                raise RunError(f"inverter {unit.name!r} is there twice")
            seen.add(unit.name)
            row = net.feeder.node_index.get(unit.bus)
            if row is None:
                raise unknown("bus", unit.bus, net.feeder.node_index)
            self.place.append((row, self._phases(net, unit, row)))
            self.share[k, row] = self._parts(self.place[-1][1])

    def __len__(self) -> int:
        return len(self.units)

    def _phases(self, net: Any, unit: Inverter, row: int) -> list[int]:
        if not self.per_phase:
            if not net.energised[row]:
                raise RunError(f"inverter {unit.name!r}: bus {unit.bus!r} has no source")
            return []
        grounded = np.asarray(net.topology.ground_slots, dtype=bool).reshape(-1, 3)[row]
        there = net.present[row] & net.energised[row] & grounded
        places = [_LETTERS.index(letter) for letter in unit.phase] or np.flatnonzero(there).tolist()
        if not places or not there[places].all():
            has = "".join(letter for letter, here in zip(_LETTERS, there, strict=True) if here)
            raise RunError(
                f"inverter {unit.name!r}: phase {unit.phase!r} is not at bus {unit.bus!r}, which has "
                f"{has or 'no fed phase to ground'}"
            )
        return places

    def _parts(self, phases: list[int]) -> Any:
        if not self.per_phase:
            return 1.0
        parts = np.zeros(3)
        parts[phases] = 1.0 / len(phases)
        return parts

    def capability_mvar(self, sun: FloatArray) -> FloatArray:
        """Most reactive power at these shares (..., n) of the rated power, either way.

        The circle of the apparent power, and what IEEE Std 1547-2018 asks for: all from a fifth of the rated
        power on, in proportion below, none below a twentieth.
        """
        share = np.where(sun < _NONE_BELOW, 0.0, np.minimum(sun / _FULL_FROM, 1.0))
        circle = np.sqrt(np.maximum(self.s_mva**2 - (sun * self.p_mw) ** 2, 0.0))
        return np.asarray(np.minimum(self.q_max_mvar * share, circle))

    def placed(self, power: FloatArray) -> FloatArray:
        """Powers (..., n) at their places, (..., n_bus) or (..., n_bus, 3)."""
        flat = power @ self.share.reshape(len(self), -1)
        return np.asarray(flat.reshape(*power.shape[:-1], *self.shape))

    def voltage(self, v_pu: FloatArray) -> FloatArray:
        """(rows, n) voltage at the terminals of each: the mean over its phases."""
        if not self.per_phase:
            return np.asarray(v_pu[:, [row for row, _ in self.place]])
        found = [v_pu[:, row, phases].mean(axis=-1) for row, phases in self.place]
        return np.stack(found, axis=-1) if found else np.zeros((len(v_pu), 0))

    def dispatched(self, sun: float) -> list[Unit]:
        """As units of a dispatch that sets their reactive power at a share of the rated power."""
        most = self.capability_mvar(np.full(len(self), sun))
        kind: Any = PhaseUnit if self.per_phase else Unit
        return [
            kind(
                unit.name, unit.bus, p_min_mw=sun * unit.p_mw, p_max_mw=sun * unit.p_mw, q_min_mvar=-q,
                q_max_mvar=q, **({"phase": unit.phase} if self.per_phase and unit.phase else {}),
            )
            for unit, q in zip(self.units, most.tolist(), strict=True)
        ]  # fmt: skip


def spread_over_loads(feeder: Feeder, share: float, most: int = 12, s_per_p: float = 1.1) -> list[Inverter]:
    """Inverters at the largest loads, one each: together a share of the nominal load, in proportion.

    Args:
        feeder: Balanced or per phase.
        share: Rated active power of all over the nominal load of the feeder; 0: none.
        most: How many at most.
        s_per_p: Apparent over active power; reactive power reaches 0.44 of the apparent power (category B of
            IEEE Std 1547-2018).

    Raises:
        RunError: a share below 0.
    """
    if not 0.0 <= share < np.inf:
        raise RunError(f"the share of photovoltaics is {share}: expected a number, 0 or more")
    if share == 0.0:
        return []
    size: dict[tuple[str, str], float] = {}
    names = ("node_id", "phase", "connection", "p_mw")
    for node, phase, kind, p in zip(*(feeder.column("loads", n) for n in names), strict=True):
        if p > 0.0:
            between = feeder.phases == "per-phase" and (kind == "delta" or set(phase) - set(_LETTERS))
            key = str(node), "" if feeder.phases == "balanced" or between else str(phase)
            size[key] = size.get(key, 0.0) + float(p)
    sources = {str(node) for node in feeder.column("sources", "node_id")}
    ranked = sorted((item for item in size.items() if item[0][0] not in sources), key=lambda i: (-i[1], i[0]))
    chosen = dict(ranked[:most])
    total = share * float(np.asarray(feeder.column("loads", "p_mw"), dtype=np.float64).sum())
    scale = total / sum(chosen.values()) if chosen else 0.0
    return [
        Inverter(
            f"pv_{bus}{'_' + phase if phase else ''}", bus, scale * p, s_per_p * scale * p,
            0.44 * s_per_p * scale * p, phase,
        )
        for (bus, phase), p in chosen.items()
    ]  # fmt: skip
