"""Tasks: observation, reward, cost and horizon of an environment."""

from __future__ import annotations

from ..blocks import GRID_BLOCKS
from .base import DataTask, StepView, Task, WorstCase
from .hosting_capacity import HostingCapacity
from .loss import LossMinimisation
from .quantities import QUANTITIES, Quantity, Range
from .terms import COSTS, Term, TermRow
from .volt_var import VoltVar
from .volt_var3 import VoltVar3

__all__ = [
    "COSTS",
    "GRID_BLOCKS",
    "QUANTITIES",
    "DataTask",
    "HostingCapacity",
    "LossMinimisation",
    "Quantity",
    "Range",
    "StepView",
    "Task",
    "Term",
    "TermRow",
    "VoltVar",
    "VoltVar3",
    "WorstCase",
]
