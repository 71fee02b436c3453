"""Pieces of Markdown: tables, tabs, numbers, docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers are set right by nobody, which reads well enough."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def tabs(texts: Mapping[str, str]) -> str:
    """One tab for each title; a single one needs no tab."""
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n".join(f'=== "{title}"\n\n{textwrap.indent(text, "    ")}' for title, text in texts.items())


def prose(thing: object) -> str:
    """A docstring as Markdown."""
    return google_sections(plain_code(inspect.getdoc(thing) or "")) + "\n"


def plain_code(text: str) -> str:
    """Text without reST roles and doubled backticks."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")


def google_sections(text: str) -> str:
    """Text with the sections of Google's convention ("Args:") as bold headings over lists."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if re.fullmatch(r"(Args|Attributes|Raises|Returns|Yields|Note|Example)s?:", line):
            lines += [f"**{line.removesuffix(':')}**", ""]
            inside = True
        elif inside and re.match(r"    \S", line):
            lines.append(re.sub(r"^    (\*{0,2}\w+)(?: \([^)]*\))?: ", r"- `\1`: ", line))
        else:
            inside = inside and (not line.strip() or line.startswith("    "))
            lines.append(line.removeprefix("    ") if inside else line)
    return "\n".join(lines)


def sections(text: str) -> dict[str, str]:
    """The parts of a text below its "## headings"."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {
        heading.strip(): body.strip() + "\n" for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def number(value: float) -> str:
    """A bound or rating, short but exact enough to check by hand."""
    return f"{value:.4g}" if np.isfinite(value) else "none"


def span(values: Iterable[float]) -> str:
    """One number, or the range of several."""
    ordered = sorted(set(values))
    ends = [number(ordered[0]), number(ordered[-1])]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def listed(names: Iterable[object]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def sentence(text: str) -> str:
    """Text with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def between_marks(text: str, mark: str, content: str) -> str:
    """`text` with what stands between `<!-- mark:start -->` and `<!-- mark:end -->` replaced.

    ValueError if it has no such marks.
    """
    start, end = f"<!-- {mark}:start -->", f"<!-- {mark}:end -->"
    head, _, rest = text.partition(start)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"put {start} and {end} where the table belongs")
    return f"{head}{start}\n{content}{end}{tail}"
