"""Solutions that several physics tests compare with; each is computed once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from distgrid import cases, physics

from .oracle import Complex, pandapower_newton

ALL_FEEDERS = tuple(cases.names(phases="balanced"))


@pytest.fixture(scope="session")
def network() -> Callable[[str], physics.Network]:
    """Compiled shipped feeder by name."""
    return cache(lambda name: physics.compile(cases.load(name)))


@pytest.fixture(scope="session")
def newton() -> Callable[[str], Complex]:
    """Voltages of a shipped feeder by pandapower's Newton-Raphson, mismatch below 1e-12 of the base.

    Case 141's branch 86-87 has |z| = 6.4e-7 pu: voltages rounded to 1e-16 leave a mismatch of some 1e-10
    there, and Newton wanders. It is asked for the tightest mismatch that it reaches.
    """

    @cache
    def solve(name: str) -> Complex:
        feeder = cases.load(name)
        if name == "case141":
            return tightest(feeder, (1e-10, 3e-10, 1e-9))
        return pandapower_newton(feeder, 1e-12 * feeder.base_mva)

    return solve


def tightest(feeder: cases.Feeder, tolerances_mva: tuple[float, ...]) -> Complex:
    """Newton at the first of the tolerances that it reaches."""
    from pandapower import LoadflowNotConverged

    for tolerance in tolerances_mva[:-1]:
        try:
            return pandapower_newton(feeder, tolerance)
        except LoadflowNotConverged:
            continue
    return pandapower_newton(feeder, tolerances_mva[-1])
