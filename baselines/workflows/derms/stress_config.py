"""What is asked of a stress test, as people write it: options of `derms stress-test`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ...errors import RunError, unknown
from ...jobs.config_fields import AlsoNamed, DisplayedField, Positional, commas
from ...jobs.job import JobConfig
from ...optimal.scheduling.foresight import Foresight, key_of
from ...optimal.scheduling.objectives import OBJECTIVES
from ...optimal.scheduling.rolling import RollingSettings
from ...optimal.scheduling.stress import STRESS_POLICIES
from ...optimal.scheduling.worlds import KINDS
from ...registry import names as registered
from ..voltage_band import VoltageBand
from .schedule_config import ScheduleConfig

_MOST = 1_000_000
FILE = "file:"  # how the name of a policy that was saved begins


class StressConfig(JobConfig):
    """Put schedules to the test: many versions of a day, each played by several policies.

    Prices, loads, sun, wind, outages of lines and assets, errors of forecasts and lost communication are
    drawn from the seed, or told by a file. All policies meet the same scenarios, and what they do goes
    through the AC power flow. Exit status: 0, or 2 for wrong input; broken limits are a result.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, folder of Parquet tables, or id of an environment."
    )
    scenarios: int = Field(default=50, description="How many are drawn; not with --script.")
    seed: int = Field(default=0, description="Of all draws.")
    script: Path | None = Field(
        default=None,
        description="CSV of events in place of draws: scenario, kind, element, from_h, to_h, factor.",
    )
    kinds: Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("NAME[,NAME…]")] = Field(
        default=KINDS, description=f"Events that are drawn: {', '.join(KINDS)}."
    )
    policies: Annotated[
        tuple[str, ...], BeforeValidator(commas), DisplayedField("NAME[,NAME…]"), AlsoNamed("--policy")
    ] = Field(
        default=("optimum", "mpc", "day-ahead", "tariff", "idle"),
        description=f"Who is compared: {', '.join(STRESS_POLICIES)}; or policies as `distgrid run` takes "
        "them, which are played on the environment.",
    )
    objective: str = Field(default="cost", description=f"Of plans: {', '.join(OBJECTIVES)}.")
    assets: Path | None = Field(default=None, description="Asset tables; left out: as `derms schedule`.")
    split: str = Field(default="test", description="Days to choose from: train, val, test, ...")
    day: int | None = Field(
        default=None, description="Day of the year, from 0; left out: the middle one of the split."
    )
    dt_h: float = Field(default=2.0, description="Hours of a step; a whole number of quarter hours.")
    load_scale: float = Field(default=1.0, description="Times the loads.")
    voltage_band: VoltageBand = Field(
        default=None, description="Voltages allowed, pu, or none; left out: as `derms schedule`."
    )
    thermal: bool = Field(default=True, description="Keep the ratings of branches.")
    import_cap: float | None = Field(default=None, description="Most power from all sources together, MW.")
    export_cap: float | None = Field(default=None, description="Most power back into all sources, MW.")
    horizon_h: float = Field(default=12.0, description="mpc: hours that are planned.")
    every_h: float = Field(default=4.0, description="mpc: hours of a plan that are played.")
    forecast_error: float | None = Field(
        default=None,
        description="mpc: relative standard error of forecasts a day ahead, in place of the environment's "
        "forecaster, or of errors as weather services have them.",
    )

    def check(self) -> None:
        """RunError for values that cannot be."""
        if not 1 <= self.scenarios <= _MOST:
            raise RunError(f"--scenarios is {self.scenarios}: expected 1 to {_MOST}")
        known_policies = (*STRESS_POLICIES, *(name for name in registered() if name not in STRESS_POLICIES))
        for word, names, known in (("kind", self.kinds, KINDS), ("policy", self.policies, known_policies)):
            if not names:
                raise RunError(f"name at least one {word}: {', '.join(known)}")
            for name in names:
                if name not in known and not (word == "policy" and name.startswith(FILE)):
                    raise unknown(word, name, known)
                if names.count(name) > 1:
                    raise RunError(f"{word} {name!r} is named twice")
        self.schedule().check()

    def schedule(self) -> ScheduleConfig:
        """Of the day as it was thought to be."""
        shared = {
            name: vars(self)[name]
            for name in (
                "feeder", "objective", "assets", "split", "dt_h", "load_scale", "voltage_band", "thermal",
                "import_cap", "export_cap", "horizon_h", "every_h", "forecast_error", "seed",
            )
        }  # fmt: skip
        return ScheduleConfig(**shared, days=() if self.day is None else (self.day,))

    @property
    def played(self) -> tuple[str, ...]:
        """Policies that are played on the environment."""
        return tuple(name for name in self.policies if name not in STRESS_POLICIES)

    def rolling(self, scenario: int, foresight: Foresight) -> RollingSettings:
        """Of mpc in a scenario, whose errors are its own."""
        own = replace(foresight, key=key_of(self.seed, scenario))
        return self.schedule().rolling(scenario, own)
