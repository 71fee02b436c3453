"""Terms: a quantity with a name and a weight. A reward is a sum of terms, and so may be a cost."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..resources.base import check_number
from .quantities import QUANTITIES, Quantity, Range, check_parameters, quantity_of

if TYPE_CHECKING:
    from .base import StepView, WorstCase

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """``weight * quantity``, under a name.

    Attributes:
        name: Key in ``info["rewards"]`` or ``info["costs"]``.
        quantity: A name out of `QUANTITIES`, or a `Quantity` of your own.
        weight: Per unit of the quantity and interval; what should be small has a weight below 0 in a reward.
        parameters: Of the quantity, where it has any; kept as pairs.

    Raises:
        ValueError: An unknown quantity or parameter, or a number that is not finite.
    """

    name: str
    quantity: str | Quantity
    weight: float
    parameters: Any = ()  # a mapping, or pairs

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"a Term needs a name, got {self.name!r}")
        who = f"Term {self.name!r}"
        check_number(who, "weight", self.weight, -np.inf, np.inf)
        given = check_parameters(quantity_of(self.quantity), dict(self.parameters), who)
        object.__setattr__(self, "parameters", tuple(given.items()))

    @property
    def of(self) -> Quantity:
        """The quantity."""
        return quantity_of(self.quantity)

    @property
    def ships(self) -> bool:
        """Whether the quantity is one of this package: its values need no looking after."""
        return self.of == QUANTITIES.get(self.of.name)  # a copy counts as well

    def reader(self) -> tuple[float, Callable[[StepView], FloatArray]]:
        """What to multiply, and with what of the solved interval."""
        given = dict(self.parameters)
        return self.weight * self.of.factor(given), self.of.reader(given)

    def range(self, worst: WorstCase) -> Range:
        """The least and the most that it can bring in a solved interval."""
        least, most = self.of.range(worst, dict(self.parameters))
        return Range(*sorted((self.weight * least, self.weight * most)))


#: Costs that a task may charge by their names alone, each with weight 1.
COSTS: Mapping[str, Term] = {
    name: Term(name, quantity, 1.0)
    for name, quantity in (
        ("voltage_violation", "voltage_violation_pu"),
        ("thermal_overload", "thermal_overload_mva"),
        ("vuf_violation", "vuf_violation_pct"),
        ("resource", "resource_cost"),
    )
}


class TermRow(NamedTuple):
    """A line of a task's documentation."""

    part: str  # "reward" or "cost"
    name: str
    quantity: str
    unit: str
    weight: float
    parameters: str
    meaning: str


def row_of(part: str, term: Term) -> TermRow:
    """What the documentation says of a term."""
    values = {**term.of.parameters, **dict(term.parameters)}
    said = ", ".join(f"{name} {value:g}" for name, value in values.items())
    return TermRow(part, term.name, term.of.name, term.of.unit, term.weight, said, term.of.meaning)


def as_terms(part: str, given: object) -> tuple[Term, ...]:
    """The terms of a task's ``rewards`` or ``costs``: names, terms, or terms as JSON keeps them.

    ValueError for an unknown name and one used twice; costs are never below 0.
    """
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{part} must be several terms, got {given!r}; write {part}=(...,)")
    terms = tuple(_as_term(part, one) for one in given)
    names = [term.name for term in terms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{part} name {twice[0]!r} twice: give each term its own name")
    return terms


def _as_term(part: str, one: object) -> Term:
    if isinstance(one, Mapping):
        one = Term(**one)
    if isinstance(one, str) and part == "costs":
        if one not in COSTS:
            raise ValueError(f"costs name {one!r}: expected some of {', '.join(COSTS)}, or a Term")
        return COSTS[one]
    if not isinstance(one, Term):
        raise TypeError(f"{part} must be terms, got {one!r}; write Term(name, quantity, weight)")
    if part == "costs" and one.weight < 0.0:
        raise ValueError(f"Term {one.name!r}: the weight of a cost must be at least 0, got {one.weight!r}")
    return one


class Readers(NamedTuple):
    """Terms as the hot path reads them."""

    names: tuple[str, ...]
    each: tuple[tuple[str, float, Callable[[StepView], FloatArray]], ...]  # name, factor, value

    def of(self, view: StepView) -> dict[str, FloatArray]:
        """Each term of a solved interval, fresh arrays."""
        return {name: factor * value(view) for name, factor, value in self.each}


def readers(terms: tuple[Term, ...]) -> Readers:
    """Terms made ready to be read in every step."""
    return Readers(tuple(term.name for term in terms), tuple((term.name, *term.reader()) for term in terms))


def least_of(terms: tuple[Term, ...], worst: WorstCase) -> float:
    """The sum of all terms, each at its least."""
    return float(functools.reduce(lambda total, term: total + term.range(worst).least, terms, 0.0))
