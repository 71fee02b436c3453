"""The forms for issues and pull requests ask for what is needed, and the hooks stop what lint would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FORMS = ("bug", "wrong-number", "feature")
KINDS = ("markdown", "textarea", "input", "dropdown", "checkboxes")

#: Without these nobody could reproduce or decide: they are required.
NEEDED = {
    "bug": {"reproduce", "happened", "expected", "version", "environment"},
    "wrong-number": {"feeder", "quantity", "ours", "theirs", "engine", "reproduce", "version"},
    "feature": {"problem", "kind", "proposal", "reference"},
}
#: What the question of a field has to mention.
MENTIONED = {
    ("bug", "environment"): ("Python", "numba", "processor"),
    ("bug", "version"): ("distgrid version",),
    ("wrong-number", "quantity"): ("unit",),
    ("wrong-number", "engine"): ("version", "tolerance"),
    ("wrong-number", "ours"): ("converged",),
    ("feature", "reference"): ("licence",),
}


def form(repo_root: Path, name: str) -> dict[str, Any]:
    """A form of `.github/ISSUE_TEMPLATE`."""
    read: dict[str, Any] = yaml.safe_load((repo_root / ".github/ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    return read


def fields(repo_root: Path, name: str) -> dict[str, dict[str, Any]]:
    """The fields of a form that people fill in, by id."""
    return {field["id"]: field for field in form(repo_root, name)["body"] if field["type"] != "markdown"}


@pytest.mark.parametrize("name", FORMS)
def test_form_is_as_github_wants_it(name: str, repo_root: Path) -> None:
    """A form that breaks a rule of GitHub's schema is not shown at all."""
    read = form(repo_root, name)
    assert set(read) <= {"name", "description", "title", "labels", "assignees", "body", "projects", "type"}
    assert read["name"]
    assert read["description"]
    ids = [field.get("id") for field in read["body"] if field["type"] != "markdown"]
    assert ids
    assert len(set(ids)) == len(ids)
    assert None not in ids
    labels = [field["attributes"].get("label") for field in read["body"] if field["type"] != "markdown"]
    assert len(set(labels)) == len(labels)
    for field in read["body"]:
        assert field["type"] in KINDS
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert field["attributes"]["value" if field["type"] == "markdown" else "label"]
        if field["type"] == "dropdown":
            options = field["attributes"]["options"]
            assert all(isinstance(option, str) for option in options), "YAML reads Yes and No as booleans"
            assert len(set(options)) == len(options) > 1


@pytest.mark.parametrize("name", FORMS)
def test_form_requires_what_is_needed(name: str, repo_root: Path) -> None:
    """Nobody can send a report that nobody could reproduce."""
    asked = fields(repo_root, name)
    required = {key for key, field in asked.items() if field.get("validations", {}).get("required")}
    assert NEEDED[name] <= required


@pytest.mark.parametrize(("name", "field"), MENTIONED)
def test_field_says_what_it_wants(name: str, field: str, repo_root: Path) -> None:
    """The version, the unit and the tolerance are asked for where they are to be written."""
    attributes = fields(repo_root, name)[field]["attributes"]
    text = f"{attributes['label']} {attributes.get('description', '')}"
    for word in MENTIONED[name, field]:
        assert word in text


def test_there_is_no_other_form_and_no_blank_issue(repo_root: Path) -> None:
    """A blank issue would be a way around every question."""
    found = {path.stem for path in (repo_root / ".github/ISSUE_TEMPLATE").iterdir()}
    assert found == {*FORMS, "config"}
    settings = form(repo_root, "config")
    assert settings["blank_issues_enabled"] is False
    for link in settings["contact_links"]:
        assert set(link) == {"name", "url", "about"}


def test_pull_requests_are_asked_for_proof(repo_root: Path) -> None:
    """Tests, static checks, scores, changelog and promises are on the list."""
    text = (repo_root / ".github/pull_request_template.md").read_text()
    for word in (
        "make test",
        "make test-slow",
        "make lint",
        "days.json",
        "CHANGELOG.md",
        "docs/versioning.md",
    ):
        assert word in text
    assert (repo_root / "docs/versioning.md").exists()


@pytest.fixture
def repository(repo_root: Path, tmp_path: Path) -> Path:
    """A small git repository with our hooks, ruff's settings and a `.venv/bin/ruff`."""
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        (tmp_path / name).write_bytes((repo_root / name).read_bytes())
    ruff = tmp_path / ".venv" / "bin" / "ruff"
    ruff.parent.mkdir(parents=True)
    ruff.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ruff "$@"\n')
    ruff.chmod(0o755)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def run_hooks(folder: Path) -> subprocess.CompletedProcess[str]:
    """What git would run before a commit of `module.py`."""
    subprocess.run(["git", "add", "module.py"], cwd=folder, check=True)
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "run"],
        cwd=folder,
        env={**os.environ, "PRE_COMMIT_HOME": str(folder / ".hooks")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_hooks_stop_a_commit_that_lint_would_refuse(repository: Path) -> None:
    """What ruff can mend is mended and the commit stopped once; what it cannot stops it until it is."""
    module = repository / "module.py"
    module.write_text('"""A module."""\n\nfrom __future__ import annotations\n\nx = {  "a":1 }\n')
    assert run_hooks(repository).returncode != 0
    assert 'x = {"a": 1}' in module.read_text()
    done = run_hooks(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    module.write_text(f"{module.read_text()}\n\nimport cases\n\nprint(cases)\n")
    done = run_hooks(repository)
    assert done.returncode != 0
    assert "TID251" in done.stdout


def test_hooks_come_from_nowhere_else(repo_root: Path) -> None:
    """The ruff of `.venv`, which constraints.txt pins: nothing is downloaded and nothing is pinned twice."""
    settings = yaml.safe_load((repo_root / ".pre-commit-config.yaml").read_text())
    assert [each["repo"] for each in settings["repos"]] == ["local"]
    (local,) = settings["repos"]
    assert [hook["id"] for hook in local["hooks"]] == ["ruff-check", "ruff-format"]
    for hook in local["hooks"]:
        assert hook["entry"].startswith(".venv/bin/ruff ")
        assert "additional_dependencies" not in hook
