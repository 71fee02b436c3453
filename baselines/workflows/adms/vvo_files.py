"""Files of a Volt/VAR plan: inverters, further banks, bands of regulators; and the feeder that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .... import cases
from ....cases import CaseError
from ....cases.model.edit import replaced
from ...errors import RunError
from ...optimal.volt_var.inverters import Inverter
from ..csv_rows import CsvRows, RowChecks, read_csv_rows

FloatArray = NDArray[np.float64]

_Q_OF_S = 0.44  # category B of IEEE Std 1547-2018
_STEP_PU = 0.00625


def inverters_of(feeder: cases.Feeder, path: Path) -> tuple[list[Inverter], CsvRows]:
    """The inverters of a file. CaseError with file, line, field and expectation of what is wrong."""
    known = ("asset_id", "bus_id", "phase", "p_mw", "s_mva", "q_max_mvar")
    file = read_csv_rows(path, known, ("asset_id", "bus_id", "p_mw", "s_mva"))
    checks = RowChecks(str(path))
    found: dict[str, Inverter] = {}
    for line, row in zip(file.lines, file.rows, strict=True):
        name = row["asset_id"]
        if not name or name in found:
            checks.wrong(line, "asset_id", name, "a name, each asset once")
            continue
        if row["bus_id"] not in feeder.node_index:
            checks.wrong(line, "bus_id", row["bus_id"], "a bus of the feeder")
            continue
        p, s = checks.number(row, line, "p_mw"), checks.number(row, line, "s_mva")
        q = checks.number(row, line, "q_max_mvar", empty=_Q_OF_S * s)
        if not np.isfinite(p + s + q):
            continue
        try:
            found[name] = Inverter(name, row["bus_id"], p, s, q, row.get("phase", "").upper())
        except RunError as error:
            checks.wrong(line, "p_mw, s_mva, q_max_mvar", f"{p:g}, {s:g}, {q:g}", str(error))
    checks.raise_if_any()
    return list(found.values()), file


def with_banks(feeder: cases.Feeder, path: Path) -> tuple[cases.Feeder, CsvRows]:
    """The feeder with the banks of a file, all off. CaseError for what is wrong with a row."""
    file = read_csv_rows(path, ("cap_id", "bus_id", "q_mvar", "phase"), ("cap_id", "bus_id", "q_mvar"))
    checks = RowChecks(str(path))
    for line, row in zip(file.lines, file.rows, strict=True):
        q = checks.number(row, line, "q_mvar")
        if not np.isfinite(q) or q <= 0.0:
            checks.wrong(line, "q_mvar", row["q_mvar"], "a number of Mvar above 0")
            continue
        phase = row.get("phase", "").upper() or None
        if row["bus_id"] not in feeder.node_index:
            checks.wrong(line, "bus_id", row["bus_id"], "a bus of the feeder")
            continue
        try:
            feeder = feeder.with_new_capacitor(row["bus_id"], q, phase=phase, cap_id=row["cap_id"])
        except CaseError as error:
            first = error.problems[0]
            checks.wrong(line, first.field, first.value, first.expected)
    checks.raise_if_any()
    return feeder, file


def with_deadbands(feeder: cases.Feeder, path: Path) -> tuple[cases.Feeder, FloatArray, CsvRows]:
    """The feeder with the bands of a file in its relays, and the band of each regulator, V (NaN: none).

    CaseError for a regulator that there is not, or a band that is none.
    """
    file = read_csv_rows(path, ("reg_id", "band_v", "delay_s"), ("reg_id", "band_v"))
    names = [str(name) for name in feeder.column("regulators", "reg_id")]
    band, delay = (_numbers(feeder, name) for name in ("band_v", "delay_s"))
    checks = RowChecks(str(path))
    seen: set[str] = set()
    for line, row in zip(file.lines, file.rows, strict=True):
        name = row["reg_id"]
        if name not in names or name in seen:
            checks.wrong(line, "reg_id", name, f"each regulator once, among {', '.join(names) or 'none'}")
            continue
        seen.add(name)
        volts = checks.number(row, line, "band_v")
        if np.isfinite(volts) and not volts > 0.0:
            checks.wrong(line, "band_v", row["band_v"], "a number of volts above 0")
        band[names.index(name)] = volts
        if row.get("delay_s", ""):
            delay[names.index(name)] = checks.number(row, line, "delay_s")
    checks.raise_if_any()
    if feeder.phases == "per-phase":
        for name, values in (("band_v", band), ("delay_s", delay)):
            table = replaced(feeder.regulators, name, pa.array(values, pa.float64(), from_pandas=True))
            feeder = replace(feeder, regulators=table)
    return feeder, band, file


def bands_of(feeder: cases.Feeder) -> FloatArray:
    """(n_regulator,) bands of the relays, V; NaN where there is none."""
    return _numbers(feeder, "band_v")


def _numbers(feeder: cases.Feeder, name: str) -> FloatArray:
    return np.array(
        [np.nan if value is None else float(value) for value in feeder.regulators[name].to_pylist()]
    )


def with_substation_taps(feeder: cases.Feeder) -> cases.Feeder:
    """A tap changer at each closed branch from a source, of a balanced feeder that has none."""
    if feeder.phases != "balanced" or feeder.regulators.num_rows:
        return feeder
    sources = {str(node) for node in feeder.column("sources", "node_id")}
    columns = (feeder.column("branches", name) for name in ("branch_id", "from_node", "to_node"))
    for branch, *ends in zip(*(column.tolist() for column in columns), strict=True):
        if str(ends[0]) in sources:
            feeder = feeder.with_new_regulator(str(branch), tap_step_pu=_STEP_PU, reg_id=f"ltc_{branch}")
    return feeder


def with_load_models(feeder: cases.Feeder, shares: tuple[float, ...]) -> cases.Feeder:
    """All loads with shares of constant impedance, current and power."""
    n = feeder.loads.num_rows
    values: Mapping[str, float | None] = {
        "p_z_frac": shares[0], "p_i_frac": shares[1], "q_z_frac": shares[0], "q_i_frac": shares[1],
        "cvr_p": None, "cvr_q": None,
    }  # fmt: skip
    table = feeder.loads
    for name, value in values.items():
        table = replaced(table, name, pa.array([value] * n, pa.float64()))
    return replace(feeder, loads=table)
