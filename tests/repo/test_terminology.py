"""The words of docs/terminology.md are defined once, and stand where the page says."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from distgrid.cases import TABLES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "terminology.md").read_text()
HEADER = "| Term | Meaning | Unit | Sign | In the API |"
NONE = "–"

#: Words that a reader of the code or of the pages meets without an explanation.
WANTED = (
    "feeder", "bus", "node", "branch", "tap", "setpoint", "delivered", "setpoint deviation", "substation",
    "tie switch", "hosting capacity", "VUF", "curtailment", "dead node", "unserved", "calendar", "episode",
    "split", "resource", "fleet", "task", "term", "quantity", "block", "action codec", "scenario", "job",
    "chunk",
)  # fmt: skip


def sections() -> list[list[list[str]]]:
    """The rows of each table, cells without their blanks."""
    found = []
    for part in TEXT.split("\n## ")[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        assert lines[0] == HEADER
        found.append([[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]])
    return found


ROWS = [row for rows in sections() for row in rows]


def test_each_word_is_defined_once_in_one_line() -> None:
    """With a unit, a sign and a place in the API, or a dash; in the order of the alphabet."""
    assert all(len(row) == 5 and all(row) for row in ROWS)
    terms = [row[0] for row in ROWS]
    assert set(WANTED) <= set(terms)
    assert len({term.lower() for term in terms}) == len(terms)
    for rows in sections():
        assert [row[0] for row in rows] == sorted((row[0] for row in rows), key=str.lower)
    for term, meaning, *_ in ROWS:
        assert len(meaning) <= 120, f"{term}: more than a line"
        assert not re.match(rf"(an? )?{re.escape(term)}\b", meaning), f"{term} is defined by itself"


def resolve(name: str) -> bool:
    """Whether a dotted name of the package exists; fields of dataclasses and annotations count."""
    module, *parts = name.split(".")
    value: Any = import_module(f"distgrid.{module}")
    for part in parts:
        declared = {*getattr(value, "__dataclass_fields__", ()), *getattr(value, "__annotations__", ())}
        if not hasattr(value, part):
            return part in declared and part == parts[-1]
        value = getattr(value, part)
    return True


NAMES = sorted(
    {name for row in ROWS for name in re.findall(r"`((?:cases|physics|envs|baselines)(?:\.\w+)+)`", row[4])}
)
COLUMNS = sorted(
    {found for row in ROWS for found in re.findall(r"`(\w+)\.(\w+)`", row[4]) if found[0] in TABLES}
)
KEYS = sorted({key for row in ROWS for key in re.findall(r'info\["(\w+)"\]', row[4])})


@pytest.mark.parametrize("name", NAMES)
def test_name_exists(name: str) -> None:
    """A name that moved or went is no place to look for a word."""
    assert resolve(name)


def test_columns_exist() -> None:
    """Columns of the feeder's tables, as `branches.tap`."""
    assert len(COLUMNS) > 10
    for table, column in COLUMNS:
        assert column in TABLES[table].names, f"{table}.{column}"


def test_keys_of_info_are_documented(repo_root: Path) -> None:
    """tests/repo/test_env_pages.py compares that table with the environments themselves."""
    text = (repo_root / "docs" / "environments" / "index.md").read_text()
    assert len(KEYS) > 10
    for key in KEYS:
        assert f"| `{key}` |" in text, key


#: What an environment names by its fleet: a block of the observation, a cost.
OF_A_FLEET = ("battery.soc", "ev.undelivered", "heat_pump.discomfort")


def test_every_place_is_a_name_a_key_a_column_a_file_or_not_yet() -> None:
    """So that the tests above see all of them."""
    columns = {f"{table}.{name}" for table, schema in TABLES.items() for name in schema.names}
    for term, *_, places in ROWS:
        for place in re.findall(r"`([^`]+)`", places):
            seen = place in NAMES or place in columns or re.fullmatch(r'info\["\w+"\]', place)
            known = place in (*OF_A_FLEET, "run.json") or place.startswith("distgrid dist ")
            assert seen or known, f"{term}: {place}"
        assert "`" in places or places == "not yet", term
