"""distgrid's three-phase power flows as contenders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .... import physics
from ....envs.core.phase_stepper import PhaseStepper
from ....physics.solved_grid import SolveSetup
from ..problems.balanced import ComplexArray, FloatArray
from ..problems.phases import PhaseProblem
from .contender import Contender, walking
from .distgrid_balanced import SOLVE, VOLTAGES

STEPPER = "distgrid Stepper3"


def _iterations(solution: Any) -> float:
    return float(np.mean(solution.iterations))


def single(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> list[Contender]:
    """`physics.solve`, and the same with voltages only, and `Stepper3.solve`: one of the steps a call."""
    net: Any = problem.net
    present, steps = problem.present, len(p_mw)

    def read(solution: Any) -> ComplexArray:
        return np.asarray(solution.v[present])

    given = "physics.solve(net, p, q, tol"
    return [
        walking(SOLVE, "distgrid", f"{given})", steps,
                lambda step, tol: physics.solve(net, p_mw[step], q_mvar[step], tol=tol), read,
                iterations=_iterations, ours=True),
        walking(VOLTAGES, "distgrid", f"{given}, currents=False)", steps,
                lambda step, tol: physics.solve(net, p_mw[step], q_mvar[step], tol=tol, currents=False),
                read, iterations=_iterations, ours=True),
        _stepper(problem, p_mw, q_mvar),
    ]  # fmt: skip


def _stepper(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> Contender:
    no_limit = np.full(problem.n_bus, np.nan)
    stepper = PhaseStepper(problem.net, 1, SolveSetup(no_limit, no_limit))
    slot = stepper.points.slot
    loads = p_mw.reshape(len(p_mw), -1)[:, slot], q_mvar.reshape(len(q_mvar), -1)[:, slot]

    def solve(step: int, tol: float) -> PhaseStepper:
        np.copyto(stepper.load_p_mw[0], loads[0][step])
        np.copyto(stepper.load_q_mvar[0], loads[1][step])
        stepper.solve(tol)
        return stepper

    return walking(
        STEPPER, "distgrid", "Stepper3.solve(tol): flows, losses, loading, unbalance, limits too", len(p_mw),
        solve, lambda s: s.v[0].copy(), iterations=_iterations, ours=True,
    )  # fmt: skip


def batch(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> list[Contender]:
    """`physics.solve` on (rows, n, 3) loads, one thread; all results, or voltages only."""
    net: Any = problem.net

    def contender(name: str, words: str, **options: Any) -> Contender:
        memory = physics.solve(net, p_mw, q_mvar, **options)
        return Contender(
            name, "distgrid", f"physics.solve(net, p, q, tol, threads=1, out=memory{words})",
            lambda tol: physics.solve(net, p_mw, q_mvar, tol=tol, threads=1, out=memory, **options),
            lambda solution: np.array(solution.v[:, problem.present]), _iterations, ours=True,
        )  # fmt: skip

    return [contender(SOLVE, ""), contender(VOLTAGES, ", currents=False", currents=False)]


def on_threads(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> Callable[[float, int], object]:
    """``solve(tolerance, threads)`` of all rows."""
    net: Any = problem.net
    memory = physics.solve(net, p_mw, q_mvar)
    return lambda tol, threads: physics.solve(net, p_mw, q_mvar, tol=tol, threads=threads, out=memory)


def exact(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> ComplexArray:
    """(rows, phase nodes) voltages at a tolerance of 1e-12, to hold the reference against."""
    net: Any = problem.net
    solution = physics.solve(net, p_mw, q_mvar, tol=1e-12, max_iter=1000)
    return np.asarray(solution.v[:, problem.present])
