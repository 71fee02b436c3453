"""What an audit is asked for, and how much is done for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ..jobs.config_fields import DisplayedField, Positional, commas
from ..jobs.job import JobConfig

LEARNERS = ("ppo", "sac")


@dataclass(frozen=True)
class Budget:
    """How much is searched and trained.

    Attributes:
        reference_days: Test days with a reference; 0: all.
        reference_row_steps: Intervals played for the reference of a day.
        search_days, choice_days: Train days on which candidates are searched, and on which the best are
            compared.
        constant_generations, affine_generations: Of the two searches.
        ppo_steps, sac_steps: Of training.
        envs: Environments side by side in training.
    """

    reference_days: int
    reference_row_steps: int
    search_days: int
    choice_days: int
    constant_generations: int
    affine_generations: int
    ppo_steps: int
    sac_steps: int
    envs: int = 64


BUDGETS = {
    "tiny": Budget(1, 20_000, 2, 2, 2, 3, 512, 64, 2),
    "small": Budget(8, 1_500_000, 8, 32, 30, 80, 3_000_000, 60_000),
    "full": Budget(0, 6_000_000, 12, 64, 60, 200, 9_000_000, 300_000),
}


def _learners(value: object) -> object:
    return () if value == "none" else commas(value)


class AuditConfig(JobConfig):
    """Ask whether the task of an environment is worth learning: scores, a reference, verdicts.

    Exit status: 0 accepted, 3 where a verdict fails, 2 for wrong input. The same command goes on where it
    was interrupted.
    """

    env: Annotated[str, Positional("ENV")] = Field(description="Environment, such as VoltVar-33bw-v1.")
    budget: Literal["tiny", "small", "full"] = Field(
        default="small", description="How much is searched: tiny (seconds, for tests), small or full."
    )
    days: int = Field(default=0, ge=0, description="Days of the test split that all play; 0: every day.")
    reference_days: int | None = Field(
        default=None, ge=1, description="Of these days, how many get a reference; as the budget says."
    )
    learners: Annotated[tuple[str, ...], BeforeValidator(_learners), DisplayedField("NAME[,NAME…]")] = Field(
        default=LEARNERS, description="What is trained: ppo, sac, or none."
    )
    ppo_steps: int | None = Field(default=None, ge=1, description="Steps of PPO; as the budget says.")
    ppo_log_std: float = Field(
        default=-1.5, ge=-4.0, le=1.0,
        description="Logarithm of the deviation of PPO's first actions: low where chance does harm, high "
        "where only bold actions find out.",
    )  # fmt: skip
    ppo_actor: Literal["mlp", "linear"] = Field(
        default="mlp", description="Network of PPO's actions: two layers of 64 (mlp), or none (linear)."
    )
    ppo_begin: Literal["neutral", "middle"] = Field(
        default="neutral",
        description="Where PPO's first actions lie: around doing nothing, or in the middle of the possible.",
    )
    ppo_gamma: float = Field(default=0.99, gt=0.0, le=1.0, description="Discount of PPO, for each interval.")
    ppo_gae_lambda: float = Field(
        default=0.95, ge=0.0, le=1.0,
        description="How far PPO trusts rewards to come more than its estimate of them.",
    )  # fmt: skip
    sac_steps: int | None = Field(default=None, ge=1, description="Steps of SAC; as the budget says.")
    affine_features: int = Field(default=6, ge=1, description="Most features of the affine policy.")
    threads: int = Field(default=2, ge=1, description="Threads of environments and training.")
    seed: int = Field(default=0, ge=0, description="Seed of days, searches and training.")
