"""What is asked about hosting, as people write it: options of `dist hostcap` and `dist connect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from .... import cases
from ...errors import RunError
from ...hosting.capacity import HostingStudy, Settings, flows_of
from ...hosting.fleet import fleet_of
from ...hosting.limits import HostingLimits
from ...hosting.moments import operating_point, steps_of_days
from ...hosting.plants import Plant
from ...jobs.config_fields import DisplayedField, Positional, commas
from ...jobs.feeder_content import feeder_sha256
from ...jobs.job import JobConfig
from ...jobs.manifest import InputRecord
from ..csv_rows import read_csv_rows
from ..voltage_band import band

_DER_COLUMNS = ("asset_id", "bus_id", "p_mw", "q_mvar", "p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar")


class HostingConfig(JobConfig):
    """What is connected, and which limits it must keep."""

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, or folder of Parquet tables."
    )
    type: str = Field(default="solar", description="solar, wind, storage, ev or load.")
    inverter: str | None = Field(
        default=None,
        description="Inverter functions of IEEE 1547, such as volt-var-b; left out: unity power factor.",
    )
    voltage_band: Annotated[
        tuple[float, float] | None, BeforeValidator(band), DisplayedField("[LOW,HIGH]")
    ] = Field(default=None, description="Voltages allowed, pu, or none; left out: those of each node.")
    band_at: str = Field(
        default="all",
        description="Where the band is judged: all nodes, or loads: nodes with loads or the plant.",
    )
    deviation: bool = Field(default=True, description="Limit how far voltages move.")
    voltage_deviation: float = Field(default=0.03, description="How far any voltage may move, pu.")
    thermal: bool = Field(default=True, description="Keep the ratings of branches.")
    thermal_margin: float = Field(default=0.0, description="Share of each rating that stays free.")
    reverse_mw: float | None = Field(
        default=None, description="Most power back into a source, MW; left out: any."
    )
    vuf_max_pct: float | None = Field(
        default=None, description="Per phase: unbalance allowed, %; left out: any."
    )
    controls: str = Field(
        default="band-floating",
        description="Regulators and switched banks: band-floating (the band after they act, the deviation "
        "before), frozen or floating.",
    )
    load_scale: float = Field(default=1.0, description="Times the loads.")
    v_source_pu: float | None = Field(
        default=None, description="Voltage of the sources, pu; left out: as stored."
    )
    split: str | None = Field(
        default=None,
        description="Judge every step of these days: train, val, test, ...; left out: nominal loads.",
    )
    days: Annotated[tuple[int, ...], BeforeValidator(commas), DisplayedField("N[,N…]")] = Field(
        default=(), description="Days of the split; left out: all."
    )
    ders: Path | None = Field(
        default=None, description="CSV of what is connected: asset_id, bus_id, p_mw or p_min_mw and p_max_mw."
    )
    tolerance_kw: float = Field(default=0.1, description="How close the size found is, kW.")
    max_mw: float | None = Field(
        default=None, description="Nothing larger is tried; left out: ten times the load."
    )

    def settings(self) -> Settings:
        """RunError for values that cannot be."""
        limits = HostingLimits(
            self.voltage_band, self.voltage_deviation if self.deviation else None,
            self.thermal_margin if self.thermal else None, self.reverse_mw, self.vuf_max_pct,
            self.band_at,
        )  # fmt: skip
        if self.days and self.split is None:
            raise RunError("days are given without the split that they are of")
        return Settings(
            limits, Plant.named(self.type, self.inverter), self.controls, self.v_source_pu, self.max_mw,
            1e-3 * self.tolerance_kw,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class HostingSession:
    """A feeder, and what is asked about it."""

    feeder: cases.Feeder
    study: HostingStudy
    inputs: tuple[InputRecord, ...]


def session(config: HostingConfig) -> HostingSession:
    """Read the feeder and what is connected to it, and solve it as it is.

    RunError and CaseError, both ValueErrors, for what is wrong with options and files.
    """
    settings = config.settings()
    feeder = cases.load(config.feeder)
    if settings.limits.vuf_max_pct is not None and feeder.phases == "balanced":
        raise RunError(f"feeder {feeder.name!r} is balanced: an unbalance needs a per-phase feeder")
    flows = flows_of(feeder, settings)
    inputs = [InputRecord(name=f"feeder {feeder.name}", sha256=feeder_sha256(feeder))]
    fleet = None
    if config.ders is not None:
        found = read_csv_rows(config.ders, _DER_COLUMNS, ("bus_id",))
        fleet = fleet_of(flows, found.rows, str(config.ders), lines=found.lines)
        inputs.append(found.record("ders"))
    if config.split is None:
        moments = operating_point(flows, config.load_scale)
    else:
        moments = steps_of_days(flows, config.split, config.days or None, config.load_scale)
    return HostingSession(feeder, HostingStudy(feeder, settings, moments, fleet), tuple(inputs))
