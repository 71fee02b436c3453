"""Resources: what people attach to a feeder, and the fleet that runs them."""

from __future__ import annotations

from .accounts import ACCOUNTS, Account, Accounts
from .base import ActionDim, BindContext, Entry, Exogenous, Resource, ResourceSpec, UnitInfo
from .battery import Battery, CycleAgeing
from .capacitor_bank import CapacitorBank
from .data_center import DataCenter
from .ev import EV, ChargingSession
from .fleet import Fleet
from .flexible_load import FlexibleLoad
from .generator import Generator
from .heat_pump import HeatPump
from .hosting import HostingSite
from .inverter_functions import InverterFunctions, VoltVarCurve, VoltWattCurve, WattVarCurve
from .placement import place
from .pv import PV
from .settling import SettlingResource
from .soft_open_point import SoftOpenPoint
from .switched import SwitchedDevice, TapChanger
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
    "CycleAgeing",
    "DataCenter",
    "Entry",
    "Exogenous",
    "Fleet",
    "FlexibleLoad",
    "Generator",
    "HeatPump",
    "HostingSite",
    "InverterFunctions",
    "Resource",
    "ResourceSpec",
    "SettlingResource",
    "SoftOpenPoint",
    "SwitchedDevice",
    "TapChanger",
    "UnitInfo",
    "VoltVarCurve",
    "VoltWattCurve",
    "WattVarCurve",
    "Wind",
    "place",
]
