"""The few numbers of a benchmark's JSON that the charts and the short table of the performance page show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Solve(NamedTuple):
    """One program on one feeder; `rows`: of a batch, 1 for a single power flow."""

    feeder: str
    buses: int
    phases: int
    rows: int
    solver: str
    wall_s: float  # of one power flow
    over_distgrid_solve: float | None  # the median over rounds of this time over that of "distgrid solve"


class Steps(NamedTuple):
    """Environment steps a second by the clock on the wall, one way."""

    env: str
    way: str
    num_envs: int
    steps_per_s: float


def numbers(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a report: its machine, and a row for each time or rate."""
    machine = report["machine"]
    kept = {name: machine[name] for name in ("cpu", "usable_cores", "python", "taken_at")}
    rows = _solves(report) if "batch" in report else _steps(report)
    return {"machine": kept, "rows": [row._asdict() for row in rows]}


def solves(kept: Mapping[str, Any]) -> list[Solve]:
    """Power flows, balanced and per phase."""
    return [Solve(**row) for mark in ("pf", "pf3") for row in kept[mark]["rows"]]


def steps(kept: Mapping[str, Any]) -> list[Steps]:
    """Environments, single and many."""
    return [Steps(**row) for mark in ("env", "vector") for row in kept[mark]["rows"]]


def _solves(report: Mapping[str, Any]) -> list[Solve]:
    single = report["single"]
    balanced = isinstance(single, dict)
    comparisons = [*([single] if balanced else single), *report.get("scaling", ()), *report["batch"]]
    found = []
    for comparison in comparisons:
        rows = comparison["solves_per_call"]
        for row in comparison["rows"]:
            if row["timing"] is not None:
                ratio = next(
                    (r["wall"]["median"] for r in row["ratios"] if r["of"] == "distgrid solve"), None
                )
                wall_s = row["timing"]["wall_s"]["median"] / rows
                what = comparison["feeder"], comparison["buses"], 1 if balanced else 3, rows, row["solver"]
                found.append(Solve(*what, wall_s, ratio))
    return found


def _steps(report: Mapping[str, Any]) -> list[Steps]:
    return [
        Steps(row["env"], row["way"], row.get("num_envs", 1), row["steps_per_s"]) for row in report["rows"]
    ]
