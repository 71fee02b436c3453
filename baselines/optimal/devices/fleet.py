"""Rows of a whole fleet: one function for each kind of device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ....envs.core.planning import Window
from ....envs.resources import Fleet
from ....envs.resources.base import Resource, UnitInfo
from ....envs.resources.ev import EVProgram
from ...errors import RunError
from ..affine import FloatArray
from ..program import Program
from .flexible import flexible_rows
from .generators import generator_rows
from .offered import offered_rows
from .planned import Decided, Planned, Setting
from .rooms import heat_pump_rows
from .stations import station_rows
from .storage import battery_rows
from .work import data_center_rows, soft_open_point_rows

#: By the kind of a program, what makes columns and rows of its units.
ROWS: Mapping[str, Callable[[Setting], Planned]] = MappingProxyType(
    {
        "battery": battery_rows,
        "pv": offered_rows,
        "wind": offered_rows,
        "ev": station_rows,
        "generator": generator_rows,
        "flexible_load": flexible_rows,
        "heat_pump": heat_pump_rows,
        "data_center": data_center_rows,
        "soft_open_point": soft_open_point_rows,
    }
)


def check_kinds(fleet: Fleet, beside: tuple[str, ...] = ()) -> None:
    """RunError where a device has no rows, nor is of a kind ``beside``."""
    known = (*ROWS, *beside)
    other = [program.kind for program in fleet.programs if program.kind not in known]
    if other:
        raise RunError(
            f"devices of kind {other[0]!r} have no rows in the relaxation; these have: {', '.join(known)}"
        )


def planned_fleet(
    program: Program, fleet: Fleet, window: Window, units: Sequence[UnitInfo],
    decided: Decided = MappingProxyType({}),
) -> list[Planned]:  # fmt: skip
    """Columns and rows of every program of a fleet that injects, of kinds that `check_kinds` lets pass.

    Args:
        program: Takes them.
        fleet: Of the environment.
        window: What its devices will meet.
        units: Of the fleet.
        decided: What is decided of some of them; see `planned.Decided`.
    """
    known = {unit.name: unit for unit in units}
    out = []
    for resource, outlook in zip(fleet.programs, window.outlooks.values(), strict=True):
        if outlook.positions is not None:
            continue
        its = tuple(known[name] for name in outlook.units)
        setting = Setting(
            program, outlook, its, np.array([unit.p_mw for unit in its]), window.load_p_mw,
            _missing_price(resource), decided, window.dt_h,
        )  # fmt: skip
        first = len(program.rows)
        made = ROWS[resource.kind](setting)
        out.append(replace(made, rows=(first, len(program.rows))))
    return out


def _missing_price(resource: Resource) -> FloatArray:
    """(n_units,) of a MWh that a car leaves without."""
    if isinstance(resource, EVProgram):
        return np.asarray(resource.price, dtype=np.float64)
    return np.zeros(resource.n_units)
