"""Measure, and put charts and tables into docs/performance.md.

    python tools/performance_page.py [--batch 2000] [--only pf|pf3|env|vector]
    python tools/performance_page.py --draw        # measure nothing: charts and short table from what is kept

The text of the page stays; what stands between its `<!-- pf -->`, `<!-- pf3 -->`, `<!-- env -->` or
`<!-- vector -->` and the next `<!-- end -->` is replaced by what `distgrid bench ... --markdown` prints. The
numbers of the two charts and of the short table (`<!-- short -->`) are kept in docs/performance.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from performance_charts import draw, short_table
from performance_numbers import numbers

#: Marks in the page, and the arguments of `distgrid bench` whose tables stand there.
COMMANDS = {"pf": ("pf",), "pf3": ("pf", "--phases", "3"), "env": ("env",), "vector": ("vector",)}
DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, KEPT, IMAGES = DOCS / "performance.md", DOCS / "performance.json", DOCS / "images"


def measured(*arguments: str) -> tuple[str, dict[str, Any]]:
    """What the command prints, whose first lines name the machine, and its JSON."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "distgrid", "bench", *arguments, "--markdown", "--json", str(report),
        ]  # fmt: skip
        one_core = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # for tensorpowerflow, where it is installed
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=one_core)
        found = json.loads(report.read_text())
    lines = [line.rstrip() for line in done.stdout.splitlines() if not line.startswith("written to ")]
    first_table = lines.index("")
    machine = [f"> {line}  " for line in lines[:first_table]]
    rest = re.sub(r"\n{3,}", "\n\n", "\n".join(lines[first_table:]).strip())
    tight = re.sub(r"  +\|", " |", re.sub(r"\|  +", "| ", rest))
    return "\n".join([*machine, "", f"`distgrid bench {' '.join(arguments)}`", "", tight]), found


def replace(text: str, mark: str, new: str) -> str:
    """The page with another block of tables."""
    head, found, tail = text.partition(f"<!-- {mark} -->\n")
    _, end, tail = tail.partition("<!-- end -->")
    if not (found and end):
        raise SystemExit(f"{PAGE} has no <!-- {mark} --> ... <!-- end -->")
    return f"{head}{found}\n{new}\n\n{end}{tail}"


def short(kept: Mapping[str, Any]) -> str:
    """What stands at the top: ten lines, and where they were measured."""
    machine = kept["pf"]["machine"]
    days = sorted({part["machine"]["taken_at"][:10] for part in kept.values()})
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    where = f"{machine['cpu']}, {machine['usable_cores']} cores, Python {machine['python']}, {when}."
    return f"{short_table(kept)}\n\n{where}"


def main() -> None:
    """Run all benchmarks, or one, or none, and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2000, help="rows of the batches")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", choices=tuple(COMMANDS), help="measure one of them")
    which.add_argument("--draw", action="store_true", help="measure none of them")
    arguments = parser.parse_args()
    text, kept = PAGE.read_text(), json.loads(KEPT.read_text())
    for mark in (*COMMANDS, "short"):
        replace(text, mark, "")  # a page without its marks is told before minutes are spent
    marks = () if arguments.draw else COMMANDS if arguments.only is None else (arguments.only,)
    for mark in marks:
        batch = ("--batch", str(arguments.batch)) if COMMANDS[mark][0] == "pf" else ()
        tables, report = measured(*COMMANDS[mark], *batch)
        text, kept[mark] = replace(text, mark, tables), numbers(report)
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    PAGE.write_text(replace(text, "short", short(kept)))
    for path in draw(kept, IMAGES):
        print(path)


if __name__ == "__main__":
    main()
