"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = ("baselines", "cases", "envs", "physics")
CODE = (*PACKAGE, "tests", "tools")


def sources(repo_root: Path, folders: tuple[str, ...]) -> list[Path]:
    """Python files of the given folders and of the root."""
    return sorted(repo_root.glob("*.py")) + [
        p for f in folders for p in sorted((repo_root / f).rglob("*.py"))
    ]


def test_no_module_is_larger_than_one_room(repo_root: Path) -> None:
    for path in sources(repo_root, CODE):
        lines = len(path.read_text().splitlines())
        assert lines <= 400, f"{path} has {lines} lines: split it"


def test_every_module_postpones_annotations(repo_root: Path) -> None:
    for path in sources(repo_root, CODE):
        text = path.read_text()
        if "from __future__ import annotations" not in text:
            assert len(ast.parse(text).body) <= 1, path  # no more than a docstring


def test_test_files_have_names_of_their_own(repo_root: Path) -> None:
    """Without `tests/__init__.py` two files of one name would be one module to mypy."""
    counts = Counter(path.name for path in (repo_root / "tests").rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []
    assert not (repo_root / "tests" / "__init__.py").exists()


@pytest.mark.slow
def test_no_broad_except_and_no_open_keyword_arguments(repo_root: Path) -> None:
    for path in sources(repo_root, PACKAGE):
        text = path.read_text()
        if "except" not in text and "**" not in text:  # nothing to be found: parsing takes long
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler):
                caught = "" if node.type is None else ast.unparse(node.type)
                assert caught not in ("", "Exception", "BaseException"), f"{path}:{node.lineno}"
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                rest = node.args.kwarg  # what a TypedDict lists is not open
                closed = rest is None or ast.unparse(rest.annotation or rest).startswith("Unpack[")
                assert closed, f"{path}:{node.lineno}: **kwargs in a public constructor"


def test_no_file_names_somebodys_machine(repo_root: Path) -> None:
    """A path that exists on one machine only makes a build that works on one machine only."""
    texts = [p for p in sources(repo_root, CODE) if p.name != Path(__file__).name]
    texts += [p for p in repo_root.iterdir() if p.suffix in (".toml", ".txt", ".md", ".cff", ".yml")]
    texts += (repo_root / "docs").rglob("*.md")
    texts += [repo_root / "Makefile", repo_root / "Dockerfile", repo_root / ".ci" / "run"]
    for path in texts:
        found = re.search(r"(?<![\w.])/(?:root|work|home/(?!grid\b)\w+|Users|opt)/", path.read_text())
        assert found is None, f"{path}: {found}"
