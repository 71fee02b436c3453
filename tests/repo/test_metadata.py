"""The files around the code agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import distgrid

# Files that tell a machine what to install or run: they may not name where packages come from.
INSTALLING = (
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    "Dockerfile",
    ".ci/run",
    ".github/workflows/ci.yml",
)


@pytest.fixture(scope="module")
def pyproject(repo_root: Path) -> dict[str, Any]:
    return tomllib.loads((repo_root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def pins(repo_root: Path) -> dict[str, str]:
    lines = (repo_root / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_one_version_everywhere(pyproject: dict[str, Any], repo_root: Path) -> None:
    citation = yaml.safe_load((repo_root / "CITATION.cff").read_text())
    assert pyproject["project"]["version"] == distgrid.__version__
    assert citation["version"] == distgrid.__version__
    changelog = (repo_root / "CHANGELOG.md").read_text()
    assert f"## [{distgrid.__version__}] - {citation['date-released']}" in changelog


def test_citation_has_what_the_format_requires(repo_root: Path) -> None:
    citation = yaml.safe_load((repo_root / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == "MIT"


def test_licence_is_mit(repo_root: Path) -> None:
    text = (repo_root / "LICENSE").read_text()
    assert text.startswith("MIT License")
    assert "2026 distgrid contributors" in text


def test_constraints_pin_everything_that_make_installs(
    pyproject: dict[str, Any], pins: dict[str, str]
) -> None:
    project = pyproject["project"]
    wanted = list(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        if extra != "ray":  # pins a gymnasium of its own; make does not install it
            wanted += requirements
    for text in wanted:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} breaks {text}"
    assert pins["torch"] == "2.13.0"


def test_constraints_hold_nothing_but_pins(repo_root: Path) -> None:
    for line in (repo_root / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line


@pytest.mark.parametrize("name", INSTALLING)
def test_nothing_names_a_registry(name: str, repo_root: Path) -> None:
    text = (repo_root / name).read_text()
    assert not re.search(
        r"index[-_]url|find[-_]links|trusted[-_]host|PIP_INDEX|UV_INDEX", text, re.IGNORECASE
    )
    assert not re.search(r"https?://", text)


def test_continuous_integration_covers_the_pythons_we_claim(
    pyproject: dict[str, Any], repo_root: Path
) -> None:
    workflow = yaml.safe_load((repo_root / ".github/workflows/ci.yml").read_text())
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    claimed = [c.rpartition(" ")[2] for c in pyproject["project"]["classifiers"] if "Python :: 3." in c]
    assert matrix == claimed == ["3.11", "3.12", "3.13"]
    assert pyproject["project"]["requires-python"] == f">={matrix[0]}"
    assert {"run": ".ci/run"} in workflow["jobs"]["tests"]["steps"]
