"""A release is built once, tested as it ships, published without a password, described by the changelog."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import distgrid


@pytest.fixture(scope="module")
def jobs(repo_root: Path) -> dict[str, Any]:
    workflow = yaml.safe_load((repo_root / ".github/workflows/release.yml").read_text())
    assert workflow[True] == {"push": {"tags": ["v*"]}}, "YAML reads the key `on` as true"
    assert workflow["permissions"] == {"contents": "read"}
    found: dict[str, Any] = workflow["jobs"]
    return found


@pytest.fixture(scope="module")
def tool(repo_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_notes", repo_root / "tools" / "release_notes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(job: dict[str, Any]) -> str:
    """All that a job runs in a shell."""
    return "\n".join(step["run"] for step in job["steps"] if "run" in step)


def test_jobs_follow_each_other(jobs: dict[str, Any]) -> None:
    """Nothing is published that was not tested, nothing announced that was not published."""
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "build": None,
        "test": "build",
        "publish": ["build", "test"],
        "announce": "publish",
    }


def test_the_tag_is_checked_before_anything_is_built(jobs: dict[str, Any]) -> None:
    """And the build takes pinned tools, without an environment of its own."""
    text = commands(jobs["build"])
    assert 'tools/release_notes.py "$GITHUB_REF_NAME"' in text
    assert text.index("release_notes.py") < text.index("python -m build --no-isolation")
    assert "-c constraints.txt build setuptools" in text


def test_the_wheel_is_tested_on_every_python(jobs: dict[str, Any], repo_root: Path) -> None:
    """The one that was built, with the extras of the tests, not the checkout."""
    ci = yaml.safe_load((repo_root / ".github/workflows/ci.yml").read_text())["jobs"]
    job, text = jobs["test"], commands(jobs["test"])
    assert job["strategy"]["matrix"]["python"] == ci["tests"]["strategy"]["matrix"]["python"]
    extras = set(re.findall(r"\[([a-z,]+)\]", f"{text}\n{commands(ci['versions'])}"))
    made = set(re.findall(r"\[([a-z,]+)\]'", (repo_root / "Makefile").read_text()))
    # RLlib and the adapters have environments of their own; `opendss` alone is what `make demo` installs.
    assert extras == made - {"rllib,agents", "agents", "opendss"}
    assert "'site-packages' in distgrid.__file__" in text
    assert "pytest" in text.splitlines()[-1]
    assert "build" not in text


def test_publishing_needs_no_password(jobs: dict[str, Any]) -> None:
    """Trusted publishing: only this job gets an identity, and only in the environment that PyPI knows."""
    job = jobs["publish"]
    assert job["environment"] == "pypi"
    assert job["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in job["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    others = [name for name, each in jobs.items() if "id-token" in each.get("permissions", {})]
    assert others == ["publish"]
    assert jobs["announce"]["permissions"] == {"contents": "write"}


def test_no_shell_command_takes_in_what_others_wrote(repo_root: Path) -> None:
    """`${{ github.… }}` inside a command is pasted into the shell: names of tags and branches may be code."""
    for path in (repo_root / ".github/workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            assert "${{ github." not in commands(job), path
            assert "secrets." not in path.read_text()


def test_notes_are_the_section_of_the_version(tool: ModuleType, repo_root: Path) -> None:
    """All of it, and nothing of the section before or after."""
    notes = tool.release_notes(f"v{distgrid.__version__}", repo_root)
    changelog = (repo_root / "CHANGELOG.md").read_text()
    assert notes in changelog
    assert "\n## " not in notes
    assert notes.startswith("### ")


@pytest.mark.parametrize("tag", ["v9.9.9", distgrid.__version__, f"v{distgrid.__version__}rc1", "main"])
def test_another_tag_is_refused(tag: str, tool: ModuleType, repo_root: Path) -> None:
    """Another number, no `v`, a suffix, no number."""
    with pytest.raises(ValueError, match="but the tag is"):
        tool.release_notes(tag, repo_root)


@pytest.fixture
def tree(repo_root: Path, tmp_path: Path) -> Path:
    """The files that state the version."""
    for name in ("pyproject.toml", "__init__.py", "CITATION.cff", "CHANGELOG.md"):
        shutil.copy(repo_root / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", ["pyproject.toml", "__init__.py", "CITATION.cff"])
def test_a_file_left_behind_is_named(name: str, tool: ModuleType, tree: Path) -> None:
    """A version raised in all files but one."""
    version = distgrid.__version__
    for each in {"pyproject.toml", "__init__.py", "CITATION.cff"} - {name}:
        path = tree / each
        path.write_text(
            re.sub(rf"^((?:__)?version(?:__)?\W+){version}", r"\g<1>8.0.0", path.read_text(), flags=re.M)
        )
    with pytest.raises(ValueError, match=rf"^{re.escape(name)}: version {re.escape(version)}"):
        tool.release_notes("v8.0.0", tree)


def test_a_version_without_notes_is_refused(tool: ModuleType, tree: Path) -> None:
    """Nothing is released that the changelog does not describe."""
    changelog = tree / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().partition(f"## [{distgrid.__version__}]")[0])
    with pytest.raises(ValueError, match=r"CHANGELOG\.md: no text under"):
        tool.release_notes(f"v{distgrid.__version__}", tree)


def test_the_tool_needs_nothing_but_python(repo_root: Path) -> None:
    """It runs before anything is installed."""
    imported = re.findall(r"^(?:from|import) (\w+)", (repo_root / "tools/release_notes.py").read_text(), re.M)
    assert set(imported) <= sys.stdlib_module_names
