"""Random feeders of several islands, with closed switches: what the sweep is compared on."""

from __future__ import annotations

import numpy as np

from .grids import Features, Grid, random_tree


def random_forest(seed: int, n: int, features: Features, drop: float = 0.12) -> Grid:
    """One to three trees of `n` buses in all, each with its source, as one feeder on one base.

    Ids and rows are shuffled and half of the branches point to their source (see `random_tree`). Some buses
    hang behind a closed switch without impedance, and open ties join buses of all islands.
    """
    rng = np.random.default_rng([seed, n])
    islands = int(rng.integers(1, 1 + min(3, n // 2)))
    cuts = np.sort(2 * rng.choice(np.arange(1, max(n // 2, 2)), islands - 1, replace=False))
    sizes = np.diff(np.concatenate([[0], cuts, [n]]).astype(int))
    forest = Grid(float(rng.choice([0.1, 1.0, 10.0, 100.0])), "forest")
    for island, size in enumerate(sizes.tolist()):
        behind = int(rng.integers(0, 1 + size // 4))  # buses behind a switch
        tree = random_tree(int(rng.integers(2**32)), size - behind, features, drop=drop)
        _join(forest, tree, f"i{island} ")
    _switches(forest, rng, n)
    _ties(forest, rng)
    return forest.shuffled(rng)


def _join(forest: Grid, tree: Grid, prefix: str) -> None:
    """Add a tree, its ids behind a prefix and its powers on the base of the forest."""
    ids = ("node_id", "branch_id", "from_node", "to_node", "load_id", "source_id")
    powers = ("p_mw", "q_mvar", "shunt_g_mw", "shunt_b_mvar")
    scale = forest.base_mva / tree.base_mva
    for name, rows in tree.rows.items():
        for row in rows:
            moved = {key: prefix + value if key in ids else value for key, value in row.items()}
            moved.update({key: scale * row[key] for key in powers if key in row})
            forest.rows[name].append(moved)


def _switches(forest: Grid, rng: np.random.Generator, n: int) -> None:
    """Put switches into branches, and buses behind them, until there are `n` buses."""
    branches = forest.rows["branches"]
    for k in range(n - len(forest.rows["nodes"])):
        new = f"behind {k}"
        forest.node(new, kv=11.0)
        if not branches:
            forest.branch(forest.rows["nodes"][0]["node_id"], new, 0.0, 0.0, kind="switch", branch_id=f"s{k}")
            continue
        row = branches[int(rng.integers(len(branches)))]
        end = "from_node" if rng.random() < 0.5 else "to_node"
        there, row[end] = row[end], new
        start, stop = (there, new) if rng.random() < 0.5 else (new, there)
        forest.branch(start, stop, 0.0, 0.0, kind="switch", branch_id=f"s{k}")
        forest.switch(f"s{k}")
        for load in forest.rows["loads"]:
            if load["node_id"] == there and rng.random() < 0.5:
                load["node_id"] = new


def _ties(forest: Grid, rng: np.random.Generator) -> None:
    """Open branches between buses of any island."""
    names = [row["node_id"] for row in forest.rows["nodes"]]
    for k in range(int(rng.integers(0, 4)) if len(names) > 2 else 0):
        a, b = rng.choice(len(names), 2, replace=False)
        forest.branch(names[a], names[b], 0.01, 0.01, closed=False, branch_id=f"tie {k}")
