"""What CONTRIBUTING tells people to do works: its commands run, and the files that it names are there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line]
OF_VENV = [line for line in COMMANDS if line.startswith(".venv/bin/")]

SKIPPED = shutil.ignore_patterns(
    ".git", ".venv*", ".*_cache", "__pycache__", "*.egg-info", "build", "dist", "runs", "site"
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout under git: a command may write into it, hooks for example."""
    folder = tmp_path_factory.mktemp("clone") / "distgrid"
    shutil.copytree(ROOT, folder, ignore=SKIPPED)
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


def in_clone(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of `.venv/bin` by the interpreter of this test, whose environment may lie elsewhere."""
    program, *words = shlex.split(command)
    module = program.removeprefix(".venv/bin/").replace("-", "_")
    start = [sys.executable] if module == "python" else [sys.executable, "-m", module]
    return subprocess.run([*start, *words], cwd=folder, capture_output=True, text=True, check=False)


def test_commands_are_of_make_or_of_the_environment_that_it_made() -> None:
    """A reader has nothing else at that point; test_documents.py asks make for each of its targets."""
    assert {"make setup", "make test", "make test-slow", "make lint"} <= set(COMMANDS)
    others = [line for line in COMMANDS if not line.startswith("make ")]
    assert others == OF_VENV
    assert {line.split()[0] for line in others} >= {
        ".venv/bin/pre-commit",
        ".venv/bin/pytest",
        ".venv/bin/ruff",
    }


def cases(commands: list[str]) -> list[object]:
    """One test case for each command; a pytest inside a pytest takes seconds to begin."""
    slow = [pytest.mark.slow]
    return [pytest.param(line, marks=slow if "/pytest " in line else []) for line in commands]


@pytest.mark.parametrize("command", cases(OF_VENV))
def test_command_runs(command: str, clone: Path) -> None:
    """In a fresh clone; a test that it names is there, since pytest fails where it collects none."""
    done = in_clone(command, clone)
    assert done.returncode == 0, done.stdout + done.stderr
    if "pre-commit" in command:
        assert (clone / ".git" / "hooks" / "pre-commit").stat().st_mode & 0o111


def test_files_that_it_names_exist() -> None:
    """A module that moved would leave the reader with a wrong path."""
    named = re.findall(r"`((?:[\w.-]+/)+[\w.*-]*|[\w-]+\.(?:py|md|txt|toml|yml|cff))`", TEXT)
    assert len(named) > 20
    for name in named:
        assert any(ROOT.glob(name.rstrip("/"))), name


@pytest.mark.parametrize("what", ["device", "task", "importer", "verb"])
def test_there_is_a_section_for_each_thing_to_add(what: str) -> None:
    """With an example that runs, and what is to do before it ships."""
    section = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    (found,) = [part for part in section if re.match(rf"Add an? {what}\n", part)]
    assert "```python\n" in found
    assert "To ship" in found
