"""What went wrong, row by row: every limit that was passed, with time, place and size.

A distribution operator reads this table first: which bus was too high or too low, when and by how much,
which branch was overloaded, and when power flowed back into the upstream grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SCHEMA = pa.schema(
    [
        ("policy", pa.string()),
        ("episode", pa.int64()),
        ("day", pa.int64()),
        ("step", pa.int64()),
        ("t_index", pa.int64()),
        ("hour", pa.float64()),  # of the day, when the interval begins
        (
            "kind",
            pa.string(),
        ),  # overvoltage, undervoltage, overload, unbalance, reverse_flow, failed_power_flow
        (
            "element",
            pa.string(),
        ),  # node, branch or source id, with the phase: 675.A; the feeder's name for a failed power flow
        ("value", pa.float64()),
        ("limit", pa.float64()),
        ("magnitude", pa.float64()),  # how far beyond the limit, always positive
        ("unit", pa.string()),
    ]
)


class Violations:
    """Collects the rows of one chunk. Voltages are judged by the task's band, loading by the ratings."""

    def __init__(self, grid: Any) -> None:
        """`grid`: the environment whose feeder, voltage limits and ratings are used."""
        self._feeder = grid.feeder
        self._low, self._high = grid.v_limits_pu
        self._rating = grid.feeder.column("branches", "thermal_limit_mva")
        self._nodes = grid.feeder.column("nodes", "node_id")
        self._branches = grid.feeder.column("branches", "branch_id")
        self._source = str(grid.feeder.column("sources", "node_id")[0])
        self._vuf_max_pct = float(grid.task.vuf_max_pct)
        self._dt_h = float(grid.profiles.dt_h)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, key: tuple[str, int, int], step: int, t_index: int, info: Mapping[str, Any]) -> None:
        """One solved step; `key` is policy, episode and day."""
        head = (*key, step, t_index, step * self._dt_h)
        if not info["pf_converged"]:
            self._rows.append((*head, "failed_power_flow", self._feeder.name, np.nan, np.nan, np.nan, ""))
            return
        for row in self._of_step(info):
            self._rows.append((*head, *row))

    def _of_step(self, info: Mapping[str, Any]) -> Iterator[tuple[str, str, float, float, float, str]]:
        v = _plain(info["voltages"])
        low, high = _per_phase(self._low, v), _per_phase(self._high, v)
        for kind, beyond, limit in (("overvoltage", v - high, high), ("undervoltage", low - v, low)):
            for at in map(tuple, np.argwhere(beyond > 0.0)):
                yield kind, _named(self._nodes, at), float(v[at]), float(limit[at]), float(beyond[at]), "pu"
        loading = _plain(info["branch_loading"])
        ratings = _per_phase(self._rating / (3.0 if loading.ndim == 2 else 1.0), loading)
        for at in map(tuple, np.argwhere(loading > 1.0)):
            rating = float(ratings[at])
            flow = float(loading[at]) * rating
            yield "overload", _named(self._branches, at), flow, rating, flow - rating, "MVA"
        if v.ndim == 2:
            unbalance = _plain(info["vuf_pct"])
            for n in np.flatnonzero(unbalance > self._vuf_max_pct):
                value = float(unbalance[n])
                beyond_pct = value - self._vuf_max_pct
                yield "unbalance", str(self._nodes[n]), value, self._vuf_max_pct, beyond_pct, "%"
        if info["p_slack_MW"] < 0.0:
            back = -float(info["p_slack_MW"])
            yield "reverse_flow", self._source, -back, 0.0, back, "MW"

    def table(self) -> pa.Table:
        """The rows so far, in the order of time; empty if and only if every limit was kept."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(SCHEMA)
        arrays = [
            pa.array(values, type=field.type, from_pandas=True)
            for field, values in zip(SCHEMA, columns, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _plain(values: NDArray[Any]) -> FloatArray:
    """NaN where masked: comparisons with it are false."""
    return np.asarray(np.ma.filled(values, np.nan), dtype=np.float64)


def _per_phase(limit: FloatArray, values: FloatArray) -> FloatArray:
    """(n,) limits in the shape of (n,) or (n, 3) values."""
    return np.broadcast_to(limit[:, None] if values.ndim == 2 else limit, values.shape)


def _named(ids: NDArray[Any], at: tuple[int, ...]) -> str:
    """The id of an element, and its phase where there are phases."""
    return str(ids[at[0]]) + (f".{'ABC'[at[1]]}" if len(at) == 2 else "")
