"""What a run of policies needs in one process: the environment, and the policies made on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium

from .. import registry
from ..errors import RunError
from ..jobs.identity import parts_of
from ..jobs.manifest import ObjectRecord
from ..policy import Policy, plays_batches
from .env_source import EnvSource
from .rows import AnyVectorEnv, has_rows, open_rows

PolicyLike = str | Policy


def check_policies(policy: PolicyLike | Sequence[PolicyLike]) -> tuple[PolicyLike, ...]:
    """The policies asked for as a tuple.

    RunError for unknown and repeated names, TypeError for other things.
    """
    several = (policy,) if isinstance(policy, str | Policy) else tuple(policy)
    if not several:
        raise RunError(f"no policy given; choose from {', '.join(registry.names())}")
    names = []
    for entry in several:
        if isinstance(entry, str):
            names.append(registry.check_name(entry))
        elif isinstance(entry, Policy):
            names.append(entry.name)
        else:
            raise TypeError(
                f"a policy is a name or a distgrid.baselines.Policy, got {type(entry).__name__}; "
                "subclass Policy with reset and act"
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RunError(f"policies must have different names, {', '.join(twice)} came twice")
    return several


class RolloutSession:
    """One environment in this process and the policies made on it."""

    def __init__(self, source: EnvSource, entries: tuple[PolicyLike, ...]) -> None:
        """Open the environment and make the policies; `close` it afterwards."""
        self.source = source
        self.env = source.open()
        self._rows: AnyVectorEnv | None = None  # the last that was made
        self.policies: dict[str, Policy] = {}
        for policy in (_make(entry, self.env) for entry in entries):
            if policy.name in self.policies:
                raise RunError(f"policies must have different names, {policy.name} came twice")
            self.policies[policy.name] = policy

    @property
    def grid(self) -> Any:
        """The bare environment, which knows feeder, fleet, task and step length."""
        return self.env.unwrapped

    @property
    def dt_h(self) -> float:
        """Length of a step, h."""
        return float(self.grid.profiles.dt_h)

    @property
    def episode_h(self) -> float:
        """Length of an episode, h."""
        return float(self.grid.task.episode.hours)

    @property
    def has_rows(self) -> bool:
        """Whether episodes can be played as the rows of a vector environment."""
        return has_rows(self.source, self.env)

    def side_by_side(self) -> bool:
        """Whether the episodes of every policy are played as rows."""
        return self.has_rows and all(plays_batches(policy) for policy in self.policies.values())

    def rows(self, count: int) -> AnyVectorEnv:
        """The environment as `count` rows, where it `has_rows`."""
        if self._rows is None or self._rows.num_envs != count:
            self._rows = open_rows(self.env, count)
        return self._rows

    def close(self) -> None:
        """Close the environment, unless it was handed in."""
        self.source.close(self.env)

    def policy_records(self) -> tuple[list[ObjectRecord], list[str]]:
        """What each policy is, and what of them is unknown."""
        records, unknown = [], []
        for name, policy in self.policies.items():
            content, doubts = parts_of(policy)
            kind, config = type(policy).__qualname__, dict(policy.config())
            records.append(ObjectRecord(name=f"policy {name}", kind=kind, config=config, content=content))
            unknown += doubts
        return records, unknown


def _make(entry: PolicyLike, env: gymnasium.Env[Any, Any]) -> Policy:
    return registry.make(entry, env) if isinstance(entry, str) else entry
