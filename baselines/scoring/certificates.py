"""Certificates that are shipped, and scores on the scale that they span: 0 do nothing, 1 the best known."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import RunError, unknown

FOLDER = Path(__file__).with_name("data")
SPLIT = "test"
#: What a certificate belongs to beside the code: inputs of a run with these in their names must be equal.
_CODE = "code of distgrid"


class Scale(NamedTuple):
    """What spans the scores of a day: its returns at 0 and 1, and the seed that it was played with."""

    do_nothing: float
    best_known: float
    seed: int | None  # None: the day is the same whatever the seed

    def score(self, episode_return: float) -> float:
        """Of a return; NaN where nobody has found anything better than to do nothing."""
        gain = self.best_known - self.do_nothing
        return (episode_return - self.do_nothing) / gain if gain > 0.0 else float("nan")


def shipped() -> tuple[str, ...]:
    """Names of the environments with certificates, without their namespace."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.parquet")))


@functools.cache
def certificates(env_id: str) -> pa.Table:
    """The certificates of the test days; the metadata of the schema has the hashes of what they belong to.

    Raises:
        RunError: none are shipped for that environment.
    """
    name = env_id.rsplit("/", 1)[-1]
    if name not in shipped():
        raise unknown("environment with certificates", name, shipped())
    return pq.read_table(FOLDER / f"{name}.parquet")


def belongs_to(env_id: str, inputs: Mapping[str, str]) -> bool:
    """Whether the certificates of an environment are those of these inputs, by name and SHA-256.

    Compared are the feeder, the data, the days and the make-up of the environment, not the code.
    """
    kept: dict[str, str] = json.loads(certificates(env_id).schema.metadata[b"inputs"])
    return all(inputs.get(name) == sha256 for name, sha256 in kept.items() if name != _CODE)


@functools.cache
def scales(env_id: str) -> Mapping[int, Scale]:
    """What spans the scores of each test day. RunError: as `certificates`."""
    rows = certificates(env_id).to_pylist()
    return {row["day"]: Scale(row["do_nothing"], row["best_known"], row["seed"]) for row in rows}


def normalised_score(env_id: str, day: int, episode_return: float, *, seed: int | None = None) -> float:
    """(return - do nothing) / (best known - do nothing) of a test day.

    0 is doing nothing; 1 is the best that anyone has reached, in AC; no policy has more than the bound's
    score where there is a bound, which `certificates` tells. More than 1 is possible without one.

    Args:
        env_id: Such as "distgrid/VoltVar-33bw-v1".
        day: Of the split "test".
        episode_return: Undiscounted sum of rewards of the whole day.
        seed: That the episode was reset with. Where cars or signals are drawn, a certificate is of one
            seed, that of ``distgrid run``; None: it was that one.

    Raises:
        RunError: no certificates are shipped for the environment, the day is none of its test days, or the
            certificate is of another seed.
    """
    known = scales(env_id)
    if day not in known:
        raise RunError(f"{env_id}: day {day!r} is no day of the split {SPLIT!r} with a certificate")
    scale = known[day]
    if seed is not None and scale.seed is not None and seed != scale.seed:
        raise RunError(f"{env_id}: the certificate of day {day} is of seed {scale.seed}, not of seed {seed}")
    return scale.score(episode_return)


def scored(
    env_id: str,
    inputs: Mapping[str, str],
    days: Sequence[int],
    seeds: Sequence[int],
    returns: Sequence[float],
) -> list[float | None]:  # fmt: skip
    """Normalised scores of episodes, in their order; None where no certificate is of that episode.

    Args:
        env_id: Of the environment; it need not be registered.
        inputs: SHA-256 by name, of what was played: other feeders, data, days or settings have no scores.
        days: Of each episode.
        seeds: With which each was reset.
        returns: Of each.
    """
    if env_id.rsplit("/", 1)[-1] not in shipped() or not belongs_to(env_id, inputs):
        return [None] * len(returns)
    known = scales(env_id)
    found: list[float | None] = []
    for day, seed, brought in zip(days, seeds, returns, strict=True):
        scale = known.get(day)
        if scale is None or scale.seed not in (None, seed):
            found.append(None)
        else:
            score = scale.score(brought)
            found.append(None if math.isnan(score) else score)
    return found
