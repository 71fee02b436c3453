"""Feeders by name or path."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from .errors import CaseError, Problem
from .importers.matpower.tables import COMPLETE
from .importers.registry import read_file
from .model.edit import nearest
from .model.feeder import Feeder
from .schema import FEEDER_PHASES
from .storage.folder import phases_of, read_folder

FEEDERS = Path(__file__).parent / "data" / "feeders"


def names(phases: str | None = None) -> list[str]:
    """Names of the shipped feeders, by the numbers in them, balanced ones first.

    Args:
        phases: only those that are "balanced", or only those that are "per-phase"; None: all.
    """
    if phases not in (None, *FEEDER_PHASES):
        raise ValueError(f"phases = {phases!r}; expected {', '.join(map(repr, FEEDER_PHASES))} or None")
    kinds = _kinds()
    found = [name for name, kind in kinds.items() if phases in (None, kind)]
    return sorted(
        found, key=lambda name: (kinds[name], [int(n) for n in re.findall(r"\d+", name)] or [10**6], name)
    )


@cache
def _kinds() -> dict[str, str]:
    """Shipped feeders, and whether each is balanced or per-phase, from the headers of the files."""
    if not FEEDERS.is_dir():
        return {}
    folders = [folder for folder in FEEDERS.iterdir() if (folder / "nodes.parquet").is_file()]
    return {folder.name: phases_of(folder) for folder in folders}


def source_notes(feeder: Feeder, *, left_out: bool = False) -> str:
    """What the importer of a feeder noted of its source, as it stands in `metadata["notes"]`.

    Empty for shipped feeders, whose notes are part of the documentation. With `left_out` only what a power
    flow lacks: notes that end in `COMPLETE` are not repeated.
    """
    notes = feeder.metadata.get("notes", "")
    if "licence" in feeder.metadata and feeder.name in _kinds():
        return ""
    if not left_out:
        return notes
    return "; ".join(note for note in notes.split("; ") if not note.endswith(COMPLETE))


def load(name_or_path: str | Path) -> Feeder:
    """Load a shipped feeder by name, a file of any format that is imported, or a folder of Parquet tables.

    Files are read and not verified; `distgrid case import` solves them in the engine of their format, too.
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
        return read_file(path).feeder
    if path.suffix or len(path.parts) > 1:
        hint = nearest(path.stem, names())
        expected = f"a file or folder that exists, or the name of a shipped feeder; {hint}"
        raise CaseError([Problem(text, None, "", "", expected)])
    expected = f"the name of a shipped feeder or a path; {nearest(text, names())}"
    raise CaseError([Problem("cases", None, "name", repr(text), expected)])


@cache
def _shipped(name: str) -> Feeder:
    return load_folder(FEEDERS / name)


def load_folder(folder: Path) -> Feeder:
    """The feeder whose Parquet tables lie in a folder.

    Raises:
        CaseError: files missing, unreadable, of another version or schema, or a feeder that is not valid.
    """
    stored = read_folder(folder)
    return Feeder(**stored.header, **stored.tables, place=stored.place)
