"""The terms of a task: those of the user's own are looked after, those of a failed power flow replaced."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...physics.row_results import OVERLOAD, VOLTAGE_VIOLATION, VUF_VIOLATION
from ..resources.class_names import ships
from ..tasks import COSTS, Task, Term, WorstCase
from ..tasks.terms import Readers, readers
from .unserved import UNSERVED

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


#: The last term of every reward, and the last cost: what a failed power flow takes.
FAILURE = "power_flow_failure"


#: Costs that the power flow measures, by column.
CHARGED_COLUMNS = {
    "voltage_violation": VOLTAGE_VIOLATION,
    "thermal_overload": OVERLOAD,
    "vuf_violation": VUF_VIOLATION,
}


def is_own(task: Task) -> bool:
    """Whether the terms come from the user's own code: a method, or the values of a quantity."""
    if not next(ships(kind) for kind in type(task).__mro__ if "terms" in vars(kind)):
        return True
    return not all(term.ships for term in task.reward_terms)


def is_live(term: Term) -> bool:
    """Whether a cost is one that the power flow has measured already."""
    return term == COSTS.get(term.name)  # a copy counts as well


def own_costs(task: Task) -> Readers:
    """The costs of a task that are terms of its own, ready to be read."""
    return readers(tuple(term for term in task.cost_terms if not is_live(term)))


def cost_bound(task: Task, worst: WorstCase) -> float:
    """A cost that no solved interval can exceed; ValueError where one could be below 0."""
    for term in task.cost_terms:
        if term.range(worst).least < 0.0:
            raise ValueError(
                f"{type(task).__name__}: cost {term.name!r} could be below 0, as {term.of.name} can: costs "
                "are 0 exactly where a limit is kept; take a quantity beyond a limit"
            )
    return sum(term.range(worst).most for term in task.cost_terms) + worst.unserved_mw


def named(task: Task, terms: Mapping[str, object]) -> tuple[str, ...]:
    """The names of a reward or a cost with those that every task has; ValueError where one is taken."""
    for name in (UNSERVED, FAILURE):
        if name in terms:
            raise ValueError(
                f"{type(task).__name__}: {name!r} is a term of every task: its weight is "
                f"{'unserved_weight' if name == UNSERVED else 'failure_price'}; choose another name"
            )
    return (*terms, UNSERVED, FAILURE)


def bounded(task: Task, worst: WorstCase) -> float:
    """The task's bound of a step, load not supplied included; ValueError where it is none."""
    value = task.worst_step(worst)
    try:
        bound = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{type(task).__name__}.worst_step must return a number, got {value!r}") from error
    if not math.isfinite(bound):
        raise ValueError(f"{type(task).__name__}.worst_step must be finite, got {bound}")
    return bound - task.unserved_weight * worst.unserved_mw


def checked_costs(
    task: Task, costs: Mapping[str, FloatArray], batch: int, failed: BoolArray
) -> dict[str, FloatArray]:
    """Costs that are terms of a task's own: finite and 0 or more in rows whose power flow was solved."""
    found = {}
    for name, value in costs.items():
        found[name] = _checked(f"{type(task).__name__}: cost {name!r}", value, batch, failed, 0)
        if ((found[name] < 0.0) & ~failed).any():
            raise ValueError(f"{type(task).__name__}: cost {name!r} is below 0: {found[name].min()}")
    return found


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
    if names is not None and tuple(terms) != names[0][:-2]:
        raise ValueError(
            f"{who}.terms must return the same names in every step: {', '.join(names[0][:-2]) or 'none'} at "
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


def with_resources(
    costs: dict[str, FloatArray], resource_costs: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """``costs`` with those of the resources by name, where the task charges them and there are any."""
    if "resource" in costs and resource_costs:
        del costs["resource"]
        costs.update(resource_costs)
    return costs


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
