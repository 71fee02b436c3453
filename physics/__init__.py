"""Power flow and device kernels: arrays in, arrays out."""

from __future__ import annotations

from ._jit import kernel
from .bounds import StateBounds, state_bounds
from .dispatch import compile, solve
from .network import IslandWarning, MeshWarning, Network
from .phase_bounds import V_TOP_PU, phase_bounds
from .solution import Solution
from .stepper import Stepper
from .unbalanced.matrices import BranchMatrices, bibc
from .unbalanced.network import Network3, PhaseIndex, compile_per_phase
from .unbalanced.solution import Solution3
from .unbalanced.stepper import Stepper3

__all__ = [
    "V_TOP_PU",
    "BranchMatrices",
    "IslandWarning",
    "MeshWarning",
    "Network",
    "Network3",
    "PhaseIndex",
    "Solution",
    "Solution3",
    "StateBounds",
    "Stepper",
    "Stepper3",
    "bibc",
    "compile",
    "compile_per_phase",
    "kernel",
    "phase_bounds",
    "solve",
    "state_bounds",
]
