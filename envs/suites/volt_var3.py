"""`VoltVar3-*`: taps per phase, banks and single-phase inverters hold voltages and their balance."""

from __future__ import annotations

from ..resources import CapacitorBank, ResourceSpec, TapChanger
from ..tasks import VoltVar3
from .entry import FORESEEN, Phased, RegisteredEnv, phase_inverters
from .variants import variant

_SUMMARY = "taps per phase, capacitor banks and single-phase inverters hold voltages and their balance"


def _fleet(regulators: tuple[str, ...], banks: tuple[str, ...], sun: Phased) -> tuple[ResourceSpec, ...]:
    return (
        *(TapChanger(name, max_steps=4) for name in regulators), *(CapacitorBank(name) for name in banks),
        *phase_inverters(sun, "q"),
    )  # fmt: skip


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
    v_source_pu: float, violation_weight: float,
) -> RegisteredEnv:  # fmt: skip
    """Unbalance has a limit that the devices can keep, and what violates dominates the reward."""
    task = VoltVar3(
        vuf_max_pct=2.0, unbalance_weight=0.1, violation_weight=violation_weight, vuf_violation_weight=1.0
    )
    return RegisteredEnv(
        name=f"VoltVar3-{case}", version=1, case=case, task=task, per_phase=True,
        resources=_fleet(regulators, banks, sun),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu, **FORESEEN},
        summary=_SUMMARY,
    )  # fmt: skip


_SUN_13: Phased = (
    ("671", "A", 0.7), ("652", "A", 0.25), ("675", "A", 0.5), ("645", "B", 0.3), ("646", "B", 0.3),
    ("671", "B", 0.3), ("611", "C", 0.3), ("675", "C", 0.5), ("684", "C", 0.3), ("634", "A", 0.25),
)  # fmt: skip
_SUN_123: Phased = (
    ("47", "A", 0.3), ("48", "A", 0.25), ("65", "A", 0.35), ("76", "A", 0.35), ("66", "B", 0.2),
    ("86", "B", 0.2), ("95", "B", 0.2), ("99", "C", 0.25), ("51", "C", 0.2), ("108", "C", 0.2),
    ("114", "A", 0.15), ("32", "C", 0.15),
)  # fmt: skip
_TAPS_123 = ("creg1a", "creg2a", "creg3a", "creg3c", "creg4a", "creg4b", "creg4c")
_BANKS_123 = ("c83", "c88a", "c90b", "c92c")

_THIRTEEN = _second(
    "ieee13",
    ("reg1", "reg2", "reg3"),
    ("cap1", "cap2"),
    _SUN_13,
    load_scale=1.3,
    v_source_pu=0.98,
    violation_weight=5.0,
).priced(2800.0, 13000.0)

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
    ).priced(2700.0, 57000.0),
    variant(_THIRTEEN, "discrete"),
    variant(_THIRTEEN, "hybrid"),
    variant(_THIRTEEN, "hard"),
)
