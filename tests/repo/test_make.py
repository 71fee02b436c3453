"""The makefile and the CI script do what the documents say. Nothing is installed here: targets run dry."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def dry_run(target: str, repo_root: Path, *variables: str) -> str:
    """The commands that `make TARGET` would run."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--always-make", target, *variables],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "target", ["setup", "demo", "test", "test-slow", "lint", "bench", "docs", "clean", "help"]
)
def test_target_exists(target: str, repo_root: Path) -> None:
    assert dry_run(target, repo_root)


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "lint", "bench", "docs"])
def test_target_starts_from_nothing(target: str, repo_root: Path) -> None:
    """Each target makes its virtual environment and installs with the pins before it does anything."""
    commands = dry_run(target, repo_root, "VENV=.venv-nowhere")
    assert "-m venv --clear .venv-nowhere" in commands
    assert "-c constraints.txt -e '.[opendss]'" in commands


def test_torch_is_installed_by_its_pin_before_what_needs_it(repo_root: Path) -> None:
    commands = dry_run("setup", repo_root)
    assert commands.index("^torch==") < commands.index(
        "[rl,ray,morl,agents,tui,bench,opendss,optimal,oracle,dev]"
    )


def test_demo_needs_no_learning_library(repo_root: Path) -> None:
    assert "torch" not in dry_run("demo", repo_root, "VENV=.venv-nowhere")


def test_demo_is_the_command_of_the_readme(repo_root: Path) -> None:
    words = dry_run("demo", repo_root).replace("\\\n", " ").split()
    start = words.index("run")
    demo = words[start:]
    assert demo[:4] == ["run", "distgrid/VoltVar-33bw-v1", "--policy", "do-nothing,volt-var-ieee1547"]
    assert demo[demo.index("--split") + 1] == "test"
    assert demo[demo.index("--out") + 1] == "runs/demo"


def test_an_old_python_is_refused_with_advice(repo_root: Path, tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_every_test_is_quick_or_slow(repo_root: Path) -> None:
    """The two targets run the same but for the tests that they choose, and leave none out."""
    quick, slow = (dry_run(target, repo_root).splitlines()[-1] for target in ("test", "test-slow"))
    assert quick.replace('-m "not slow"', "-m slow") == slow != quick


def test_ci_runs_tests_then_static_checks_and_stops_at_the_first_failure(repo_root: Path) -> None:
    script = repo_root / ".ci" / "run"
    lines = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert script.stat().st_mode & 0o111, "not executable"
    assert lines[0] == "set -euo pipefail"
    assert lines[-3:] == ["make test", "make test-slow", "make lint"]
