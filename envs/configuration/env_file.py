"""Environments as data: `EnvOptions` read from YAML, TOML and JSON, and written."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cases import Feeder
from ...cases import names as case_names
from ...cases.profiles import DT_H, Calendar, Profiles, TimeSeries, load_profiles
from ..core.face import MadeWithOptions
from ..core.options import EnvOptions
from .asset_fleet.making import options_from_assets
from .kinds import BASES, KIND, kind_of, kinds
from .text_files import ConfigError, ConfigText, read_text_file, yaml_text

#: Key of asset tables beside the fields of `EnvOptions`.
ASSETS = "assets"

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclasses.dataclass(frozen=True)
class ShippedYear:
    """How profiles are written: the shipped year in steps of ``dt_h`` hours."""

    dt_h: float = DT_H

    def profiles(self) -> Profiles | None:
        """The profiles; None where they are those of the default."""
        return None if self.dt_h == DT_H else load_profiles().resampled(self.dt_h)


@dataclasses.dataclass(frozen=True)
class WrittenSeries:
    """How a `TimeSeries` is written."""

    values: tuple[float, ...]
    calendar: Calendar

    def series(self) -> TimeSeries:
        """The series."""
        return TimeSeries(np.array(self.values), self.calendar)


def _profiles(given: ShippedYear | None) -> Profiles | None:
    return None if given is None else given.profiles()


def _prices(given: Any) -> Any:
    return given.series() if isinstance(given, WrittenSeries) else given


def read_options(file: str | Path) -> EnvOptions:
    """The options of an environment that a file describes; its ending is .yaml, .yml, .toml or .json.

    Keys are the fields of `EnvOptions`, and ``assets``: asset tables, a file or a folder, whose fleet comes
    after the ``resources``. Paths of ``case`` and ``assets`` are looked for beside the file first.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; names file, line, field and what
            was expected, and the nearest known key or kind for one that is unknown.
    """
    return _options(read_text_file(file), Path(file).parent)


def options_from_dict(content: Mapping[str, Any], name: str = "the configuration") -> EnvOptions:
    """The options that a mapping describes, as a file would hold it; ``name`` names it in messages."""
    return _options(ConfigText(name, content), None)


def _options(text: ConfigText, folder: Path | None) -> EnvOptions:
    from pydantic import ValidationError

    from .messages import told

    content = dict(text.content)
    assets = content.pop(ASSETS, None)
    case = content.get("case")
    if isinstance(case, str) and case not in case_names():
        content["case"] = _beside(folder, case)
    try:
        options: EnvOptions = _adapter().validate_python(content)
    except ValidationError as error:
        raise told(text, error) from error
    return options if assets is None else _with_assets(options, assets, text, folder)


def _beside(folder: Path | None, path: str) -> str:
    """A path as it is meant: beside the file where there is something."""
    return path if folder is None or not (folder / path).exists() else str(folder / path)


def _with_assets(options: EnvOptions, assets: Any, text: ConfigText, folder: Path | None) -> EnvOptions:
    """With the fleet of asset tables, and the series of its plants."""
    where = text.where((ASSETS,))
    if not isinstance(assets, str):
        raise ConfigError(f"{where} must be a text, the path of asset tables, got {assets!r}")
    given = {item.name: getattr(options, item.name) for item in dataclasses.fields(options)}
    case, resources = given.pop("case"), given.pop("resources")
    try:
        made = options_from_assets(case, _beside(folder, assets), **given)
    except ValueError as error:  # of cases, too
        raise ConfigError(f"{where}: {error}") from error
    return dataclasses.replace(made, case=case, resources=(*resources, *made.resources))


def _adapter() -> TypeAdapter[Any]:
    """Made anew where people have imported classes of their own meanwhile."""
    return _adapter_of(tuple(cls for base in BASES for cls in kinds(base).values()))


@functools.lru_cache(maxsize=4)
def _adapter_of(_known: tuple[type, ...]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    from .field_models import Special, written_form

    special = {
        "profiles": Special(written_form(ShippedYear) | None, _profiles),
        "prices": Special(str | tuple[float, ...] | written_form(WrittenSeries) | None, _prices),
    }
    return TypeAdapter(written_form(EnvOptions, special))


def options_schema() -> dict[str, Any]:
    """The JSON schema of such a file, for editors."""
    schema = _adapter().json_schema()
    about = "asset tables, a file or a folder beside this file; their fleet comes after the resources"
    schema["properties"][ASSETS] = {"type": "string", "description": about}
    return schema


# -- writing -------------------------------------------------------------------------------------------------


def options_to_dict(source: EnvOptions | MadeWithOptions) -> dict[str, Any]:
    """The plain mapping that `options_from_dict` reads as equal options: what is as by default is left out.

    Args:
        source: options, or an environment that was made with some (without wrappers).

    Raises:
        ConfigError: something has no written form: a feeder, load or power flow that was made in Python.
    """
    options = source if isinstance(source, EnvOptions) else source.options
    found: dict[str, Any] = {"case": _written_case(options.case)}
    for item in dataclasses.fields(options):
        value = getattr(options, item.name)
        if item.name == "case" or _is_default(item, value):
            continue
        if item.name == "profiles":
            found[item.name] = _written_profiles(value)
        else:
            found[item.name] = plain(value, item.name)
    return found


def write_options(source: EnvOptions | MadeWithOptions, file: str | Path) -> Path:
    """Write what `read_options` reads as equal options; .yaml, .yml or .json."""
    return write_plain(options_to_dict(source), Path(file))


def write_plain(content: Mapping[str, Any], path: Path) -> Path:
    """Write a mapping as the ending says. ConfigError for another ending."""
    if path.suffix.lower() == ".json":
        text = json.dumps(content, indent=2) + "\n"
    elif path.suffix.lower() in (".yaml", ".yml"):
        text = yaml_text(content)
    else:
        raise ConfigError(f"{path} must end in .yaml, .yml or .json")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    return temporary.replace(path)


def _written_case(case: str | Path | Feeder) -> str:
    if isinstance(case, Feeder):
        raise ConfigError(
            f"feeder {case.name!r} was made in Python: write it by feeder.save(folder) and give case=folder"
        )
    return case if isinstance(case, str) and case in case_names() else str(Path(case).resolve())


def _written_profiles(profiles: Profiles) -> dict[str, Any]:
    whole = load_profiles().resampled(profiles.dt_h)
    same = all(getattr(profiles, name) == getattr(whole, name) for name in ("folder", "calendar", "splits"))
    if same and not profiles.own_series():
        return {"dt_h": profiles.dt_h}
    raise ConfigError("profiles have a written form where they are the shipped year, all of it")


def _is_default(item: dataclasses.Field[Any], value: Any) -> bool:
    default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
    if isinstance(value, np.ndarray) or isinstance(default, np.ndarray):
        return value is default
    return type(value) is type(default) and bool(value == default)


def plain(value: Any, where: str) -> Any:
    """``value`` as YAML and JSON have it; ConfigError, which says ``where``, for what they do not have."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{where}.{key}") for key, one in value.items()}
    if isinstance(value, tuple | list | range):
        return [plain(one, f"{where}[{k}]") for k, one in enumerate(value)]
    if dataclasses.is_dataclass(value) and not callable(value):
        return _plain_fields(value, where)
    raise ConfigError(f"{where} is a {type(value).__name__}, which has no written form")


def _plain_fields(value: Any, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {KIND: kind_of(type(value))} if isinstance(value, BASES) else {}
    for item in dataclasses.fields(value):
        one = getattr(value, item.name)
        if item.init and not _is_default(item, one):
            pairs = item.name == "parameters" and isinstance(one, tuple)  # of a Term, kept as pairs
            found[item.name] = plain(dict(one) if pairs else one, f"{where}.{item.name}")
    return found
