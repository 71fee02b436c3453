"""One program, set up to solve one problem, and the tolerance that makes it as right as the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..problems.balanced import ComplexArray

#: Tolerances that are tried, loosest first.
LADDER = tuple(10.0**-k for k in range(2, 13))


@dataclass(frozen=True)
class Contender:
    """``call(tolerance)`` is what gets timed; ``read`` turns what it returned into voltages.

    ``ours`` marks the rows that the others' times are divided by. ``fixed`` is a tolerance that is not tuned.
    ``prepare(tolerance)`` is done before every call, off the clock. Where calls walk through several steps,
    ``walk(tolerance)`` gives the voltages of all of them and the mean number of iterations.
    """

    name: str
    package: str
    options: str
    call: Callable[[float], Any]
    read: Callable[[Any], ComplexArray]  # (n,) or (rows, n) pu, in the order of the feeder's nodes
    iterations: Callable[[Any], float | None] = lambda _: None
    unit: Literal["pu", "MVA"] = "pu"
    ours: bool = False
    fixed: float | None = None
    failures: tuple[type[Exception], ...] = ()  # how it says that it did not converge
    prepare: Callable[[float], object] | None = None
    walk: Callable[[float], tuple[ComplexArray, float | None]] | None = None

    def answer(self, tolerance: float) -> tuple[ComplexArray, float | None]:
        """Voltages and iterations at a tolerance."""
        if self.walk is not None:
            return self.walk(tolerance)
        result = self.call(tolerance)
        return self.read(result), self.iterations(result)


@dataclass(frozen=True)
class Missing:
    """A program that is not installed, or not asked for this problem."""

    name: str
    package: str
    options: str
    why: str


@dataclass(frozen=True)
class Tuned:
    """What a contender reaches."""

    tolerance: float
    true_error_pu: float
    iterations: float | None


def walking(
    name: str, package: str, options: str, steps: int, solve: Callable[[int, float], Any],
    read: Callable[[Any], ComplexArray], *, iterations: Callable[[Any], float | None] = lambda _: None,
    ready: Callable[[int, float], object] | None = None, ours: bool = False,
    failures: tuple[type[Exception], ...] = (),
) -> Contender:  # fmt: skip
    """A contender whose calls solve one of ``steps`` after the other, again and again.

    ``ready(step, tolerance)`` is what it needs before ``solve(step, tolerance)`` and what is not timed.
    """
    following = itertools.cycle(range(steps)).__next__
    at = [0]

    def prepare(tolerance: float) -> None:
        at[0] = following()
        if ready is not None:
            ready(at[0], tolerance)

    def walk(tolerance: float) -> tuple[ComplexArray, float | None]:
        voltages, counts = [], []
        for step in range(steps):
            if ready is not None:
                ready(step, tolerance)
            result = solve(step, tolerance)
            voltages.append(read(result))
            counts.append(iterations(result))
        known = [count for count in counts if count is not None]
        return np.array(voltages), float(np.mean(known)) if known else None

    def call(tolerance: float) -> Any:
        return solve(following() if ready is None else at[0], tolerance)

    return Contender(
        name, package, options, call, read, iterations, ours=ours, failures=failures,
        prepare=None if ready is None else prepare, walk=walk,
    )  # fmt: skip


def true_error(v: ComplexArray, reference: ComplexArray) -> float:
    """Largest distance of a complex voltage from the reference; rows beyond the reference's are left out."""
    if v.ndim == 2:
        v = v[: reference.shape[0]]
    error = np.abs(v - reference)
    return float(error.max()) if np.isfinite(error).all() else np.inf


def tune(contender: Contender, reference: ComplexArray, target_pu: float) -> Tuned | None:
    """The loosest tolerance of ``LADDER`` whose answer is within ``target_pu`` of the reference.

    Where none is, the most exact answer. None where the program fails on every tolerance.
    """
    best: Tuned | None = None
    for tolerance in LADDER if contender.fixed is None else (contender.fixed,):
        try:
            v, iterations = contender.answer(tolerance)
        except contender.failures:
            continue
        tried = Tuned(tolerance, true_error(v, reference), iterations)
        if tried.true_error_pu <= target_pu:
            return tried
        if best is None or tried.true_error_pu < best.true_error_pu:
            best = tried
    return best
