"""Customers of a feeder: where they are connected, and what they take while they are passive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...envs.core.columns import load_points
from ..errors import RunError
from .flows import Arguments, Flows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Customers:
    """The loads of a feeder, one customer each.

    Attributes:
        flows: Of the feeder.
        names: (n,) ids of the loads. buses: (n,) their buses. phases: (n,) letters; "" on balanced feeders.
        place: (n, places) what of one is at each place of `Flows.shape`, flat; rows add up to 1.
        p_mw, q_mvar: (n,) of each while it is passive, at 1 pu.
    """

    flows: Flows
    names: tuple[str, ...]
    buses: tuple[str, ...]
    phases: tuple[str, ...]
    place: FloatArray
    p_mw: FloatArray
    q_mvar: FloatArray

    def __len__(self) -> int:
        return len(self.names)

    @property
    def nodes(self) -> IntArray:
        """(n,) rows of their buses."""
        return np.array([self.flows.feeder.node_index[bus] for bus in self.buses], dtype=np.int64)

    def loads(self, passive: NDArray[np.bool_]) -> Arguments:
        """Loads of rows in which some (rows, n) are passive, as arguments of the power flow."""
        p, q = ((passive * power) @ self.place for power in (self.p_mw, self.q_mvar))
        if not self.flows.per_phase:
            return {"p_mw": p, "q_mvar": q}
        p, q = (power.reshape(len(passive), -1, 6) for power in (p, q))
        found: dict[str, Any] = {}
        for part, unit, power in (("p", "mw", p), ("q", "mvar", q)):
            found[f"{part}_{unit}"] = np.ascontiguousarray(power[..., :3])
            found[f"{part}_delta_{unit}"] = np.ascontiguousarray(power[..., 3:])
        return found

    def powers(self, power: FloatArray) -> FloatArray:
        """(rows, *shape) of (rows, n) at the customers' places."""
        return (power @ self.place).reshape(len(power), *self.flows.shape)


def customers_of(flows: Flows, loads: Arguments | None = None, load_scale: float = 1.0) -> Customers:
    """All loads of a feeder.

    Args:
        flows: Of the feeder.
        loads: Of one moment, arguments of the power flow without a row axis; those at a place are divided
            among its customers as their nominal loads are. None: the nominal ones.
        load_scale: Of all of them.

    Raises:
        RunError: a feeder without loads, a scale that cannot be.
    """
    if not (np.isfinite(load_scale) and load_scale >= 0.0):
        raise RunError(f"load scale is {load_scale}: expected a finite number, 0 or more")
    feeder, points = flows.feeder, load_points(flows.feeder)
    names = tuple(str(name) for name in feeder.column("loads", "load_id"))
    if not names:
        raise RunError(f"feeder {feeder.name!r} has no loads: there is nobody to have an operating envelope")
    size = int(np.prod(flows.shape))
    place = np.zeros((len(names), size))
    np.add.at(place, (points.row, _flat(points.slot, feeder, flows.per_phase)[points.point]), points.share)
    p, q = (np.asarray(feeder.column("loads", name), dtype=np.float64) for name in ("p_mw", "q_mvar"))
    if loads is not None:
        p, q = (_now(power, place, _flat_loads(loads, part)) for power, part in ((p, "p"), (q, "q")))
    phases = ("",) * len(names)
    if flows.per_phase:
        phases = tuple(str(phase) for phase in feeder.column("loads", "phase"))
    buses = tuple(str(bus) for bus in feeder.column("loads", "node_id"))
    return Customers(flows, names, buses, phases, place, load_scale * p, load_scale * q)


def _flat(slot: IntArray, feeder: Feeder, per_phase: bool) -> IntArray:
    """Slots as places of a flat (buses, 6); of balanced feeders they are the buses."""
    if not per_phase:
        return slot
    leg, rest = np.divmod(slot, 3 * feeder.n_nodes)
    node, phase = np.divmod(rest, 3)
    return np.asarray(6 * node + 3 * leg + phase)


def _flat_loads(loads: Arguments, part: str) -> FloatArray:
    """(places,) P or Q of one moment, in the order of flat places."""
    unit = "mw" if part == "p" else "mvar"
    ground = np.asarray(loads[f"{part}_{unit}"], dtype=np.float64)
    if ground.ndim == 1:
        return ground
    delta = np.asarray(loads.get(f"{part}_delta_{unit}", np.zeros_like(ground)), dtype=np.float64)
    return np.concatenate([ground, delta], axis=1).ravel()


def _now(nominal: FloatArray, place: FloatArray, load: FloatArray) -> FloatArray:
    """(n,) what customers take of the loads at their places."""
    all_of_them = nominal @ place
    share = np.divide(load, all_of_them, out=np.zeros_like(load), where=all_of_them != 0.0)
    return np.asarray(nominal * (place @ share))
