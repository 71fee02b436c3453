"""Loads of the user as arguments of the power flow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .... import cases
from ....cases import CaseError, Problem
from ....cases.model.edit import nearest
from ....cases.phases import LEG_PLACE, places
from ....cases.profiles import Calendar
from ....cases.profiles.resampling import TimeSeries
from ...optimal.affine import FloatArray

_PHASES = "ABC"


@dataclass(frozen=True, eq=False)
class OwnLoads:
    """Loads of a file, placed.

    Attributes:
        calendar: Of the file.
        p_mw, q_mvar: (steps, n_bus) or (steps, n_bus, 3), positive as loads.
        p_delta_mw, q_delta_mvar: (steps, n_bus, 3) between phases, legs AB, BC, CA; None on balanced feeders.
        origin: For messages.
    """

    calendar: Calendar
    p_mw: FloatArray
    q_mvar: FloatArray
    origin: str
    p_delta_mw: FloatArray | None = None
    q_delta_mvar: FloatArray | None = None

    def within(self, calendar: Calendar, scale: float) -> dict[str, Any]:
        """Arguments of `physics.solve` in the steps of a calendar; ValueError where the file lacks some."""
        found: dict[str, Any] = {}
        for name in ("p_mw", "q_mvar", "p_delta_mw", "q_delta_mvar"):
            values = getattr(self, name)
            if values is None:
                continue
            flat = values.reshape(len(values), -1)
            part = [
                TimeSeries(flat[:, k], self.calendar).resampled(calendar.dt_h).within(calendar, self.origin)
                for k in range(flat.shape[1])
            ]
            found[name] = scale * np.stack(part, axis=1).reshape(calendar.n_steps, *values.shape[1:])
        return found


def own_loads(path: Path | None, feeder: cases.Feeder, zone: str | None) -> OwnLoads | None:
    """Read a table of loads; None where there is none.

    Without reactive power, that of the feeder's tables per MW at each bus goes along. CaseError for what is
    wrong, by cell.
    """
    if path is None:
        return None
    from ....cases.assets.series import read_loads

    table = read_loads(path, zone=zone)
    per_phase = feeder.phases != "balanced"
    shape = (table.calendar.n_steps, feeder.n_nodes, *((3,) if per_phase else ()))
    p, q = np.zeros(shape), np.zeros(shape)
    p_legs, q_legs = np.zeros(shape), np.zeros(shape)
    share = _reactive_share(feeder)
    for k, (bus, phase) in enumerate(zip(table.buses, table.phases, strict=True)):
        if bus not in feeder.node_index:
            expected = f"a bus of {feeder.name}; {nearest(bus, feeder.node_index)}"
            raise CaseError([Problem(str(path), None, "bus_id", bus, expected)])
        row = feeder.node_index[bus]
        power = table.p_mw[:, k]
        reactive = power * share[row] if table.q_mvar is None else table.q_mvar[:, k]
        leg = per_phase and phase in LEG_PLACE
        letters = [LEG_PLACE[phase]] if leg else list(places(phase or _PHASES)) if per_phase else [0]
        for values, part in ((p_legs if leg else p, power), (q_legs if leg else q, reactive)):
            for letter in letters:
                place = (slice(None), row, letter) if per_phase else (slice(None), row)
                values[place] += part / len(letters)
    legs = (p_legs, q_legs) if per_phase else (None, None)
    return OwnLoads(table.calendar, p, q, f"loads {path}", *legs)


def _reactive_share(feeder: cases.Feeder) -> FloatArray:
    """(n_bus,) Mvar for each MW of the feeder's own loads; 0 where there are none."""
    p, q = np.zeros(feeder.n_nodes), np.zeros(feeder.n_nodes)
    for node, load_p, load_q in zip(
        feeder.column("loads", "node_id"), feeder.column("loads", "p_mw"), feeder.column("loads", "q_mvar"),
        strict=True,
    ):  # fmt: skip
        p[feeder.node_index[str(node)]] += load_p
        q[feeder.node_index[str(node)]] += load_q
    return np.where(p != 0.0, q / np.where(p != 0.0, p, 1.0), 0.0)
