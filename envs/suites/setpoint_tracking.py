"""`SetpointTracking-*`: an aggregator's fleet follows a dispatch signal at the head of the feeder."""

from __future__ import annotations

from ..resources import PV, Battery, ResourceSpec
from ..tasks import DispatchSignal, SetpointTracking
from .entry import FORESEEN, RegisteredEnv, batteries, car_park


def _first(
    name: str, case: str, task: SetpointTracking, resources: tuple[ResourceSpec, ...], load_scale: float,
    v_source_pu: float, per_phase: bool = False,
) -> RegisteredEnv:  # fmt: skip
    return RegisteredEnv(
        name=f"SetpointTracking-{name}", version=0, case=case, task=task, resources=resources,
        per_phase=per_phase,
        options={"load_scale": load_scale, "v_source_pu": v_source_pu, **FORESEEN},
        unpriced_splits=("price-storm",),
        summary="batteries, vehicles and PV follow a dispatch signal at the head, inside the limits of the "
        "network",
    )  # fmt: skip


ENTRIES: tuple[RegisteredEnv, ...] = (
    _first(
        "33bw", "case33bw",
        SetpointTracking(dispatch=DispatchSignal(swing_mw=0.8, shortest_h=1.5, longest_h=8.0)),
        (
            *batteries({"3": 0.4, "6": 0.3, "24": 0.3, "28": 0.3}, hours=2.5),
            PV("14", 0.5, site=1, controls="pq"), PV("24", 0.9, site=8, controls="pq"),
            PV("30", 0.7, site=15, controls="pq"), PV("32", 0.5, site=22, controls="pq"),
            car_park("22", 0.3, 8.0, 17.5, 1.2),
            car_park("11", 0.25, 16.5, 23.5, 1.0),
        ),
        load_scale=1.0, v_source_pu=1.04,
    ).priced(24000.0, 860.0),
    _first(
        "ieee123", "ieee123",
        SetpointTracking(
            dispatch=DispatchSignal(swing_mw=0.5, shortest_h=1.5, longest_h=8.0), voltage_usd_pu=400.0,
            vuf_max_pct=1.5,
        ),
        (
            Battery("13", 0.3, 0.75), Battery("48", 0.25, 0.6), Battery("76", 0.25, 0.6),
            PV("47", 0.4, site=1, controls="pq"), PV("65", 0.4, site=8, controls="pq"),
            PV("76", 0.3, site=15, controls="q", phase="A"), PV("108", 0.3, site=22, controls="p"),
            car_park("7", 0.2, 8.0, 17.5, 0.8),
            car_park("108", 0.15, 16.5, 23.5, 0.6),
        ),
        load_scale=0.8, v_source_pu=0.948, per_phase=True,
    ).priced(48000.0, 650.0),
)  # fmt: skip
