"""The rules by their names, and what makes them for an environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..policy import AnyEnv, Policy
from .charging import ChargeAsSoonAsPossible, CheapestHours, ValleyFilling
from .do_nothing import DoNothing
from .droop import OptimisedDroop
from .fuzzy import FuzzyVoltVar
from .hosting import NearestFirst
from .hosting_search import Bisection, Sweep
from .local_control import LocalControl
from .random import Random
from .storage import BatteryPrice, PeakShave, SelfConsumption, TrackSetpoint
from .vde4105 import VDE_VARIANTS, PowerFactor4105, VoltVar4105
from .volt_var import IEEE1547_A, IEEE1547_B, PiecewiseVoltVar

Factory = Callable[[AnyEnv], Policy]


def _ieee1547(name: str, category: str) -> Factory:
    curve = {"a": IEEE1547_A, "b": IEEE1547_B}[category]
    return lambda env: PiecewiseVoltVar(env, curve=curve, name=name)


def _vde_q(name: str, variant: str | None) -> Factory:
    return lambda env: VoltVar4105(env, variant=variant, name=name)


def _vde_cosphi(name: str, variant: str | None) -> Factory:
    return lambda env: PowerFactor4105(env, variant=variant, name=name)


def _regulator_local(env: AnyEnv) -> Policy:
    """The relays of the feeder under the name that Volt/VAR plans compare with."""
    return LocalControl(env, name="regulator-local")


def _scripted() -> Mapping[str, Factory]:
    table: dict[str, Factory] = {
        "do-nothing": DoNothing,
        "random": Random,
        "volt-var-ieee1547": _ieee1547("volt-var-ieee1547", "b"),
        "volt-var-ieee1547-a": _ieee1547("volt-var-ieee1547-a", "a"),
        "volt-var-ieee1547-b": _ieee1547("volt-var-ieee1547-b", "b"),
    }
    for suffix, variant in (("", None), *((f"-{v}", v) for v in VDE_VARIANTS)):
        for stem, factory in (("volt-var-vde4105", _vde_q), ("power-factor-vde4105", _vde_cosphi)):
            table[stem + suffix] = factory(stem + suffix, variant)
    table["volt-var-fuzzy"] = FuzzyVoltVar
    table["local-control"] = LocalControl  # per-phase environments with tap changers or banks
    table["regulator-local"] = _regulator_local
    table["droop-optimised"] = OptimisedDroop  # one slope for each inverter, fitted on training days
    table["ev-asap"] = ChargeAsSoonAsPossible
    table["ev-valley-filling"] = ValleyFilling
    table["ev-cheapest"] = CheapestHours
    table["host-nearest"] = NearestFirst
    table["host-sweep"] = Sweep
    table["host-bisection"] = Bisection
    table["battery-price"] = BatteryPrice  # of tasks in money
    table["peak-shave"] = PeakShave
    table["self-consumption"] = SelfConsumption
    table["track-setpoint"] = TrackSetpoint
    return MappingProxyType(table)


#: Policies that follow rules, in the order in which the documentation lists them.
SCRIPTED: Mapping[str, Factory] = _scripted()
