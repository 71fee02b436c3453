"""Environments: resources and tasks on a feeder, behind the usual interfaces."""

from __future__ import annotations

from .dist import DistGridEnv
from .load import LoadSource, ProfileLoad, SeriesLoad
from .resources import PV, Battery, Entry, Exogenous, Fleet, Resource, ResourceSpec
from .sb3 import sb3_vec_env
from .tasks import LossMinimisation, Task, VoltVar
from .vector import DistGridVectorEnv

__all__ = [
    "PV",
    "Battery",
    "DistGridEnv",
    "DistGridVectorEnv",
    "Entry",
    "Exogenous",
    "Fleet",
    "LoadSource",
    "LossMinimisation",
    "ProfileLoad",
    "Resource",
    "ResourceSpec",
    "SeriesLoad",
    "Task",
    "VoltVar",
    "sb3_vec_env",
]
