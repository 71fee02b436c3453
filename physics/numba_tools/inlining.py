"""Whether helpers of kernels are drafts (`drafts.py`) or are compiled plainly.

Drafts stand on parts of Numba that it promises to nobody, so they are used with the releases that they were
tried with. With another one, or where those parts are missing, helpers are compiled as any function is and
inlined by LLVM: the same numbers, bit for bit, after a first step that compiles for longer. A warning tells.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import Any

import numba

#: The oldest and the newest release of Numba (major, minor) that drafts were tried with. To raise the second:
#: install the new release and run the tests of physics and envs with ``DISTGRID_INLINE=draft``, the slow ones
#: too (``tests/physics/test_inlining.py`` compares the bits of both ways). CI does so with the newest ones.
TRIED_NUMBA = ((0, 61), (0, 68))

#: Chooses by hand: ``draft`` or ``plain``, without a warning.
VARIABLE = "DISTGRID_INLINE"

#: Options of ``numba.njit`` that its documentation names, and those that it does not: no door for C, none for
#: Python, no reference counts.
DOCUMENTED = {"nogil": True, "error_model": "numpy"}
NO_C_DOOR = {"no_cfunc_wrapper": True}
NO_PYTHON_DOOR = {"no_cpython_wrapper": True}
UNCOUNTED = {"_nrt": False}


class InliningWarning(RuntimeWarning):
    """Kernels take longer to compile than they could."""


def untried(version: str) -> bool:
    """Whether drafts were not tried with this release of Numba."""
    found = re.match(r"(\d+)\.(\d+)", version)
    oldest, newest = TRIED_NUMBA
    return found is None or not oldest <= (int(found[1]), int(found[2])) <= newest


def draft_compiler() -> Any | None:
    """Numba's compiler of drafts; None, after a warning, where helpers have to be compiled plainly."""
    asked = os.environ.get(VARIABLE) or None
    if asked not in (None, "draft", "plain"):
        raise ValueError(f"{VARIABLE} is {asked!r}: expected 'draft' or 'plain', or leave it unset")
    if asked == "plain":
        return None
    reason = f"Numba {numba.__version__} is not among the releases tried ({_releases()})"
    if asked == "draft" or not untried(numba.__version__):
        try:
            from .drafts import DraftCompiler
        except (ImportError, AttributeError, TypeError) as error:
            if asked == "draft":
                raise
            reason = f"Numba {numba.__version__} lacks what drafts of helpers stand on ({error})"
        else:
            return DraftCompiler
    warnings.warn(
        f"{reason}: kernels are compiled plainly. Results are the same, bit for bit; the first step takes "
        f"longer. {VARIABLE}=plain says that this is wanted, {VARIABLE}=draft tries all the same.",
        InliningWarning,
        stacklevel=2,
    )
    return None


def _releases() -> str:
    oldest, newest = (".".join(map(str, release)) for release in TRIED_NUMBA)
    return f"{oldest} to {newest}"


def _understood(option: dict[str, bool]) -> dict[str, bool]:
    """The option, or nothing where this Numba does not know it; found out by compiling next to nothing."""

    def nothing(x: int) -> int:
        return x

    try:
        numba.njit(**option)(nothing).compile((numba.int64,))
    except (KeyError, TypeError):
        return {}
    return option


def options(compiler: Any | None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Options of kernels, of kernels that allocate nothing, and of helpers, which only kernels call.

    Args:
        compiler: What :func:`draft_compiler` gave.
    """
    extra = [NO_C_DOOR, NO_PYTHON_DOOR, UNCOUNTED]
    if compiler is None:
        extra = [_understood(option) for option in extra]
    no_c_door, no_python_door, uncounted = extra
    kernel = {**DOCUMENTED, **no_c_door}
    lean = {**kernel, **uncounted}
    helper = {**lean, **no_python_door, "forceinline": True}
    if compiler is not None:
        helper["pipeline_class"] = compiler
    return kernel, lean, helper
