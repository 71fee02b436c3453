"""`DERDispatch-*`: the cheapest day that the network allows, with a fleet of many kinds.

Energy has the price of the shipped day-ahead market; the days of its storm are a suite of their own.
"""

from __future__ import annotations

from typing import Any

from ..resources import PV, Battery, FlexibleLoad, Generator, HeatPump, ResourceSpec, Wind
from ..tasks import DERDispatch
from .entry import FORESEEN, RegisteredEnv, batteries, car_park
from .variants import variant


def _first(
    name: str, case: str, resources: tuple[ResourceSpec, ...], task: DERDispatch, per_phase: bool = False,
    **options: Any,
) -> RegisteredEnv:  # fmt: skip
    return RegisteredEnv(
        name=f"DERDispatch-{name}", version=0, case=case, task=task, resources=resources,
        per_phase=per_phase, options={**options, **FORESEEN},
        unpriced_splits=("price-storm",),
        summary="batteries, generators, vehicles, flexible loads and inverters at the day-ahead price, "
        "inside the limits of the network",
    )  # fmt: skip


def _gas(bus: str, p_mw: float) -> Generator:
    """A gas engine: 62 USD/MWh and 8 USD an hour for each MW, ready in an interval, up and down an hour."""
    return Generator(
        bus, p_mw, cost_per_mwh=62.0, cost_per_h=8.0 * p_mw, p_min_mw=0.4 * p_mw, start_cost=15.0 * p_mw,
        min_up_h=1.0, min_down_h=1.0,
    )  # fmt: skip


def _heat(bus: str, p_mw: float) -> HeatPump:
    """Many houses alike; a kelvin hour out of their band costs 20 USD for each MW of pumps."""
    return HeatPump(bus, p_mw, discomfort_cost_per_kh=20.0 * p_mw)


_THIRTY_THREE = _first(
    "33bw", "case33bw",
    (
        *batteries({"3": 0.9, "6": 0.9, "13": 0.35, "28": 0.7}, hours=5.0),
        PV("14", 0.8, site=1, controls="pq"), PV("17", 0.5, site=8, controls="q"),
        PV("24", 1.2, site=15, controls="q"), PV("30", 1.0, site=22, controls="q"),
        PV("32", 0.8, site=4, controls="pq"),
        car_park("22", 0.4, 7.75, 17.5, 1.4), car_park("29", 0.4, 8.0, 16.75, 1.4),
        car_park("11", 0.35, 16.5, 23.5, 1.3),
        FlexibleLoad("25", shift_mw=0.2, return_h=4.0, shift_cost_per_mwh=4.0),
        FlexibleLoad("8", curtail_mw=0.1, curtail_cost_per_mwh=150.0),
        Generator("25", 0.6, cost_per_mwh=62.0, cost_per_h=5.0, p_min_mw=0.25, start_cost=10.0,
                  min_up_h=1.0, min_down_h=1.0),
        _heat("19", 0.3), _heat("31", 0.2),
    ),
    DERDispatch(voltage_usd_pu=800.0), load_scale=1.2, v_source_pu=1.037,
).priced(210000.0, 5600.0)  # fmt: skip

ENTRIES: tuple[RegisteredEnv, ...] = (
    _THIRTY_THREE,
    _first(
        "118zh", "case118zh",
        (
            *batteries({"4": 2.0, "30": 1.5, "64": 2.0, "101": 2.0}),
            PV("28", 1.5, site=1, controls="q"), PV("50", 2.0, site=8, controls="pq"),
            PV("74", 1.5, site=15, controls="pq"), PV("96", 1.2, site=22, controls="q"),
            PV("111", 1.2, site=4, controls="pq"), Wind("40", 1.5, controls="p"),
            car_park("35", 0.8, 7.75, 17.5, 3.0), car_park("68", 1.0, 16.5, 23.5, 4.0),
            car_park("109", 1.0, 16.0, 23.0, 4.0),
            FlexibleLoad("54", shift_mw=0.3, return_h=4.0, shift_cost_per_mwh=4.0),
            _gas("70", 1.0), _heat("20", 0.4), _heat("79", 0.4),
        ),
        DERDispatch(voltage_usd_pu=350.0), load_scale=0.85, v_source_pu=1.035,
    ).priced(220000.0, 9500.0),
    _first(
        "141", "case141",
        (
            *batteries({"8": 1.5, "38": 1.5, "44": 1.2, "90": 1.0}),
            PV("76", 1.2, site=1, controls="pq"), PV("79", 1.2, site=8, controls="q"),
            PV("94", 1.5, site=15, controls="q"), PV("45", 1.5, site=22, controls="q"),
            PV("60", 1.2, site=4, controls="pq"), Wind("14", 1.2, controls="p"),
            car_park("49", 0.6, 7.75, 17.5, 2.2), car_park("64", 0.35, 16.5, 23.5, 1.5),
            car_park("17", 0.5, 16.0, 23.0, 2.0),
            FlexibleLoad("80", shift_mw=0.2, return_h=4.0, shift_cost_per_mwh=4.0),
            _gas("55", 0.8), _heat("73", 0.3), _heat("10", 0.3),
        ),
        DERDispatch(voltage_usd_pu=400.0), load_scale=1.3, v_source_pu=1.022,
    ).priced(150000.0, 6300.0),
    _first(
        "ieee123", "ieee123",
        (
            Battery("13", 0.36, 3.0), Battery("48", 0.3, 2.5), Battery("76", 0.3, 2.5),
            Battery("114", 0.05, 0.2, phase="A"), Battery("22", 0.05, 0.2, phase="B"),
            PV("47", 0.4, site=1, controls="q"), PV("65", 0.4, site=8, controls="q"),
            PV("76", 0.12, site=15, controls="q", phase="A"), PV("66", 0.1, site=22, controls="q", phase="B"),
            PV("99", 0.1, site=4, controls="q", phase="B"), PV("51", 0.1, site=11, controls="q", phase="C"),
            car_park("7", 0.2, 7.75, 17.5, 0.7), car_park("108", 0.2, 16.5, 23.5, 0.7),
            FlexibleLoad("48", shift_mw=0.06, return_h=4.0, shift_cost_per_mwh=4.0),
            _gas("300", 0.25),
        ),
        DERDispatch(voltage_usd_pu=600.0, vuf_max_pct=1.5), per_phase=True, load_scale=0.9, v_source_pu=0.95,
    ).priced(67000.0, 1300.0),
    variant(_THIRTY_THREE, "hard"),
    variant(_THIRTY_THREE, "week"),
    variant(_THIRTY_THREE, "hourly"),
)  # fmt: skip
