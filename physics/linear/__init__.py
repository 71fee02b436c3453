"""Linear models of a feeder: sensitivities, LinDistFlow, power transfer factors, marginal values."""

from __future__ import annotations

from .dist_flow import LinDistFlow, lin_dist_flow
from .dist_flow_phases import LinDistFlow3
from .marginal import MarginalValues, marginal_values
from .sensitivity import Sensitivities, sensitivities
from .transfer import ptdf

__all__ = [
    "LinDistFlow",
    "LinDistFlow3",
    "MarginalValues",
    "Sensitivities",
    "lin_dist_flow",
    "marginal_values",
    "ptdf",
    "sensitivities",
]
