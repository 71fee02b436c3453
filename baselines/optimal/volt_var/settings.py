"""The best settings of an operating point, and the best ones that are held over several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import RunError
from ..branch_flow import NetworkLimits
from ..integer_search import best_found, best_of_all, drawn_starts, n_combinations
from ..integers import optimal_settings
from ..radial import radial_network
from .study import OBJECTIVES, IntArray, Moment, Setting, Shown, VoltVarStudy

#: Names of `dispatch`; the head costs 1 USD/MWh.
_DISPATCHED = {"loss": "loss", "cvr": "cost", "voltage": "voltage"}


@dataclass(frozen=True)
class Search:
    """How hard is searched.

    Attributes:
        most_exhaustive: Up to so many settings all are solved.
        starts: Of the descents beyond: as the feeder is, with neutral taps, and random ones.
        reach: How many positions a move of a pair goes, either way.
        seed: Of the random ones.
        most_nodes: Of branch and bound.
        least_gain: Part of the objective that a move of a setting has to gain that is held over moments.
    """

    most_exhaustive: int = 200_000
    starts: int = 2
    reach: int = 4
    seed: int = 0
    most_nodes: int = 400
    least_gain: float = 1e-3


@dataclass(frozen=True, eq=False)
class Best:
    """The best settings found.

    Attributes:
        setting: What is set.
        objective: MW of losses, MW from upstream, or pu^2; the sum over the moments.
        violation_pu: The sum over nodes and moments of what lies outside the band.
        bound: Nothing that keeps the limits is below it; None where nothing is proved.
        status: "optimal" where all combinations were solved or the bound is reached, "best known", or
            "infeasible" (all were solved, none keeps the band) and "none found".
        n_settings: Combinations that there are.
        shown: Power flow of each moment.
    """

    setting: Setting
    objective: float
    violation_pu: float
    bound: float | None
    status: str
    n_settings: int
    shown: tuple[Shown, ...]


def best_setting(study: VoltVarStudy, moment: Moment, search: Search | None = None) -> Best:
    """The best settings of one operating point.

    Of a balanced radial feeder branch and bound on the branch flow relaxation, reactive power continuous
    (`integers.optimal_settings`); where that does not cover feeder or loads, or finds nothing that keeps the
    limits, and per phase: all settings where they are few, else descents, each inverter in steps of a
    twentieth.
    """
    search = search or Search()
    found = _relaxed(study, moment, search)
    return _searched(study, [moment], search, one_share=False) if found is None else found


def best_held(study: VoltVarStudy, moments: Sequence[Moment], search: Search | None = None) -> Best:
    """The best settings that are held over several moments, at the same shares of reactive power.

    The sums over the moments count, and the band holds at each of them. All settings with one share for all
    inverters where they are few, else descents; then each inverter for itself.
    """
    search = search or Search()
    found = _searched(study, moments, search, one_share=True)
    if len(study.inverters) < 2 or found.status in ("optimal", "infeasible"):
        return found
    start = study.coded(found.setting, one_share=False)
    choices, judge = study.choices(moments, one_share=False), study.judge(moments)
    best = best_found(choices, judge, [start], together=1, least_gain=search.least_gain)
    words = "best known", "none found"
    return described(study, study.decoded(best.setting), moments, None, words, n_combinations(choices))


def _searched(study: VoltVarStudy, moments: Sequence[Moment], search: Search, *, one_share: bool) -> Best:
    choices, judge = study.choices(moments, one_share=one_share), study.judge(moments)
    size = n_combinations(choices)
    if size * len(moments) <= search.most_exhaustive:
        found, words = best_of_all(choices, judge), ("optimal", "infeasible")
    else:
        gain = search.least_gain if one_share else 0.0
        starts = _starts(study, choices, search, one_share=one_share)
        found = best_found(choices, judge, starts, search.reach, least_gain=gain)
        words = "best known", "none found"
    return described(study, study.decoded(found.setting), moments, None, words, size)


def _starts(
    study: VoltVarStudy, choices: Sequence[IntArray], search: Search, *, one_share: bool
) -> list[IntArray]:
    """As stored, all taps neutral, then drawn."""
    ends = [values[0] for values in choices], [values[-1] for values in choices]
    stored = np.clip(study.coded(study.stored, one_share=one_share), *ends)
    neutral = stored.copy()
    neutral[: len(study.reg_ids)] = 0
    neutral = np.clip(neutral, *ends)
    rng = np.random.default_rng(search.seed)
    return [stored, neutral, *drawn_starts(choices, rng, search.starts - 2)][: search.starts]


def described(
    study: VoltVarStudy, setting: Setting, moments: Sequence[Moment], bound: float | None,
    words: tuple[str, str], size: int,
) -> Best:  # fmt: skip
    """A setting with its power flows; ``words``: its status where the band is kept, and where it is not."""
    shown = tuple(study.at(setting.rows(None), moment) for moment in moments)
    violation = float(sum(one.violation_pu[0] for one in shown))
    value = float(sum(OBJECTIVES[study.objective](one)[0] for one in shown))
    solved = all(one.found[0] for one in shown)
    return Best(
        setting, value, violation if solved else np.inf, bound,
        words[0] if violation == 0.0 and solved else words[1], size, shown,
    )  # fmt: skip


def _relaxed(study: VoltVarStudy, moment: Moment, search: Search) -> Best | None:
    """By branch and bound; None where that does not cover what is asked, or finds nothing."""
    units = study.relaxed_units(moment.sun)
    if units is None or study.per_phase or not (study.reg_ids or study.cap_ids):
        return None
    loads: dict[str, Any] = dict(moment.loads)
    try:
        radial_network(study.net)
        found = optimal_settings(
            study.net, units, objective=_DISPATCHED[study.objective],
            limits=NetworkLimits(study.v_band, None), head_usd_mwh=1.0, v_source_pu=study.v_source_pu,
            most_nodes=search.most_nodes, **loads,
        )  # fmt: skip
    except RunError:
        return None
    most = study.inverters.capability_mvar(np.full(len(study.inverters), moment.sun))
    share = np.divide(found.q_mvar, most, out=np.zeros_like(most), where=most > 0.0)
    setting = Setting(
        np.array([found.tap_pos[name] for name in study.reg_ids], dtype=np.int64),
        np.array([found.cap_on[name] for name in study.cap_ids], dtype=bool), np.clip(share, -1.0, 1.0),
    )  # fmt: skip
    size = n_combinations(study.choices([moment], one_share=False)[: len(study.reg_ids + study.cap_ids)])
    return described(study, setting, [moment], found.bound, (found.status, "inexact"), size)
