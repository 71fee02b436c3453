"""Small per-phase feeders written down in a test, and random ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distgrid.cases.model.feeder import Feeder
from distgrid.cases.schema import TABLES, table

LETTERS = "ABC"
OHM_PER_KM = 0.306 + 0.627j  # of a phase; between two phases:
MUTUAL_PER_KM = 0.0953 + 0.241j
US_PER_KM = (3.5, -0.8)


@dataclass
class Grid3:
    """Rows of a per-phase feeder's tables: ohm, microsiemens, MW, Mvar."""

    base_mva: float = 3.0
    name: str = "grid3"
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def node(
        self, node_id: str, phase: str = "ABC", kv: float = 4.16, g: float = 0.0, b: float = 0.0
    ) -> None:
        self.rows["nodes"].append(
            {"node_id": node_id, "phase": phase, "base_kv": kv, "shunt_g_mw": g, "shunt_b_mvar": b}
        )

    def source(
        self, node: str, v: float = 1.0, deg: float = 0.0, z: tuple[complex, complex] | None = None
    ) -> None:
        """``z``: self and mutual impedance in ohm."""
        row: dict[str, Any] = {
            "source_id": f"src{len(self.rows['sources'])}", "node_id": node, "v_pu": v, "v_deg": deg
        }  # fmt: skip
        if z is not None:
            full = np.full((3, 3), z[1]) + np.diag([z[0] - z[1]] * 3)
            row |= {"r_ohm": full.real.ravel().tolist(), "x_ohm": full.imag.ravel().tolist()}
        self.rows["sources"].append(row)

    def line(
        self, start: str, end: str, phase: str = "ABC", km: float = 1.0, kind: str = "line",
        closed: bool = True, matrix: Any = None, charging: Any = None, rating: float | None = None,
        branch_id: str | None = None, open_ends: str = "",
    ) -> None:  # fmt: skip
        """A line by length, or by its full matrices (3, 3) in ohm and microsiemens."""
        at = ["ABC12".index(letter) % 3 for letter in phase]
        z, b = np.zeros((3, 3), dtype=complex), np.zeros((3, 3))
        for j in at:
            for k in at:
                far = 1.0 + 0.1 * (j + k == 2)  # the outer phases are further apart
                z[j, k] = km * (OHM_PER_KM * (1.0 + 0.01 * j) if j == k else MUTUAL_PER_KM / far)
                b[j, k] = km * US_PER_KM[0 if j == k else 1]
        z = z if matrix is None else np.asarray(matrix, dtype=complex)
        b = b if charging is None else np.asarray(charging, dtype=float)
        self._branch(start, end, phase, kind, closed, rating, branch_id, z, b)
        self.rows["branches"][-1]["open_ends"] = open_ends

    def _branch(
        self, start: str, end: str, phase: str, kind: str, closed: bool, rating: float | None,
        branch_id: str | None, z: Any = None, b: Any = None,
    ) -> None:  # fmt: skip
        row = {
            "branch_id": branch_id or f"{start}-{end}", "from_node": start, "to_node": end, "type": kind,
            "phase": phase, "r": 0.01, "x": 0.01, "b": 0.0, "tap": 1.0, "shift_deg": 0.0, "status": closed,
            "thermal_limit_mva": rating, "rating_source": None if rating is None else "source",
        }  # fmt: skip
        if z is not None:
            row |= {
                "r_ohm": z.real.ravel().tolist(), "x_ohm": z.imag.ravel().tolist(), "b_us": b.ravel().tolist()
            }  # fmt: skip
        self.rows["branches"].append(row)

    def switch(self, branch_id: str) -> None:
        self.rows["switches"].append(
            {
                "switch_id": branch_id, "branch_id": branch_id, "type": "sectionaliser",
                "normally_closed": True,
            }
        )  # fmt: skip

    def bank(
        self, start: str, end: str, units: list[dict[str, Any]], phase: str = "ABC",
        kind: str = "transformer", jumper: dict[str, complex] | None = None, rating: float | None = None,
        branch_id: str | None = None,
    ) -> None:  # fmt: skip
        """A bank of units; what a unit does not say is an ordinary 500 kVA one between 4.16 kV windings."""
        z = None
        if jumper is not None:
            z = np.zeros((3, 3), dtype=complex)
            for letter, value in jumper.items():
                z[LETTERS.index(letter), LETTERS.index(letter)] = value
        branch = branch_id or f"{start}-{end}"
        zero = np.zeros((3, 3))
        self._branch(start, end, phase, kind, True, rating, branch, z, None if z is None else zero)
        for unit in units:
            row: dict[str, Any] = {
                "transformer_id": f"t{len(self.rows['transformers'])}", "branch_id": branch, "s_mva": 0.5,
                "hv_kv": 4.16, "lv_kv": 4.16, "connection": "wye-wye", "from_phase": "ABC", "to_phase": "ABC",
                "r_pct": 1.1, "x_pct": 4.0, "tap_from": 1.0, "tap_to": 1.0, "lag_deg": 0.0,
            }  # fmt: skip
            row |= unit
            taps = row.pop("taps", None)
            self.rows["transformers"].append(row)
            if taps is not None:
                self.rows["regulators"].append(
                    {
                        "reg_id": f"r{len(self.rows['regulators'])}", "branch_id": branch,
                        "phase": "".join(sorted(row["to_phase"])), "tap_pos": taps,
                        "tap_min": -16, "tap_max": 16, "tap_step_pu": 0.00625, "v_set_pu": 1.0,
                        "band_pu": 0.0167,
                        "transformer_id": row["transformer_id"],
                    }
                )  # fmt: skip

    def load(
        self, node: str, phase: str, p: float, q: float, z: float = 0.0, i: float = 0.0,
        cvr: tuple[float, float] | None = None, connection: str = "wye",
        band: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        cvr_p, cvr_q = cvr or (None, None)
        low, high = band or (None, None)
        self.rows["loads"].append(
            {
                "load_id": f"l{len(self.rows['loads'])}", "node_id": node, "phase": phase,
                "p_mw": p, "q_mvar": q, "p_z_frac": z, "p_i_frac": i, "q_z_frac": z, "q_i_frac": i,
                "cvr_p": cvr_p, "cvr_q": cvr_q,
                "connection": connection, "v_low_pu": low, "v_high_pu": high,
            }
        )  # fmt: skip

    def cap(self, node: str, phase: str, q: float, on: bool = True, connection: str = "wye") -> None:
        self.rows["capacitors"].append(
            {
                "cap_id": f"c{len(self.rows['capacitors'])}", "node_id": node, "phase": phase, "q_mvar": q,
                "status": on, "connection": connection,
            }
        )  # fmt: skip

    def feeder(self) -> Feeder:
        """The validated feeder."""
        loaded: dict[str, list[float]] = {}
        for row in self.rows["loads"]:
            total = loaded.setdefault(row["node_id"], [0.0, 0.0])
            total[0] += row["p_mw"]
            total[1] += row["q_mvar"]
        sources = {row["node_id"] for row in self.rows["sources"]}
        nodes = []
        for row in self.rows["nodes"]:
            p, q = loaded.get(row["node_id"], (0.0, 0.0))
            kind = (
                "source" if row["node_id"] in sources else "load" if row["node_id"] in loaded else "junction"
            )
            more = {"type": kind, "v_min": 0.9, "v_max": 1.1, "load_p_mw": p, "load_q_mvar": q}
            nodes.append(row | more)
        tables = {}
        for name in TABLES:
            rows = nodes if name == "nodes" else self.rows[name]
            rows = [row | {"feeder_id": self.name} for row in rows]
            keys = list(rows[0]) if rows else []
            for row in rows:
                keys += [key for key in row if key not in keys]
            tables[name] = table(name, {key: [row.get(key) for row in rows] for key in keys})
        return Feeder(self.name, self.base_mva, self.name, phases="per-phase", **tables)


def random_feeder(
    seed: int,
    n: int = 30,
    *,
    laterals: bool = True,
    delta: bool = True,
    models: bool = True,
    devices: bool = True,
) -> Grid3:
    """A random tree: three-phase trunk, laterals with the phases that are left, loads of every kind."""
    rng = np.random.default_rng(seed)
    grid = Grid3(name=f"random{seed}")
    grid.node("0")
    grid.source("0", 1.03, float(rng.uniform(-30, 30)), (0.01 + 0.05j, 0.002 + 0.01j))
    phases, kv = {"0": "ABC"}, {"0": 4.16}
    for k in range(1, n):
        name, up = str(k), str(rng.integers(max(0, k - 6), k))
        mine = phases[up]
        if laterals and k > n // 4 and rng.random() < 0.4:
            mine = "".join(sorted(rng.choice(list(mine), rng.integers(1, len(mine) + 1), replace=False)))
        phases[name], kv[name] = mine, kv[up]
        kind = rng.random()
        if devices and len(mine) == 3 and kind < 0.15:
            steps = [int(rng.integers(-8, 9)) for _ in mine]
            units = [
                {
                    "from_phase": p,
                    "to_phase": p,
                    "hv_kv": 2.4,
                    "lv_kv": 2.4,
                    "taps": t,
                    "r_pct": 0.1,
                    "x_pct": 0.5,
                }
                for p, t in zip(mine, steps, strict=True)
            ]
            if kv[up] != 4.16:
                units = [u | {"hv_kv": 0.2771, "lv_kv": 0.2771} for u in units]
            grid.node(name, mine, kv[name])
            grid.bank(up, name, units, kind="regulator", branch_id=f"e{k}")
            continue
        if devices and len(mine) == 3 and kind < 0.25 and kv[up] == 4.16:
            kv[name] = 0.48
            grid.node(name, mine, 0.48)
            connection, lag = [("wye-wye", 0.0), ("delta-wye", 30.0), ("delta-wye", -30.0)][rng.integers(3)]
            grid.bank(
                up, name, [{"connection": connection, "lag_deg": lag, "lv_kv": 0.48}], branch_id=f"e{k}"
            )
            continue
        grid.node(name, mine, kv[name])
        scale = (kv[name] / 4.16) ** 2
        grid.line(up, name, mine, km=float(rng.uniform(0.1, 0.6)) * scale, branch_id=f"e{k}")
        charging = np.array(grid.rows["branches"][-1]["b_us"])
        grid.rows["branches"][-1]["b_us"] = (charging / scale**2).tolist()
    for k in range(1, n):
        _random_load(grid, rng, str(k), phases[str(k)], delta, models)
    if devices:
        for k in rng.choice(np.arange(1, n), 3, replace=False):
            grid.cap(str(k), phases[str(k)], 0.02 * len(phases[str(k)]))
    return grid


def _random_load(
    grid: Grid3, rng: np.random.Generator, node: str, phases: str, delta: bool, models: bool
) -> None:
    kinds: list[dict[str, Any]] = [{}, {"z": 1.0}, {"i": 1.0}, {"z": 0.3, "i": 0.2}, {"cvr": (0.8, 1.7)}]
    for phase in phases:
        if rng.random() < 0.6:
            p = float(rng.uniform(0.002, 0.012))
            q = p * float(rng.uniform(0.1, 0.7))
            grid.load(node, phase, p, q, **kinds[rng.integers(5) if models else 0])
    if delta and len(phases) > 1 and rng.random() < 0.4:
        kind = kinds[rng.integers(3) if models else 0]
        grid.load(node, phases, 0.01, 0.005, connection="delta", **kind)
