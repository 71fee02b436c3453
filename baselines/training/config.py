"""What a training is asked for, and what it is done with where nobody says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from ..errors import RunError
from ..jobs.config_fields import Positional
from ..jobs.job import JobConfig
from ..learned.learner import Settings

Algorithm = Literal["ppo", "sac", "dqn", "ippo", "mappo", "ppo-sb3"]
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
#: Those that act as many agents.
OF_AGENTS = ("ippo", "mappo")

_OFF_POLICY = Settings(
    steps=60_000, rows=64, twins=1, epochs=16, batch=256, learning_rate=1e-3, gamma=0.99, std=0.5
)
#: Settings of each algorithm where nobody says anything else.
DEFAULTS: Mapping[str, Settings] = {
    "ppo": Settings(),
    "ppo-sb3": Settings(rows=64, twins=1, epochs=6, batch=1536, learning_rate=1e-3),
    "sac": _OFF_POLICY,
    "dqn": _OFF_POLICY,
    "ippo": Settings(steps=500_000, rows=32, batch=512, learning_rate=1e-3),
    "mappo": Settings(steps=500_000, rows=32, batch=512, learning_rate=1e-3),
}


class TrainConfig(JobConfig):
    """Train a policy on the train days of an environment, with one or several seeds.

    Days of the split val are played during the training, those of test at its end, by the mean action of the
    network in plain arrays. Each seed leaves a policy file: `distgrid run ENV --policy file:PATH` plays it.
    A training that was interrupted goes on at its last evaluation when the same command is given again, and
    ends with the same bytes.
    """

    env: Annotated[str, Positional("ENV")] = Field(
        description="Environment: an id such as VoltVar-33bw-v1, or (for one agent) a file."
    )
    algo: Algorithm = Field(
        default="ppo",
        description="ppo (of this package), sac, dqn or ppo-sb3 (of stable-baselines3), ippo or mappo "
        "(of this package, many agents).",
    )  # fmt: skip
    seeds: int = Field(default=1, ge=1, le=100, description="Trainings, one for each seed.")
    seed: int = Field(default=0, ge=0, lt=4000, description="The first; the next has one more.")
    evaluations: int = Field(
        default=10, ge=1, le=1000, description="How often the days of val are played during a training."
    )
    val_days: int = Field(default=0, ge=0, description="Only so many days of val, spread over it; 0: all.")
    steps: int | None = Field(default=None, ge=1, description="Environment steps of each; as algo says.")
    rows: int | None = Field(default=None, ge=1, le=65536, description="Environments side by side.")
    twins: int | None = Field(
        default=None, ge=1, description="Rows that play the same day, each the others' baseline; 1: none do."
    )
    gamma: float | None = Field(default=None, gt=0.0, le=1.0, description="Discount of an interval.")
    learning_rate: float | None = Field(default=None, gt=0.0, le=1.0, description="Of the optimiser.")
    std: float | None = Field(
        default=None, gt=0.0, le=2.0, description="Standard deviation of the first actions in [-1, 1]."
    )
    begin: Literal["neutral", "middle"] | None = Field(
        default=None, description="Where the first actions lie: around doing nothing, or in the middle."
    )
    actor: Literal["mlp", "linear"] | None = Field(
        default=None, description="Network of the actions: two hidden layers (mlp), or none (linear)."
    )
    lam: float | None = Field(
        default=None, ge=0.0, le=1.0, description="Share of later errors in advantages (GAE)."
    )
    epochs: int | None = Field(default=None, ge=1, le=100, description="Passes over what was played.")
    batch: int | None = Field(default=None, ge=1, description="Steps that are learned from at once.")
    hidden: int | None = Field(default=None, ge=1, le=256, description="Width of the two hidden layers.")
    rules: str | None = Field(
        default=None,
        description="Scripted rules with commas between them, such as ev-cheapest,volt-var-ieee1547: what is "
        "learned is added to their actions (ppo, ippo, mappo).",
    )
    reward: str | None = Field(
        default=None,
        description="Who is paid for what (ippo, mappo): own, team, or the share from 0 to 1 of what is "
        "nobody's own.",
    )
    threads: int = Field(default=1, ge=1, description="Of environments and PyTorch.")

    def settings(self) -> Settings:
        """Those of the algorithm, with what was asked for in their place."""
        asked = {field.name: value for field in fields(Settings) if (value := _asked(self, field.name))}
        return replace(DEFAULTS[self.algo], **asked)

    def check(self) -> None:
        """RunError for numbers that do not go with each other."""
        settings = self.settings()
        if settings.rows % settings.twins:
            raise RunError(
                f"rows must be a multiple of twins, got {settings.rows} rows in groups of {settings.twins}"
            )
        if settings.rules and self.algo not in ("ppo", *OF_AGENTS):
            raise RunError(f"{self.algo} adds to no rules: leave out rules, or choose ppo, ippo or mappo")


def _asked(config: TrainConfig, name: str) -> Any:
    return dict(config).get(name)
