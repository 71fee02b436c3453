"""Resources: what people attach to a feeder, and the fleet that runs them."""

from __future__ import annotations

from .accounts import ACCOUNTS, Account, Accounts
from .base import ActionDim, BindContext, Entry, Exogenous, Resource, ResourceSpec, UnitInfo
from .battery import Battery
from .ev import EV, ChargingSession
from .fleet import Fleet
from .heat_pump import HeatPump
from .placement import place
from .pv import PV
from .switched import CapacitorBank, SwitchedDevice, TapChanger
from .wind import Wind

__all__ = [
    "ACCOUNTS",
    "EV",
    "PV",
    "Account",
    "Accounts",
    "ActionDim",
    "Battery",
    "BindContext",
    "CapacitorBank",
    "ChargingSession",
    "Entry",
    "Exogenous",
    "Fleet",
    "HeatPump",
    "Resource",
    "ResourceSpec",
    "SwitchedDevice",
    "TapChanger",
    "UnitInfo",
    "Wind",
    "place",
]
