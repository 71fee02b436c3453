"""What all tests share: no display, few threads, reproducible examples from hypothesis."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

# Set before anything imports the libraries that read them; subprocesses inherit them.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# derandomize: the same examples on every machine; deadline off: the first call compiles a kernel.
settings.register_profile("distgrid", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("distgrid")


#: Folders of tests are kept in memory where there is room: half the time of a fuzz test is a disk's.
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before the first folder is made; who sets a place for them gets it."""
    option = session.config.option
    if option.basetemp is None and "PYTEST_DEBUG_TEMPROOT" not in os.environ and has_room(MEMORY):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


def has_room(folder: Path) -> bool:
    """Whether files may be written there, enough of them, and programs started."""
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):  # no such folder, or no such call: not Linux
        return False
    runs = not found.f_flag & getattr(os, "ST_NOEXEC", 0)
    return runs and os.access(folder, os.W_OK) and found.f_bavail * found.f_frsize >= ROOM_BYTES


# The files that take longest, longest first: pytest-xdist hands files out in this order, so that none of them
# is begun when the other workers have nothing left. The second one needs every kernel of the environments and
# so compiles them for all, in a fresh checkout, while the first one needs none.
LONGEST = (
    "cases/test_matpower_fuzz.py",
    "envs/test_days.py",
    "repo/test_site.py",
    "cases/test_table_fuzz.py",
    "repo/test_documents.py",
    "physics/test_kernel_cache.py",
    "cases/test_memory.py",
    "physics/test_random_trees.py",
    "baselines/test_bench.py",
    "cases/test_profile_fuzz.py",
    "baselines/test_run_folder.py",
    "baselines/test_bench_three_phase.py",
    "envs/test_registered_envs.py",
    "cases/test_dss_fuzz.py",
    "baselines/test_runner.py",
    "baselines/test_volt_var_targets.py",
    "envs/test_vector.py",
    "envs/test_vector3.py",
    "envs/test_volt_var3.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Leave the order of files as it is below; pytest-xdist would begin with those of most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then those of most tests; tests stay in the order of their file."""
    folder = Path(__file__).resolve().parent
    tests = Counter(item.path for item in items)
    rank = {folder / name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (rank.get(item.path, len(rank)), -tests[item.path], str(item.path)))


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parents[1]
