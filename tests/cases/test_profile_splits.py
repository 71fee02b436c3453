"""The splits: fixed, disjoint, hashed, and different."""

from __future__ import annotations

import copy
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
SETS = [(splits, split) for splits, names in profiles.SPLIT_SETS.items() for split in names]
APART = "weeks-apart"
SUITES = ("summer-pv", "winter-peak", "price-storm", "cloudy", "cold-snap")


def test_splits_are_disjoint_and_cover_the_year() -> None:
    """Trap 13: no day is in two splits."""
    assert profiles.SPLITS == ("train", "val", "test", "summer-pv", "winter-peak")
    for a, b in itertools.combinations(profiles.SPLITS, 2):
        assert not set(profiles.split_days(a)) & set(profiles.split_days(b)), (a, b)
    together = np.sort(np.concatenate([profiles.split_days(s) for s in profiles.SPLITS]))
    assert np.array_equal(together, np.arange(366))


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


def beside(days: np.ndarray) -> set[int]:
    """The days and their neighbours, round the year."""
    return {int(day + k) % 366 for day in days for k in (-1, 0, 1)}


@pytest.mark.parametrize(("splits", "split"), SETS)
def test_hashes_of_every_set_are_the_published_ones(splits: str, split: str) -> None:
    """Trap 13: days on disk, the literal in the code and the page of sources say the same, set by set."""
    days = profiles.split_days(split, splits)
    assert hashlib.sha256(",".join(map(str, days)).encode()).hexdigest() == profiles.split_hash(split, splits)
    assert profiles.split_hash(split, splits) == profiles.SPLIT_SETS[splits][split]
    assert profiles.SPLIT_SETS[splits][split] in SOURCES.read_text(encoding="utf-8")
    assert (np.diff(days) > 0).all()
    assert not days.flags.writeable


def test_gap_days_lie_between_the_splits_apart() -> None:
    """No day of train, val or test is, or lies beside, a day of another of them or of a suite."""
    assert tuple(profiles.SPLIT_SETS[APART]) == (*COMMON, *SUITES)
    for split in COMMON:
        mine = beside(profiles.split_days(split, APART))
        for other in (*COMMON, *SUITES):
            if other != split:
                assert not mine & set(profiles.split_days(other, APART).tolist()), (split, other)


def test_splits_apart_are_those_of_the_weeks_less_gap_days() -> None:
    """Each common split keeps its role, train yields the most, and the suites of before are unchanged."""
    for split in COMMON:
        new, old = profiles.split_days(split, APART), profiles.split_days(split)
        assert set(new.tolist()) < set(old.tolist())
        assert len(new) >= {"train": 150, "val": 45, "test": 49}[split]
    for split in ("summer-pv", "winter-peak"):
        assert np.array_equal(profiles.split_days(split, APART), profiles.split_days(split))


@pytest.mark.parametrize("split", [*COMMON, "price-storm", "cloudy", "cold-snap"])
def test_a_week_fits_inside_every_split_apart(split: str) -> None:
    """Episodes of 168 hours have somewhere to begin."""
    days = set(profiles.split_days(split, APART).tolist())
    weeks = [day for day in days if set(range(day, day + 7)) <= days]
    assert len(weeks) >= {"train": 50, "val": 5, "test": 6}.get(split, 2)


def test_new_suites_are_what_they_are_called() -> None:
    """price-storm: the days of the storm; cloudy: more movement at a middling yield."""
    year = profiles.load_profiles()
    price = year.price_usd_mwh.reshape(366, 96).max(axis=1)
    sun = year.pv.mean(axis=1).reshape(366, 96).mean(axis=1)
    ramp = np.abs(np.diff(year.pv, axis=0, prepend=0.0)).mean(axis=1).reshape(366, 96).sum(axis=1)
    storm, cloudy = (profiles.split_days(split, APART) for split in ("price-storm", "cloudy"))
    assert [year.day_label(storm[0]), year.day_label(storm[-1])] == ["2016-02-13", "2016-02-20"]
    assert np.median(price[storm]) > 20 * np.median(price)
    assert price[storm].max() == price.max()
    assert ramp[cloudy].mean() > 1.35 * ramp.mean()
    assert np.quantile(sun, 0.33) < sun[cloudy].mean() < np.quantile(sun, 0.67)
    for split in COMMON:
        assert price[profiles.split_days(split, APART)].max() < 2000.0


def test_profiles_follow_the_set_that_they_are_given() -> None:
    """`split_days` and the days of an environment are those of `splits`; the series stay the same arrays."""
    year = profiles.load_profiles()
    apart = year.with_splits(APART)
    assert apart.splits == APART
    assert apart is year.with_splits(APART)
    assert apart.with_splits("weeks").split_days("val").tolist() == profiles.split_days("val").tolist()
    assert np.shares_memory(apart.pv, year.pv)
    assert apart.split_days("cloudy").tolist() == profiles.split_days("cloudy", APART).tolist()
    assert apart.resampled(1.0).split_days("val").tolist() == profiles.split_days("val", APART).tolist()
    june = apart.between("2016-06-01", "2016-07-01")
    assert june.split_days("cloudy").tolist() == [167 - 152 + k for k in range(7)]
    copied = copy.deepcopy(june)
    assert copied.split_days("cloudy").tolist() == june.split_days("cloudy").tolist()


def test_unknown_sets_are_refused() -> None:
    """Bad input: the set, or a split of the other set."""
    with pytest.raises(ValueError, match="did you mean 'weeks-apart'"):
        profiles.split_days("train", "weeks_apart")
    with pytest.raises(ValueError, match="not one of splits='weeks', but of splits='weeks-apart'"):
        profiles.split_days("cloudy")
    price = profiles.TimeSeries(np.ones(96), profiles.Calendar("2023-01-01", 0.25, 96))
    with pytest.raises(ValueError, match="shipped year 2016"):
        profiles.series_profiles(price_usd_mwh=price).with_splits(APART)


def test_unknown_split_names_the_nearest() -> None:
    """Bad input: the error says what was probably meant."""
    with pytest.raises(ValueError, match="did you mean 'winter-peak'"):
        profiles.split_days("winter_peak")
    with pytest.raises(ValueError, match="choose one of train, val, test, summer-pv, winter-peak"):
        profiles.split_hash("zzz")
