"""A Volt/VAR plan's feeder, days and items, as all processes have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .... import cases
from ....cases.profiles import assignment, load_profiles
from ...errors import RunError
from ...hosting.flows import BalancedFlows, Flows
from ...hosting.limits import HostingLimits
from ...hosting.moments import at_steps, steps_of_days
from ...hosting.phase_flows import PhaseFlows
from ...jobs.feeder_content import feeder_sha256
from ...jobs.manifest import InputRecord
from ...optimal.volt_var.day_types import DayTypes, clustered, named
from ...optimal.volt_var.inverters import spread_over_loads
from ...optimal.volt_var.play import Days
from ...optimal.volt_var.samples import intervals_of_levels, that_differ
from ...optimal.volt_var.study import Moment, VoltVarStudy
from .vvo_config import STUDIES, VvoConfig
from .vvo_files import (
    bands_of,
    inverters_of,
    with_banks,
    with_deadbands,
    with_load_models,
    with_substation_taps,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FEATURES_PER_DAY = 24
_UNLIMITED = HostingLimits((0.5, 1.5), None, None)


@dataclass(frozen=True, eq=False)
class VvoSession:
    """What is planned, and from which days.

    Attributes:
        study: With the band that plans keep. judged: The same feeder with the band that plays are judged by.
        band_v: (n_regulator,) bands of regulators, V; NaN where there is none.
        types: Of the training days.
        test_days: Numbers of the days that are played.
        of_level: Intervals of the year that differ most, by the places of load and sun.
        of_type: The same of the days of each type.
        inputs: Hashes of what was read.
    """

    config: VvoConfig
    study: VoltVarStudy
    judged: VoltVarStudy
    band_v: FloatArray
    types: DayTypes
    test_days: tuple[int, ...]
    inputs: tuple[InputRecord, ...]
    flows: Flows
    of_level: dict[tuple[int, int], IntArray]
    of_type: tuple[IntArray, ...]

    def moments_of_type(self, kind: int) -> list[Moment]:
        """Intervals of the day that stands for a type, evenly spread, and those that differ most."""
        n, wanted = load_profiles().steps_per_day, self.config.moments
        at = np.unique(((np.arange(wanted) + 0.5) * n / wanted).astype(np.int64))
        steps = np.concatenate([self.types.day[kind] * n + at, self.of_type[kind]])
        return self._moments(steps[np.sort(np.unique(steps, return_index=True)[1])])

    def moments_of_level(self, load: int, sun: int) -> list[Moment]:
        """Training intervals that differ most at a level; of one without any the nominal loads, scaled."""
        steps = self.of_level.get((load, sun))
        if steps is None:
            return [self.study.nominal(self.config.load_levels[load], self.config.pv_levels[sun])]
        return self._moments(steps)

    def _moments(self, steps: IntArray) -> list[Moment]:
        found = at_steps(self.flows, steps, self.config.load_scale)
        sun = found.part["pv"].tolist()
        return [
            Moment({name: rows[k] for name, rows in found.loads.items()}, sun[k]) for k in range(len(sun))
        ]

    def played_days(self, days: tuple[int, ...]) -> Days:
        """Test days side by side."""
        found = steps_of_days(self.flows, self.config.test_split, days, self.config.load_scale)
        steps, n = len(found) // len(days), len(days)
        loads = {name: rows.reshape(n, steps, *rows.shape[1:]) for name, rows in found.loads.items()}
        return Days(np.array(days), loads, found.part["pv"].reshape(n, steps), load_profiles().dt_h)

    def types_of(self, days: tuple[int, ...]) -> IntArray:
        """(days,) the type that each is nearest to."""
        return self.types.nearest(*_curves(self.study.feeder, days, self.config.load_scale))


def vvo_session(config: VvoConfig) -> VvoSession:
    """Read the feeder and the files, and sort the training days.

    RunError and CaseError, both ValueErrors, for what is wrong with options and files.
    """
    config.check()
    stored = cases.load(config.feeder)
    inputs = [InputRecord(name=f"feeder {stored.name}", sha256=feeder_sha256(stored))]
    feeder = with_substation_taps(stored) if config.substation_tap else stored
    if config.load_zip:
        feeder = with_load_models(feeder, config.load_zip)
    if config.banks is not None:
        feeder, file = with_banks(feeder, config.banks)
        inputs.append(file.record("banks"))
    band_v = bands_of(feeder)
    if config.regulator_deadbands is not None:
        feeder, band_v, file = with_deadbands(feeder, config.regulator_deadbands)
        inputs.append(file.record("regulator_deadbands"))
    if config.inverters is None:
        inverters = spread_over_loads(feeder, config.pv_share)
    else:
        inverters, file = inverters_of(feeder, config.inverters)
        inputs.append(file.record("inverters"))
    study, judged = (
        STUDIES[config.inverter_settings](
            feeder, inverters, objective=config.objective, v_band=bounds, v_source_pu=config.v_source_pu
        )
        for bounds in (config.plan_band(), config.voltage_band)
    )
    kind = BalancedFlows if feeder.phases == "balanced" else PhaseFlows
    flows = kind(feeder, _UNLIMITED, config.v_source_pu)
    types = _types(feeder, config)
    return VvoSession(
        config, study, judged, band_v, types, _test_days(config), tuple(inputs), flows,
        *_that_differ(feeder, config, types),
    )  # fmt: skip


def _types(feeder: cases.Feeder, config: VvoConfig) -> DayTypes:
    days = tuple(load_profiles().split_days(config.train_split).tolist())
    curves = _curves(feeder, days, config.load_scale)
    given = config.named_days()
    return named(given, days, *curves) if given else clustered(days, *curves)


def _test_days(config: VvoConfig) -> tuple[int, ...]:
    have = load_profiles().split_days(config.test_split).tolist()
    chosen = config.days or tuple(have)
    foreign = [day for day in chosen if day not in have]
    if foreign:
        raise RunError(f"day {foreign[0]} is not one of split {config.test_split!r}")
    return tuple(int(day) for day in chosen)


def _that_differ(
    feeder: cases.Feeder, config: VvoConfig, types: DayTypes
) -> tuple[dict[tuple[int, int], IntArray], tuple[IntArray, ...]]:
    """Training intervals that stand for each level, and for the days of each type."""
    steps = _steps_of(tuple(types.days.tolist()))
    loads, sun = _series(feeder, steps, config.load_scale)
    levels = np.array(config.load_levels), np.array(config.pv_levels)
    found = intervals_of_levels(loads.sum(axis=1), sun, loads, levels, config.moments)
    label = np.repeat(types.type_of, load_profiles().steps_per_day)
    of_type = []
    for kind in range(len(types.names)):
        rows = np.flatnonzero(label == kind)
        of_type.append(steps[rows[that_differ(loads[rows], sun[rows], config.moments)]])
    return {place: steps[rows] for place, rows in found.items()}, tuple(of_type)


def _steps_of(days: tuple[int, ...]) -> IntArray:
    per_day = load_profiles().steps_per_day
    return np.asarray((np.array(days)[:, None] * per_day + np.arange(per_day)).reshape(-1))


def _series(feeder: cases.Feeder, steps: IntArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """(m, loads) power of each load over the nominal total, and (m,) share of the sun."""
    year = load_profiles()
    nominal = float(np.asarray(feeder.column("loads", "p_mw"), dtype=np.float64).sum())
    sun = year.pv[steps].max(axis=1) if year.has("pv") else np.ones(steps.size)
    return scale * assignment(feeder).load_series(year, steps)[0] / nominal, sun


def _curves(feeder: cases.Feeder, days: tuple[int, ...], scale: float) -> tuple[FloatArray, FloatArray]:
    """(days, 24) load over the nominal one, and share of the sun, hour by hour."""
    loads, sun = _series(feeder, _steps_of(days), scale)
    load, sky = (
        series.reshape(len(days), _FEATURES_PER_DAY, -1).mean(axis=2) for series in (loads.sum(axis=1), sun)
    )
    return load, sky
