"""A process of its own that reads mutated files: `python import_fuzzer.py FOLDER TRIALS FILE ...`.

It may take only so much memory and time; a file that takes more ends it, and the test that started it fails.
A line of JSON for each file says how many of its mutants were refused and how many became feeders.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
from pathlib import Path

from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.cases import CaseError

MEMORY_BYTES = 4 * 2**30  # more than what is there already
CPU_S = 120
FILE_S = 20.0  # of CPU, for one mutant
PIECES = (b"-", b"1e999", b"nan", b"\\u0000", b"0", b",", b"'", b"<", b"{", b"\xff\xfe", b"99999999")


def mutated(raw: bytes, draw: random.Random) -> bytes:
    """The bytes with a few of them changed, cut out, doubled or set to what numbers break on."""
    data = bytearray(raw)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data))
        length = draw.randint(1, 40)
        match draw.randrange(5):
            case 0:
                data[at] = draw.randrange(256)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + 1] = draw.choice(PIECES)
            case _:
                data = data[: max(at, 8)]
    return bytes(data)


def limit() -> None:
    """Address space beyond what is mapped now, and CPU time."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, most in ((resource.RLIMIT_AS, mapped + MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S)):
        resource.setrlimit(what, (most, resource.getrlimit(what)[1]))


def fuzz(folder: Path, trials: int, source: Path) -> dict[str, int]:
    """Read mutants of one file; each is a feeder that is written whole, or an error without leavings."""
    draw, raw, out = random.Random(source.suffix), source.read_bytes(), folder / "out"
    path = folder / f"bad{source.suffix}"
    found = {"refused": 0, "read": 0}
    for _ in range(trials):
        path.write_bytes(mutated(raw, draw))
        signal.setitimer(signal.ITIMER_PROF, FILE_S)
        try:
            import_feeder(path, verified=False).feeder.save(out)
            found["read"] += 1
        except (CaseError, RunError):
            found["refused"] += 1
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        left = {one.name for one in folder.iterdir()} - {path.name, out.name}
        assert not left, f"{source.name}: {left}"
    path.unlink()
    return found


if __name__ == "__main__":
    where, how_many, *files = sys.argv[1:]
    limit()
    for name in files:
        told = {"file": name, **fuzz(Path(where), int(how_many), Path(name))}
        sys.stdout.write(json.dumps(told) + "\n")
