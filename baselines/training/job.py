"""`distgrid train` as a job: an item is a seed."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...cases.storage.regular_files import read_regular
from ..jobs.files import write_atomic
from ..jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ..jobs.manifest import Scalar
from ..jobs.plan import PARTS
from ..jobs.unit_tables import table_of_rows
from ..learned.learner import Learner
from ..learned.policy_file import SUFFIX, PolicyFile
from ..learned.torch_parts import torch_or_error
from ..rollouts.env_content import content_of
from ..rollouts.env_source import input_records, make_source
from ..scoring.summary import interquartile_mean
from .config import TrainConfig
from .evaluation import Days
from .event_file import event_file
from .figure import curves_png
from .learners import open_learner, policy_of
from .tables import CURVE, EPISODES, FILES

PICTURE = "curves.png"
EVENTS = "events.out.tfevents.0.distgrid"
MOST_CHECKPOINT_BYTES = 1 << 30  # SAC and DQN keep what they have played


class TrainJob(Job[TrainConfig]):
    """Trainings of one algorithm on one environment.

    Args:
        config: What is asked.

    Raises:
        RunError: An unknown environment, or numbers that do not go with each other.
    """

    kind = "train"
    config_model = TrainConfig
    tables = ("curve", "episodes", "files")
    outputs = ("curve", "episodes")
    pictures = (PICTURE, EVENTS)
    word = "trainings"

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.settings = config.settings()
        self.sources = {split: make_source(config.env, split) for split in ("train", "val", "test")}

    @property
    def name(self) -> str:
        """Of the environment, without its namespace, and the algorithm."""
        return f"train-{self.env_id.rsplit('/', 1)[-1]}-{self.config.algo}"

    @property
    def env_id(self) -> str:
        """Id of the environment."""
        return self.sources["train"].name

    def more_files(self) -> tuple[str, ...]:
        """Pictures, curves for TensorBoard, and a policy file for each seed."""
        return (*self.pictures, *(policy_name(seed) for seed in self._seeds()))

    def scratch(self) -> tuple[str, ...]:
        """A checkpoint for each seed."""
        return tuple(_checkpoint_name(seed) for seed in self._seeds())

    def parameters(self, context: Mapping[str, Days]) -> Mapping[str, Scalar]:
        """What was asked for, and the settings that the algorithm brings."""
        asked = self.config.model_dump(mode="json", exclude={"threads"})
        return {**asked, **vars(self.settings), "env": self.env_id}

    def describe(self, context: Mapping[str, Days]) -> Description:
        """Environment and data of all splits by content, and the libraries."""
        inputs = []
        for split, source in self.sources.items():
            env = source.open()
            attached = content_of(env)
            inputs += [
                record.model_copy(update={"name": f"{split}: {record.name}"})
                for record in (*input_records(env, split, attached.sha256), *attached.own)
            ]
            source.close(env)
        libraries = ("torch",) if self.config.algo in ("ppo", "ippo", "mappo") else (
            "torch", "stable_baselines3",
        )  # fmt: skip
        return Description(inputs, (), (), libraries, seed=self.config.seed)

    def prepare(self) -> Mapping[str, Days]:
        """Days of val and test, with what doing nothing brings on them."""
        torch_or_error()
        return {
            "val": Days(self.sources["val"], self.config.val_days), "test": Days(self.sources["test"]),
        }  # fmt: skip

    def release(self, context: Mapping[str, Days]) -> None:
        """Close the environments."""
        for days in context.values():
            days.close()

    def items(self, context: Mapping[str, Days]) -> Sequence[int]:
        """The seeds."""
        return self._seeds()

    def chunk_size(self, context: Mapping[str, Days], n_items: int) -> int:
        """Each seed is kept when it has ended."""
        return 1

    def do(self, context: Mapping[str, Days], item: int) -> Part:
        """Train with one seed."""
        learner, curve = self._begun(item)
        looks = _looks(learner.iterations, self.config.evaluations)
        while learner.iterations_done < learner.iterations:
            learner.iterate()
            self.tell(f"seed {item}: {learner.steps:,} steps, return {learner.episode_return:,.2f}")
            if learner.iterations_done in looks:
                val = context["val"]
                found = float(val.returns(self._policy(learner, item)).mean())
                rest = float(val.do_nothing.mean())
                curve.append((self.config.algo, item, learner.steps, learner.episode_return, found, rest))
                self._keep(learner, item, curve)
        policy = self._policy(learner, item)
        tables = {
            "curve": table_of_rows(curve, CURVE),
            "episodes": pa.concat_tables([self._episodes(days, policy, item) for days in context.values()]),
            "files": table_of_rows([(item, base64.b64encode(policy.to_bytes()).decode())], FILES),
        }
        clock = dict(vars(learner.clock)) if isinstance(learner, Learner) else {}
        return Part(
            tables, [{"seed": item, "steps": learner.steps, **{k: round(v, 3) for k, v in clock.items()}}]
        )

    def merge(self, context: Mapping[str, Days], tables: Tables) -> Tables:
        """The policy files go into files of their own, see `draw`."""
        rows = tables["files"].to_pylist()
        self._files = {row["seed"]: base64.b64decode(row["content"]) for row in rows}
        return {name: tables[name] for name in self.outputs}

    def draw(self, context: Mapping[str, Days], outcome: JobOutcome) -> Mapping[str, bytes]:
        """The curves, and the policies."""
        curve = outcome.tables["curve"]
        policies = {policy_name(seed): content for seed, content in self._files.items()}
        title = f"{self.config.algo} on {self.env_id.rsplit('/', 1)[-1]}"
        return {PICTURE: curves_png(curve, title), EVENTS: event_file(curve), **policies}

    def summary(
        self, context: Mapping[str, Days], tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """Means over seeds and days, and the best seed of val."""
        episodes = tables["episodes"].to_pylist()
        means = {
            seed: np.mean([row["return"] for row in episodes if (row["seed"], row["split"]) == (seed, "val")])
            for seed in self._seeds()
        }
        best = max(means, key=lambda seed: float(means[seed]))
        test = [row for row in episodes if row["split"] == "test"]
        scores = np.array([r["normalised_score"] for r in test if r["normalised_score"] is not None])
        found: dict[str, Scalar] = {
            "val_return": float(np.mean(list(means.values()))), "best_seed_of_val": best,
            "test_return": float(np.mean([row["return"] for row in test])),
            "test_score_mean": float(scores.mean()) if scores.size else None,
            "test_score_iqm": interquartile_mean(scores) if scores.size else None,
        }  # fmt: skip
        return Summary(found)

    def show(self, context: Mapping[str, Days], outcome: JobOutcome) -> Iterable[Any]:
        """Returns by seed."""
        from .show import seeds_table

        yield seeds_table(outcome.tables["episodes"], f"{self.config.algo} on {self.env_id}")

    # -- one training ----------------------------------------------------------------------------------------

    def _seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.seeds)

    def _policy(self, learner: Any, seed: int) -> PolicyFile:
        return policy_of(learner, self.config.algo, self.env_id, self.settings, seed)

    def _episodes(self, days: Days, policy: PolicyFile, seed: int) -> pa.Table:
        """All days of a split at the end of a training."""
        returns = days.returns(policy)
        n = len(returns)
        columns = (
            [self.config.algo] * n, [seed] * n, [days.source.split] * n, range(n), days.days.tolist(),
            returns.tolist(), days.do_nothing.tolist(), days.scores(returns),
        )  # fmt: skip
        return table_of_rows(list(zip(*columns, strict=True)), EPISODES)

    def _keep(self, learner: Any, seed: int, curve: list[tuple[Any, ...]]) -> None:
        """Write a checkpoint, where there is a folder for it."""
        if (path := self._checkpoint(seed)) is not None:
            write_atomic(path, learner.checkpoint(json.dumps(curve)))

    def _begun(self, seed: int) -> tuple[Any, list[tuple[Any, ...]]]:
        """A training, taken up where it was interrupted, and its curve so far.

        A damaged checkpoint is not taken, and what a learner has read of it is not kept.
        """
        path = self._checkpoint(seed)
        if path is not None and path.is_file():
            with contextlib.suppress(ValueError, OSError):
                learner = self._opened(seed)
                curve = learner.go_on(read_regular(path, MOST_CHECKPOINT_BYTES))
                return learner, [tuple(row) for row in json.loads(curve)]
        return self._opened(seed), []

    def _opened(self, seed: int) -> Any:
        return open_learner(self.sources["train"], self.config.algo, self.settings, seed)

    def _checkpoint(self, seed: int) -> Path | None:
        place = None if self.workspace is None else self.workspace / _checkpoint_name(seed)
        return place if place is not None and place.parent.is_dir() else None


def policy_name(seed: int) -> str:
    """Name of the policy file of a seed."""
    return f"policy-{seed}{SUFFIX}"


def _checkpoint_name(seed: int) -> str:
    return f"{PARTS}/checkpoint-{seed}{SUFFIX}"


def _looks(iterations: int, count: int) -> set[int]:
    """After which iterations days of val are played, the last among them."""
    return {round(k) for k in np.linspace(0, iterations, min(count, iterations) + 1)[1:]}
