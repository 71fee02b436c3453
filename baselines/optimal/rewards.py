"""The reward of a task, term by term, as something convex that no play can undercut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...envs.tasks import Term
from ..errors import RunError
from .affine import Affine
from .branch_flow import MOST_V_PU, BranchFlow
from .devices import Planned
from .program import Program


@dataclass(frozen=True, eq=False)
class PlannedEpisode:
    """What terms read: the network, the fleet, the length of an interval, the band of the task."""

    program: Program
    flow: BranchFlow
    fleet: Sequence[Planned]
    dt_h: float
    v_band: tuple[float, float] | None


def cost_of(episode: PlannedEpisode, terms: Sequence[Term], *, leave_out: str | None = None) -> Affine:
    """() minus the reward of the episode, or less: what every term costs at the least.

    The terms are those that `check_terms` lets pass; ``leave_out``: a quantity that is not charged.
    """
    total = Affine(0.0)
    for term in terms:
        if term.of.name == leave_out or term.weight == 0.0:
            continue
        given = {**term.of.parameters, **dict(term.parameters)}
        total = total - term.weight * _COVERED[term.of.name](episode, **given)
    return total


def check_terms(terms: Sequence[Term]) -> None:
    """RunError for a term that pays where it should cost, or whose quantity is not covered."""
    for term in terms:
        quantity = term.of.name
        if quantity not in _COVERED:
            raise RunError(
                f"reward term {term.name!r}: {quantity!r} is not covered by the relaxation; these are: "
                f"{', '.join(_COVERED)}"
            )
        if term.weight > 0.0:
            raise RunError(f"reward term {term.name!r}: weight {term.weight:g} pays for {quantity!r}")


def _loss_mw(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.flow.loss_mw.sum()


def _deviation(episode: PlannedEpisode, reference_pu: float, band_pu: float) -> Affine:
    """(V - r)^2 = v - 2 r sqrt(v) + r^2 in v = V^2, convex, mean over the live nodes."""
    v, root = episode.flow.v, _roots(episode)
    square = v - 2.0 * reference_pu * root + reference_pu**2
    return square.sum() / (episode.flow.network.size * band_pu**2)


def _roots(episode: PlannedEpisode) -> Affine:
    """(steps, m) at most the voltages; at them where more is better."""
    v = episode.flow.v
    root = episode.program.columns(v.shape, MOST_V_PU)
    episode.program.rotated(v, Affine(np.ones(v.shape)), root)
    return root


def _throughput(episode: PlannedEpisode, **_: Any) -> Affine:
    total = Affine(0.0)
    for planned in episode.fleet:
        total = total + planned.throughput_mwh.sum()
    return total


def _violation(episode: PlannedEpisode, **_: Any) -> Affine:
    """Of the sum of a step, without its ceiling: see `day.plan_day`.

    Below the band V <= sqrt(v) as above; beyond it V - h = (v - h^2) / (V + h) is the least where V is most.
    """
    if episode.v_band is None:
        return Affine(0.0)
    low, high = episode.v_band
    below = episode.program.positive(low - _roots(episode))
    above = episode.program.positive((episode.flow.v - high**2) / (MOST_V_PU + high))
    return below.sum() + above.sum()


def _deficit(episode: PlannedEpisode, **_: Any) -> Affine:
    more = Affine(0.0)
    for planned in episode.fleet:
        more = more + planned.stored_more_mwh
    return Affine(0.0) if more.is_number else episode.program.positive(-more)


_COVERED: dict[str, Callable[..., Affine]] = {
    "loss_mw": _loss_mw,
    "voltage_deviation": _deviation,
    "throughput_mwh": _throughput,
    "voltage_violation_capped_pu": _violation,
    "energy_deficit_mwh": _deficit,
}
