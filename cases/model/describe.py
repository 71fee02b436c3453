"""A feeder in words."""

from __future__ import annotations

import textwrap

import numpy as np

from .feeder_tables import FeederTables
from .topology import Topology

WIDTH = 100


def in_words(feeder: FeederTables, topology: Topology) -> str:
    """About ten lines: size, voltages, loads, switches, ratings, topology, source and licence."""
    column = feeder.column
    levels = " / ".join(f"{kv:g}" for kv in sorted(set(column("nodes", "base_kv").tolist()), reverse=True))
    closed = int(column("branches", "status").sum())
    halves = int((column("branches", "open_ends") != "").sum())
    at_one_end = f", {halves} of them at one end only" if halves else ""
    states = f"{closed} closed{at_one_end}, {feeder.n_branches - closed} open"
    rating = column("branches", "thermal_limit_mva")
    flag = column("branches", "rating_source")
    own, made = int((flag == "source").sum()), int((flag == "synthetic").sum())
    dead = sum(not island.energised for island in topology.islands)
    p, q = column("loads", "p_mw"), column("loads", "q_mvar")
    shape = "radial" if topology.is_radial else f"meshed (loops: {len(topology.meshes)})"
    low, high = column("nodes", "v_min"), column("nodes", "v_max")
    sources = zip(column("sources", "node_id"), column("sources", "v_pu"), strict=True)
    devices = (
        f"{feeder.capacitors.num_rows} capacitor banks, {feeder.regulators.num_rows} regulators, "
        f"{feeder.transformers.num_rows} transformers, {feeder.switches.num_rows} switches"
    )
    lines = [
        f"{feeder.name}: {feeder.metadata.get('title', 'distribution feeder')}",
        f"  nodes       {feeder.n_nodes} at {levels} kV, limits {low.min():g} to {high.max():g} pu",
        f"  branches    {feeder.n_branches} ({states}), {shape}",
        f"  islands     {len(topology.islands)} ({dead} without a source)",
        f"  loads       {len(p)}, {p.sum():.4f} MW and {q.sum():.4f} Mvar in total",
        f"  devices     {devices}",
        f"  ratings     {own} from the source, {made} synthetic, {int(np.isnan(rating).sum())} without",
        "  fed by      " + ", ".join(f"node {n} at {v:g} pu" for n, v in sources),
        f"  base        {feeder.base_mva:g} MVA (three-phase)",
    ]
    if feeder.phases == "per-phase":
        places = sum(len(phase) for phase in column("nodes", "phase"))
        lines.insert(2, f"  phases      per-phase, {places} phases of nodes in all")
    for key in sorted(feeder.metadata):
        if key != "title":
            lines += textwrap.wrap(
                feeder.metadata[key], WIDTH, initial_indent=f"  {key:<11} ", subsequent_indent=" " * 14
            )
    return "\n".join(lines)
