"""Resources: what people attach to a feeder, and the fleet that runs them."""

from __future__ import annotations

from .accounts import ACCOUNTS, Account, Accounts
from .base import ActionDim, BindContext, Entry, Exogenous, Resource, ResourceSpec, UnitInfo
from .battery import Battery, CycleAgeing
from .ev import EV, ChargingSession
from .fleet import Fleet
from .heat_pump import HeatPump
from .inverter_functions import InverterFunctions, VoltVarCurve, VoltWattCurve, WattVarCurve
from .placement import place
from .pv import PV
from .settling import SettlingResource
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
    "CycleAgeing",
    "Entry",
    "Exogenous",
    "Fleet",
    "HeatPump",
    "InverterFunctions",
    "Resource",
    "ResourceSpec",
    "SettlingResource",
    "SwitchedDevice",
    "TapChanger",
    "UnitInfo",
    "VoltVarCurve",
    "VoltWattCurve",
    "WattVarCurve",
    "Wind",
    "place",
]
