"""The importer without its child process: hundreds of scripts in the time of one start."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from distgrid.cases import CaseError, Feeder, Problem
from distgrid.cases.importers.opendss.engine.process import Compiled
from distgrid.cases.importers.opendss.engine.refusal import RefusedError
from distgrid.cases.importers.opendss.engine.session import Session
from distgrid.cases.importers.opendss.reader import DssOptions, DssReport, convert


def read_text(text: str, file: str = "script.dss", *, approximate: bool = False) -> tuple[Feeder, DssReport]:
    """Feeder and report of one script; it reads no other files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_text(text, encoding="utf-8")
        return read_path(path, approximate=approximate)


def read_path(path: Path, *, approximate: bool = False) -> tuple[Feeder, DssReport]:
    """Feeder and report of a script and the files beside it."""
    before, path = Path.cwd(), path.resolve()
    session = Session(path.parent)
    try:
        session.dss.Text.Command = "clear"
        session.run(path)
        header, numbers = session.read(session.solve(path))
    except RefusedError as refusal:
        given: dict[str, Any] = dict(refusal.parts)
        raise CaseError([Problem(**given)]) from None
    except session.error as error:
        raise CaseError([Problem(str(path), 0, "", "", str(error))]) from None
    finally:
        os.chdir(before)
    compiled = Compiled(json.loads(json.dumps(header)), np.frombuffer(numbers, dtype=np.float64))
    return convert(compiled, str(path), DssOptions(approximate=approximate))


def feeder_from_text(text: str, file: str = "script.dss", *, approximate: bool = False) -> Feeder:
    """Feeder of one script."""
    return read_text(text, file, approximate=approximate)[0]
