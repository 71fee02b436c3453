"""The tables of an audit: their columns, and rows made from what was played."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ..jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table_of_rows
from ..search.arena import IntArray, Played

WHOLE = pa.int64()

#: One row for each contender and day.
EPISODES = schema(
    ("contender", TEXT, ""), ("kind", TEXT, ""), ("day", WHOLE, ""), ("seed", WHOLE, ""),
    ("return", NUMBER, ""), ("violating_share", NUMBER, "1"), ("failed", YES_NO, ""), ("steps", WHOLE, ""),
)  # fmt: skip

#: Everything else that was measured: of a contender, on a day or on all (-1), what, of what, how much.
DETAILS = schema(
    ("contender", TEXT, ""), ("day", WHOLE, ""), ("what", TEXT, ""), ("name", TEXT, ""),
    ("value", NUMBER, ""),
)  # fmt: skip

#: One row for each contender.
SCORES = schema(
    ("contender", TEXT, ""), ("kind", TEXT, ""), ("days", WHOLE, ""), ("return_mean", NUMBER, ""),
    ("return_std", NUMBER, ""), ("violating_share", NUMBER, "1"), ("failed_days", WHOLE, ""),
    ("reference_days", WHOLE, ""), ("return_on_reference_days", NUMBER, ""), ("share_of_gap", NUMBER, "1"),
)  # fmt: skip

#: One row for each verdict; `passes` is null where it could not be judged.
VERDICTS = schema(
    ("verdict", TEXT, ""), ("value", NUMBER, ""), ("threshold", NUMBER, ""), ("passes", YES_NO, ""),
    ("meaning", TEXT, ""),
)  # fmt: skip

DetailRow = tuple[str, int, str, str, float]
EpisodeRow = tuple[str, str, int, int, float, float, bool, int]


def episode_rows(name: str, kind: str, days: IntArray, seed: int, played: Played) -> list[EpisodeRow]:
    """Rows of ``EPISODES``."""
    return [
        (name, kind, int(day), int(seed + day), float(total), float(share), bool(failed), int(length))
        for day, total, share, failed, length in zip(
            days, played.returns, played.violating_share, played.failed, played.length, strict=True
        )
    ]


def tables(episodes: list[EpisodeRow], details: list[DetailRow]) -> dict[str, pa.Table]:
    """The tables of a part."""
    return {"episodes": table_of_rows(episodes, EPISODES), "details": table_of_rows(details, DETAILS)}


def detail_rows(contender: str, what: str, values: Mapping[str, float], day: int = -1) -> list[DetailRow]:
    """Rows of ``DETAILS``."""
    return [(contender, day, what, name, float(value)) for name, value in values.items()]
