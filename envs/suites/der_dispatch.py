"""`DERDispatch-*`: the cheapest day that the network allows, with a fleet of many kinds."""

from __future__ import annotations

from ..resources import EV, PV, Battery
from ..tasks import DERDispatch
from .entry import FORESEEN, RegisteredEnv

ENTRIES: tuple[RegisteredEnv, ...] = (
    RegisteredEnv(
        name="DERDispatch-33bw", version=0, case="case33bw", task=DERDispatch(),
        resources=(
            *(Battery(bus, p_mw=p, energy_mwh=4.0 * p, soc_init=0.5)
              for bus, p in {"3": 0.8, "6": 0.8, "13": 0.3, "28": 0.6}.items()),
            *(PV(bus, p_mw=p, site=(7 * i + 1) % 25, controls=controls, s_mva=1.1 * p)
              for i, (bus, p, controls) in enumerate((
                  ("14", 0.8, "pq"), ("17", 0.5, "q"), ("24", 1.2, "pq"), ("30", 1.0, "q"), ("32", 0.8, "pq"),
              ))),
            EV("22", 0.4, sessions=((7.75, 17.5, 1.4),), undelivered_cost_per_mwh=300.0),
            EV("29", 0.4, sessions=((8.0, 16.75, 1.4),), undelivered_cost_per_mwh=300.0),
            EV("11", 0.35, sessions=((16.5, 23.5, 1.3),), undelivered_cost_per_mwh=300.0),
        ),
        options={"load_scale": 1.2, "v_source_pu": 1.04, **FORESEEN},
        unpriced_splits=("price-storm",),
        summary="batteries, PV and vehicles at the day-ahead price, inside the limits of the network",
    ),
)  # fmt: skip
