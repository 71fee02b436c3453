"""OpenDSS scripts (`.dss`) as per-phase feeders.

What the importer understands it converts exactly, as OpenDSS would have it in a snapshot at the circuit's
frequency; what it does not know, or knows to be read differently, it refuses, naming file and line. `dss_lex`
reads the language, `dss_run` runs the script (`dss_order`: what its order changes), `dss_codes`, `dss_wires`,
`dss_units`, `dss_taps`, `dss_shunts`, `dss_source` and `dss_controls` interpret the objects, `dss_grid` joins
them, `dss_tables` and `dss_rows` make the tables. Rules that need words:

- **Ids** are the names of the script in lower case.
- **Voltages.** Loads and capacitors rated at another voltage than their node's base are converted, so that
  all powers hold at 1 pu of the node. Base voltages are the nearest of `set voltagebases`.
- **Switches** (`switch=y`) opened by `open` at either end, and disabled ones between buses that exist, are
  open switches; so is a disabled line that is the only one to a bus with a load. Lines with a charging that
  are open at one end are so in the tables (`open_ends`).
- **Parallel conductors.** One-phase lines beside each other on different phases become one branch (the ids
  joined by `+`), and one-phase transformers between the same buses one bank.
- **Ratings** are the script's `normamps`, where it gives any, and the kVA of transformers.
- **Left out**, as they change nothing in a snapshot: meters, monitors, load shapes, harmonic and fault data.

Whatever was left out of what has electrical meaning stands in `metadata["notes"]`.
"""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np

from ...errors import CaseError, Problem
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from .interpreter import MAX_BYTES, Runner
from .tables import Tables

SUFFIXES = (".dss",)


def import_dss(path: str | Path, feeder_id: str | None = None, root: str | Path | None = None) -> Feeder:
    """Read an OpenDSS script and the files that it redirects to.

    Args:
        path: the master file.
        feeder_id: id of the feeder; the name of the circuit by default.
        root: folder that every file has to lie in; the master file's own by default. The IEEE feeders of
            OpenDSS share a file of line codes one folder up, so they need that one.

    Raises:
        CaseError: a file cannot be read, says something unknown, or makes no valid feeder; names lines.
    """
    path = Path(path).resolve()
    folder = path.parent if root is None else Path(root).resolve()
    if not path.is_relative_to(folder):
        raise CaseError([Problem(str(path), None, "root", str(folder), "a folder that holds the file")])
    runner = Runner(_read, folder)
    text = runner.load(path)
    runner.open_files.append(path)
    runner.run(text, str(path))
    return _feeder(runner, str(path), feeder_id)


def feeder_from_text(text: str, file: str, feeder_id: str | None = None) -> Feeder:
    """Feeder from the text of one script that reads no other files. See `import_dss`."""
    runner = Runner(_read, None)
    runner.run(text, file)
    return _feeder(runner, file, feeder_id)


def _read(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise OSError(errno.EFBIG, "too large")
    raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _feeder(runner: Runner, file: str, feeder_id: str | None) -> Feeder:
    if not runner.circuit.name:
        raise CaseError([Problem(file, None, "", "", "a circuit (new circuit.name)")])
    with np.errstate(all="ignore"):  # what is not finite is found, and named, when the feeder is checked
        return with_layout(Tables(runner.circuit, file).feeder(feeder_id))
