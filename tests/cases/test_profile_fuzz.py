"""Whatever the tables of profiles hold, they are read as valid data or it is said what is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import CaseError, Feeder, profiles
from distgrid.cases.profiles import load_assignment as assign
from distgrid.cases.profiles.splits import SPLITS, read_days

from .fuzzing import BYTE_DAMAGE, SCALE, damaged, no_hang
from .test_table_fuzz import REWRITE, rewritten

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "matpower"
TABLES = {
    "simbench/shapes": 4,
    "simbench/load_shapes": 1,
    "simbench/assignment": 4,
    "profiles/pv": 1,
    "profiles/pv_sites": 3,
    "profiles/price": 1,
    "profiles/ev_sessions": 3,
}  # and how often each is taken: those of a year take a few milliseconds
NAMES = tuple(name for name, weight in TABLES.items() for _ in range(weight))


def small_year() -> dict[str, pa.Table]:
    """The tables of a folder with three shapes, two sites and a few sessions and loads."""
    rng = np.random.default_rng(1)
    steps = profiles.N_STEPS
    names = ["house", "shop", "one"]
    quarter = {
        f"{name}.{part}": rng.integers(0, 10_000, steps, dtype=np.int16) for name in names for part in "pq"
    }
    loads = cases.load(REFERENCE / "case12da.m").loads["load_id"].to_pylist()
    count = len(loads)
    return {
        "simbench/shapes": pa.table(
            {"name": names, "kind": ["household", "farm", "single-household"], "q_blend": [0.1, 0.2, 0.3]}
        ),
        "simbench/load_shapes": pa.table(quarter),
        "simbench/assignment": pa.table(
            {
                "feeder": ["case12da"] * count, "load_id": loads,
                "shape": [names[k % 2] for k in range(count)], "pv_site": [k % 2 for k in range(count)],
                "load_factor": [1.5] * count, "pv_factor": [1.0] * count,
            }
        ),
        "profiles/pv": pa.table({name: quarter[f"house.{part}"] for name, part in (("a", "p"), ("b", "q"))}),
        "profiles/pv_sites": pa.table({"site": ["a", "b"], "x_km": [0.0, 1.0], "y_km": [0.0, 1.0]}),
        "profiles/price": pa.table({"lz_houston_usd_mwh": rng.uniform(0, 100, profiles.N_DAYS * 24)}),
        "profiles/ev_sessions": pa.table(
            {
                "day": pa.array([0, 3, 365], type=pa.int16()), "arrival_h": [0.0, 8.5, 24.0],
                "stay_h": [1.0, 8.0, 0.1], "req_kwh": [5.0, 10.0, 60.0], "del_kwh": [5.0, 9.0, 1.0],
                "site": ["jpl", "jpl", "caltech"], "station_id": ["A", "B", "C"],
                "year": pa.array([2019, 2020, 2021], type=pa.int16()),
            }
        ),
    }  # fmt: skip


class Base:
    """A folder of profiles that is damaged and mended again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tables = folder, small_year()
        self.feeders: list[Feeder] = [
            cases.load(REFERENCE / f"{name}.m") for name in ("case12da", "case4_dist")
        ]
        for name in self.tables:
            self.path(name).parent.mkdir(exist_ok=True)
            pq.write_table(self.tables[name], self.path(name), compression="zstd", write_page_checksum=True)
        self.files = {name: self.path(name).read_bytes() for name in self.tables}

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(tmp_path_factory.mktemp("profiles"))


def read_all(year: profiles.Profiles, feeders: list[Feeder]) -> Iterator[Callable[[], Any]]:
    """Every reader, to be called one by one."""
    yield lambda: year.load_p
    yield lambda: year.load_q
    yield lambda: year.load_shape_kinds
    yield lambda: year.pv
    yield lambda: year.price_usd_mwh
    yield lambda: sessions_are_sound(year.ev_sessions)
    for feeder in feeders:
        yield partial(series_of, feeder, year)


def sessions_are_sound(sessions: pa.Table) -> np.ndarray:
    """What the environments rely on."""
    day, arrival = sessions["day"].to_numpy(), sessions["arrival_h"].to_numpy()
    assert ((day >= 0) & (day < profiles.N_DAYS) & (arrival >= 0) & (arrival <= 24)).all()
    return np.concatenate([sessions[name].to_numpy() for name in ("stay_h", "req_kwh", "del_kwh")])


def series_of(feeder: Feeder, year: profiles.Profiles) -> np.ndarray:
    """The loads of a day at the nodes: of a feeder whose assignment is stored, and of one that has none."""
    found = profiles.assignment(feeder, year)
    p_mw, q_mvar = found.node_series(feeder, year, slice(0, 96))
    return np.concatenate([p_mw, q_mvar])


_PASSED: set[tuple[str, bytes]] = set()  # files that passed: many edits make the same one


def check(base: Base, name: str, data: bytes) -> None:
    """Each reader returns finite numbers or a CaseError that names a file; never anything else.

    What has passed once is not tried again: the answer depends on the bytes alone.
    """
    content = (name, hashlib.sha256(data).digest())
    if content not in _PASSED:
        _check(base, name, data)
        _PASSED.add(content)


def _check(base: Base, name: str, data: bytes) -> None:
    assign._stored.cache_clear()
    base.path(name).write_bytes(data)
    try:
        year = profiles.Profiles(base.folder)  # not kept: other tests ask for the shipped year by identity
        for read in read_all(year, base.feeders):
            problems: tuple[cases.Problem, ...] = ()
            try:
                with no_hang():
                    result = read()
            except CaseError as error:
                problems = error.problems
                result = None
            assert problems or result is not None
            assert all(problem.file.startswith(str(base.folder)) for problem in problems)
            if isinstance(result, np.ndarray):
                assert np.isfinite(result).all()
    finally:
        base.path(name).write_bytes(base.files[name])


DAMAGE = st.tuples(st.sampled_from(NAMES), BYTE_DAMAGE)
CHANGE = st.tuples(st.sampled_from(NAMES), REWRITE.map(lambda change: change[1]))


def test_the_sound_folder_is_read(base: Base) -> None:
    """What is damaged below."""
    year = profiles.load_profiles(base.folder)
    assert all(np.isfinite(series_of(feeder, year)).all() for feeder in base.feeders)
    assert year.load_p.shape == (profiles.N_STEPS, 3)
    assert year.ev_sessions.num_rows == 3


@given(damage=DAMAGE)
@settings(max_examples=60)
def test_damaged_files(base: Base, damage: tuple[str, tuple[str, int, int, int]]) -> None:
    """Issue 3: a clear CaseError or valid data, never another exception."""
    check(base, damage[0], damaged(base.files[damage[0]], *damage[1]))


@given(change=CHANGE)
@settings(max_examples=60)
def test_rewritten_files(base: Base, change: tuple[str, list[tuple[str, int, int, int]]]) -> None:
    """Issue 3: sound files of wrong tables."""
    check(base, change[0], rewritten(base.tables[change[0]], change[1]))


@pytest.mark.slow
@given(damage=DAMAGE)
@settings(max_examples=500)
def test_many_damaged_files(base: Base, damage: tuple[str, tuple[str, int, int, int]]) -> None:
    check(base, damage[0], damaged(base.files[damage[0]], *damage[1]))


@pytest.mark.slow
@given(change=CHANGE)
@settings(max_examples=500)
def test_many_rewritten_files(base: Base, change: tuple[str, list[tuple[str, int, int, int]]]) -> None:
    check(base, change[0], rewritten(base.tables[change[0]], change[1]))


# -- the lists of days ---------------------------------------------------------------------------------

DAYS = {name: list(range(5 * k, 5 * k + 5)) for k, name in enumerate(SPLITS)}
LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        365,
        366,
        10**30,
        1.5,
        1e400,
        "1",
        "",
        [],
        {},
        [[]],
        [1, None],
        ["a"],
        {"a": 1},
        [True],
        9,
    ]
)
LISTS = st.tuples(st.sampled_from(SPLITS), st.one_of(LEAVES, st.lists(LEAVES, max_size=3)))


def check_days(path: Path, data: bytes) -> None:
    """Days of the year for each split, or a CaseError that names the file."""
    path.write_bytes(data)
    try:
        with no_hang():
            found = read_days(path)
    except CaseError as error:
        found = {name: np.zeros(0, dtype=np.int64) for name in SPLITS}
        problems: tuple[cases.Problem, ...] = error.problems
    else:
        problems = ()
    assert all(problem.file == str(path) for problem in problems)
    assert tuple(found) == SPLITS
    assert all(((days >= 0) & (days < profiles.N_DAYS)).all() for days in found.values())


@pytest.mark.slow
@given(damage=BYTE_DAMAGE)
@settings(max_examples=300)
def test_many_damaged_lists_of_days(base: Base, damage: tuple[str, int, int, int]) -> None:
    check_days(base.folder / "splits.json", damaged(json.dumps(DAYS).encode(), *damage))


@pytest.mark.slow
@given(change=LISTS)
@settings(max_examples=200)
def test_many_rewritten_lists_of_days(base: Base, change: tuple[str, Any]) -> None:
    check_days(base.folder / "splits.json", json.dumps({**DAYS, change[0]: change[1]}).encode())


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "null", '{"train": [0]}', '{"train": 9}', "\ud800"])
def test_every_bad_list_of_days(base: Base, text: str) -> None:
    check_days(base.folder / "splits.json", text.encode("utf-8", "surrogatepass"))


def test_places_are_shares() -> None:
    """The last place is the last byte."""
    assert damaged(b"abc", "flip", SCALE - 1, 0, ord("x")) == b"abx"
