"""`distgrid case`: look at feeders and import them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ... import cases
from ...cases.importers.reading import Profiles, ReadOptions
from ..errors import RunError
from ..workflows.importing.exporting import export_feeder
from ..workflows.importing.importing import import_feeder, import_with_series
from ..workflows.importing.series import WITHOUT_DER, write_series

app = typer.Typer(help="List, show and import feeders.", no_args_is_help=True, rich_markup_mode=None)


@contextmanager
def _errors_as_text() -> Iterator[None]:
    """Turn what a user can mend into one block on stderr and the exit status 2."""
    try:
        yield
    except (cases.CaseError, RunError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'file system'}: {error.strerror or error}")


def _fail(message: str) -> None:
    Console(stderr=True).print(Panel(escape(message), title="error", title_align="left", border_style="red"))
    raise typer.Exit(2)


@app.command("list")
def list_cases(
    public: Annotated[
        bool, typer.Option("--public", help="With licence, and whether there is a synthetic fleet.")
    ] = False,
) -> None:
    """List the shipped feeders."""
    if public:
        _list_public()
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("name", no_wrap=True)
    for title in ("nodes", "open", "kV", "MW", "Mvar"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("title", overflow="fold", ratio=1)
    with _errors_as_text():
        for name in cases.names():
            feeder = cases.load(name)
            levels = sorted(set(feeder.column("nodes", "base_kv").tolist()), reverse=True)
            table.add_row(
                name,
                str(feeder.n_nodes),
                str(int((~feeder.column("branches", "status")).sum())),
                "/".join(f"{kv:g}" for kv in levels),
                f"{feeder.column('loads', 'p_mw').sum():.3f}",
                f"{feeder.column('loads', 'q_mvar').sum():.3f}",
                escape(feeder.metadata.get("title", "")),
            )
    Console().print(table)


def _list_public() -> None:
    """The feeders as public datasets: where they are from, and the synthetic fleets that belong to them."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("name", no_wrap=True)
    for title in ("phases", "synthetic DER"):
        table.add_column(title, no_wrap=True)
    table.add_column("source", overflow="fold", ratio=1)
    table.add_column("licence", overflow="fold", ratio=1)
    with _errors_as_text():
        for name, fleet in cases.public_datasets().items():
            feeder = cases.load(name)
            told = (feeder.metadata.get(key, "") for key in ("source", "licence"))
            table.add_row(name, feeder.phases, 'der="synthetic"' if fleet else "", *map(escape, told))
    Console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Shipped feeder, .m or .dss file, or folder of tables.")],
) -> None:
    """Describe one feeder: size, loads, devices, islands and loops, source and licence."""
    with _errors_as_text():
        feeder = cases.load(name)
        text, topology = feeder.describe(), feeder.topology()
    console = Console()
    console.print(escape(text), highlight=False, soft_wrap=True)
    dead = [island for island in topology.islands if not island.energised]
    if topology.loops or dead:
        table = Table("what", "number", "ids")
        for what, loops in (("loop", topology.meshes), ("parallel", topology.parallel)):
            for number, loop in enumerate(loops, 1):
                table.add_row(what, str(number), escape("branches " + ", ".join(loop)))
        for number, island in enumerate(dead, 1):
            table.add_row("island without source", str(number), escape("nodes " + ", ".join(island.nodes)))
        console.print(table)


@app.command("export")
def export_case(
    name: Annotated[str, typer.Argument(help="Shipped feeder, file, or folder of tables.")],
    file: Annotated[Path, typer.Argument(help="File to write.")],
    to: Annotated[str, typer.Option(help="Format: matpower, pandapower, cim or opendss.")],
) -> None:
    """Write a feeder in another format; what was written is read back and verified before it is kept."""
    with _errors_as_text():
        found = export_feeder(cases.load(name), to, file)
    console = Console()
    for line in (str(found), f"written to {file}"):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _written(feeder: cases.Feeder, series: Profiles, folder: Path) -> Iterator[str]:
    """Write the series of a feeder; where to, in words."""
    yield f"series written to {write_series(feeder, series, folder)}"
    if series.without_der is not None:
        path = write_series(feeder, series.without_der, folder, WITHOUT_DER)
        yield f"series without the assets written to {path}"


@app.command("import")
def import_case(
    file: Annotated[Path, typer.Argument(help="File of a format with an importer, or folder of tables.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the Parquet tables to.")],
    feeder_id: Annotated[
        str, typer.Option(help="New name of the feeder, and id of every row; by default the file's name.")
    ] = "",
    feeder_only: Annotated[str, typer.Option(help="Of several feeders, the id of the one to keep.")] = "",
    verify: Annotated[
        bool, typer.Option(help="Solve it in the engine of its format, too, and compare every node.")
    ] = True,
    phases: Annotated[
        str, typer.Option(help="balanced or per-phase, where a pandapower net can be either.")
    ] = "",
    approximate: Annotated[
        bool, typer.Option(help="Reduce what the tables cannot hold exactly, and say what that costs.")
    ] = False,
    profiles: Annotated[
        bool, typer.Option(help="Write the time series of the source, too: FOLDER.loads.parquet.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that files read by a .dss script have to lie in; by default the script's own."
        ),
    ] = None,
) -> None:
    """Import a file, verify it against its own engine, and write it as a folder of Parquet tables."""
    with _errors_as_text():
        options = ReadOptions(None, root, approximate, phases or None)
        names = {"feeder_only": feeder_only or None, "feeder_id": feeder_id or None}
        told: list[str] = []
        if profiles:
            done, series, checked = import_with_series(file, options, verified=verify, **names)
            folder = done.save(out)
            told = [*series.notes, checked, *_written(done.feeder, series, folder)]
        else:
            done = import_feeder(file, options, verified=verify, **names)
            folder = done.save(out)
    console = Console()
    for line in (done.feeder.describe(), done.counts, done.resources, f"written to {folder}", *told):
        if line:
            console.print(escape(line), highlight=False, soft_wrap=True)
