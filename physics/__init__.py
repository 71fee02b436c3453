"""Power flow and device kernels: arrays in, arrays out."""

from __future__ import annotations

from .api import compile, settle_controls, solve
from .balanced.bounds import state_bounds
from .balanced.network import Network
from .balanced.solution import Solution
from .balanced.stepper import Stepper
from .bounds import StateBounds
from .chunked import solve_in_chunks
from .controls.laws import relay_volts
from .controls.queue import ControlQueue
from .controls.settings import LocalControls, local_controls
from .controls.settle import ControlAction, Settled
from .flags import IslandWarning, MeshWarning, ModelWarning
from .numba_tools.inlining import InliningWarning
from .numba_tools.jit import JitDisabledError, kernel
from .solved_grid import PowerFlow, SolvedArrays, SolvedGrid, SolveSetup
from .unbalanced.bibc import BranchMatrices, bibc
from .unbalanced.bounds import V_TOP_PU, phase_bounds
from .unbalanced.consumption import Consumption, consumption
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
    "PowerFlow",
    "Settled",
    "Solution",
    "Solution3",
    "SolveSetup",
    "SolvedArrays",
    "SolvedGrid",
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
