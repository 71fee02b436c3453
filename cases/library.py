"""Feeders by name or path."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from .edit import nearest
from .errors import CaseError, Problem
from .feeder import Feeder
from .matpower import SUFFIXES, import_matpower
from .tables import load_folder

FEEDERS = Path(__file__).parent / "data" / "feeders"


def names() -> list[str]:
    """Names of the shipped feeders, by the numbers in them."""
    if not FEEDERS.is_dir():
        return []
    found = [folder.name for folder in FEEDERS.iterdir() if (folder / "nodes.parquet").is_file()]
    return sorted(found, key=lambda name: ([int(part) for part in re.findall(r"\d+", name)], name))


def load(name_or_path: str | Path) -> Feeder:
    """Load a shipped feeder by name, a MATPOWER file (`.m`, `.case`) or a folder of Parquet tables.

    Shipped feeders are read once per process; feeders are immutable, so all callers share them.

    Raises:
        CaseError: unknown name (with the nearest known ones), no such file, or a file that is not usable.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and text in names():
        return _shipped(text)
    path = Path(name_or_path)
    if path.is_dir() and text:
        return load_folder(path)
    if path.is_file():
        if path.suffix.lower() in SUFFIXES:
            return import_matpower(path)
        expected = f"a MATPOWER file ({', '.join(SUFFIXES)}) or a folder of Parquet tables"
        raise CaseError([Problem(text, None, "", path.suffix or "no suffix", expected)])
    if path.suffix or len(path.parts) > 1:
        hint = nearest(path.stem, names())
        expected = f"a file or folder that exists, or the name of a shipped feeder; {hint}"
        raise CaseError([Problem(text, None, "", "", expected)])
    expected = f"the name of a shipped feeder or a path; {nearest(text, names())}"
    raise CaseError([Problem("cases", None, "name", repr(text), expected)])


@cache
def _shipped(name: str) -> Feeder:
    return load_folder(FEEDERS / name)
