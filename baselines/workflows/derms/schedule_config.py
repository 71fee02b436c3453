"""What is asked of a schedule, as people write it: options of `derms schedule`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ...errors import RunError, unknown
from ...jobs.config_fields import AlsoNamed, DisplayedField, Positional, commas
from ...jobs.job import JobConfig
from ...optimal.branch_flow import NetworkLimits
from ...optimal.scheduling.foresight import Foresight
from ...optimal.scheduling.objectives import OBJECTIVES
from ...optimal.scheduling.rolling import RollingSettings
from ...optimal.scheduling.rules import RULES
from ..voltage_band import VoltageBand

OPTIMUM, MPC = "optimum", "mpc"
POLICIES = (OPTIMUM, MPC, *RULES)
_PHYSICAL = (0.5, 1.5)


class ScheduleConfig(JobConfig):
    """Schedule the distributed resources of a feeder over a day.

    The optimum knows the day; mpc plans on forecasts; rules look at prices or loads alone. Every schedule is
    replayed through the AC power flow, and the optimum of a radial balanced feeder has a bound beside it.
    Exit status: 0 where the schedule keeps all limits, 3 where none can (it is said by how much and where
    they must give way) or the AC power flow of the schedule breaks one, 2 for wrong input.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, folder of Parquet tables, or id of an environment."
    )
    objective: str = Field(
        default="cost",
        description="cost (energy at the head, assets, wear), revenue (of the assets), min-curtailment (of "
        "sun and wind) or min-peak (import). Among equals the cheapest.",
    )
    policy: str = Field(default=OPTIMUM, description=f"Who schedules: {', '.join(POLICIES)}.")
    assets: Path | None = Field(
        default=None,
        description="Asset tables: a file or a folder; left out: the synthetic set of the feeder, or the "
        "fleet of the environment.",
    )
    prices: Path | None = Field(
        default=None, description="Table of prices: ts, price_usd_mwh; left out: the shipped ones."
    )
    loads: Path | None = Field(
        default=None,
        description="Table of loads: ts, bus_id, p_mw [, q_mvar] [, phase]; left out: the shipped profiles.",
    )
    zone: str | None = Field(
        default=None, description="Time zone of stamps without one; left out: UTC+1 all year."
    )
    split: str = Field(default="test", description="Days to choose from: train, val, test, ...")
    days: Annotated[
        tuple[int, ...], BeforeValidator(commas), DisplayedField("N[,N…]"), AlsoNamed("--day")
    ] = Field(default=(), description="Days of the year, from 0; left out: the middle one of the split.")
    dt_h: float = Field(default=1.0, description="Hours of a step; a whole number of quarter hours.")
    load_scale: float = Field(default=1.0, description="Times the loads.")
    v_source_pu: float | None = Field(
        default=None, description="Voltage of the sources, pu; left out: as stored."
    )
    voltage_band: VoltageBand = Field(
        default=None,
        description="Voltages allowed, pu, or none; left out: [0.9,1.1], or that of the environment's task.",
    )
    thermal: bool = Field(default=True, description="Keep the ratings of branches.")
    import_cap: float | None = Field(
        default=None, description="Most power from all sources together, MW; left out: any."
    )
    export_cap: float | None = Field(
        default=None, description="Most power back into all sources together, MW; left out: any."
    )
    limits: Path | None = Field(
        default=None,
        description="CSV of orders: element (branch, asset, or head), p_max_mw [, p_min_mw] [, from_h] "
        "[, to_h].",
    )
    horizon_h: float = Field(default=12.0, description="mpc: hours that are planned.")
    every_h: float = Field(default=1.0, description="mpc: hours of a plan that are played.")
    forecast_error: float | None = Field(
        default=None,
        description="mpc: relative standard error of forecasts a day ahead, in place of the environment's "
        "forecaster, or of errors as weather services have them.",
    )
    margin_pu: float = Field(default=0.002, description="mpc: by how much plans keep within the band.")
    seed: int = Field(default=0, description="mpc: of the errors of forecasts.")

    def check(self) -> None:
        """RunError for values that cannot be."""
        for name, value, known in (
            ("objective", self.objective, OBJECTIVES), ("policy", self.policy, POLICIES)
        ):  # fmt: skip
            if value not in known:
                raise unknown(name, value, known)
        self.network_limits((0.9, 1.1))
        quarters = self.dt_h / 0.25
        if not (math.isfinite(quarters) and quarters >= 1.0 and abs(quarters - round(quarters)) < 1e-9):
            raise RunError(
                f"--dt-h is {self.dt_h:g}: expected a whole number of quarter hours, such as 0.5 or 1"
            )
        if abs(24.0 / self.dt_h - round(24.0 / self.dt_h)) > 1e-9:
            raise RunError(f"--dt-h is {self.dt_h:g}: expected steps that divide the day")
        for flag, cap in (("--import-cap", self.import_cap), ("--export-cap", self.export_cap)):
            if cap is not None and not math.isfinite(cap):
                raise RunError(f"{flag} is {cap}: expected a finite number of MW")
        if not (math.isfinite(self.load_scale) and self.load_scale >= 0.0):
            raise RunError(f"--load-scale is {self.load_scale}: expected a finite number, 0 or more")
        if self.v_source_pu is not None and not _PHYSICAL[0] <= self.v_source_pu <= _PHYSICAL[1]:
            raise RunError(
                f"--v-source-pu is {self.v_source_pu}: expected a voltage within {_PHYSICAL[0]} and "
                f"{_PHYSICAL[1]} pu"
            )
        self.rolling(0)

    def network_limits(self, usual: tuple[float, float] | None) -> NetworkLimits:
        """Band and ratings; ``usual``: the band where none is given. RunError for a band that cannot be."""
        low, high = self.voltage_band or usual or (0.0, math.inf)
        if (low, high) == (0.0, math.inf):
            return NetworkLimits(None, 0.0 if self.thermal else None)
        if not _PHYSICAL[0] <= low < high <= _PHYSICAL[1]:
            raise RunError(
                f"--voltage-band is [{low:g},{high:g}]: expected two voltages within {_PHYSICAL[0]} and "
                f"{_PHYSICAL[1]} pu, the lower one first"
            )
        return NetworkLimits((low, high), 0.0 if self.thermal else None)

    def rolling(self, day: int, foresight: Foresight | None = None) -> RollingSettings:
        """Of mpc, with forecasts where no error is given. RunError for numbers that make no plan."""
        error = self.forecast_error
        return RollingSettings(
            self.horizon_h, self.every_h, 0.0 if error is None else error, self.margin_pu, self.seed, day,
            foresight if error is None else None,
        )  # fmt: skip
