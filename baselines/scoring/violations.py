"""What went wrong, row by row: every limit that was passed, with time, place and size.

A distribution operator reads this table first: which bus was too high or too low, when and by how much,
which branch was overloaded, and when power flowed back into the upstream grid. What a violation is,
`physics.violations` says; the magnitudes of a step add up to its costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...physics.violations import of_band, of_rating, of_unbalance

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Key = tuple[str, int, int]  # policy, episode, day

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
        ),  # overvoltage, undervoltage, overload, unbalance, unserved, reverse_flow, failed_power_flow
        (
            "element",
            pa.string(),
        ),  # node, branch or source id, with the phase: 675.A; the feeder's name for what is of all of it
        ("value", pa.float64()),
        ("limit", pa.float64()),
        ("magnitude", pa.float64()),  # how far beyond the limit, always positive
        ("unit", pa.string()),
    ]
)


#: The kinds in the order in which a step tells them, with the unit of value, limit and magnitude.
KINDS = (
    ("failed_power_flow", ""), ("overvoltage", "pu"), ("undervoltage", "pu"), ("overload", "MVA"),
    ("unbalance", "%"), ("unserved", "MW"), ("reverse_flow", "MW"),
)  # fmt: skip
_FAILED, _OVER, _UNDER, _OVERLOAD, _UNBALANCE, _UNSERVED, _REVERSE = range(len(KINDS))


@dataclass(frozen=True)
class Solved:
    """What a step solved, row by row.

    Attributes:
        v_pu: (rows, n_nodes) or (rows, n_nodes, 3), NaN where there is no phase.
        loading: The same for branches, shares of the rating.
        vuf_pct: (rows, n_nodes) where there are phases.
        p_slack_mw: (rows,).
        unserved_mw: (rows,).
        converged: (rows,).
    """

    v_pu: FloatArray
    loading: FloatArray
    vuf_pct: FloatArray | None
    p_slack_mw: FloatArray
    unserved_mw: FloatArray
    converged: BoolArray


class Violations:
    """Collects the rows of one chunk. Voltages are judged by the task's band, loading by the ratings."""

    def __init__(self, grid: Any) -> None:
        """`grid`: the environment whose feeder, voltage limits and ratings are used."""
        self._feeder = grid.feeder
        self._low, self._high = grid.v_limits_pu
        phased = grid.feeder.phases == "per-phase"  # (columns of the flat arrays,) of the smaller end
        self._rating = np.fmin(*grid.net.phase_rating_mva).ravel() if phased else grid.net.rating_mva
        self._vuf_max_pct = float(grid.task.vuf_max_pct)
        self._dt_h = float(grid.profiles.dt_h)
        self._phased = False
        self._keys: list[Key] = []
        self._found: list[tuple[NDArray[Any], ...]] = []

    def add(self, key: Key, step: int, t_index: int, info: Mapping[str, Any]) -> None:
        """One solved step of an environment; `key` is policy, episode and day."""
        if not self._keys or self._keys[-1] != key:
            self._keys.append(key)
        v, vuf = _plain(info["voltages"])[None], info["vuf_pct"]
        solved = Solved(
            v, _plain(info["branch_loading"])[None], _plain(vuf)[None] if v.ndim == 3 else None,
            np.array([info["p_slack_MW"]]), np.array([info["unserved_MW"]]), np.array([info["pf_converged"]]),
        )  # fmt: skip
        self._add(np.array([len(self._keys) - 1]), step, np.array([t_index]), solved, np.array([True]))

    def begin(self, keys: Sequence[Key]) -> None:
        """Episodes that are played side by side, a row each, begin."""
        self._keys = list(keys)

    def add_rows(self, step: int, t_index: IntArray, solved: Solved, playing: BoolArray) -> None:
        """One step of the episodes that are `playing` (rows,)."""
        self._add(np.arange(len(self._keys)), step, t_index, solved, playing)

    def _add(self, row: IntArray, step: int, t_index: IntArray, solved: Solved, playing: BoolArray) -> None:
        self._phased = solved.v_pu.ndim == 3
        for kind, at, element, value, limit, beyond in self._of_step(solved, playing):
            n = at.size
            self._found.append(
                (row[at], np.full(n, step), t_index[at], np.full(n, kind), element, value, limit, beyond)
            )

    def _of_step(
        self, solved: Solved, playing: BoolArray
    ) -> Iterator[tuple[int, IntArray, IntArray, FloatArray, FloatArray, FloatArray]]:
        """Kind, row, element, value, limit and how far beyond; elements are columns of the flat arrays."""
        failed = np.flatnonzero(playing & ~solved.converged)
        if failed.size:
            nothing = np.full(failed.size, np.nan)
            yield _FAILED, failed, np.zeros_like(failed), nothing, nothing, nothing
        judged = (playing & solved.converged)[:, None]
        v, low, high = _flat(solved.v_pu, self._low, self._high)
        outside = of_band(v, low, high)
        for kind, beyond, limit in ((_OVER, outside.over, high), (_UNDER, outside.under, low)):
            at, element = np.nonzero((beyond > 0.0) & judged)
            if at.size:
                yield kind, at, element, v[at, element], limit[element], beyond[at, element]
        (loading,) = _flat(solved.loading)
        above = of_rating(loading, self._rating)
        at, element = np.nonzero((above > 0.0) & judged)
        if at.size:
            rating = self._rating[element]
            yield _OVERLOAD, at, element, loading[at, element] * rating, rating, above[at, element]
        if solved.vuf_pct is not None:
            uneven = of_unbalance(solved.vuf_pct, self._vuf_max_pct)
            at, element = np.nonzero((uneven > 0.0) & judged)
            limit = np.full(at.size, self._vuf_max_pct)
            yield _UNBALANCE, at, element, solved.vuf_pct[at, element], limit, uneven[at, element]
        at = np.flatnonzero((solved.unserved_mw > 0.0) & judged[:, 0])
        if at.size:
            lost = solved.unserved_mw[at]
            yield _UNSERVED, at, np.zeros_like(at), lost, np.zeros(at.size), lost
        at = np.flatnonzero((solved.p_slack_mw < 0.0) & judged[:, 0])
        if at.size:
            back = -solved.p_slack_mw[at]
            yield _REVERSE, at, np.zeros_like(at), -back, np.zeros(at.size), back

    def table(self) -> pa.Table:
        """The rows so far, in the order of time; empty if and only if every limit was kept."""
        if not self._found:
            return SCHEMA.empty_table()
        row, step, t_index, kind, element, value, limit, beyond = map(
            np.concatenate, zip(*self._found, strict=True)
        )
        order = np.lexsort((element, kind, step, row))
        row, step, kind, element = row[order], step[order], kind[order], element[order]
        keys = [np.array(column, dtype=object)[row] for column in zip(*self._keys, strict=True)]
        columns = (
            *keys, step, t_index[order], step * self._dt_h, np.array([name for name, _ in KINDS])[kind],
            self._names(kind, element), value[order], limit[order], beyond[order],
            np.array([unit for _, unit in KINDS])[kind],
        )  # fmt: skip
        arrays = [
            pa.array(values, type=field.type, from_pandas=True)
            for field, values in zip(SCHEMA, columns, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    def _names(self, kind: IntArray, element: IntArray) -> NDArray[np.object_]:
        """The id of each element, and its phase where there are phases."""
        column = self._feeder.column
        nodes, branches = column("nodes", "node_id"), column("branches", "branch_id")
        of_kind = {
            _FAILED: [self._feeder.name], _OVER: self._phase_names(nodes), _UNDER: self._phase_names(nodes),
            _OVERLOAD: self._phase_names(branches), _UNBALANCE: [str(node) for node in nodes],
            _UNSERVED: [self._feeder.name], _REVERSE: [str(column("sources", "node_id")[0])],
        }  # fmt: skip
        out = np.empty(kind.size, dtype=object)
        for number, names in of_kind.items():
            here = kind == number
            out[here] = np.array(names, dtype=object)[element[here]]
        return out

    def _phase_names(self, ids: NDArray[Any]) -> list[str]:
        if not self._phased:
            return [str(one) for one in ids]
        return [f"{one}.{phase}" for one in ids for phase in "ABC"]


def _plain(values: NDArray[Any]) -> FloatArray:
    """NaN where masked: comparisons with it are false."""
    return np.asarray(np.ma.filled(values, np.nan), dtype=np.float64)


def _flat(values: FloatArray, *limits: FloatArray) -> tuple[FloatArray, ...]:
    """(rows, n) or (rows, n, 3) values as (rows, columns), and (n,) limits of each column."""
    if values.ndim == 2:
        return values, *limits
    return values.reshape(values.shape[0], -1), *(np.repeat(limit, values.shape[2]) for limit in limits)
