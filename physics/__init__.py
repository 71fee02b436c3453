"""Power flow and device kernels: arrays in, arrays out."""

from __future__ import annotations

from ._jit import kernel
from .bounds import StateBounds, state_bounds
from .network import IslandWarning, MeshWarning, Network, compile
from .solution import Solution
from .solve import solve
from .stepper import Stepper

__all__ = [
    "IslandWarning",
    "MeshWarning",
    "Network",
    "Solution",
    "StateBounds",
    "Stepper",
    "compile",
    "kernel",
    "solve",
    "state_bounds",
]
