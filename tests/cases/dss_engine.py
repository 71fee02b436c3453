"""The importer with forked children in place of fresh ones: hundreds of scripts in a short time."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from distgrid.cases import CaseError, Feeder, Problem
from distgrid.cases.importers.opendss.engine.process import Compiled
from distgrid.cases.importers.opendss.engine.refusal import RefusedError
from distgrid.cases.importers.opendss.engine.session import Session
from distgrid.cases.importers.opendss.reader import DssOptions, DssReport, convert

Answer = TypeVar("Answer")


class EngineDiedError(CaseError):
    """The engine ended the process that it ran in."""


def in_child(ask: Callable[[], Answer]) -> Answer:
    """What a function returns, called in a fork of this process, which an engine may take down with it.

    Raises:
        EngineDiedError: it did.
    """
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        code = 1
        try:
            with os.fdopen(into, "wb") as answer:
                pickle.dump(ask(), answer)
            code = 0
        finally:
            os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise EngineDiedError([Problem("script.dss", None, "", "", f"an engine that ends (status {status})")])
    return pickle.loads(said)  # noqa: S301  of our own fork


def read_text(text: str, file: str = "script.dss", *, approximate: bool = False) -> tuple[Feeder, DssReport]:
    """Feeder and report of one script; it reads no other files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_text(text, encoding="utf-8")
        return read_path(path, approximate=approximate)


def read_path(path: Path, *, approximate: bool = False) -> tuple[Feeder, DssReport]:
    """Feeder and report of a script and the files beside it."""
    path = path.resolve()
    return converted(in_child(lambda: compiled(path)), path, approximate=approximate)


def compiled(path: Path) -> tuple[str, bytes] | dict[str, Any]:
    """What the engine makes of a script, or the parts of a refusal; for children."""
    session = Session(path.parent)
    try:
        session.dss.Text.Command = "clear"
        session.run(path)
        header, numbers = session.read(session.solve(path))
    except RefusedError as refusal:
        return dict(refusal.parts)
    except session.error as error:
        return {"file": str(path), "row": 0, "field": "", "value": "", "expected": str(error)}
    return json.dumps(header), numbers


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
