"""Power flow and device kernels: arrays in, arrays out."""

from __future__ import annotations

from ._inlining import InliningWarning
from ._jit import JitDisabledError, kernel
from .bounds import StateBounds, state_bounds
from .chunks import solve_in_chunks
from .control_queue import ControlQueue
from .control_tables import LocalControls, local_controls
from .dispatch import ModelWarning, compile, solve
from .local_control import relay_volts
from .network import IslandWarning, MeshWarning, Network
from .phase_bounds import V_TOP_PU, phase_bounds
from .settle import ControlAction, Settled, settle_controls
from .solution import Solution
from .stepper import Stepper
from .unbalanced.consumption import Consumption, consumption
from .unbalanced.matrices import BranchMatrices, bibc
from .unbalanced.network import Network3, compile_per_phase
from .unbalanced.solution import Solution3
from .unbalanced.stepper import Columns, Stepper3
from .unbalanced.topology import PhaseIndex

__all__ = [
    "V_TOP_PU",
    "BranchMatrices",
    "Columns",
    "Consumption",
    "ControlAction",
    "ControlQueue",
    "InliningWarning",
    "IslandWarning",
    "JitDisabledError",
    "LocalControls",
    "MeshWarning",
    "ModelWarning",
    "Network",
    "Network3",
    "PhaseIndex",
    "Settled",
    "Solution",
    "Solution3",
    "StateBounds",
    "Stepper",
    "Stepper3",
    "bibc",
    "compile",
    "compile_per_phase",
    "consumption",
    "kernel",
    "local_controls",
    "phase_bounds",
    "relay_volts",
    "settle_controls",
    "solve",
    "solve_in_chunks",
    "state_bounds",
]
