"""An environment like a new user's, without a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
