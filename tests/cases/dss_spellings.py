"""Random OpenDSS scripts in every order and spelling that the language allows, and both readers' answers to them.

Each scene is a sound feeder with one kind of object whose properties come in any order, some of them twice, over
several commands (`new`, `~`, `more`, `edit`, `class.name.property=`), beside copies made by `like`, codes that change
after their use, and switching commands.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distgrid import physics
from distgrid.cases import CaseError, Feeder, import_dss

HEAD = (
    "clear\n"
    "new circuit.t basekv=12.47 pu=1.02 mvasc3=200 mvasc1=180 bus1=src\n"
    "new line.l1 bus1=src bus2=b r1=0.3 x1=0.6 r0=0.8 x0=1.8 c1=10 c0=5 length=2 units=km\n"
    "new load.a bus1=b kv=12.47 kw=900 kvar=300\n"
)
TAIL = "set voltagebases=[12.47 4.16 .48 .208]\ncalcvoltagebases\n"
Volts = dict[tuple[str, int], complex]


class Verdict(NamedTuple):
    """What both readers make of a script: what is wrong with ours, or the empty text."""

    wrong: str
    refused: str


# -- the engine ------------------------------------------------------------------------------------------------


def engine_volts(path: Path) -> Volts | str:
    """Voltages to ground in V by (bus, node) with the controls off, or the engine's error."""
    from dss import DSSException, dss

    dss.AllowForms = False
    try:
        for line in (
            "clear",
            "set defaultbasefrequency=60",
            f'redirect "{path}"',
            "batchedit load..* vminpu=0.01 vmaxpu=9",
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


def our_volts(feeder: Feeder) -> Volts:
    """The same from the tables by this package's power flow; dead nodes have 0 V."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = physics.compile(feeder)
        solved = physics.solve(network, tol=1e-9)
    if not bool(np.all(solved.converged)):
        raise ValueError("not converged")
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    v = np.nan_to_num(solved.v_pu * np.exp(1j * np.deg2rad(solved.v_deg))).reshape(feeder.n_nodes, 3) * base[:, None]
    found = {}
    nodes = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    for row, (node, letters) in enumerate(nodes):
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


# -- the scripts -----------------------------------------------------------------------------------------------


def spread(rng: random.Random, name: str, parts: list[str], late: list[str]) -> Iterator[str]:
    """An object made of `parts` over several commands, and what is edited later, in one of the spellings."""
    cut = sorted(rng.sample(range(len(parts) + 1), k=min(rng.choice([0, 0, 1, 2]), len(parts) + 1)))
    pieces = [parts[a:b] for a, b in zip([0, *cut], [*cut, len(parts)], strict=True)]
    yield f"new {name} {' '.join(pieces[0])}"
    for piece in pieces[1:]:
        if piece:
            yield rng.choice(["~ ", "more "]) + " ".join(piece)
    for part in late:
        yield rng.choice([f"edit {name} {part}", f"{name}.{part}"])


def some(rng: random.Random, choices: list[str], low: int, high: int) -> list[str]:
    """A few of them in any order, sometimes one twice."""
    found = rng.sample(choices, k=min(rng.randint(low, high), len(choices)))
    if rng.random() < 0.2 and found:
        found.append(rng.choice(found))
    return found
