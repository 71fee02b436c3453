"""A feeder or an environment, its assets and its series: the case of every day that is scheduled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from .... import cases, physics
from ....cases.assets import AssetSet, asset_set_names, load_assets, read_assets
from ....cases.model.der_loads import without_der_loads
from ....cases.profiles import Calendar, Profiles, load_profiles
from ....cases.profiles.resampling import TimeSeries
from ....envs import EnvOptions, assets_of, make_env, options_from_assets, shipped_asset_options
from ....envs.configuration.making import options_of_env
from ....envs.core.forecasts import PRACTICE
from ....envs.core.ladder import ORACLE
from ....envs.tasks import DERDispatch
from ...errors import RunError
from ...hosting.flows import BalancedFlows, Flows
from ...hosting.limits import HostingLimits
from ...hosting.moments import steps_of_days
from ...hosting.phase_flows import PhaseFlows
from ...jobs.feeder_content import feeder_sha256
from ...jobs.files import sha256_of
from ...jobs.manifest import InputRecord
from ...optimal.affine import FloatArray
from ...optimal.branch_flow import NetworkLimits
from ...optimal.scheduling.case import ScheduleCase
from ...optimal.scheduling.foresight import Foresight, key_of
from ...optimal.scheduling.from_tables import assets_of_tables
from .schedule_config import ScheduleConfig
from .schedule_loads import OwnLoads, own_loads
from .schedule_orders import Order, caps_of, curtailed, read_orders

_USUAL_BAND = (0.9, 1.1)
_PHYSICAL = (0.5, 1.5)
_CONTROL_ITERATIONS = 60  # power flows after which controls that hunt are given up


@dataclass(frozen=True, eq=False)
class ScheduleSession:
    """What the days have in common.

    Attributes:
        feeder, net: Tables, and compiled.
        tables: Assets.
        profiles: Of the shipped year, in the steps of the schedule.
        prices: Of the user; None: the shipped ones.
        loads: Of the user; None: the shipped ones.
        days: Of the year.
        load_scale: Of shipped and own loads. v_source_pu: None: as stored.
        options: Of the registered environment, or of that of a shipped asset set; None: there is none.
        inputs: Hashes of what was read.
    """

    config: ScheduleConfig
    feeder: cases.Feeder
    net: physics.Network | physics.Network3
    tables: AssetSet
    profiles: Profiles
    prices: TimeSeries | None
    loads: OwnLoads | None
    limits: NetworkLimits
    orders: tuple[Order, ...]
    days: tuple[int, ...]
    load_scale: float
    v_source_pu: float | None
    options: EnvOptions | None
    inputs: tuple[InputRecord, ...]

    @property
    def steps(self) -> int:
        """Of a day."""
        return round(24.0 / self.config.dt_h)

    def calendar(self, day: int) -> Calendar:
        """Of a day of the year."""
        whole = self.profiles.calendar
        start = whole.start + (whole.end - whole.start) / self.profiles.n_days * day
        return Calendar(start, self.config.dt_h, self.steps)

    def case(self, day: int) -> ScheduleCase:
        """What is asked for on a day.

        Taps and banks of per-phase feeders are where local control rests under the loads alone, in each step;
        those of environments and shipped sets as stored.

        Raises:
            RunError: assets that cannot keep their own limits, or that are not scheduled.
            ValueError: series that do not cover the day.
        """
        calendar = self.calendar(day)
        loads = self._loads(day, calendar)
        if self.options is None and isinstance(self.net, physics.Network3):
            loads |= _at_rest(self.net, loads, self.v_source_pu)
        assets = assets_of_tables(self.tables, calendar, _by_bus(self.feeder, loads), self.profiles)
        assets = curtailed(assets, self.orders, self.config.dt_h)
        if self.prices is None:
            price = TimeSeries(self.profiles.price_usd_mwh, self.profiles.calendar).within(calendar, "price")
        else:
            price = self.prices.resampled(self.config.dt_h).within(calendar, f"prices {self.config.prices}")
        config = self.config
        caps = caps_of(self.orders, self.steps, config.dt_h, config.import_cap, config.export_cap)
        return ScheduleCase(
            self.net, assets, loads, np.asarray(price, dtype=np.float64), config.dt_h, self.limits, caps,
            self.v_source_pu,
        )  # fmt: skip

    def foresight(self, day: int) -> Foresight:
        """Forecasts of a day: those of the environment in the episode that begins with the seed, else as good
        as those of weather services, with prices known.
        """
        first, options = day * self.steps, _environment(self.config.feeder)
        if options is None:
            return Foresight(PRACTICE, key=key_of(self.config.seed, day), first=first)
        env = make_env(options)
        env.reset(seed=self.config.seed, options={"day": day})
        exact = (options.observation or ORACLE) == ORACLE
        forecaster = options.forecaster or (None if exact else PRACTICE)
        return Foresight(forecaster, exact, int(env.grid.row_key[0]), first)

    def _loads(self, day: int, calendar: Calendar) -> dict[str, Any]:
        if self.loads is not None:
            return self.loads.within(calendar, self.load_scale)
        kind = BalancedFlows if self.feeder.phases == "balanced" else PhaseFlows
        flows: Flows = kind(self.feeder, HostingLimits(_PHYSICAL, None, None), self.v_source_pu)
        moments = steps_of_days(flows, self.config.split, (day,), self.load_scale, self.profiles)
        return dict(moments.loads)


def schedule_session(config: ScheduleConfig) -> ScheduleSession:
    """Read the feeder and the files.

    RunError and CaseError, both ValueErrors, for what is wrong with options and files.
    """
    config.check()
    options = _environment(config.feeder) or _operating_point(config)
    feeder = cases.load(config.feeder) if options is None else _feeder_of(options)
    inputs = [InputRecord(name=f"feeder {feeder.name}", sha256=feeder_sha256(feeder))]
    tables = _tables(config, feeder, options)
    feeder = without_der_loads(feeder, tables.ids)
    net = physics.compile(feeder, keep_loops=True)
    for name in ("prices", "loads"):
        path: Path | None = getattr(config, name)
        if path is not None:
            inputs.append(InputRecord(name=name, sha256=sha256_of(path.read_bytes())))
    inputs.append(InputRecord(name="assets", sha256=_tables_sha256(tables)))
    orders: tuple[Order, ...] = ()
    if config.limits is not None:
        branches = [str(name) for name in feeder.column("branches", "branch_id")]
        orders, record = read_orders(config.limits, branches, tables)
        inputs.append(record)
    profiles = _profiles(options, config.dt_h)
    usual, scale, source = _USUAL_BAND, config.load_scale, config.v_source_pu
    if options is not None:
        usual = _band_of(options) or _USUAL_BAND
        scale *= options.load_scale
        source = options.v_source_pu if source is None else source
    return ScheduleSession(
        config, feeder, net, tables, profiles, _prices(config), own_loads(config.loads, feeder, config.zone),
        config.network_limits(usual), orders, _days(config, profiles), scale, source,
        options, tuple(inputs),
    )  # fmt: skip


def environment_options(session: ScheduleSession) -> EnvOptions:
    """The environment of a session: its own, or one whose fleet is that of its asset tables.

    A feeder's asset set and tables on a feeder have no task: they get `DERDispatch`. RunError and CaseError,
    both ValueErrors, for tables that no environment can have.
    """
    config, own = session.config, _environment(session.config.feeder)
    if own is None and config.assets is None:
        own = shipped_asset_options(config.feeder, DERDispatch())
    if own is None:
        return options_from_assets(
            session.feeder, session.tables, DERDispatch(), config.split, load_scale=session.load_scale,
            v_source_pu=session.v_source_pu,
        )  # fmt: skip
    changes: dict[str, Any] = {"load_scale": session.load_scale, "v_source_pu": session.v_source_pu}
    if config.assets is not None:
        made = options_from_assets(session.feeder, session.tables, profiles=own.profiles)
        changes |= {"resources": made.resources, "profiles": made.profiles}
    return replace(own, **changes)


def _environment(name: str) -> Any:
    """Options of a registered environment of that id; None where it is none."""
    full = name if "/" in name else f"distgrid/{name}"
    return options_of_env(full) if full in gymnasium.registry else None


def _operating_point(config: ScheduleConfig) -> Any:
    """Options of a shipped asset set, at the loads, voltage and taps that it is made for; None elsewhere."""
    own = config.assets is not None or config.feeder not in asset_set_names()
    return None if own else shipped_asset_options(config.feeder)


def _feeder_of(options: Any) -> cases.Feeder:
    return options.case if isinstance(options.case, cases.Feeder) else cases.load(options.case)


def _band_of(options: Any) -> tuple[float, float] | None:
    task = options.task
    return getattr(task, "v_band", None)


def _tables(config: ScheduleConfig, feeder: cases.Feeder, options: Any) -> AssetSet:
    if config.assets is not None:
        return read_assets(config.assets, zone=config.zone, feeder=feeder)
    if config.feeder in asset_set_names():
        return load_assets(config.feeder)
    if options is None:
        known = ", ".join(asset_set_names())
        raise RunError(
            f"{config.feeder} has no asset set of its own: name asset tables with --assets (sets are of "
            f"{known})"
        )
    return assets_of(options)


def _profiles(options: Any, dt_h: float) -> Profiles:
    given = None if options is None else options.profiles
    year = given if isinstance(given, Profiles) else load_profiles()
    return year if year.dt_h == dt_h else year.resampled(dt_h)


def _prices(config: ScheduleConfig) -> TimeSeries | None:
    if config.prices is None:
        return None
    from ....cases.assets.series import read_prices

    return read_prices(config.prices, zone=config.zone)


def _tables_sha256(tables: AssetSet) -> str:
    import pyarrow as pa

    parts = []
    for one in tables.tables().values():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, one.schema) as writer:
            writer.write_table(one.combine_chunks())
        parts.append(sink.getvalue().to_pybytes())
    return sha256_of(b"".join(parts))


def _at_rest(net: physics.Network3, loads: dict[str, Any], v_source_pu: float | None) -> dict[str, Any]:
    """Taps and banks of every step, arguments of `physics.solve`: where local control rests."""
    if not (len(net.feeder.column("regulators", "reg_id")) or len(net.feeder.column("capacitors", "cap_id"))):
        return {}
    source: dict[str, Any] = {} if v_source_pu is None else {"v_source_pu": v_source_pu}
    run = physics.settle_controls(net, max_control_iterations=_CONTROL_ITERATIONS, **loads, **source)
    step_pu = np.asarray(net.feeder.column("regulators", "tap_step_pu"), dtype=np.float64)
    return {"tap": 1.0 + np.atleast_2d(run.tap_pos) * step_pu, "cap_on": np.atleast_2d(run.cap_on)}


def _days(config: ScheduleConfig, profiles: Profiles) -> tuple[int, ...]:
    if config.loads is None:
        have: Sequence[int] = profiles.split_days(config.split).tolist()
        if not config.days:
            return (have[len(have) // 2],)
        foreign = [day for day in config.days if day not in have]
        if foreign:
            raise RunError(f"day {foreign[0]} is not one of split {config.split!r}: {_shortened(have)}")
        return config.days
    days = config.days or (profiles.split_days(config.split).tolist()[0],)
    wrong = [day for day in days if not 0 <= day < profiles.n_days]
    if wrong:
        raise RunError(f"day {wrong[0]} is none of the year: expected 0 to {profiles.n_days - 1}")
    return days


def _shortened(days: Sequence[int]) -> str:
    shown = ", ".join(map(str, days[:8]))
    return f"{shown}, ..." if len(days) > 8 else shown


def _by_bus(feeder: cases.Feeder, loads: Mapping[str, Any]) -> dict[str, FloatArray]:
    """(steps,) load of each bus, all phases."""
    n = feeder.n_nodes
    parts = [np.asarray(loads[name]) for name in ("p_mw", "p_delta_mw") if name in loads]
    total = sum(part.reshape(len(part), n, -1).sum(axis=2) for part in parts)
    names = [str(name) for name in feeder.column("nodes", "node_id")]
    return {name: np.asarray(total)[:, k] for k, name in enumerate(names)}
