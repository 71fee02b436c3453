"""The best that anybody found on a day: rules, planners, plans that know the day, and a search from there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from .. import registry
from ..optimal.bracket import Bracket, bracket, played
from ..search.arena import FloatArray
from ..search.constants import extremes
from ..search.day_search import DaySearch
from .session import CertifySession

#: A plan whose gap to the bound is below this share of the gain is not searched for a better one.
CLOSE = 0.01
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

    Rules and planners play it; where the relaxation covers the environment, its plan and its bound are there.
    Where no bound shows that this is within a hundredth of all there is to gain, a search on the environment
    begins with the best of it all.
    """
    arena, seed = session.arena, session.seeds[day]
    found = bracket(session.env, day, seed=seed) if session.covered else None
    plans = _played_plans(session, day)
    if found is not None:
        plans["relaxation"] = found.actions
    constant = {name: np.repeat(a[None], arena.steps, axis=0) for name, a in extremes(arena).items()}
    plans |= {f"constant {name}": actions for name, actions in constant.items()}
    names = list(plans)
    returns = arena.sequences(np.full(len(names), day), np.array(list(plans.values()))).returns
    brought = dict(zip(names, returns.tolist(), strict=True))
    best = max(names, key=lambda name: brought[name])
    actions, by = plans[best], best
    if session.search_steps and not _proved(found, brought[best]):
        actions = _searched(session, day, np.array(list(plans.values())), names.index(best))
        if played(session.env, actions, day, seed) > brought[best]:
            by = "search"
        else:
            actions = plans[best]
    rules = {name: brought[f"rule {name}"] for name in session.rules}
    rule = max(rules, key=lambda name: rules[name]) if rules else None
    return Certificate(
        played(session.env, plans["do-nothing"], day, seed), rule, None if rule is None else rules[rule],
        played(session.env, actions, day, seed), by, actions, None if found is None else found.bound,
    )  # fmt: skip


def _played_plans(session: CertifySession, day: int) -> dict[str, FloatArray]:
    """What rules and planners do on a day, by name; (steps, n_actions) each."""
    arena, one = session.arena, np.array([day])
    plans = {"do-nothing": np.repeat(arena.neutral[None], arena.steps, axis=0)}
    kinds = [("rule", name) for name in session.rules] + [("planner", name) for name in session.planners]
    for kind, name in kinds:
        acted = arena.policy(one, partial(registry.make, name), arena.seed).actions
        assert acted is not None
        plans[f"{kind} {name}"] = acted[0]
    return plans


def _proved(found: Bracket | None, best: float) -> bool:
    if found is None:
        return False
    return found.bound - best <= CLOSE * (best - found.do_nothing)


def _searched(session: CertifySession, day: int, plans: FloatArray, best: int) -> FloatArray:
    """(steps, n_actions) what the search of a day ends with."""
    better = _constants(session, day, plans[best])
    starts = np.concatenate([plans, better])
    search = DaySearch(session.arena, day, starts, session.momentary, session.rng(day))
    return search.run(session.search_steps, rounds=1).actions


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
