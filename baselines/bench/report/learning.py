"""What `distgrid bench ppo` says, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from .results import Machine, Target
from .table import new_table, targets_table


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoopRow(_Strict):
    """A loop of PPO: steps per second within it, and what its time goes into.

    The three shares are of the wall time; None where a library does not tell. `steps_per_cpu_s` counts the
    processor time of all threads: other programs disturb it less.
    """

    learner: str
    num_envs: int
    threads: int
    steps: int
    steps_per_s: float
    steps_per_cpu_s: float
    sampling: float | None
    inference: float | None
    learning: float | None


class ScoreRow(_Strict):
    """How long a training took to a normalised score on test days; evaluations are not counted."""

    learner: str
    num_envs: int
    score: float  # that was reached
    steps: int
    wall_s: float
    cpu_s: float


class PpoReport(_Strict):
    """What ``distgrid bench ppo`` measures."""

    schema_version: Literal["distgrid.bench.ppo/1"] = "distgrid.bench.ppo/1"
    quick: bool
    machine: Machine
    env: str
    loops: list[LoopRow]
    to_score: ScoreRow
    targets: list[Target]


def ppo_tables(report: PpoReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"learner": "l", "environments": "r", "threads": "r", "steps/s": "r", "steps per CPU s": "r"}
    columns |= {"sampling": "r", "inference": "r", "learning": "r"}
    table = new_table(columns, markdown=markdown)
    for r in report.loops:
        shares = ("–" if s is None else f"{s:.0%}" for s in (r.sampling, r.inference, r.learning))
        table.add_row(
            r.learner, f"{r.num_envs:,}", str(r.threads), f"{r.steps_per_s:,.0f}",
            f"{r.steps_per_cpu_s:,.0f}", *shares,
        )  # fmt: skip
    yield f"Environment steps within PPO's loop on {report.env}", table
    one = report.to_score
    columns = {"learner": "l", "environments": "r", "score": "r", "steps": "r", "wall s": "r", "CPU s": "r"}
    table = new_table(columns, markdown=markdown)
    table.add_row(
        one.learner, f"{one.num_envs:,}", f"{one.score:.3f}", f"{one.steps:,}", f"{one.wall_s:.1f}",
        f"{one.cpu_s:.1f}",
    )  # fmt: skip
    yield "To the normalised score on test days", table
    if report.targets:
        yield "Targets", targets_table(report.targets, markdown=markdown)
