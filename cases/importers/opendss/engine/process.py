"""The parent's side: start the child, wait no longer than allowed, understand what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import CaseError, Problem

TIME_LIMIT_S = 300.0
MEMORY_LIMIT_BYTES = 4 << 30
_HERE = Path(__file__).parent
# The child needs the engine and this folder, nothing else of the package: it starts in a third of a second.
_START = (
    "import importlib.util as u, sys;"
    "s = u.spec_from_file_location('dss_engine', sys.argv[1], submodule_search_locations=[sys.argv[2]]);"
    "m = u.module_from_spec(s); sys.modules['dss_engine'] = m; s.loader.exec_module(m);"
    "from dss_engine.child import main; main()"
)


@dataclass(frozen=True)
class Compiled:
    """A circuit as the engine compiled it."""

    header: dict[str, Any]
    numbers: np.ndarray

    def real(self, at: list[int]) -> np.ndarray:
        """Real numbers that the header refers to."""
        return self.numbers[at[0] : at[0] + at[1]]

    def complex(self, at: list[int]) -> np.ndarray:
        """Complex numbers that the header refers to."""
        return self.numbers[at[0] : at[0] + at[1]].view(np.complex128)

    def matrix(self, at: list[int]) -> np.ndarray:
        """A square complex matrix that the header refers to, stored by columns."""
        flat = self.complex(at)
        n = round(flat.size**0.5)
        return flat.reshape(n, n).T


def compile_script(
    file: Path,
    root: Path,
    *,
    time_s: float = TIME_LIMIT_S,
    memory_bytes: int = MEMORY_LIMIT_BYTES,
    days: bool = False,
) -> Compiled:
    """Let the engine run a script in a process of its own.

    Args:
        file: the master file.
        root: folder that every file has to lie in.
        time_s: what the child may take, starting included.
        memory_bytes: what it may take up.
        days: whether days of the circuit are wanted in place of the circuit.

    Raises:
        CaseError: what the engine or the walk through the script found; a child that ended by itself, or was
            ended for its time or memory; no engine installed.
    """
    request = {
        "file": str(file), "root": str(root), "memory_bytes": memory_bytes, "cpu_s": int(time_s) + 5,
        "days": days,
    }  # fmt: skip
    command = [sys.executable, "-I", "-c", _START, str(_HERE / "__init__.py"), str(_HERE)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            said, _ = child.communicate(json.dumps(request).encode() + b"\n", timeout=time_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise _error(file, f"a script that ends within {time_s:g} s") from None
    return _understood(said, file, child.returncode)


def _understood(said: bytes, file: Path, code: int) -> Compiled:
    size = int.from_bytes(said[:8], "little")
    if len(said) < 8 or len(said) < 8 + size:
        raise _error(file, f"a script that the engine of OpenDSS survives (it ended with status {code})")
    header = json.loads(said[8 : 8 + size])
    if "missing" in header:
        expected = "the engine of OpenDSS: pip install 'distgrid[opendss]'"
        raise CaseError([Problem(str(file), None, "import dss", header["missing"], expected)])
    if "refused" in header:
        raise CaseError([Problem(**header["refused"])])
    numbers = np.frombuffer(said, dtype=np.float64, offset=8 + size) if (8 + size) % 8 == 0 else None
    if numbers is None:
        numbers = np.frombuffer(said[8 + size :], dtype=np.float64)
    return Compiled(header, numbers)


def _error(file: Path, expected: str) -> CaseError:
    return CaseError([Problem(str(file), None, "", "", expected)])
