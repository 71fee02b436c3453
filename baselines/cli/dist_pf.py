"""`distgrid dist`: distribution analysis of one feeder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .dist_controls import controls

if TYPE_CHECKING:
    from rich.table import Table

    from ..workflows.dist.pf_result import PowerFlow

app = typer.Typer(
    help="Analyse a feeder: power flow, local control.", no_args_is_help=True, rich_markup_mode=None
)

NOT_CONVERGED = 3  # exit status; 0 is a usable solution, 2 wrong input


app.command("controls")(controls)


@app.command("pf")
def pf(
    feeder: Annotated[
        str, typer.Argument(help="Shipped feeder, .m or .dss file, or folder of Parquet tables.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables and run.json.", metavar="DIR")],
    method: Annotated[
        str, typer.Option(help="backward-forward, newton or fast-decoupled.")
    ] = "backward-forward",
    loops: Annotated[
        str, typer.Option(help="Branches that close loops: keep, prune (leave out) or refuse.")
    ] = "keep",
    phases: Annotated[
        str | None, typer.Option(help="balanced or per-phase; as the feeder is where left out.")
    ] = None,
    tol: Annotated[float, typer.Option(help="Largest voltage change of the last iteration, pu.")] = 1e-8,
    max_iter: Annotated[int, typer.Option(help="Iterations after which it is given up.")] = 100,
    voltage_bands: Annotated[
        bool,
        typer.Option("--voltage-bands", help="Per phase: loads outside their voltage band as in OpenDSS."),
    ] = False,
    vuf_max_pct: Annotated[float, typer.Option(help="Per phase: unbalance |V2|/|V1| allowed, %.")] = 2.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the run that the folder holds.")] = False,
) -> None:
    """Power flow of the nominal loads: buses, branches, losses and violated limits as tables.

    Exit status: 0 for a usable solution, 3 where it did not converge or a voltage is below 0.5 pu, 2 for
    wrong input.
    """
    from rich.console import Console

    from ... import cases
    from ..jobs.env_source import feeder_sha256
    from ..jobs.manifest import InputRecord
    from ..jobs.workflow_folder import COMPLETE, WorkflowFolder, describe
    from ..workflows.dist.pf import check_options, in_phases, power_flow

    check_options(method, loops, phases, vuf_max_pct)
    loaded = in_phases(cases.load(feeder), phases)
    run = describe(
        "dist pf",
        ["distgrid", "dist", "pf", feeder, "--method", method, "--loops", loops,
         *(["--phases", phases] if phases else []), "--tol", repr(tol), "--max-iter", str(max_iter),
         *(["--voltage-bands"] if voltage_bands else []), "--vuf-max-pct", repr(vuf_max_pct),
         "--out", str(out)],
        [InputRecord(name=f"feeder {loaded.name}", sha256=feeder_sha256(loaded))],
        {"method": method, "loops": loops, "phases": loaded.phases, "tol": tol, "max_iter": max_iter,
         "voltage_bands": voltage_bands, "vuf_max_pct": vuf_max_pct},
        packages=() if method == "backward-forward" else ("pandapower",),
    )  # fmt: skip
    with WorkflowFolder(out, run, fresh=fresh) as folder:
        result = power_flow(
            loaded, method=method, loops=loops, tol=tol, max_iter=max_iter, voltage_bands=voltage_bands,
            vuf_max_pct=vuf_max_pct,
        )  # fmt: skip
        run.notes = list(result.notes)
        folder.write(result.tables, _results(result), None if result.usable else result.verdict)
    console = Console()
    if not console.is_terminal:  # a pipe or a file has no width: long names must not be cut
        console.width = max(console.width, 120)
    console.print(summary_table(result))
    for note in result.notes:
        console.print(note, highlight=False, markup=False)
    if folder.complete:
        console.print(COMPLETE, style="dim", highlight=False)
    for name in (*(record.path for record in run.outputs), "run.json"):
        typer.echo(f"  {out / name}")
    typer.echo(result.verdict, err=not result.usable)
    if not result.usable:
        raise typer.Exit(NOT_CONVERGED)


def _results(result: PowerFlow) -> dict[str, bool | int | float | str | None]:
    sol = result.solution
    return {
        "converged": bool(sol.converged),
        "diverged": bool(sol.diverged),
        "collapsed": bool(sol.collapsed),
        "iterations": int(sol.iterations),
        "violations": result.violations.num_rows,
        "verdict": result.verdict,
    }


def summary_table(result: PowerFlow) -> Table:
    """Sources, load, losses, extremes and violations per feeder id and in total."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"Power flow of {escape(result.feeder.name)}" + ("" if result.usable else ": NOT A SOLUTION")
    table = Table(
        title=title, title_justify="left", title_style="bold",
        header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("Feeder", vertical="bottom", no_wrap=True)
    heads = ("Sources\nMW", "Load\nMW", "Losses\nkW", "Losses\n%", "Lowest V\npu", "at", "Highest V\npu",
             "at", "Loading\nmax %")  # fmt: skip
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    for name, row in _printed(result):
        table.add_row(
            escape(name), _number(row["p_source_mw"], 4), _number(row["p_load_mw"], 4),
            _number(None if row["p_loss_mw"] is None else 1e3 * row["p_loss_mw"], 3),
            _number(row["p_loss_pct_of_load"], 2), _number(row["v_lowest_pu"], 5),
            escape(row["v_lowest_node"] or ""), _number(row["v_highest_pu"], 5),
            escape(row["v_highest_node"] or ""), _number(row["loading_highest_pct"], 1),
        )  # fmt: skip
    kinds = result.violations["kind"].to_pylist()
    counts = [f"{kinds.count(kind)} {kind.replace('_', ' ')}" for kind in dict.fromkeys(kinds)]
    table.caption = "Violated limits: " + (", ".join(counts) or "none")
    unbalance = result.losses.to_pylist()[-1].get("vuf_highest_pct")
    if unbalance is not None:
        table.caption += f"\nUnbalance: at most {unbalance:.2f} %"
    table.caption_justify = "left"
    return table


def _printed(result: PowerFlow) -> list[tuple[str, dict[str, Any]]]:
    """The rows of the losses with their names; one feeder id alone is the total."""
    rows = result.losses.to_pylist()
    phases = [(f"phase {row['phase']}", row) for row in rows if row["scope"] == "phase"]
    feeders = [(row["feeder_id"], row) for row in rows if row["scope"] == "feeder"]
    if len(feeders) == 1:
        return [*phases, (result.feeder.feeder_id, rows[-1])]
    return [*feeders, *phases, ("total", rows[-1])]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")
