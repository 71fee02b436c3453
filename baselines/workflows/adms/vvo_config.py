"""What is asked of a Volt/VAR plan, as people write it: options of `adms vvo-plan`."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ...errors import RunError, unknown
from ...jobs.config_fields import AlsoNamed, DisplayedField, Positional, commas
from ...jobs.job import JobConfig
from ...optimal.volt_var.curves import CurveStudy
from ...optimal.volt_var.play import SwitchingLimits
from ...optimal.volt_var.settings import Search
from ...optimal.volt_var.study import OBJECTIVES, VoltVarStudy
from ..voltage_band import band

_PHYSICAL = (0.5, 1.5)
Q_SHARE, CURVE = "q-share", "curve"
#: What settings of inverters are.
STUDIES: dict[str, type[VoltVarStudy]] = {Q_SHARE: VoltVarStudy, CURVE: CurveStudy}
_Levels = Annotated[tuple[float, ...], BeforeValidator(commas), DisplayedField("X[,X…]")]


class VvoConfig(JobConfig):
    """A plan for taps, banks and inverters: settings by load and sun, and for each type of day.

    The plan is played through the AC power flow over days that it was not made from, against local control
    and doing nothing. Exit status: 0 for a plan, 3 where a level has no setting that keeps the band, 2 for
    wrong input.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, or folder of Parquet tables."
    )
    objective: str = Field(
        default="loss",
        description="loss (least losses), cvr (least power from upstream: conservation voltage reduction) or "
        "voltage (nearest to 1 pu).",
    )
    voltage_band: Annotated[
        tuple[float, float], BeforeValidator(band), DisplayedField("[LOW,HIGH]"), AlsoNamed("--band")
    ] = Field(default=(0.95, 1.05), description="Voltages allowed, pu.")
    margin_pu: float = Field(
        default=0.005,
        description="Levels and types of days keep so far within the band at either end.",
    )
    load_levels: _Levels = Field(
        default=(0.25, 0.5, 0.75, 1.0), description="Loads over the nominal ones, ascending."
    )
    pv_levels: _Levels = Field(
        default=(0.0, 0.5, 1.0), description="Sun as shares of the inverters' rated power, ascending."
    )
    day_types: Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("NAME=DAY[,…]")] = Field(
        default=(),
        description="Types of days, each by a training day; left out: low, medium, peak and high PV by "
        "clustering the training days.",
    )
    inverters: Path | None = Field(
        default=None,
        description="CSV of inverters: asset_id, bus_id, p_mw, s_mva [, q_max_mvar] [, phase]; left out: "
        "synthetic ones.",
    )
    pv_share: float = Field(
        default=0.5, description="Of the synthetic inverters: rated power over the nominal load; 0: none."
    )
    inverter_settings: str = Field(
        default=Q_SHARE,
        description="What of inverters is set: q-share (reactive power as a share of what they have) or "
        "curve (the slope of a volt-var curve through 1 pu).",
    )
    banks: Path | None = Field(
        default=None, description="CSV of further banks: cap_id, bus_id, q_mvar [, phase]."
    )
    substation_tap: bool = Field(
        default=True,
        description="A balanced feeder without tap changers gets one of +-16 steps of 0.625 % at each branch "
        "from a source.",
    )
    load_zip: Annotated[tuple[float, ...], BeforeValidator(commas), DisplayedField("Z,I,P")] = Field(
        default=(),
        description="Shares of constant impedance, current and power of all loads; left out: as stored.",
    )
    regulator_deadbands: Path | None = Field(
        default=None,
        description="CSV of the bands of regulators: reg_id, band_v [, delay_s] (V on a 120 V base): of "
        "their relays, and half of it is how far the plan lets a tap be from where it shall be.",
    )
    max_tap_steps: int | None = Field(
        default=None, description="Steps that the plan moves a tap from one interval to the next; any."
    )
    max_operations: int | None = Field(
        default=None, description="Operations of each tap changer and bank in a day of the plan; any."
    )
    moments: int = Field(
        default=12, description="Intervals that a level or a type of day is planned for.", ge=1, le=96
    )
    train_split: str = Field(default="train", description="Days that types are made from.")
    test_split: str = Field(default="test", description="Days that the plan is played on.")
    days: Annotated[tuple[int, ...], BeforeValidator(commas), DisplayedField("N[,N…]")] = Field(
        default=(), description="Of the test split; left out: all."
    )
    load_scale: float = Field(default=1.0, description="Times the loads of days.")
    v_source_pu: float | None = Field(
        default=None, description="Voltage of the sources, pu; left out: as stored."
    )
    hosting: bool = Field(
        default=False, description="Hosting capacity of each bus with the plan and without."
    )
    most_exhaustive: int = Field(default=200_000, description="Up to so many settings all are solved.", ge=1)
    starts: int = Field(default=2, description="Of the search beyond: as stored, and random ones.", ge=1)
    seed: int = Field(default=0, description="Of these.", ge=0)
    plot: bool = Field(default=True, description="Draw the settings and what they bring.")

    def check(self) -> None:
        """RunError for values that cannot be."""
        if self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)
        if self.inverter_settings not in STUDIES:
            raise unknown("--inverter-settings: setting", self.inverter_settings, STUDIES)
        low, high = self.voltage_band
        if not _PHYSICAL[0] <= low < high <= _PHYSICAL[1]:
            raise RunError(
                f"--voltage-band is [{low:g},{high:g}]: expected two voltages within {_PHYSICAL[0]} and "
                f"{_PHYSICAL[1]} pu, the lower one first"
            )
        if not 0.0 <= self.margin_pu < 0.5 * (high - low) - 1e-6:
            raise RunError(
                f"--margin-pu is {self.margin_pu:g}: expected 0 or more, and less than half the band"
            )
        for flag, levels, most in (
            ("--load-levels", self.load_levels, math.inf), ("--pv-levels", self.pv_levels, 1.0),
        ):  # fmt: skip
            rising = all(a < b for a, b in itertools.pairwise(levels))
            if not levels or not rising or not 0.0 <= levels[0] <= levels[-1] <= most:
                expected = "numbers that ascend, 0 or more" + (", 1 at most" if most == 1.0 else "")
                raise RunError(f"{flag} is {','.join(map(str, levels)) or 'empty'}: expected {expected}")
        for flag, number in (("--load-scale", self.load_scale), ("--pv-share", self.pv_share)):
            if not 0.0 <= number < math.inf:
                raise RunError(f"{flag} is {number}: expected a finite number, 0 or more")
        if self.v_source_pu is not None and not _PHYSICAL[0] <= self.v_source_pu <= _PHYSICAL[1]:
            raise RunError(
                f"--v-source-pu is {self.v_source_pu}: expected a voltage within {_PHYSICAL[0]} and "
                f"{_PHYSICAL[1]} pu"
            )
        self._check_load_models()
        self.limits(0)
        self.named_days()

    def _check_load_models(self) -> None:
        if self.load_zip and (
            len(self.load_zip) != 3
            or min(self.load_zip) < 0.0
            or not math.isclose(sum(self.load_zip), 1.0, abs_tol=1e-9)
        ):
            raise RunError(
                f"--load-zip is {','.join(map(str, self.load_zip))}: expected three shares, 0 or more, whose "
                "sum is 1"
            )

    def limits(self, within_steps: tuple[int, ...] | int) -> SwitchingLimits:
        """Of the plan. RunError for numbers below 0."""
        return SwitchingLimits(self.max_tap_steps, self.max_operations, within_steps)

    def search(self) -> Search:
        """How hard is searched."""
        return Search(self.most_exhaustive, self.starts, seed=self.seed)

    def named_days(self) -> dict[str, int]:
        """Types by their days. RunError for what is not written as NAME=DAY."""
        found: dict[str, int] = {}
        for text in self.day_types:
            name, sign, day = text.partition("=")
            if not (name.strip() and sign and day.strip().isdigit()) or name.strip() in found:
                raise RunError(
                    f"--day-types has {text!r}: expected NAME=DAY, each name once, such as peak=12"
                )
            found[name.strip()] = int(day)
        return found

    def plan_band(self) -> tuple[float, float]:
        """What plans keep."""
        return self.voltage_band[0] + self.margin_pu, self.voltage_band[1] - self.margin_pu
