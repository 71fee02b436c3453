"""Measure, and put the tables into docs/performance.md.

    python tools/performance_page.py [--batch 2000] [--only pf|pf3|env|vector]

The text of the page stays; what stands between its `<!-- pf -->`, `<!-- pf3 -->`, `<!-- env -->` or
`<!-- vector -->` and the next `<!-- end -->` is replaced by what `distgrid bench ... --markdown` prints.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

#: Marks in the page, and the arguments of `distgrid bench` whose tables stand there.
_COMMANDS = {"pf": ("pf",), "pf3": ("pf", "--phases", "3"), "env": ("env",), "vector": ("vector",)}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def tables(*arguments: str) -> str:
    """What the command prints: the first lines name the machine."""
    command = [sys.executable, "-m", "distgrid", "bench", *arguments, "--markdown"]
    one_core = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # for tensorpowerflow, where it is installed
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=one_core)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    first_table = lines.index("")
    machine = [f"> {line}  " for line in lines[:first_table]]
    rest = re.sub(r"\n{3,}", "\n\n", "\n".join(lines[first_table:]).strip())
    tight = re.sub(r"  +\|", " |", re.sub(r"\|  +", "| ", rest))
    return "\n".join([*machine, "", f"`distgrid bench {' '.join(arguments)}`", "", tight])


def replace(text: str, mark: str, new: str) -> str:
    """The page with another block of tables."""
    head, found, tail = text.partition(f"<!-- {mark} -->\n")
    _, end, tail = tail.partition("<!-- end -->")
    if not (found and end):
        raise SystemExit(f"{PAGE} has no <!-- {mark} --> ... <!-- end -->")
    return f"{head}{found}\n{new}\n\n{end}{tail}"


def main() -> None:
    """Run all benchmarks, or one, and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2000, help="rows of the batches")
    parser.add_argument("--only", choices=tuple(_COMMANDS), help="measure one of them")
    arguments = parser.parse_args()
    text = PAGE.read_text()
    for mark in _COMMANDS:
        replace(text, mark, "")  # a page without its marks is told before minutes are spent
    for mark in _COMMANDS if arguments.only is None else (arguments.only,):
        batch = ("--batch", str(arguments.batch)) if _COMMANDS[mark][0] == "pf" else ()
        text = replace(text, mark, tables(*_COMMANDS[mark], *batch))
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
