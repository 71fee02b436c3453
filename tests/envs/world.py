"""What several test files play with: a feeder, one battery, one PV plant; balanced and per phase."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from distgrid import cases
from distgrid.cases import Feeder
from distgrid.envs import PV, Battery, DistGrid3PhaseEnv, DistGridEnv, SeriesLoad

FEEDER = cases.load("case33bw")
NODES = FEEDER.column("nodes", "node_id").tolist()


def make(**options: Any) -> DistGridEnv:
    resources = options.pop("resources", [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="pq")])
    return DistGridEnv(FEEDER, resources, **options)


def flat_load(scale: float = 1.0, days: int = 1) -> SeriesLoad:
    p, q = FEEDER.column("nodes", "load_p_mw"), FEEDER.column("nodes", "load_q_mvar")
    return SeriesLoad(FEEDER, np.tile(p * scale, (96 * days, 1)), np.tile(q * scale, (96 * days, 1)))


def constant_power(feeder: Feeder) -> Feeder:
    """The feeder with loads that do not depend on voltage, and its capacitors off: sums are easy to check."""
    loads = feeder.loads
    zero = pa.array(np.zeros(loads.num_rows))
    for name in ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"):
        loads = loads.set_column(loads.column_names.index(name), loads.schema.field(name), zero)
    for name in ("cvr_p", "cvr_q"):
        none = pa.nulls(loads.num_rows, loads.schema.field(name).type)
        loads = loads.set_column(loads.column_names.index(name), loads.schema.field(name), none)
    for bank in feeder.column("capacitors", "cap_id"):
        feeder = feeder.with_capacitor(str(bank), on=False)
    return dataclasses.replace(feeder, loads=loads)


FEEDER3 = constant_power(cases.load("ieee13"))


def make3(**options: Any) -> DistGrid3PhaseEnv:
    own = [Battery("671", 0.2, 0.8, phase="B"), PV("675", 0.5, site=3, controls="pq", phase="A")]
    return DistGrid3PhaseEnv(options.pop("case", FEEDER3), options.pop("resources", own), **options)


#: Both kinds of environment; three actions each, of a battery and a PV plant.
WORLDS: dict[str, Callable[..., DistGridEnv]] = {"balanced": make, "per-phase": make3}
