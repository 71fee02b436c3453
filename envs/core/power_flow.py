"""Who solves which network: the one place that knows the kinds of power flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...physics import Network, Network3
from ...physics.solved_grid import PowerFlow, SolvedGrid, SolveSetup
from ...physics.violations import judged_band
from ..blocks import chosen_blocks, details_read
from .balanced_stepper import BalancedStepper
from .phase_stepper import PhaseStepper

if TYPE_CHECKING:
    from ..resources import Fleet
    from ..tasks import Task

#: What solves a network that brings no solver of its own.
SOLVERS: dict[type, PowerFlow] = {Network: BalancedStepper, Network3: PhaseStepper}


def solved_grid(
    net: Any, batch: int, fleet: Fleet, task: Task, like: SolvedGrid | None = None,
    power_flow: PowerFlow | None = None,
) -> SolvedGrid:  # fmt: skip
    """``batch`` rows of a network for the injections of ``fleet``, judged as ``task`` says.

    Args:
        net: the network, compiled.
        batch: rows.
        fleet: says where injections come from.
        task: says which limits hold and which results are observed.
        like: that of another grid of the same scenario, whose tables may be shared.
        power_flow: what solves it; None: what the package has for such a network.
    """
    v_min, v_max = judged_band(net.feeder, task.v_band)
    details = details_read(chosen_blocks(task.blocks))
    setup = SolveSetup(v_min, v_max, fleet.ports, task.vuf_max_pct, details)
    make = SOLVERS[type(net)] if power_flow is None else power_flow
    return make(net, batch, setup, like)
