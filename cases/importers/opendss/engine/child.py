"""What the child process does: read the request, stay inside the fence, answer with the compiled circuit."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from .fence import limit_resources, only_read_below
from .refusal import RefusedError

MISSING = "missing"


def main() -> None:
    """Answer the request on standard input; the engine's own prints go nowhere."""
    request = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    header, numbers = _answer(request)
    _send(answer, header, numbers)
    answer.flush()
    os._exit(0)  # the engine's own end may take the process with it


#: What an engine that is asked about a circuit it does not have may end with, beside its own error.
_FAULTS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    file, root = Path(request["file"]), Path(request["root"])
    try:
        from .session import Session

        session = Session(root, shapes=request["days"])
    except ImportError as error:
        return {MISSING: str(error)}, b""
    try:
        limit_resources(request["memory_bytes"], request["cpu_s"])
        os.chdir(root)
        only_read_below(str(root))
        session.run(file)
        return session.days(file) if request["days"] else session.read(session.solve(file))
    except RefusedError as refusal:
        return {"refused": refusal.parts}, b""
    except MemoryError:
        expected = f"a circuit that fits into {request['memory_bytes'] >> 20} MiB"
    except (session.error, *_FAULTS) as error:  # the parent has to hear of it
        text = " ".join(str(error).split())[:300]
        expected = f"a circuit that OpenDSS can be asked about ({type(error).__name__}: {text})"
    return {"refused": RefusedError(str(file), None, "", "", expected).parts}, b""


def _send(out: BinaryIO, header: dict[str, Any], numbers: bytes) -> None:
    text = json.dumps(header).encode()
    out.write(len(text).to_bytes(8, "little"))
    out.write(text)
    out.write(numbers)
