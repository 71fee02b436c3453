"""The terms of a task: those of the user's own are looked after, those of a failed power flow replaced."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..resources.base import ships
from ..tasks import Task, WorstCase

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def is_own(task: Task) -> bool:
    """Whether the terms come from the user's own code."""
    return not next(ships(kind) for kind in type(task).__mro__ if "terms" in vars(kind))


def bounded(task: Task, worst: WorstCase) -> float:
    """The task's bound of a step; ValueError where it is none."""
    value = task.worst_step(worst)
    try:
        bound = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{type(task).__name__}.worst_step must return a number, got {value!r}") from error
    if not math.isfinite(bound):
        raise ValueError(f"{type(task).__name__}.worst_step must be finite, got {bound}")
    return bound


def checked_terms(
    task: Task,
    terms: object,
    batch: int,
    failed: BoolArray,
    names: tuple[tuple[str, ...], tuple[str, ...]] | None = None,
    first_row: int = 0,
) -> dict[str, FloatArray]:
    """The terms of a user's own task, each (batch,); plain numbers hold for every row.

    ValueError where one is not finite in a row whose power flow was solved (the others count for nothing),
    has a wrong shape, or bears a name that other steps do not have. ``first_row``: of these in the whole
    batch, for messages.
    """
    who = type(task).__name__
    if not isinstance(terms, Mapping):
        raise TypeError(f"{who}.terms must return a dict of arrays by name, got {type(terms).__name__}")
    if names is not None and tuple(terms) != names[0][:-1]:
        raise ValueError(
            f"{who}.terms must return the same names in every step: {', '.join(names[0][:-1]) or 'none'} at "
            f"first, now {', '.join(map(str, terms)) or 'none'}"
        )
    return {
        name: _checked(f"{who}: term {name!r}", value, batch, failed, first_row)
        for name, value in terms.items()
    }


def _checked(what: str, value: object, batch: int, failed: BoolArray, first_row: int) -> FloatArray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} must be numbers, got {value!r}") from error
    if array.ndim == 0:
        array = np.full(batch, float(array))
    if array.shape != (batch,):
        raise ValueError(
            f"{what} has shape {array.shape}: expected ({batch},), one number for each environment, or one "
            "number for all"
        )
    bad = ~(np.isfinite(array) | failed)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{what} is {array[row]} in environment {first_row + row}: expected a finite number")
    return array


def priced(
    terms: Mapping[str, FloatArray],
    name: str,
    failed: BoolArray,
    price: float | str,
    sign: float,
    bound: FloatArray,
) -> dict[str, FloatArray]:
    """``terms`` with the price of failure; the diagnostics of a failed row are never scored.

    ``bound``: what the steps that are left could bring at worst, the price where no number is stated.
    """
    due = bound if isinstance(price, str) else sign * float(price)
    kept = {term: np.where(failed, 0.0, value) for term, value in terms.items()}
    return {**kept, name: np.where(failed, due, 0.0)}
