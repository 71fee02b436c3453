"""Hosting capacities as tables with units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...hosting.capacity import Capacities, HostingStudy
from ...hosting.limits import DEVIATION, KINDS, OVER, REVERSE, THERMAL, UNBALANCE, UNDER, WORSE, Quantities
from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table_of_rows

FloatArray = NDArray[np.float64]
COUNT = pa.int64()

SUMMARY = schema(
    ("node_id", TEXT, ""), ("phase", TEXT, ""), ("n_sites", COUNT, ""), ("sites", TEXT, ""),
    ("max_mw", NUMBER, "MW"),
    ("first_violation_mw", NUMBER, "MW"),  # the next size that was looked at; null where none passes a limit
    ("limiting_constraint", TEXT, ""), ("limiting_element", TEXT, ""),
    ("limiting_value", NUMBER, "see unit"), ("limit", NUMBER, "see unit"), ("unit", TEXT, ""),  # at max_mw
    ("step", COUNT, ""),  # the interval that decides; null at nominal loads
    ("v_lowest_pu", NUMBER, "pu"), ("v_lowest_node", TEXT, ""),
    ("v_highest_pu", NUMBER, "pu"), ("v_highest_node", TEXT, ""),
    ("loading_highest_pct", NUMBER, "%"), ("loading_highest_branch", TEXT, ""),
    ("power_flows", COUNT, ""),
)  # fmt: skip
DETAIL = schema(
    ("node_id", TEXT, ""), ("phase", TEXT, ""),
    # limit: how near each limit is at max_mw; step: the capacity of each interval; site: what stands where
    ("scope", TEXT, ""),
    ("step", COUNT, ""), ("constraint", TEXT, ""), ("element", TEXT, ""),
    ("base_value", NUMBER, "see unit"), ("value", NUMBER, "see unit"), ("limit", NUMBER, "see unit"),
    ("headroom", NUMBER, "see unit"), ("unit", TEXT, ""), ("binding", YES_NO, ""), ("max_mw", NUMBER, "MW"),
)  # fmt: skip
CURVE = schema(
    ("size_mw", NUMBER, "MW"), ("penetration_pct", NUMBER, "% of the feeder's load"),
    ("n_hosting", COUNT, ""), ("share_hosting", NUMBER, ""),  # candidates that take this size
    ("n_limited", COUNT, ""),  # and those that do not, by what limits them
    *((f"n_{name}", COUNT, "") for name in KINDS),
)  # fmt: skip

UNITS = {OVER: "pu", UNDER: "pu", DEVIATION: "pu", THERMAL: "of the rating", REVERSE: "MW", UNBALANCE: "%"}


def capacity_tables(study: HostingStudy, found: Capacities) -> dict[str, pa.Table]:
    """One row a candidate, and how near each limit is to it."""
    summary: list[tuple[Any, ...]] = []
    detail: list[tuple[Any, ...]] = []
    states = [_State(study, found, k) for k in range(len(study.judges))]
    moments = len(study.moments)
    for k in range(len(found.sites)):
        near = [line for state in states for line in state.near(k)]
        kind = int(found.kind[k])
        binding = next((line for line in near if line[0] == kind), None)
        who = found.sites.name[k], found.sites.phase[k]
        step = _step(found.step[k])
        said = ("none" if kind < 0 else KINDS[kind], found.element[k] or None)
        value, limit, unit = (None, None, "") if binding is None else (binding[3], binding[4], UNITS[kind])
        passed = found.passed_mw[k] if np.isfinite(found.passed_mw[k]) else None
        summary.append(
            (*who, found.sites.n_sites[k], ",".join(found.sites.buses[k]), found.max_mw[k], passed, *said,
             value, limit, unit, step, *states[-1].extremes(k), int(found.power_flows[k]))
        )  # fmt: skip
        detail += [
            (*who, "limit", step, KINDS[name], element, before, now, bound, room, UNITS[name], name == kind,
             found.max_mw[k])
            for name, element, before, now, bound, room in near
        ]  # fmt: skip
        if found.sites.n_sites[k] > 1:
            detail += list(_parts_of(study, found, k, who, step))
        if moments > 1:
            detail += list(_steps(study, found, k, who))
    return {
        "hostcap_summary": table_of_rows(summary, SUMMARY), "hostcap_detail": table_of_rows(detail, DETAIL)
    }  # fmt: skip


def _parts_of(
    study: HostingStudy, found: Capacities, k: int, who: tuple[str, str], step: int | None
) -> Iterator[tuple[Any, ...]]:
    """What of a total stands at each of its buses."""
    share = found.sites.share[k].reshape(len(study.flows.node_ids), -1).sum(axis=1)
    for bus in found.sites.buses[k]:
        part = float(share[study.feeder.node_index[bus]] * found.max_mw[k])
        yield (*who, "site", step, None, bus, None, part, None, None, "MW", False, found.max_mw[k])


def _step(step: int) -> int | None:
    return None if step < 0 else int(step)


def _steps(study: HostingStudy, found: Capacities, k: int, who: tuple[str, str]) -> Iterator[tuple[Any, ...]]:
    """The capacity of each interval; null where nothing of the plant flows."""
    for t, step in enumerate(study.moments.step.tolist()):
        size, kind, column = (a[k, t] for a in (found.at_step_mw, found.at_step_kind, found.at_step_element))
        said = ("none" if kind < 0 else KINDS[kind], found.names[column] if column >= 0 else None)
        size = size if np.isfinite(size) else None
        yield (*who, "step", step, *said, None, None, None, None, "", step == found.step[k], size)


class _State:
    """What one judge's power flow shows of candidates at the size found, and without."""

    def __init__(self, study: HostingStudy, found: Capacities, which: int) -> None:
        judge = study.judges[which]
        rows = np.arange(len(found.sites)) * study.n_bases + found.base
        self.x = study.evaluate(judge, found.sites, rows, found.max_mw).x
        self.base = judge.base[found.base]
        self.of: Quantities = judge.quantities
        self.low, self.high = self.of.limits(found.sites.stands(len(study.flows.node_ids)))

    def extremes(self, k: int) -> tuple[Any, ...]:
        """Lowest and highest voltage, and highest loading in per cent, with their elements."""
        found: list[Any] = []
        for kind, factor, least in ((UNDER, 1.0, True), (UNDER, 1.0, False), (THERMAL, 100.0, False)):
            at = np.flatnonzero(self.of.kind_low == kind)
            if at.size == 0:
                found += [None, None]
                continue
            c = at[np.nanargmin(self.x[k, at]) if least else np.nanargmax(self.x[k, at])]
            found += [factor * float(self.x[k, c]), self.of.element[c]]
        return tuple(found)

    def near(self, k: int) -> Iterator[tuple[int, str, float, float, float, float]]:
        """(kind, element, value without, value, limit, room left) of each limit, where the least is left."""
        x, base, of = self.x[k], self.base[k], self.of
        high = np.where(base > self.high[k], base + WORSE, self.high[k])
        low = np.where(base < self.low[k], base - WORSE, self.low[k])
        for kind, value, before, limit, room, at in (
            (OVER, x, base, high, high - x, of.kind_high == OVER),
            (UNDER, x, base, low, x - low, of.kind_low == UNDER),
            (
                DEVIATION,
                np.abs(x - base),
                0.0 * x,
                of.moves,
                of.moves - np.abs(x - base),
                np.isfinite(of.moves),
            ),
            (THERMAL, x, base, high, high - x, of.kind_high == THERMAL),
            (REVERSE, x, base, low, x - low, of.kind_low == REVERSE),
            (UNBALANCE, x, base, high, high - x, of.kind_high == UNBALANCE),
        ):
            some = np.flatnonzero(at & np.isfinite(limit) & np.isfinite(room))
            if some.size:
                c = some[np.argmin(room[some])]
                yield kind, of.element[c], float(before[c]), float(value[c]), float(limit[c]), float(room[c])


def penetration_curve(summary: pa.Table, load_mw: float) -> pa.Table:
    """How many candidates take a size, at each size where one takes no more; falls with the size."""
    size = summary["max_mw"].to_numpy()
    kind = np.array(summary["limiting_constraint"].to_pylist())
    rows = []
    for level in np.unique(np.append(size, 0.0)).tolist():
        hosting = size >= level
        limited = [int((~hosting & (kind == name)).sum()) for name in KINDS]
        percent = 100.0 * level / load_mw if load_mw > 0.0 else None
        n = int(hosting.sum())
        rows.append((level, percent, n, n / size.size, size.size - n, *limited))
    return table_of_rows(rows, CURVE)
