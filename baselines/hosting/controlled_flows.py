"""Power flows in which regulators and capacitor banks have acted: see `phase_flows`."""

from __future__ import annotations

import numpy as np

from ... import physics
from .flows import Arguments, FloatArray, Shown
from .phase_flows import PhaseFlows

#: Power flows after which controls that hunt are given up.
_CONTROL_ITERATIONS = 60


class ControlledFlows(PhaseFlows):
    """A per-phase feeder whose local controls come to rest with the plant, in every row.

    Arguments of rows hold ``tap_pos`` and ``cap_on`` to start from. A row whose controls find no rest has no
    usable power flow.
    """

    def solve(self, loads: Arguments, p_inject_mw: FloatArray, q_inject_mvar: FloatArray) -> Shown:
        """See `Flows.solve`."""
        arguments = {**loads, **self.options, **self.powers(p_inject_mw, q_inject_mvar)}
        run = physics.settle_controls(self.net, max_control_iterations=_CONTROL_ITERATIONS, **arguments)
        shown = self.shown(run.solution)
        rest = {"tap_pos": run.tap_pos, "cap_on": np.asarray(run.cap_on, dtype=np.float64)}
        return Shown(shown.x, shown.found & np.asarray(run.settled), shown.v_pu, rest)


class HeldFlows(PhaseFlows):
    """A per-phase feeder whose controls stay where the arguments of rows have them: ``tap_pos, cap_on``."""

    def solve(self, loads: Arguments, p_inject_mw: FloatArray, q_inject_mvar: FloatArray) -> Shown:
        """See `Flows.solve`."""
        held = dict(loads)
        steps = held.pop("tap_pos", None)
        if steps is not None:
            size = np.asarray(self.feeder.column("regulators", "tap_step_pu"), dtype=np.float64)
            held["tap"] = 1.0 + np.asarray(steps) * size
        return super().solve(held, p_inject_mw, q_inject_mvar)


def controls_at_rest(flows: PhaseFlows, loads: Arguments, p_mw: FloatArray, q_mvar: FloatArray) -> Arguments:
    """``tap_pos`` and ``cap_on`` of rows where local controls rest under these loads and injections."""
    arguments = {**loads, **flows.options, **flows.powers(p_mw, q_mvar)}
    run = physics.settle_controls(flows.net, max_control_iterations=_CONTROL_ITERATIONS, **arguments)
    return {"tap_pos": np.atleast_2d(run.tap_pos), "cap_on": np.atleast_2d(run.cap_on).astype(np.float64)}
