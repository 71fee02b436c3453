"""`distgrid certify` as a job: an item is a day of a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium
import numpy as np
import pyarrow as pa
from pydantic import Field

from .. import registry
from ..errors import RunError
from ..jobs.config_fields import Positional
from ..jobs.job import Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ..jobs.manifest import Scalar
from ..jobs.unit_tables import NUMBER, TEXT, schema, table_of_rows
from ..optimal.bracket import Bracket, bracket
from ..optimal.day import check_covered
from ..policy import Policy
from ..rollouts.env_content import content_of
from ..rollouts.env_source import input_records, make_source
from .figure import brackets_png

WHOLE = pa.int64()

CERTIFICATES = schema(
    ("day", WHOLE, ""), ("do_nothing", NUMBER, "reward"), ("best_rule", TEXT, ""),
    ("best_rule_return", NUMBER, "reward"), ("best_known", NUMBER, "reward"), ("bound", NUMBER, "reward"),
    ("gap", NUMBER, "of best known - do nothing"),
)  # fmt: skip
PLANS = schema(("day", WHOLE, ""), ("step", WHOLE, ""), ("dimension", TEXT, ""), ("action", NUMBER, ""))
PICTURE = "certify.png"
#: Policies that see more than an agent may, or that are a line of their own.
_NO_RULES = ("do-nothing", "random", "optimal", "host-sweep", "host-bisection")
_CLOSE = 0.01


class CertifyConfig(JobConfig):
    """Say for every day of a split what was reached at best, and a bound that no policy can pass.

    The plan of the branch flow relaxation is played on the environment: that is the value. The bound is the
    relaxation's dual. Exit status: 0, or 2 for wrong input, such as an environment that the relaxation does
    not cover.
    """

    env: Annotated[str, Positional("ENV")] = Field(description="Environment, such as VoltVar-33bw-v1.")
    split: str = Field(default="test", description="Days: train, val, test or a suite.")
    days: int = Field(default=0, ge=0, description="Only the first so many; 0: all.")
    seed: int = Field(default=0, ge=0, description="Of every reset.")


@dataclass
class CertifySession:
    """The environment and the rules that fit it."""

    env: gymnasium.Env[Any, Any]
    rules: Mapping[str, Policy]
    days: tuple[int, ...]


class CertifyJob(Job[CertifyConfig]):
    """The brackets of the days of a split.

    Args:
        config: What is asked.

    Raises:
        RunError: An unknown environment or split.
    """

    kind = "certify"
    config_model = CertifyConfig
    tables = ("certificates", "plans")
    pictures = (PICTURE,)
    word = "days"

    def __init__(self, config: CertifyConfig) -> None:
        """RunError for names that nobody knows."""
        super().__init__(config)
        self.source = make_source(config.env, config.split)

    @property
    def name(self) -> str:
        """Of the environment, without its namespace."""
        return f"certify-{self.source.name.rsplit('/', 1)[-1]}"

    def parameters(self, context: CertifySession) -> Mapping[str, Scalar]:
        """What was asked for."""
        return {**self.config.model_dump(mode="json"), "env": self.source.name}

    def describe(self, context: CertifySession) -> Description:
        """The environment and its data by content, and the solver."""
        attached = content_of(context.env)
        inputs = [*input_records(context.env, self.config.split, attached.sha256), *attached.own]
        return Description(inputs, (), attached.unknown, ("clarabel",), seed=self.config.seed)

    def prepare(self) -> CertifySession:
        """The environment; RunError where the relaxation does not cover it."""
        env = gymnasium.make(self.source.name, split=self.config.split, disable_env_checker=True)
        scenario: Any = env.unwrapped.scenario  # type: ignore[attr-defined]
        check_covered(scenario)
        if not isinstance(env.action_space, gymnasium.spaces.Box):
            raise RunError(f"{self.source.name} has discrete actions: certify the continuous environment")
        rules = {name: registry.make(name, env) for name in registry.fitting(env) if name not in _NO_RULES}
        per_day = scenario.calendar.steps_per_day
        days = tuple(sorted({int(start) // per_day for start in scenario.starts}))
        return CertifySession(env, rules, days[: self.config.days or None])

    def release(self, context: CertifySession) -> None:
        """Close the environment."""
        context.env.close()

    def items(self, context: CertifySession) -> Sequence[int]:
        """The days."""
        return context.days

    def chunk_size(self, context: CertifySession, n_items: int) -> int:
        """Each day is kept when it is finished."""
        return 1

    def do(self, context: CertifySession, item: int) -> Part:
        """The bracket of a day, and what every rule brings."""
        found = bracket(context.env, item, seed=self.config.seed)
        brought = {name: self._played(context.env, rule, item) for name, rule in context.rules.items()}
        best = max(brought, key=lambda name: brought[name]) if brought else None
        row = (
            item, found.do_nothing, best, None if best is None else brought[best], found.best_known,
            found.bound, found.gap,
        )  # fmt: skip
        return Part(
            {"certificates": table_of_rows([row], CERTIFICATES), "plans": self._plan(context, item, found)}
        )

    def _plan(self, context: CertifySession, day: int, found: Bracket) -> pa.Table:
        scenario: Any = context.env.unwrapped.scenario  # type: ignore[attr-defined]
        names = [dimension.name for dimension in scenario.action_layout]
        steps, n = found.actions.shape
        return pa.table(
            {
                "day": np.full(steps * n, day), "step": np.repeat(np.arange(steps), n),
                "dimension": names * steps, "action": found.actions.astype(np.float32).astype(float).ravel(),
            },
            schema=PLANS,
        )  # fmt: skip

    def _played(self, env: gymnasium.Env[Any, Any], rule: Policy, day: int) -> float:
        obs, info = env.reset(seed=self.config.seed, options={"day": day})
        rule.seed(self.config.seed)
        rule.reset(obs, info)
        total, over = 0.0, False
        while not over:
            obs, reward, terminated, truncated, info = env.step(rule.act(obs, info))
            total, over = total + float(reward), terminated or truncated
        return total

    def summary(
        self, context: CertifySession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """How close bound and value are."""
        gap = tables["certificates"]["gap"].to_numpy()
        close = float((gap <= _CLOSE).mean())
        said = (
            f"bound and best known are within {_CLOSE:.0%} of what there is to gain on {close:.0%} of "
            f"{gap.size} days; median {np.median(gap):.3%}, most {gap.max():.3%}"
        )
        return Summary({"days": int(gap.size), "within_1_pct": close, "verdict": said})

    def draw(self, context: CertifySession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Every day: rule, best known and bound."""
        return {PICTURE: brackets_png(outcome.tables["certificates"], self.source.name)}

    def show(self, context: CertifySession, outcome: JobOutcome) -> Iterable[Any]:
        """The mean day."""
        from rich.table import Table

        shown = Table(title=f"{self.source.name}: mean over {outcome.tables['certificates'].num_rows} days")
        shown.add_column("")
        shown.add_column("Return", justify="right")
        means = {
            name: float(np.nanmean(outcome.tables["certificates"][column].to_numpy(zero_copy_only=False)))
            for name, column in (
                ("do-nothing", "do_nothing"), ("best rule of each day", "best_rule_return"),
                ("best known", "best_known"), ("bound", "bound"),
            )
        }  # fmt: skip
        for name, value in means.items():
            shown.add_row(name, f"{value:,.4f}")
        yield shown
