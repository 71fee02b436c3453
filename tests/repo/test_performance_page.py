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

from distgrid.baselines.bench.report import results
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


def spread(median: float) -> results.Spread:
    """All rounds alike."""
    return results.Spread(median=median, q1=median, q3=median)


def timing(seconds: float) -> results.Timing:
    """A call that takes so long by both clocks."""
    return results.Timing(wall_s=spread(seconds), cpu_s=spread(seconds), rounds=3, calls_per_round=2)


def row(solver: str, seconds: float | None, ratio: float | None = None) -> results.ReportRow:
    """One solver, not timed without seconds."""
    ratios = (
        [] if ratio is None else [results.Ratio(of="distgrid solve", wall=spread(ratio), cpu=spread(9.0))]
    )
    timed = None if seconds is None else timing(seconds)
    return results.ReportRow(solver=solver, package="", options="", timing=timed, ratios=ratios)


def comparison(feeder: str, rows: list[results.ReportRow], batch: int = 1) -> results.Comparison:
    """Solvers on a feeder."""
    return results.Comparison(
        feeder=feeder, buses=33, solves_per_call=batch, target_error_pu=1e-8, reference="Newton",
        agreement_pu=0.0, v_min_pu=0.9, rows=rows,
    )  # fmt: skip


MACHINE = results.Machine(
    cpu="one", cores=2, usable_cores=2, load_average=None, system="", python="3.11", versions={},
    thread_variables={}, taken_at="2026-11-21",
)  # fmt: skip


def test_what_is_kept_of_power_flows(tool: Any) -> None:
    """Every solver that was timed; of a batch the time of one power flow; ratios by the clock on the wall."""
    report = results.PfReport(
        quick=True, machine=MACHINE, scaling=[], exponents=[], threads=[], peaks=None, limits=[], targets=[],
        single=comparison("case33bw", [row("distgrid solve", 2e-6, 1.0), row("slow", 1e-3, 500.0)]),
        batch=[comparison("case33bw", [row("distgrid solve", 4e-3, 1.0), row("missing", None)], batch=1000)],
    )  # fmt: skip
    kept = tool.numbers(report.model_dump(mode="json"))
    assert kept["machine"] == {"cpu": "one", "usable_cores": 2, "python": "3.11", "taken_at": "2026-11-21"}
    found = [(r["rows"], r["solver"], r["wall_s"], r["over_distgrid_solve"]) for r in kept["rows"]]
    assert found == [
        (1, "distgrid solve", 2e-6, 1.0),
        (1, "slow", 1e-3, 500.0),
        (1000, "distgrid solve", pytest.approx(4e-6), 1.0),
    ]
    assert {r["phases"] for r in kept["rows"]} == {1}


def test_what_is_kept_of_environments(tool: Any) -> None:
    """Rates by the clock on the wall; one environment where none are counted."""
    one = results.EnvRow(env="e", way="w", timing=timing(1.0), steps_per_s=7.0, steps_per_cpu_s=9.0)
    report = results.EnvReport(quick=True, machine=MACHINE, rows=[one], profiles=[], targets=[])
    kept = tool.numbers(report.model_dump(mode="json"))
    assert kept["rows"] == [{"env": "e", "way": "w", "num_envs": 1, "steps_per_s": 7.0}]
