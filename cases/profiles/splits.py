"""Which days are for what: fixed lists in `data/profiles/splits.json`, pinned by the hashes below.

The suites `summer-pv` (the sunniest of the low-load days) and `winter-peak` (the highest load peaks) are
taken out first and are in no other split: nobody trains on them. The rest of the year is cut into calendar
weeks, Monday to Sunday; in each quarter of the year two weeks go to `test`, two to `val`, the others to
`train`. Whole weeks keep neighbouring days, which resemble each other, together, and give every split all
weekdays and seasons. `tools/build_profiles.py` made the lists once; they change only with a new version of
the environments.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..storage.regular_files import read_regular
from .calendar import check_day
from .tables import SHIPPED, frozen

_MOST_BYTES = 1 << 20
SPLITS = ("train", "val", "test", "summer-pv", "winter-peak")

# sha256 of the days in rising order, in decimal, joined by commas.
SPLIT_HASHES = {
    "train": "e7f43becacf9962d038163aa3086d881174a774b9d8c58ee167c21cf99e93320",
    "val": "cc22bbfdc8e1295e938448caa7e9b44f25542f415b00a1ee01b5dd2a0092ccf6",
    "test": "f97698378e803a024f01517645d1795d83fedc772d26da54f000f6e82e5c04eb",
    "summer-pv": "301674533d437b89ac2133e0545858093a787af80917aa2e1e792663fd507985",
    "winter-peak": "f70e9127300f04839a3562c9fd55fc74e3a0a38e0193fc3e5bae6d8c2f7406dc",
}


@cache
def _days() -> dict[str, NDArray[np.int64]]:
    return read_days(SHIPPED / "profiles" / "splits.json")


def read_days(path: Path) -> dict[str, NDArray[np.int64]]:
    """Days of each split, rising, read-only.

    Raises:
        CaseError: the file is missing or is no such list of days of the year.
    """
    try:
        lists = json.loads(read_regular(path, _MOST_BYTES))
        days = {name: [check_day(day) for day in lists[name]] for name in SPLITS}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        expected = "a JSON object with a list of days for each split; restore it from the package"
        raise CaseError([Problem(str(path), None, "", str(error), expected)]) from error
    return {name: frozen(np.array(sorted(found), dtype=np.int64)) for name, found in days.items()}


def split_days(split: str) -> NDArray[np.int64]:
    """Days of a split, rising, read-only.

    Args:
        split: train, val, test, summer-pv or winter-peak.

    Raises:
        ValueError: an unknown split; the nearest is suggested.
    """
    if split not in SPLITS:
        near = difflib.get_close_matches(str(split), SPLITS, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown split {split!r}{hint} (choose one of {', '.join(SPLITS)})")
    return _days()[split]


def hash_days(days: NDArray[np.int64] | list[int]) -> str:
    """sha256 of days in rising order, in decimal, joined by commas."""
    return hashlib.sha256(",".join(str(int(day)) for day in sorted(days)).encode()).hexdigest()


def split_hash(split: str) -> str:
    """Hash of the split's days as they are on disk; equals `SPLIT_HASHES[split]` in an intact package.

    Raises:
        ValueError: an unknown split; the nearest is suggested.
    """
    return hash_days(split_days(split))
