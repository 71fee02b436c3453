"""The performance page: its charts and its short table show the numbers of its long tables."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from distgrid.cli import build_app

UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
Rows = list[dict[str, str]]


@pytest.fixture
def tool(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """tools/performance_page.py as a module."""
    monkeypatch.syspath_prepend(str(repo_root / "tools"))
    return import_module("performance_page")


@pytest.fixture
def kept(repo_root: Path) -> Any:
    """The numbers behind charts and short table."""
    return json.loads((repo_root / "docs" / "performance.json").read_text())


def tables(page: str, mark: str) -> dict[str, Rows]:
    """The tables behind a mark by title, their rows by heading."""
    block = page.partition(f"<!-- {mark} -->")[2].partition("<!-- end -->")[0]
    found = {}
    for title, lines in re.findall(r"^\*\*(.+?)\*\*\n\n((?:\|.*\n)+)", block, re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("| ").split("|")] for line in lines.splitlines()
        ]
        found[title] = [dict(zip(head, row, strict=True)) for row in rows]
    return found


def seconds(text: str) -> float:
    """7.97 µs in seconds."""
    number, unit = text.split()
    return float(number) * UNITS[unit]


def test_the_page_has_a_place_for_every_benchmark(tool: Any) -> None:
    """The tool finds its marks, and asks for commands that exist."""
    text = tool.PAGE.read_text()
    for mark, arguments in tool.COMMANDS.items():
        changed = tool.replace(text, mark, "tables of this mark")
        assert changed.count("tables of this mark") == 1
        result = CliRunner().invoke(build_app(), ["bench", *arguments, "--help"])
        assert result.exit_code == 0


def test_charts_show_the_times_of_the_tables(kept: Any, tool: Any) -> None:
    """Each program on each feeder, single and in a batch."""
    page = tool.PAGE.read_text()
    for mark in ("pf", "pf3"):
        told = {}
        for title, rows in tables(page, mark).items():
            feeder, batch = title.partition(",")[0], "rows a call" in title
            for row in rows:
                if "wall" in row and row["wall"] not in ("", "-") and "tolerance" in row:
                    told[feeder, batch, row["solver"]] = seconds(row["wall"])
        found = {(r["feeder"], r["rows"] > 1, r["solver"]): r["wall_s"] for r in kept[mark]["rows"]}
        assert found == pytest.approx(told, rel=6e-3), mark
        assert len(found) > 20


def test_charts_show_the_rates_of_the_tables(kept: Any, tool: Any) -> None:
    """Each way of playing each environment."""
    page = tool.PAGE.read_text()
    for mark in ("env", "vector"):
        rows = next(rows for title, rows in tables(page, mark).items() if title.startswith("Random actions"))
        told = {
            (row["environment"], row["way"], int(row.get("environments", "1").replace(",", ""))): float(
                row["steps/s"].replace(",", "")
            )
            for row in rows
        }
        found = {(r["env"], r["way"], r["num_envs"]): r["steps_per_s"] for r in kept[mark]["rows"]}
        assert found == pytest.approx(told, abs=0.51), mark


def test_the_short_table_has_ten_lines_and_comes_first(kept: Any, tool: Any) -> None:
    """Two charts, ten lines, then the rest; what stands there is what the tool would write."""
    page = tool.PAGE.read_text()
    head = page.partition("\n## ")[0]
    assert re.findall(r"!\[[^\]]+\]\(images/([\w-]+)\.png\)", head) == [
        "performance-power-flow",
        "performance-environments",
    ]
    assert len(re.findall(r"^\| (?!What|---)", head, re.MULTILINE)) == 10
    assert tool.replace(page, "short", tool.short(kept)) == page


def test_charts_are_drawn_from_what_is_kept(kept: Any, tool: Any, tmp_path: Path, repo_root: Path) -> None:
    """Without measuring anything; as large as those that are committed."""
    drawn = tool.draw(kept, tmp_path)
    assert len(drawn) == 2
    for path in drawn:
        with Image.open(path) as now, Image.open(repo_root / "docs" / "images" / path.name) as committed:
            assert now.size == committed.size
            assert len(now.convert("RGB").getcolors(1 << 24) or []) > 100


@pytest.mark.slow
def test_what_is_kept_comes_from_the_json_of_a_benchmark(tool: Any, tmp_path: Path) -> None:
    """A quick run: every solver that was timed, and time of one power flow of a batch."""
    path = tmp_path / "pf.json"
    command = ["bench", "pf", "--quick", "--batch", "20", "--json", str(path)]
    result = CliRunner().invoke(build_app(), command, catch_exceptions=False)
    assert result.exit_code == 0
    report = json.loads(path.read_text())
    kept = tool.numbers(report)
    timed = [
        (comparison["feeder"], comparison["solves_per_call"], row)
        for comparison in (report["single"], *report["scaling"], *report["batch"])
        for row in comparison["rows"]
        if row["timing"]
    ]
    assert [(r["feeder"], r["rows"], r["solver"]) for r in kept["rows"]] == [
        (feeder, rows, row["solver"]) for feeder, rows, row in timed
    ]
    for one, (_, rows, row) in zip(kept["rows"], timed, strict=True):
        assert one["wall_s"] == pytest.approx(row["timing"]["wall_s"]["median"] / rows)
    assert kept["machine"]["usable_cores"] == report["machine"]["usable_cores"]
