"""OpenDSS scripts by OpenDSS's own engine: run there, read out of there, converted to tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaseError, Problem
from ...model.der_loads import stamped
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from .apart import cancelling_buses, mixed_buses, with_loads_apart
from .compiled.assets import assets_of
from .compiled.circuit import Reading
from .compiled.injections import Injection
from .compiled.pieces import Pieces
from .engine.process import MEMORY_LIMIT_BYTES, TIME_LIMIT_S, Compiled, compile_script
from .parts import Shunt
from .rows import Frame
from .tables import Tables


@dataclass(frozen=True)
class DssOptions:
    """How a script is read.

    Attributes:
        feeder_id: id of the feeder; the name of the circuit by default.
        root: folder that every file has to lie in; the master file's own by default.
        approximate: whether neutral conductors that the tables cannot hold are taken as grounded.
        time_s: what the engine may take.
        memory_bytes: what it may take up.
        follow: shape that each element follows, by class and name, where series are wanted: loads of one
            point that none could hold stand at nodes of their own then, see `apart`.
    """

    feeder_id: str | None = None
    root: Path | None = None
    approximate: bool = False
    time_s: float = TIME_LIMIT_S
    memory_bytes: int = MEMORY_LIMIT_BYTES
    follow: Mapping[str, str] | None = None


@dataclass(frozen=True, eq=False)
class DssReport:
    """What came of a script.

    Attributes:
        converted: elements by class that are in the tables.
        ignored: what is not, by class or command.
        notes: further words about it.
        volts: voltages to ground in V that the engine finds with controls at rest, by bus and node; empty
            where it finds none.
        eliminated: nodes beyond the third that the tables have inside of something: neutrals without a
            connection, star points behind an impedance.
        approximated: what was reduced, in words; empty where nothing was.
        names: what the tables call the nodes that they call otherwise than the script; 0: grounded.
        loads: rows of each load, before they are converted to the base voltages of nodes.
        steady: loads that no shape moves.
        fixed_q: loads whose reactive power no shape moves.
        given: rows of what gives constant power, and how they come from its currents.
        frame: the base voltages.
        assets: rows of an asset table.
        der_loads: asset of each load that stands for one.
    """

    converted: dict[str, int]
    ignored: dict[str, int]
    notes: tuple[str, ...]
    volts: dict[tuple[str, int], complex] = field(repr=False)
    eliminated: frozenset[tuple[str, int]] = frozenset()
    approximated: str = ""
    names: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict, repr=False)
    loads: dict[str, list[Shunt]] = field(default_factory=dict, repr=False)
    steady: frozenset[str] = frozenset()
    fixed_q: frozenset[str] = frozenset()
    given: dict[str, Injection] = field(default_factory=dict, repr=False)
    frame: Frame = field(default_factory=lambda: Frame({}, {}), repr=False)
    assets: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    der_loads: Mapping[str, str] = field(default_factory=dict, repr=False)


def read(path: str | Path, options: DssOptions | None = None) -> tuple[Feeder, DssReport]:
    """Run a script in the engine and convert the circuit that it compiles.

    Raises:
        CaseError: a script that cannot be run, or a circuit that the tables cannot hold; names file and line
            or element.
    """
    options = options or DssOptions()
    return convert(run(path, options), str(Path(path).resolve()), options)


def run(path: str | Path, options: DssOptions, *, days: bool = False) -> Compiled:
    """What the engine makes of a script: its circuit, or days of it; see `read`."""
    file = Path(path).resolve()
    root = file.parent if options.root is None else Path(options.root).resolve()
    if not file.is_relative_to(root):
        raise CaseError([Problem(str(file), None, "root", str(root), "a folder that holds the file")])
    if not file.is_file():
        raise CaseError([Problem(str(file), None, "", "", "a file that exists")])
    return compile_script(file, root, time_s=options.time_s, memory_bytes=options.memory_bytes, days=days)


def _followed(reading: Reading, follow: Mapping[str, str]) -> dict[str, str]:
    """What the power of each row of the loads table follows: a shape, or the element that gives it."""
    found = {
        row.name: follow[title]
        for title, rows in reading.loads.items() if title in follow and title not in reading.steady
        for row in rows
    }  # fmt: skip
    return found | {row.name: title for title, given in reading.given.items() for row in given.rows}


def convert(compiled: Compiled, file: str, options: DssOptions | None = None) -> tuple[Feeder, DssReport]:
    """The feeder that a compiled circuit is; see `read`."""
    options = options or DssOptions()
    reading = Reading(Pieces(compiled, file), approximate=options.approximate)
    parts = reading.parts()
    if options.follow is not None:
        parts = with_loads_apart(parts, mixed_buses(parts, _followed(reading, options.follow)))
    with np.errstate(all="ignore"):  # what is not finite is found, and named, when the feeder is checked
        tables = Tables(parts, file)
        feeder = tables.feeder(options.feeder_id)
        cancelling = cancelling_buses(feeder.loads.to_pylist())
        if cancelling:
            tables = Tables(with_loads_apart(parts, cancelling), file)
            feeder = tables.feeder(options.feeder_id)
        feeder = with_layout(feeder)
    assets = assets_of(reading.resources, reading.given, lambda bus: tables.buses[bus].split)
    feeder = replace(feeder, metadata=stamped(feeder.metadata, assets.stand_for))
    report = DssReport(
        {kind: count for kind, count in sorted(reading.counts.items()) if count},
        {kind: count for kind, count in sorted(reading.left_out.items()) if count},
        (*reading.notes, *assets.notes), reading.pieces.volts, reading.pieces.private | reading.pieces.inner,
        reading.approximated,
        reading.pieces.names, reading.loads, frozenset(reading.steady), frozenset(reading.fixed_q),
        reading.given, tables.frame, assets.rows, assets.stand_for,
    )  # fmt: skip
    return feeder, report
