"""What all tests share: no display, few threads, kept bytecode, reproducible examples from hypothesis."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

# Set before anything imports the libraries that read them; subprocesses inherit them.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Containers often forbid bytecode; each of some hundred processes would then compile all sources anew, which
# is half of the time that it takes to import distgrid.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

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


# The files that are begun first: pytest-xdist hands files out in this order. The second one needs all kernels
# of the environments and so compiles them for all, in a fresh checkout; the first one and some after it need
# none, so that no other worker compiles the same. The rest are those that take longest: none of them is begun
# when the other workers have nothing left.
FIRST = (
    "baselines/test_own_job.py",
    "envs/test_days.py",
    "repo/test_contributing.py",
    "cases/test_damaged_parquet.py",
    "cases/test_table_fuzz.py",
    "repo/test_wheel.py",
    "cases/test_profile_fuzz.py",
    "cases/test_saving_over.py",
    "cases/test_matpower_fuzz.py",
    "cases/test_memory.py",
    "cases/test_time_in_proportion.py",
    "cases/test_dss_language.py",
    "cases/test_dss_fuzz.py",
    "cases/test_feeder_files.py",
    "repo/test_imports.py",
    "repo/test_metadata.py",
    "repo/test_docstrings.py",
    "baselines/test_phase_dispatch.py",
    "repo/test_documents.py",
    "repo/test_site.py",
    "physics/test_kernel_cache.py",
    "physics/test_inlining.py",
    "baselines/test_dist_verbs.py",
    "physics/test_newton_kinds.py",
    "baselines/test_audit.py",
    "physics/test_gradient_phases.py",
    "envs/test_vector.py",
    "envs/test_registered_envs.py",
    "baselines/test_run_lock.py",
    "baselines/test_certify.py",
    "baselines/test_bracket_taps.py",
    "baselines/test_bracket.py",
    "baselines/test_bracket_choices.py",
    "baselines/test_run_faults.py",
    "baselines/test_dist_hostcap.py",
    "baselines/test_derms_schedule.py",
    "baselines/test_bench.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Leave the order of files as it is below; pytest-xdist would begin with those of most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    """What is there now stays until the end: a collection of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests are slow, and their order."""
    mark_the_rest_slow(items)
    put_in_order(items)


def mark_the_rest_slow(items: list[pytest.Item]) -> None:
    """Of a test with `quick(n)`, n cases evenly taken from all of them are quick, and the others slow."""
    cases: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("quick"):
            cases[item.nodeid.partition("[")[0]].append(item)
    for of_a_test in cases.values():
        marker = of_a_test[0].get_closest_marker("quick")
        assert marker is not None
        step = -(-len(of_a_test) // marker.args[0])
        for number, item in enumerate(of_a_test):
            if number % step:
                item.add_marker("slow")


def put_in_order(items: list[pytest.Item]) -> None:
    """The files of `FIRST`, then those of most tests; tests stay in the order of their file."""
    folder = Path(__file__).resolve().parent
    tests = Counter(item.path for item in items)
    rank = {folder / name: k for k, name in enumerate(FIRST)}
    items.sort(key=lambda item: (rank.get(item.path, len(rank)), -tests[item.path], str(item.path)))


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parents[1]
