"""Files of configuration that people write: YAML, TOML, JSON, read without surprises.

YAML is read as YAML 1.2 means it: ``on``, ``no`` and ``12:30`` are texts, ``1e-3`` is a number. A key that is
written twice is an error in all three. Every place of a YAML file is remembered by its line, for messages.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_MOST_BYTES = 1 << 24
_MOST_DEPTH, _MOST_VALUES = 50, 1_000_000

#: Keys and positions from the top of a file to a value: ("resources", 2, "p_mw").
Place = tuple[str | int, ...]


class ConfigError(ValueError):
    """What is wrong with a file of configuration: names file, line (of YAML), field, what was expected."""


@dataclass(frozen=True)
class ConfigText:
    """What a file holds.

    Attributes:
        name: Of the file, for messages.
        content: Its mapping.
        lines: Of places, counted from 1; of YAML alone.
    """

    name: str
    content: Mapping[str, Any]
    lines: Mapping[Place, int] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """File, line and field: "mine.yaml, line 3: resources[2].p_mw"."""
        known = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in self.lines), None)
        line = "" if known is None else f", line {self.lines[known]}"
        shown = _shown(place)
        return f"{self.name}{line}" + (f": {shown}" if shown else "")


def is_config_file(text: str) -> bool:
    """Whether a text names a file of configuration, by its ending."""
    return Path(text).suffix.lower() in SUFFIXES


def read_text_file(path: str | Path) -> ConfigText:
    """The content of a file.

    Raises:
        ConfigError: There is no such file, its ending is another one, its syntax is wrong (with line and
            column), a key is there twice, or it holds no mapping.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{path} must end in .yaml, .yml, .toml or .json")
    text = _read(path)
    lines: dict[Place, int] = {}
    try:
        if suffix == ".json":
            content = json.loads(text, object_pairs_hook=_each_once)
        elif suffix == ".toml":
            content = tomllib.loads(text)
        else:
            content = _YamlReader(lines).read(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error or 'it is nested too deeply'}") from error
    if not isinstance(content, dict):
        held = "nothing" if content is None else f"a {type(content).__name__}"
        raise ConfigError(f"{path} must hold a mapping of names to values, it holds {held}")
    for key in content:
        if not isinstance(key, str):
            raise ConfigError(f"{path} must hold names and values, one of its names is {key!r}")
    return ConfigText(str(path), content, lines)


def nearest(what: str, value: str, known: Iterable[str]) -> str:
    """The words for a ``value`` that is no ``what``: the nearest of ``known``, and all of them."""
    names = list(known)
    lowered = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(value.lower(), lowered, n=1, cutoff=0.4)
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else "."
    return f"unknown {what} {value!r}{hint} Known: {', '.join(names) or 'none'}"


def yaml_text(content: Mapping[str, Any]) -> str:
    """``content`` as YAML that reads back as the same values; small mappings and lists on a line each."""
    return yaml.dump(
        dict(content), Dumper=_Writer, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110
    )


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} is larger than {_MOST_BYTES >> 20} MB: it is no configuration")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {path}: it is not text") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is there twice")
        found[key] = value
    return found


def _shown(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_INT = re.compile(r"^[-+]?[0-9]+$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class _Loader(yaml.SafeLoader):
    """Scalars as the core schema of YAML 1.2 has them."""


class _Writer(yaml.SafeDumper):
    """Quotes what either version of YAML would read as something else than a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", _BOOL, "tTfF"), ("int", _INT, "-+0123456789"), ("float", _FLOAT, "-+.0123456789"),
    ("null", _NULL, ["~", "n", "N", ""]),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))
_Writer.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


class _YamlReader:
    """Turns the nodes of a document into plain values, and notes their lines."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self._lines, self._n_values = lines, 0

    def read(self, text: str) -> Any:
        """The value of the only document. ValueError with line and column for what is no YAML."""
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else self._value(loader, node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
            raise ValueError(f"{at}{error.problem or error.context}") from error
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
        finally:
            loader.dispose()

    def _value(self, loader: _Loader, node: yaml.Node, place: Place) -> Any:
        self._n_values += 1
        if len(place) > _MOST_DEPTH or self._n_values > _MOST_VALUES:  # aliases of aliases, too
            raise ValueError("it is nested too deeply, or too large")
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(loader, one, (*place, k)) for k, one in enumerate(node.value)]
        return self._scalar(loader, node)

    def _scalar(self, loader: _Loader, node: yaml.Node) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:"):
            raise ValueError(f"{_at(node)}: tag {node.tag!r} is not known here")
        value = loader.construct_object(node, deep=True)
        return int(node.value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _mapping(self, loader: _Loader, node: yaml.MappingNode, place: Place) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise ValueError(f"{_at(key_node)}: a key must be a single name")
            key = self._scalar(loader, key_node)
            if key in found:
                raise ValueError(f"{_at(key_node)}: key {key!r} is there twice")
            here = (*place, str(key))
            self._lines[here] = key_node.start_mark.line + 1
            found[key] = self._value(loader, value_node, here)
        return found


def _at(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"
