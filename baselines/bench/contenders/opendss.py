"""OpenDSS's Solve, called through dss-python, as a contender."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np

from ..problems.balanced import ComplexArray, FloatArray
from ..problems.phases import HZ, PhaseProblem
from ..report.machine import installed
from ..report.results import NOT_INSTALLED
from .contender import Contender, Missing, walking

FLAT = "OpenDSS Solve, from no load"
LAST = "OpenDSS Solve, from its last solution"
_PACKAGE = "dss-python"


def script(problem: PhaseProblem) -> list[str]:
    """The circuit as commands: lines by their matrices, every phase of a load and of a bank by itself."""
    kv = problem.kv / math.sqrt(3.0)
    source = (
        f"new circuit.bench bus1=n{problem.source}.1.2.3 phases=3 basekv={problem.kv:.17g} "
        f"pu={problem.v_source_pu:.17g} R1=0 X1=1e-9 R0=0 X0=1e-9"
    )
    lines = ["clear", f"set defaultbasefrequency={HZ}", source]
    nano = problem.b_us * 1e3 / (2.0 * math.pi * HZ)
    table = zip(problem.from_row, problem.to_row, problem.branch_present, problem.z_ohm, nano, strict=True)
    for k, (start, end, phases, z, c) in enumerate(table):
        at = np.flatnonzero(phases)
        pins = ".".join(str(j + 1) for j in at)
        lines.append(
            f"new line.b{k} phases={at.size} bus1=n{start}.{pins} bus2=n{end}.{pins} length=1 units=none "
            f"rmatrix={_matrix(z.real, at)} xmatrix={_matrix(z.imag, at)} cmatrix={_matrix(c, at)}"
        )
    lines += [
        f"new load.l{node}_{j} phases=1 bus1=n{node}.{j + 1} conn=wye model=1 kv={kv:.17g} "
        f"kw={problem.p_mw[node, j] * 1e3:.17g} kvar={problem.q_mvar[node, j] * 1e3:.17g} "
        "vminpu=0.01 vmaxpu=10 vlowpu=0.001"
        for node, j in np.argwhere((problem.p_mw != 0) | (problem.q_mvar != 0))
    ]
    lines += [
        f"new capacitor.c{node}_{j} phases=1 bus1=n{node}.{j + 1} kv={kv:.17g} "
        f"kvar={problem.cap_mvar[node, j] * 1e3:.17g}"
        for node, j in np.argwhere(problem.cap_mvar != 0)
    ]
    return [*lines, "set controlmode=off", "set maxiterations=1000"]


def _matrix(full: FloatArray, at: Any) -> str:
    part = full[np.ix_(at, at)]
    return "[" + " | ".join(" ".join(f"{x:.17g}" for x in row[: k + 1]) for k, row in enumerate(part)) + "]"


def opendss(problem: PhaseProblem, levels: FloatArray) -> list[Contender | Missing]:
    """Two rows of it: all loads times one of ``levels`` (steps,), which is set before the clock starts.

    A Solve goes on from the last solution; after `set mode` it starts from a solution without loads, which it
    finds itself and which counts.
    """
    options = "dss-python Solution.Solve(), controls off; LoadMult set off the clock"
    if installed(_PACKAGE) is None:
        return [Missing(name, _PACKAGE, options, NOT_INSTALLED) for name in (FLAT, LAST)]
    engine = import_module("dss").DSS.NewContext()  # the process's own circuit is somebody else's
    for command in script(problem):
        engine.Text.Command = command
    circuit = engine.ActiveCircuit
    solution = circuit.Solution
    solution.Solve()
    places = _places(problem, circuit)
    volts = problem.kv * 1e3 / math.sqrt(3.0)

    def ready(step: int, tolerance: float) -> None:
        solution.Tolerance, solution.LoadMult = tolerance, float(levels[step])

    def ready_flat(step: int, tolerance: float) -> None:
        ready(step, tolerance)
        solution.Mode = 0  # a snapshot, as before: setting it is what makes the solution start anew

    def solve(_: int, __: float) -> Any:
        solution.Solve()
        return solution

    def read(_: Any) -> ComplexArray:
        raw = np.asarray(circuit.AllBusVolts, dtype=np.float64)
        v = (raw[::2] + 1j * raw[1::2])[places] / volts
        return v if solution.Converged else np.full_like(v, np.nan)

    return [
        walking(name, _PACKAGE, options + more, len(levels), solve, read,
                iterations=lambda s: float(s.Iterations), ready=before)
        for name, more, before in ((FLAT, ", and mode", ready_flat), (LAST, "", ready))
    ]  # fmt: skip


def _places(problem: PhaseProblem, circuit: Any) -> Any:
    """Where OpenDSS keeps each phase node."""
    place = {name.lower(): k for k, name in enumerate(circuit.AllNodeNames)}
    return np.array([place[f"n{node}.{j + 1}"] for node, j in np.argwhere(problem.present)])
