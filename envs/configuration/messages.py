"""What is wrong with a configuration, in plain words: file, line, field, value, and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from .text_files import ConfigError, ConfigText, Place, nearest

_WANTED = {
    "bool_type": "true or false", "int_type": "a whole number", "int_from_float": "a whole number",
    "float_type": "a number", "string_type": "a text", "tuple_type": "a list", "list_type": "a list",
    "dict_type": "a mapping of names to values", "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
}  # fmt: skip


def told(text: ConfigText, error: ValidationError) -> ConfigError:
    """The first thing that is wrong with ``text``.

    Where a value may be several things, what is said is of that which it resembles most.
    """
    found = [(_place(text.content, one), one) for one in error.errors()]
    telling = [pair for pair in found if pair[1]["type"] not in _WANTED] or found
    first = telling[0][0]
    place = max((at for at, _ in telling if at[: len(first)] == first), key=len)
    here = [one for at, one in telling if at == place]
    wanted = list(dict.fromkeys(_WANTED[one["type"]] for one in here if one["type"] in _WANTED))
    if wanted:
        said = f"must be {' or '.join(wanted)}, got {_value(here[0]['input'])}"
        return ConfigError(f"{text.where(place)} {said}")
    return ConfigError(_explained(text, place, here[0]))


def _explained(text: ConfigText, place: Place, error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"{text.where(place)} is missing"
    if kind == "union_tag_not_found":
        return f"{text.where(place)} needs a kind: the name of its class"
    if kind == "union_tag_invalid":
        known = [name.strip(" '") for name in context["expected_tags"].split(",")]
        own = " (import the module of your own first)" if ":" in context["tag"] else ""
        return f"{text.where((*place, 'kind'))}: {nearest('kind', context['tag'], known)}{own}"
    if kind == "unknown_name":
        return f"{text.where((*place, context['name']))}: {context['words']}"
    if kind == "formless":
        where = text.where((*place, context["name"]))
        return f"{where} has no written form: load the file in Python and give it as an argument"
    if kind == "value_error":
        return f"{text.where(place)}: {context['error']}"
    return f"{text.where(place)}: {error['msg']}, got {_value(error['input'])}"


def _place(content: Any, error: Any) -> Place:
    """Where an error is: its location without the names of types, which pydantic puts between."""
    loc, missing = error["loc"], error["type"] == "missing"
    found: list[str | int] = []
    for k, part in enumerate(loc):
        if isinstance(content, Mapping) and (part in content or (missing and k == len(loc) - 1)):
            found.append(part)
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int):
            found.append(part)
            content = content[part] if part < len(content) else None
    return tuple(found)


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"a {type(value).__name__}"
