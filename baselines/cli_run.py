"""`distgrid run`: play policies on held-out days, print the scores, write the files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import RunError


def run(
    env: Annotated[str, typer.Argument(metavar="ENV", help='Environment, such as "VoltVar-33bw-v0".')],
    policy: Annotated[
        str, typer.Option(help="One policy, or several with commas between them.", metavar="NAME[,NAME…]")
    ],
    split: Annotated[
        str, typer.Option(help="Which days to play: train, val, test, summer-pv, winter-peak.")
    ] = "test",
    episodes: Annotated[int, typer.Option(help="Days that each policy plays, spread over the split.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the tables, run.json and report.png; default runs/<ENV>.", metavar="DIR"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first episode.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the run that the folder holds.")] = False,
    engine: Annotated[str, typer.Option(help='"local", or "processes" to use every core.')] = "local",
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")] = True,
) -> None:
    """Play policies on held-out days of an environment and score them.

    A run that was interrupted goes on where it stopped when the same command is given again.
    """
    from rich.console import Console

    from .runner import rollout
    from .scores import score_table
    from .source import resolve_id

    env_id = resolve_id(env)
    short = env_id.rsplit("/", 1)[-1]
    names = [name.strip() for name in policy.split(",") if name.strip()]
    folder = Path("runs") / short if out is None else out
    result = rollout(
        env_id,
        names,
        episodes,
        out=folder,
        engine=_engine(engine),
        split=split,
        seed=seed,
        progress=progress,
        fresh=fresh,
        command=_command(),
    )
    console = Console()
    console.print(score_table(result.summary, f"{short}, {episodes} days of {split}"))
    if result.skipped:
        console.print(_resumed_text(result.skipped, result.computed), style="dim", highlight=False)
    for record in result.manifest.outputs:
        console.print(f"  {folder / record.path}", highlight=False, soft_wrap=True)
    console.print(f"  {folder / 'run.json'}", highlight=False, soft_wrap=True)


def _engine(name: str) -> Any:
    """`name` for `rollout`, which checks it."""
    return name


def _command() -> list[str]:
    """The command line for run.json: the program without its folder."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def _resumed_text(skipped: int, computed: int) -> str:
    if computed == 0:
        return "This run was complete already; nothing was played again (--fresh plays it anew)."
    return f"Resumed: {skipped} finished chunks were kept, {computed} were played now."


__all__ = ["RunError", "run"]
