"""What all tests share: no display, few threads, reproducible examples from hypothesis."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Set before anything imports the libraries that read them; subprocesses inherit them.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# derandomize: the same examples on every machine; deadline off: the first call compiles a kernel.
settings.register_profile("distgrid", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("distgrid")


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parents[1]
