"""`VoltVar3-*`: taps per phase, banks and single-phase inverters hold voltages and their balance."""

from __future__ import annotations

from ..resources import CapacitorBank, TapChanger
from ..tasks import VoltVar3
from .entry import Phased, RegisteredEnv, phase_inverters


def _first(
    case: str, regulators: tuple[str, ...], banks: tuple[str, ...], sun: Phased, load_scale: float,
    v_source_pu: float, vuf_max_pct: float,
) -> RegisteredEnv:  # fmt: skip
    return RegisteredEnv(
        name=f"VoltVar3-{case}", version=0, case=case, task=VoltVar3(vuf_max_pct=vuf_max_pct), per_phase=True,
        resources=(
            *(TapChanger(name, max_steps=4) for name in regulators), *(CapacitorBank(name) for name in banks),
            *phase_inverters(sun, "q"),
        ),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu},
        summary="taps per phase, capacitor banks and single-phase inverters hold voltages and their balance",
    )  # fmt: skip


ENTRIES: tuple[RegisteredEnv, ...] = (
    _first(
        "ieee13", ("reg1", "reg2", "reg3"), ("cap1", "cap2"),
        (("671", "A", 0.7), ("652", "A", 0.25), ("675", "A", 0.5), ("645", "B", 0.3), ("646", "B", 0.3),
         ("671", "B", 0.3), ("611", "C", 0.3), ("675", "C", 0.5), ("684", "C", 0.3), ("634", "A", 0.25)),
        load_scale=1.4, v_source_pu=0.97, vuf_max_pct=1.25,
    ).priced(2100.0, 15000.0),
    _first(
        "ieee123", ("creg1a", "creg2a", "creg3a", "creg3c", "creg4a", "creg4b", "creg4c"),
        ("c83", "c88a", "c90b", "c92c"),
        (("47", "A", 0.3), ("48", "A", 0.25), ("65", "A", 0.35), ("76", "A", 0.35), ("66", "B", 0.2),
         ("86", "B", 0.2), ("95", "B", 0.2), ("99", "C", 0.25), ("51", "C", 0.2), ("108", "C", 0.2),
         ("114", "A", 0.15), ("32", "C", 0.15)), load_scale=1.5, v_source_pu=1.0, vuf_max_pct=1.0,
    ).priced(1500.0, 43000.0),
)  # fmt: skip
