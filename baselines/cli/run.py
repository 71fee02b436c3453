"""`distgrid run`: play policies on held-out days, print the scores, write the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from ..jobs.rollout import Engine


def run(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Environment, such as VoltVar-33bw-v0.")],
    policy: Annotated[
        str, typer.Option(help="One policy, or several with commas between them.", metavar="NAME[,NAME…]")
    ],
    split: Annotated[
        str, typer.Option(help="Which days to play: train, val, test, summer-pv, winter-peak.")
    ] = "test",
    episodes: Annotated[int, typer.Option(help="Days that each policy plays, spread over the split.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, run.json and report.png; default runs/ENV.", metavar="DIR"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first episode.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the run that the folder holds.")] = False,
    engine: Annotated[str, typer.Option(help="local, or processes to use every core.")] = "local",
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")] = True,
) -> None:
    """Play policies on held-out days of an environment and score them.

    A run that was interrupted goes on where it stopped when the same command is given again.
    """
    from rich.console import Console

    from ..jobs.env_source import resolve_id
    from ..jobs.rollout import rollout
    from ..scoring.score_table import score_table

    env_id = resolve_id(env)
    short = env_id.rsplit("/", 1)[-1]
    names = [name.strip() for name in policy.split(",") if name.strip()]
    folder = Path("runs") / short if out is None else out
    command = ["distgrid", "run", short, "--policy", ",".join(names), "--split", split]
    command += ["--episodes", str(episodes), "--seed", str(seed), "--engine", engine, "--out", str(folder)]
    result = rollout(
        env_id,
        names,
        episodes,
        out=folder,
        engine=cast("Engine", engine),
        split=split,
        seed=seed,
        progress=progress,
        fresh=fresh,
        command=command,
    )
    console = Console()
    if not console.is_terminal:  # a pipe or a file has no width: long names must not be cut
        console.width = max(console.width, 120)
    console.print(score_table(result.summary, f"{short}: {episodes} days of {split}"))
    if result.skipped:
        console.print(_resumed_text(result.skipped, result.computed), style="dim", highlight=False)
    for name in [*(record.path for record in result.manifest.outputs), "run.json"]:
        typer.echo(f"  {folder / name}")


def _resumed_text(skipped: int, computed: int) -> str:
    if computed == 0:
        return "This run was complete already; nothing was played again (--fresh plays it anew)."
    return f"Resumed: {skipped} finished chunks were kept, {computed} were played now."
