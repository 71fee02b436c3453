"""`distgrid bench`: timings of power flows and environments, beside those of other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..bench.report.marl import MarlReport
    from ..bench.report.results import (
        EnvReport,
        GradientReport,
        HostingReport,
        OpfReport,
        Pf3Report,
        PfReport,
        RolloutReport,
        VectorReport,
    )

    Report = (
        PfReport | Pf3Report | EnvReport | VectorReport | RolloutReport | GradientReport | HostingReport
        | MarlReport | OpfReport
    )  # fmt: skip

app = typer.Typer(
    help="Time power flows and environments on this machine, next to the peers that are installed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the report as JSON; - writes it to stdout, tables to stderr."
    ),
]
_Quick = Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes; no numbers to quote.")]
_Markdown = Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")]
_Seed = Annotated[int, typer.Option(help="Seed of what is drawn at random.")]


@app.command("pf")
def bench_pf(
    batch: Annotated[
        int, typer.Option(metavar="N", help="Time batches of N rows on the shipped feeders as well.")
    ] = 0,
    phases: Annotated[
        int, typer.Option(metavar="1|3", help="1: balanced feeders; 3: unbalanced ones, phase by phase.")
    ] = 1,
    json: _Json = None,
    quick: _Quick = False,
    markdown: _Markdown = False,
    seed: _Seed = 0,
) -> None:
    """One power flow, its cost as feeders grow, and batches; ratios at equal true error."""
    from .. import bench
    from ..bench.report.table import pf3_tables, pf_tables

    if phases not in (1, 3):
        raise ValueError(f"--phases must be 1 (balanced) or 3 (phase by phase), got {phases}")
    if phases == 3:
        found = bench.bench_pf3(quick=quick, batch=batch, seed=seed)
        _show(found, pf3_tables(found, markdown=markdown), json, markdown=markdown)
        return
    report = bench.bench_pf(quick=quick, batch=batch, seed=seed)
    _show(report, pf_tables(report, markdown=markdown), json, markdown=markdown)


@app.command("env")
def bench_env(
    json: _Json = None, quick: _Quick = False, markdown: _Markdown = False, seed: _Seed = 0
) -> None:
    """Steps per second of single environments, and where the time of a step goes."""
    from .. import bench
    from ..bench.report.table import env_tables

    report = bench.bench_env(quick=quick, seed=seed)
    _show(report, env_tables(report, markdown=markdown), json, markdown=markdown)


@app.command("vector")
def bench_vector(
    json: _Json = None,
    quick: _Quick = False,
    markdown: _Markdown = False,
    seed: _Seed = 0,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads of the vector environment; all cores.")
    ] = None,
) -> None:
    """Environment steps per second of whole batches on all cores, and where the time of a step goes."""
    from .. import bench
    from ..bench.report.table import vector_tables

    report = bench.bench_vector(quick=quick, seed=seed, threads=threads)
    _show(report, vector_tables(report, markdown=markdown), json, markdown=markdown)


@app.command("marl")
def bench_marl(
    json: _Json = None, quick: _Quick = False, markdown: _Markdown = False, seed: _Seed = 0
) -> None:
    """Joint steps per second of many agents on one core, and how their cost grows with their number."""
    from .. import bench
    from ..bench.report.marl import marl_tables

    report = bench.bench_marl(quick=quick, seed=seed)
    _show(report, marl_tables(report, markdown=markdown), json, markdown=markdown)


@app.command("rollout")
def bench_rollout(
    json: _Json = None, quick: _Quick = False, markdown: _Markdown = False, seed: _Seed = 0
) -> None:
    """Episodes per second of whole runs: one by one, and as the rows of a vector environment."""
    from .. import bench
    from ..bench.report.table import rollout_tables

    report = bench.bench_rollout(quick=quick, seed=seed)
    _show(report, rollout_tables(report, markdown=markdown), json, markdown=markdown)


@app.command("gradient")
def bench_gradient(
    json: _Json = None, quick: _Quick = False, markdown: _Markdown = False, seed: _Seed = 0
) -> None:
    """What a gradient by everything costs in power flows, and beside a dense Jacobian."""
    from .. import bench
    from ..bench.report.table import gradient_tables

    report = bench.bench_gradient(quick=quick, seed=seed)
    _show(report, gradient_tables(report, markdown=markdown), json, markdown=markdown)


@app.command("hosting")
def bench_hosting(json: _Json = None, quick: _Quick = False, markdown: _Markdown = False) -> None:
    """Hosting capacity of every bus as one batch, beside one bus after another."""
    from .. import bench
    from ..bench.report.table import hosting_tables

    report = bench.bench_hosting(quick=quick)
    _show(report, hosting_tables(report, markdown=markdown), json, markdown=markdown)


@app.command("opf")
def bench_opf(
    json: _Json = None, quick: _Quick = False, markdown: _Markdown = False, seed: _Seed = 0
) -> None:
    """Optimal power flow of one operating point beside its peers, and a day of storage."""
    from .. import bench
    from ..bench.report.table import opf_tables

    report = bench.bench_opf(quick=quick, seed=seed)
    _show(report, opf_tables(report, markdown=markdown), json, markdown=markdown)


def _show(report: Report, tables: Iterable[tuple[str, Table]], json: str | None, *, markdown: bool) -> None:
    from rich.console import Console

    from ..jobs.files import write_atomic

    console = Console(stderr=json == "-", highlight=False)
    if markdown or not console.is_terminal:  # a pipe or a file has no width: nothing may be cut
        console.width = 400 if markdown else max(console.width, 160)
    _print(console, report, tables, markdown=markdown)
    text = report.model_dump_json(indent=2) + "\n"
    if json == "-":
        sys.stdout.write(text)
    elif json is not None:
        from pathlib import Path

        write_atomic(Path(json), text.encode())
        console.print(f"written to {json}", markup=False, soft_wrap=True)


def _print(console: Console, report: Report, tables: Iterable[tuple[str, Table]], *, markdown: bool) -> None:
    from ..bench.report.table import machine_lines

    for line in machine_lines(report.machine, report.quick):
        console.print(line, markup=False, soft_wrap=True)
    for title, table in tables:
        console.print()
        console.print(f"**{title}**\n" if markdown else title, markup=False, soft_wrap=True)
        console.print(table)
