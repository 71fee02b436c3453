"""One program, set up to solve one problem, and the tolerance that makes it as right as the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .problem import ComplexArray

#: Tolerances that are tried, loosest first.
LADDER = tuple(10.0**-k for k in range(2, 13))


@dataclass(frozen=True)
class Contender:
    """``call(tolerance)`` is what gets timed; ``read`` turns what it returned into voltages.

    ``ours`` marks the rows that the others' times are divided by. ``fixed`` is a tolerance that is not tuned.
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
            result = contender.call(tolerance)
        except contender.failures:
            continue
        tried = Tuned(tolerance, true_error(contender.read(result), reference), contender.iterations(result))
        if tried.true_error_pu <= target_pu:
            return tried
        if best is None or tried.true_error_pu < best.true_error_pu:
            best = tried
    return best
