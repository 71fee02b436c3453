"""MATPOWER case files (version 2 of the format) as feeders.

The file's statements are computed by `meval`; what is read is what MATPOWER would load. On top of that:

- **Per-phase files.** A file whose `baseMVA` is written as `X/3` while every `baseKV` is written as
  `Y/sqrt(3)` (case533mt_*) describes one phase. It becomes the three-phase feeder: base X, kV line to line,
  and powers, shunts and ratings times 3. Impedances in per unit stay as they are.
- **Ratings.** `rateA = 0` means unlimited in MATPOWER and becomes null, never a large number.
- **Sources.** Reference buses (type 3). The voltage is `Vg` of the generator there, as in MATPOWER; without
  one in service it is the bus's `Vm`. The angle is the bus's `Va`.
- **Other generators** in service become negative loads. At a bus of type 2 they hold the voltage `Vg`, with
  limits `Qmin` and `Qmax` (infinite: none), elsewhere they inject `Pg` and `Qg`.
- **Isolated buses** (type 4) are left out, with the branches and generators at them, as MATPOWER does.
- **baseKV = 0**, which is no base for a current in kA, becomes that of the next bus along a branch without
  a ratio, or 1 kV where the file has none.
- **Other fields** have no influence on a power flow, but for DC lines: one in service is an error.
- **Shunts** (`Gs`, `Bs`) stay with their node; they are not switched.
- **Coordinates** are drawn (`layout`), as the format has none.
- **Limits** Vmin = Vmax at a load bus pin a voltage and cannot serve as limits; they are kept and noted.

Whatever was changed or dropped stands in `metadata["notes"]`.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, getincrementaldecoder
from pathlib import Path

import numpy as np

from ...errors import KEPT_PROBLEMS, CaseError, Problem
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from ...storage.regular_files import read_regular
from ..reading import EngineVoltages, Reading
from . import tables as col
from .evaluator import CaseData, read_case
from .left_out import check_dc_lines, note_fields, with_base_kv, without_isolated
from .lexer import MAX_BYTES, SourceText
from .syntax import Matrix, Num, Op

SUFFIXES = (".m", ".case")

_HELP = re.compile(r"%\w+[ \t]+(\S[^\n]*)$")
_LONGEST_TITLE = 400  # characters, its line included
_CHUNK = 2**20  # bytes that are decoded at once
_MIN_COLUMNS = {"bus": 13, "gen": 8, "branch": 11}


def import_matpower(path: str | Path, feeder_id: str | None = None) -> Feeder:
    """Read a MATPOWER case file.

    Args:
        path: the `.m` file.
        feeder_id: id of the feeder; the name of the file by default.

    Raises:
        CaseError: the file cannot be read, holds anything but case data, or is no valid feeder; names lines.
    """
    path = Path(path)
    return with_layout(_feeder(_source(path), str(path), path.stem, feeder_id))


def read_file(path: str | Path, feeder_id: str | None = None) -> Reading:
    """A file with its engine, which reads it once more; see `import_matpower`."""
    feeder = import_matpower(path, feeder_id)

    def engine() -> EngineVoltages:
        from .engine import solve_case

        node_ids = [str(node) for node in feeder.column("nodes", "node_id")]
        return solve_case(read_case(_source(Path(path)), str(path)), node_ids)

    counts = {
        "bus": feeder.n_nodes,
        "branch": feeder.n_branches,
        "load": int((feeder.column("loads", "p_mw") >= 0).sum()),
        "generator": int((feeder.column("loads", "p_mw") < 0).sum()) + feeder.sources.num_rows,
    }
    return Reading(feeder, engine, {name: count for name, count in counts.items() if count})


def feeder_from_text(text: str, file: str, name: str, feeder_id: str | None = None) -> Feeder:
    """Feeder from the text of a case file; `file` is the name that errors give. See `import_matpower`."""
    return with_layout(_feeder(SourceText(text), file, name, feeder_id))


def _source(path: Path) -> SourceText:
    """The text of a file: UTF-8 if all of it is, else Latin-1.

    It is decoded piece by piece, as text of one piece may take four times the file.
    """
    try:
        raw = read_regular(path, MAX_BYTES)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = Problem(str(path), None, "", "", f"a readable file ({reason})")
        raise CaseError([problem]) from error
    decoder = getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(raw) + 1, _CHUNK):
            decoder.decode(raw[start : start + _CHUNK], final=start + _CHUNK > len(raw))
    except UnicodeDecodeError:
        return SourceText(raw, "latin-1")
    return SourceText(raw.removeprefix(BOM_UTF8))


def _feeder(source: SourceText, file: str, name: str, feeder_id: str | None) -> Feeder:
    """Without coordinates: while they are drawn, neither the text nor the matrices need be kept."""
    case, title = read_case(source, file), _title(source)
    del source
    bus, gen, branch, base = _matrices(case)
    notes: list[str] = []
    if _per_phase(case):
        bus, gen, branch, base = bus.copy(), gen.copy(), branch.copy(), base * 3.0
        base = round(base, 9)  # 50/3*3 shall be 50
        bus[:, [col.PD, col.QD, col.GS, col.BS]] *= 3.0
        gen[:, [col.PG, col.QG, col.QMAX, col.QMIN]] *= 3.0
        branch[:, col.RATE] *= 3.0
        bus[:, col.KV] = _numerators(case, bus)
        notes.append(
            "the file is per phase (baseMVA written X/3, baseKV written Y/sqrt(3)): base, powers, shunts and "
            f"ratings were multiplied by 3 and kV taken line to line: {col.COMPLETE}"
        )
    check_dc_lines(case)
    case, bus, gen, branch = without_isolated(case, bus, gen, branch, notes)
    bus = with_base_kv(bus, branch, notes)
    note_fields(case, notes)
    matrices = col.Matrices(case, bus, gen, branch, base, notes)
    return col.Builder(matrices).build(name, feeder_id or name, title)


def _title(source: SourceText) -> str:
    """First line of the help text: `%CASE33BW  Power flow data for ...`."""
    for line in source:
        match = _HELP.match(line[:_LONGEST_TITLE])
        if match:
            return match.group(1).strip()
    return ""


def _matrices(case: CaseData) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """bus, gen and branch with enough columns of finite numbers, and baseMVA."""
    problems: list[Problem] = []
    version = case.fields.get("version")
    if version not in ("2", 2.0):
        shown = "" if version is None else repr(version)
        problems.append(Problem(case.file, None, "mpc.version", shown, "'2' (other versions are not read)"))
    base = case.fields.get("baseMVA")
    if not isinstance(base, float) or not np.isfinite(base) or base <= 0:
        shown = "" if base is None else str(base)
        problems.append(Problem(case.file, None, "mpc.baseMVA", shown, "a finite number > 0"))
    found = {}
    for name, columns in _MIN_COLUMNS.items():
        matrix = case.fields.get(name)
        if name == "branch" and isinstance(matrix, np.ndarray) and not matrix.size:
            matrix = np.zeros((0, columns))
        if not isinstance(matrix, np.ndarray) or matrix.shape[1] < columns:
            shown = f"{matrix.shape[1]} columns" if isinstance(matrix, np.ndarray) else ""
            expected = f"a matrix of at least {columns} columns"
            problems.append(Problem(case.file, None, f"mpc.{name}", shown, expected))
            continue
        found[name] = matrix
        for column, title in col.USED[name].items():
            for row in np.flatnonzero(~np.isfinite(matrix[:, column]))[:KEPT_PROBLEMS].tolist():
                shown, line = str(matrix[row, column]), case.lines[name][row]
                problems.append(Problem(case.file, line, f"{name} {title}", shown, "a finite number"))
    if problems or not isinstance(base, float):
        raise CaseError(problems)
    return found["bus"], found["gen"], found["branch"], base


def _per_phase(case: CaseData) -> bool:
    """Whether baseMVA is written `X/3` and every baseKV `Y/sqrt(3)`."""
    base, bus = case.written.get("baseMVA"), case.written.get("bus")
    if not (isinstance(base, Op) and base.op == "/" and isinstance(base.args[1], Num)):
        return False
    if base.args[1].value != 3.0 or not isinstance(bus, Matrix) or not bus.values.size:
        return False
    rows, columns = bus.values.shape
    return columns > col.KV and int((bus.roots % columns == col.KV).sum()) == rows


def _numerators(case: CaseData, bus: np.ndarray) -> np.ndarray:
    """Y of each baseKV written `Y/sqrt(3)`: exact, where multiplying by sqrt(3) would round."""
    written = case.written["bus"]
    values: np.ndarray = bus[:, col.KV] * np.sqrt(3.0)
    if isinstance(written, Matrix):
        top = written.numerators[written.roots % written.values.shape[1] == col.KV]
        if len(top) == len(values):
            # Were baseKV changed by a later statement, the product would differ and has to stand.
            exact = np.abs(top - values) < 1e-9 * np.abs(top)
            values[exact] = top[exact]
    return values
