"""The wheel holds the package, its data and nothing else, and works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import distgrid

FOLDERS = ("baselines", "cases", "envs", "physics")


@pytest.fixture(scope="module")
def wheel(copied_sources: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from the sdist of a copy of the tree: building in place would leave files in the checkout.

    By way of the sdist, as a packager does: what it lacks, the wheel lacks.
    """
    work = tmp_path_factory.mktemp("wheel")
    copied_sources(work)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", work / "dist", work / "src"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (work / "dist").glob("*.whl")
    return built


def expected_files(repo_root: Path) -> set[str]:
    """What the tree says the wheel must hold: all sources of the package, all data, the marker of types."""
    files = {path.name for path in repo_root.glob("*.py")} | {"py.typed"}
    for folder in FOLDERS:
        files |= {path.relative_to(repo_root).as_posix() for path in (repo_root / folder).rglob("*.py")}
    for data in (
        repo_root / "cases" / "data",
        repo_root / "baselines" / "scoring" / "data",
        repo_root / "baselines" / "learned" / "data",
    ):
        files |= {path.relative_to(repo_root).as_posix() for path in data.rglob("*") if path.is_file()}
    return {f"distgrid/{name}" for name in files}


@pytest.mark.slow
def test_wheel_holds_the_tree_and_nothing_else(wheel: Path, repo_root: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = expected_files(repo_root)
    assert names - expected == set(), "these should not ship"
    assert expected - names == set(), "these are missing: see packages and package-data in pyproject.toml"


def test_wheel_is_pure_typed_and_licensed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "distgrid/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert any(name.startswith("distgrid/cases/data/") and name.endswith(".parquet") for name in names)


def test_every_subpackage_is_listed(repo_root: Path) -> None:
    listed = set(tomllib.loads((repo_root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {"distgrid"}
    for folder in FOLDERS:
        for init in (repo_root / folder).rglob("__init__.py"):
            found.add("distgrid." + ".".join(init.parent.relative_to(repo_root).parts))
    assert listed == found


def test_every_source_folder_is_a_package(repo_root: Path) -> None:
    """A folder without `__init__.py` imports in a checkout and is missing from the wheel."""
    for folder in FOLDERS:
        for source in (repo_root / folder).rglob("*.py"):
            assert (source.parent / "__init__.py").exists(), f"{source.parent} has no __init__.py"


def test_only_the_package_sits_at_the_root(repo_root: Path) -> None:
    """Every Python file at the root ships."""
    assert {path.name for path in repo_root.glob("*.py")} == {"__init__.py", "__main__.py", "cli.py"}


@pytest.mark.slow
def test_wheel_works_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    """Capability 126: the installed package finds its own data, whatever the working directory."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import distgrid, pathlib, sys\n"
        "assert pathlib.Path(distgrid.__file__).is_relative_to(sys.argv[1]), distgrid.__file__\n"
        "feeders = [distgrid.cases.load(name) for name in distgrid.cases.names()]\n"
        "print(sum(feeder.n_nodes for feeder in feeders))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(site)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1000


@pytest.mark.slow
def test_wheel_installs_into_an_empty_environment(
    wheel: Path, tmp_path: Path, empty_environment: Callable[[Path], Path]
) -> None:
    """A new user's first minute, without a network: install, both commands, the shipped feeders."""
    venv, empty = empty_environment(tmp_path), tmp_path / "empty"
    empty.mkdir()

    def run(*command: str) -> str:
        keep = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [str(venv / "bin" / command[0]), *command[1:]],
            cwd=empty,
            env=keep,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    run("python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel))
    where = run("python", "-W", "error", "-c", "import distgrid; print(distgrid.__file__)")
    assert Path(where).is_relative_to(venv)
    assert run("distgrid", "version") == run("python", "-m", "distgrid", "version") == distgrid.__version__
    assert "case33bw" in run("distgrid", "case", "list")
    assert list(empty.iterdir()) == []
