"""OpenDSS and the importer on one script: the voltages that both make of it, and how they differ."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distgrid import physics
from distgrid.cases import CaseError, Feeder

from .dss_children import EngineDiedError, Volts, asked
from .dss_engine import read_path

_NONSENSE_PU = (10.0, 1e3)  # at a dead bus, at a live one
_VOLT = 1.0


class Verdict(NamedTuple):
    """What both readers make of a script: what is wrong with ours, or the empty text."""

    wrong: str
    refused: str


def our_volts(feeder: Feeder) -> Volts:
    """The same from the tables by this package's power flow; dead nodes have 0 V."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = physics.compile(feeder, keep_loops=True)
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
        for letter in letters:
            slot = {"A": 0, "B": 1, "C": 2, "1": 0, "2": 1}[letter]
            found[node, slot + 1] = complex(v[row, slot])
    return found


def compare(path: Path, tolerance: float = 1e-6) -> Verdict:
    """Read a script with both; anything but a refusal with a place or equal voltages is wrong."""
    try:
        feeder, report = read_path(path)
        theirs = asked("engine_volts", path)  # an engine of its own: reading leaves traces in one
    except CaseError as error:
        first = error.problems[0]
        placed = first.file.endswith(".dss")
        return Verdict("" if placed else f"no place: {error}", str(first))
    if theirs == "not converged":
        return Verdict("", theirs)
    if isinstance(theirs, str):
        return Verdict(f"OpenDSS says {theirs.splitlines()[0]}", "")
    try:
        ours = our_volts(feeder)
    except ValueError as error:
        said = any(words in str(error) for words in ("not modelled", "nothing fixes that voltage"))
        return Verdict("" if said else f"physics says {error}", str(error))
    base = {
        node: kv * 1e3 / np.sqrt(3.0)
        for node, kv in zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True)
    }
    worst, where = 0.0, ("", 0)
    told, theirs = theirs, {report.names.get(key, key): v for key, v in theirs.items()}
    sources = set(feeder.column("sources", "node_id"))  # those of one phase are three here
    ours = {key: v for key, v in ours.items() if key in theirs or key[0] not in sources}
    inner = {key for key in ours if "~" in key[0]} | report.eliminated
    for key in (theirs.keys() | ours.keys()) - inner:
        size = abs(theirs.get(key, 0j)) / base.get(key[0], 7200.0)
        induced = size < 1e-3 and not ours.get(key, 0j)  # in a dead phase by those beside it
        if induced or size > _NONSENSE_PU[bool(ours.get(key, 0j))]:
            continue  # the engine leaves anything on a bus without anything
        gap = abs(theirs.get(key, 0j) - ours.get(key, 0j)) / base.get(key[0], 7200.0)
        if not gap <= worst:
            worst, where = gap, key
    if worst <= tolerance:
        return Verdict("", "")
    if _told_otherwise(told, path, tolerance):
        return Verdict("", "OpenDSS does not say the same twice")
    return Verdict(f"{worst:.2g} pu at {where[0]}.{where[1]}", "")


def _told_otherwise(first: Volts, path: Path, tolerance: float) -> bool:
    """Whether an engine that is asked again has other voltages: what it does not set it does not know."""
    try:
        second = asked("engine_volts", path)
    except EngineDiedError:
        return True
    if isinstance(second, str):
        return True
    pairs = ((v, second.get(key, 0j)) for key, v in first.items())
    return any(not abs(v - w) <= tolerance * max(abs(v), abs(w), _VOLT) for v, w in pairs)
