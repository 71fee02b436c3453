"""An environment like a new user's, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

#: At any depth; and those that hold no source where they lie at the root of a checkout.
MADE = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "*.egg-info")
NOT_SOURCES = frozenset({"build", "dist", "docs", "runs", "site", "tests"})
OURS = ("distgrid", "_distgrid", "__editable__", "__pycache__")


def _empty_environment(folder: Path) -> Path:
    """A virtual environment in ``folder`` with every library of this process, and without distgrid."""
    venv, libraries = folder / "venv", folder / "libraries"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    libraries.mkdir()
    for place in (Path(path) for path in sys.path if Path(path).name == "site-packages"):
        for entry in place.iterdir():
            link = libraries / entry.name
            if not entry.name.startswith(OURS) and not link.exists():
                link.symlink_to(entry)
    (site,) = venv.glob("lib/*/site-packages")
    (site / "borrowed.pth").write_text(str(libraries))
    return venv


@pytest.fixture(scope="session")
def empty_environment() -> Callable[[Path], Path]:
    """A function that makes one in a folder and answers where it is."""
    return _empty_environment


@pytest.fixture(scope="session")
def copied_sources(repo_root: Path) -> Callable[..., Path]:
    """A function that copies the sources of this checkout into a folder of the name ``src`` in another."""

    def copy(folder: Path, *, without: Sequence[str] = ()) -> Path:
        def left_out(directory: str, names: list[str]) -> set[str]:
            at_root = NOT_SOURCES if Path(directory) == repo_root else frozenset()
            return {*MADE(directory, names), *at_root.intersection(names), *set(without).intersection(names)}

        return Path(shutil.copytree(repo_root, folder / "src", ignore=left_out))

    return copy
