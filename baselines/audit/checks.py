"""Checks of an audit that belong to no contender: observations in their space, the price of failing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ..registry import make
from ..search.arena import FloatArray, Played
from .session import AuditSession
from .tables import detail_rows, tables

Tables = Mapping[str, pa.Table]
_RANDOM_STEPS = 1000


def play_check(session: AuditSession, name: str) -> Tables:
    """The details of a check."""
    return tables([], detail_rows("", name, CHECKS[name](session)))


def _observation(session: AuditSession) -> dict[str, float]:
    """How many of 1,000 random steps on train days show an observation outside of its space."""
    env: Any = session.train.env
    space = env.observation_space
    rng, outside, steps = session.rng("observation"), 0, 0
    over = True
    while steps < _RANDOM_STEPS:
        if over:
            obs, _ = env.reset(seed=int(rng.integers(1 << 31)))
            outside += not space.contains(obs)
        action = session.train.codec.encode(
            rng.uniform(-1.0, 1.0, (1, session.train.n_actions)).astype(np.float32)
        )
        obs, _, terminated, truncated, _ = env.step(session.train.codec.one(action))
        over = bool(terminated or truncated)
        outside += not space.contains(obs)
        steps += 1
    return {"steps": float(steps), "steps outside": float(outside)}


def _failing(session: AuditSession) -> dict[str, float]:
    """What a failed power flow takes, beside what the rest of a day is worth without one.

    The rest of a day is that of anybody who is no learner: doing nothing, random, constant extremes; the
    worst of them that solves its power flow to the end.
    """
    arena, days = session.train, session.train.chosen_days(min(session.budget.search_days, 8))
    rest = arena.constants(days, arena.neutral[None])
    several = [rest, arena.policy(days, lambda env: make("random", env), session.config.seed)]
    several.append(arena.constants(days, np.array(list(session.extremes.values()))))
    price = _prices(session)
    margins = [_margin(played, price) for played in several]
    # The length of a normal day is the median of what doing nothing and random bring, whatever its sign,
    # where they bring anything at all: who connects nothing has earned nothing.
    brought = np.abs(np.concatenate([one.returns[~one.failed] for one in several[:2]]))
    normal = float(np.median(brought[brought > 0.0])) if brought.any() else 0.0
    return {
        "least margin": min(margins), "margin of do-nothing": margins[0], "price": float(price[0]),
        "normal day": normal, "price in normal days": float(price[0]) / max(normal, 1e-12),
        "failed extremes": float(several[2].failed.mean()),
    }  # fmt: skip


def _prices(session: AuditSession) -> FloatArray:
    """(steps,) what a failure in that step takes."""
    grid = session.train.grid.grid
    price = grid.task.failure_price
    if not isinstance(price, str):
        return np.full(session.train.steps, float(price))
    left = np.arange(session.train.steps, 0, -1)
    return -grid.worst_reward * left.astype(np.float64)


def _margin(played: Played, price: FloatArray) -> float:
    """The least that the rest of an episode, from any step on, is above a failure in that step."""
    rests = played.reward[:, ::-1].cumsum(axis=1)[:, ::-1][~played.failed]
    return float((rests + price).min()) if rests.size else float("nan")


CHECKS: dict[str, Callable[[AuditSession], dict[str, float]]] = {
    "observation": _observation, "failing": _failing,
}  # fmt: skip
