"""`SetpointTracking-*`: an aggregator's fleet follows a dispatch signal at the head of the feeder."""

from __future__ import annotations

from ..resources import PV, Battery
from ..tasks import DispatchSignal, SetpointTracking
from .entry import FORESEEN, RegisteredEnv

ENTRIES: tuple[RegisteredEnv, ...] = (
    RegisteredEnv(
        name="SetpointTracking-33bw", version=0, case="case33bw",
        task=SetpointTracking(dispatch=DispatchSignal(swing_mw=0.8, shortest_h=1.5, longest_h=8.0)),
        resources=(
            *(Battery(bus, p_mw=p, energy_mwh=2.5 * p)
              for bus, p in {"3": 0.4, "6": 0.3, "24": 0.3, "28": 0.3}.items()),
            *(PV(bus, p_mw=p, site=(7 * i + 1) % 25, controls="pq", s_mva=1.1 * p)
              for i, (bus, p) in enumerate({"14": 0.5, "24": 0.9, "30": 0.7, "32": 0.5}.items())),
        ),
        options={"load_scale": 1.1, "v_source_pu": 1.03, **FORESEEN},
        unpriced_splits=("price-storm",),
        summary="batteries and PV follow a dispatch signal at the head, inside the limits of the network",
    ),
)  # fmt: skip
