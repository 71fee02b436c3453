"""OpenDSS scripts by OpenDSS's own engine: run there, read out of there, converted to tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import CaseError, Problem
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from .compiled.circuit import Reading
from .compiled.pieces import Pieces
from .engine.process import MEMORY_LIMIT_BYTES, TIME_LIMIT_S, Compiled, compile_script
from .tables import Tables


@dataclass(frozen=True)
class DssOptions:
    """How a script is read.

    Attributes:
        feeder_id: id of the feeder; the name of the circuit by default.
        root: folder that every file has to lie in; the master file's own by default.
        time_s: what the engine may take.
        memory_bytes: what it may take up.
    """

    feeder_id: str | None = None
    root: Path | None = None
    time_s: float = TIME_LIMIT_S
    memory_bytes: int = MEMORY_LIMIT_BYTES


@dataclass(frozen=True, eq=False)
class DssReport:
    """What came of a script.

    Attributes:
        converted: elements by class that are in the tables.
        ignored: what is not, by class or command.
        notes: further words about it.
        volts: voltages to ground in V that the engine finds with controls at rest, by bus and node; empty
            where it finds none.
        eliminated: nodes beyond the third that only one element touches: neutrals without a connection.
    """

    converted: dict[str, int]
    ignored: dict[str, int]
    notes: tuple[str, ...]
    volts: dict[tuple[str, int], complex] = field(repr=False)
    eliminated: frozenset[tuple[str, int]] = frozenset()


def read(path: str | Path, options: DssOptions | None = None) -> tuple[Feeder, DssReport]:
    """Run a script in the engine and convert the circuit that it compiles.

    Raises:
        CaseError: a script that cannot be run, or a circuit that the tables cannot hold; names file and line
            or element.
    """
    options = options or DssOptions()
    file = Path(path).resolve()
    root = file.parent if options.root is None else Path(options.root).resolve()
    if not file.is_relative_to(root):
        raise CaseError([Problem(str(file), None, "root", str(root), "a folder that holds the file")])
    if not file.is_file():
        raise CaseError([Problem(str(file), None, "", "", "a file that exists")])
    compiled = compile_script(file, root, time_s=options.time_s, memory_bytes=options.memory_bytes)
    return convert(compiled, str(file), options.feeder_id)


def convert(compiled: Compiled, file: str, feeder_id: str | None = None) -> tuple[Feeder, DssReport]:
    """The feeder that a compiled circuit is; see `read`."""
    reading = Reading(Pieces(compiled, file))
    parts = reading.parts()
    with np.errstate(all="ignore"):  # what is not finite is found, and named, when the feeder is checked
        feeder = with_layout(Tables(parts, file).feeder(feeder_id))
    header = compiled.header
    volts: dict[tuple[str, int], complex] = {}
    if header["converged"]:
        for name, volt in zip(header["node_names"], compiled.complex(header["volts"]).tolist(), strict=True):
            bus, _, node = name.rpartition(".")
            volts[bus, int(node)] = volt
    report = DssReport(
        {kind: count for kind, count in sorted(reading.counts.items()) if count},
        {kind: count for kind, count in sorted(reading.left_out.items()) if count},
        tuple(reading.notes), volts, reading.pieces.private,
    )  # fmt: skip
    return feeder, report
