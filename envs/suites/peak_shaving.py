"""`PeakShaving-*`: a demand charge on the highest import of the day, beside energy and wear."""

from __future__ import annotations

from ..tasks import PeakShaving
from .entry import FORESEEN, RegisteredEnv, Sizes, batteries, car_park, inverters

Cars = tuple[tuple[str, float, float, float, float], ...]  # bus, MW, from and to hour, MWh


def _first(
    name: str, case: str, task: PeakShaving, storage: Sizes, sun: Sizes, cars: Cars, load_scale: float,
    v_source_pu: float,
) -> RegisteredEnv:  # fmt: skip
    return RegisteredEnv(
        name=f"PeakShaving-{name}", version=0, case=case, task=task,
        resources=(
            *batteries(storage, hours=3.0), *inverters(sun, "q"), *(car_park(*one) for one in cars),
        ),
        options={"load_scale": load_scale, "v_source_pu": v_source_pu, **FORESEEN},
        unpriced_splits=("price-storm",),
        summary="batteries, vehicles and inverters against a charge on the highest import of the day",
    )  # fmt: skip


ENTRIES: tuple[RegisteredEnv, ...] = (
    _first(
        "33bw", "case33bw", PeakShaving(), {"3": 0.4, "6": 0.4, "24": 0.3, "28": 0.3},
        {"14": 0.5, "24": 0.8, "30": 0.6, "32": 0.5},
        (("11", 0.25, 16.5, 23.5, 1.0), ("22", 0.3, 8.0, 17.5, 1.2), ("29", 0.3, 16.0, 22.5, 1.0),
         ("20", 0.3, 17.0, 23.75, 1.2)),
        load_scale=1.1, v_source_pu=1.04,
    ).priced(49000.0, 1800.0),
    _first(
        "141", "case141", PeakShaving(voltage_usd_pu=250.0), {"8": 1.0, "38": 1.0, "44": 0.8, "90": 0.6},
        {"76": 1.0, "79": 1.0, "94": 1.2, "45": 1.0},
        (("49", 0.7, 8.0, 17.5, 2.6), ("64", 0.6, 16.5, 23.5, 2.4), ("17", 0.6, 16.0, 22.5, 2.0),
         ("10", 0.8, 17.0, 23.75, 3.0)),
        load_scale=1.2, v_source_pu=1.02,
    ).priced(130000.0, 3900.0),
)  # fmt: skip
