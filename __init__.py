"""distgrid: a Gymnasium suite for electric distribution grids.

>>> import gymnasium, distgrid
>>> env = gymnasium.make("distgrid/VoltVar-33bw-v0", split="train")

Importing the package registers its environments. Everything else is in ``distgrid.cases`` (feeders and
profiles), ``distgrid.physics`` (power flow), ``distgrid.envs`` (environments and resources) and
``distgrid.baselines`` (policies and runs; imported when it is first asked for).
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from . import cases, envs, physics
from .envs import (
    EV,
    PV,
    Battery,
    CapacitorBank,
    ChargingSession,
    DataCenter,
    DistGrid3PhaseEnv,
    DistGridEnv,
    FlexibleLoad,
    Generator,
    HeatPump,
    HostingSite,
    SoftOpenPoint,
    TapChanger,
    Wind,
)
from .envs.registration import register_all

if TYPE_CHECKING:
    from . import baselines

__version__ = "0.1.0"

__all__ = [
    "EV",
    "PV",
    "Battery",
    "CapacitorBank",
    "ChargingSession",
    "DataCenter",
    "DistGrid3PhaseEnv",
    "DistGridEnv",
    "FlexibleLoad",
    "Generator",
    "HeatPump",
    "HostingSite",
    "SoftOpenPoint",
    "TapChanger",
    "Wind",
    "__version__",
    "baselines",
    "cases",
    "envs",
    "physics",
    "register_all",
]

register_all()
if "pettingzoo" in sys.modules:  # it takes time to import: who imports it later calls envs.register_agents()
    envs.register_agents()


def __getattr__(name: str) -> object:
    """Import ``baselines`` at its first use: people who bring their own policies never need it."""
    if name == "baselines":
        return import_module(f"{__name__}.baselines")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
