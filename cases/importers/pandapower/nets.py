"""pandapower nets from files, without what a file could make Python import, and copies of nets in memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import CaseError, Problem
from ...storage.regular_files import read_regular
from ..quiet import quiet

SUFFIXES = (".json",)
MAX_BYTES = 200 * 2**20
# pandapower's JSON names the module and class of every object that it makes again: these are made, no other.
_TRUSTED = ("pandapower", "pandas", "numpy", "networkx", "shapely", "geopandas")
_PLAIN = ("int", "float", "str", "bool", "complex", "tuple", "list", "dict", "set", "frozenset")
_TABLES = ("bus", "line", "ext_grid", "load")


def recognises(head: bytes) -> bool:
    """Whether a JSON file is a pandapower net, by its first bytes."""
    return b"pandapowerNet" in head or b"pandapower" in head


def read_net(path: Path) -> Any:
    """The net of a JSON file.

    Raises:
        CaseError: no such file, no net, or one that would import something else than tables.
    """
    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8")
    except OSError as error:
        raise _refused(path, f"a readable file ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise _refused(path, f"a UTF-8 file ({error.reason} at byte {error.start})") from error
    try:
        for module, name in _objects(json.loads(text)):
            if module.split(".")[0] not in _TRUSTED and not (module == "builtins" and name in _PLAIN):
                expected = "objects of pandapower and pandas only"
                raise _refused(path, expected, "_module", repr(f"{module}.{name}"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, CaseError):
            raise
        raise _refused(path, f"a whole JSON file ({error})") from error
    net = _decoded(path, text)
    if not all(hasattr(_get(net, name), "columns") for name in _TABLES):
        raise _refused(path, "a pandapower net with the tables bus, line, ext_grid and load")
    return net


def _objects(value: Any) -> Iterator[tuple[str, str]]:
    """Module and class of every object that a JSON value, or a text of JSON inside it, would make."""
    if isinstance(value, dict):
        if "_module" in value or "_class" in value:
            yield str(value.get("_module", "")), str(value.get("_class", ""))
        for part in value.values():
            yield from _objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part)
    elif isinstance(value, str) and ("_module" in value or "\\u" in value):
        try:
            inner = json.loads(value)
        except ValueError:
            return
        yield from _objects(inner)


def _decoded(path: Path, text: str) -> Any:
    with quiet():
        import pandapower as pp

        try:
            return pp.from_json_string(text)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise _refused(path, f"a pandapower net ({type(error).__name__}: {reason})") from error


def _get(net: Any, name: str) -> Any:
    try:
        return net[name]
    except (KeyError, TypeError, IndexError):
        return None


def _refused(path: Path, expected: str, field: str = "", value: str = "") -> CaseError:
    return CaseError([Problem(str(path), None, field, value, expected)])


def copied(net: Any) -> Any:
    """A net of its own: reading one computes columns, and the caller's must not change."""
    with quiet():
        return copy.deepcopy(net)
