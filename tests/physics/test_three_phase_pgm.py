"""Per-phase power flow against power-grid-model's asymmetric calculation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import physics

from .phase_grids import Grid3

pgm = pytest.importorskip("power_grid_model", reason="the extra `bench` brings power-grid-model")

HZ = 50.0
KINDS = {"power": 0, "impedance": 1, "current": 2}
PAIRS = ("aa", "ba", "bb", "ca", "cb", "cc")


def random_trunk(seed: int, n: int, kind: str) -> Grid3:
    """A tree of three-phase lines with full matrices and loads that differ from phase to phase."""
    rng = np.random.default_rng(seed)
    grid = Grid3()
    models: dict[str, dict[str, Any]] = {"power": {}, "impedance": {"z": 1.0}, "current": {"i": 1.0}}
    for k in range(n):
        grid.node(str(k), kv=10.0)
    grid.source("0", 1.02)
    for k in range(1, n):
        grid.line(str(rng.integers(max(0, k - 4), k)), str(k), km=float(rng.uniform(0.2, 1.0)))
        for phase in "ABC":
            if rng.random() < 0.7:
                p = float(rng.uniform(-0.02, 0.08))
                grid.load(str(k), phase, p, float(rng.uniform(0.0, 0.05)), **models[kind])
    return grid


def reference(grid: Grid3, kind: str) -> NDArray[np.complex128]:
    """(n_bus, 3) voltages in pu by power-grid-model."""
    rows = grid.rows
    node = pgm.initialize_array("input", "node", len(rows["nodes"]))
    node["id"] = np.arange(len(node))
    node["u_rated"] = [row["base_kv"] * 1e3 for row in rows["nodes"]]
    at = {row["node_id"]: k for k, row in enumerate(rows["nodes"])}
    lines = pgm.initialize_array("input", "asym_line", len(rows["branches"]))
    lines["id"] = 1000 + np.arange(len(lines))
    for line, row in zip(lines, rows["branches"], strict=True):
        line["from_node"], line["to_node"] = at[row["from_node"]], at[row["to_node"]]
        line["from_status"] = line["to_status"] = 1
        r, x, b = (np.array(row[c]).reshape(3, 3) for c in ("r_ohm", "x_ohm", "b_us"))
        for pair in PAIRS:
            j, k = ("abc".index(letter) for letter in pair)
            line[f"r_{pair}"], line[f"x_{pair}"] = r[j, k], x[j, k]
            line[f"c_{pair}"] = b[j, k] * 1e-6 / (2 * np.pi * HZ)
    nodes = sorted({row["node_id"] for row in rows["loads"]})
    load = pgm.initialize_array("input", "asym_load", len(nodes))
    load["id"] = 5000 + np.arange(len(load))
    load["node"], load["status"], load["type"] = [at[n] for n in nodes], 1, KINDS[kind]
    load["p_specified"], load["q_specified"] = 0.0, 0.0
    for row in rows["loads"]:
        k, phase = nodes.index(row["node_id"]), "ABC".index(row["phase"])
        load["p_specified"][k, phase] += row["p_mw"] * 1e6
        load["q_specified"][k, phase] += row["q_mvar"] * 1e6
    source = pgm.initialize_array("input", "source", 1)
    source["id"], source["node"], source["status"] = 9000, at[rows["sources"][0]["node_id"]], 1
    source["u_ref"], source["sk"] = rows["sources"][0]["v_pu"], 1e25
    model = pgm.PowerGridModel({"node": node, "asym_line": lines, "asym_load": load, "source": source}, HZ)
    result = model.calculate_power_flow(symmetric=False, error_tolerance=1e-12, max_iterations=200)["node"]
    return np.asarray(result["u_pu"] * np.exp(1j * result["u_angle"]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_random_unbalanced_trees(seed: int, kind: str) -> None:
    """Capability 105: mutual coupling, charging and loads per phase, to 1e-7 pu."""
    grid = random_trunk(seed, 40, kind)
    sol = physics.solve(physics.compile_per_phase(grid.feeder()), tol=1e-11)
    assert sol.converged
    assert sol.vuf_pct.max() > 0.1
    assert np.abs(sol.v - reference(grid, kind)).max() < 1e-7
