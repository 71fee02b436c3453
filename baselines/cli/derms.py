"""`distgrid derms`: verbs that only show something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_BESIDE = "a table of this name beside FILE"


def validate_assets(
    file: Annotated[Path, typer.Argument(help="Table of assets, Parquet or CSV, or a folder of tables.")],
    feeder: Annotated[
        str | None, typer.Option(help="Feeder, by name or path, whose buses and phases assets must have.")
    ] = None,
    cost_curves: Annotated[Path | None, typer.Option(help=f"Points of cost curves; else {_BESIDE}.")] = None,
    sessions: Annotated[Path | None, typer.Option(help=f"Cars of charging stations; else {_BESIDE}.")] = None,
    telemetry: Annotated[Path | None, typer.Option(help=f"Limits step by step; else {_BESIDE}.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="Zone of time stamps without one, as Europe/Berlin; else UTC+1.")
    ] = None,
) -> None:
    """List every cell of asset tables that is wrong (exit status 2), or say what is in them."""
    from ..workflows.derms.validation import validate_assets as validate

    report = validate(
        file, feeder=feeder, cost_curves=cost_curves, sessions=sessions, telemetry=telemetry, zone=zone
    )
    if report.problems:
        for problem in report.problems:
            typer.echo(str(problem), err=True)
        count = len(report.problems)
        typer.echo(f"distgrid: error: {file}: {count} problem{'s' if count > 1 else ''}", err=True)
        raise typer.Exit(2)
    _show(report.summary.to_pylist())


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in rows[0] if rows else ():
        table.add_column(name, justify="left" if name == "asset_type" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe or a file has no width: nothing may be cut
        console.width = max(console.width, 160)
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
