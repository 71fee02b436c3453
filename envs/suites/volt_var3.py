"""`VoltVar3-*`: taps per phase, banks and single-phase inverters hold voltages and their balance.

In a low-voltage feeder reactive power moves little, and there are no taps and banks: there homes with cars
and batteries do it, over a day and the night behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...cases.profiles import Duration
from ..resources import CapacitorBank, ResourceSpec, TapChanger
from ..tasks import VoltVar3
from .entry import FORESEEN, Phased, RegisteredEnv, phase_batteries, phase_inverters
from .homes import HOMES, overnight
from .variants import variant

_SUMMARY = "taps per phase, capacitor banks and single-phase inverters hold voltages and their balance"


def _fleet(
    regulators: tuple[str, ...], banks: tuple[str, ...], sun: Phased, stand: Mapping[str, int] | None = None,
    daily_budget: int | None = None,
) -> tuple[ResourceSpec, ...]:  # fmt: skip
    """``stand``: positions at which days begin; of others it is the feeder's."""
    taps = (
        TapChanger(name, max_steps=4, tap_pos=(stand or {}).get(name), daily_budget=daily_budget)
        for name in regulators
    )
    return (*taps, *(CapacitorBank(name) for name in banks), *phase_inverters(sun, "q"))


def _first(
    case: str, regulators: tuple[str, ...], banks: tuple[str, ...], sun: Phased, load_scale: float,
    v_source_pu: float, vuf_max_pct: float,
) -> RegisteredEnv:  # fmt: skip
    return RegisteredEnv(
        name=f"VoltVar3-{case}", version=0, case=case, task=VoltVar3(vuf_max_pct=vuf_max_pct), per_phase=True,
        resources=_fleet(regulators, banks, sun),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu},
        summary=_SUMMARY,
    )  # fmt: skip


def _second(
    case: str, regulators: tuple[str, ...], banks: tuple[str, ...], sun: Phased, load_scale: float,
    v_source_pu: float, violation_weight: float, stand: Mapping[str, int] | None = None,
    daily_budget: int | None = None,
) -> RegisteredEnv:  # fmt: skip
    """Unbalance has a limit that the devices can keep, and what violates dominates the reward."""
    task = VoltVar3(
        vuf_max_pct=2.0, unbalance_weight=0.1, violation_weight=violation_weight, vuf_violation_weight=1.0
    )
    return RegisteredEnv(
        name=f"VoltVar3-{case}", version=1, case=case, task=task, per_phase=True,
        resources=_fleet(regulators, banks, sun, stand, daily_budget),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu, **FORESEEN},
        summary=_SUMMARY,
    )  # fmt: skip


def _homes(car_mw: float, storage: Phased, sun: Phased) -> tuple[ResourceSpec, ...]:
    """Cars that stay overnight, batteries that are empty after 2.6 hours, and inverters."""
    return (
        *(overnight(bus, car_mw, come_h, leave_h, k, phase)
          for k, (bus, phase, come_h, leave_h) in enumerate(HOMES)),
        *phase_batteries(storage, hours=2.6), *phase_inverters(sun, "q"),
    )  # fmt: skip


_SUN_13: Phased = (
    ("671", "A", 0.7), ("652", "A", 0.25), ("675", "A", 0.5), ("645", "B", 0.3), ("646", "B", 0.3),
    ("671", "B", 0.3), ("611", "C", 0.3), ("675", "C", 0.5), ("684", "C", 0.3), ("634", "A", 0.25),
)  # fmt: skip
#: How much of it each phase has in the second version: with most on A one tap changer is most of the task.
_SHARE_13 = {"A": 0.65, "B": 1.5, "C": 1.3}
#: Near where the best constant action has the taps. With a budget of steps inverters have to do their part.
_STAND_13 = {"reg1": 8, "reg2": 5, "reg3": 7}
_SUN_123: Phased = (
    ("47", "A", 0.3), ("48", "A", 0.25), ("65", "A", 0.35), ("76", "A", 0.35), ("66", "B", 0.2),
    ("86", "B", 0.2), ("95", "B", 0.2), ("99", "C", 0.25), ("51", "C", 0.2), ("108", "C", 0.2),
    ("114", "A", 0.15), ("32", "C", 0.15),
)  # fmt: skip
_TAPS_123 = ("creg1a", "creg2a", "creg3a", "creg3c", "creg4a", "creg4b", "creg4c")
_BANKS_123 = ("c83", "c88a", "c90b", "c92c")
#: Where the best constant action has the taps: those of the feeder's table are for other loads, and what is
#: left is what the day asks for.
_STAND_123 = {"creg1a": 7, "creg2a": -1, "creg3a": 1, "creg3c": -1, "creg4a": 3, "creg4b": -1, "creg4c": -1}

_SUN_LV: Phased = tuple((bus, phase, 0.008) for bus, phase in (
    ("34", "A"), ("70", "A"), ("83", "B"), ("208", "C"), ("249", "B"), ("276", "B"), ("320", "C"),
    ("342", "C"), ("387", "A"), ("458", "C"), ("522", "B"), ("562", "A"), ("611", "A"), ("629", "A"),
    ("682", "B"), ("701", "C"), ("778", "C"), ("785", "B"), ("835", "C"), ("861", "A"),
    ("898", "A"), ("906", "A"),
))  # fmt: skip
_STORAGE_LV: Phased = tuple((bus, phase, 0.005) for bus, phase in (
    ("47", "B"), ("83", "B"), ("248", "B"), ("289", "A"), ("337", "C"), ("388", "A"), ("522", "B"),
    ("563", "A"), ("629", "A"), ("688", "B"), ("778", "C"), ("817", "A"), ("886", "B"), ("900", "A"),
))  # fmt: skip

_THIRTEEN = _second(
    "ieee13",
    ("reg1", "reg2", "reg3"),
    ("cap1", "cap2"),
    tuple((bus, phase, round(_SHARE_13[phase] * p, 4)) for bus, phase, p in _SUN_13),
    load_scale=1.15,
    v_source_pu=0.98,
    violation_weight=5.0,
    stand=_STAND_13,
    daily_budget=8,
).priced(1900.0, 6100.0)

ENTRIES: tuple[RegisteredEnv, ...] = (
    _first(
        "ieee13",
        ("reg1", "reg2", "reg3"),
        ("cap1", "cap2"),
        _SUN_13,
        load_scale=1.4,
        v_source_pu=0.97,
        vuf_max_pct=1.25,
    ).priced(2100.0, 15000.0),
    _first(
        "ieee123", _TAPS_123, _BANKS_123, _SUN_123, load_scale=1.5, v_source_pu=1.0, vuf_max_pct=1.0
    ).priced(1500.0, 43000.0),
    _THIRTEEN,
    _second(
        "ieee123",
        _TAPS_123,
        _BANKS_123,
        tuple((bus, phase, 2.0 * p) for bus, phase, p in _SUN_123),
        load_scale=1.7,
        v_source_pu=0.98,
        violation_weight=2.0,
        stand=_STAND_123,
    ).priced(2700.0, 57000.0),
    RegisteredEnv(
        name="VoltVar3-european_lv",
        version=0,
        case="european_lv",
        per_phase=True,
        # Losses are kilowatts, and violations a few hundredths: weights bring all to what deviations cost.
        task=VoltVar3(
            episode=Duration(hours=30.0),
            vuf_max_pct=2.0,
            loss_weight=20.0,
            wear_weight=1.0,
            unbalance_weight=0.1,
            violation_weight=2.0,
            vuf_violation_weight=1.0,
            undelivered_weight=400.0,
            deficit_weight=100.0,
        ),
        resources=_homes(0.005, _STORAGE_LV, _SUN_LV),
        options={"load_scale": 0.7, "v_source_pu": 1.01, **FORESEEN},
        summary="cars, home batteries and inverters on single phases hold voltages and their balance",
    ).priced(1500.0, 38000.0),
    variant(_THIRTEEN, "discrete"),
    variant(_THIRTEEN, "hybrid"),
    variant(_THIRTEEN, "hard"),
)
