"""distgrid's own power flows as contenders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....physics.balanced.stepper import Stepper
from ..problems.balanced import BalancedProblem, ComplexArray, FloatArray
from .contender import Contender

SOLVE = "distgrid solve"
VOLTAGES = "distgrid solve, voltages only"
STEPPER = "distgrid Stepper"


def single(problem: BalancedProblem) -> list[Contender]:
    """`physics.solve` (tuned, and as it is by default) and `Stepper.solve`, one row of new loads each."""
    net, p, q = problem.net, problem.p_mw, problem.q_mvar

    def read(solution: physics.Solution) -> ComplexArray:
        return np.asarray(solution.v)

    def iterations(solution: physics.Solution) -> float:
        return float(solution.iterations)

    solve = Contender(
        SOLVE, "distgrid", "physics.solve(net, p, q, tol)",
        lambda tol: physics.solve(net, p, q, tol=tol), read, iterations, ours=True,
    )  # fmt: skip
    default = Contender(
        f"{SOLVE}, default tol", "distgrid", "physics.solve(net, p, q)",
        lambda _: physics.solve(net, p, q), read, iterations, fixed=1e-8,
    )  # fmt: skip
    return [solve, default, _stepper(problem)]


def _stepper(problem: BalancedProblem) -> Contender:
    no_limit = np.full(problem.n_bus, np.nan)
    stepper = Stepper(problem.net, 1, no_limit, no_limit)
    np.copyto(stepper.load_p_mw[0], problem.p_mw)
    np.copyto(stepper.load_q_mvar[0], problem.q_mvar)

    def call(tol: float) -> Stepper:
        stepper.solve(tol)
        return stepper

    return Contender(
        STEPPER, "distgrid", "Stepper.solve(tol): flows, losses, loading, limits too",
        call, lambda s: s.v[0].copy(), lambda s: float(s.iterations[0]), ours=True,
    )  # fmt: skip


def batch(problem: BalancedProblem, p_mw: FloatArray, q_mvar: FloatArray) -> list[Contender]:
    """`physics.solve` on (rows, n) loads, one thread, into kept memory; all results, or voltages only."""
    net = problem.net
    memory = physics.solve(net, p_mw, q_mvar)

    def call(tol: float) -> physics.Solution:
        return physics.solve(net, p_mw, q_mvar, tol=tol, threads=1, out=memory)

    def voltages(tol: float) -> physics.Solution:
        return physics.solve(net, p_mw, q_mvar, tol=tol, threads=1, currents=False, out=memory)

    def read(solution: physics.Solution) -> ComplexArray:
        return np.array(solution.v)

    def iterations(solution: physics.Solution) -> float:
        return float(np.mean(solution.iterations))

    given = "physics.solve(net, p, q, tol, threads=1, out=memory"
    return [
        Contender(SOLVE, "distgrid", f"{given})", call, read, iterations, ours=True),
        Contender(VOLTAGES, "distgrid", f"{given}, currents=False)", voltages, read, iterations, ours=True),
    ]


def exact(problem: BalancedProblem, p_mw: NDArray[np.float64], q_mvar: NDArray[np.float64]) -> ComplexArray:
    """Voltages at a tolerance of 1e-12, to hold the reference against."""
    return np.asarray(physics.solve(problem.net, p_mw, q_mvar, tol=1e-12, max_iter=1000).v)
