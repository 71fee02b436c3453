"""The tables of an audit for people: on a terminal, and as Markdown for the page of an environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..jobs.job import JobOutcome

_SCORES = ("Contender", "Return", "± over days", "Violating steps, %", "Failed days", "Share of the gap")
_VERDICTS = ("Verdict", "Value", "Threshold", "", "Of what")
_SHOWN_EXTREMES = 2  # the best of them


def scores_rows(scores: pa.Table) -> list[tuple[str, ...]]:
    """One line for each contender, the best first; of the constant extremes the best ones."""
    found: list[tuple[str, ...]] = []
    extremes = 0
    for row in scores.to_pylist():
        extremes += row["kind"] == "extreme"
        if row["kind"] == "extreme" and extremes > _SHOWN_EXTREMES:
            continue
        found.append((
            row["contender"], _number(row["return_mean"]), _number(row["return_std"]),
            f"{100.0 * row['violating_share']:.1f}", f"{row['failed_days']} of {row['days']}",
            _number(row["share_of_gap"]),
        ))  # fmt: skip
    return found


def verdicts_rows(verdicts: pa.Table) -> list[tuple[str, ...]]:
    """One line for each verdict."""
    words = {True: "pass", False: "FAIL", None: "not judged"}
    return [
        (
            row["verdict"],
            _number(row["value"]),
            _number(row["threshold"]),
            words[row["passes"]],
            row["meaning"],
        )
        for row in verdicts.to_pylist()
    ]


def scores_table(scores: pa.Table, env: str) -> Any:
    """The scores for a terminal."""
    days = {(row["days"], row["reference_days"]) for row in scores.to_pylist() if row["kind"] == "rest"}
    played, judged = next(iter(days), (0, 0))
    title = f"{env}: {played} test days, shares of the gap on {judged} of them"
    return _rich(title, _SCORES, scores_rows(scores))


def verdicts_table(verdicts: pa.Table) -> Any:
    """The verdicts for a terminal."""
    return _rich("Verdicts", _VERDICTS, verdicts_rows(verdicts))


def markdown(scores: pa.Table, verdicts: pa.Table) -> str:
    """Both tables as Markdown."""
    return "\n".join(
        [*_lines(_SCORES, scores_rows(scores)), "", *_lines(_VERDICTS, verdicts_rows(verdicts)), ""]
    )


def report_json(env: str, outcome: JobOutcome, budget: Mapping[str, Any]) -> bytes:
    """Scores and verdicts with what gave them: command, seed, budget and versions."""
    run = outcome.manifest
    told = {
        "env": env, "command": run.command, "seed": run.seed, "budget": dict(budget),
        "versions": run.versions, "verdicts": outcome.tables["verdicts"].to_pylist(),
        "scores": outcome.tables["scores"].to_pylist(),
    }  # fmt: skip
    return (json.dumps(told, indent=1) + "\n").encode()


def _lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---"] + ["--:"] * (len(header) - 1)
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, rule, *rows)]
    return ["| " + " | ".join(row) + " |" for row in lines]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    digits = 2 if abs(value) >= 0.1 or value == 0.0 else 4
    return f"{value:,.{digits}f}".replace("-", "−")


def _rich(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title), title_justify="left", title_style="bold", header_style="dim",
        box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    for k, head in enumerate(header):
        table.add_column(head, justify="left" if (k in (0, 4) and header is _VERDICTS) or k == 0 else "right")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table
