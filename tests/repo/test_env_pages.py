"""The pages of the environments say what the environments do."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml

import distgrid

IDS = [identity for identity in gymnasium.registry if identity.startswith("distgrid/")]


def documented_info(repo_root: Path) -> dict[str, bool]:
    """Key -> whether `reset` has it too, from the table of the overview page."""
    text = (repo_root / "docs" / "environments" / "index.md").read_text().partition("## Info")[2]
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): "reset" in row[1] for row in rows}


def test_environments_are_registered() -> None:
    assert distgrid.__version__
    assert len(IDS) >= 6


@pytest.mark.parametrize("identity", IDS)
def test_documented_info_keys_are_the_real_ones(identity: str, repo_root: Path) -> None:
    """Trap 24: documented keys that do not exist, and keys that exist and are documented nowhere."""
    documented = documented_info(repo_root)
    env: Any = gymnasium.make(identity).unwrapped
    after_reset = env.reset(seed=0)[1]
    after_step = env.step(env.neutral_action)[4]
    env.close()
    assert set(after_step) == set(documented)
    assert set(after_reset) == {key for key, at_reset in documented.items() if at_reset}


def test_generated_pages_and_tables_are_current(repo_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("gen_env_docs", repo_root / "tools" / "gen_env_docs.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.main(["--check"]) == 0, f"run tools/gen_env_docs.py\n{capsys.readouterr().out}"


def test_each_environment_has_its_page_in_the_site(repo_root: Path) -> None:
    names = {identity.removeprefix("distgrid/") for identity in IDS}
    navigation = (repo_root / "mkdocs.yml").read_text()
    assert yaml.safe_load(navigation)["strict"] is True
    listed = set(re.findall(r"environments/(\S+)\.md", navigation)) - {"index"}
    assert listed == names
    assert {page.stem for page in (repo_root / "docs" / "environments").glob("*.md")} - {"index"} == names


def test_readme_lists_each_environment(repo_root: Path) -> None:
    table = (repo_root / "README.md").read_text()
    table = table.partition("<!-- environments:start -->")[2].partition("<!-- environments:end -->")[0]
    assert set(re.findall(r"`(distgrid/[^`]+)`", table)) == set(IDS)
