"""Scores of all contenders, as shares of the gap between doing nothing and the reference.

The reference of a day is the best return that anybody found for it: the search, or a contender that was
better. A contender's share of the gap is (score - do-nothing) / (reference - do-nothing), of means over the
days that have a reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..jobs.unit_tables import table_of_rows
from ..search.arena import FloatArray
from .tables import SCORES

REST, REFERENCE = "do-nothing", "reference"


@dataclass(frozen=True)
class Contender:
    """What one contender did, day by day (n,)."""

    name: str
    kind: str
    days: tuple[int, ...]
    returns: FloatArray
    violating_share: FloatArray
    failed: FloatArray

    def on(self, days: tuple[int, ...]) -> FloatArray:
        """Returns on some of its days."""
        at = {day: k for k, day in enumerate(self.days)}
        return self.returns[[at[day] for day in days]]

    def mean(self, days: tuple[int, ...]) -> float:
        """Mean return on some of its days."""
        return float(self.on(days).mean())


class Standings:
    """All contenders of an audit.

    Args:
        episodes: The table of ``tables.EPISODES``.
    """

    def __init__(self, episodes: pa.Table) -> None:
        self.contenders = {c.name: c for c in _contenders(episodes)}
        self.days = self.contenders[REFERENCE].days if REFERENCE in self.contenders else ()
        if self.days:
            self._raise_reference()

    def _raise_reference(self) -> None:
        """No contender is better than the reference of a day: it takes over what is."""
        own = self.contenders[REFERENCE]
        best = np.max([c.on(self.days) for c in self.contenders.values()], axis=0)
        self.contenders[REFERENCE] = Contender(
            own.name, own.kind, own.days, best, own.violating_share, own.failed
        )

    def __getitem__(self, name: str) -> Contender:
        return self.contenders[name]

    def kinds(self, kind: str) -> list[Contender]:
        """The contenders of a kind."""
        return [c for c in self.contenders.values() if c.kind == kind]

    def best(self, kind: str) -> Contender | None:
        """The one of a kind with the highest mean on the days of the reference; None where there is none."""
        return max(self.kinds(kind), key=lambda c: c.mean(self.days), default=None)

    @property
    def gap(self) -> float:
        """What doing nothing leaves to the reference."""
        return self[REFERENCE].mean(self.days) - self[REST].mean(self.days)

    def share(self, contender: Contender) -> float:
        """Of the gap that a contender closes; NaN where there is none."""
        if not self.gap > 0.0:
            return float("nan")
        return (contender.mean(self.days) - self[REST].mean(self.days)) / self.gap

    def table(self) -> pa.Table:
        """One row for each contender, the best first; see ``tables.SCORES``."""
        rows = [self._row(c) for c in self.contenders.values()]
        return table_of_rows(sorted(rows, key=lambda row: -row[8]), SCORES)

    def _row(self, c: Contender) -> tuple[Any, ...]:
        return (
            c.name, c.kind, len(c.days), float(c.returns.mean()), float(c.returns.std()),
            float(c.violating_share.mean()), int(c.failed.sum()), len(self.days), c.mean(self.days),
            self.share(c),
        )  # fmt: skip


def _contenders(episodes: pa.Table) -> list[Contender]:
    rows = episodes.to_pylist()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["contender"], []).append(row)
    return [
        Contender(
            name, own[0]["kind"], tuple(row["day"] for row in own), np.array([row["return"] for row in own]),
            np.array([row["violating_share"] for row in own]), np.array([row["failed"] for row in own]),
        )
        for name, own in found.items()
    ]  # fmt: skip
