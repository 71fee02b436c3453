"""The verdicts of an audit: a number, a threshold, and whether the task passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..jobs.unit_tables import table_of_rows
from .scores import REFERENCE, REST, Standings
from .tables import VERDICTS

#: The thresholds: of shares of the gap, unless said otherwise.
LEAST_LEFT = 0.30
MOST_OF_CONSTANT = 0.60
MOST_OF_DIMENSION = 0.50
MOST_VIOLATING = 0.02  # share of steps, or a fifth of do-nothing's where that is more
MOST_OF_STORAGE = 0.005
MOST_PRICE = 100.0  # normal days
MOST_FAILED = 0.20  # of days under random actions


@dataclass(frozen=True)
class Verdict:
    """One verdict: ``passes`` is None where it could not be judged."""

    name: str
    value: float
    threshold: float
    passes: bool | None
    meaning: str

    def row(self) -> tuple[str, float, float, bool | None, str]:
        """A row of ``tables.VERDICTS``."""
        return self.name, self.value, self.threshold, self.passes, self.meaning


class Evidence:
    """What verdicts are given on: the standings, and the details by what they tell."""

    def __init__(self, episodes: pa.Table, details: pa.Table) -> None:
        self.standings = Standings(episodes)
        self._details = details.to_pylist()

    def values(self, what: str, name: str | None = None) -> list[float]:
        """All values of the details of that kind and name."""
        return [
            row["value"]
            for row in self._details
            if row["what"] == what and name in (None, row["name"]) and row["value"] is not None
        ]

    def named(self, what: str) -> dict[str, float]:
        """The values of the details of that kind by name; the mean of several."""
        names = dict.fromkeys(row["name"] for row in self._details if row["what"] == what)
        return {name: float(np.mean(self.values(what, name))) for name in names}


Judge = Callable[[Evidence], Verdict | None]


def _do_nothing(evidence: Evidence) -> Verdict:
    found = evidence.standings
    random = found["random"]
    solved = [k for k, day in enumerate(random.days) if day in found.days and not random.failed[k]]
    days = tuple(random.days[k] for k in solved) or found.days
    low = min(random.mean(days), found[REST].mean(days))
    gap, spread = found[REFERENCE].mean(days) - found[REST].mean(days), found[REFERENCE].mean(days) - low
    worth = abs(found[REST].mean(days)) or spread  # doing nothing may be worth nothing
    scale = min(spread, worth)
    left = gap / scale if gap > 0.0 and scale > 0.0 else 0.0
    return Verdict(
        "do-nothing leaves a gap", left, LEAST_LEFT, left >= LEAST_LEFT,
        "reference - do-nothing, in units of |do-nothing| or of reference - random, whichever is less",
    )  # fmt: skip


def _random(evidence: Evidence) -> Verdict:
    found = evidence.standings
    share = found.share(found["random"])
    return Verdict("random is worse than do-nothing", share, 0.0, bool(share < 0.0), "share of the gap")


def _constant(evidence: Evidence) -> Verdict:
    found = evidence.standings
    share = found.share(found["best constant"])
    return Verdict(
        "no constant action is good", share, MOST_OF_CONSTANT, bool(share < MOST_OF_CONSTANT),
        "share of the gap of the best constant action",
    )  # fmt: skip


def _ppo(evidence: Evidence) -> Verdict | None:
    found = evidence.standings
    if "ppo" not in found.contenders:
        return None
    rule = found.best("rule") or found[REST]
    apart = found.share(found["ppo"]) - found.share(rule)
    steps = evidence.named("training").get("ppo steps", float("nan"))
    return Verdict(
        "PPO beats the best rule", apart, 0.0, bool(apart > 0.0),
        f"shares of the gap above {rule.name}; {steps:,.0f} steps",
    )  # fmt: skip


def _dimensions(evidence: Evidence) -> Verdict | None:
    losses = evidence.named("ablation")
    if not losses and "ppo" in evidence.standings.contenders:
        return Verdict(
            "no dimension does it all", float("nan"), MOST_OF_DIMENSION, None,
            "PPO gains nothing over do-nothing of which a dimension could be a share",
        )  # fmt: skip
    if not losses:
        return None
    worst = max(losses, key=lambda name: losses[name])
    value = losses[worst]
    alone = len(losses) == 1
    return Verdict(
        "no dimension does it all", value, MOST_OF_DIMENSION, alone or bool(value <= MOST_OF_DIMENSION),
        f"of what PPO gains over do-nothing, lost without {worst}" + " (the only one)" * alone,
    )  # fmt: skip


def _violations(evidence: Evidence) -> Verdict:
    found = evidence.standings
    own = found[REFERENCE].violating_share.mean()
    at_rest = found[REST]
    rest = np.mean([at_rest.violating_share[at_rest.days.index(day)] for day in found.days])
    threshold = max(MOST_VIOLATING, 0.2 * float(rest))
    return Verdict(
        "reward and limits agree", float(own), threshold, bool(own <= threshold),
        f"share of steps in violation under the reference; do-nothing: {rest:.3f}",
    )  # fmt: skip


def _observations(evidence: Evidence) -> Verdict | None:
    values = evidence.named("observation")
    if not values:
        return None
    outside = values["steps outside"]
    return Verdict(
        "observations stay in their space", outside, 0.0, outside == 0.0,
        f"of {values['steps']:.0f} random steps with an observation outside",
    )  # fmt: skip


def _storage(evidence: Evidence) -> Verdict | None:
    gains = evidence.named("storage")
    if not gains:
        return None
    worst = max(gains, key=lambda name: gains[name])
    gap = evidence.standings.gap
    share = gains[worst] / gap if gap > 0.0 else float("nan")
    return Verdict(
        "storage at the end is worth what it costs", share, MOST_OF_STORAGE, bool(share <= MOST_OF_STORAGE),
        f"share of the gap that the last hours gain by: {worst}",
    )  # fmt: skip


def _failing(evidence: Evidence) -> Verdict | None:
    values = evidence.named("failing")
    if not values:
        return None
    margin = values["least margin"]
    return Verdict(
        "failing never pays", margin, 0.0, bool(margin > 0.0),
        "least that any step of a day is worth above a failure there",
    )  # fmt: skip


def _price(evidence: Evidence) -> Verdict | None:
    values = evidence.named("failing")
    if not values:
        return None
    ratio = values["price in normal days"]
    return Verdict(
        "failing can be survived", ratio, MOST_PRICE, bool(ratio <= MOST_PRICE),
        "price of a failed power flow in returns of a normal day",
    )  # fmt: skip


def _often(evidence: Evidence) -> Verdict:
    found = evidence.standings
    share = float(found["random"].failed.mean())
    ends = [c.failed.mean() for c in found.kinds("extreme")]
    return Verdict(
        "random actions seldom fail", share, MOST_FAILED, share <= MOST_FAILED,
        f"share of days; of the constant extremes up to {max(ends, default=0.0):.2f}",
    )  # fmt: skip


JUDGES: tuple[Judge, ...] = (
    _do_nothing, _random, _constant, _ppo, _dimensions, _violations, _observations, _storage, _failing,
    _price, _often,
)  # fmt: skip


def verdicts(episodes: pa.Table, details: pa.Table) -> pa.Table:
    """All verdicts that can be given, in order; see ``tables.VERDICTS``."""
    evidence = Evidence(episodes, details)
    found = [judge(evidence) for judge in JUDGES]
    return table_of_rows([verdict.row() for verdict in found if verdict is not None], VERDICTS)
