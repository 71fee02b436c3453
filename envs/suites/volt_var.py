"""`VoltVar-*`: smart inverters and batteries hold voltages at little loss."""

from __future__ import annotations

from ..tasks import VoltVar
from .entry import RegisteredEnv, Sizes, batteries, inverters


def _first(
    name: str, case: str, storage: Sizes, sun: Sizes, load_scale: float, v_source_pu: float
) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"VoltVar-{name}", version=0, case=case, task=VoltVar(),
        resources=(*batteries(storage), *inverters(sun, "q")),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu},
        summary="smart inverters and a battery group hold voltages in 0.95-1.05 pu at little loss",
    )  # fmt: skip


ENTRIES: tuple[RegisteredEnv, ...] = (
    _first(
        "33bw", "case33bw", {"18": 0.3, "25": 0.5, "33": 0.5},
        {"8": 0.65, "11": 0.39, "14": 0.455, "16": 0.39, "18": 0.39, "21": 0.52, "24": 1.17, "25": 0.91,
         "28": 0.52, "30": 0.78, "31": 0.65, "33": 0.585}, load_scale=1.4, v_source_pu=1.02,
    ).priced(340.0, 170.0),
    _first(
        "141", "case141", {"65": 1.0, "80": 1.0, "87": 1.0},
        dict.fromkeys(("87", "84", "82", "76", "65", "69", "56", "74", "62", "80"), 2.2),
        load_scale=1.7, v_source_pu=1.01,
    ).priced(610.0, 660.0),
)  # fmt: skip
