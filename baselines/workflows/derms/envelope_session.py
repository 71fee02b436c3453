"""The day of envelopes: assets along a base schedule, the groups that are asked for, customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .... import cases
from ....cases import CaseError, Problem
from ....cases.model.topology import spanning_forest
from ...errors import RunError
from ...hosting.customers import Customers, customers_of
from ...hosting.flows import BalancedFlows
from ...hosting.limits import HostingLimits
from ...hosting.phase_flows import PhaseFlows
from ...jobs.files import sha256_of
from ...jobs.manifest import InputRecord
from ...optimal.affine import FloatArray
from ...optimal.envelope.group import HEAD, INJECTION
from ...optimal.envelope.moment import Moment, moment_of
from ...optimal.scheduling.case import ScheduleCase
from ...optimal.scheduling.plan import PLAYED, AssetSchedule, best_schedule, replayed
from ...optimal.scheduling.rules import by_rule, idle
from ..csv_rows import RowChecks, read_csv_rows
from .envelope_config import OPTIMUM, EnvelopeConfig
from .schedule_session import ScheduleSession, schedule_session

#: Kinds that regions are made of; others are neither moved nor counted.
MOVED = ("pv", "wind", "battery", "ev", "flexible_load", "generator", "heat_pump")
_COLUMNS = ("asset_id", "step", "p_mw", "q_mvar")


@dataclass(frozen=True)
class Group:
    """Assets that are asked for together.

    Attributes:
        name: Of the region. assets: Their ids.
        seen_at: "head" or "injection". source: The source whose power counts; None: all.
    """

    name: str
    assets: tuple[str, ...]
    seen_at: str
    source: int | None = None


@dataclass(frozen=True, eq=False)
class EnvelopeSession:
    """What regions and operating envelopes have in common.

    Attributes:
        case: Of the day, or of the single nominal step.
        base: The schedule along which assets are.
        groups: In the order of their first assets.
        day: Of the year; -1 at nominal loads. steps: That are asked for.
        inputs: Hashes of what was read.
        left_out: Assets of kinds that are not in `MOVED`.
    """

    config: EnvelopeConfig
    feeder: cases.Feeder
    case: ScheduleCase
    base: AssetSchedule
    groups: tuple[Group, ...]
    day: int
    steps: tuple[int, ...]
    inputs: tuple[InputRecord, ...]
    left_out: tuple[str, ...]

    def moment(self, step: int) -> Moment:
        """What assets can do in a step."""
        return moment_of(self.case, self.base, step, self.config.hold_h)

    def customers(self, step: int) -> Customers:
        """Passive loads of a step, with power flows that are judged by band and ratings of the regions."""
        case = self.case
        limits = HostingLimits(case.limits.v_band or (0.0, np.inf), None, case.limits.thermal_margin)
        now = {name: np.asarray(value)[step] for name, value in case.loads.items()}
        if not case.per_phase:
            return customers_of(BalancedFlows(self.feeder, limits, case.v_source_pu), now)
        settings: dict[str, Any] = {name: now[name] for name in ("tap", "cap_on") if name in now}
        flows = PhaseFlows(self.feeder, limits, case.v_source_pu, settings, voltage_bands=False)
        return customers_of(flows, now)


def envelope_session(config: EnvelopeConfig) -> EnvelopeSession:
    """Read the feeder and the files, and follow the base schedule through the day.

    RunError and CaseError, both ValueErrors, for what is wrong with options and files.
    """
    config.check()
    of_day, left_out = _of_those_that_move(schedule_session(config.day_config()))
    day = of_day.days[0]
    case = of_day.case(day)
    if config.nominal:
        case, day = _nominal(of_day, case), -1
    inputs = list(of_day.inputs)
    base = _followed(config, case)
    if config.schedule is not None:
        base, record = _read(config.schedule, case, day)
        inputs.append(record)
    steps = config.steps or tuple(range(case.steps))
    groups = _groups(config.group_by, of_day, case)
    return EnvelopeSession(config, of_day.feeder, case, base, groups, day, steps, tuple(inputs), left_out)


def _of_those_that_move(of_day: ScheduleSession) -> tuple[ScheduleSession, tuple[str, ...]]:
    """Without assets of other kinds, and who these are. RunError where nobody is left."""
    kinds, ids = of_day.tables.texts("asset_type"), of_day.tables.ids
    kept = [name for name, kind in zip(ids, kinds, strict=True) if kind in MOVED]
    if not kept:
        raise RunError(f"there is no asset that moves: expected one of the kinds {', '.join(MOVED)}")
    left_out = tuple(name for name in ids if name not in kept)
    return replace(of_day, tables=of_day.tables.select(kept)) if left_out else of_day, left_out


def _nominal(of_day: ScheduleSession, case: ScheduleCase) -> ScheduleCase:
    """One step with the loads of the feeder's tables, sun and wind at the rating of plants."""
    net, scale = case.net, of_day.load_scale
    names = {"p_mw": "load_p_mw", "q_mvar": "load_q_mvar"}
    if case.per_phase:
        names |= {"p_delta_mw": "delta_p_mw", "q_delta_mvar": "delta_q_mvar"}
    loads = {name: scale * np.asarray(getattr(net, source))[None] for name, source in names.items()}
    rating = of_day.tables.numbers("p_max_mw")
    assets = []
    for asset in case.assets:
        first = asset.window(0, 1, start_mwh=_start(asset), before_mw=None)
        most = float(rating[of_day.tables.index[asset.name]])
        if asset.offered and np.isfinite(most):
            held = bool((asset.p_min_mw == asset.p_max_mw).all()) and float(asset.p_max_mw.max()) > 0.0
            least = most if held else min(float(first.p_min_mw[0]), most)
            first = replace(first, p_max_mw=np.array([most]), p_min_mw=np.array([least]), offers_mw=None)
        if first.reservoir is not None:  # of one step alone, nothing is owed at its end
            store = asset.reservoir
            assert store is not None
            whole = replace(
                first.reservoir, least_mwh=store.least_mwh.min(keepdims=True),
                most_mwh=store.most_mwh.max(keepdims=True),
            )  # fmt: skip
            first = replace(first, reservoir=whole)
        assets.append(first)
    return case.window(0, 1, assets=tuple(assets), loads=loads)


def _start(asset: Any) -> float:
    return 0.0 if asset.reservoir is None else float(asset.reservoir.start_mwh)


def _followed(config: EnvelopeConfig, case: ScheduleCase) -> AssetSchedule:
    if config.base == OPTIMUM:
        return best_schedule(case)
    return by_rule(case, config.base)


def _read(path: Path, case: ScheduleCase, day: int) -> tuple[AssetSchedule, InputRecord]:
    """A schedule from a file; assets that it does not name are idle."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    rows, lines = _rows_of(path, day)
    p, q = idle(case), np.zeros((case.steps, len(case.assets)))
    at, checks = {asset.name: k for k, asset in enumerate(case.assets)}, RowChecks(str(path))
    for row, line in zip(rows, lines, strict=True):
        step = checks.number(row, line, "step")
        if row["asset_id"] not in at:
            checks.wrong(line, "asset_id", row["asset_id"], "an asset of the tables")
        elif not (step == int(step) if np.isfinite(step) else False) or not 0 <= step < case.steps:
            checks.wrong(line, "step", row["step"], f"a whole number from 0 to {case.steps - 1}")
        else:
            place = int(step), at[row["asset_id"]]
            p[place] = checks.number(row, line, "p_mw")
            q[place] = checks.number(row, line, "q_mvar", 0.0)
    checks.raise_if_any()
    record = InputRecord(name="schedule", sha256=sha256_of(content))
    return replayed(case, "cost", p, q, status=PLAYED), record


def _rows_of(path: Path, day: int) -> tuple[Sequence[Mapping[str, str]], Sequence[int]]:
    """Texts of the columns, and lines; of a table with days those of this one."""
    if path.suffix != ".parquet":
        found = read_csv_rows(path, _COLUMNS, _COLUMNS[:3])
        return found.rows, found.lines
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"cannot read {path}: {error}") from error
    missing = [name for name in _COLUMNS[:3] if name not in table.column_names]
    if missing:
        expected = f"a column {missing[0]}; required are {', '.join(_COLUMNS[:3])}"
        raise CaseError([Problem(str(path), None, "columns", ", ".join(table.column_names), expected)])
    rows, lines = [], []
    for line, row in enumerate(table.to_pylist(), start=1):
        if row.get("day") in (None, day):
            rows.append({name: "" if row.get(name) is None else str(row[name]) for name in _COLUMNS})
            lines.append(line)
    return rows, lines


def _groups(by: str, of_day: ScheduleSession, case: ScheduleCase) -> tuple[Group, ...]:
    """RunError where nobody is in any group."""
    ids = of_day.tables.ids
    if by == "feeder":
        return (Group(of_day.feeder.name, tuple(ids), HEAD),)
    if by == "substation":
        return tuple(_by_source(of_day, case))
    found = of_day.tables.groups(by)
    if not found:
        raise RunError(f"no asset says its {by}: there is no group to be asked for")
    return tuple(Group(name, tuple(ids[k] for k in rows), INJECTION) for name, rows in found.items())


def _by_source(of_day: ScheduleSession, case: ScheduleCase) -> list[Group]:
    """A group for each source that feeds any asset."""
    feeder = of_day.feeder
    parent = np.asarray(spanning_forest(feeder)[0])
    names = [str(name) for name in feeder.column("sources", "node_id")]
    rows = [feeder.node_index[name] for name in names]
    fed: dict[int, list[str]] = {}
    for asset in case.assets:
        node = feeder.node_index[asset.bus]
        while parent[node] >= 0:
            node = int(parent[node])
        if node in rows:
            fed.setdefault(rows.index(node), []).append(asset.name)
    return [Group(names[k], tuple(fed[k]), HEAD, k) for k in sorted(fed)]


def energy_mwh(moment: Moment, group: Group) -> float:
    """Energy of a group's batteries above their least; NaN where it has none."""
    member = np.array([unit.name in group.assets for unit in moment.units], dtype=bool)
    mine: FloatArray = moment.stored_mwh[member]
    return float(np.nansum(mine)) if np.isfinite(mine).any() else np.nan
