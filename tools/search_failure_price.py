"""Search for the worst that a day of each registered environment can bring while its power flow is solved.

    python tools/search_failure_price.py                  # all ids, about ten minutes
    python tools/search_failure_price.py VoltVar-33bw-v0  # these

A failed power flow must never pay, at whatever time of the day: its price must be above the worst that the
rest of any day can bring. Where a reward is money an interval may earn something, and what is earned before a
failure or instead of it is nobody's reason to fail: only intervals that cost count here, so that their sum is
above every remainder of the day, however much others earn. The worst day is sought by an adversary on the
vector face, on all days of the year (but those of suites for which an id states no price): doing nothing, all
that is constant at the ends of its range (together, and kind by kind), chance, switching at random between
the ends, and, on the worst days that this finds, hill-climbing on what each action does in each of twelve
parts of the day, once for the reward and once for the cost. From all that was played on a day the worst of
each interval is taken, whoever brought it: the sum of these is below every return that was found.
``failure_price`` and ``failure_cost`` in `envs/suites/` are a quarter more than that. The rigorous bound
(``failure_price="bound"``) needs no search and is many times larger.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from distgrid.cases import profiles
from distgrid.envs.suites import ENTRIES, RegisteredEnv

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Plan = Callable[[int], Floats]  # step of the day -> (rows, n_actions)

MARGIN = 1.25
WORST_DAYS, EACH, PARTS = 16, 16, 12  # days that are climbed, rows on each, parts of a day
GENERATIONS = (5, 60)
_CELLS = 3e8  # nodes (phases) times steps that a climb may take


@dataclass
class Worst:
    """The worst of every interval of every day that any plan brought; 0 where none cost anything."""

    penalty: Floats  # (days, steps)
    cost: Floats

    def take(self, days: Ints, penalty: Floats, cost: Floats) -> None:
        """Take over what rows on ``days`` brought, (steps, rows)."""
        np.maximum.at(self.penalty, days, penalty.T)
        np.maximum.at(self.cost, days, cost.T)


def play(env: Any, days: Ints, plan: Plan) -> tuple[Floats, Floats]:
    """Penalty and cost of every step of a day, (steps, rows); 0 from a failure on: it is not solved."""
    env.reset(seed=0, options={"day": days})
    steps = env.task.episode.steps(env.profiles.dt_h)
    penalty, cost = np.zeros((2, steps, days.size))
    alive = np.ones(days.size, dtype=bool)
    for step in range(steps):
        _, reward, terminated, _, info = env.step(plan(step))
        alive &= ~terminated
        penalty[step], cost[step] = np.where(alive, -reward, 0.0), np.where(alive, info["cost"], 0.0)
    return penalty, cost


def constants(env: Any, rows: int, rng: np.random.Generator) -> Iterator[Plan]:
    """Plans that need no memory: nothing, the ends of each kind of action, chance."""
    neutral = env.neutral_action[0].astype(np.float64)
    kinds = [dim.name.split("_")[0] + "." + dim.quantity for dim in env.action_layout]

    def held(action: Floats) -> Plan:
        return lambda _step: np.repeat(action[None], rows, axis=0)

    yield held(neutral)
    for end in (-1.0, 1.0):
        yield held(np.full(neutral.size, end))
        for kind in sorted(set(kinds)):
            action = neutral.copy()
            action[[k == kind for k in kinds]] = end
            yield held(action)
            yield held(np.where([k == kind for k in kinds], end, -end))
    yield lambda _step: rng.uniform(-1.0, 1.0, (rows, neutral.size))
    yield lambda _step: rng.choice([-1.0, 1.0], (rows, neutral.size))
    for _ in range(2):
        signs = rng.choice([-1.0, 1.0], (rows, neutral.size))
        yield _same(signs)


def _same(action: Floats) -> Plan:
    return lambda _step: action


def climb(env: Any, worst: Worst, of_cost: bool, generations: int, rng: np.random.Generator) -> float:
    """Hill-climbing on the worst days; returns the worst return of a single row."""
    totals = (worst.cost if of_cost else worst.penalty).sum(axis=1)
    days = np.repeat(np.argsort(totals)[::-1][:WORST_DAYS], EACH).astype(np.int64)
    best = rng.choice([-1.0, 1.0], (days.size, PARTS, env.single_action_space.shape[0]))
    reached = np.zeros(days.size)
    for generation in range(generations):
        tried = best.copy()
        if generation:
            # Each row starts from the best of its day now and then, and turns a few of its actions round.
            leader = reached.reshape(WORST_DAYS, EACH).argmax(axis=1) + EACH * np.arange(WORST_DAYS)
            follows = rng.random(days.size) < 0.3
            tried[follows] = best[np.repeat(leader, EACH)[follows]]
            tried *= np.where(rng.random(tried.shape) < 0.05, -1.0, 1.0)
        penalty, cost = play(env, days, _parts(tried, env.task.episode.steps(env.profiles.dt_h)))
        worst.take(days, penalty, cost)
        total = (cost if of_cost else penalty).sum(axis=0)
        better = total > reached
        best[better], reached[better] = tried[better], total[better]
    return float(reached.max())


def _parts(signs: Floats, steps: int) -> Plan:
    return lambda step: signs[:, step * PARTS // steps]


def days_of(entry: RegisteredEnv) -> Ints:
    """The days of the year from which an episode fits, and touches no day that is not priced."""
    names = [profiles.split_days(name, entry.options["splits"]) for name in entry.unpriced_splits]
    left_out = np.concatenate([*names, [profiles.N_DAYS]])
    touched = np.arange(math.ceil(entry.episode_steps * entry.dt_h / 24.0 - 1e-9))
    days = np.arange(profiles.N_DAYS)
    return days[~np.isin(days[:, None] + touched, left_out).any(axis=1)]


def search(entry: RegisteredEnv) -> dict[str, float]:
    """What one id brought, and the prices that follow."""
    rng = np.random.default_rng(20261126)
    year = days_of(entry)
    many: Any = gymnasium.make_vec(entry.id, num_envs=year.size, action_space="continuous")
    steps = many.task.episode.steps(many.profiles.dt_h)
    worst = Worst(np.zeros((profiles.N_DAYS, steps)), np.zeros((profiles.N_DAYS, steps)))
    normal, single = 0.0, 0.0
    many.reset(seed=0)
    for k, plan in enumerate(constants(many, year.size, rng)):
        penalty, cost = play(many, year, plan)
        normal = float(penalty.sum(axis=0).mean()) if k == 0 else normal
        single = max(single, float(penalty.sum(axis=0).max()))
        worst.take(year, penalty, cost)
    few: Any = gymnasium.make_vec(entry.id, num_envs=WORST_DAYS * EACH)
    few.reset(seed=0)
    cells = few.num_envs * steps * len(range(*few.layout["v_pu"].indices(few.layout.size)))
    generations = int(min(max(_CELLS / cells, GENERATIONS[0]), GENERATIONS[1]))
    single = max(single, climb(few, worst, False, generations, rng))
    climb(few, worst, True, generations, rng)
    grid = few.shards.grid
    found = {
        "normal day": normal, "worst day": single, "worst sum": float(worst.penalty.sum(axis=1).max()),
        "bound": -grid.worst_reward * steps, "worst cost": float(worst.cost.sum(axis=1).max()),
    }  # fmt: skip
    return found | {
        "failure_price": rounded_up(MARGIN * found["worst sum"]),
        "failure_cost": rounded_up(MARGIN * max(found["worst cost"], 0.01)),
    }


def rounded_up(value: float) -> float:
    """``value`` to two digits, never below it."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.12g}")


def main(argv: Sequence[str]) -> int:
    """Print what each id brought."""
    for entry in ENTRIES:
        if not argv or entry.id.rpartition("/")[2] in argv:
            found = search(entry)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
            normal = found["normal day"]
            ratio = f", ratio {found['failure_price'] / normal:.1f}" if normal else ""
            print(f"{entry.id}: {shown}{ratio}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
