"""CIM models (CGMES profiles EQ, SSH, TP and SV) as balanced feeders; mRIDs are the ids of all rows.

A `.zip` of the profiles, or one `.xml` that holds them together, is read into typed objects (`models`) and
these into tables. Rules that need words:

- **Nodes** are connectivity nodes where terminals have them, else topological nodes.
- **Sources** are external network injections, energy sources, or the machine that angles count from, see
  `voltages`. Other machines inject their p and q of SSH; those under voltage control hold their voltage.
- **Transformers** of two windings: impedances of both ends in series, the ratio of rated voltages and taps at
  the from end (`endNumber` 1), the clock of the second end as shift, what the ends draw as shunts of nodes.
  Three windings are three branches, with the mRIDs of their ends, around a node with that of the transformer.
  Taps go by steps or by the table of their changer.
- **Switches** have no impedance. A terminal that is not connected opens its branch.
- **Feeders** are the objects of class Feeder that contain equipment, where there are several.
- **Refused**: phase tap changers, and equipment of classes that are not read, by name.
- **Single phases**: a model with phases of lines, loads or tanks (IEC 61968, as GridAPPS-D and CIMHub write
  it) becomes an OpenDSS script, which the importer of scripts reads, see `phases`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import CaseError, Problem
from ...model.feeder import Feeder
from ..reading import Reading
from .documents import read_documents
from .documents import recognises as recognises

SUFFIXES = (".xml", ".zip")


def import_cim(path: str | Path, feeder_id: str | None = None) -> Feeder:
    """Read a balanced CIM model.

    Raises:
        CaseError: a file cannot be read, an object lacks or breaks a field, or refers to what is absent.
    """
    return read_file(path, feeder_id).feeder


def read_file(
    path: str | Path, feeder_id: str | None = None, read_script: Callable[[str, str], Reading] | None = None
) -> Reading:
    """A CIM model with the voltages of its SV profile; see `import_cim`.

    Args:
        path: the file.
        feeder_id: id of the feeder; the name of the file by default.
        read_script: reads the text of an OpenDSS script, for models with single phases.
    """
    from .build import read  # typed models take a tenth of a second, which nobody else should wait for
    from .phases.read import read as read_phases
    from .phases.script import has_phases

    items = read_documents(Path(path))
    if not has_phases(items):
        return read(items, path, feeder_id)
    if read_script is None:
        expected = "a balanced model; distgrid.cases.load reads those with single phases"
        raise CaseError([Problem(str(path), None, "", "", expected)])
    return read_phases(items, Path(path), feeder_id, read_script)
