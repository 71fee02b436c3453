"""Environments: resources and tasks on a feeder, behind the usual interfaces."""

from __future__ import annotations

from .dist import DistGridEnv
from .dist3 import DistGrid3PhaseEnv
from .load import LoadSource, ProfileLoad, SeriesLoad
from .resources import (
    PV,
    Battery,
    CapacitorBank,
    Entry,
    Exogenous,
    Fleet,
    Resource,
    ResourceSpec,
    TapChanger,
)
from .tasks import LossMinimisation, Task, VoltVar, VoltVar3

__all__ = [
    "PV",
    "Battery",
    "CapacitorBank",
    "DistGrid3PhaseEnv",
    "DistGridEnv",
    "Entry",
    "Exogenous",
    "Fleet",
    "LoadSource",
    "LossMinimisation",
    "ProfileLoad",
    "Resource",
    "ResourceSpec",
    "SeriesLoad",
    "TapChanger",
    "Task",
    "VoltVar",
    "VoltVar3",
]
