"""`EVCharging-*`: cars get what they came for, when it is cheap and the network has room.

Cars that charge as they come do so into the evening's peak of loads and prices, and violate limits by it.
At a time-of-use tariff, the cheapest hours of all cars are the same: where each of them looks at the price
alone, they begin together at night, a second peak which violates limits, too. Depots and homes have nights
of very different need, by weekday, and cars at work stay long or hardly long enough, as real ones did: so
there is no rate that suits all of them. The price of energy that is missing at departure is some three times
what energy costs with its fees, as on a fast charger beside the road.

An episode is a day and the night behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...cases.profiles import Duration
from ..resources import EV, PV
from ..tasks import EVCharging
from .entry import FORESEEN, RegisteredEnv, cloud_site
from .homes import HOMES, overnight

_MISSING_USD_MWH = 280.0  # above the dearest hour of the tariff
_MISSING_WITH_FEES_USD_MWH = 400.0
_V2G = 0.2  # of the power of charging, where cars give back
_CAR_MW = 0.004  # of an outlet in a car park
_EPISODE = Duration(hours=30.0)


def _overnight(
    bus: str, p_mw: float, arrival_h: float, departure_h: float, first: int, v2g: bool, phase: str = "ABC",
    missing_usd_mwh: float = _MISSING_USD_MWH,
) -> EV:  # fmt: skip
    return overnight(
        bus, p_mw, arrival_h, departure_h, first, phase,
        v2g_mw=round(_V2G * p_mw, 6) if v2g else 0.0, undelivered_cost_per_mwh=missing_usd_mwh,
    )  # fmt: skip


def _park(
    bus: str, cars: int, site: str, v2g: bool = False, phase: str = "ABC",
    missing_usd_mwh: float = _MISSING_USD_MWH,
) -> EV:  # fmt: skip
    p_mw = round(cars * _CAR_MW, 6)
    return EV(
        bus, p_mw=p_mw, v2g_mw=round(_V2G * p_mw, 6) if v2g else 0.0, site=site, cars=cars, phase=phase,
        undelivered_cost_per_mwh=missing_usd_mwh,
    )  # fmt: skip


def _roofs(sizes: Mapping[str, tuple[str, float]]) -> tuple[PV, ...]:
    """PV by bus: phases and MW; inverters control themselves."""
    return tuple(
        PV(bus, p_mw=p, site=cloud_site(i), functions="volt-var-b", phase=phase)
        for i, (bus, (phase, p)) in enumerate(sizes.items())
    )


_PARKS = (  # bus, cars, whose days are drawn, gives back
    ("8", 60, "jpl", False), ("14", 40, "jpl", False), ("24", 100, "jpl", False), ("30", 60, "jpl", True),
    ("11", 50, "caltech", False), ("21", 60, "caltech", True),
)  # fmt: skip
_DEPOTS = (  # bus, MW, hours of arrival and departure, gives back
    ("16", 0.22, 17.5, 6.0, True), ("18", 0.22, 18.0, 6.0, False), ("13", 0.22, 17.0, 5.5, False),
    ("33", 0.31, 18.5, 6.0, True), ("25", 0.35, 17.0, 5.0, True), ("31", 0.31, 18.0, 6.0, False),
)  # fmt: skip
_HOME_MW = 0.0046  # 20 A on one phase

ENTRIES: tuple[RegisteredEnv, ...] = (
    RegisteredEnv(
        name="EVCharging-33bw", version=0, case="case33bw",
        task=EVCharging(episode=_EPISODE, import_fee_usd_mwh=60.0, export_fee_usd_mwh=20.0),
        resources=(
            *(_park(bus, cars, site, v2g, missing_usd_mwh=_MISSING_WITH_FEES_USD_MWH)
              for bus, cars, site, v2g in _PARKS),
            *(_overnight(bus, p, come, go, k, v2g, missing_usd_mwh=_MISSING_WITH_FEES_USD_MWH)
              for k, (bus, p, come, go, v2g) in enumerate(_DEPOTS)),
            *_roofs({"4": ("ABC", 2.2), "6": ("ABC", 1.6), "24": ("ABC", 1.6), "28": ("ABC", 0.8),
                     "12": ("ABC", 0.4), "32": ("ABC", 0.5), "20": ("ABC", 0.9)}),
        ),
        options={"load_scale": 0.75, "v_source_pu": 1.03, "prices": "sce-tou-ev-4", **FORESEEN},
        summary="car parks and depots charge at a time-of-use tariff, inside voltages and ratings",
    ).priced(55_000.0, 41_000.0),
    RegisteredEnv(
        name="EVCharging-european_lv", version=0, case="european_lv", per_phase=True,
        task=EVCharging(
            episode=_EPISODE, v_band=(0.94, 1.1), voltage_usd_pu=0.5, overload_usd_mva=1.0,
            unbalance_usd_pct=0.01,
        ),
        resources=(
            *(_overnight(bus, _HOME_MW, come, go, k, k % 3 == 0, phase)
              for k, (bus, phase, come, go) in enumerate(HOMES)),
            _park("208", 1, "caltech", phase="C"), _park("562", 1, "caltech", phase="A"),
            _park("701", 1, "jpl", phase="C"), _park("835", 1, "jpl", phase="C"),
            _park("676", 1, "jpl", phase="B"), _park("886", 1, "caltech", phase="B"),
            *_roofs({"342": ("C", 0.004), "611": ("A", 0.004), "682": ("B", 0.004), "861": ("A", 0.004),
                     "785": ("B", 0.004)}),
        ),
        options={"load_scale": 0.6, "v_source_pu": 1.0, "prices": "sce-tou-ev-4", **FORESEEN},
        summary="homes charge on single phases at a tariff, inside voltages, ratings and balance",
    ).priced(710.0, 660.0),
)  # fmt: skip
