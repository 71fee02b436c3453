"""The files around the code agree with each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
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
    ".github/workflows/release.yml",
    ".pre-commit-config.yaml",
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


def test_one_address_everywhere(pyproject: dict[str, Any], repo_root: Path) -> None:
    """Where the project is found: package index, citation, forms."""
    urls = pyproject["project"]["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    home = urls["Homepage"]
    assert all(url == home or url.startswith(f"{home}/") for url in urls.values())
    assert yaml.safe_load((repo_root / "CITATION.cff").read_text())["repository-code"] == urls["Source"]
    forms = yaml.safe_load((repo_root / ".github/ISSUE_TEMPLATE/config.yml").read_text())
    assert all(link["url"].startswith(f"{home}/") for link in forms["contact_links"])
    for key in ("Documentation", "Changelog"):
        path = urls[key].partition("/main/")[2]
        assert (repo_root / path).exists(), path


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
        if extra != "rllib":  # pins a gymnasium of its own; make does not install it
            wanted += requirements
    for text in wanted:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} breaks {text}"
    assert pins["torch"] == "2.13.0"


#: What a distribution is called where it is imported, if that is not its name.
IMPORTED_AS = {
    "dss-python": "dss",
    "stable-baselines3": "stable_baselines3",
    "power-grid-model": "power_grid_model",
    "pyyaml": "yaml",
}
#: Imported where they were brought along by another, on which they depend.
BROUGHT = {"pandas": "pandapower", "pydantic_core": "pydantic", "torch": "stable_baselines3"}


@cache
def imported(repo_root: Path) -> tuple[tuple[str, str], ...]:
    """(module, file) of every import of another distribution in the package, in functions as well."""
    return tuple(_imported(repo_root))


def _imported(repo_root: Path) -> Iterator[tuple[str, str]]:
    folders = ("baselines", "cases", "envs", "physics")
    for path in [*repo_root.glob("*.py"), *(p for f in folders for p in (repo_root / f).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            elif (
                isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args
            ):
                names = [str(node.args[0].value)] if isinstance(node.args[0], ast.Constant) else []
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names:
                    yield top, path.relative_to(repo_root).as_posix()


def modules_of(requirements: list[str]) -> set[str]:
    """The modules that these requirements bring."""
    names = [canonicalize_name(Requirement(each).name) for each in requirements]
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


@pytest.mark.slow
def test_what_is_required_is_imported(pyproject: dict[str, Any], repo_root: Path) -> None:
    """A library is required as long as something imports it; what is only planned for is an extra."""
    required = modules_of(pyproject["project"]["dependencies"])
    assert required - {name for name, _ in imported(repo_root)} == set()


def test_what_is_imported_is_required_or_in_an_extra(pyproject: dict[str, Any], repo_root: Path) -> None:
    """A module that comes along with another library today may not do so tomorrow."""
    project = pyproject["project"]
    required = modules_of(project["dependencies"])
    extras = modules_of([each for wanted in project["optional-dependencies"].values() for each in wanted])
    for name, path in imported(repo_root):
        inside = path.startswith(
            "baselines/bench/"
        )  # times other people's programs, where they are installed
        known = required | extras if inside or {name, BROUGHT.get(name)} & extras else required
        assert {name, BROUGHT.get(name)} & known or inside, f"{path} imports {name}"


def test_readme_lists_the_extras(pyproject: dict[str, Any], repo_root: Path) -> None:
    text = (repo_root / "README.md").read_text().partition("Optional extras:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", text)) == set(pyproject["project"]["optional-dependencies"])


def test_the_lowest_versions_are_those_of_pyproject(pyproject: dict[str, Any], repo_root: Path) -> None:
    """What CI installs for its job with the oldest releases: one constraint for each requirement."""
    done = subprocess.run(
        [sys.executable, "tools/lowest_versions.py"],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    project = pyproject["project"]
    wanted = [*project["dependencies"]]
    for extra, requirements in project["optional-dependencies"].items():
        wanted += requirements if extra != "rllib" else []
    assert {"numpy==2.0.*", "numba==0.61.*", "pyarrow==18.0.*", "dss-python==0.15.7.*"} <= set(lines)
    assert [Requirement(line).name for line in lines] == [Requirement(each).name for each in wanted]


def test_constraints_hold_nothing_but_pins(repo_root: Path) -> None:
    for line in (repo_root / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line


@pytest.mark.parametrize("name", INSTALLING)
def test_nothing_names_a_registry(name: str, repo_root: Path) -> None:
    text = (repo_root / name).read_text()
    if name == "pyproject.toml":  # says where the project is; installs nothing from there
        text = re.sub(r"^\[project\.urls\]\n(\w+ = .*\n)+", "", text, flags=re.MULTILINE)
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


def test_actions_are_named_by_the_hash_of_a_commit(repo_root: Path) -> None:
    """A tag can be moved to other code; the comment says which release the hash is."""
    for path in (repo_root / ".github" / "workflows").glob("*.yml"):
        uses = [line for line in path.read_text().splitlines() if "uses:" in line]
        assert uses
        for line in uses:
            assert re.fullmatch(r"\s*- uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line), line


def test_continuous_integration_has_the_lowest_and_the_newest_releases(repo_root: Path) -> None:
    """Both on the wheel; with the newest, helpers of kernels both ways, so that a new Numba is tried."""
    job = yaml.safe_load((repo_root / ".github/workflows/ci.yml").read_text())["jobs"]["versions"]
    rows = {(row["releases"], row["inline"]) for row in job["strategy"]["matrix"]["include"]}
    assert rows == {("lowest", "draft"), ("newest", "draft"), ("newest", "plain")}
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert any("lowest_versions.py" in command for command in commands)
    assert any("dist/*.whl" in command and "install" in command for command in commands)
    assert "pytest" in commands[-1]
    assert not any("-e ." in command or "constraints.txt ." in command for command in commands)
