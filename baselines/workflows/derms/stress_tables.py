"""Tables of `derms stress-test`: what happened, what each policy did in it, distributions over scenarios."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ...jobs.unit_tables import NUMBER, TEXT, schema, table_of_rows
from ...optimal.affine import FloatArray
from ...optimal.scheduling.stress import MEASURES, Outcome
from ...optimal.scheduling.worlds import Event

COUNT = pa.int64()
CONFIDENCE = 0.95

SCENARIOS = schema(
    ("scenario", COUNT, "number"), ("event", COUNT, "of the scenario, from 0"), ("kind", TEXT, ""),
    ("element", TEXT, ""), ("from_h", NUMBER, "h"), ("to_h", NUMBER, "h"),
    ("factor", NUMBER, "1"),  # null: the element is out
)  # fmt: skip

RESULTS = schema(
    ("scenario", COUNT, "number"), ("policy", TEXT, ""), ("status", TEXT, ""),
    *((name, NUMBER, unit) for name, unit in MEASURES.items()),
    ("v_lowest_pu", NUMBER, "pu"), ("v_highest_pu", NUMBER, "pu"), ("loading_highest_pct", NUMBER, "%"),
)  # fmt: skip

SUMMARY = schema(
    ("policy", TEXT, ""), ("measure", TEXT, ""), ("unit", TEXT, ""), ("scenarios", COUNT, "1"),
    ("mean", NUMBER, "see unit"),
    ("mean_low", NUMBER, "see unit"), ("mean_high", NUMBER, "see unit"),  # 95 % interval of the mean
    ("std", NUMBER, "see unit"), ("lowest", NUMBER, "see unit"), ("p05", NUMBER, "see unit"),
    ("median", NUMBER, "see unit"), ("p95", NUMBER, "see unit"), ("highest", NUMBER, "see unit"),
    ("share_above_zero", NUMBER, "1"),
)  # fmt: skip

SCHEMAS = {"stress_results": RESULTS, "stress_scenarios": SCENARIOS, "stress_summary": SUMMARY}


def scenario_table(scenario: int, events: Sequence[Event]) -> pa.Table:
    """A row for each event."""
    rows = [
        (scenario, k, one.kind, one.element or None, one.from_h, one.to_h, one.factor or None)
        for k, one in enumerate(events)
    ]
    return table_of_rows(rows, SCENARIOS)


def result_table(scenario: int, outcomes: Sequence[tuple[str, Outcome]]) -> pa.Table:
    """A row for each policy."""
    rows = []
    for policy, one in outcomes:
        v = np.asarray(one.schedule.solution.v_pu)
        v = np.where(one.world.dead.reshape(*one.world.dead.shape, *(1,) * (v.ndim - 2)), np.nan, v)
        loading = np.asarray(one.schedule.solution.loading, dtype=np.float64)
        loading = loading[np.isfinite(loading)]
        rows.append((
            scenario, policy, one.schedule.status, *(one.measures()[name] for name in MEASURES),
            float(np.nanmin(v)), float(np.nanmax(v)),
            100.0 * float(loading.max()) if loading.size else None,
        ))  # fmt: skip
    return table_of_rows(rows, RESULTS)


def summary_table(results: pa.Table, policies: Sequence[str]) -> pa.Table:
    """Distributions of each measure over the scenarios by policy: means, their intervals, quantiles."""
    rows = []
    names = results["policy"].to_pylist()
    for policy in policies:
        mine = np.array([name == policy for name in names])
        for measure, unit in MEASURES.items():
            values = results[measure].to_numpy()[mine]
            half = _half_width(values)
            low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
            rows.append((
                policy, measure, unit, values.size, float(values.mean()), float(values.mean()) - half,
                float(values.mean()) + half, float(values.std(ddof=1)) if values.size > 1 else np.nan,
                float(values.min()), float(low), float(middle), float(high), float(values.max()),
                float((values > 1e-9).mean()),
            ))  # fmt: skip
    return table_of_rows(rows, SUMMARY)


def _half_width(values: FloatArray) -> float:
    """Of the 95 % interval of the mean; NaN for a single value."""
    from scipy import stats

    if values.size < 2:
        return float("nan")
    t = stats.t.ppf(0.5 * (1.0 + CONFIDENCE), values.size - 1)
    return float(t * values.std(ddof=1) / np.sqrt(values.size))
