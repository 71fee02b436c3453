"""Published JSON schemas are those of the Arrow schemas, and every verb's tables are valid by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs.table_schemas import check_table, json_type, output_schema
from distgrid.baselines.workflows.derms.output_schemas import DERMS_TABLES
from distgrid.baselines.workflows.dist.output_schemas import DIST_TABLES
from distgrid.cli import main

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "dist_output.json"
DATA = Path(__file__).parents[1] / "reference" / "dispatch"
CALLS = {
    "dist pf": ["pf", "case33bw"], "dist pf, per phase": ["pf", "ieee13"],
    "dist controls": ["controls", "ieee13"],
    "dist sensitivities": ["sensitivities", "case33bw"],
    "dist opf": ["opf", "case33bw", "--objective", "cost", "--limits", str(DATA / "dispatch_limits.csv"),
                 "--costs", str(DATA / "gen_costs.csv"), "--band", "[0.9,1.1]"],
    "dist hostcap": ["hostcap", "case33bw", "--buses", "6,18"],
    "dist connect": ["connect", "case33bw", "--bus", "18", "--mw", "0.1"],
    "dist featurize": ["featurize", "case33bw"], "dist featurize, per phase": ["featurize", "ieee13"],
}  # fmt: skip


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PUBLISHED.read_text())
    return found


def test_published_schemas_are_made_from_the_tables() -> None:
    """Capability 79, 90: `python tools/output_schemas.py` writes them anew."""
    assert document() == json.loads(json.dumps(output_schema("Tables of `distgrid dist`", DIST_TABLES)))
    jsonschema.Draft202012Validator.check_schema(document())
    assert set(CALLS) == set(DIST_TABLES)


@pytest.mark.quick(2)
@pytest.mark.parametrize("verb", CALLS)
def test_what_a_verb_writes_is_valid(verb: str, tmp_path: Path) -> None:
    """Capability 38, 79, 90: every table of every verb, and no other one."""
    with pytest.raises(SystemExit) as left:
        main(["dist", *CALLS[verb], "--out", str(tmp_path / "run")])
    assert not left.value.code
    found = {path.stem: pq.read_table(path) for path in sorted((tmp_path / "run").glob("*.parquet"))}
    assert set(found) == set(DIST_TABLES[verb])
    for name, table in found.items():
        check_table(table, DIST_TABLES[verb][name], name)
    rows = {name: json.loads(json.dumps(table.to_pylist())) for name, table in found.items()}
    validator = jsonschema.Draft202012Validator(document())
    validator.validate({verb: rows})
    some = next(name for name in rows if rows[name])
    for spoiled in ({"more": 1.0}, {next(iter(rows[some][0])): [1]}):
        wrong = {**rows, some: [{**rows[some][0], **spoiled}]}
        assert not validator.is_valid({verb: wrong})


def test_a_wrong_type_fails_early() -> None:
    """Capability 79: a column of another type, one too many and one that is missing are named."""
    schema = DIST_TABLES["dist connect"]["connect"]
    good = schema.empty_table()
    check_table(good, schema, "connect")
    at = schema.get_field_index("max_mw")
    for table, message in (
        (good.set_column(at, "max_mw", pa.array([], pa.string())), "'max_mw' is string: expected double"),
        (good.append_column("max_mv", pa.array([], pa.float64())), "did you mean 'max_mw'"),
        (good.remove_column(at), "'max_mw' is missing"),
    ):
        with pytest.raises(RunError, match=message):
            check_table(table, schema, "connect")
    with pytest.raises(TypeError, match="no JSON type"):
        json_type(pa.binary())


def test_tables_of_derms_are_published() -> None:
    """Capability 79, 90: `docs/schemas/derms_output.json` is made of the tables of every verb."""
    published = json.loads((PUBLISHED.parent / "derms_output.json").read_text())
    assert published == json.loads(json.dumps(output_schema("Tables of `distgrid derms`", DERMS_TABLES)))
    jsonschema.Draft202012Validator.check_schema(published)
