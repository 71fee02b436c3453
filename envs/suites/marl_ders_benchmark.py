"""`marl_ders_benchmark*`: a fleet of many small unlike devices on one feeder, for studies of coordination.

The devices of a feeder together are what `DERDispatch` has in a few, and are priced alike; there are so many
that each matters little, and all together decide whether limits hold. `envs.parallel_vec` cuts them into
agents: one for each device, each with its own accounts and a local view.
"""

from __future__ import annotations

from ..resources import EV, PV, Battery, HeatPump, ResourceSpec
from ..tasks import DERDispatch
from .entry import FORESEEN, RegisteredEnv, cloud_site
from .homes import overnight

_CAR_MW = 0.004  # of an outlet in a car park
_MISSING_USD_MWH = 300.0  # energy that a car leaves without
_ARRIVALS_H = (17.5, 18.0, 16.5, 19.0, 17.0, 18.5)
_DEPARTURES_H = (6.0, 6.5, 7.0, 5.5, 7.5)


def _heat(bus: str, p_mw: float, phase: str = "ABC") -> HeatPump:
    """Houses alike; a kelvin hour out of their band costs 20 USD for each MW of pumps."""
    return HeatPump(bus, p_mw, discomfort_cost_per_kh=20.0 * p_mw, phase=phase)


def _night(k: int, bus: str, p_mw: float, phase: str = "ABC") -> EV:
    """The k-th place with a car every night, each with its own hours and needs."""
    come, go = _ARRIVALS_H[k % len(_ARRIVALS_H)], _DEPARTURES_H[k % len(_DEPARTURES_H)]
    return overnight(bus, p_mw, come, go, k % 7, phase, undelivered_cost_per_mwh=_MISSING_USD_MWH)


def _park(bus: str, cars: int, site: str) -> EV:
    """A car park of a company: cars come and go all day, as they really did."""
    return EV(
        bus, p_mw=cars * _CAR_MW, site=site, cars=cars, undelivered_cost_per_mwh=_MISSING_USD_MWH
    )  # fmt: skip


def _hundred() -> tuple[ResourceSpec, ...]:
    """28 batteries, 28 PV plants, 28 charging stations and 16 groups of heat pumps, all over the feeder."""
    every_fourth = range(28)
    return (
        *(Battery(str(4 + 4 * k), 0.25, 1.0) for k in every_fourth),
        *(PV(str(3 + 4 * k), 0.26, site=cloud_site(k), controls="pq") for k in every_fourth),
        *(_night(k, str(5 + 4 * k), 0.1) for k in every_fourth[::2]),
        *(_park(str(5 + 4 * k), 25, ("caltech", "jpl")[k // 2 % 2]) for k in every_fourth[1::2]),
        *(_heat(str(6 + 7 * k), 0.05) for k in range(16)),
    )


#: Buses of loads and their phases on the feeder of 123 nodes.
_CUSTOMERS = (
    "1A 2B 4C 5C 6C 7A 9A 10A 11A 12B 16C 17C 19A 20A 22B 24C 28A 29A 30C 31C 32C 33A 34C 35AB 37A 38B "
    "39B 41C 42A 43B 45A 46A 47ABC 48ABC 49A 49B 49C 50C 51A 52A 53A 55A 56B 58B 59B 60A 62C 63A 64B 65AB "
    "65BC 65CA 66C 68A 69A 70A 71A 73C 74C 75C 76AB 76BC 76CA 77B 79A 80B 82A 83C 84C 85C 86B 87B 88A 90B "
    "92C 94A 95B 96B 98A 99B 100C 102C 103C 104C 106B 107B 109A 111A 112A 113A 114A"
).split()


def _thousand() -> tuple[ResourceSpec, ...]:
    """280 batteries, 280 roofs with PV, 280 cars and 160 heat pumps, from customer to customer."""

    def at(k: int, first: int) -> tuple[str, str]:
        customer = _CUSTOMERS[(first + k) % len(_CUSTOMERS)]
        bus = customer.rstrip("ABC")
        return bus, customer.removeprefix(bus)

    stores = (at(k, 0) for k in range(280))
    roofs = (at(k, 23) for k in range(280))
    cars = (at(k, 47) for k in range(280))
    pumps = (at(k, 71) for k in range(160))
    return (
        *(Battery(bus, 0.004, 0.016, phase=phase) for bus, phase in stores),
        *(PV(bus, 0.0045, site=cloud_site(k), controls="q", phase=phase)
          for k, (bus, phase) in enumerate(roofs)),
        *(_night(k, bus, 0.0037, phase) for k, (bus, phase) in enumerate(cars)),
        *(_heat(bus, 0.0025, phase) for bus, phase in pumps),
    )  # fmt: skip


ENTRIES: tuple[RegisteredEnv, ...] = (
    RegisteredEnv(
        name="marl_ders_benchmark", version=0, case="case118zh", task=DERDispatch(voltage_usd_pu=350.0),
        resources=_hundred(), options={"load_scale": 0.85, "v_source_pu": 1.035, **FORESEEN},
        unpriced_splits=("price-storm",),
        summary="100 agents: batteries, PV, charging stations and heat pumps, each with its own accounts",
    ).priced(190_000.0, 13_000.0),
    RegisteredEnv(
        name="marl_ders_benchmark-ieee123", version=0, case="ieee123", per_phase=True,
        task=DERDispatch(voltage_usd_pu=600.0, vuf_max_pct=1.5),
        resources=_thousand(), options={"load_scale": 0.75, "v_source_pu": 0.95, **FORESEEN},
        unpriced_splits=("price-storm",),
        summary="1,000 agents at customers of single phases: batteries, PV, cars and heat pumps",
    ).priced(36_000.0, 2_200.0),
)  # fmt: skip
