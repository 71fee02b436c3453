"""Asset tables from the fleet of an environment."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from ....cases import CaseError, Feeder, Problem
from ....cases.assets import ASSET_TABLES, AssetSet, CostCurve
from ...core.face import MadeWithOptions
from ...core.options import EnvOptions
from ...resources import Resource, ResourceSpec
from ...resources.placement import assign_names, group
from ..env_file import plain
from ..making import options_of_env
from .kinds import KINDS
from .reading import resource_of
from .rows import Row, Written

_KIND_OF = {kind.spec: name for name, kind in KINDS.items()}
#: Fields that have columns of their own.
_PLACED = ("bus", "phase", "name")


def assets_of(source: str | EnvOptions | MadeWithOptions | Sequence[ResourceSpec | Resource]) -> AssetSet:
    """The fleet of an environment as asset tables; `fleet_from_assets` makes equal resources of them.

    Owners, aggregators and priorities are left open. Resources without a name get that of their unit.

    Args:
        source: a registered id (or a file of configuration), options, an environment without wrappers, or a
            fleet.

    Raises:
        CaseError: names every resource that the tables cannot hold: what sits on a switch, a regulator or a
            bank of the feeder, or between two buses, and what people made of their own.
        ValueError: an unknown id.
    """
    name, fleet = _fleet(source)
    _refuse(fleet, name)
    specs = cast(Sequence[ResourceSpec], fleet)
    tables: dict[str, list[dict[str, Any]]] = {key: [] for key in ASSET_TABLES}
    for spec, unit in zip(specs, _names(specs), strict=True):
        for key, rows in _written(spec, unit).items():
            tables[key] += rows
    made = {key: pa.Table.from_pylist(rows, schema=ASSET_TABLES[key]) for key, rows in tables.items()}
    return AssetSet(made.pop("der_assets"), **made, name=name)


def _fleet(source: Any) -> tuple[str, Sequence[ResourceSpec | Resource]]:
    if isinstance(source, MadeWithOptions):
        return str(source.feeder.name), source.resources
    options = options_of_env(source) if isinstance(source, str) else source
    if isinstance(options, EnvOptions):
        case = options.case
        return case.name if isinstance(case, Feeder) else str(case), options.resources
    return "", tuple(options)


def _refuse(fleet: Sequence[ResourceSpec | Resource], name: str) -> None:
    known = ", ".join(cls.__name__ for cls in _KIND_OF)
    problems = [
        Problem(name or "fleet", row, "resource", type(one).__name__, f"one of {known}: tables hold no other")
        for row, one in enumerate(fleet)
        if type(one) not in _KIND_OF
    ]
    if problems:
        raise CaseError(problems)


def _names(specs: Sequence[ResourceSpec]) -> list[str]:
    """Names of the units, as the environment gives them."""
    programs = group(specs)
    assign_names(programs)
    of_kind = {program.kind: iter(program.names) for program in programs}
    return [next(of_kind[spec.kind]) for spec in specs]


def _written(spec: ResourceSpec, unit: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of every table for one resource."""
    name = _KIND_OF[type(spec)]
    named = dataclasses.replace(cast(Any, spec), name=unit)
    written = KINDS[name].write(named)
    cells = {"bus_id": str(named.bus), "phase": named.phase, **written.cells}
    settings = _settings(named, name, cells, written)
    curve = f"{unit}-cost" if written.points else None
    row = {
        "asset_id": unit, "asset_type": name, "cost_curve_id": curve, **cells,
        "settings": json.dumps(settings, separators=(",", ":")) if settings else None,
    }  # fmt: skip
    for column in ASSET_TABLES["der_assets"].names:
        row.setdefault(column, None)
    points = [{"cost_curve_id": curve, "p_mw": p, "cost_usd_per_h": cost} for p, cost in written.points]
    sessions = [
        {"asset_id": unit, "arrival_h": come, "departure_h": leave, "energy_mwh": energy,
         "soc_arrival": None, "soc_departure": None}
        for come, leave, energy in written.sessions
    ]  # fmt: skip
    return {"der_assets": [row], "cost_curves": points, "sessions": sessions}


def _settings(spec: Any, kind: str, cells: Mapping[str, Any], written: Written) -> dict[str, Any]:
    """Fields that do not come back exactly from the columns."""
    found: dict[str, Any] = {}
    wanted = {item.name: getattr(spec, item.name) for item in dataclasses.fields(spec) if item.init}
    usual = {item.name: item.default for item in dataclasses.fields(spec)}
    # What a field says may depend on others in the settings: twice is enough for all kinds.
    for _ in range(2):
        try:
            read = KINDS[kind].read(_row(cells, written, found))
        except ValueError:  # the columns alone say too little
            read = KINDS[kind].read(_row(cells, written, _all_settings(spec)))
        given = {**{name: usual[name] for name in wanted}, **read}
        found = {
            name: plain(value, f"{kind} {spec.name}.{name}")
            for name, value in wanted.items()
            if name not in _PLACED and not _same(value, given[name])
        }
    made = resource_of(kind, spec.name, _row(cells, written, found))
    assert made == spec, f"{kind} {spec.name} does not come back from its row"
    return found


def _all_settings(spec: Any) -> dict[str, Any]:
    return {item.name: plain(getattr(spec, item.name), item.name) for item in dataclasses.fields(spec)}


def _same(value: Any, given: Any) -> bool:
    if isinstance(value, tuple) or isinstance(given, tuple):
        return bool(given == value)
    return type(value) is type(given) and bool(value == given)


def _row(cells: Mapping[str, Any], written: Written, settings: Mapping[str, Any]) -> Row:
    curve = None
    if written.points:
        power, cost = zip(*written.points, strict=True)
        curve = CostCurve(np.array(power), np.array(cost))
    controls = str(cells.get("controls", ""))
    return Row(cells, "" if controls == "none" else controls, curve, written.sessions, settings)
