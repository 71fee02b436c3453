"""Random per-phase feeders with loops: chords between nodes that lines connect already."""

from __future__ import annotations

import numpy as np

from .phase_grids import Grid3
from .phase_kinds import random_kinds


def line_islands(grid: Grid3) -> dict[str, str]:
    """Of every node one that stands for all that lines connect it with."""
    island = {row["node_id"]: row["node_id"] for row in grid.rows["nodes"]}

    def find(node: str) -> str:
        while island[node] != node:
            node = island[node]
        return node

    banks = {unit["branch_id"] for unit in grid.rows["transformers"]}
    for row in grid.rows["branches"]:
        if row["branch_id"] not in banks and not row["open_ends"]:
            island[find(row["from_node"])] = find(row["to_node"])
    return {node: find(node) for node in island}


def meshed_kinds(seed: int, chords: int = 3) -> Grid3:
    """A feeder of `random_kinds` with further lines, of one phase to three, that close loops."""
    grid, rng = random_kinds(seed), np.random.default_rng(1000 + seed)
    island = line_islands(grid)
    phases = {row["node_id"]: row["phase"] for row in grid.rows["nodes"]}
    kv = {row["node_id"]: row["base_kv"] for row in grid.rows["nodes"]}
    pairs = [
        (a, b, shared)
        for k, a in enumerate(phases) for b in list(phases)[k + 1 :]
        if island[a] == island[b]
        and (shared := "".join(x for x in phases[a] if x in phases[b] and x in "ABC"))
    ]  # fmt: skip
    for k in rng.choice(len(pairs), min(chords, len(pairs)), replace=False):
        start, end, shared = pairs[k]
        own = "".join(x for x in shared if rng.random() < 0.7) or shared
        scale = (kv[start] / 4.16) ** 2
        grid.line(start, end, own, km=float(rng.uniform(0.3, 1.0)) * scale, branch_id=f"chord{k}")
        row = grid.rows["branches"][-1]
        row["b_us"] = [b / scale**2 for b in row["b_us"]]
    return grid
