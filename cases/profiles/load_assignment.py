"""Which load follows which shape, and how large it is.

For the shipped feeders the answer is stored (`data/simbench/assignment.parquet`); for any other feeder the
same rule is applied when asked. It looks at ids, nominal loads and the graph, never at a window of time:

* Shape. Loads are taken in the order of the table. Each gets, among the shapes open to it, the one that its
  neighbours within two branches use least, then the feeder uses least so far, then the one whose
  sha256("feeder/load/shape") is smallest. Single customers' shapes are open to loads below 15 kW only.
* Size. All loads of a feeder are multiplied by one factor, chosen so that the highest sum over the whole year
  equals the nominal total: the annual coincident peak is the case's nominal load. (Shapes do not peak
  together, so a single load exceeds its nominal value by that factor, about 1.6, at its own peak.)
* Net generation (negative P) follows a photovoltaic site, sha256("load") modulo 25, and is multiplied by one
  factor so that the highest sum over the year equals the nominal sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from .store import Profiles, load_profiles
from .tables import SHIPPED, check_numbers, check_texts, frozen, read_table

if TYPE_CHECKING:
    from ..model.feeder import Feeder

Array = NDArray[np.float64]
Index = NDArray[np.int64]

SMALL_MW = 0.015
PEAK_SHARE = 1.0  # annual coincident peak as a share of the nominal total


@dataclass(frozen=True, eq=False)
class Assignment:
    """Shapes and sizes of a feeder's loads; every array is (n_loads,), in the order of `feeder.loads`.

    Load i at step t draws `p_scale_mw[i] * shape_p[t, shape_index[i]]`, where `shape_p` is `profiles.pv` for
    loads with `is_pv` and `profiles.load_p` for the others; the same holds for Q with `profiles.pv` and
    `profiles.load_q`.

    Attributes:
        load_ids: ids of the loads.
        node_row: row of each load's node in `feeder.nodes`.
        shape_index: column of the shape array.
        is_pv: whether the load is net generation and follows a photovoltaic site.
        p_scale_mw: MW at a shape value of 1; negative for net generation.
        q_scale_mvar: Mvar at a shape value of 1.
    """

    load_ids: tuple[str, ...]
    node_row: Index
    shape_index: Index
    is_pv: NDArray[np.bool_]
    p_scale_mw: Array
    q_scale_mvar: Array

    def load_series(self, profiles: Profiles, t: slice | NDArray[np.integer]) -> tuple[Array, Array]:
        """P in MW and Q in Mvar of every load at the steps `t`, two (T, n_loads) arrays."""
        p, q = _shapes(profiles, self.shape_index, self.is_pv, t)
        p *= self.p_scale_mw
        q *= self.q_scale_mvar
        return p, q

    def node_series(
        self, feeder: Feeder, profiles: Profiles, t: slice | NDArray[np.integer]
    ) -> tuple[Array, Array]:
        """P in MW and Q in Mvar of every node at the steps `t`, two (T, n_nodes) arrays, new and writeable.

        Args:
            feeder: the feeder of this assignment; its `nodes` give the order of the columns.
            profiles: the year of data.
            t: steps of the year, 0..35135: a slice or an integer array.

        Raises:
            ValueError: the feeder's loads are not those of this assignment.
        """
        if len(self.load_ids) != feeder.loads.num_rows:
            raise ValueError(
                f"the assignment is for {len(self.load_ids)} loads, feeder {feeder.name!r} has "
                f"{feeder.loads.num_rows}; make a new one with profiles.assignment(feeder)"
            )
        by_load = self.load_series(profiles, t)
        out = []
        for series in by_load:
            total = np.zeros((feeder.n_nodes, series.shape[0]))
            np.add.at(total, self.node_row, series.T)
            out.append(np.ascontiguousarray(total.T))
        return out[0], out[1]


def _shapes(
    profiles: Profiles, shape: Index, is_pv: NDArray[np.bool_], t: slice | NDArray[np.integer]
) -> tuple[Array, Array]:
    load_p, load_q = profiles.load_p[t], profiles.load_q[t]
    if not is_pv.any():
        return load_p[:, shape], load_q[:, shape]
    p = np.empty((load_p.shape[0], len(shape)))
    q = np.empty_like(p)
    p[:, ~is_pv], q[:, ~is_pv] = load_p[:, shape[~is_pv]], load_q[:, shape[~is_pv]]
    p[:, is_pv] = q[:, is_pv] = profiles.pv[t][:, shape[is_pv]]
    return p, q


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest()[:8], "big")


def choose_shapes(
    feeder_id: str,
    load_ids: Sequence[str],
    p_mw: Array,
    names: Sequence[str],
    kinds: Sequence[str],
    neighbours: Sequence[Sequence[int]] | None = None,
) -> Index:
    """Shape of each load by the rule of this module.

    Args:
        feeder_id: the feeder's name.
        load_ids: (n_loads,) ids.
        p_mw: (n_loads,) nominal load.
        names: the shapes' names.
        kinds: the shapes' kinds.
        neighbours: for each load the rows of the loads near it; None: nothing is known about nearness.

    Returns:
        (n_loads,) index into `names`.
    """
    single = np.array([kind.startswith("single-") for kind in kinds])
    used = np.zeros(len(names), dtype=np.int64)
    chosen = np.full(len(load_ids), -1, dtype=np.int64)
    for i, load in enumerate(load_ids):
        near = np.zeros(len(names), dtype=np.int64)
        for other in neighbours[i] if neighbours is not None else ():
            if chosen[other] >= 0:
                near[chosen[other]] += 1
        open_to = np.flatnonzero(~single).tolist() if abs(p_mw[i]) >= SMALL_MW else list(range(len(names)))
        best = min(open_to, key=lambda s: (near[s], used[s], _number(feeder_id, load, names[s])))
        chosen[i] = best
        used[best] += 1
    return chosen


def choose_sites(load_ids: Sequence[str], n_sites: int) -> Index:
    """Photovoltaic site of each load, used where it is net generation."""
    return np.array([_number(load) % n_sites for load in load_ids], dtype=np.int64)


def scale_factor(shape: Index, p_mw: Array, series: Array) -> float:
    """Factor that makes the highest sum over the year equal `PEAK_SHARE` of the nominal sum.

    Args:
        shape: (n,) column of each load's shape.
        p_mw: (n,) nominal loads of one sign.
        series: (35136, n_shapes) the whole year, never a window of it.
    """
    weight = np.bincount(shape, weights=np.abs(p_mw), minlength=series.shape[1])
    peak = float((series @ weight).max()) if weight.any() else 0.0
    return PEAK_SHARE * float(weight.sum()) / peak if peak > 0.0 else 1.0


def neighbours_of(feeder: Feeder, hops: int = 2) -> list[list[int]]:
    """For each load the rows of the loads at most `hops` branches away (open ones count), itself excluded."""
    adjacent: dict[str, list[str]] = {}
    ends = zip(feeder.branches["from_node"].to_pylist(), feeder.branches["to_node"].to_pylist(), strict=True)
    for a, b in ends:
        adjacent.setdefault(a, []).append(b)
        adjacent.setdefault(b, []).append(a)
    at: dict[str, list[int]] = {}
    load_nodes = feeder.loads["node_id"].to_pylist()
    for i, node in enumerate(load_nodes):
        at.setdefault(node, []).append(i)
    out = []
    for i, node in enumerate(load_nodes):
        reached, edge = {node}, [node]
        for _ in range(hops):
            edge = [b for a in edge for b in adjacent.get(a, []) if b not in reached]
            reached.update(edge)
        out.append(sorted({k for near in reached for k in at.get(near, []) if k != i}))
    return out


@dataclass(frozen=True, eq=False)
class Rule:
    """What is stored for a feeder: shape and site by load id, and the two factors."""

    shape: Mapping[str, int]
    site: Mapping[str, int]
    load_factor: float
    pv_factor: float


def make_rule(feeder: Feeder, profiles: Profiles) -> Rule:
    """Apply the rule to a feeder; `tools/build_profiles.py` stores what this returns."""
    ids = feeder.loads["load_id"].to_pylist()
    p = feeder.column("loads", "p_mw")
    names, kinds = profiles.load_shape_names, profiles.load_shape_kinds
    shape = choose_shapes(feeder.name, ids, p, names, kinds, neighbours_of(feeder))
    site = choose_sites(ids, profiles.pv_sites.num_rows)
    out = p < 0.0
    return Rule(
        dict(zip(ids, shape.tolist(), strict=True)),
        dict(zip(ids, site.tolist(), strict=True)),
        scale_factor(shape[~out], p[~out], profiles.load_p),
        scale_factor(site[out], p[out], profiles.pv) if out.any() else 1.0,
    )


@cache
def _stored(folder: Path) -> dict[str, Rule]:
    path = folder / "simbench" / "assignment.parquet"
    columns = ("feeder", "load_id", "shape", "pv_site", "load_factor", "pv_factor")
    table, profiles = read_table(path, columns), load_profiles(folder)
    check_texts(table, ("feeder", "load_id", "shape"), path)
    factor = (0.0, 1e6)
    sites = (0.0, profiles.pv_sites.num_rows - 1.0)
    check_numbers(table, {"pv_site": sites, "load_factor": factor, "pv_factor": factor}, path)
    index = {name: i for i, name in enumerate(profiles.load_shape_names)}
    for row, shape in enumerate(table["shape"].to_pylist()):
        if shape not in index:
            expected = "the name of a row of shapes.parquet"
            raise CaseError([Problem(str(path), row, "shape", repr(shape), expected)])
    rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
    gathered: dict[str, tuple[dict[str, int], dict[str, int], float, float]] = {}
    for feeder, load, shape, site, load_factor, pv_factor in rows:
        entry = gathered.setdefault(feeder, ({}, {}, load_factor, pv_factor))
        entry[0][load] = index[shape]
        entry[1][load] = int(site)
    return {feeder: Rule(*entry) for feeder, entry in gathered.items()}


def stored_feeders() -> tuple[str, ...]:
    """Names of the feeders whose assignment is stored."""
    return tuple(_stored(SHIPPED))


def assignment(feeder: Feeder, profiles: Profiles | None = None) -> Assignment:
    """Shapes and sizes of a feeder's loads; the same on every call and machine.

    A feeder made from a shipped one (`with_loads`, `with_switch`, ...) keeps the stored shapes and factors:
    scaling its nominal loads scales the series by as much. A load that the stored one lacks gets a shape by
    sha256 of its id. Any other feeder gets the rule of this module.

    Args:
        feeder: a feeder; `loads` gives ids and nominal values, `name` finds a stored assignment.
        profiles: the year of data; None: the shipped one.
    """
    profiles = profiles or load_profiles()
    ids = tuple(feeder.loads["load_id"].to_pylist())
    rule = _stored(profiles.folder).get(feeder.name)
    if rule is None or not any(load in rule.shape for load in ids):
        rule = make_rule(feeder, profiles)
    p, q = feeder.column("loads", "p_mw"), feeder.column("loads", "q_mvar")
    is_pv = p < 0.0
    whole = [i for i, kind in enumerate(profiles.load_shape_kinds) if not kind.startswith("single-")]
    index = [
        rule.site.get(load, _number(load) % profiles.pv_sites.num_rows)
        if generates
        else rule.shape.get(load, whole[_number(feeder.name, load) % len(whole)])
        for load, generates in zip(ids, is_pv.tolist(), strict=True)
    ]
    factor = np.where(is_pv, rule.pv_factor, rule.load_factor)
    rows = [feeder.node_index[node] for node in feeder.loads["node_id"].to_pylist()]
    return Assignment(
        load_ids=ids,
        node_row=frozen(np.array(rows, dtype=np.int64)),
        shape_index=frozen(np.array(index, dtype=np.int64)),
        is_pv=frozen(is_pv.copy()),
        p_scale_mw=frozen(p * factor),
        q_scale_mvar=frozen(q * factor),
    )
