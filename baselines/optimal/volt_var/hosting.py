"""Hosting capacity together with settings: what each bus takes where taps and banks stand as suits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....cases import Feeder
from ....cases.model.edit import replaced
from ...hosting.capacity import HostingStudy, Settings
from ...hosting.limits import HostingLimits
from .study import Setting, VoltVarStudy

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HostingWithPlan:
    """What buses take.

    Attributes:
        bus: Candidates. as_stored_mw: (n,) with taps and banks as stored.
        with_plan_mw: (n,) with the best of the plan's settings, those stored among them.
        setting: Name of the setting that is best; "as stored" where none is better.
    """

    bus: tuple[str, ...]
    as_stored_mw: FloatArray
    with_plan_mw: FloatArray
    setting: tuple[str, ...]


def set_to(feeder: Feeder, setting: Setting) -> Feeder:
    """The feeder with taps and banks where a setting has them."""
    return replace(
        feeder,
        regulators=replaced(feeder.regulators, "tap_pos", pa.array(setting.tap_pos, pa.int64())),
        capacitors=replaced(feeder.capacitors, "status", pa.array(setting.cap_on, pa.bool_())),
    )


def hosting_with_plan(
    feeder: Feeder, settings: Mapping[str, Setting], *, v_band: tuple[float, float] = (0.95, 1.05),
    v_source_pu: float | None = None,
) -> HostingWithPlan:  # fmt: skip
    """The largest plant of unity power factor at each bus at nominal load, with the plan and without.

    A plan answers a plant with other settings, which are then held; only those count that leave the band by
    no more than the stored ones do without the plant. The band is judged at nodes with loads or the plant,
    and ratings are kept.

    Args:
        feeder: As it is.
        settings: By name; those with the same taps and banks are looked at once.
        v_band: Voltages allowed, pu.
        v_source_pu: Of all sources; None: as stored.

    Raises:
        RunError: as `HostingStudy`.
    """
    limits = HostingLimits(v_band, None, 0.0, band_at="loads")
    chosen = Settings(limits, controls="frozen", v_source_pu=v_source_pu)
    found = HostingStudy(feeder, chosen).capacities()
    best = found.max_mw.copy()
    names = ["as stored"] * len(found.sites)
    study = VoltVarStudy(feeder, v_band=v_band, v_source_pu=v_source_pu)
    usable = _outside(study, study.stored)
    seen: set[bytes] = set()
    for name, setting in settings.items():
        key = setting.tap_pos.tobytes() + setting.cap_on.tobytes()
        if key in seen or _outside(study, setting) > usable:
            continue
        seen.add(key)
        other = HostingStudy(set_to(feeder, setting), chosen).capacities().max_mw
        for k in np.flatnonzero(other > best):
            best[k], names[k] = other[k], name
    return HostingWithPlan(found.sites.name, found.max_mw, best, tuple(names))


def _outside(study: VoltVarStudy, setting: Setting) -> float:
    """By how much a setting leaves the band at nominal load; infinite without a power flow."""
    bare = Setting(setting.tap_pos[None], setting.cap_on[None], np.zeros((1, 0)))
    shown = study.at(bare, study.nominal())
    return float(shown.violation_pu[0]) if shown.found[0] else np.inf
