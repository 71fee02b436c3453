"""OpenDSS and the importer on one script: the voltages that both make of it, and how they differ."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from distgrid import physics
from distgrid.cases import CaseError, Feeder, import_dss

Volts = dict[tuple[str, int], complex]


class Verdict(NamedTuple):
    """What both readers make of a script: what is wrong with ours, or the empty text."""

    wrong: str
    refused: str


# -- the engine ------------------------------------------------------------


def engine_volts(path: Path) -> Volts | str:
    """Voltages to ground in V by (bus, node) with the controls off, or the engine's error."""
    from dss import DSSException, dss

    dss.AllowForms = False
    try:
        for line in (
            "clear",
            "set defaultbasefrequency=60",
            f'redirect "{path}"',
            "batchedit load..* vminpu=0.01 vmaxpu=99",
            "set controlmode=off",
            "set tolerance=1e-11",
            "set maxiterations=500",
            "solve mode=snap",
        ):
            dss.Text.Command = line
        circuit = dss.ActiveCircuit
        if not circuit.Solution.Converged:
            return "not converged"
    except DSSException as error:
        return str(error)
    flat = np.asarray(circuit.AllBusVolts, dtype=float)
    names = [str(name).lower().rpartition(".") for name in circuit.AllNodeNames]
    volts = (flat[::2] + 1j * flat[1::2]).tolist()
    return {(bus, int(node)): v for (bus, _, node), v in zip(names, volts, strict=True)}


def with_stubs(feeder: Feeder) -> Feeder:
    """The same feeder, with every open end of a line at a node of its own that nothing else is at."""
    rows, nodes = feeder.branches.to_pylist(), feeder.nodes.to_pylist()
    at = {node["node_id"]: node for node in nodes}
    for row in rows:
        end = {"from": "from_node", "to": "to_node"}.get(row["open_ends"])
        if end:
            stub = {
                "node_id": f"{row['branch_id']}~",
                "type": "junction",
                "load_p_mw": 0.0,
                "load_q_mvar": 0.0,
            }
            nodes.append(at[row[end]] | stub | {"phase": row["phase"]})
            row |= {end: stub["node_id"], "open_ends": ""}
    tables = {
        name: pa.Table.from_pylist(found, schema=getattr(feeder, name).schema)
        for name, found in (("branches", rows), ("nodes", nodes))
    }
    return dataclasses.replace(feeder, **tables)


def our_volts(feeder: Feeder) -> Volts:
    """The same from the tables by this package's power flow; dead nodes have 0 V."""
    feeder = with_stubs(feeder) if (feeder.column("branches", "open_ends") != "").any() else feeder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = physics.compile(feeder)
        solved = physics.solve(network, tol=1e-9)
    if not bool(np.all(solved.converged)):
        raise ValueError("not converged")
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    v = (
        np.nan_to_num(solved.v_pu * np.exp(1j * np.deg2rad(solved.v_deg))).reshape(feeder.n_nodes, 3)
        * base[:, None]
    )
    found = {}
    nodes = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    for row, (node, letters) in enumerate(nodes):
        if node.endswith("~"):
            continue
        for letter in letters:
            slot = {"A": 0, "B": 1, "C": 2, "1": 0, "2": 1}[letter]
            found[node, slot + 1] = complex(v[row, slot])
    return found


def compare(path: Path, tolerance: float = 1e-6) -> Verdict:
    """Read a script with both; anything but a refusal with a place or equal voltages is wrong."""
    try:
        feeder = import_dss(path)
    except CaseError as error:
        first = error.problems[0]
        placed = first.file.endswith(".dss") and (first.row or 0) > 0
        return Verdict("" if placed else f"no place: {error}", str(first))
    theirs = engine_volts(path)
    if theirs == "not converged":
        return Verdict("", theirs)
    if isinstance(theirs, str):
        return Verdict(f"OpenDSS says {theirs.splitlines()[0]}", "")
    try:
        ours = our_volts(feeder)
    except ValueError as error:
        return Verdict("" if "not modelled" in str(error) else f"physics says {error}", str(error))
    base = {
        node: kv * 1e3 / np.sqrt(3.0)
        for node, kv in zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True)
    }
    worst, where = 0.0, ("", 0)
    for key in theirs.keys() | ours.keys():
        gap = abs(theirs.get(key, 0j) - ours.get(key, 0j)) / base.get(key[0], 7200.0)
        if not gap <= worst:
            worst, where = gap, key
    return Verdict(f"{worst:.2g} pu at {where[0]}.{where[1]}" if not worst <= tolerance else "", "")
