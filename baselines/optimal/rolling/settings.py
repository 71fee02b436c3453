"""Whole positions of tap changers and banks as the power flow takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....envs.core.planning import PlannedScenario
from ....envs.resources.switched import SwitchedDevice, TapProgram
from ..affine import FloatArray


def settings_of(scenario: PlannedScenario, held: Mapping[str, FloatArray]) -> dict[str, Any]:
    """The arguments ``tap`` and ``cap_on`` of `physics.solve`; held: (steps, n_units) by kind."""
    net, found = scenario.network, dict[str, Any]()
    for program in scenario.fleet.programs:
        if not isinstance(program, SwitchedDevice) or program.kind not in held:
            continue
        positions, rows = held[program.kind], program.rows
        if isinstance(program, TapProgram):
            step_pu = net.feeder.column("regulators", "tap_step_pu")[rows].astype(np.float64)
            tap = np.repeat(np.asarray(net.tap, dtype=np.float64)[None], len(positions), axis=0)
            tap[:, net.reg_branch[rows]] = net.reg_ratio[rows] / (1.0 + positions * step_pu)
            found["tap"] = tap
        else:
            on = np.repeat(net.cap_on[None], len(positions), axis=0)
            on[:, rows] = positions > 0.5
            found["cap_on"] = on
    return found
