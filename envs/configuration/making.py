"""Environments made from options, whatever the phases of their feeder, and from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from gymnasium.vector import AutoresetMode

from ...cases import Feeder
from ...cases import load as load_case
from ..core.options import EnvKeywords, EnvOptions
from ..dist import DistGridEnv
from ..dist3 import DistGrid3PhaseEnv
from ..registration import registered
from ..suites.entry import NAMESPACE
from ..vector import DistGridVectorEnv
from ..vector3 import DistGrid3PhaseVectorEnv
from .env_file import read_options
from .text_files import ConfigError, is_config_file


def make_env(options: EnvOptions, *, render_mode: str | None = None) -> DistGridEnv:
    """The single environment of these options; a `DistGrid3PhaseEnv` where the feeder has phases."""
    face = DistGrid3PhaseEnv if _has_phases(options) else DistGridEnv
    return face(options=options, render_mode=render_mode)


def make_vector_env(
    options: EnvOptions,
    num_envs: int = 1,
    *,
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    threads: int | None = None,
    copy: bool = True,
    max_episode_steps: int | None = None,
) -> DistGridVectorEnv:
    """The vector environment of these options; see `DistGridVectorEnv` for the other arguments."""
    face = DistGrid3PhaseVectorEnv if _has_phases(options) else DistGridVectorEnv
    return face(
        options=options, num_envs=num_envs, autoreset_mode=autoreset_mode, threads=threads, copy=copy,
        max_episode_steps=max_episode_steps,
    )  # fmt: skip


def load_env(
    file: str | Path, *, render_mode: str | None = None, **changes: Unpack[EnvKeywords]
) -> DistGridEnv:
    """The single environment that a file describes; ``changes`` are fields of `EnvOptions` in its place.

    Raises:
        ConfigError: see `read_options`; or what the file describes cannot be made, such as a device at a bus
            that the feeder does not have.
    """
    options = read_options(file)
    return _named(file, lambda: make_env(replace(options, **changes), render_mode=render_mode))


def load_vector_env(
    file: str | Path,
    num_envs: int = 1,
    *,
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    threads: int | None = None,
    copy: bool = True,
    max_episode_steps: int | None = None,
    **changes: Unpack[EnvKeywords],
) -> DistGridVectorEnv:
    """The vector environment that a file describes; see `load_env` and `DistGridVectorEnv`."""
    options = read_options(file)
    return _named(
        file,
        lambda: make_vector_env(
            replace(options, **changes), num_envs, autoreset_mode=autoreset_mode, threads=threads, copy=copy,
            max_episode_steps=max_episode_steps,
        ),
    )  # fmt: skip


def options_of_env(env: str) -> EnvOptions:
    """The options of a registered id, "distgrid/" perhaps left out, or those that a file describes.

    Raises:
        ConfigError: see `read_options`.
        ValueError: an unknown id; the nearest ones are suggested.
    """
    if is_config_file(env):
        return read_options(env)
    return EnvOptions(**registered(env if "/" in env else f"{NAMESPACE}/{env}").arguments())


def _has_phases(options: EnvOptions) -> bool:
    case = options.case
    return (case if isinstance(case, Feeder) else load_case(case)).phases == "per-phase"


def _named(file: str | Path, make: Any) -> Any:
    """What ``make`` returns; its errors begin with the name of the file."""
    try:
        return make()
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from error
