"""What is asked of an optimal power flow, as people write it: options of `dist opf`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from .... import cases, physics
from ....cases.profiles import load_profiles
from ...errors import RunError, unknown
from ...hosting.flows import BalancedFlows, Flows
from ...hosting.limits import HostingLimits
from ...hosting.moments import Moments, operating_point, steps_of_days
from ...hosting.phase_flows import PhaseFlows
from ...jobs.config_fields import DisplayedField, Positional, commas
from ...jobs.feeder_content import feeder_sha256
from ...jobs.job import JobConfig
from ...jobs.manifest import InputRecord
from ...optimal.branch_flow import NetworkLimits
from ...optimal.radial import radial_network
from ..voltage_band import VoltageBand
from .opf_settings import Free
from .opf_units import Asset, AssetFiles, assets_of

#: Names on the command line, and those of `optimal.dispatch`.
OBJECTIVES = {"loss": "loss", "cost": "cost", "vvo": "voltage", "host": "host"}
#: Units of what is minimised (or, with host, maximised).
OBJECTIVE_UNITS = {"loss": "MW", "cost": "USD/h", "vvo": "pu^2", "host": "MW"}
BAND_AT = ("buses", "loads")
_PHYSICAL = (0.5, 1.5)


class OpfConfig(JobConfig):
    """The best setpoints of what can be dispatched, within all limits: optimal power flow.

    The plan is replayed through the AC power flow; the bound beside it is one that nobody can pass. Exit
    status: 0 where a plan keeps all limits, 3 where none can (the limits that conflict are named) or the AC
    power flow of the plan breaks one, 2 for wrong input.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, or folder of Parquet tables."
    )
    objective: str = Field(
        default="loss",
        description="loss (least losses), cost (least cost), vvo (voltages nearest to 1 pu) or host (most "
        "fed in).",
    )
    limits: Path | None = Field(
        default=None,
        description="CSV of what is dispatched: asset_id, bus_id, p_min_mw, p_max_mw, q_min_mvar, q_max_mvar"
        " [, s_mva] [, phase].",
    )
    ders: Path | None = Field(
        default=None,
        description="CSV of a schedule (asset_id, bus_id, p_mw, q_mvar), which is kept, or of an envelope "
        "(p_min_mw, p_max_mw, q_min_mvar, q_max_mvar), inside which units are dispatched.",
    )
    costs: Path | None = Field(
        default=None,
        description="CSV of costs: asset_id, c2, c1, c0 (USD/h, p in MW), or points asset_id, p_mw, "
        "cost_usd_per_h.",
    )
    head_usd_mwh: float = Field(default=50.0, description="Price of what the sources deliver, USD/MWh.")
    voltage_band: VoltageBand = Field(default=(0.95, 1.05), description="Voltages allowed, pu, or none.")
    band_at: str = Field(
        default="buses",
        description="Where the band holds: buses (all but the sources), or loads (those with loads).",
    )
    taps: Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("all|ID[,ID…]")] = Field(
        default=(), description="Regulators whose position is chosen, too; left out: all stay as stored."
    )
    banks: Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("all|ID[,ID…]")] = Field(
        default=(), description="Capacitor banks that are switched, too; left out: all stay as stored."
    )
    switches: Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("all|branches|ID[,ID…]")] = (
        Field(
            default=(),
            description="Switches that are opened and closed, too: all of the table, every one of the "
            "branches, or ids of either; left out: all stay as stored.",
        )
    )
    thermal: bool = Field(default=True, description="Keep the ratings of branches.")
    thermal_margin: float = Field(default=0.0, description="Share of each rating that stays free.")
    import_mw: float | None = Field(
        default=None, description="Most power from all sources together, MW; left out: any."
    )
    export_mw: float | None = Field(
        default=None, description="Most power back into all sources together, MW; left out: any."
    )
    load_scale: float = Field(default=1.0, description="Times the loads.")
    v_source_pu: float | None = Field(
        default=None, description="Voltage of the sources, pu; left out: as stored."
    )
    split: str | None = Field(
        default=None,
        description="Solve every step of these days: train, val, test, ...; left out: nominal loads.",
    )
    days: Annotated[tuple[int, ...], BeforeValidator(commas), DisplayedField("N[,N…]")] = Field(
        default=(), description="Days of the split; left out: all."
    )
    steps: Annotated[tuple[int, ...], BeforeValidator(commas), DisplayedField("N[,N…]")] = Field(
        default=(), description="Steps of each day, from 0; left out: all."
    )

    def network_limits(self) -> NetworkLimits:
        """RunError for values that cannot be."""
        low, high = self.voltage_band or (0.0, math.inf)
        if (low, high) != (0.0, math.inf) and not _PHYSICAL[0] <= low < high <= _PHYSICAL[1]:
            raise RunError(
                f"--voltage-band is [{low:g},{high:g}]: expected two voltages within {_PHYSICAL[0]} and "
                f"{_PHYSICAL[1]} pu, the lower one first"
            )
        if not 0.0 <= self.thermal_margin < 1.0:
            raise RunError(f"--thermal-margin is {self.thermal_margin:g}: expected 0 or more, and below 1")
        for flag, cap in (("--import-mw", self.import_mw), ("--export-mw", self.export_mw)):
            if cap is not None and not math.isfinite(cap):
                raise RunError(f"{flag} is {cap}: expected a finite number of MW")
        return NetworkLimits(
            (low, high) if math.isfinite(high) else None,
            self.thermal_margin if self.thermal else None,
            math.inf if self.import_mw is None else self.import_mw,
            math.inf if self.export_mw is None else self.export_mw,
        )

    def check(self) -> None:
        """RunError for values that cannot be."""
        self.network_limits()
        if self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)
        if self.band_at not in BAND_AT:
            raise unknown("--band-at", self.band_at, BAND_AT)
        if self.switches and self.objective == "host":
            raise RunError("--switches is for the objectives loss, cost and vvo: not for host")
        if not math.isfinite(self.head_usd_mwh):
            raise RunError(f"--head-usd-mwh is {self.head_usd_mwh}: expected a finite price")
        if self.v_source_pu is not None and not _PHYSICAL[0] <= self.v_source_pu <= _PHYSICAL[1]:
            raise RunError(
                f"--v-source-pu is {self.v_source_pu}: expected a voltage within {_PHYSICAL[0]} and "
                f"{_PHYSICAL[1]} pu"
            )
        if (self.days or self.steps) and self.split is None:
            raise RunError("days or steps are given without the split that they are of")


@dataclass(frozen=True, eq=False)
class OpfSession:
    """A feeder, what is dispatched, and when.

    Attributes:
        net: Compiled, balanced or per phase.
        free: What is set besides the assets.
        limits: Of the network.
        moments: Loads of each operating point; its step is -1 for the nominal one.
        inputs: Hashes of what was read.
    """

    feeder: cases.Feeder
    net: Any
    assets: tuple[Asset, ...]
    free: Free
    limits: NetworkLimits
    moments: Moments
    v_source_pu: float | None
    inputs: tuple[InputRecord, ...]


def opf_session(config: OpfConfig) -> OpfSession:
    """Read the feeder and the files.

    RunError and CaseError, both ValueErrors, for what is wrong with options and files.
    """
    config.check()
    feeder = cases.load(config.feeder)
    free = Free.of(feeder, config.taps, config.banks, config.switches)
    net = _compiled(feeder, free)
    assets, read = assets_of(feeder, AssetFiles(config.limits, config.ders, config.costs))
    if not assets and not free.any:
        raise RunError(
            "nothing to dispatch: --limits or --ders must name at least one asset, or --taps, --banks or "
            "--switches something to set"
        )
    limits = config.network_limits()
    if config.band_at == "loads":
        with_loads = dict.fromkeys(str(node) for node in feeder.column("loads", "node_id"))
        limits = replace(limits, band_at=tuple(with_loads))
    inputs = [InputRecord(name=f"feeder {feeder.name}", sha256=feeder_sha256(feeder))]
    given = [flag for flag in ("limits", "ders", "costs") if getattr(config, flag) is not None]
    inputs += [file.record(name) for name, file in zip(given, read, strict=True)]
    kind = BalancedFlows if feeder.phases == "balanced" else PhaseFlows
    flows = kind(feeder, HostingLimits(_PHYSICAL, None, None), config.v_source_pu)
    moments = _moments(flows, config)
    return OpfSession(feeder, net, assets, free, limits, moments, config.v_source_pu, tuple(inputs))


def _compiled(feeder: cases.Feeder, free: Free) -> physics.Network | physics.Network3:
    """RunError where taps or banks of a balanced feeder are free that the relaxation does not cover.

    Switches may open its loops.
    """
    if feeder.phases != "balanced":
        return physics.compile_per_phase(feeder, keep_loops=True)
    net = physics.compile(feeder, keep_loops=True)
    if (free.taps or free.banks) and not free.switches:
        radial_network(net)
    return net


def _moments(flows: Flows, config: OpfConfig) -> Moments:
    if config.split is None:
        return operating_point(flows, config.load_scale)
    found = steps_of_days(flows, config.split, config.days or None, config.load_scale)
    if not config.steps:
        return found
    per_day = load_profiles().steps_per_day
    foreign = [step for step in config.steps if not 0 <= step < per_day]
    if foreign:
        raise RunError(f"--steps has {foreign[0]}: expected steps of a day, 0 to {per_day - 1}")
    kept = np.flatnonzero(np.isin(found.step % per_day, config.steps))
    return Moments(
        found.step[kept], found.rows(kept), {name: part[kept] for name, part in found.part.items()}
    )
