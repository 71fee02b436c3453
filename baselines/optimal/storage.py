"""Storage that a schedule sets, and what its power leaves in store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .affine import Affine, FloatArray, stacked
from .program import Limit, Program


@dataclass(frozen=True)
class Storage:
    """A store of energy; positive power is fed in (discharge).

    Attributes:
        name: Id. bus: Node id.
        charge_mw, discharge_mw: Most power each way, at the terminals.
        energy_mwh: Most that is in store; least_mwh: least.
        start_mwh: In store at the beginning.
        end_mwh: Least at the end; None: as much as at the beginning.
        eta_charge, eta_discharge: Efficiencies, above 0, at most 1.
        ramp_mw_per_h: Most change of power between steps, both ways; inf: any.
        q_max_mvar: Reactive power, both ways.
        s_mva: Apparent power of the inverter; inf where the box is all.
        wear_usd_mwh: Price of a MWh through its terminals, either way.

    Raises:
        ValueError: numbers that are none or negative, energies out of order, efficiencies beyond 1.
    """

    name: str
    bus: str
    charge_mw: float
    discharge_mw: float
    energy_mwh: float
    start_mwh: float
    least_mwh: float = 0.0
    end_mwh: float | None = None
    eta_charge: float = 0.95
    eta_discharge: float = 0.95
    ramp_mw_per_h: float = np.inf
    q_max_mvar: float = 0.0
    s_mva: float = np.inf
    wear_usd_mwh: float = 0.0

    def __post_init__(self) -> None:
        for field in ("charge_mw", "discharge_mw", "energy_mwh", "least_mwh", "q_max_mvar", "wear_usd_mwh"):
            value = vars(self)[field]
            if not (np.isfinite(value) and value >= 0.0):
                raise ValueError(
                    f"storage {self.name!r}: {field} must be finite and 0 or more, got {value!r}"
                )
        for field in ("eta_charge", "eta_discharge"):
            value = vars(self)[field]
            if not 0.0 < value <= 1.0:
                raise ValueError(
                    f"storage {self.name!r}: {field} must be above 0 and at most 1, got {value!r}"
                )
        for field in ("ramp_mw_per_h", "s_mva"):
            if not vars(self)[field] > 0.0:
                raise ValueError(f"storage {self.name!r}: {field} must be greater than 0")
        for field in ("start_mwh", "end_mwh"):
            value = self.start_mwh if vars(self)[field] is None else vars(self)[field]
            if not self.least_mwh <= value <= self.energy_mwh:
                raise ValueError(
                    f"storage {self.name!r}: {field} must be from least_mwh {self.least_mwh:g} to energy_mwh "
                    f"{self.energy_mwh:g}, got {value!r}"
                )

    @property
    def wanted_mwh(self) -> float:
        """Least at the end."""
        return self.start_mwh if self.end_mwh is None else self.end_mwh


@dataclass(frozen=True, eq=False)
class StorageColumns:
    """Columns of storage in a program, (steps, n): power at the terminals and what is in store afterwards."""

    charge: Affine
    discharge: Affine
    q: Affine
    stored: Affine

    @property
    def p(self) -> Affine:
        """Fed in."""
        return self.discharge - self.charge


def add_storage(program: Program, storage: Sequence[Storage], steps: int, dt_h: float) -> StorageColumns:
    """Columns and rows of storage: power, energy, ramps, inverter circles.

    Charge and discharge in one step are not excluded: that only loses energy, so that the bound holds, and
    `netted` makes one of both afterwards.
    """
    names = np.array([one.name for one in storage], dtype=object)

    def of(field: str) -> FloatArray:
        return np.array([vars(one)[field] for one in storage], dtype=np.float64)

    def limit(kind: str, unit: str, value: FloatArray) -> Limit:
        return Limit(kind, unit, names, value, np.ones(len(storage)))

    shape = (steps, len(storage))
    into, out = (program.columns(shape, of(f"{way}_mw") + 1e-9) for way in ("charge", "discharge"))
    for kind, part, most in (("charge", into, of("charge_mw")), ("discharge", out, of("discharge_mw"))):
        program.nonneg(part)
        program.nonneg(most - part, limit(f"{kind}_max", "MW", most))
    stored = program.columns(shape, of("energy_mwh") + 1e-9)
    before = stacked([Affine(of("start_mwh")), *(stored[t] for t in range(steps - 1))])
    program.zero(before + dt_h * (of("eta_charge") * into - out * (1.0 / of("eta_discharge"))) - stored)
    program.nonneg(of("energy_mwh") - stored, limit("energy_max", "MWh", of("energy_mwh")))
    program.nonneg(stored - of("least_mwh"), limit("energy_min", "MWh", of("least_mwh")))
    wanted = np.array([one.wanted_mwh for one in storage], dtype=np.float64)
    program.nonneg((stored[-1] - wanted).reshape(1, -1), limit("energy_end", "MWh", wanted))
    columns = StorageColumns(into, out, _reactive(program, of("q_max_mvar"), shape), stored)
    _add_ramps(program, columns.p, of("ramp_mw_per_h") * dt_h, names)
    round_ = np.flatnonzero(np.isfinite(of("s_mva")))
    if round_.size:
        most = of("s_mva")[round_]
        head = Affine(np.broadcast_to(most, (steps, round_.size)))
        circle = Limit("s_max", "MVA", names[round_], most, np.ones(round_.size))
        program.cone(head, columns.p[:, round_], columns.q[:, round_], limit=circle)
    return columns


def _reactive(program: Program, most: FloatArray, shape: tuple[int, int]) -> Affine:
    q = program.columns(shape, most + 1e-9)
    free, fixed = np.flatnonzero(most > 0.0), np.flatnonzero(most <= 0.0)
    if fixed.size:
        program.zero(q[:, fixed])
    if free.size:
        program.nonneg(most[free] - q[:, free])
        program.nonneg(q[:, free] + most[free])
    return q


def _add_ramps(program: Program, p: Affine, most: FloatArray, names: NDArray[np.object_]) -> None:
    limited = np.flatnonzero(np.isfinite(most))
    if not limited.size or p.shape[0] < 2:
        return
    change, value = p[1:, limited] - p[:-1, limited], most[limited]
    limit = Limit("ramp", "MW", names[limited], value, np.ones(limited.size))
    program.nonneg(value - change, limit)
    program.nonneg(change + value, limit)


def netted(
    storage: Sequence[Storage], charge_mw: FloatArray, discharge_mw: FloatArray, dt_h: float
) -> tuple[FloatArray, FloatArray]:
    """(steps, n) power that does not charge and discharge at once, and (steps, n) what is in store after it.

    The difference of both ways is kept. It leaves more in store than both at once, so charge that no longer
    fits is left out; what the plan has in store at the end is there.
    """
    p = np.asarray(discharge_mw - charge_mw, dtype=np.float64)
    stored = np.empty_like(p)
    for k, one in enumerate(storage):
        have = one.start_mwh
        for t in range(p.shape[0]):
            room = (one.energy_mwh - have) / (dt_h * one.eta_charge)
            rest = (have - one.least_mwh) * one.eta_discharge / dt_h
            p[t, k] = min(max(p[t, k], -max(room, 0.0), -one.charge_mw), max(rest, 0.0), one.discharge_mw)
            have += dt_h * (-one.eta_charge * min(p[t, k], 0.0) - max(p[t, k], 0.0) / one.eta_discharge)
            stored[t, k] = have
    return p, stored
