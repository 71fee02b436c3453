"""Feeders by name or path."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import CaseError, Problem
from .importers.matpower.tables import COMPLETE
from .importers.registry import read_file
from .model.der_loads import without_der_loads
from .model.edit import nearest, replaced
from .model.feeder import Feeder
from .schema import FEEDER_PHASES
from .storage.folder import phases_of, read_folder

FEEDERS = Path(__file__).parent / "data" / "feeders"
FLEETS = Path(__file__).parent / "data" / "assets"
FLEET_FILE = "der_assets.parquet"
IMPORTED = "imported"
DER_SETS = ("synthetic", IMPORTED)


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


def load(name_or_path: str | Path, der: str | None = None) -> Feeder:
    """Load a shipped feeder by name, a file of any format that is imported, or a folder of Parquet tables.

    Files are read and not verified; `distgrid case import` solves them in the engine of their format, too.
    Shipped feeders are read once per process; feeders are immutable, so all callers share them.

    Args:
        name_or_path: a name of `names()`, or a path.
        der: "synthetic": a shipped feeder as the dataset that its synthetic fleet belongs to. "imported": the
            folder of an import with the assets that its source has, and without the constant power that
            stands for them in the loads. Nodes with an asset are of type "der", and
            `metadata["der_assets"]` is the name or path that `distgrid.cases.assets.load_assets` takes.

    Raises:
        CaseError: unknown name (with the nearest known ones), no such file, or a file that is not usable.
    """
    text = str(name_or_path)
    if der == IMPORTED:
        return _with_own_assets(Path(name_or_path))
    if der is not None:
        return _with_fleet(text, der)
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


def public_datasets() -> dict[str, bool]:
    """Shipped feeders that are public test feeders, and whether each has a synthetic fleet."""
    return {name: (FLEETS / name / FLEET_FILE).is_file() for name in names()}


def _with_own_assets(folder: Path) -> Feeder:
    """A folder of an import without the loads that stand for its assets."""
    assets = folder / FLEET_FILE
    if not assets.is_file():
        expected = f"a folder of an import with {FLEET_FILE}, as it has where its source has resources"
        raise CaseError([Problem(str(folder), None, "der", repr(IMPORTED), expected)])
    feeder = without_der_loads(load_folder(folder))
    metadata = dict(feeder.metadata) | {"der": IMPORTED, "der_assets": str(assets)}
    return dataclasses.replace(feeder, metadata=metadata)


@cache
def _with_fleet(name: str, der: str) -> Feeder:
    """A shipped feeder with the nodes of its fleet marked."""
    known = [one for one, has in public_datasets().items() if has]
    if der not in DER_SETS:
        expected = f"{', '.join(DER_SETS)}; {nearest(der, DER_SETS)}"
        raise CaseError([Problem("cases", None, "der", repr(der), expected)])
    if name not in known:
        expected = f"a shipped feeder with a {der} fleet: {', '.join(known)}"
        raise CaseError([Problem("cases", None, "name", repr(name), expected)])
    feeder = _shipped(name)
    buses = set(pq.read_table(FLEETS / name / FLEET_FILE, columns=["bus_id"]).column("bus_id").to_pylist())
    kinds = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "type"), strict=True)
    types = ["der" if node in buses and kind != "source" else kind for node, kind in kinds]
    metadata = dict(feeder.metadata) | {"der": der, "der_assets": name}
    nodes = replaced(feeder.nodes, "type", pa.array(types))
    return dataclasses.replace(feeder, nodes=nodes, metadata=metadata)


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
