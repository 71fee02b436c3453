"""The best that anybody found on a day: rules, planners, plans that know the day, and a search from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..optimal.bracket import Bracket, bracket
from ..optimal.phase_day.plan import plan_phase_day
from ..optimal.phase_day.start import started
from ..policy import scenario_of
from ..search.arena import FloatArray
from ..search.day_search import DaySearch, Found
from .session import CertifySession

#: A plan whose gap to the bound is below this share of the gain is not searched for a better one.
CLOSE = 0.01
#: Steps of each kind of the search in turn, and how many changes of blocks it tries in one.
_ROUNDS, _MOVES = 2, 96
_LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Certificate:
    """A day.

    Attributes:
        do_nothing: Return of the neutral action.
        best_rule, best_rule_return: Of the scripted rules; None where none fits.
        best_known: The best return, played on the environment itself; ``found_by`` says who found it.
        actions: (steps, n_actions) how.
        bound: No policy has a return above it; None where none is proved.
    """

    do_nothing: float
    best_rule: str | None
    best_rule_return: float | None
    best_known: float
    found_by: str
    actions: FloatArray
    bound: float | None

    @property
    def gap(self) -> float | None:
        """Between bound and best known, in units of what the best known gains over doing nothing."""
        if self.bound is None:
            return None
        gained = self.best_known - self.do_nothing
        return (self.bound - self.best_known) / gained if gained > 0.0 else float("inf")


def certificate(session: CertifySession, day: int) -> Certificate:
    """The certificate of a day.

    Rules and planners play it; where the relaxation covers the environment, its plan and its bound are there,
    and on per-phase feeders a plan on the power flow itself.
    Where no bound shows that this is within a hundredth of all there is to gain, a search on the environment
    begins with the best of it all.
    """
    arena, seed = session.arena, session.seeds[day]
    found = bracket(session.env, day, seed=seed) if session.covered else None
    at = session.days.index(day)
    plans = {"do-nothing": np.repeat(arena.neutral[None], arena.steps, axis=0)}
    plans |= {name: actions[at] for name, actions in session.plans.items()}
    if found is not None:
        plans["relaxation"] = found.actions
    brought = _returns(session, day, plans)
    if session.per_phase:
        best_so_far = plans[max(brought, key=lambda name: brought[name])]
        plans["plan per phase"] = _per_phase(session, day, best_so_far)
        brought |= _returns(session, day, {"plan per phase": plans["plan per phase"]})
    names = list(plans)
    by = max(names, key=lambda name: brought[name])
    actions, best = plans[by], brought[by]
    if session.search_steps and not _proved(found, best):
        searched = _searched(session, day, np.array(list(plans.values())), names.index(by))
        if searched.score > best:
            by, actions, best = "search", searched.actions, searched.score
    rules = {name: brought[f"rule {name}"] for name in session.rules}
    rule = max(rules, key=lambda name: rules[name]) if rules else None
    return Certificate(
        brought["do-nothing"], rule, None if rule is None else rules[rule], best, by, actions,
        None if found is None else found.bound,
    )  # fmt: skip


def _returns(session: CertifySession, day: int, plans: Mapping[str, FloatArray]) -> dict[str, float]:
    """What plans (steps, n_actions) bring, by name."""
    found = session.arena.sequences(np.full(len(plans), day), np.array(list(plans.values()))).returns
    return dict(zip(plans, found.tolist(), strict=True))


def _per_phase(session: CertifySession, day: int, first: FloatArray) -> FloatArray:
    """The plan on the power flow, from the actions ``first`` on."""
    start = started(session.env, first, day, session.seeds[day])
    session.env.reset(seed=session.seeds[day], options={"day": int(day)})
    return plan_phase_day(scenario_of(session.env), start=start).actions


def _proved(found: Bracket | None, best: float) -> bool:
    if found is None:
        return False
    return found.bound - best <= CLOSE * (best - found.do_nothing)


def _searched(session: CertifySession, day: int, plans: FloatArray, best: int) -> Found:
    """What the search of a day ends with."""
    better = _constants(session, day, plans[best])
    starts = np.concatenate([plans, better])
    search = DaySearch(session.arena, day, starts, session.momentary, session.rng(day))
    return search.run(session.search_steps, rounds=_ROUNDS, moves=_MOVES)


def _constants(session: CertifySession, day: int, base: FloatArray) -> FloatArray:
    """(n, steps, n_actions) a plan with more and more of its dimensions at their best constant value."""
    arena = session.arena
    tried = [(dim, level) for dim in range(arena.n_actions) for level in _LEVELS]
    rows = np.repeat(base[None], len(tried) + 1, axis=0)
    for k, (dim, level) in enumerate(tried):
        rows[k + 1, :, dim] = level
    returns = arena.sequences(np.full(len(rows), day), rows).returns
    gain = (returns[1:] - returns[0]).reshape(arena.n_actions, len(_LEVELS))
    level, most = gain.argmax(axis=1), gain.max(axis=1)
    together, made = base.copy(), [base]
    for dim in np.argsort(-most, kind="stable").tolist():
        if most[dim] > 0.0:
            together = together.copy()
            together[:, dim] = _LEVELS[level[dim]]
            made.append(together)
    return np.array(made)
