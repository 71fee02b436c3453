"""What docs/versioning.md states is what the code, the metadata and continuous integration do."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from distgrid.cases import profiles, schema

PYTHON_3 = "Programming Language :: Python :: 3."


@pytest.fixture(scope="module")
def page(repo_root: Path) -> str:
    return (repo_root / "docs" / "versioning.md").read_text()


@pytest.fixture(scope="module")
def supported(page: str) -> dict[str, tuple[str, str]]:
    """What is supported and how it is tested, by the first column of the last table."""
    table = page.partition("## Supported versions")[2]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {what: (versions, tested) for what, versions, tested in rows}


@pytest.fixture(scope="module")
def project(repo_root: Path) -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]
    return read


def constant(repo_root: Path, folder: str, name: str) -> Any:
    """The literal that a module of a folder assigns to `name`: wherever in the folder the module is."""
    found = []
    for path in (repo_root / folder).rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                found.append(ast.literal_eval(node.value))
    (value,) = found
    return value


def tried_numba(repo_root: Path) -> tuple[str, str]:
    """The oldest and the newest Numba that helpers of kernels were tried with, as the code has them."""
    oldest, newest = constant(repo_root, "physics", "TRIED_NUMBA")
    return ".".join(map(str, oldest)), ".".join(map(str, newest))


def test_pythons_are_those_of_the_metadata(
    supported: dict[str, tuple[str, str]], project: dict[str, Any]
) -> None:
    """The page, the classifiers and `requires-python` name the same releases."""
    stated = supported["Python"][0].split(", ")
    classified = [
        text.removeprefix("Programming Language :: Python :: ")
        for text in project["classifiers"]
        if text.startswith(PYTHON_3)
    ]
    assert stated == classified
    allowed = SpecifierSet(project["requires-python"])
    assert all(allowed.contains(release) for release in stated)
    assert not allowed.contains("3.10")
    assert project["requires-python"] == f">={stated[0]}"


def test_numba_is_that_of_the_code_and_of_the_metadata(
    supported: dict[str, tuple[str, str]], project: dict[str, Any], repo_root: Path
) -> None:
    """The lower bound, and up to which release helpers are compiled the fast way without a warning."""
    (numba,) = [each for each in map(Requirement, project["dependencies"]) if each.name == "numba"]
    versions, tested = supported["Numba"]
    oldest, newest = tried_numba(repo_root)
    assert versions == f"{oldest} or newer"
    assert str(numba.specifier) == f">={oldest}"
    assert tested.startswith(f"{oldest} to {newest} ")
    assert "InliningWarning" in tested
    pins = dict(
        line.split("==") for line in (repo_root / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert pins["numba"].startswith(f"{newest}."), "what make installs is the newest that was tried"


def test_platform_is_that_of_the_classifiers(
    supported: dict[str, tuple[str, str]], project: dict[str, Any], repo_root: Path
) -> None:
    """What is promised is what continuous integration runs on."""
    systems = [text for text in project["classifiers"] if text.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]
    assert supported["Platform"][0] == "Linux, x86-64"
    for path in (repo_root / ".github/workflows").glob("*.yml"):
        assert set(re.findall(r"runs-on: (\S+)", path.read_text())) == {"ubuntu-latest"}


def test_readme_and_guide_say_the_same(supported: dict[str, tuple[str, str]], repo_root: Path) -> None:
    """The short sentences of the pages that people read first."""
    pythons = supported["Python"][0].split(", ")
    oldest, newest = tried_numba(repo_root)
    readme = " ".join((repo_root / "README.md").read_text().split())
    assert f"Python {pythons[0]} to {pythons[-1]} on Linux (x86-64)" in readme
    assert f"Numba {oldest} or newer (tried to {newest})" in readme
    guide = " ".join((repo_root / "docs" / "guide.md").read_text().split())
    assert f"Python {pythons[0]} to {pythons[-1]} on Linux" in guide


def test_public_names_are_lists_that_exist(page: str) -> None:
    """Every `__all__` that the page promises, with every name in it."""
    row = next(line for line in page.splitlines() if line.startswith("| **Public names**"))
    named = re.findall(r"`(distgrid[\w.]*)`", row)
    assert {"distgrid", "distgrid.cases", "distgrid.physics", "distgrid.envs", "distgrid.baselines"} <= set(
        named
    )
    for name in named:
        module = import_module(name)
        assert all(hasattr(module, each) for each in module.__all__), name


def test_formats_are_those_that_are_written_and_read(page: str, repo_root: Path) -> None:
    """The schema of the feeder's tables and those of every `run.json`."""
    written, read = schema.SCHEMA_VERSION, schema.READABLE_VERSIONS
    assert (
        f"schema version {written} is written, versions {', '.join(read[:-1])} and {read[-1]} are read"
        in page
    )
    sources = "".join(path.read_text() for path in (repo_root / "baselines").rglob("*.py"))
    in_code = set(re.findall(r'^\w*SCHEMA = "(distgrid\.\w+/\d+)"$', sources, re.MULTILINE))
    assert in_code
    assert set(re.findall(r"`(distgrid\.\w+/\d+)`", page)) == in_code


def test_splits_are_those_that_are_hashed(page: str) -> None:
    """Every split with a pinned hash is named, and no other, beside the name of the set of the later ones."""
    sentence = page.partition("## Data and their hashes")[2].partition(" are fixed lists")[0]
    known = dict.fromkeys(split for found in profiles.SPLIT_SETS.values() for split in found)
    named = re.findall(r"`([\w-]+)`", sentence)
    assert [name for name in named if name not in profiles.SPLIT_SETS] == list(known)
