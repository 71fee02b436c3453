"""An extension of griffe: docstrings of this package as the pages of its interface need them."""

from __future__ import annotations

import re
from typing import Any

import griffe

from distgrid.envs.core.options import option_rows

_OPTIONS = {row.name: f"{row.meaning[:1].upper()}{row.meaning[1:]}." for row in option_rows()}
_EXAMPLE = re.compile(r"^(?:>>> .*\n?(?:(?!>>> )\S.*\n?)*)+", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]+)`")


class ReadableDocstrings(griffe.Extension):
    """Examples (">>> ") become blocks of code, roles plain code, comments of constants their docstrings."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of whatever was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """The package itself is no object of a package."""
        self.on_object(obj=pkg)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """A constant of a module without a docstring gets the comment beside or above it, an option of the
        environments what the tables say of it.
        """
        meaning = _OPTIONS.get(attr.name) if attr.parent is not None else None
        if meaning and attr.parent is not None and attr.parent.name == "EnvOptions":
            attr.docstring = griffe.Docstring(readable(meaning), lineno=attr.lineno, parent=attr)
        if attr.docstring is None and attr.parent is not None and attr.parent.is_module:
            attr.docstring = griffe.Docstring(comment_of(attr), lineno=attr.lineno, parent=attr)


def readable(text: str) -> str:
    """A docstring with examples fenced and without roles; the same again when it is so already."""
    if "```pycon" in text:
        return text
    return _EXAMPLE.sub(_fenced, _ROLE.sub(r"`\1`", text))


def comment_of(constant: griffe.Attribute) -> str:
    """The comment at the end of the constant's first line, or in the lines above it."""
    filepath, first = constant.filepath, constant.lineno or 1
    if isinstance(filepath, list):
        return "Constant."
    lines = filepath.read_text().splitlines()[:first]
    beside = re.search(r"  # (.+)$", lines[-1])
    if beside:
        return f"{beside[1]}."
    above: list[str] = []
    for line in reversed(lines[:-1]):
        if not line.startswith("#"):
            break
        above.insert(0, line.lstrip("#: "))
    return " ".join(above) or "Constant."


def _fenced(found: re.Match[str]) -> str:
    return f"```pycon\n{found[0].rstrip()}\n```\n"
