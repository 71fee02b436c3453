"""The environment that several test files play with: case33bw, one battery, one PV plant."""

from __future__ import annotations

from typing import Any

import numpy as np

from distgrid import cases
from distgrid.envs import PV, Battery, DistGridEnv, SeriesLoad

FEEDER = cases.load("case33bw")
NODES = FEEDER.column("nodes", "node_id").tolist()


def make(**options: Any) -> DistGridEnv:
    resources = options.pop("resources", [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="pq")])
    return DistGridEnv(FEEDER, resources, **options)


def flat_load(scale: float = 1.0, days: int = 1) -> SeriesLoad:
    p, q = FEEDER.column("nodes", "load_p_mw"), FEEDER.column("nodes", "load_q_mvar")
    return SeriesLoad(FEEDER, np.tile(p * scale, (96 * days, 1)), np.tile(q * scale, (96 * days, 1)))
