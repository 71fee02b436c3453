"""What the timings were taken on."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .... import __version__
from .results import Machine

#: Packages whose versions decide the numbers; peers are listed whether they are there or not.
PACKAGES = (
    "numpy", "numba", "gymnasium", "pandapower", "power-grid-model", "dss-python", "tensorpowerflow",
    "clarabel", "casadi",
)  # fmt: skip

#: Variables that set the threads of the libraries underneath.
_THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def installed(package: str) -> str | None:
    """Version of a distribution, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe() -> Machine:
    """The machine and the versions of this process."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        usable_cores=_usable_cores(),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions={"distgrid": __version__, **{name: installed(name) for name in PACKAGES}},
        thread_variables={name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
        taken_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
