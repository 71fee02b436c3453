"""Voltages that OpenDSS finds, in the order of the feeder's nodes."""

from __future__ import annotations

import numpy as np

from ...model.feeder import Feeder
from ...phases import PLACE
from ..reading import EngineFailedError, EngineVoltages
from .compiled.transformers import INSIDE
from .reader import DssReport

# pu: a voltage that is less is none; what OpenDSS leaves on buses without anything is more
_LIVE, _SENSIBLE = 1e-6, 10.0


def engine_voltages(feeder: Feeder, report: DssReport) -> EngineVoltages:
    """What OpenDSS found where the script leaves its controls, in the order of the feeder's nodes.

    Raises:
        EngineFailedError: it found no solution, or has a voltage at a node that the tables lack.
    """
    if not report.volts:
        raise EngineFailedError("; ".join(report.notes) or "OpenDSS does not solve this circuit")
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    v_pu = np.full((feeder.n_nodes, 3), np.nan, dtype=np.complex128)
    compared = np.zeros((feeder.n_nodes, 3), dtype=bool)
    left = dict(report.volts)
    sources = set(feeder.column("sources", "node_id"))
    nodes = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    for row, (bus, letters) in enumerate(nodes):
        for letter in letters if INSIDE not in bus else "":
            place = PLACE[letter]
            if bus in sources and (str(bus), place + 1) not in report.volts:
                continue  # a source of one phase is one of three in the tables
            compared[row, place] = True
            value = left.pop((str(bus), place + 1), 0j) / base[row]
            if _LIVE < abs(value) < _SENSIBLE:
                v_pu[row, place] = value
    lost = [f"{at[0]}.{at[1]}" for at, v in left.items() if abs(v) > 1.0 and at not in report.eliminated]
    if lost:
        raise EngineFailedError(f"OpenDSS has a voltage at {', '.join(lost[:5])}, which the tables lack")
    return EngineVoltages("OpenDSS", v_pu, compared)
