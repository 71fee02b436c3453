"""OpenDSS scripts (`.dss`) as per-phase feeders, by OpenDSS's own engine.

A script is a program: only its interpreter knows what it means. `engine` runs it in a child process, with all
that could write files, run programs, open windows or leave the folder switched off, and reads the compiled
circuit out: nodes, primitive admittances, taps, controls, loads, states of switches. `compiled` makes parts
of it, `branches`, `rows` and `tables` the tables. What the tables hold is converted exactly; what they do not
is refused, with the element. Rules that need words:

- **Ids** are the names of the script in lower case.
- **Voltages.** Loads and capacitors rated at another voltage than their node's base are converted, so that
  all powers hold at 1 pu of the node. Base voltages are the nearest of `set voltagebases`.
- **Switches** (`switch=y`, and lines that a fuse, relay, recloser or switch control opens) that are open at
  either end, and disabled ones between buses that exist, are open switches; so is a disabled line that is the
  only one to a bus with a load. Lines with a charging that are open at one end are so in the tables.
- **Parallel conductors.** One-phase lines beside each other on different phases become one branch (the ids
  joined by `+`), and one-phase transformers between the same buses one bank.
- **Three windings** are three units around a node inside the transformer (`bus~bus~bus`).
- **Nodes** are phases: those that wires join have one number, whatever the script calls them at each bus.
- **Neutrals** that hang on nothing are eliminated, an impedance between a star point and ground is one that
  the phases share; others are refused, or taken as grounded where that is asked for.
- **Generators, PV systems, storage**, and sources beside the first one of an island, are loads of constant
  power: what they give at the solution.
- **Taps, banks and switches** are where the script leaves them, its own `solve` commands included.
- **Ratings** are the `normamps` of lines, where the script gives any, and the kVA of transformers.

Whatever was left out of what has electrical meaning stands in `metadata["notes"]`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ...model.feeder import Feeder
from ...phases import PLACE
from ..reading import EngineFailedError, EngineVoltages, Reading, ReadOptions
from .compiled.transformers import INSIDE
from .reader import DssOptions, DssReport, read

SUFFIXES = (".dss",)
# pu: a voltage that is less is none; what OpenDSS leaves on buses without anything is more
_LIVE, _SENSIBLE = 1e-6, 10.0


def import_dss(path: str | Path, feeder_id: str | None = None, root: str | Path | None = None) -> Feeder:
    """Let OpenDSS run a script, and convert the circuit that it compiles.

    Args:
        path: the master file.
        feeder_id: id of the feeder; the name of the circuit by default.
        root: folder that every file has to lie in; the master file's own by default. The IEEE feeders of
            OpenDSS share a file of line codes one folder up, so they need that one.

    Raises:
        CaseError: OpenDSS is not installed, the script cannot be run, or it makes a circuit that the tables
            cannot hold; names file and line, or the element.
    """
    feeder, _ = read(path, DssOptions(feeder_id=feeder_id, root=None if root is None else Path(root)))
    return feeder


def read_file(path: str | Path, options: ReadOptions) -> Reading:
    """The same, with what became of the script's elements, and how OpenDSS solves the circuit."""
    wanted = DssOptions(feeder_id=options.feeder_id, root=options.root, approximate=options.approximate)
    feeder, report = read(path, wanted)
    return Reading(
        feeder, lambda: engine_voltages(feeder, report), converted=report.converted, ignored=report.ignored,
        approximated=report.approximated,
    )  # fmt: skip


def engine_voltages(feeder: Feeder, report: DssReport) -> EngineVoltages:
    """What OpenDSS found where the script leaves its controls, in the order of the feeder's nodes.

    Raises:
        EngineFailedError: it found no solution, or has a voltage at a node that the tables lack.
    """
    if not report.volts:
        raise EngineFailedError("; ".join(report.notes) or "OpenDSS does not solve this circuit")
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    v_pu = np.full((feeder.n_nodes, 3), np.nan, dtype=np.complex128)
    compared = np.zeros((feeder.n_nodes, 3), dtype=bool)
    left = dict(report.volts)
    sources = set(feeder.column("sources", "node_id"))
    nodes = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    for row, (bus, letters) in enumerate(nodes):
        for letter in letters if INSIDE not in bus else "":
            place = PLACE[letter]
            if bus in sources and (str(bus), place + 1) not in report.volts:
                continue  # a source of one phase is one of three in the tables
            compared[row, place] = True
            value = left.pop((str(bus), place + 1), 0j) / base[row]
            if _LIVE < abs(value) < _SENSIBLE:
                v_pu[row, place] = value
    lost = [f"{at[0]}.{at[1]}" for at, v in left.items() if abs(v) > 1.0 and at not in report.eliminated]
    if lost:
        raise EngineFailedError(f"OpenDSS has a voltage at {', '.join(lost[:5])}, which the tables lack")
    return EngineVoltages("OpenDSS", v_pu, compared)


def feeder_from_text(text: str, file: str, feeder_id: str | None = None) -> Feeder:
    """Feeder from the text of one script that reads no other files. See `import_dss`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file).name
        path.write_text(text, encoding="utf-8")
        return import_dss(path, feeder_id)
