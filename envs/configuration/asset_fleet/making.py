"""Environments made from asset tables, and from tables of prices, loads and limits with time stamps."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from ....cases import CaseError, Feeder, Problem
from ....cases import load as load_case
from ....cases.assets import OPERATING_POINTS, AssetSet, LoadTable, load_assets, read_loads, read_prices
from ....cases.assets.telemetry import series_of
from ....cases.model.der_loads import without_der_loads
from ....cases.model.edit import nearest
from ....cases.profiles import Calendar, Profiles, TimeSeries, load_profiles
from ...core.columns import load_points
from ...core.load_source import SeriesLoad
from ...core.options import EnvOptions, OptionKeywords
from ...core.time_axis import played_profiles
from ...resources import ResourceSpec
from ...tasks import Task
from .kinds import PLANTS
from .reading import fleet_from_assets, telemetered

Floats = NDArray[np.float64]
_DAY = datetime.timedelta(days=1)


def options_from_assets(
    case: str | Path | Feeder,
    assets: AssetSet | str | Path,
    task: Task | None = None,
    split: str | None = None,
    *,
    price_file: str | Path | None = None,
    load_file: str | Path | None = None,
    zone: str | None = None,
    **changes: Unpack[OptionKeywords],
) -> EnvOptions:
    """The options of an environment whose fleet is that of asset tables; `make_env` makes it.

    Series of telemetry take the place of sun and wind for the plants that name them. Where files of series
    are given, and neither a split nor days, all their days are played. Loads of an imported feeder that stand
    for one of the assets are left out, see `distgrid.cases.load`.

    Args:
        case: feeder, its name or path.
        assets: an asset set, or what `cases.assets.load_assets` takes.
        task: what is observed and rewarded; None: `LossMinimisation()`.
        split: the days that are drawn; None: all of the own series, else those of training.
        price_file: a table of prices, Parquet or CSV; None: ``prices`` as in `EnvOptions`.
        load_file: a table of loads, Parquet or CSV; None: ``load`` as in `EnvOptions`.
        zone: of time stamps without one, such as "Europe/Berlin"; None: local standard time of the data.
        **changes: other fields of `EnvOptions`.

    Raises:
        CaseError: names what is wrong with the tables, and every asset that no resource can be.
        ValueError: series that have no whole day in common.
    """
    feeder = case if isinstance(case, Feeder) else load_case(case)
    owned = assets if isinstance(assets, AssetSet) else load_assets(assets, feeder=feeder, zone=zone)
    played = without_der_loads(feeder, owned.ids)
    if played is not feeder:
        case = feeder = played
    given: dict[str, Any] = {"task": task, "split": split, **changes}
    fleet = fleet_from_assets(owned)
    if telemetered(owned):
        fleet, given["profiles"] = _with_telemetry(owned, fleet, given.get("profiles"))
    if price_file is not None:
        given["prices"] = read_prices(price_file, zone=zone)
    if load_file is not None:
        given["load"] = series_load(feeder, read_loads(load_file, zone=zone))
    own_series = price_file is not None or load_file is not None or bool(telemetered(owned))
    if own_series and split is None and given.get("days") is None:
        load = given.get("load")
        axis = played_profiles(given.get("profiles"), given.get("prices"), load)
        given["days"] = range(axis.n_days if load is None else load.n_days)
    return EnvOptions(case=case, resources=fleet, **given)


def shipped_asset_options(
    name: str, task: Task | None = None, split: str | None = None, **changes: Unpack[OptionKeywords]
) -> EnvOptions:
    """The options of an environment with the shipped assets of a feeder, at their operating point.

    Args:
        name: one of `cases.assets.asset_set_names`.
        task: what is observed and rewarded; None: `LossMinimisation()`.
        split: the days that are drawn; None: those of training.
        **changes: other fields of `EnvOptions`; those of the operating point may be among them.

    Raises:
        CaseError: a feeder without shipped assets; the nearest with some are named.
    """
    assets = load_assets(name)
    point = OPERATING_POINTS.get(name)
    if point is None:
        known = nearest(name, OPERATING_POINTS)
        raise CaseError(
            [Problem("assets", None, "name", repr(name), f"a feeder with shipped assets; {known}")]
        )
    given: dict[str, Any] = {"load_scale": point.load_scale, "v_source_pu": point.v_source_pu, **changes}
    case = name if point.as_the_case else point.feeder(name)
    return options_from_assets(case, assets, task, split, **cast(Any, given))


def series_load(feeder: Feeder, table: LoadTable) -> SeriesLoad:
    """The load of a feeder from a table: whole days from midnight on, local standard time of the data.

    A row without a phase is shared by the loads of its bus as their nominal powers are, alike where they
    have none.

    Raises:
        CaseError: a bus or phase without load in the feeder, a bus with load and without rows, or no whole
            day.
    """
    share = _shares(feeder, table)
    rows, calendar = _whole_days(table)
    active = table.p_mw[rows] @ share
    reactive = None if table.q_mvar is None else table.q_mvar[rows] @ share
    return SeriesLoad(feeder, active, reactive, calendar)


def _shares(feeder: Feeder, table: LoadTable) -> Floats:
    """(columns, points) what each point of the feeder has of each column of the table."""
    points = load_points(feeder)
    nominal = np.zeros(len(points.names))
    np.add.at(nominal, points.point, points.share * np.abs(feeder.column("loads", "p_mw"))[points.row])
    loaded = np.isin(np.arange(len(points.names)), points.point)
    bus_of = [name.rpartition(".")[0] if points.phased else name for name in points.names]
    share = np.zeros((len(table.buses), len(points.names)))
    problems = []
    for k, (bus, phase) in enumerate(zip(table.buses, table.phases, strict=True)):
        of_bus = np.array([one == bus for one in bus_of])
        exact = np.array([name == f"{bus}.{phase}" for name in points.names])
        chosen = exact if points.phased and phase not in ("", "ABC") else of_bus
        weight = np.where(chosen, nominal, 0.0)
        if weight.sum() == 0.0:
            weight = np.where(chosen & loaded, 1.0, 0.0)
        if weight.sum() > 0.0:
            share[k] = weight / weight.sum()
            continue
        expected = f"a bus{' and phase' if points.phased else ''} with load in {feeder.name}"
        problems.append(Problem(table.origin, None, "bus_id", f"{bus} {phase}".strip(), expected))
    for point in np.flatnonzero((share.sum(axis=0) == 0.0) & (nominal > 0.0)):
        expected = f"rows of it: it has load in {feeder.name}"
        problems.append(Problem(table.origin, None, "bus_id", points.names[point], expected))
    for point in np.flatnonzero((share > 0.0).sum(axis=0) > 1):
        expected = "rows of the bus, or of its phases, not of both"
        problems.append(Problem(table.origin, None, "bus_id", points.names[point], expected))
    if problems:
        raise CaseError(problems)
    return share


def _whole_days(table: LoadTable) -> tuple[slice, Calendar]:
    has = table.calendar
    per_day = has.steps_per_day
    midnight = datetime.datetime.combine(has.start.date(), datetime.time())
    late = round((has.start - midnight) / _DAY * per_day)
    first = (per_day - late) % per_day
    days = (has.n_steps - first) // per_day
    if days < 1:
        expected = "a whole day from midnight to midnight in local standard time of the data (UTC+1)"
        raise CaseError([Problem(table.origin, None, "ts", str(has), expected)])
    return slice(first, first + days * per_day), Calendar(has.time(first), has.dt_h, days * per_day)


def _with_telemetry(
    assets: AssetSet, fleet: tuple[ResourceSpec, ...], profiles: Profiles | None
) -> tuple[tuple[ResourceSpec, ...], Profiles]:
    """The fleet with sites of its own for plants with series, and profiles that have these sites."""
    base = load_profiles() if profiles is None else profiles
    placed, own = list(fleet), telemetered(assets)
    for kind, spec in PLANTS.items():
        members = [(row, key) for row, key in own if isinstance(fleet[row], spec)]
        if not members:
            continue
        others = [one for row, one in enumerate(fleet) if isinstance(one, spec) and row not in dict(members)]
        used = {cast(Any, one).rated_site for one in others}
        free = [site for site in range(spec.n_sites) if site not in used]
        if len(free) < len(members):
            raise ValueError(
                f"{len(members)} {kind} assets with series and {len(used)} sites of the profiles: expected "
                f"{spec.n_sites} at most together"
            )
        base, sites = _site_series(assets, members, kind, free, base)
        for (row, _), site in zip(members, sites, strict=True):
            placed[row] = cast(ResourceSpec, dataclasses.replace(cast(Any, fleet[row]), site=site))
    return tuple(placed), base


def _site_series(
    assets: AssetSet, members: list[tuple[int, str]], kind: str, free: list[int], base: Profiles
) -> tuple[Profiles, list[int]]:
    """Profiles with the series of the members at free sites, and these sites."""
    found = [_most_power(assets, row, key) for row, key in members]
    start = max([base.calendar.start, *(one.calendar.start for one in found)])
    end = min([base.calendar.end, *(one.calendar.end for one in found)])
    if start >= end:
        raise ValueError(f"series of {kind} assets have no time in common with profiles from {base.calendar}")
    calendar = base.calendar.part(start, end)
    values = TimeSeries(base.pv if kind == "pv" else base.wind, base.calendar).within(calendar, kind).copy()
    sites = free[: len(members)]
    for site, one in zip(sites, found, strict=True):
        values[:, site] = one.resampled(base.dt_h).within(calendar, kind)
    return base.with_series(**{kind: TimeSeries(values, calendar)}), sites


def _most_power(assets: AssetSet, row: int, key: str) -> TimeSeries:
    """What a plant may give, per unit of its rating.

    Raises:
        CaseError: a series without p_max_mw, or with limits that plants of environments do not have.
    """
    series = series_of(assets.telemetry, key)
    other = [name for name in series if name != "p_max_mw"]
    if other or "p_max_mw" not in series:
        expected = "a series of p_max_mw alone: other limits of plants do not change in environments"
        raise CaseError([Problem("telemetry", None, "telemetry_id", key, expected)])
    one = series["p_max_mw"]
    return TimeSeries(one.values / assets.numbers("p_max_mw")[row], one.calendar)
