"""Random radial feeders of any size, for timing how cost grows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....cases import Feeder
from ....cases.schema import TABLES, table

_BASE_MVA, _KV = 10.0, 11.0
_DROP_PU = 0.07  # linear estimate of the voltage drop to the worst node: real ones end near 0.92 pu
_ONWARD = 0.8  # share of nodes that lengthen a line; the rest start a branch at any earlier node


def random_tree(n_buses: int, seed: int = 0) -> Feeder:
    """A balanced 11 kV feeder of ``n_buses`` nodes in a random tree; equal seeds give equal feeders.

    Sections of 50 to 400 m with R/X from 0.5 to 2; conductors are thicker where more nodes hang below; 70 %
    of the nodes have a load with a power factor from 0.9 to 0.98. Loads are scaled so that the voltages lie
    between 0.9 and 1.0 pu whatever the size: then every size asks for about the same number of iterations.
    """
    if n_buses < 2:
        raise ValueError(f"a tree needs at least 2 buses, got {n_buses}")
    rng = np.random.default_rng([seed, n_buses])
    k = np.arange(1, n_buses)
    onward = rng.random(n_buses - 1) < _ONWARD
    parent = np.where(onward, k - 1, (rng.random(n_buses - 1) * k).astype(np.int64))
    below = sum_below(parent, np.ones(n_buses))[1:]
    z_ohm = rng.uniform(0.05, 0.4, n_buses - 1) * 0.6 / np.sqrt(below)
    angle = np.arctan2(1.0, rng.uniform(0.5, 2.0, n_buses - 1))
    z_pu = z_ohm * _BASE_MVA / _KV**2
    r, x = z_pu * np.cos(angle), z_pu * np.sin(angle)
    p = rng.lognormal(0.0, 0.7, n_buses) * (rng.random(n_buses) < 0.7)
    q = p * np.tan(np.arccos(rng.uniform(0.9, 0.98, n_buses)))
    p[0] = q[0] = 0.0
    drop = r * sum_below(parent, p)[1:] + x * sum_below(parent, q)[1:]
    scale = _DROP_PU * _BASE_MVA / max(float(sum_along(parent, drop).max()), 1e-300)
    return _feeder(f"tree{n_buses}", parent, r, x, p * scale, q * scale)


def sum_below(parent: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) sum of ``value`` (n,) over each node and everything that it feeds."""
    total = value.tolist()
    up = parent.tolist()
    for k in range(len(up), 0, -1):
        total[up[k - 1]] += total[k]
    return np.array(total)


def sum_along(parent: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) sum of ``value`` (n - 1,), one per branch, on the way from the source to each node."""
    total = [0.0]
    for up, own in zip(parent.tolist(), value.tolist(), strict=True):
        total.append(total[up] + own)
    return np.array(total)


def _feeder(
    name: str, parent: NDArray[np.int64], r: NDArray[np.float64], x: NDArray[np.float64],
    p: NDArray[np.float64], q: NDArray[np.float64],
) -> Feeder:  # fmt: skip
    n, m = p.size, r.size
    width = math.ceil(math.log10(n + 1))
    ids = [f"n{i:0{width}d}" for i in range(n)]
    loaded = np.flatnonzero(p)
    rows: dict[str, dict[str, Any]] = {
        "nodes": {
            "node_id": ids, "type": ["source"] + ["load" if s else "junction" for s in p[1:]],
            "base_kv": np.full(n, _KV), "v_min": np.full(n, 0.9), "v_max": np.full(n, 1.1),
            "load_p_mw": p, "load_q_mvar": q,
        },
        "branches": {
            "branch_id": [f"b{i}" for i in ids[1:]], "from_node": [ids[i] for i in parent],
            "to_node": ids[1:], "type": ["line"] * m, "r": r, "x": x, "tap": np.ones(m),
            "status": np.ones(m, dtype=bool),
        },
        "loads": {
            "load_id": [f"load{ids[i]}" for i in loaded], "node_id": [ids[i] for i in loaded],
            "p_mw": p[loaded], "q_mvar": q[loaded],
        },
        "sources": {"source_id": ["grid"], "node_id": ids[:1], "v_pu": [1.0], "v_deg": [0.0]},
    }  # fmt: skip
    return feeder_of(name, _BASE_MVA, rows)


def feeder_of(
    name: str, base_mva: float, rows: dict[str, dict[str, Any]], phases: str = "balanced"
) -> Feeder:
    """A feeder of the given columns of the given tables; what is not given says nothing."""
    tables = {}
    for kind, schema in TABLES.items():
        given = rows.get(kind)
        if given is None:
            tables[kind] = schema.empty_table()
            continue
        length = len(next(iter(given.values())))
        tables[kind] = table(kind, {f.name: given.get(f.name, _filler(f, name, length)) for f in schema})
    return Feeder(name, base_mva, name, phases=phases, **tables)


def _filler(field: Any, name: str, length: int) -> Any:
    """A column that says nothing: null where it may, else three-phase, this feeder, zero."""
    if field.name in ("phase", "feeder_id"):
        return ["ABC" if field.name == "phase" else name] * length
    return [None] * length if field.nullable else np.zeros(length)
