"""pandapower without its own warnings and log lines, and what it raises.

What a user should know is said by this package.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_KNOWN = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NotImplementedError),
    *(RuntimeError, TypeError, ValueError, Warning),
)


def failures() -> tuple[type[Exception], ...]:
    """What pandapower, pandas and SciPy raise for a net without solution and for tables that are damaged."""
    from pandapower import io_utils
    from pandapower.auxiliary import ppException

    denied = getattr(io_utils, "DeserializationNotAllowed", ppException)
    return (*_KNOWN, ppException, denied)


def no_solution(error: Exception) -> str:
    """What is told of one of `failures`."""
    told = " ".join(str(error).split())[:200]
    return f"pandapower finds no solution of its own ({type(error).__name__}: {told})"


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of pandapower's deprecations and remarks while it works for us."""
    logger = logging.getLogger("pandapower")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
