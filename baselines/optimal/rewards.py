"""The reward of a task, term by term, as something convex that no play can undercut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...envs.tasks import Term
from ..errors import RunError
from .affine import Affine, FloatArray
from .branch_flow import MOST_V_PU, BranchFlow, ends_of
from .devices import Planned
from .program import Program


@dataclass(frozen=True, eq=False)
class PlannedEpisode:
    """What terms read: the network, the fleet, the length of an interval, the band of the task, prices,
    what stations are still to draw for the cars that are there at the beginning, and () what the moves of
    tap changers and banks cost.
    """

    program: Program
    flow: BranchFlow
    fleet: Sequence[Planned]
    dt_h: float
    v_band: tuple[float, float] | None
    price_usd_mwh: FloatArray
    owed_first_mwh: float
    moves_usd: Affine


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


def _energy_usd(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.dt_h * (episode.price_usd_mwh * episode.flow.p_source_mw).sum()


def _imported(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.dt_h * episode.program.positive(episode.flow.p_source_mw).sum()


def _exported(episode: PlannedEpisode, **_: Any) -> Affine:
    return episode.dt_h * episode.program.positive(-episode.flow.p_source_mw).sum()


def _peak(episode: PlannedEpisode, **_: Any) -> Affine:
    """The rises of the running peak add up to the peak, from 0 on."""
    return episode.program.most(episode.flow.p_source_mw, floor=0.0)


def _charged(episode: PlannedEpisode, **_: Any) -> Affine:
    total = episode.moves_usd
    for planned in episode.fleet:
        total = total + planned.cost
    return total


def _overload(episode: PlannedEpisode, **_: Any) -> Affine:
    """MVA above the rating of the larger end."""
    network, program, base = episode.flow.network, episode.program, episode.flow.network.base_mva
    rated = np.flatnonzero(np.isfinite(network.rating_mva))
    if not rated.size:
        return Affine(0.0)
    ends = ends_of(episode.flow, rated)
    most = np.maximum(*(program.reach_of(p) + program.reach_of(q) for p, q in ends.values()))
    above = program.columns(most.shape, most)
    program.nonneg(above)
    for p, q in ends.values():
        program.cone(above + network.rating_mva[rated] / base, p, q)
    return base * above.sum()


def _settlement(episode: PlannedEpisode, terms: Sequence[Term]) -> Affine:
    """What storage holds less, and cars are owed more, is bought at the highest price; the other way sold."""
    weight = {term.of.name: term.weight for term in terms if term.of.name in _SETTLED}
    more, owed = Affine(0.0), Affine(-episode.owed_first_mwh)
    for planned in episode.fleet:
        more, owed = more + planned.stored_more_mwh, owed + planned.owed_mwh
    high = -weight.get(_DEFICIT, 0.0) * max(float(episode.price_usd_mwh.max()), 0.0)
    low = weight.get(_SURPLUS, 0.0) * max(float(episode.price_usd_mwh.min()), 0.0)
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
    "voltage_violation_pu": _violation,
    "thermal_overload_mva": _overload,
    "vuf_violation_pct": lambda _: Affine(0.0),  # of a balanced feeder
}
