"""Policies that were trained and are shipped: files by environment, algorithm and seed."""

from __future__ import annotations

import functools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...envs.core.planning import PlannedScenario
from ..errors import RunError, printable
from .policy_file import SUFFIX, read_policy
from .trained_for import fingerprints

FOLDER = Path(__file__).with_name("data")
TABLE = FOLDER / "episodes.parquet"
PREFIX = "learned:"


def shipped() -> tuple[str, ...]:
    """Environment, algorithm and seed of every policy that is shipped: "VoltVar-33bw-v1/ppo-0"."""
    return tuple(
        sorted(f"{path.parent.name}/{path.name.removesuffix(SUFFIX)}" for path in FOLDER.glob(f"*/*{SUFFIX}"))
    )


def path_of_shipped(name: str) -> Path:
    """The file of a name out of `shipped`."""
    return FOLDER / f"{name}{SUFFIX}"


@functools.cache
def episodes() -> pa.Table:
    """What the shipped policies brought on days of val and test: `training.tables.EPISODES`, and ``env``."""
    return pq.read_table(TABLE)


def algorithm_of(name: str) -> str | None:
    """The algorithm in a name "learned:ppo" or "learned:ppo-3"; None where it is another name."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None


def find_shipped(asked: str, scenario: PlannedScenario) -> Path:
    """The file of an algorithm, "ppo" (its best seed on days of val) or "ppo-3", for an environment.

    RunError: none is shipped for this environment; the text lists those that are.
    """
    names = _of_environment(scenario)
    by_algorithm: dict[str, list[str]] = {}
    for name in names:
        by_algorithm.setdefault(name.rpartition("/")[2].rpartition("-")[0], []).append(name)
    exact = [name for name in names if name.rpartition("/")[2] == asked]
    if exact:
        return path_of_shipped(exact[0])
    if asked in by_algorithm:
        return path_of_shipped(max(by_algorithm[asked], key=_val_return))
    there = ", ".join(f"{PREFIX}{name.rpartition('/')[2]}" for name in names)
    raise RunError(
        f"no policy {PREFIX}{printable(asked)} is shipped for this environment: "
        + (f"there are {there}" if there else f"only for {', '.join(_environments())}")
    )


def _of_environment(scenario: PlannedScenario) -> list[str]:
    """Those that were trained for such an environment."""
    wanted = fingerprints(scenario)
    first = {env: next(n for n in shipped() if n.startswith(f"{env}/")) for env in _environments()}
    fitting = [env for env, name in first.items() if read_policy(path_of_shipped(name))[0].fits == wanted]
    return [name for name in shipped() if name.partition("/")[0] in fitting]


def _environments() -> list[str]:
    return sorted({name.partition("/")[0] for name in shipped()})


def _val_return(name: str) -> float:
    """Mean over the days of val."""
    env, _, rest = name.partition("/")
    algo, _, seed = rest.rpartition("-")
    own = [
        row["return"]
        for row in episodes().to_pylist()
        if (row["env"], row["algo"], row["seed"], row["split"]) == (env, algo, int(seed), "val")
    ]
    return sum(own) / len(own)
