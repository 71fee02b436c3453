"""Which days are for what: fixed lists in `data/profiles`, pinned by the hashes below.

The set `weeks`: the suites `summer-pv` (the sunniest of the low-load days) and `winter-peak` (the highest
load peaks) are taken out first and are in no other split: nobody trains on them. The rest of the year is cut
into calendar weeks, Monday to Sunday; in each quarter of the year two weeks go to `test`, two to `val`, the
others to `train`. Whole weeks keep neighbouring days, which resemble each other, together, and give every
split all weekdays and seasons. But the last day of one split may lie beside the first of another.

The set `weeks-apart` leaves gap days between them, so that no weather is in two splits: of two neighbouring
days (31 December lies beside 1 January) that would be in different ones, the lesser yields and is in none:
train to val to test to a suite. It has three suites more, which may share days with the others and leave the
weeks of val and test alone: `price-storm` (13 to 20 February, the winter storm of 2021 in the prices),
`cloudy` (the two weeks whose sun moves most from quarter hour to quarter hour, of those with a yield in the
middle third) and `cold-snap` (the coldest fortnight). An episode of 168 hours fits inside each of train, val,
test and these three.

`tools/build_profiles.py` made the lists once; they change only with a new name of the set, which is a new
version of the environments. Household loads are sums of homes moved by up to four weeks, so consumption,
other than weather, recurs between weeks in both sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..storage.regular_files import read_regular
from .calendar import check_day
from .tables import SHIPPED, frozen
from .unknown_names import choose_one

_MOST_BYTES = 1 << 20
#: The set of splits where nothing else is asked for.
WEEKS = "weeks"
#: sha256 of the days of each split of each set: in rising order, in decimal, joined by commas.
SPLIT_SETS: Mapping[str, Mapping[str, str]] = {
    WEEKS: {
        "train": "e7f43becacf9962d038163aa3086d881174a774b9d8c58ee167c21cf99e93320",
        "val": "cc22bbfdc8e1295e938448caa7e9b44f25542f415b00a1ee01b5dd2a0092ccf6",
        "test": "f97698378e803a024f01517645d1795d83fedc772d26da54f000f6e82e5c04eb",
        "summer-pv": "301674533d437b89ac2133e0545858093a787af80917aa2e1e792663fd507985",
        "winter-peak": "f70e9127300f04839a3562c9fd55fc74e3a0a38e0193fc3e5bae6d8c2f7406dc",
    },
    "weeks-apart": {
        "train": "2c258f4700c9b87743e83a87e1f6766b17ac90718cff00a2e825815c168ae0b6",
        "val": "4fc9729ffd183725c90431ad4d9661859a22809eb966a881ce62862dcf7ee7b8",
        "test": "7e88e7fe1a46ef6256c5d9abff59743541a85a959f4e52cdb205f08b60c789f8",
        "summer-pv": "301674533d437b89ac2133e0545858093a787af80917aa2e1e792663fd507985",
        "winter-peak": "f70e9127300f04839a3562c9fd55fc74e3a0a38e0193fc3e5bae6d8c2f7406dc",
        "price-storm": "b9d4a7c7b19f1915b1b0710d7130efa277435ee3aaea619bf0fd34d0b649c61f",
        "cloudy": "5076076d7c293dad085064e3a98e8e0d133e1d66053119bf65b7c45f29b43f8d",
        "cold-snap": "72bb4ea81b2dc70a1a28c32cee145252e97486c34bcb7f02831b07f366f2b530",
    },
}
SPLIT_HASHES = SPLIT_SETS[WEEKS]
SPLITS = tuple(SPLIT_HASHES)
_FILES = {WEEKS: "splits.json", "weeks-apart": "splits_weeks_apart.json"}


@cache
def _days(splits: str) -> dict[str, NDArray[np.int64]]:
    return read_days(SHIPPED / "profiles" / _FILES[splits], SPLIT_SETS[splits])


def read_days(path: Path, names: Iterable[str] = SPLITS) -> dict[str, NDArray[np.int64]]:
    """Days of each split, rising, read-only.

    Raises:
        CaseError: the file is missing or is no such list of days of the year.
    """
    try:
        lists = json.loads(read_regular(path, _MOST_BYTES))
        days = {name: [check_day(day) for day in lists[name]] for name in names}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        expected = "a JSON object with a list of days for each split; restore it from the package"
        raise CaseError([Problem(str(path), None, "", str(error), expected)]) from error
    return {name: frozen(np.array(sorted(found), dtype=np.int64)) for name, found in days.items()}


def checked_set(splits: object) -> str:
    """The name of a set of splits.

    Raises:
        ValueError: an unknown one; the nearest is suggested.
    """
    if not isinstance(splits, str) or splits not in SPLIT_SETS:
        raise ValueError(f"unknown set of splits {splits!r}{choose_one(splits, SPLIT_SETS)}")
    return splits


def split_days(split: str, splits: str = WEEKS) -> NDArray[np.int64]:
    """Days of a split, rising, read-only.

    Args:
        split: train, val, test or the name of a suite: summer-pv, winter-peak; of "weeks-apart" also
            price-storm, cloudy or cold-snap.
        splits: the set: "weeks", or "weeks-apart" with gap days between the splits.

    Raises:
        ValueError: an unknown split or set; the nearest is suggested.
    """
    known = SPLIT_SETS[checked_set(splits)]
    if split in known:
        return _days(splits)[split]
    having = [f"splits={name!r}" for name, found in SPLIT_SETS.items() if split in found]
    if having:
        raise ValueError(f"split {split!r} is not one of splits={splits!r}, but of {' and '.join(having)}")
    raise ValueError(f"unknown split {split!r}{choose_one(split, known)}")


def hash_days(days: NDArray[np.int64] | list[int]) -> str:
    """sha256 of days in rising order, in decimal, joined by commas."""
    return hashlib.sha256(",".join(str(int(day)) for day in sorted(days)).encode()).hexdigest()


def split_hash(split: str, splits: str = WEEKS) -> str:
    """Hash of the split's days as they are on disk; `SPLIT_SETS[splits][split]` in an intact package.

    Raises:
        ValueError: an unknown split or set; the nearest is suggested.
    """
    return hash_days(split_days(split, splits))
