"""Orders of the grid operator: caps of power at branches and at the substation, and curtailment of assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ....cases.assets import AssetSet
from ....cases.model.edit import nearest
from ...jobs.manifest import InputRecord
from ...optimal.scheduling.assets import Asset
from ...optimal.scheduling.case import HEAD, PowerCap, gathered, steps_between
from ..csv_rows import RowChecks, read_csv_rows

_KNOWN = ("element", "from_h", "to_h", "p_max_mw", "p_min_mw")
_DAY_H = 24.0


@dataclass(frozen=True)
class Order:
    """Between two hours of each day, power of an element between two bounds, MW.

    Attributes:
        element: Of a branch, an asset, or `HEAD`. of_asset: Whether it is an asset's.
        from_h, to_h: Hours after midnight.
        p_min_mw, p_max_mw: Of a branch and of the head away from the substation, of an asset fed in; infinite
            where nothing is said.
    """

    element: str
    of_asset: bool
    from_h: float
    to_h: float
    p_min_mw: float
    p_max_mw: float

    def steps(self, n: int, dt_h: float) -> slice:
        """Steps that it touches."""
        return steps_between(self.from_h, self.to_h, n, dt_h)


def read_orders(
    path: Path, branches: Sequence[str], assets: AssetSet
) -> tuple[tuple[Order, ...], InputRecord]:
    """Orders of a CSV file, and its hash.

    Args:
        path: Of the file: element, p_max_mw [, p_min_mw] [, from_h] [, to_h].
        branches: Ids of the feeder.
        assets: That may be named.

    Raises:
        CaseError: unknown elements, numbers that are none, hours out of order.
    """
    rows = read_csv_rows(path, _KNOWN, ("element",))
    checks = RowChecks(str(path))
    known = dict.fromkeys([HEAD, *branches, *assets.ids])
    orders = []
    for line, row in zip(rows.lines, rows.rows, strict=True):
        element = row["element"]
        if element not in known:
            expected = f"{HEAD}, a branch or an asset; {nearest(element, known)}"
            checks.wrong(line, "element", element, expected)
        values = {
            name: _number(checks, line, row, name, default)
            for name, default in (
                ("from_h", 0.0), ("to_h", _DAY_H), ("p_max_mw", np.inf), ("p_min_mw", -np.inf)
            )
        }  # fmt: skip
        if not 0.0 <= values["from_h"] < values["to_h"] <= _DAY_H:
            told = f"{values['from_h']:g} to {values['to_h']:g}"
            checks.wrong(line, "to_h", told, "hours from 0 to 24, in order")
        if values["p_min_mw"] > values["p_max_mw"]:
            checks.wrong(line, "p_min_mw", f"{values['p_min_mw']:g}", "p_max_mw at most")
        if np.isinf(values["p_min_mw"]) and np.isinf(values["p_max_mw"]):
            checks.wrong(line, "p_max_mw", "", "p_max_mw or p_min_mw")
        orders.append(Order(element, element in assets.index, **values))
    checks.raise_if_any()
    return tuple(orders), rows.record("limits")


def _number(checks: RowChecks, line: int, row: Mapping[str, str], name: str, default: float) -> float:
    """What stands there; the default where nothing does, or where it is none, which is told."""
    value = checks.number(row, line, name, default)
    return default if np.isnan(value) else value


def caps_of(
    orders: Sequence[Order], steps: int, dt_h: float, import_cap: float | None, export_cap: float | None
) -> tuple[PowerCap, ...]:
    """Caps at branches and the head: of orders, and of the two numbers for the whole day."""

    def cap(element: str, where: slice, most: float, least: float) -> PowerCap:
        ends = np.full(steps, np.inf), np.full(steps, np.inf)
        ends[0][where], ends[1][where] = most, -least
        return PowerCap(element, *ends)

    found = [cap(o.element, o.steps(steps, dt_h), o.p_max_mw, o.p_min_mw) for o in orders if not o.of_asset]
    if import_cap is not None or export_cap is not None:
        most = np.inf if import_cap is None else import_cap
        least = -np.inf if export_cap is None else -export_cap
        found.append(cap(HEAD, slice(None), most, least))
    return gathered(found)


def curtailed(assets: Sequence[Asset], orders: Sequence[Order], dt_h: float) -> tuple[Asset, ...]:
    """Assets whose bounds are those that orders leave them."""
    found = []
    for asset in assets:
        low, high = asset.p_min_mw.copy(), asset.p_max_mw.copy()
        for order in orders:
            if order.of_asset and order.element == asset.name:
                where = order.steps(asset.steps, dt_h)
                high[where] = np.minimum(
                    high[where], max(order.p_max_mw, 0.0) if asset.offered else order.p_max_mw
                )
                low[where] = np.maximum(low[where], order.p_min_mw)
                low[where] = np.minimum(low[where], high[where])
        offers = asset.p_max_mw if asset.offers_mw is None else asset.offers_mw
        found.append(replace(asset, p_min_mw=low, p_max_mw=high, offers_mw=offers if asset.offered else None))
    return tuple(found)
