"""The fleet of an environment from asset tables."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ....cases import CaseError, Problem
from ....cases.assets import AssetSet, profile_site
from ....cases.assets.limits import controls_of
from ...resources import ResourceSpec
from .kinds import KINDS, PLANTS
from .rows import CellError, Row, Sessions

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def fleet_from_assets(assets: AssetSet) -> tuple[ResourceSpec, ...]:
    """The resources that tables describe, in the order of their rows, named by asset_id.

    Owners, aggregators and priorities have no part in an environment, nor have costs of sun and wind. Series
    of the telemetry are the business of `options_from_assets`, which takes them into the profiles.

    Raises:
        CaseError: names every asset that no resource can be: its row, and what was expected.
    """
    fleet: list[ResourceSpec] = []
    problems: list[Problem] = []
    for number, (row, values) in enumerate(_rows(assets)):
        kind, name = values["asset_type"], values["asset_id"]
        try:
            fleet.append(resource_of(kind, name, row))
        except CellError as fault:
            cell = str(values.get(fault.column) or "nothing")
            problems.append(Problem(_origin(assets), number, fault.column, cell, fault.expected))
        except ValueError as error:
            problems.append(
                Problem(_origin(assets), number, "asset_id", name, f"a {kind} that can be: {error}")
            )
    if problems:
        raise CaseError(problems)
    return tuple(fleet)


def _origin(assets: AssetSet) -> str:
    return assets.name or "der_assets"


def resource_of(kind: str, name: str, row: Row) -> ResourceSpec:
    """The resource of one row. ValueError says what cannot be."""
    known = KINDS[kind]
    fields = {"bus": row.cells["bus_id"], "phase": row.cells["phase"], "name": name, **known.read(row)}
    return _made(known.spec, {**fields, **row.settings})


def _made(spec: type[ResourceSpec], fields: dict[str, Any]) -> ResourceSpec:
    from pydantic import ValidationError

    from ..messages import told
    from ..text_files import ConfigText

    content = {key: list(one) if isinstance(one, tuple) else one for key, one in fields.items()}
    try:
        made: ResourceSpec = _adapter(spec).validate_python(content)
    except ValidationError as error:
        raise ValueError(str(told(ConfigText("its fields", content), error))) from None
    return made


@functools.cache
def _adapter(spec: type[ResourceSpec]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    from ..field_models import written_form

    return TypeAdapter(written_form(spec))


def _rows(assets: AssetSet) -> Iterator[tuple[Row, dict[str, Any]]]:
    sessions = _sessions(assets)
    for number, values in enumerate(assets.assets.to_pylist()):
        cells = {name: value for name, value in values.items() if value is not None}
        row = Row(
            cells,
            controls_of(assets, number),
            assets.cost_curve(values["asset_id"]),
            sessions.get(values["asset_id"], ()),
            json.loads(values["settings"] or "{}"),
        )
        yield row, values


def _sessions(assets: AssetSet) -> dict[str, Sessions]:
    found: dict[str, list[tuple[float, float, float]]] = {}
    capacity = dict(zip(assets.ids, assets.numbers("energy_cap_mwh").tolist(), strict=True))
    for one in assets.sessions.to_pylist():
        energy = one["energy_mwh"]
        if energy is None:
            energy = (one["soc_departure"] - one["soc_arrival"]) * capacity[one["asset_id"]]
        found.setdefault(one["asset_id"], []).append((one["arrival_h"], one["departure_h"], energy))
    return {key: tuple(each) for key, each in found.items()}


def telemetered(assets: AssetSet) -> tuple[tuple[int, str], ...]:
    """Rows of assets with a series of the telemetry, and its id.

    Raises:
        CaseError: an asset whose resource has limits that do not change.
    """
    found, problems = [], []
    kinds = assets.texts("asset_type")
    for number, series in enumerate(assets.texts("telemetry_id")):
        if not series or profile_site(series) is not None or series.startswith("ev:"):
            continue
        if kinds[number] in PLANTS:
            found.append((number, series))
            continue
        expected = f"nothing, as a {kinds[number]} of an environment has limits that do not change"
        problems.append(Problem(_origin(assets), number, "telemetry_id", series, expected))
    if problems:
        raise CaseError(problems)
    return tuple(found)


def resource_problems(assets: AssetSet) -> tuple[Problem, ...]:
    """What keeps assets from being the fleet of an environment; empty where nothing does."""
    problems: list[Problem] = []
    for check in (fleet_from_assets, telemetered):
        try:
            check(assets)
        except CaseError as error:
            problems += error.problems
    return tuple(problems)
