"""Environments as files whose fleet stands in asset tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ...core.face import MadeWithOptions
from ...core.options import EnvOptions
from ..env_file import ASSETS, options_to_dict, write_plain
from ..making import options_of_env
from .writing import assets_of


def write_options_and_assets(
    source: str | EnvOptions | MadeWithOptions, file: str | Path, folder: str = "assets"
) -> Path:
    """Write a file that `read_options` reads, the fleet as asset tables that the file names.

    What is read is equal but for names: resources without one have that of their unit.

    Args:
        source: A registered id, options, or an environment that was made with some (without wrappers).
        file: Ends in .yaml, .yml or .json.
        folder: Of the tables, beside the file.

    Raises:
        CaseError: a resource that tables do not hold, by name.
        ConfigError: something else that has no written form.
    """
    path = Path(file)
    named = options_of_env(source) if isinstance(source, str) else source
    options = named if isinstance(named, EnvOptions) else named.options
    content = options_to_dict(dataclasses.replace(options, resources=()))
    owned = assets_of(options)
    written = write_plain({**content, ASSETS: folder}, path)
    owned.save(path.parent / folder)
    return written
