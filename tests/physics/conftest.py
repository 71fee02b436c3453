"""Solutions that several physics tests compare with; each is computed once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from distgrid import cases, physics

from .oracle import Complex, pandapower_newton

ALL_FEEDERS = tuple(cases.names())


@pytest.fixture(scope="session")
def network() -> Callable[[str], physics.Network]:
    """Compiled shipped feeder by name."""
    return cache(lambda name: physics.compile(cases.load(name)))


@pytest.fixture(scope="session")
def newton() -> Callable[[str], Complex]:
    """Voltages of a shipped feeder by pandapower's Newton-Raphson, mismatch below 1e-12 of the base.

    Case 141's branch 86-87 has |z| = 6.4e-7 pu: a voltage rounded to 1e-16 leaves a mismatch of 1e-10
    there, so Newton is asked for what floats can hold, 1e-9.
    """

    @cache
    def solve(name: str) -> Complex:
        feeder = cases.load(name)
        return pandapower_newton(feeder, (1e-9 if name == "case141" else 1e-12) * feeder.base_mva)

    return solve
