"""Write a feeder in another format, read it back, and compare both with the engine of that format."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from ....cases import CaseError, Feeder, Problem
from ....cases.exporters.registry import exporter
from ....cases.importers.reading import EngineVoltages, Reading
from ....cases.importers.registry import read_file
from .verification import Verification, compare, nominal_voltages, verify


def export_feeder(feeder: Feeder, to: str, file: str | Path) -> Verification:
    """Write a feeder into a file of another format.

    What was written is read back, solved in the engine of its format, and compared with the feeder that it
    was written from, node by node. Only then does the file come into its place.

    Args:
        feeder: any feeder that the format can hold.
        to: name of the format, see `distgrid.cases.exporters.registry`.
        file: where to; a file that is there is replaced.

    Returns:
        The comparison of the feeder with the engine.

    Raises:
        CaseError: the format cannot hold the feeder, or the suffix is not its own.
        RunError: what was written is not the feeder.
    """
    one, file = exporter(to), Path(file)
    if file.suffix.lower() != one.suffix:
        shown = file.suffix or "no suffix"
        raise CaseError([Problem(str(file), None, "suffix", shown, f"{one.suffix}, as {to} files have")])
    ours = nominal_voltages(feeder)
    with tempfile.TemporaryDirectory(prefix=f".{file.stem}.", dir=file.absolute().parent) as folder:
        written = Path(folder) / file.name
        one.write(feeder, written, ours)
        reading = read_file(written)
        verify(reading)
        found = compare(feeder, _theirs(feeder, reading, one.node_names(feeder), ours))
        written.replace(file)
    return found


def _theirs(feeder: Feeder, reading: Reading, names: list[str], ours: np.ndarray) -> EngineVoltages:
    """The engine's voltages of the nodes that are the feeder's own, on its base voltages."""
    assert reading.engine is not None, "the format of an exporter has an engine"
    theirs = reading.engine()
    at = np.array([reading.feeder.node_index.get(name, -1) for name in names])  # -1: not in the file, dead
    base = reading.feeder.column("nodes", "base_kv")[at] / feeder.column("nodes", "base_kv")
    v, compared = theirs.v_pu[at], theirs.compared[at].copy()
    v = v * base.reshape(-1, *([1] * (v.ndim - 1)))
    v[at < 0], compared[at < 0] = np.nan, True
    if v.ndim > ours.ndim:
        v, compared = _furthest_phase(v, ours), compared.any(axis=1)
    return dataclasses.replace(theirs, v_pu=v, compared=compared | ~np.isnan(ours))


def _furthest_phase(v: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """(n_nodes,) of three phases that should be alike the one that differs most, turned to the first."""
    turned = v * np.exp(2j * np.pi / 3.0 * np.arange(3))
    away = np.abs(turned - ours[:, None])
    dead = np.isnan(turned) ^ np.isnan(ours)[:, None]
    worst = np.argmax(np.where(dead, np.inf, np.nan_to_num(away)), axis=1)
    return np.asarray(turned[np.arange(len(ours)), worst])
