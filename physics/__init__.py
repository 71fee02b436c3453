"""Power flow and device kernels: arrays in, arrays out."""

from __future__ import annotations

from . import linear
from .api import compile, gradient, settle_controls, solve
from .balanced.adjoint import Gradient
from .balanced.bounds import state_bounds
from .balanced.network import Network
from .balanced.solution import Solution
from .bounds import StateBounds
from .chunked import solve_in_chunks
from .controls.settle import ControlAction, Settled
from .flags import IslandWarning, MeshWarning, ModelWarning
from .linear.sensitivity import Sensitivities, sensitivities
from .numba_tools.inlining import InliningWarning
from .numba_tools.jit import JitDisabledError, kernel
from .solved_grid import PowerFlow, SolvedArrays, SolvedGrid, SolveSetup
from .unbalanced.adjoint import Gradient3
from .unbalanced.bibc import BranchMatrices, bibc
from .unbalanced.consumption import Consumption, consumption
from .unbalanced.network import Network3, compile_per_phase
from .unbalanced.solution import Solution3
from .unbalanced.topology import PhaseIndex

__all__ = [
    "BranchMatrices",
    "Consumption",
    "ControlAction",
    "Gradient",
    "Gradient3",
    "InliningWarning",
    "IslandWarning",
    "JitDisabledError",
    "MeshWarning",
    "ModelWarning",
    "Network",
    "Network3",
    "PhaseIndex",
    "PowerFlow",
    "Sensitivities",
    "Settled",
    "Solution",
    "Solution3",
    "SolveSetup",
    "SolvedArrays",
    "SolvedGrid",
    "StateBounds",
    "bibc",
    "compile",
    "compile_per_phase",
    "consumption",
    "gradient",
    "kernel",
    "linear",
    "sensitivities",
    "settle_controls",
    "solve",
    "solve_in_chunks",
    "state_bounds",
]
