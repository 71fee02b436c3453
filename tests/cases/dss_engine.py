"""The importer with forked children in place of fresh ones: hundreds of scripts in a short time."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from distgrid.cases import CaseError, Feeder, Problem
from distgrid.cases.importers.opendss.engine.process import Compiled
from distgrid.cases.importers.opendss.reader import DssOptions, DssReport, convert

from .dss_children import asked


def read_text(text: str, file: str = "script.dss", *, approximate: bool = False) -> tuple[Feeder, DssReport]:
    """Feeder and report of one script; it reads no other files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_text(text, encoding="utf-8")
        return read_path(path, approximate=approximate)


def read_path(path: Path, *, approximate: bool = False) -> tuple[Feeder, DssReport]:
    """Feeder and report of a script and the files beside it."""
    path = path.resolve()
    return converted(asked("compiled", path), path, approximate=approximate)


def converted(
    made: tuple[str, bytes] | dict[str, Any], path: Path, *, approximate: bool = False
) -> tuple[Feeder, DssReport]:
    """Feeder and report of it. CaseError where it is a refusal."""
    if isinstance(made, dict):
        raise CaseError([Problem(**made)])
    header, numbers = made
    told = Compiled(json.loads(header), np.frombuffer(numbers, dtype=np.float64))
    return convert(told, str(path), DssOptions(approximate=approximate))


def feeder_from_text(text: str, file: str = "script.dss", *, approximate: bool = False) -> Feeder:
    """Feeder of one script."""
    return read_text(text, file, approximate=approximate)[0]
