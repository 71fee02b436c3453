"""Write a feeder in another format, read it back, and compare both with the engine of that format."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from ....cases import CaseError, Feeder, Problem
from ....cases.exporters.registry import exporter
from ....cases.importers.reading import Reading
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
    with tempfile.TemporaryDirectory(prefix=f".{file.stem}.", dir=file.absolute().parent) as folder:
        written = Path(folder) / file.name
        one.write(feeder, written, nominal_voltages(feeder))
        reading = read_file(written)
        verify(reading)
        found = _against(feeder, reading, one.node_names(feeder))
        written.replace(file)
    return found


def _against(feeder: Feeder, reading: Reading, names: list[str]) -> Verification:
    """Compare the feeder that was written with the engine's voltages of the nodes that are its own."""
    assert reading.engine is not None, "the format of an exporter has an engine"
    theirs = reading.engine()
    at = np.array([reading.feeder.node_index[name] for name in names])
    return compare(feeder, dataclasses.replace(theirs, v_pu=theirs.v_pu[at], compared=theirs.compared[at]))
