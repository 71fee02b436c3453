"""Resources: what people attach to a feeder, and the fleet that runs them."""

from __future__ import annotations

from .accounts import ACCOUNTS, Account, Accounts
from .base import ActionDim, BindContext, Entry, Exogenous, Resource, ResourceSpec, UnitInfo
from .battery import Battery
from .data_center import DataCenter
from .ev import EV, ChargingSession
from .fleet import Fleet
from .flexible_load import FlexibleLoad
from .generator import Generator
from .placement import place
from .pv import PV
from .soft_open_point import SoftOpenPoint
from .switched import CapacitorBank, SwitchedDevice, TapChanger

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
    "DataCenter",
    "Entry",
    "Exogenous",
    "Fleet",
    "FlexibleLoad",
    "Generator",
    "Resource",
    "ResourceSpec",
    "SoftOpenPoint",
    "SwitchedDevice",
    "TapChanger",
    "UnitInfo",
    "place",
]
