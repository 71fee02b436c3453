"""`distgrid dist controls`: the taps and bank states that local control reaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ..workflows.dist.controls import Controls

NOT_SETTLED = 3  # exit status; 0 is at rest, 2 wrong input


def controls(
    feeder: Annotated[
        str, typer.Argument(help="Shipped per-phase feeder, .dss script, or folder of tables.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables and run.json.", metavar="DIR")],
    start: Annotated[str, typer.Option(help="Taps to start from: stored or neutral.")] = "stored",
    voltage_bands: Annotated[
        bool, typer.Option("--voltage-bands", help="Loads outside their voltage band as in OpenDSS.")
    ] = False,
    max_control_iter: Annotated[int, typer.Option(help="Power flows after which it is given up.")] = 100,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the run that the folder holds.")] = False,
) -> None:
    """Let regulators and capacitor banks act by their own relays until none wants to.

    Exit status: 0 at rest, 3 where the controls hunt or the power flow did not converge, 2 for wrong input.
    """
    from rich.console import Console

    from ... import cases
    from ..jobs.env_source import feeder_sha256
    from ..jobs.manifest import InputRecord
    from ..jobs.workflow_folder import COMPLETE, WorkflowFolder, describe
    from ..workflows.dist.controls import check_start, settle

    check_start(start)
    loaded = cases.load(feeder)
    run = describe(
        "dist controls",
        ["distgrid", "dist", "controls", feeder, "--start", start,
         *(["--voltage-bands"] if voltage_bands else []), "--max-control-iter", str(max_control_iter),
         "--out", str(out)],
        [InputRecord(name=f"feeder {loaded.name}", sha256=feeder_sha256(loaded))],
        {"start": start, "voltage_bands": voltage_bands, "max_control_iter": max_control_iter},
    )  # fmt: skip
    with WorkflowFolder(out, run, fresh=fresh) as folder:
        result = settle(
            loaded, start=start, voltage_bands=voltage_bands, max_control_iterations=max_control_iter
        )
        at_rest = bool(result.run.settled)
        tables = {name: getattr(result, name) for name in ("taps", "banks", "actions")}
        results: dict[str, bool | int | float | str | None] = {
            "settled": at_rest,
            "converged": bool(result.run.solution.converged),
            "iterations": int(result.run.iterations),
            "actions": len(result.run.actions),
            "verdict": result.verdict,
        }
        folder.write(tables, results, None if at_rest else result.verdict)
    console = Console()
    if not console.is_terminal:  # a pipe or a file has no width: long names must not be cut
        console.width = max(console.width, 120)
    console.print(summary_table(result))
    if folder.complete:
        console.print(COMPLETE, style="dim", highlight=False)
    for name in (*(record.path for record in run.outputs), "run.json"):
        typer.echo(f"  {out / name}")
    typer.echo(result.verdict, err=not at_rest)
    if not at_rest:
        raise typer.Exit(NOT_SETTLED)


def summary_table(result: Controls) -> Table:
    """One row per regulator; banks in the caption."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"Local control of {escape(result.feeder.name)}"
    table = Table(
        title=title + ("" if result.run.settled else ": NOT AT REST"), title_justify="left",
        title_style="bold", header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left",
    )  # fmt: skip
    table.add_column("Regulator", no_wrap=True)
    table.add_column("Phase", no_wrap=True)
    for head in ("Start", "Tap", "Relay V", "Set V", "Band V"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in result.taps.to_pylist():
        notes = [word for word in ("at_limit", "reversed") if row[word]]
        notes += [] if row["in_band"] else ["out of band"]
        volts = "–" if row["relay_v"] is None else f"{row['relay_v']:.2f}"
        table.add_row(
            escape(row["reg_id"]), row["phase"], f"{row['tap_start']:+d}", f"{row['tap_pos']:+d}", volts,
            f"{row['set_v']:.1f}", f"{row['band_v']:.1f}", ", ".join(notes).replace("_", " "),
        )  # fmt: skip
    states = [f"{escape(row['cap_id'])} {'on' if row['on'] else 'off'}" for row in result.banks.to_pylist()]
    table.caption = "Banks: " + (", ".join(states) or "none")
    return table
