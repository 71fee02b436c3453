"""Synthetic assets for a feeder: who could have what on its buses, from a seed.

Assets stand beside wye loads; in a feeder without any, which has no ground, between the phases of its delta
loads. Every share and size below is an assumption, chosen so that assets matter to the feeder and fit to the
load where they stand; nothing is measured. Which loads have a device is drawn, how many have one is not:

* Photovoltaics at `PV_SHARE` of the loads, rated 0.8 to 2 times the nominal load; a single customer (below
  15 kW) 2 to 5 times. The inverter has 1.1 times that in MVA, of which 44 % may be reactive (category B of
  IEEE 1547-2018). Plants see the clouds of one of the shipped sites.
* A battery beside `BATTERY_SHARE` of them, half as large, for 2 to 4 hours.
* A charging station at `EV_SHARE` of the loads, a tenth to a quarter of the load, or 3.7 kW at a single
  customer. Cars stay for the night (they come between 16 and 20 o'clock, leave between 6 and 8) or, at a
  third of the stations, for a working day. They come with 0.2 to 0.5 of their charge, and have to leave with
  0.8 to 0.95 of it.
* A flexible load at `FLEXIBLE_SHARE` of the loads, a tenth to a quarter of it: either shifted by up to 4
  hours, or curtailed at a price.

Aggregators have parts of the tree below the source with alike many buses each, so that the assets of one lie
together; owners are customers, and a utility that has `UTILITY_SHARE` of the batteries. Costs are wear of
batteries, discomfort of flexible loads, and the price of energy that photovoltaics do not feed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..graph import breadth_first_forest, joins
from ..profiles.load_assignment import SMALL_MW
from .asset_set import AssetSet
from .schema import ASSET_TABLES, PROFILE_SITES

if TYPE_CHECKING:
    from ..model.feeder import Feeder

PV_SHARE, BATTERY_SHARE, EV_SHARE, FLEXIBLE_SHARE = 0.4, 0.5, 0.25, 0.2
UTILITY_SHARE = 0.2
AGGREGATORS = 4
#: USD/MWh.
WEAR_COSTS, DISCOMFORT_COSTS, CURTAIL_COSTS, FEED_IN = (8.0, 20.0), (3.0, 8.0), (120.0, 250.0), (20.0, 60.0)
#: Of the nominal load: rating of photovoltaics, by who is there; of stations and flexible loads.
PV_SIZES = {"single": (2.0, 5.0), "many": (0.8, 2.0)}
LOAD_SHARES = (0.1, 0.25)
STATION_MW = 0.0037
_Q_SHARE = 0.44
_RETURN_H = 4.0


_Tables = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class _Site:
    """Where a load stands."""

    load: str
    bus: str
    phase: str
    p_mw: float
    aggregator: str

    @property
    def single(self) -> bool:
        """Whether it is a single customer."""
        return self.p_mw < SMALL_MW


@dataclass(frozen=True)
class _Draw:
    """Numbers from a seed; those of one purpose at one load do not depend on what else is drawn."""

    seed: int
    feeder: str

    def uniform(self, low: float, high: float, *purpose: str, digits: int = 6) -> float:
        """A number from a range, rounded to decimal digits."""
        key = "/".join((str(self.seed), self.feeder, *purpose))
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2.0**64
        return round(low + (high - low) * number, digits)

    def some(self, sites: Sequence[_Site], share: float, purpose: str) -> list[_Site]:
        """A share of the sites, one at least, in their order."""
        many = max(1, round(share * len(sites)))
        ranked = sorted(sites, key=lambda site: self.uniform(0.0, 1.0, purpose, site.load, digits=12))
        taken = set(ranked[:many])
        return [site for site in sites if site in taken]

    def happens(self, share: float, *purpose: str) -> bool:
        """Whether something with this probability happens."""
        return self.uniform(0.0, 1.0, *purpose, digits=12) < share


def synthetic_assets(feeder: Feeder, seed: int = 0, load_scale: float = 1.0) -> AssetSet:
    """Synthetic assets of a feeder; the same seed makes the same tables, on every machine.

    Args:
        feeder: any; wye loads of single phases and of three are considered, and where there is none (a feeder
            without ground) those between phases.
        seed: another one makes other assets.
        load_scale: of the nominal loads, by which assets are sized.

    Raises:
        ValueError: a feeder without such loads.
    """
    draw = _Draw(int(seed), feeder.name)
    sites = _sites(feeder, load_scale)
    if not sites:
        raise ValueError(f"feeder {feeder.name} has no load above 0 MW, beside which assets could stand")
    plants = draw.some(sites, PV_SHARE, "pv")
    chosen = {
        "pv": plants,
        "battery": draw.some(plants, BATTERY_SHARE, "battery"),
        "ev": draw.some(sites, EV_SHARE, "ev"),
        "flexible": draw.some(sites, FLEXIBLE_SHARE, "flexible"),
    }
    makers = {"pv": _plant, "battery": _battery, "ev": _station, "flexible": _flexible}
    tables: _Tables = {name: [] for name in ASSET_TABLES}
    for site in sites:
        for kind, make in makers.items():
            if site in chosen[kind]:
                make(site, draw, tables)
    for row in tables["der_assets"]:
        row["priority"] = 1 + int(draw.uniform(0.0, 3.0, "priority", row["asset_id"]))
    made = {name: _table(rows, ASSET_TABLES[name]) for name, rows in tables.items()}
    return AssetSet(made.pop("der_assets"), **made, name=feeder.name)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)


def _row(site: _Site, kind: str, owner: str, **cells: Any) -> dict[str, Any]:
    phase = "" if site.phase == "ABC" else f"-{site.phase.lower()}"
    return {
        "asset_id": f"{kind}-{site.bus}{phase}", "bus_id": site.bus, "phase": site.phase, "asset_type": kind,
        "owner_id": owner, "agg_id": site.aggregator, **cells,
    }  # fmt: skip


def _household(site: _Site) -> str:
    return f"customer-{site.load}"


def _curve(tables: _Tables, row: dict[str, Any], *points: tuple[float, float]) -> None:
    row["cost_curve_id"] = f"{row['asset_id']}-cost"
    tables["cost_curves"] += [
        {"cost_curve_id": row["cost_curve_id"], "p_mw": p, "cost_usd_per_h": round(cost, 9)}
        for p, cost in points
    ]
    tables["der_assets"].append(row)


def _plant_mw(site: _Site, draw: _Draw) -> float:
    low, high = PV_SIZES["single" if site.single else "many"]
    return round(draw.uniform(low, high, "pv size", site.load, digits=2) * site.p_mw, 6)


def _plant(site: _Site, draw: _Draw, tables: _Tables) -> None:
    p_mw = _plant_mw(site, draw)
    s_mva = round(1.1 * p_mw, 6)
    q_mvar = round(_Q_SHARE * s_mva, 6)
    number = int(draw.uniform(0.0, PROFILE_SITES["pv"], "pv site", site.load))
    row = _row(
        site, "pv", _household(site), p_min_mw=0.0, p_max_mw=p_mw, q_min_mvar=-q_mvar, q_max_mvar=q_mvar,
        s_rated_mva=s_mva, controls="pq", telemetry_id=f"pv:{min(number, PROFILE_SITES['pv'] - 1)}",
    )  # fmt: skip
    # What is not fed in is missed: less power costs more.
    price = draw.uniform(*FEED_IN, "pv price", site.load, digits=1)
    _curve(tables, row, (0.0, 0.0), (p_mw, -price * p_mw))


def _battery(site: _Site, draw: _Draw, tables: _Tables) -> None:
    p_mw = round(0.5 * _plant_mw(site, draw), 6)
    hours = draw.uniform(2.0, 4.0, "battery hours", site.load, digits=1)
    utility = draw.happens(UTILITY_SHARE, "battery owner", site.load)
    row = _row(
        site, "battery", "utility" if utility else _household(site), p_min_mw=-p_mw, p_max_mw=p_mw,
        s_rated_mva=p_mw, energy_cap_mwh=round(hours * p_mw, 6), soc_min=0.1, soc_max=0.9, soc_init=0.5,
        efficiency=0.95, controls="p",
    )  # fmt: skip
    wear = draw.uniform(*WEAR_COSTS, "battery wear", site.load, digits=1)
    _curve(tables, row, (-p_mw, wear * p_mw), (0.0, 0.0), (p_mw, wear * p_mw))


def _station(site: _Site, draw: _Draw, tables: _Tables) -> None:
    share = draw.uniform(*LOAD_SHARES, "ev size", site.load, digits=2)
    p_mw = STATION_MW if site.single else round(share * site.p_mw, 6)
    work = draw.happens(1.0 / 3.0, "ev work", site.load)
    if work:
        come, leave = (
            draw.uniform(7.0, 9.0, "come", site.load),
            draw.uniform(15.5, 18.0, "leave", site.load),
        )
    else:
        come, leave = (
            draw.uniform(16.0, 20.0, "come", site.load),
            draw.uniform(6.0, 8.0, "leave", site.load),
        )
    come, leave = (round(4.0 * hour) / 4.0 for hour in (come, leave))
    full_h = draw.uniform(4.0, 8.0, "ev capacity", site.load, digits=1)  # hours from empty to full
    row = _row(
        site, "ev", _household(site), p_min_mw=-p_mw, p_max_mw=0.0, energy_cap_mwh=round(full_h * p_mw, 6),
        efficiency=0.92, controls="p", settings='{"undelivered_cost_per_mwh":300.0}',
    )  # fmt: skip
    tables["der_assets"].append(row)
    tables["sessions"].append(
        {
            "asset_id": row["asset_id"], "arrival_h": come, "departure_h": leave,
            "soc_arrival": draw.uniform(0.2, 0.5, "soc come", site.load, digits=2),
            "soc_departure": draw.uniform(0.8, 0.95, "soc leave", site.load, digits=2),
        }
    )  # fmt: skip


def _flexible(site: _Site, draw: _Draw, tables: _Tables) -> None:
    p_mw = round(draw.uniform(*LOAD_SHARES, "flexible size", site.load, digits=2) * site.p_mw, 6)
    if draw.happens(0.5, "flexible kind", site.load):
        price = draw.uniform(*DISCOMFORT_COSTS, "discomfort", site.load, digits=1)
        row = _row(
            site, "flexible_load", _household(site), p_min_mw=-p_mw, p_max_mw=p_mw, controls="p",
            settings=f'{{"return_h":{_RETURN_H}}}',
        )  # fmt: skip
        _curve(tables, row, (-p_mw, 0.0), (0.0, 0.0), (p_mw, price * p_mw))
        return
    price = draw.uniform(*CURTAIL_COSTS, "curtail", site.load, digits=0)
    row = _row(site, "flexible_load", _household(site), p_min_mw=0.0, p_max_mw=p_mw, controls="p")
    _curve(tables, row, (0.0, 0.0), (p_mw, price * p_mw))


def _sites(feeder: Feeder, load_scale: float) -> list[_Site]:
    """Loads beside which assets may stand, the first of each bus and phase."""
    return _sites_of(feeder, load_scale, "wye") or _sites_of(feeder, load_scale, "delta")


#: What assets call the phases of a load, by its connection.
_ASSET_PHASE = {
    "wye": {phase: phase for phase in ("A", "B", "C", "ABC")},
    "delta": {"AB": "AB", "BC": "BC", "AC": "CA", "ABC": "ABC"},
}


def _sites_of(feeder: Feeder, load_scale: float, wanted: str) -> list[_Site]:
    aggregators = _aggregators(feeder)
    node_phase = feeder.column("nodes", "phase")
    phase_of = _ASSET_PHASE[wanted]
    found: dict[tuple[str, str], _Site] = {}
    names = ("load_id", "node_id", "phase", "connection", "p_mw")
    for load, bus, phase, connection, p_mw in zip(*(feeder.column("loads", n) for n in names), strict=True):
        here = str(node_phase[feeder.node_index[str(bus)]])
        allowed = str(phase) in phase_of and set(str(phase)) <= set(here)
        if connection == wanted and allowed and p_mw > 0.0:
            place = (str(bus), phase_of[str(phase)])
            size = round(load_scale * float(p_mw), 6)
            found.setdefault(place, _Site(str(load), *place, size, aggregators[str(bus)]))
    return list(found.values())


def _aggregators(feeder: Feeder) -> dict[str, str]:
    """Aggregator of each bus: the tree below the source is cut into parts of alike many buses."""
    rows = {str(node): row for row, node in enumerate(feeder.column("nodes", "node_id"))}
    ends = np.array(
        [[rows[str(a)], rows[str(b)]] for a, b in zip(
            feeder.column("branches", "from_node"), feeder.column("branches", "to_node"), strict=True
        )]
    )[joins(feeder.branches)]  # fmt: skip
    root = rows[str(feeder.column("sources", "node_id")[0])]
    parent, _, depth = breadth_first_forest(feeder.n_nodes, ends, [root])
    order = _depth_first(np.asarray(parent), np.asarray(depth), root)
    place = {row: k for k, row in enumerate(order)}
    return {
        node: f"agg-{1 + AGGREGATORS * place.get(row, 0) // max(len(order), 1)}" for node, row in rows.items()
    }


def _depth_first(parent: np.ndarray, depth: np.ndarray, root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for row in np.lexsort((np.arange(len(parent)), depth)).tolist():
        if row != root and parent[row] >= 0:
            children.setdefault(int(parent[row]), []).append(row)
    order, left = [], [root]
    while left:
        row = left.pop()
        order.append(row)
        left.extend(reversed(children.get(row, [])))
    return order
