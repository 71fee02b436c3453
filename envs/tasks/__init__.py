"""Tasks: observation, reward, cost and horizon of an environment."""

from __future__ import annotations

from ..blocks import GRID_BLOCKS
from .base import DataTask, StepView, Task, WorstCase
from .der_dispatch import DERDispatch
from .ev_charging import EVCharging
from .hosting_capacity import HostingCapacity
from .loss import LossMinimisation
from .money import MoneyTask
from .peak_shaving import PeakShaving
from .quantities import QUANTITIES, Quantity, Range
from .setpoint_tracking import SetpointTracking
from .signal import DispatchSignal
from .terms import COSTS, Term, TermRow
from .volt_var import VoltVar
from .volt_var3 import VoltVar3

__all__ = [
    "COSTS",
    "GRID_BLOCKS",
    "QUANTITIES",
    "DERDispatch",
    "DataTask",
    "DispatchSignal",
    "EVCharging",
    "HostingCapacity",
    "LossMinimisation",
    "MoneyTask",
    "PeakShaving",
    "Quantity",
    "Range",
    "SetpointTracking",
    "StepView",
    "Task",
    "Term",
    "TermRow",
    "VoltVar",
    "VoltVar3",
    "WorstCase",
]
