"""`distgrid train-rllib`: PPO on a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_rllib(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Id such as VoltVar-33bw-v0, or a file.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for checkpoint and progress.json.")
    ],
    workers: Annotated[int, typer.Option(help="Processes that sample, each with a core of its own.")] = 2,
    envs_per_worker: Annotated[int, typer.Option(help="Rows of the vector environment of each.")] = 32,
    iterations: Annotated[int, typer.Option(help="Of an episode of every row, and learning from it.")] = 10,
    address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster: auto, or host:port; without it Ray starts on this machine."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which days to train on.")] = "train",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Train PPO of RLlib on the machines of a Ray cluster, with a vector environment in every worker.

    Needs an environment of its own, as RLlib pins another Gymnasium: make rllib.
    """
    from dataclasses import replace

    from ...envs.configuration.making import options_of_env
    from ..learned.rllib import train

    options = replace(options_of_env(env), split=split, days=None)
    train(
        options, out=out, workers=workers, envs_per_worker=envs_per_worker, iterations=iterations,
        address=address, seed=seed, show=typer.echo,
    )  # fmt: skip
    typer.echo(f"  {out / 'checkpoint'}")
    typer.echo(f"  {out / 'progress.json'}")
