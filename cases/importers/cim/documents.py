"""The objects of CIM/RDF documents (CGMES profiles): classes, attributes and references, merged by mRID.

Nothing outside of the files is read: documents with a DOCTYPE, which could name other files or grow without
bound, are refused.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from ...errors import CaseError, Problem
from ...storage.regular_files import read_regular

MAX_BYTES = 200 * 2**20
# What zipfile raises where an archive is damaged, with a cut header as with a wrong sum.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError),
    *(ValueError, LookupError, ArithmeticError),
)
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CIM = ("http://iec.ch/TC57/", "http://ucaiug.org/")


@dataclass
class Item:
    """One object, of all profiles that say something of it."""

    mrid: str
    kind: str = ""  # class; "" while only other profiles than its own are read
    values: dict[str, str] = field(default_factory=dict)  # "ACLineSegment.r" to its text
    links: dict[str, str] = field(default_factory=dict)  # "Terminal.ConductingEquipment" to an mRID
    file: str = ""


def recognises(head: bytes) -> bool:
    """Whether the first bytes are those of a CIM/RDF document or of a zip archive."""
    return head.startswith(b"PK") or b"rdf:RDF" in head or b"CIM-schema" in head or b"CIM100" in head


def read_documents(path: Path) -> dict[str, Item]:
    """All objects of an `.xml` file and its sisters of the same model, or of a `.zip` of them.

    Raises:
        CaseError: a file cannot be read, is no CIM/RDF document, or is cut off.
    """
    items: dict[str, Item] = {}
    for name, raw in _texts(path):
        _read(name, raw, items)
    if not any(item.kind for item in items.values()):
        raise CaseError([Problem(str(path), None, "", "", "a CIM/RDF document with objects")])
    return items


def _texts(path: Path) -> list[tuple[str, bytes]]:
    try:
        raw = read_regular(path, MAX_BYTES)
        if not raw.startswith(b"PK"):
            return [(str(path), raw)]
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [one for one in archive.infolist() if one.filename.lower().endswith(".xml")]
            if sum(one.file_size for one in members) > MAX_BYTES:
                expected = f"at most {MAX_BYTES} bytes when unpacked"
                raise CaseError([Problem(str(path), None, "", "", expected)])
            return [(f"{path}/{one.filename}", archive.read(one)) for one in members]
    except OSError as error:
        expected = f"a readable file ({error.strerror or error})"
        raise CaseError([Problem(str(path), None, "", "", expected)]) from error
    except CaseError:
        raise
    except _DAMAGED as error:
        raise CaseError([Problem(str(path), None, "", "", f"a whole zip archive ({error})")]) from error


def _read(name: str, raw: bytes, items: dict[str, Item]) -> None:
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise CaseError([Problem(name, None, "DOCTYPE", "", "a document without a DOCTYPE")])
    try:
        root = ElementTree.fromstring(raw)  # without DOCTYPE no entity can grow or reach out
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise CaseError([Problem(name, None, "", "", f"a whole XML document ({error})")]) from error
    if root.tag != f"{_RDF}RDF":
        raise CaseError([Problem(name, None, "", root.tag[:80], "a CIM/RDF document (rdf:RDF)")])
    # CGMES defines objects by rdf:ID and adds to them by rdf:about; documents of one part use that alone
    whole = all(element.get(f"{_RDF}ID") is None for element in root) and not any(
        element.tag.endswith("}FullModel") for element in root
    )
    for element in root:
        space, _, kind = element.tag.removeprefix("{").partition("}")
        if not space.startswith(_CIM):
            continue  # the header of the model, and what others add
        defined = element.get(f"{_RDF}about" if whole else f"{_RDF}ID")
        mrid = _mrid(defined if defined is not None else element.get(f"{_RDF}about", ""))
        if not mrid:
            raise CaseError([Problem(name, None, kind, "", "an rdf:ID or rdf:about")])
        item = items.setdefault(mrid, Item(mrid))
        if defined is not None:
            item.kind, item.file = kind, name
        for part in element:
            _add(item, part)


def _add(item: Item, part: ElementTree.Element) -> None:
    """An attribute, an enumeration or a reference of an object."""
    key = part.tag.rpartition("}")[2]
    target = part.get(f"{_RDF}resource")
    if target is None:
        item.values[key] = (part.text or "").strip()
    elif target.startswith(_CIM):
        item.values[key] = target.rpartition(".")[2]
    else:
        item.links[key] = _mrid(target)


def _mrid(text: str) -> str:
    text = text.strip().removeprefix("#")
    return f"_{text.removeprefix('urn:uuid:')}" if text.startswith("urn:uuid:") else text
