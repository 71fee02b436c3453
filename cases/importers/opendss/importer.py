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
- **Load shapes** are read when they are asked for, see `days`.
- **Generators, PV systems, storage**, and sources beside the first one of an island, are loads of constant
  power: what they give at the solution.
- **Their ratings** are rows of an asset table, see `compiled.assets`.
- **Taps, banks and switches** are where the script leaves them, its own `solve` commands included. A snapshot
  stands for a series of more than 10,000 steps, and for those that a large circuit would take minutes for.
- **Ratings** are the `normamps` of lines, where the script gives any, and the kVA of transformers.

Whatever was left out of what has electrical meaning stands in `metadata["notes"]`.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from ...model.feeder import Feeder
from ..reading import Reading, ReadOptions
from .days import days_of, profiles_of, shapes_followed
from .reader import DssOptions, read
from .voltages import engine_voltages

SUFFIXES = (".dss",)


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
    days = days_of(path, wanted) if options.apart else None
    if days is not None:
        wanted = replace(wanted, follow=shapes_followed(days))
    feeder, report = read(path, wanted)
    return Reading(
        feeder, lambda: engine_voltages(feeder, report), converted=report.converted, ignored=report.ignored,
        profiles=lambda: profiles_of(days or days_of(path, wanted), feeder, report),
        approximated=report.approximated, assets=report.assets,
    )  # fmt: skip


def read_text(text: str, file: str, options: ReadOptions | None = None) -> Reading:
    """The text of one script that reads no other files; `file` names it. Without series; see `read_file`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file).name
        path.write_text(text, encoding="utf-8")
        return replace(read_file(path, options or ReadOptions()), profiles=None)


def feeder_from_text(text: str, file: str, feeder_id: str | None = None) -> Feeder:
    """Feeder from the text of one script that reads no other files. See `import_dss`."""
    return read_text(text, file, ReadOptions(feeder_id=feeder_id)).feeder
