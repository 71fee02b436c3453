"""Tasks: observation, reward, cost and horizon of an environment."""

from __future__ import annotations

from ..blocks import GRID_BLOCKS
from .base import StepView, Task, WorstCase
from .loss import LossMinimisation
from .volt_var import VoltVar
from .volt_var3 import VoltVar3

__all__ = ["GRID_BLOCKS", "LossMinimisation", "StepView", "Task", "VoltVar", "VoltVar3", "WorstCase"]
