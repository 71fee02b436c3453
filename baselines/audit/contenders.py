"""The contenders of an audit: each plays the test days and tells what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ..registry import make
from ..search.arena import FloatArray
from ..search.day_search import DaySearch
from .learned import can_learn, play_learner
from .session import AuditSession
from .storage_end import emptied
from .tables import detail_rows, episode_rows, tables

Tables = Mapping[str, pa.Table]


def contender_names(session: AuditSession) -> list[str]:
    """Items that play all test days, cheap ones first."""
    rules = [f"rule {name}" for name in session.rules]
    searched = ["best constant", "best affine"]
    space = session.test.env.action_space
    learners = [name for name in session.config.learners if can_learn(name, space)]
    return ["do-nothing", "random", "extremes", *rules, *searched, *learners]


def play_contender(session: AuditSession, name: str) -> Tables:
    """What a contender earns on all test days, and what it is made of."""
    if name.startswith("rule "):
        return _rule(session, name.removeprefix("rule "))
    return _PLAYERS[name](session)


def play_reference(session: AuditSession, day: int) -> Tables:
    """The reference of a day: its return, and whether emptying storage at its end earns something."""
    arena = session.test
    search = DaySearch(arena, day, session.starts(day), session.momentary, session.rng("reference", day))
    found = search.run(session.budget.reference_row_steps)
    one = np.array([day])
    played = arena.sequences(one, found.actions[None])
    facts = {"start": found.start, "row_steps": float(found.row_steps)}
    details = detail_rows("reference", "search", facts, day)
    details += detail_rows("reference", "storage", emptied(arena, day, found.actions), day)
    return tables(episode_rows("reference", "reference", one, session.config.seed, played), details)


def _constants(session: AuditSession, named: Mapping[str, FloatArray], kind: str) -> Tables:
    days, n = session.days, session.days.size
    played = session.test.constants(days, np.array(list(named.values())))
    rows = []
    for k, name in enumerate(named):
        rows += episode_rows(name, kind, days, session.config.seed, played.of(slice(k * n, (k + 1) * n)))
    return tables(rows, [])


def _do_nothing(session: AuditSession) -> Tables:
    return _constants(session, {"do-nothing": session.test.neutral}, "rest")


def _extremes(session: AuditSession) -> Tables:
    return _constants(session, session.extremes, "extreme")


def _random(session: AuditSession) -> Tables:
    seed, days = session.config.seed, session.days
    played = session.test.policy(days, lambda env: make("random", env), seed)
    return tables(episode_rows("random", "random", days, seed, played), [])


def _rule(session: AuditSession, name: str) -> Tables:
    played = session.play_rule(name, session.days)
    return tables(episode_rows(name, "rule", session.days, session.config.seed, played), [])


def _constant(session: AuditSession) -> Tables:
    action = session.constant
    made = _constants(session, {"best constant": action}, "constant")
    values = dict(zip(session.test.names, action.tolist(), strict=True))
    return {**made, **_details(detail_rows("best constant", "action", values))}


def _affine(session: AuditSession) -> Tables:
    found = session.affine
    played = found.play(session.test, session.days)
    columns = (*found.features.names, "1")
    values = {
        f"{dim} · {feature}": float(weight)
        for dim, row in zip(session.test.names, found.weights, strict=True)
        for feature, weight in zip(columns, row, strict=True)
    }
    rows = episode_rows("best affine", "affine", session.days, session.config.seed, played)
    return tables(rows, detail_rows("best affine", "weight", values))


def _details(rows: list[Any]) -> Tables:
    return {"details": tables([], rows)["details"]}


def _learner(name: str) -> Callable[[AuditSession], Tables]:
    return lambda session: play_learner(session, name)


_PLAYERS: dict[str, Callable[[AuditSession], Tables]] = {
    "do-nothing": _do_nothing, "random": _random, "extremes": _extremes, "best constant": _constant,
    "best affine": _affine, "ppo": _learner("ppo"), "sac": _learner("sac"),
}  # fmt: skip
