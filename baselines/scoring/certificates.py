"""Certificates that are shipped, and scores on the scale that they span: 0 do nothing, 1 the best known."""

from __future__ import annotations

import functools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import RunError, unknown

FOLDER = Path(__file__).with_name("data")
SPLIT = "test"


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


def normalised_score(env_id: str, day: int, episode_return: float) -> float:
    """(return - do nothing) / (best known - do nothing) of a test day.

    0 is doing nothing; 1 is the best that anyone has reached, in AC; no policy has more than the bound's
    score, which `certificates` tells.

    Args:
        env_id: Such as "distgrid/VoltVar-33bw-v1".
        day: Of the split "test".
        episode_return: Undiscounted sum of rewards of the whole day.

    Raises:
        RunError: no certificates are shipped for the environment, or the day is none of its test days.
    """
    table = certificates(env_id)
    days = table["day"].to_pylist()
    if day not in days:
        raise RunError(f"{env_id}: day {day!r} is no day of the split {SPLIT!r} with a certificate")
    row = table.slice(days.index(day), 1).to_pylist()[0]
    return float((episode_return - row["do_nothing"]) / (row["best_known"] - row["do_nothing"]))
