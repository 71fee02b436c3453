"""The importers there are: how each recognises a file, reads it, and which engine verifies it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import CaseError, Problem
from .cim import importer as cim
from .matpower import importer as matpower
from .opendss import importer as opendss
from .pandapower import importer as pandapower
from .psse import importer as psse
from .reading import Reading, ReadOptions
from .several import told_apart

HEAD_BYTES = 4096  # what is looked at to tell formats of one suffix apart


@dataclass(frozen=True)
class Importer:
    """One format.

    Attributes:
        name: what `--to` and messages call it.
        title: what its files are called.
        suffixes: of its files, in lower case.
        engine: what verifies an import.
        read: reads a file; CaseError where it cannot.
        recognises: of files with one of the suffixes, by their first bytes.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    engine: str
    read: Callable[[Path, ReadOptions], Reading]
    recognises: Callable[[bytes], bool] = bool


def _matpower(path: Path, options: ReadOptions) -> Reading:
    return matpower.read_file(path, options.feeder_id)


def _opendss(path: Path, options: ReadOptions) -> Reading:
    return opendss.read_file(path, options)


def _pandapower(path: Path, options: ReadOptions) -> Reading:
    return pandapower.read_file(path, options.feeder_id, options.phases)


def _psse(path: Path, options: ReadOptions) -> Reading:
    return psse.read_file(path, options.feeder_id)


def _cim(path: Path, options: ReadOptions) -> Reading:
    return cim.read_file(path, options.feeder_id, opendss.read_text)


IMPORTERS: tuple[Importer, ...] = (
    Importer("matpower", "a MATPOWER file", matpower.SUFFIXES, "pandapower (makeYbus, newtonpf)", _matpower),
    Importer("opendss", "an OpenDSS script", opendss.SUFFIXES, "OpenDSS", _opendss),
    Importer(
        "pandapower", "a pandapower net", pandapower.SUFFIXES, "pandapower (runpp, runpp_3ph)", _pandapower
    ),
    Importer("psse", "a PSS/E RAW file", psse.SUFFIXES, "pandapower (runpp)", _psse),
    Importer("cim", "a CIM model", cim.SUFFIXES, "the voltages of its SV profile", _cim),
)


def kinds() -> str:
    """What can be read, in words."""
    return ", ".join(f"{one.title} ({', '.join(one.suffixes)})" for one in IMPORTERS)


def importer_for(path: Path) -> Importer:
    """The importer of a file.

    Raises:
        CaseError: no importer has this suffix, or none recognises the file.
    """
    suffix = path.suffix.lower()
    for_suffix = [one for one in IMPORTERS if suffix in one.suffixes]
    if len(for_suffix) == 1:
        return for_suffix[0]
    head = _head(path) if for_suffix else b""
    for one in for_suffix:
        if one.recognises(head):
            return one
    expected = f"{kinds()} or a folder of Parquet tables"
    raise CaseError([Problem(str(path), None, "", path.suffix or "no suffix", expected)])


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def read_file(path: str | Path, options: ReadOptions | None = None) -> Reading:
    """Read a file of any format; the rows of several feeders are told apart, but for a `feeder_id` for all.

    Raises:
        CaseError: no importer reads it, or what is wrong with it.
    """
    path, options = Path(path), options or ReadOptions()
    reading = importer_for(path).read(path, options)
    if options.feeder_id is not None:
        return reading
    return dataclasses.replace(reading, feeder=told_apart(reading.feeder))
