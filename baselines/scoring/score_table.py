"""The columns of the score table, the same in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from .summary import PolicySummary


@dataclass(frozen=True)
class ScoreColumn:
    """One column: its title with the unit, the same in two short lines, how an entry is written."""

    title: str
    head: str
    text: Callable[[PolicySummary], str]
    in_report: bool = True


def _number(value: float, digits: int) -> str:
    """`value` with a minus sign that is as wide as a digit."""
    return f"{value:,.{digits}f}".replace("-", "−")


def _score(value: float | None) -> str:
    return "–" if value is None else _number(value, 3)


SCORE_COLUMNS: tuple[ScoreColumn, ...] = (
    ScoreColumn(
        "Return (mean ± std)",
        "Return\nmean ± std",
        lambda s: f"{_number(s.return_mean, 2)} ± {_number(s.return_std, 2)}",
    ),
    ScoreColumn("Normalised score", "Score\n0 to 1", lambda s: _score(s.score_mean)),
    ScoreColumn("Losses (MWh/day)", "Losses\nMWh/day", lambda s: _number(s.loss_mwh_per_day, 3)),
    ScoreColumn("Violation cost (pu/day)", "Outside\npu/day", lambda s: _number(s.violation_cost_per_day, 3)),
    ScoreColumn("Violating steps (%)", "Outside\nsteps %", lambda s: _number(s.violating_steps_pct, 1)),
    ScoreColumn("Failed power flows", "Failed\nflows", lambda s: f"{s.n_failed_power_flows:d}"),
    ScoreColumn("Steps/s", "Speed\nsteps/s", lambda s: _number(s.steps_per_s, 0), in_report=False),
)


def score_table(summary: Sequence[PolicySummary], title: str) -> Table:
    """The scores as a table for the terminal, 80 columns wide for names of usual length; the best is bold."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0),
    )
    table.add_column("Policy", no_wrap=True, vertical="bottom")
    for column in SCORE_COLUMNS:
        table.add_column(column.head, justify="right", no_wrap=True)
    best = max(s.return_mean for s in summary)
    for entry in summary:
        style = "bold" if entry.return_mean == best and len(summary) > 1 else None
        table.add_row(entry.policy, *(column.text(entry) for column in SCORE_COLUMNS), style=style)
    return table
