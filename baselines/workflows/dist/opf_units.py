"""Units of an optimal power flow from files: limits, schedules or envelopes, and costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .... import cases
from ...optimal.units import Unit
from ..csv_rows import CsvRows, RowChecks, read_csv_rows

BOX = ("p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar")
LIMITS = ("asset_id", "bus_id", "phase", *BOX, "s_mva")
DERS = ("asset_id", "bus_id", "phase", "p_mw", "q_mvar", *BOX)
QUADRATIC = ("c2", "c1", "c0")
PIECEWISE = ("p_mw", "cost_usd_per_h")
COSTS = ("asset_id", *QUADRATIC, *PIECEWISE)


@dataclass(frozen=True)
class Asset:
    """A unit, and what a schedule says of it.

    Attributes:
        unit: Box, circle and cost.
        phases: Letters of a per-phase feeder; empty: all that its bus has.
        scheduled: Whether its power is that of a schedule.
    """

    unit: Unit
    phases: str = ""
    scheduled: bool = False


@dataclass(frozen=True)
class AssetFiles:
    """The files that say what is dispatched."""

    limits: Path | None = None
    ders: Path | None = None
    costs: Path | None = None


def assets_of(feeder: cases.Feeder, files: AssetFiles) -> tuple[tuple[Asset, ...], tuple[CsvRows, ...]]:
    """The assets of a feeder, in the order of the files, and what was read.

    Raises:
        CaseError: File, line, field and expectation of everything that is wrong.
    """
    read: list[CsvRows] = []
    found: dict[str, Asset] = {}
    if files.limits is not None:
        read.append(read_csv_rows(files.limits, LIMITS, ("asset_id", "bus_id", *BOX)))
        found = _limited(feeder, read[-1])
    if files.ders is not None:
        read.append(read_csv_rows(files.ders, DERS, ("asset_id", "bus_id")))
        found = _with_ders(feeder, found, read[-1])
    if files.costs is not None:
        read.append(read_csv_rows(files.costs, COSTS, ("asset_id",)))
        found = _with_costs(found, read[-1])
    return tuple(found.values()), tuple(read)


# -- where an asset is ---------------------------------------------------------------------------------------


def _named(
    feeder: cases.Feeder, file: CsvRows, checks: RowChecks
) -> Iterator[tuple[int, Mapping[str, str], str, str, str]]:
    """(line, row, asset, bus, phases) of rows that name one asset at a bus that there is."""
    buses = feeder.node_index
    sources = {str(node) for node in feeder.column("sources", "node_id")}
    seen: set[str] = set()
    for line, row in zip(file.lines, file.rows, strict=True):
        asset, bus, phases = row["asset_id"], row["bus_id"], row.get("phase", "").upper()
        if not asset:
            checks.wrong(line, "asset_id", "", "a name")
        elif asset in seen:
            checks.wrong(line, "asset_id", asset, "each asset once")
        elif bus not in buses or bus in sources:
            checks.wrong(line, "bus_id", bus, "a bus of the feeder that is no source")
        elif not _phases_fit(feeder, bus, phases):
            checks.wrong(line, "phase", phases, _phases_expected(feeder, bus))
        else:
            seen.add(asset)
            yield line, row, asset, bus, phases


def _phases_of(feeder: cases.Feeder, bus: str) -> str:
    return str(feeder.column("nodes", "phase")[feeder.node_index[bus]])


def _phases_fit(feeder: cases.Feeder, bus: str, phases: str) -> bool:
    if not phases:
        return True
    if feeder.phases == "balanced":
        return False
    return len(set(phases)) == len(phases) and set(phases) <= set(_phases_of(feeder, bus))


def _phases_expected(feeder: cases.Feeder, bus: str) -> str:
    if feeder.phases == "balanced":
        return "nothing: the feeder is balanced"
    return f"letters among {_phases_of(feeder, bus)}"


# -- limits, schedules and envelopes -------------------------------------------------------------------------


def _limited(feeder: cases.Feeder, file: CsvRows) -> dict[str, Asset]:
    checks = RowChecks(str(file.path))
    found: dict[str, Asset] = {}
    for line, row, asset, bus, phases in _named(feeder, file, checks):
        box: dict[str, Any] = {name: checks.number(row, line, name) for name in BOX}
        most = checks.number(row, line, "s_mva", empty=math.inf)
        if math.isnan(sum(box.values())) or math.isnan(most):
            continue
        if not most > 0.0:
            checks.wrong(line, "s_mva", row["s_mva"], "a number greater than 0, or nothing")
        elif _upright(box, line, checks):
            found[asset] = Asset(Unit(asset, bus, **box, s_mva=most), phases)
    checks.raise_if_any()
    return found


def _upright(box: Mapping[str, float], line: int, checks: RowChecks) -> bool:
    """Whether no least is above its most; a problem where one is."""
    for low, high in (("p_min_mw", "p_max_mw"), ("q_min_mvar", "q_max_mvar")):
        if box[low] > box[high]:
            checks.wrong(line, low, f"{box[low]:g}", f"no more than {high} = {box[high]:g}")
            return False
    return True


def _with_ders(feeder: cases.Feeder, limited: Mapping[str, Asset], file: CsvRows) -> dict[str, Asset]:
    """With setpoints that are fixed, or envelopes, which lie within the limits where there are any."""
    checks, found = RowChecks(str(file.path)), dict(limited)
    for line, row, asset, bus, phases in _named(feeder, file, checks):
        known = limited.get(asset)
        if known is not None and (known.unit.bus, known.phases) != (bus, phases):
            where = f"bus {known.unit.bus}" + (f", phase {known.phases}" if known.phases else "")
            checks.wrong(line, "bus_id", bus, f"{where}, as in the limits")
            continue
        box = _envelope(row, line, known, checks)
        if box is None or not _upright(box, line, checks):
            continue
        unit = Unit(asset, bus, **box) if known is None else replace(known.unit, **box)
        if math.isfinite(unit.s_mva) and _least_mva(unit) > unit.s_mva * (1.0 + 1e-9):
            checks.wrong(line, "p_mw", f"{_least_mva(unit):g} MVA", f"no more than s_mva = {unit.s_mva:g}")
            continue
        found[asset] = Asset(unit, phases, scheduled=row.get("p_mw", "") != "")
    checks.raise_if_any()
    return found


def _least_mva(unit: Unit) -> float:
    p = min(max(0.0, unit.p_min_mw), unit.p_max_mw)
    q = min(max(0.0, unit.q_min_mvar), unit.q_max_mvar)
    return math.hypot(p, q)


def _envelope(
    row: Mapping[str, str], line: int, known: Asset | None, checks: RowChecks
) -> dict[str, Any] | None:
    """The box that a row leaves an asset; None, and a problem, where it is none."""
    box: dict[str, Any] = {}
    for still, low, high in (("p_mw", "p_min_mw", "p_max_mw"), ("q_mvar", "q_min_mvar", "q_max_mvar")):
        ends = None if known is None else (getattr(known.unit, low), getattr(known.unit, high))
        part = _range(row, line, (still, low, high), ends, checks)
        if part is None:
            return None
        box |= dict(zip((low, high), part, strict=True))
    return box


def _range(
    row: Mapping[str, str], line: int, names: tuple[str, str, str], ends: tuple[float, float] | None,
    checks: RowChecks,
) -> tuple[float, float] | None:  # fmt: skip
    """(least, most) of P or Q: a setpoint, an envelope cut by the limits, the limits, or 0 for Q."""
    still, low, high = names
    if row.get(still, "") != "":
        value = checks.number(row, line, still)
        if math.isnan(value):
            return None
        if ends is not None and not ends[0] - 1e-9 <= value <= ends[1] + 1e-9:
            checks.wrong(
                line, still, row[still], f"a power from {ends[0]:g} to {ends[1]:g}, as in the limits"
            )
            return None
        return value, value
    given = [name for name in (low, high) if row.get(name, "") != ""]
    if not given:
        if ends is not None:
            return ends
        if still == "p_mw":
            checks.wrong(line, still, "", "p_mw, or both p_min_mw and p_max_mw")
            return None
        return 0.0, 0.0
    least, most = checks.number(row, line, low), checks.number(row, line, high)
    if math.isnan(least) or math.isnan(most):
        return None
    if ends is None:
        return least, most
    if max(least, ends[0]) > min(most, ends[1]):
        expected = f"an envelope that meets the limits, {ends[0]:g} to {ends[1]:g}"
        checks.wrong(line, low, f"{least:g} to {most:g}", expected)
        return None
    return max(least, ends[0]), min(most, ends[1])


# -- costs ---------------------------------------------------------------------------------------------------


def _with_costs(found: Mapping[str, Asset], file: CsvRows) -> dict[str, Asset]:
    """With costs: a row of c2, c1, c0 for each asset, or rows of points of straight pieces."""
    checks = RowChecks(str(file.path))
    quadratic = set(QUADRATIC) <= set(file.columns)
    if quadratic == (set(PIECEWISE) <= set(file.columns)):
        expected = f"asset_id with {', '.join(QUADRATIC)}, or with {', '.join(PIECEWISE)}"
        checks.wrong(1, "columns", ", ".join(file.columns), expected)
        checks.raise_if_any()
    by: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
    for line, row in zip(file.lines, file.rows, strict=True):
        asset = row["asset_id"]
        if asset not in found:
            checks.wrong(line, "asset_id", asset, f"an asset that is dispatched: {_some(list(found))}")
        else:
            by.setdefault(asset, []).append((line, row))
    priced = dict(found)
    for asset, rows in by.items():
        unit = found[asset].unit
        with_cost = _quadratic(unit, rows, checks) if quadratic else _pieces(unit, rows, checks)
        priced[asset] = replace(found[asset], unit=with_cost)
    checks.raise_if_any()
    return priced


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


def _quadratic(unit: Unit, rows: Sequence[tuple[int, Mapping[str, str]]], checks: RowChecks) -> Unit:
    for line, _ in rows[1:]:
        checks.wrong(line, "asset_id", unit.name, "each asset once")
    line, row = rows[0]
    c2, c1, c0 = (checks.number(row, line, name) for name in QUADRATIC)
    for name, value in (("c2", c2), ("c1", c1), ("c0", c0)):
        if value < 0.0:
            why = ": a cost that is not convex has no bound" if name == "c2" else ""
            checks.wrong(line, name, f"{value:g}", f"a cost of 0 or more{why}")
    if math.isnan(c2 + c1 + c0) or min(c2, c1, c0) < 0.0:
        return unit
    return replace(unit, cost=(c2, c1, c0))


def _pieces(unit: Unit, rows: Sequence[tuple[int, Mapping[str, str]]], checks: RowChecks) -> Unit:
    before = len(checks.problems)
    points: list[tuple[float, float]] = []
    slope = -math.inf
    for line, row in rows:
        p, cost = (checks.number(row, line, name) for name in PIECEWISE)
        if cost < 0.0:
            checks.wrong(line, "cost_usd_per_h", f"{cost:g}", "a cost of 0 or more")
        if points and p <= points[-1][0]:
            checks.wrong(line, "p_mw", f"{p:g}", f"more than the point before it, {points[-1][0]:g}")
        elif points:
            steeper = (cost - points[-1][1]) / (p - points[-1][0])
            if steeper < slope - 1e-9 * max(1.0, abs(slope)):
                expected = f"no slope below {slope:g} USD/MWh, that of the piece before it: convex"
                checks.wrong(line, "cost_usd_per_h", f"{cost:g}", expected)
            slope = steeper
        points.append((p, cost))
    last = rows[-1][0]
    if len(points) < 2:
        checks.wrong(last, "p_mw", rows[0][1]["p_mw"], "two points or more of each asset")
    elif points[0][0] > unit.p_min_mw or points[-1][0] < unit.p_max_mw:
        reach = f"{points[0][0]:g} to {points[-1][0]:g}"
        checks.wrong(last, "p_mw", reach, f"points from {unit.p_min_mw:g} to {unit.p_max_mw:g} MW")
    if len(checks.problems) > before:
        return unit
    return replace(unit, points=tuple(points))
