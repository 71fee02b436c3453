"""What a run needs in one process: the environment, the policies made on it, and the plan of its chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import gymnasium

from .. import registry
from ..errors import RunError
from ..policy import Policy
from . import manifest as run_manifest
from .env_content import content_of
from .env_source import Source, episode_day, input_records
from .episodes import Chunk, ChunkResult, run_chunk
from .identity import parts_of
from .manifest import ChunkRecord, Manifest, Parameters, PolicyRecord, Timings

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


class Session:
    """One environment in this process and the policies made on it."""

    def __init__(self, source: Source, entries: tuple[PolicyLike, ...], episodes: int, seed: int) -> None:
        """Open the environment and make the policies; `close` it afterwards."""
        self.source, self.entries, self.episodes, self.seed = source, entries, episodes, seed
        self.env = source.open()
        self.policies = {p.name: p for p in (_make(entry, self.env) for entry in entries)}

    @property
    def grid(self) -> Any:
        """The bare environment, which knows feeder, fleet, task and step length."""
        return self.env.unwrapped

    @property
    def dt_h(self) -> float:
        """Length of a step, h."""
        return float(self.grid.profiles.dt_h)

    def close(self) -> None:
        """Close the environment, unless it was handed in."""
        self.source.close(self.env)

    def manifest(self, chunk_episodes: int | None, command: Sequence[str] | None) -> Manifest:
        """The manifest of a run that has not begun."""
        size = chunk_episodes or min(max(-(-self.episodes // 10), 1), 32)
        chunks: list[ChunkRecord] = []
        for name in self.policies:
            for first in range(0, self.episodes, size):
                n = min(size, self.episodes - first)
                chunks.append(ChunkRecord(index=len(chunks), policy=name, first_episode=first, n_episodes=n))
        records, unknown = self._policy_records()
        parameters = Parameters(
            environment=self.source.name,
            split=self.source.split,
            seed=self.seed,
            episodes=self.episodes,
            policies=records,
        )
        attached = content_of(self.env)
        inputs = [*input_records(self.env, self.source.split, attached.sha256), *attached.own]
        used = run_manifest.versions()
        started = run_manifest.now()
        return Manifest(
            id=run_manifest.run_id(parameters, inputs, used),
            command=list(command) if command is not None else ["distgrid.baselines.rollout"],
            versions=used,
            seed=self.seed,
            inputs=inputs,
            parameters=parameters,
            unknown=[*unknown, *attached.unknown],
            timings=Timings(started_at=started, updated_at=started),
            chunks=chunks,
        )

    def _policy_records(self) -> tuple[list[PolicyRecord], list[str]]:
        """What each policy is, and what of them is unknown."""
        records, unknown = [], []
        for name, policy in self.policies.items():
            content, doubts = parts_of(policy)
            kind, config = type(policy).__qualname__, dict(policy.config())
            records.append(PolicyRecord(name=name, kind=kind, config=config, content=content))
            unknown += doubts
        return records, unknown

    def play(self, pending: list[ChunkRecord], engine: str) -> Iterator[tuple[ChunkRecord, ChunkResult]]:
        """The results of the pending chunks, as they come: here, or in one process a core."""
        if engine == "local" or len(pending) < 2:
            for record in pending:
                yield record, run_chunk(self.env, self.policies[record.policy], self._chunk(record))
            return
        import joblib

        by_index = {record.index: record for record in pending}
        play = joblib.delayed(_play_in_worker)
        jobs = (play(self.source, self.entries, self._chunk(record)) for record in pending)
        done: Iterable[tuple[int, ChunkResult]] = joblib.Parallel(n_jobs=-1, return_as="generator_unordered")(
            jobs
        )
        for index, result in done:
            yield by_index[index], result

    def _chunk(self, record: ChunkRecord) -> Chunk:
        """What whoever plays `record` needs to know."""
        episodes = range(record.first_episode, record.first_episode + record.n_episodes)
        days = tuple(episode_day(self.grid.days, k) for k in episodes)
        return Chunk(record.index, record.policy, record.first_episode, days, self.seed)


def _make(entry: PolicyLike, env: gymnasium.Env[Any, Any]) -> Policy:
    return registry.make(entry, env) if isinstance(entry, str) else entry


#: The last environment of a worker process: making one costs more than playing an episode.
_worker_env: dict[tuple[str, str], gymnasium.Env[Any, Any]] = {}


def _play_in_worker(source: Source, entries: tuple[PolicyLike, ...], chunk: Chunk) -> tuple[int, ChunkResult]:
    """Play one chunk in a worker process."""
    wanted = next(e for e in entries if (e if isinstance(e, str) else e.name) == chunk.policy)
    if not isinstance(source.given, str):
        env = source.open()
        result = run_chunk(env, _make(wanted, env), chunk)
        source.close(env)
        return chunk.index, result
    key = (source.given, source.split)
    if key not in _worker_env:
        _worker_env.clear()
        _worker_env[key] = source.open()
    return chunk.index, run_chunk(_worker_env[key], _make(wanted, _worker_env[key]), chunk)
