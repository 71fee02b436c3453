"""The reward of a task, term by term, as something convex that no play can undercut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...envs.core.planning import SoFar, Window
from ...envs.tasks import Term
from ..errors import RunError
from .affine import Affine
from .devices import Planned
from .program import Program


class PlannedGrid(Protocol):
    """What terms read of the network in a program; (steps,) where nothing else is said."""

    @property
    def p_source_mw(self) -> Affine:
        """Power at the head."""
        ...

    @property
    def loss_mw(self) -> Affine:
        """Series losses of all branches."""
        ...

    def deviation(self, reference_pu: float) -> Affine:
        """() sum over intervals of the mean square of V - reference over the live nodes."""
        ...

    def violation(self) -> Affine:
        """() what voltages lie outside the band of the task, added over nodes and intervals, pu."""
        ...

    def overload(self) -> Affine:
        """() MVA above the rating of the larger end, added over branches and intervals."""
        ...


@dataclass(frozen=True, eq=False)
class PlannedEpisode:
    """What terms read: the network, the fleet, and the window with its prices, the power that is asked for,
    and what the episode was before; and () what the moves of tap changers and banks cost.
    """

    program: Program
    flows: PlannedGrid
    fleet: Sequence[Planned]
    window: Window
    moves_usd: Affine

    @property
    def dt_h(self) -> float:
        """Hours of an interval."""
        return self.window.dt_h

    @property
    def so_far(self) -> SoFar:
        """Of the episode; nothing where its task remembers nothing."""
        return self.window.so_far or SoFar(0.0, 0.0, 0.0, 0.0, 0.0)

    def stored_more_mwh(self) -> Affine:
        """() what storage holds more at the end than at the beginning of the episode."""
        stored = [planned.stored_mwh for planned in self.fleet if planned.stored_mwh is not None]
        total = Affine(0.0)
        for part in stored:
            total = total + part
        return total - self.so_far.stored_first_mwh if stored else total

    def owed_more_mwh(self) -> Affine:
        """() what cars, loads and rooms are owed more."""
        total = Affine(-self.so_far.owed_first_mwh)
        for planned in self.fleet:
            total = total + planned.owed_mwh
        return total


def cost_of(episode: PlannedEpisode, terms: Sequence[Term], *, leave_out: str | None = None) -> Affine:
    """() minus the reward of the episode, or less: what every term costs at the least.

    The terms are those that `check_terms` lets pass; ``leave_out``: a quantity that is not charged.
    """
    total = _settlement(episode, terms)
    for term in terms:
        if term.of.name == leave_out or term.weight == 0.0 or term.of.name in _SETTLED:
            continue
        given = {**term.of.parameters, **dict(term.parameters)}
        total = total - term.weight * _COVERED[term.of.name](episode, **given)
    return total


def check_terms(terms: Sequence[Term]) -> None:
    """RunError for a term that pays where it should cost, or whose quantity is not covered."""
    for term in terms:
        quantity = term.of.name
        if quantity not in _COVERED and quantity not in _SETTLED:
            raise RunError(
                f"reward term {term.name!r}: {quantity!r} is not covered by the relaxation; these are: "
                f"{', '.join((*_COVERED, *_SETTLED))}"
            )
        if term.weight > 0.0 and quantity != _SURPLUS:
            raise RunError(f"reward term {term.name!r}: weight {term.weight:g} pays for {quantity!r}")


def wants_losses(window: Window, terms: Sequence[Term]) -> NDArray[np.bool_]:
    """(steps,) whether import may pay by itself: at a price below 0, or where power is asked for."""
    names = {term.of.name for term in terms if term.weight}
    price = window.price_usd_mwh + sum(-term.weight for term in terms if term.of.name == "imported_mwh")
    found = (price < 0.0) & ("energy_cost_usd" in names)
    return np.asarray(found | bool(names & {"setpoint_deviation_mw", "setpoint_deviation_square"}))


def _loss_mw(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.flows.loss_mw.sum()


def _deviation(episode: PlannedEpisode, reference_pu: float, band_pu: float) -> Affine:
    return episode.flows.deviation(reference_pu) / band_pu**2


def _throughput(episode: PlannedEpisode, **_: Any) -> Affine:
    total = Affine(0.0)
    for planned in episode.fleet:
        total = total + planned.throughput_mwh.sum()
    return total


def _violation(episode: PlannedEpisode, **_: Any) -> Affine:
    """Of the sum of a step, without its ceiling: see `day.plan_day`."""
    return episode.flows.violation()


def _deficit(episode: PlannedEpisode, **_: Any) -> Affine:
    total = Affine(0.0)
    for less in (-episode.stored_more_mwh(), episode.owed_more_mwh()):
        total = total + (np.maximum(less.constant, 0.0) if less.is_number else episode.program.positive(less))
    return total


def _energy_usd(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.dt_h * (episode.window.price_usd_mwh * episode.flows.p_source_mw).sum()


def _imported(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.dt_h * episode.program.positive(episode.flows.p_source_mw).sum()


def _exported(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.dt_h * episode.program.positive(-episode.flows.p_source_mw).sum()


def _peak(episode: PlannedEpisode, **_: Any) -> Affine:
    """The rises of the running peak add up to the peak, from what it was on."""
    before = episode.so_far.peak_mw
    return episode.program.most(episode.flows.p_source_mw, floor=before) - before


def _off(episode: PlannedEpisode, **_: Any) -> Affine:
    return _absolute(episode.program, _distance(episode)).sum()


def _off_square(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.program.square(_distance(episode)).sum()


def _distance(episode: PlannedEpisode) -> Affine:
    """(steps,) of the power at the head from what is asked for."""
    asked = episode.window.setpoint_mw
    if asked is None:
        raise RunError("the reward counts a distance from a dispatch signal that the task does not have")
    return episode.flows.p_source_mw - asked


def _absolute(program: Program, expression: Affine) -> Affine:
    top = program.columns(expression.shape, program.reach_of(expression))
    program.nonneg(top - expression)
    program.nonneg(top + expression)
    return top


def _above(episode: PlannedEpisode, sign: float, limit_mw: float) -> Affine:
    """(steps,) import (or export) beyond a limit."""
    return episode.program.positive(sign * episode.flows.p_source_mw - limit_mw)


def _charged(episode: PlannedEpisode, **_: Any) -> Affine:
    total = episode.moves_usd
    for planned in episode.fleet:
        total = total + planned.cost
    return total


def _undelivered(episode: PlannedEpisode, **_: Any) -> Affine:
    total = Affine(0.0)
    for planned in episode.fleet:
        total = total + planned.undelivered_mwh
    return total


def _overload(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.flows.overload()


def _settlement(episode: PlannedEpisode, terms: Sequence[Term]) -> Affine:
    """What storage holds less, and cars are owed more, is bought at the highest price; the other way sold."""
    weight = {term.of.name: term.weight for term in terms if term.of.name in _SETTLED}
    more, owed = episode.stored_more_mwh(), episode.owed_more_mwh()
    high = -weight.get(_DEFICIT, 0.0) * episode.so_far.highest_usd_mwh
    low = weight.get(_SURPLUS, 0.0) * episode.so_far.lowest_usd_mwh
    if low > high:
        raise RunError(f"energy left over earns {low:g} a MWh and costs {high:g}: that has no bound")
    total, program = Affine(0.0), episode.program
    for missing in (-more, owed) if weight else ():
        cost = program.columns((), high * float(program.reach_of(missing).max()) + 1e-6)
        program.nonneg((cost - high * missing).reshape(1))
        program.nonneg((cost - low * missing).reshape(1))
        total = total + cost
    return total


_DEFICIT, _SURPLUS = "energy_deficit_usd", "energy_surplus_usd"
_SETTLED = (_DEFICIT, _SURPLUS)
_COVERED: dict[str, Callable[..., Affine]] = {
    "loss_mw": _loss_mw,
    "voltage_deviation": _deviation,
    "throughput_mwh": _throughput,
    "voltage_violation_capped_pu": _violation,
    "energy_deficit_mwh": _deficit,
    "energy_cost_usd": _energy_usd,
    "imported_mwh": _imported,
    "exported_mwh": _exported,
    "peak_rise_mw": _peak,
    "resource_cost": _charged,
    "undelivered_mwh": _undelivered,
    "voltage_violation_pu": _violation,
    "thermal_overload_mva": _overload,
    "setpoint_deviation_mw": _off,
    "setpoint_deviation_square": _off_square,
    "loss_mwh": lambda episode: episode.dt_h * episode.flows.loss_mw.sum(),
    "import_above_mw": lambda episode, limit_mw: _above(episode, 1.0, limit_mw).sum(),
    "export_above_mw": lambda episode, limit_mw: _above(episode, -1.0, limit_mw).sum(),
    "import_above_square": lambda episode, limit_mw: episode.program.square(
        _above(episode, 1.0, limit_mw)
    ).sum(),
    "vuf_violation_pct": lambda _: Affine(0.0),  # of a balanced feeder
}
