"""The splits: fixed, disjoint, hashed, and different."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

import distgrid
from distgrid import cases
from distgrid.cases import profiles

SOURCES = Path(distgrid.__file__).parent / "cases" / "data" / "SOURCES.md"
COMMON = ("train", "val", "test")


def test_splits_are_disjoint_and_cover_the_year() -> None:
    """Trap 13: no day is in two splits."""
    assert profiles.SPLITS == ("train", "val", "test", "summer-pv", "winter-peak")
    for a, b in itertools.combinations(profiles.SPLITS, 2):
        assert not set(profiles.split_days(a)) & set(profiles.split_days(b)), (a, b)
    together = np.sort(np.concatenate([profiles.split_days(s) for s in profiles.SPLITS]))
    assert np.array_equal(together, np.arange(366))


@pytest.mark.parametrize("split", profiles.SPLITS)
def test_hashes_are_the_published_ones(split: str) -> None:
    """Trap 13: days on disk, the literal in the code and the page of sources say the same."""
    days = profiles.split_days(split)
    text = ",".join(str(d) for d in days)
    assert hashlib.sha256(text.encode()).hexdigest() == profiles.split_hash(split)
    assert profiles.split_hash(split) == profiles.SPLIT_HASHES[split]
    assert profiles.SPLIT_HASHES[split] in SOURCES.read_text(encoding="utf-8")
    assert len(set(profiles.SPLIT_HASHES.values())) == 5
    assert not days.flags.writeable
    assert (np.diff(days) > 0).all()


@pytest.mark.parametrize("split", COMMON)
def test_every_season_and_weekday_is_in_each_split(split: str) -> None:
    """Each split sees all four quarters of the year and all days of the week, near 5 to 2."""
    days = profiles.split_days(split)
    quarters = np.bincount([(profiles.month(d) - 1) // 3 for d in days], minlength=4)
    weekdays = np.bincount([profiles.weekday(d) for d in days], minlength=7)
    assert quarters.min() >= 6
    assert weekdays.min() >= 5
    assert weekdays[5:].sum() / len(days) == pytest.approx(2 / 7, abs=0.08)


def test_held_out_days_stand_in_whole_weeks_that_do_not_touch() -> None:
    """Neighbouring days resemble each other: val and test are whole weeks, apart from each other."""
    week = {split: {(int(d) + 4) // 7 for d in profiles.split_days(split)} for split in COMMON}
    held = sorted(week["val"] | week["test"])
    assert len(week["val"]) == len(week["test"]) == 8
    assert not (week["val"] | week["test"]) & week["train"]
    assert min(b - a for a, b in itertools.pairwise(held)) >= 2


def test_split_changes_the_data() -> None:
    """Trap 13: the loads of each split differ from those of every other."""
    year = profiles.load_profiles()
    feeder = cases.load("case33bw")
    loads = profiles.assignment(feeder)
    first = {}
    for split in profiles.SPLITS:
        day = int(profiles.split_days(split)[0])
        first[split] = loads.node_series(feeder, year, slice(96 * day, 96 * day + 96))[0]
    for a, b in itertools.combinations(profiles.SPLITS, 2):
        assert not np.array_equal(first[a], first[b])


def test_suites_are_what_they_are_called() -> None:
    """summer-pv: sunnier and with less load than any common split; winter-peak: the highest peaks."""
    year = profiles.load_profiles()
    many = [i for i, kind in enumerate(year.load_shape_kinds) if not kind.startswith("single-")]
    load = year.load_p[:, many].mean(axis=1).reshape(366, 96)
    sun = year.pv.mean(axis=1).reshape(366, 96).mean(axis=1)
    summer, winter = profiles.split_days("summer-pv"), profiles.split_days("winter-peak")
    assert len(summer) == len(winter) == 14
    assert sun[summer].min() > np.quantile(sun, 0.85)
    assert load[summer].mean() < np.median(load.mean(axis=1))
    others = np.concatenate([profiles.split_days(s) for s in COMMON])
    cold = [d for d in others if profiles.month(d) in (11, 12, 1, 2)]
    assert load[winter].max(axis=1).min() >= load[cold].max()


def test_unknown_split_names_the_nearest() -> None:
    """Bad input: the error says what was probably meant."""
    with pytest.raises(ValueError, match="did you mean 'winter-peak'"):
        profiles.split_days("winter_peak")
    with pytest.raises(ValueError, match="choose one of train, val, test, summer-pv, winter-peak"):
        profiles.split_hash("zzz")
