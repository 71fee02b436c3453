"""What a feeder has no place for in a MATPOWER case: left out or filled in, and said; see `matpower`."""

from __future__ import annotations

import dataclasses

import numpy as np

from ...errors import CaseError, Problem
from . import tables as col
from .evaluator import NOTED_FIELDS, CaseData

_DC_STATUS = 2  # column of mpc.dcline


def check_dc_lines(case: CaseData) -> None:
    """CaseError where a DC line is in service: it moves power that nothing else in the tables does."""
    lines = case.fields.get("dcline")
    if not isinstance(lines, np.ndarray) or lines.shape[1] <= _DC_STATUS:
        return
    expected = (
        "0: DC lines have no model; write what its ends draw and give as loads, or take it out of service"
    )
    where = case.lines.get("dcline", ())
    problems = [
        Problem(case.file, where[row] if row < len(where) else None, "dcline status", f"{value:g}", expected)
        for row, value in enumerate(lines[:, _DC_STATUS].tolist())
        if value > 0
    ]
    if problems:
        raise CaseError(problems)


def note_fields(case: CaseData, notes: list[str]) -> None:
    """Name the fields that were read over."""
    found = [name for name in NOTED_FIELDS if name in case.assigned]
    if found:
        notes.append(
            f"fields without influence on a power flow were ignored ({', '.join(found)}): {col.COMPLETE}"
        )


def without_isolated(
    case: CaseData, bus: np.ndarray, gen: np.ndarray, branch: np.ndarray, notes: list[str]
) -> tuple[CaseData, np.ndarray, np.ndarray, np.ndarray]:
    """The case and its matrices without buses of type 4 and what is connected to them."""
    away = bus[:, col.TYPE] == col.ISOLATED
    if not away.any():
        return case, bus, gen, branch
    numbers = bus[away, col.BUS_I]
    at_gen = np.isin(gen[:, col.GEN_BUS], numbers)
    at_branch = np.isin(branch[:, col.FROM], numbers) | np.isin(branch[:, col.TO], numbers)
    shown = ", ".join(f"{number:g}" for number in numbers[:5]) + (", ..." if len(numbers) > 5 else "")
    load = bus[away][:, [col.PD, col.QD]].sum(axis=0)
    notes.append(
        f"{len(numbers)} isolated buses (type 4: {shown}) were left out with {int(at_branch.sum())} branches "
        f"and {int(at_gen.sum())} generators at them and a load of {load[0]:g} MW and {load[1]:g} Mvar"
    )
    kept = {"bus": ~away, "gen": ~at_gen, "branch": ~at_branch}
    lines = {
        name: tuple(line for line, stays in zip(part, kept[name], strict=True) if stays)
        if name in kept
        else part
        for name, part in case.lines.items()
    }
    return dataclasses.replace(case, lines=lines), bus[~away], gen[~at_gen], branch[~at_branch]


def with_base_kv(bus: np.ndarray, branch: np.ndarray, notes: list[str]) -> np.ndarray:
    """The buses with a base voltage where the file says 0: that of neighbours, else 1 kV."""
    missing = bus[:, col.KV] == 0.0
    if not missing.any():
        return bus
    bus, count = bus.copy(), int(missing.sum())
    row = {number: k for k, number in enumerate(bus[:, col.BUS_I].tolist())}
    plain = branch[(branch[:, col.TAP] == 0) & (branch[:, col.SHIFT] == 0)]
    ends = [(row.get(a, -1), row.get(b, -1)) for a, b in plain[:, [col.FROM, col.TO]].tolist()]
    neighbours: dict[int, list[int]] = {}
    for a, b in ends:
        if a >= 0 and b >= 0:
            neighbours.setdefault(a, []).append(b)
            neighbours.setdefault(b, []).append(a)
    queue = np.flatnonzero(~missing).tolist()
    for here in queue:  # grows while it is read
        for other in neighbours.get(here, ()):
            if bus[other, col.KV] == 0.0:
                bus[other, col.KV] = bus[here, col.KV]
                queue.append(other)
    alone = int((bus[:, col.KV] == 0.0).sum())
    bus[bus[:, col.KV] == 0.0, col.KV] = 1.0
    notes.append(
        f"baseKV is 0 at {count} buses: taken from neighbours at {count - alone}, 1 kV at {alone}; there, "
        "currents in kA are those of this base, voltages and powers do not depend on it"
    )
    return bus
