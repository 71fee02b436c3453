"""Where a run's environment comes from, which days it plays, and the hashes of everything it reads."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ...cases import profiles as case_profiles
from ...envs import EnvOptions
from ...envs.configuration.env_file import options_to_dict, read_options
from ...envs.configuration.making import make_env
from ...envs.configuration.text_files import is_config_file
from ...envs.core.scenario import GIVEN_DAYS
from ..errors import RunError, unknown
from ..jobs.feeder_content import feeder_sha256
from ..jobs.files import sha256_of
from ..jobs.manifest import InputRecord

NAMESPACE = "distgrid/"
DEFAULT_SPLIT = "test"

EnvFactory = Callable[[], gymnasium.Env[Any, Any]]
EnvLike = str | gymnasium.Env[Any, Any] | EnvFactory

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def environment_ids() -> tuple[str, ...]:
    """The registered environments of distgrid, sorted."""
    return tuple(sorted(name for name in gymnasium.registry if name.startswith(NAMESPACE)))


def resolve_id(name: str) -> str:
    """The full id of `name`, which may lack "distgrid/". RunError with the nearest id when there is none."""
    known = environment_ids()
    full = name if "/" in name else NAMESPACE + name
    if full not in known and full not in gymnasium.registry:
        raise unknown("environment", full, known)
    return full


def check_split(split: str) -> str:
    """`split` itself when a set of the profiles' splits has it; RunError with the nearest one otherwise."""
    known = tuple(dict.fromkeys(name for found in case_profiles.SPLIT_SETS.values() for name in found))
    if split not in known:
        raise unknown("split", split, known)
    return split


def episode_day(days: NDArray[np.int64], episode: int) -> int:
    """The day, out of the `days` of a split, that episode `episode` (0, 1, ...) plays.

    Neighbouring days resemble each other, so successive episodes stride through the list by the golden ratio:
    a handful of them sees every season, and no day comes twice before all have been played.
    """
    n = len(days)
    stride = min((s for s in range(1, n + 1) if math.gcd(s, n) == 1), key=lambda s: abs(s - _GOLDEN * n))
    return int(days[(episode * stride) % n])


@dataclass(frozen=True)
class EnvSource:
    """How to get the environment: an id that is made with `split`, a factory, or an environment.

    `content_sha256`: of what a file of configuration describes, where one does.
    """

    given: EnvLike
    split: str
    name: str
    content_sha256: str | None = None

    @property
    def portable(self) -> bool:
        """Whether another process can open it."""
        return not isinstance(self.given, gymnasium.Env)

    def open(self) -> gymnasium.Env[Any, Any]:
        """The environment. RunError when it plays another split than the one asked for."""
        if isinstance(self.given, str):
            env = gymnasium.make(self.given, split=self.split, disable_env_checker=True)
        else:
            env = self.given if isinstance(self.given, gymnasium.Env) else self.given()
        _check_grid(env)
        grid: Any = env.unwrapped
        if grid.split != self.split:
            raise RunError(
                f"the environment plays split {grid.split!r}, the run was asked for {self.split!r}; "
                "make the environment with that split, or leave the argument out"
            )
        return env

    def close(self, env: gymnasium.Env[Any, Any]) -> None:
        """Close what `open` made; an environment that was handed in stays open."""
        if env is not self.given:
            env.close()


def make_source(env: EnvLike, split: str | None) -> EnvSource:
    """Look at `env` and settle the split: as asked, else the environment's own, else "test"."""
    if isinstance(env, str) and is_config_file(env):
        return _file_source(env, split)
    if isinstance(env, str):
        full = resolve_id(env)
        if split is not None:
            check_split(split)
        return EnvSource(full, split or DEFAULT_SPLIT, full)
    if isinstance(env, gymnasium.Env):
        opened = env
    elif callable(env):
        opened = env()
    else:
        raise TypeError(
            f"expected an environment, its id or a function that makes one, got {type(env).__name__}"
        )
    _check_grid(opened)
    grid: Any = opened.unwrapped
    name = opened.spec.id if opened.spec is not None else f"{type(grid).__name__}({grid.feeder.name})"
    if split is not None and split != grid.split:  # an environment on data of its own has its own splits
        check_split(split)
    chosen = split or grid.split
    if opened is not env:
        opened.close()
    return EnvSource(env, chosen, name)


def _file_source(file: str, split: str | None) -> EnvSource:
    """The environment that a file describes, read once: where it is opened the file need not be.

    The days that a file lists are played where no split is asked for, or the split "days".
    """
    options = read_options(file)
    chosen = split or (GIVEN_DAYS if options.days is not None else options.split or DEFAULT_SPLIT)
    if options.days is None or chosen != GIVEN_DAYS:
        options = replace(options, days=None, split=check_split(chosen))
    content = options_to_dict(options)
    played = {name: value for name, value in content.items() if name not in ("split", "days")}
    digest = sha256_of(json.dumps(played, sort_keys=True).encode())
    return EnvSource(partial(_made, options, file), chosen, Path(file).stem, digest)


def _made(options: EnvOptions, file: str) -> gymnasium.Env[Any, Any]:
    """The environment; its errors name the file."""
    try:
        return make_env(options)
    except (TypeError, ValueError) as error:
        raise RunError(f"{file}: {error}") from error


def _check_grid(env: object) -> None:
    if not isinstance(env, gymnasium.Env):
        raise TypeError(
            f"expected a gymnasium.Env, got {type(env).__name__}; vector environments run elsewhere"
        )
    missing = [name for name in ("feeder", "fleet", "days", "profiles") if not hasattr(env.unwrapped, name)]
    if missing:
        raise RunError(
            f"{type(env.unwrapped).__name__} is no distgrid environment: it has no {', '.join(missing)}"
        )


def input_records(env: gymnasium.Env[Any, Any], split: str, attached: str) -> list[InputRecord]:
    """Hashes of what the results depend on: feeder, profiles, the split's days, the environment.

    `attached`: hash of what people attach to the environment, see `env_content`.
    """
    grid: Any = env.unwrapped
    return [
        InputRecord(name=f"feeder {grid.feeder.name}", sha256=feeder_sha256(grid.feeder)),
        InputRecord(name="profiles", sha256=_profiles_sha256()),
        InputRecord(name=f"split {split}", sha256=sha256_of(",".join(map(str, grid.days.tolist())).encode())),
        InputRecord(name="environment", sha256=_make_up_sha256(env, attached)),
    ]


def _profiles_sha256() -> str:
    """Over the files that drive the episodes, in the order of their names."""
    folder = case_profiles.load_profiles().folder
    digest = hashlib.sha256()
    for part in ("profiles", "simbench"):
        for path in sorted((folder / part).glob("*.parquet")):
            digest.update(f"{part}/{path.name}".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _make_up_sha256(env: gymnasium.Env[Any, Any], attached: str) -> str:
    """Over the settings, the task, and the names of all observations and actions."""
    grid: Any = env.unwrapped
    settings = env.spec.kwargs if env.spec is not None else {}
    parts = {
        "attached": attached,
        "kwargs": {
            key: repr(value) for key, value in settings.items() if key not in ("split", "render_mode")
        },
        "task": repr(grid.task),
        "observation": [repr(row) for row in grid.layout.describe()],
        "action": [repr(dim) for dim in grid.action_layout],
        "units": [repr(unit) for unit in grid.fleet.units()],
        "resources": [repr(resource) for resource in grid.resources],
        "largest loads": np.asarray(grid.load.s_max_mva).tolist(),
    }
    # The default repr of an object holds its address, which says nothing and changes in every process.
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", json.dumps(parts, sort_keys=True))
    return hashlib.sha256(text.encode()).hexdigest()
