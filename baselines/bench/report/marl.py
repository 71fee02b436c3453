"""What `distgrid bench marl` says, and its tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from .results import Machine, Target, Timing
from .table import new_table, targets_table, timed


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MarlRow(_Strict):
    """One fleet of agents, one way of stepping it; ``timing`` is for one joint step of one environment."""

    env: str
    way: str
    agents: int
    num_envs: int
    status: str = "ok"
    timing: Timing | None = None
    joint_steps_per_s: float | None = None  # by the wall clock, median of the rounds
    joint_steps_per_cpu_s: float | None = None  # by the processor time, median of the rounds
    agent_steps_per_s: float | None = None


class MarlGrowth(_Strict):
    """How the processor time of a joint step grows with the agents of one feeder."""

    env: str
    agents: list[int]
    cpu_s: list[float]
    exponent: float  # of the time in the number of agents, least squares of logarithms


class MarlReport(_Strict):
    """What ``distgrid bench marl`` measures."""

    schema_version: Literal["distgrid.bench.marl/1"] = "distgrid.bench.marl/1"
    quick: bool
    machine: Machine
    rows: list[MarlRow]
    growth: MarlGrowth
    targets: list[Target]


def marl_tables(report: MarlReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"environment": "l", "way": "l", "agents": "r", "environments": "r"}
    columns |= {
        "joint step (quartiles)": "r",
        "joint steps/s": "r",
        "per processor second": "r",
        "agent steps/s": "r",
    }
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        told = [r.status, "-", "-", "-"]
        if r.timing is not None:
            rates = (r.joint_steps_per_s, r.joint_steps_per_cpu_s, r.agent_steps_per_s)
            told = [timed(r.timing.wall_s), *(f"{rate:,.0f}" for rate in rates)]
        table.add_row(r.env, r.way, f"{r.agents:,}", f"{r.num_envs:,}", *told)
    yield "Joint steps on one core: observations, rewards and masks of all agents included", table
    growth = report.growth
    table = new_table(
        {"environment": "l", "agents": "r", "processor time of a joint step": "r"}, markdown=markdown
    )
    for agents, seconds in zip(growth.agents, growth.cpu_s, strict=True):
        table.add_row(growth.env, f"{agents:,}", f"{1e6 * seconds:,.1f} us")
    yield f"Growth with the number of agents: exponent {growth.exponent:.2f}", table
    if report.targets:
        yield "Targets", targets_table(report.targets, markdown=markdown)
