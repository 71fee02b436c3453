"""What is asked of envelopes, as people write it: options of `derms envelope`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ...errors import RunError, unknown
from ...hosting.operating import ALLOCATION, OPERATING, OperatingRules
from ...jobs.config_fields import DisplayedField, Positional, commas
from ...jobs.job import JobConfig
from ...optimal.scheduling.rules import RULES
from ..voltage_band import VoltageBand
from .schedule_config import ScheduleConfig

GROUP_BY = ("asset", "bus", "aggregator", "feeder", "substation")
OPTIMUM = "optimum"
BASES = (*RULES, OPTIMUM)


class EnvelopeConfig(JobConfig):
    """What groups of distributed resources can do in P and Q within the limits of the grid, step by step.

    Each vertex of a region is one AC power flow that keeps all limits. A feeder or a substation is seen at
    its head (positive: power that arrives), other groups by what they feed in while everybody else stays at
    the base point. Exit status: 0, or 3 where a group cannot keep the limits in some step, 2 for wrong input.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, folder of Parquet tables, or id of an environment."
    )
    group_by: str = Field(default="feeder", description=f"Groups: {', '.join(GROUP_BY)}.")
    assets: Path | None = Field(
        default=None,
        description="Asset tables: a file or a folder; left out: the synthetic set of the feeder, or the "
        "fleet of the environment.",
    )
    loads: Path | None = Field(
        default=None,
        description="Table of loads: ts, bus_id, p_mw [, q_mvar] [, phase]; left out: the shipped profiles.",
    )
    zone: str | None = Field(
        default=None, description="Time zone of stamps without one; left out: UTC+1 all year."
    )
    split: str = Field(default="test", description="Days to choose from: train, val, test, ...")
    day: int | None = Field(
        default=None, description="Day of the year, from 0; left out: the middle one of the split."
    )
    dt_h: float = Field(default=1.0, description="Hours of a step; a whole number of quarter hours.")
    steps: Annotated[tuple[int, ...], BeforeValidator(commas), DisplayedField("N[,N…]")] = Field(
        default=(), description="Steps of the day, from 0; left out: all."
    )
    nominal: bool = Field(
        default=False,
        description="One step with nominal loads and plants at their rating, in place of a day.",
    )
    hold_h: float | None = Field(
        default=None, description="Hours that a power can be held, for what has energy; left out: a step."
    )
    base: str = Field(
        default="idle",
        description=f"Schedule along which states of charge and base points are: {', '.join(BASES)}.",
    )
    schedule: Path | None = Field(
        default=None,
        description="Table in its place, as der_schedule.parquet or a CSV: asset_id, step, p_mw [, q_mvar].",
    )
    directions: int = Field(default=36, description="Directions that are swept, 4 or more.")
    voltage_band: VoltageBand = Field(
        default=None,
        description="Voltages allowed, pu, or none; left out: [0.9,1.1], or the band of the environment's "
        "task.",
    )
    thermal: bool = Field(default=True, description="Keep the ratings of branches.")
    load_scale: float = Field(default=1.0, description="Times the loads.")
    v_source_pu: float | None = Field(
        default=None, description="Voltage of the sources, pu; left out: as stored."
    )
    operating: str | None = Field(
        default=None,
        description=f"Operating envelopes of customers, too: {', '.join(OPERATING)}; left out: none.",
    )
    allocation: str = Field(
        default="equal", description=f"Of operating envelopes: {' or '.join(ALLOCATION)}."
    )
    import_pf: float = Field(default=0.95, description="Power factor of what customers import.")
    most_export_kw: float | None = Field(
        default=None, description="What no customer exports anyway; left out: ten times the feeder's load."
    )
    most_import_kw: float | None = Field(
        default=None, description="What no customer imports anyway, such as a fuse; left out: the same."
    )
    step_kw: float = Field(default=0.5, description="Step of the maximum allocation, kW.")
    plot: bool = Field(default=True, description="Draw the regions.")

    def check(self) -> None:
        """RunError for values that cannot be."""
        for name, value, known in (
            ("group", self.group_by, GROUP_BY), ("base schedule", self.base, BASES)
        ):  # fmt: skip
            if value not in known:
                raise unknown(name, value, known)
        if self.directions < 4:
            raise RunError(f"--directions is {self.directions}: expected 4 or more")
        if self.hold_h is not None and not (math.isfinite(self.hold_h) and self.hold_h >= self.dt_h):
            raise RunError(f"--hold-h is {self.hold_h:g}: expected at least the {self.dt_h:g} h of a step")
        if self.nominal and (self.steps or self.day is not None or self.schedule or self.loads):
            raise RunError("--nominal is one step: leave out --day, --steps, --schedule and --loads")
        self.day_config().check()
        wrong = [step for step in self.steps if not 0 <= step < round(24.0 / self.dt_h)]
        if wrong:
            raise RunError(f"--steps has {wrong[0]}: expected 0 to {round(24.0 / self.dt_h) - 1}")
        self.rules()

    def rules(self) -> OperatingRules:
        """RunError for values that cannot be."""
        return OperatingRules(
            self.operating or OPERATING[0], self.allocation, self.import_pf, self.most_export_kw,
            self.most_import_kw, self.step_kw,
        )  # fmt: skip

    def day_config(self) -> ScheduleConfig:
        """The day, the feeder, assets and loads, as `derms schedule` reads them."""
        return ScheduleConfig(
            feeder=self.feeder, assets=self.assets, loads=self.loads, zone=self.zone, split=self.split,
            days=() if self.day is None else (self.day,), dt_h=self.dt_h, load_scale=self.load_scale,
            v_source_pu=self.v_source_pu, voltage_band=self.voltage_band, thermal=self.thermal,
        )  # fmt: skip
