"""Tasks: observation, reward, cost and horizon of an environment."""

from __future__ import annotations

from .base import GRID_BLOCKS, StepView, Task, WorstCase
from .loss import LossMinimisation
from .volt_var import VoltVar
from .volt_var3 import VoltVar3

__all__ = ["GRID_BLOCKS", "LossMinimisation", "StepView", "Task", "VoltVar", "VoltVar3", "WorstCase"]
