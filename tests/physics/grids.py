"""Small feeders written down in a test, and random trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distgrid.cases.model.feeder import Feeder
from distgrid.cases.schema import TABLES, table


@dataclass
class Grid:
    """Rows of a feeder's tables; impedances in pu on `base_mva`, powers in MW and Mvar."""

    base_mva: float = 10.0
    name: str = "grid"
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def node(self, node_id: str, kv: float = 10.0, g: float = 0.0, b: float = 0.0) -> None:
        self.rows["nodes"].append({"node_id": node_id, "base_kv": kv, "shunt_g_mw": g, "shunt_b_mvar": b})

    def branch(
        self, start: str, end: str, r: float, x: float, b: float = 0.0, tap: float = 1.0, shift: float = 0.0,
        closed: bool = True, kind: str = "line", branch_id: str | None = None, rating: float | None = None,
    ) -> None:  # fmt: skip
        self.rows["branches"].append(
            {
                "branch_id": branch_id or f"{start}-{end}", "from_node": start, "to_node": end, "type": kind,
                "r": r, "x": x, "b": b, "tap": tap, "shift_deg": shift, "status": closed,
                "thermal_limit_mva": rating, "rating_source": None if rating is None else "source",
            }
        )  # fmt: skip

    def load(
        self, node: str, p: float, q: float, z: float | tuple[float, float] = 0.0,
        i: float | tuple[float, float] = 0.0, cvr: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        """Shares `z` and `i` for P and Q alike, or one each."""
        (p_z, q_z), (p_i, q_i) = (s if isinstance(s, tuple) else (s, s) for s in (z, i))
        cvr_p, cvr_q = cvr or (None, None)
        self.rows["loads"].append(
            {
                "load_id": f"l{len(self.rows['loads'])}", "node_id": node, "p_mw": p, "q_mvar": q,
                "p_z_frac": p_z, "p_i_frac": p_i, "q_z_frac": q_z, "q_i_frac": q_i,
                "cvr_p": cvr_p, "cvr_q": cvr_q,
            }
        )  # fmt: skip

    def generator(
        self, node: str, p: float, v: float, q_min: float | None = None, q_max: float | None = None
    ) -> None:
        """Inject `p` and hold the voltage `v` with `q_min` to `q_max`."""
        self.load(node, -p, 0.0)
        self.rows["loads"][-1] |= {"v_set_pu": v, "q_min_mvar": q_min, "q_max_mvar": q_max}

    def cap(self, node: str, q: float, on: bool = True) -> None:
        cap_id = f"c{len(self.rows['capacitors'])}"
        self.rows["capacitors"].append({"cap_id": cap_id, "node_id": node, "q_mvar": q, "status": on})

    def source(self, node: str, v: float = 1.0, deg: float = 0.0) -> None:
        source_id = f"src{len(self.rows['sources'])}"
        self.rows["sources"].append({"source_id": source_id, "node_id": node, "v_pu": v, "v_deg": deg})

    def switch(self, branch_id: str) -> None:
        row = next(b for b in self.rows["branches"] if b["branch_id"] == branch_id)
        self.rows["switches"].append(
            {
                "switch_id": f"s{branch_id}", "branch_id": branch_id,
                "type": "tie", "normally_closed": row["status"],
            }
        )  # fmt: skip

    def feeder(self) -> Feeder:
        """The feeder; loads of a node are summed, the rest of the columns gets plain values."""
        totals = {row["node_id"]: [0.0, 0.0] for row in self.rows["nodes"]}
        for load in self.rows["loads"]:
            totals[load["node_id"]][0] += load["p_mw"]
            totals[load["node_id"]][1] += load["q_mvar"]
        fixed: dict[str, Any] = {"phase": "ABC", "feeder_id": self.name, "v_min": 0.9, "v_max": 1.1}
        tables = {}
        for name, schema in TABLES.items():
            columns: dict[str, list[Any]] = {}
            for column in schema.names:
                columns[column] = [row.get(column, fixed.get(column)) for row in self.rows[name]]
            if name == "nodes":
                columns["type"] = ["junction"] * len(self.rows[name])
                columns["load_p_mw"] = [totals[row["node_id"]][0] for row in self.rows[name]]
                columns["load_q_mvar"] = [totals[row["node_id"]][1] for row in self.rows[name]]
            tables[name] = table(name, columns) if self.rows[name] else schema.empty_table()
        return Feeder(self.name, self.base_mva, self.name, **tables)

    def shuffled(self, rng: np.random.Generator) -> Grid:
        """The same grid with the rows of every table in another order."""
        rows = {name: [part[k] for k in rng.permutation(len(part))] for name, part in self.rows.items()}
        return Grid(self.base_mva, self.name, rows)


def chain(n: int, p: float = 0.1, q: float = 0.05, r: float = 0.01, x: float = 0.01, **options: Any) -> Grid:
    """Nodes n0 (source) to n{n-1} in a row, a load at each but the first."""
    grid = Grid(**options)
    for k in range(n):
        grid.node(f"n{k}")
        if k:
            grid.branch(f"n{k - 1}", f"n{k}", r, x)
            grid.load(f"n{k}", p, q)
    grid.source("n0")
    return grid


@dataclass(frozen=True)
class Features:
    """What a random tree may contain."""

    taps: bool = False
    shifts: bool = False
    charging: bool = False
    shunts: bool = False
    zips: bool = False
    exponents: bool = False
    generation: bool = False


def random_tree(seed: int, n: int, features: Features, rx: float | None = None, drop: float = 0.12) -> Grid:
    """A tree of `n` buses, rows in random order, half of the branches pointing to the source.

    R/X of each branch is `rx`, or log-uniform in [0.1, 10]. Loads are scaled so that the sum of |z||S| along
    the worst path is `drop` pu: deep enough to matter, surely solvable.
    """
    rng = np.random.default_rng(seed)
    grid = Grid(base_mva=float(rng.choice([0.1, 1.0, 10.0, 100.0])), name="random")
    names = [f"b{k}" for k in rng.permutation(10 * n)[:n]]
    parent = [int(rng.integers(max(0, k - 1 - int(rng.integers(8))), k)) if k else -1 for k in range(n)]
    ratio = np.full(n, rx) if rx is not None else 10.0 ** rng.uniform(-1, 1, n)
    size = 10.0 ** rng.uniform(-3, -1, n)
    r, x = size * ratio / np.hypot(1, ratio), size / np.hypot(1, ratio)
    s = rng.uniform(0.2, 1.0, n) * np.exp(1j * rng.uniform(0.0, 0.6, n))
    s *= rng.random(n) < 0.8
    if features.generation:
        s *= np.where(rng.random(n) < 0.3, -1.0, 1.0)
    through = np.abs(s)
    for k in range(n - 1, 0, -1):
        through[parent[k]] += through[k]
    path = np.zeros(n)
    for k in range(1, n):
        path[k] = path[parent[k]] + size[k] * through[k]
    s *= grid.base_mva * drop / (path.max() or 1.0)  # no path: all load is at the source
    for k in range(n):
        shunt = rng.uniform(-1, 1, 2) * (0.01 * grid.base_mva / n * features.shunts)
        grid.node(names[k], kv=11.0, g=abs(float(shunt[0])), b=float(shunt[1]))
        _random_load(grid, rng, names[k], s[k], features)
        if k:
            tap = float(rng.uniform(0.95, 1.05)) if features.taps and rng.random() < 0.2 else 1.0
            shift = float(rng.choice([30.0, -150.0, 7.3])) if features.shifts and rng.random() < 0.2 else 0.0
            b = float(rng.uniform(0, 0.02 / n)) if features.charging else 0.0
            up, down = names[parent[k]], names[k]
            start, end = (up, down) if rng.random() < 0.5 else (down, up)
            grid.branch(start, end, float(r[k]), float(x[k]), b, tap, shift)
    grid.source(names[0], v=float(rng.uniform(0.98, 1.05)), deg=float(rng.uniform(-20, 20)))
    return grid.shuffled(rng)


def with_parallel_branches(grid: Grid, rng: np.random.Generator, twist_deg: float = 0.0) -> Grid:
    """The grid with up to two more branches beside a third of its own.

    Either way round, some open, half of them with another ratio; with ``twist_deg`` some of another shift.
    """
    for k, row in enumerate(list(grid.rows["branches"])):
        for j in range(int(rng.integers(1, 3)) if rng.random() < 0.35 else 0):
            tap = row["tap"] * (1.0 if rng.random() < 0.5 else float(rng.uniform(0.99, 1.01)))
            shift = row["shift_deg"] + (
                float(rng.uniform(-twist_deg, twist_deg)) if rng.random() < 0.3 else 0.0
            )
            start, end = row["from_node"], row["to_node"]
            if rng.random() < 0.5:
                start, end, tap, shift = end, start, 1.0 / tap, -shift
            grid.branch(
                start, end, row["r"] * float(rng.uniform(0.5, 3)), row["x"] * float(rng.uniform(0.5, 3)),
                b=row["b"] * float(rng.uniform(0, 2)), tap=tap, shift=shift, branch_id=f"beside {k} {j}",
                closed=bool(rng.random() < 0.85), rating=1.0,
            )  # fmt: skip
    return grid.shuffled(rng)


def _random_load(grid: Grid, rng: np.random.Generator, node: str, s: complex, features: Features) -> None:
    z, i = rng.uniform(0, 0.5, 2), rng.uniform(0, 0.5, 2)
    cvr = rng.uniform(0, 3, 2)
    kind = rng.random()
    if s == 0:
        return
    if features.zips and kind < 0.4:
        grid.load(node, s.real, s.imag, tuple(z.tolist()), tuple(i.tolist()))
    elif features.exponents and kind > 0.7:
        grid.load(node, s.real, s.imag, cvr=(float(cvr[0]), float(cvr[1])))
    else:
        grid.load(node, s.real, s.imag)
