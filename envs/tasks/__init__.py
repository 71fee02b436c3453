"""Tasks: observation, reward, cost and horizon of an environment."""

from __future__ import annotations

from .base import GRID_BLOCKS, DataTask, StepView, Task, WorstCase
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
