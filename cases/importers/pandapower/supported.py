"""What of a pandapower net no feeder can hold; each such element is named."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KEPT_PROBLEMS, CaseError, Problem

# Tables whose rows carry power in a way that the feeder's tables cannot hold.
NOT_HELD = {
    "dcline": "no DC lines",
    "line_dc": "no DC lines",
    "bus_dc": "no DC buses",
    "vsc": "no voltage source converters",
    "b2b_vsc": "no voltage source converters",
    "bi_vsc": "no voltage source converters",
    "source_dc": "no DC sources",
    "load_dc": "no DC loads",
    "svc": "no static VAR compensators",
    "ssc": "no static synchronous compensators",
    "tcsc": "no controlled series compensation",
}
# Those that a run per phase knows nothing of, or that are no part of a per-phase feeder here.
NOT_PER_PHASE = {
    "trafo3w": "no three-winding transformers, as runpp_3ph has none",
    "impedance": "no impedances between buses in a per-phase net",
    "ward": "no wards in a per-phase net",
    "xward": "no wards in a per-phase net",
    "gen": "no generators that hold a voltage in a per-phase net",
    "motor": "no motors in a per-phase net",
    "storage": "no storage in a per-phase net",
}


def rows_in_service(net: Any, table: str) -> np.ndarray:
    """(rows,) which rows of a table are in service; all where it has no such column."""
    if table not in net or not len(net[table]):
        return np.zeros(0, dtype=bool)
    frame = net[table]
    if "in_service" not in frame:
        return np.ones(len(frame), dtype=bool)
    return np.asarray(frame["in_service"].fillna(False).astype(bool))


def check_supported(net: Any, file: str, per_phase: bool) -> None:
    """CaseError that names every element that cannot be held, and a net without a source."""
    problems: list[Problem] = []
    refused = dict(NOT_HELD, **NOT_PER_PHASE) if per_phase else NOT_HELD
    for table, expected in refused.items():
        for row in np.flatnonzero(rows_in_service(net, table))[:KEPT_PROBLEMS].tolist():
            problems.append(Problem(file, None, table, str(net[table].index[row]), expected))
    sources = rows_in_service(net, "ext_grid").any()
    slack = rows_in_service(net, "gen")
    if len(slack) and "slack" in net["gen"]:
        sources |= bool((slack & np.asarray(net["gen"]["slack"].fillna(False).astype(bool))).any())
    if not sources:
        problems.append(
            Problem(file, None, "ext_grid", "", "an external grid in service, which feeds the network")
        )
    problems += _shares(net, file, per_phase)
    if problems:
        raise CaseError(problems)


def _shares(net: Any, file: str, per_phase: bool) -> list[Problem]:
    """Loads whose shares are no shares, or that depend on the voltage where runpp_3ph knows none such."""
    found = []
    load = net["load"]
    for part in ("p", "q"):
        columns = [f"const_{kind}_{part}_percent" for kind in "zi"]
        if not all(column in load for column in columns):
            continue
        z, i = (np.nan_to_num(load[column].to_numpy(float)) for column in columns)
        for row in np.flatnonzero((z + i > 100 + 1e-9) | (z < 0) | (i < 0)).tolist():
            shown = f"{z[row]:g} + {i[row]:g}"
            field = f"load {load.index[row]}: {columns[0]} + {columns[1]}"
            found.append(Problem(file, None, field, shown, "shares of at most 100 % together"))
        if per_phase:
            for row in np.flatnonzero(((z != 0) | (i != 0)) & rows_in_service(net, "load")).tolist():
                field = f"load {load.index[row]}: {columns[0]}"
                found.append(Problem(file, None, field, f"{z[row]:g}", "0, as runpp_3ph has constant power"))
    return found
