"""`VoltVar-*`: smart inverters and batteries hold voltages at little loss."""

from __future__ import annotations

from ..resources import CapacitorBank, TapChanger
from ..tasks import VoltVar
from .entry import FORESEEN, RegisteredEnv, Sizes, batteries, inverters
from .variants import variant


def _first(
    name: str, case: str, storage: Sizes, sun: Sizes, load_scale: float, v_source_pu: float
) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"VoltVar-{name}", version=0, case=case, task=VoltVar(),
        resources=(*batteries(storage), *inverters(sun, "q")),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu},
        summary="smart inverters and a battery group hold voltages in 0.95-1.05 pu at little loss",
    )  # fmt: skip


def _second(
    name: str, version: int, case: str, storage: Sizes, sun: Sizes, load_scale: float, v_source_pu: float,
    taps: tuple[str, ...] = (), banks: Sizes | None = None,
) -> RegisteredEnv:  # fmt: skip
    """What violates dominates the reward, storage is handed back, and nobody sees the coming interval."""
    return RegisteredEnv(
        name=f"VoltVar-{name}", version=version, case=case,
        task=VoltVar(violation_weight=5.0, deficit_weight=2.0),
        resources=(
            *batteries(storage), *inverters(sun, "q"),
            *(TapChanger(branch=branch, max_steps=2, tap_min=-8, tap_max=8) for branch in taps),
            *(CapacitorBank(bus=bus, q_mvar=q, on=True) for bus, q in (banks or {}).items()),
        ),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu, **FORESEEN},
        summary="smart inverters, batteries, and taps and banks where there are any, keep 0.95-1.05 pu",
    )  # fmt: skip


_SUN_33 = {
    "8": 0.65, "11": 0.39, "14": 0.455, "16": 0.39, "18": 0.39, "21": 0.52, "24": 1.17, "25": 0.91,
    "28": 0.52, "30": 0.78, "31": 0.65, "33": 0.585,
}  # fmt: skip
_SUN_118 = {
    "20": 1.5, "28": 1.5, "42": 1.5, "50": 2.5, "71": 1.5, "74": 2.5, "76": 1.5, "96": 1.5, "102": 1.5,
    "109": 1.5, "111": 2.5, "54": 1.5,
}  # fmt: skip
_SUN_141 = dict.fromkeys(("87", "84", "82", "76", "65", "69", "56", "74", "62", "80"), 2.2)
_THIRTY_THREE = _second(
    "33bw", 1, "case33bw", {"18": 0.3, "25": 0.5, "33": 0.5}, _SUN_33, load_scale=1.4, v_source_pu=1.03
).priced(790.0, 140.0)

ENTRIES: tuple[RegisteredEnv, ...] = (
    _first(
        "33bw", "case33bw", {"18": 0.3, "25": 0.5, "33": 0.5}, _SUN_33, load_scale=1.4, v_source_pu=1.02
    ).priced(340.0, 170.0),
    _first(
        "141", "case141", {"65": 1.0, "80": 1.0, "87": 1.0}, _SUN_141, load_scale=1.7, v_source_pu=1.01
    ).priced(610.0, 660.0),
    _THIRTY_THREE,
    _second(
        "118zh",
        0,
        "case118zh",
        {"54": 1.0, "77": 1.0, "111": 1.0},
        _SUN_118,
        load_scale=1.0,
        v_source_pu=1.03,
        taps=("1-2", "1-63", "1-100"),
        banks={"50": 1.2, "74": 1.2, "111": 1.2, "28": 0.9},
    ).priced(1100.0, 610.0),
    _second(
        "141",
        1,
        "case141",
        {"65": 1.0, "80": 1.0, "87": 1.0},
        _SUN_141,
        load_scale=1.7,
        v_source_pu=1.01,
        taps=("1-2",),
        banks={"80": 1.8, "69": 1.8, "62": 1.2, "87": 1.2},
    ).priced(1600.0, 1500.0),
    variant(_THIRTY_THREE, "hard"),
    variant(_THIRTY_THREE, "week"),
    variant(_THIRTY_THREE, "hourly").priced(200.0, 36.0),
)
