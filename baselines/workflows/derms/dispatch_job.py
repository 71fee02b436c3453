"""`distgrid derms dispatch`: a setpoint of P and Q at the substation, given to assets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...errors import RunError
from ...jobs.config_fields import Positional
from ...jobs.job import Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import Scalar
from ...jobs.terminal import SHOWN, titled_table
from ...jobs.unit_tables import NUMBER, TEXT, schema, table_of_rows
from ...optimal.scheduling.assets import followed
from ...optimal.scheduling.case import Excess, ScheduleCase, told
from ...optimal.scheduling.dispatch import Tracked, disaggregate, offers, through_aggregators
from ...optimal.scheduling.objectives import asset_usd
from ...optimal.scheduling.rules import idle
from ..voltage_band import VoltageBand
from .dispatch_figure import dispatch_png
from .schedule_config import ScheduleConfig
from .schedule_session import ScheduleSession, schedule_session

PICTURE = "der_dispatch.png"
TRACKED = 0.01  # share of the setpoint that may be missed
_FILES = ("feeder", "assets", "prices", "loads", "limits")

DISPATCH = schema(
    ("asset_id", TEXT, ""), ("bus_id", TEXT, ""), ("asset_type", TEXT, ""), ("agg_id", TEXT, ""),
    ("priority", pa.int64(), "1"), ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"),  # positive: fed in
    ("p_rest_mw", NUMBER, "MW"),  # where nobody asks
    ("p_min_mw", NUMBER, "MW"), ("p_max_mw", NUMBER, "MW"), ("q_min_mvar", NUMBER, "Mvar"),
    ("q_max_mvar", NUMBER, "Mvar"), ("cost_usd", NUMBER, "USD"),
)  # fmt: skip
GROUPS = schema(
    ("agg_id", TEXT, ""), ("assets", pa.int64(), "1"), ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"),
    ("p_lowest_mw", NUMBER, "MW"), ("p_highest_mw", NUMBER, "MW"),  # what the group offered
    ("q_lowest_mvar", NUMBER, "Mvar"), ("q_highest_mvar", NUMBER, "Mvar"),
)  # fmt: skip
HEAD_TABLE = schema(
    ("feeder", TEXT, ""), ("p_wanted_mw", NUMBER, "MW"), ("q_wanted_mvar", NUMBER, "Mvar"),
    ("p_rest_mw", NUMBER, "MW"), ("q_rest_mvar", NUMBER, "Mvar"),  # where nobody asks
    ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"), ("error_pct", NUMBER, "%"),
    ("loss_mw", NUMBER, "MW"), ("v_lowest_pu", NUMBER, "pu"), ("v_highest_pu", NUMBER, "pu"),
    ("n_violations", pa.int64(), "1"), ("message", TEXT, ""),
)  # fmt: skip
SCHEMAS = {"der_dispatch": DISPATCH, "der_dispatch_groups": GROUPS, "der_dispatch_head": HEAD_TABLE}


class DispatchConfig(JobConfig):
    """Give a setpoint of the substation to the assets behind it.

    Assets are called by priority, then by cost, within band and ratings; the setpoint is met by the AC power
    flow. Exit status: 0 where it is met to 1 %, 3 where it is not or a limit is broken, 2 for wrong input.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, folder of Parquet tables, or id of an environment."
    )
    p_mw: float = Field(description="Power that the substation shall deliver, MW; below 0: take back.")
    q_mvar: float | None = Field(
        default=None, description="Reactive power that it shall deliver, Mvar; left out: as at rest."
    )
    aggregators: bool = Field(
        default=False, description="By way of aggregators: their offers up, setpoints down."
    )
    assets: Path | None = Field(
        default=None, description="Asset tables; left out: the synthetic set of the feeder, or the fleet."
    )
    split: str = Field(default="test", description="Days to choose from: train, val, test, ...")
    day: int | None = Field(
        default=None, description="Day of the year, from 0; left out: the middle one of the split."
    )
    hour: float = Field(default=12.0, description="Hour of the day.")
    dt_h: float = Field(default=0.25, description="Hours for which the setpoint holds.")
    load_scale: float = Field(default=1.0, description="Times the loads.")
    v_source_pu: float | None = Field(
        default=None, description="Voltage of the sources, pu; left out: as stored."
    )
    voltage_band: VoltageBand = Field(
        default=None,
        description="Voltages allowed, pu, or none; left out: [0.9,1.1], or that of the environment's task.",
    )
    thermal: bool = Field(default=True, description="Keep the ratings of branches.")

    def check(self) -> None:
        """RunError for values that cannot be."""
        self.day_config().check()

    def day_config(self) -> ScheduleConfig:
        """The day that it is of. RunError for values that cannot be."""
        if not (math.isfinite(self.p_mw) and math.isfinite(self.q_mvar or 0.0)):
            raise RunError(f"--p-mw is {self.p_mw}, --q-mvar {self.q_mvar}: expected finite numbers")
        if not 0.0 <= self.hour < 24.0:
            raise RunError(f"--hour is {self.hour:g}: expected an hour from 0 to below 24")
        shared = self.model_dump(exclude={"p_mw", "q_mvar", "aggregators", "day", "hour"})
        return ScheduleConfig(**shared, days=() if self.day is None else (self.day,))


@dataclass(frozen=True, eq=False)
class DispatchSession:
    """The day, and the one step of it."""

    of_day: ScheduleSession
    case: ScheduleCase


class DispatchJob(Job[DispatchConfig]):
    """A setpoint of one feeder; its only item."""

    kind = "derms dispatch"
    config_model = DispatchConfig
    tables = tuple(SCHEMAS)
    pictures = (PICTURE,)
    word = "setpoints"

    def prepare(self) -> DispatchSession:
        """The feeder and the assets in the step."""
        session = schedule_session(self.config.day_config())
        whole = session.case(session.days[0])
        step = int(self.config.hour / self.config.dt_h + 1e-9)
        return DispatchSession(session, momentary(whole, step))

    def parameters(self, context: DispatchSession) -> Mapping[str, Scalar]:
        """The configuration; feeder and files count by their content."""
        return self.config.told(*_FILES)

    def describe(self, context: DispatchSession) -> Description:
        """The feeder, the files, and the solver."""
        return Description(list(context.of_day.inputs), packages=("clarabel",))

    def items(self, context: DispatchSession) -> Sequence[int]:
        """One."""
        return (0,)

    def do(self, context: DispatchSession, item: int) -> Part:
        """Assets that meet the setpoint."""
        return Part(dispatch_tables(context.case, self.config))

    def summary(
        self, context: DispatchSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """How near the head came."""
        (row,) = tables["der_dispatch_head"].to_pylist()
        names = ("feeder", "p_wanted_mw", "q_wanted_mvar", "p_mw", "q_mvar", "error_pct", "n_violations")
        return Summary({name: row[name] for name in names}, row["message"])

    def draw(self, context: DispatchSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Setpoints within limits, by priority."""
        return {PICTURE: dispatch_png(outcome.tables)}

    def show(self, context: DispatchSession, outcome: JobOutcome) -> Iterable[Any]:
        """Setpoints, and the head."""
        from rich.markup import escape

        (row,) = outcome.tables["der_dispatch_head"].to_pylist()
        heads = ("Asset", "Bus", "Priority"), ("At rest MW", "P MW", "Q Mvar")
        found = titled_table(f"Setpoints on {escape(row['feeder'])}", *heads)
        rows = outcome.tables["der_dispatch"].to_pylist()
        called = [one for one in rows if abs(one["p_mw"] - one["p_rest_mw"]) + abs(one["q_mvar"]) > 1e-6]
        for one in called[:SHOWN]:
            numbers = (f"{one[name]:.6f}" for name in ("p_rest_mw", "p_mw", "q_mvar"))
            found.add_row(escape(one["asset_id"]), escape(one["bus_id"]), str(one["priority"]), *numbers)
        found.caption_justify = "center"
        found.caption = f"{min(len(called), SHOWN)} of {len(called)} that are called, of {len(rows)}"
        yield found
        wanted = f"wanted {row['p_wanted_mw']:.6f} MW, {row['q_wanted_mvar']:.6f} Mvar"
        came = f"{row['p_mw']:.6f} MW, {row['q_mvar']:.6f} Mvar"
        yield f"head: {wanted}; {came}; off by {row['error_pct']:.4g} %"


def momentary(case: ScheduleCase, step: int) -> ScheduleCase:
    """One step of a case; reservoirs stand where a day at rest brings them, and may go to their ends."""
    wanted, assets = idle(case), []
    for k, asset in enumerate(case.assets):
        store, start = asset.reservoir, 0.0
        if store is not None:
            _, stored = followed(asset, wanted[:, k], case.dt_h)
            start = store.start_mwh if step == 0 else float(stored[step - 1])
        one = asset.window(step, step + 1, start_mwh=start, before_mw=None)
        if store is not None and one.reservoir is not None and asset.kind != "ev":
            least, most = float(store.least_mwh.min()), float(store.most_mwh.max())
            one = replace(
                one, reservoir=replace(one.reservoir, least_mwh=np.array([least]), most_mwh=np.array([most]))
            )
        assets.append(one)
    return case.window(step, step + 1, assets=tuple(assets))


def dispatch_tables(case: ScheduleCase, config: DispatchConfig) -> dict[str, pa.Table]:
    """The tables of a setpoint, by name."""
    rest_p = idle(case)
    rest = case.solve(rest_p, np.zeros_like(rest_p))
    wanted_q = float(np.asarray(rest.q_slack_mvar)[0]) if config.q_mvar is None else config.q_mvar
    p, q = np.array([config.p_mw]), np.array([wanted_q])
    found = through_aggregators(case, p, q) if config.aggregators else disaggregate(case, p, q)
    return {
        "der_dispatch": _setpoints(case, found, rest_p), "der_dispatch_groups": _groups(case, found),
        "der_dispatch_head": _head(case, config, found, wanted_q, rest),
    }  # fmt: skip


def _setpoints(case: ScheduleCase, found: Tracked, rest_mw: Any) -> pa.Table:
    cost = asset_usd(case, found.p_mw)
    rows = [
        (
            a.name, a.bus, a.kind or None, a.agg or None, a.priority, float(found.p_mw[0, k]),
            float(found.q_mvar[0, k]), float(rest_mw[0, k]), float(a.p_min_mw[0]), float(a.p_max_mw[0]),
            float(a.q_min_mvar[0]), float(a.q_max_mvar[0]), float(cost[0, k]),
        ) for k, a in enumerate(case.assets)
    ]  # fmt: skip
    return table_of_rows(rows, DISPATCH)


def _groups(case: ScheduleCase, found: Tracked) -> pa.Table:
    groups: dict[str, list[int]] = {}
    for k, asset in enumerate(case.assets):
        if asset.agg:
            groups.setdefault(asset.agg, []).append(k)
    rows = []
    for offer in offers(case, groups):
        at, reach, n = list(offer.members), offer.reach_mva[0], len(offer.normal)
        rows.append((
            offer.name, len(at), float(found.p_mw[0, at].sum()), float(found.q_mvar[0, at].sum()),
            -float(reach[n // 2]), float(reach[0]), -float(reach[3 * n // 4]), float(reach[n // 4]),
        ))  # fmt: skip
    return table_of_rows(rows, GROUPS)


def _head(case: ScheduleCase, config: DispatchConfig, found: Tracked, wanted_q: float, rest: Any) -> pa.Table:
    error = float(found.error[0])
    problems = []
    if not error <= TRACKED:
        problems.append(
            f"the assets cannot bring the head to {config.p_mw:g} MW and {wanted_q:g} Mvar: the nearest is "
            f"{found.head_mw[0]:.6g} MW and {found.head_mvar[0]:.6g} Mvar"
        )
    exceeded: tuple[Excess, ...] = found.exceeded
    if exceeded:
        problems.append(f"the AC power flow breaks limits: {told(exceeded)}")
    row = (
        case.net.feeder.name, config.p_mw, wanted_q, float(np.asarray(rest.p_slack_mw)[0]),
        float(np.asarray(rest.q_slack_mvar)[0]), float(found.head_mw[0]), float(found.head_mvar[0]),
        100.0 * error, float(np.asarray(found.solution.p_loss_mw)[0]),
        float(np.nanmin(found.solution.v_pu)), float(np.nanmax(found.solution.v_pu)), len(exceeded),
        "; ".join(problems) or None,
    )  # fmt: skip
    return table_of_rows([row], HEAD_TABLE)
