"""Children of a small process, each with an engine of its own; as a script, that process.

A fork of a worker of pytest, which holds torch and much else, takes thirty milliseconds; one of this, three.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from distgrid.cases import CaseError, Problem
from distgrid.cases.importers.opendss.engine.refusal import RefusedError
from distgrid.cases.importers.opendss.engine.session import Session

Answer = TypeVar("Answer")
Volts = dict[tuple[str, int], complex]


class EngineDiedError(CaseError):
    """The engine ended the process that it ran in."""


# -- for those who ask --------------------------------------------------------------


@cache
def _server(parent: int) -> subprocess.Popen[bytes]:
    """The process that forks, of this one: a child of pytest does not share its parent's."""
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(server.communicate)  # closes its stdin, which ends it
    return server


def asked(question: str, path: Path) -> Any:
    """What `compiled` or `engine_volts` says of a script, in a process that an engine may take down with it.

    Raises:
        EngineDiedError: it did.
    """
    server = _server(os.getpid())
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{json.dumps([question, str(path)])}\n".encode())
    server.stdin.flush()
    status, size = map(int, server.stdout.readline().split())
    return answer_of(status, server.stdout.read(size))


def in_child(ask: Callable[[], Answer]) -> Answer:
    """What a function returns, called in a fork of this process.

    Raises:
        EngineDiedError: the engine ended it.
    """
    return answer_of(*forked(ask))


def answer_of(status: int, said: bytes) -> Any:
    """What a child wrote, unless it ended otherwise than it should."""
    if status:
        raise EngineDiedError([Problem("script.dss", None, "", "", f"an engine that ends (status {status})")])
    return pickle.loads(said)  # noqa: S301  of our own fork


# -- children ----------------------------------------------------------------------


def forked(ask: Callable[[], object]) -> tuple[int, bytes]:
    """Status of a fork of this process that calls a function, and the pickled answer."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        code = 1
        try:
            with os.fdopen(into, "wb") as answer:
                pickle.dump(ask(), answer)
            code = 0
        finally:
            os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as answer:
        said = answer.read()
    return os.waitpid(child, 0)[1], said


def compiled(path: Path) -> tuple[str, bytes] | dict[str, Any]:
    """What the engine makes of a script, or the parts of a refusal; for children."""
    session = Session(path.parent)
    try:
        session.dss.Text.Command = "clear"
        session.run(path)
        header, numbers = session.read(session.solve(path))
    except RefusedError as refusal:
        return dict(refusal.parts)
    except session.error as error:
        return {"file": str(path), "row": 0, "field": "", "value": "", "expected": str(error)}
    return json.dumps(header), numbers


def engine_volts(path: Path) -> Volts | str:
    """Voltages to ground in V by (bus, node) with the controls off, or the engine's error; for children."""
    from dss import DSSException, dss

    dss.AllowForms = False
    try:
        for line in (
            "clear",
            "set defaultbasefrequency=60",
            f'redirect "{path}"',
            "batchedit load..* vminpu=0.01 vmaxpu=999",
            "set controlmode=off",
            "set maxiterations=500",
        ):
            dss.Text.Command = line
        circuit = dss.ActiveCircuit
        for tolerance in (1e-11, 1e-9):  # zones without ground do not come closer than the latter
            dss.Text.Command = f"set tolerance={tolerance}"
            dss.Text.Command = "solve mode=snap"
            if circuit.Solution.Converged:
                break
        if not circuit.Solution.Converged:
            return "not converged"
    except DSSException as error:
        return str(error)
    flat = np.asarray(circuit.AllBusVolts, dtype=float)
    names = [str(name).lower().rpartition(".") for name in circuit.AllNodeNames]
    volts = (flat[::2] + 1j * flat[1::2]).tolist()
    return {(bus, int(node)): v for (bus, _, node), v in zip(names, volts, strict=True)}


QUESTIONS: dict[str, Callable[[Path], object]] = {"compiled": compiled, "engine_volts": engine_volts}


def serve() -> None:
    """A fork for each line of stdin; status and size of its answer, and the answer, to stdout."""
    import dss  # noqa: F401  once, for all children

    tell = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an engine prints is no answer
    for line in sys.stdin:
        question, path = json.loads(line)
        status, said = forked(lambda: QUESTIONS[question](Path(path)))  # noqa: B023  called before the next
        tell.write(f"{status} {len(said)}\n".encode() + said)
        tell.flush()


if __name__ == "__main__":
    serve()
