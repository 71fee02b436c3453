"""The shipped synthetic asset sets: made again from their seed, good, and small."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from distgrid import cases
from distgrid.cases import CaseError, assets
from distgrid.cases.assets.shipped import SEED, SETS
from distgrid.cases.model.edit import node_loads

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "assets.json"
NAMES = assets.asset_set_names()


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_set_is_what_its_seed_makes(name: str, tmp_path: Path) -> None:
    """Row 82: the same seed makes the same tables, and the same tables the same bytes."""
    feeder, scale = cases.load(name), assets.OPERATING_POINTS[name].load_scale
    made = assets.synthetic_assets(feeder, SEED, scale)
    assert made.equals(assets.load_assets(name))
    once, again = (assets.synthetic_assets(feeder, SEED, scale).save(tmp_path / part) for part in "ab")
    files = sorted(path.name for path in once.iterdir())
    assert files == sorted(path.name for path in (SETS / name).iterdir())
    assert [(once / one).read_bytes() for one in files] == [(again / one).read_bytes() for one in files]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_set_is_good_on_its_feeder(name: str) -> None:
    assert assets.check_assets(SETS / name, feeder=cases.load(name)) == ()
    found = assets.load_assets(name)
    assert set(found.groups("type")) == {"pv", "battery", "ev", "flexible_load"}
    assert len(found.groups("aggregator")) >= 3
    assert set(found.numbers("priority")) == {1.0, 2.0, 3.0}


def test_another_seed_makes_another_set() -> None:
    feeder = cases.load("case33bw")
    assert not assets.synthetic_assets(feeder, 1).equals(assets.synthetic_assets(feeder, 0))


@pytest.mark.parametrize("name", NAMES)
def test_batteries_stand_beside_photovoltaics_and_assets_fit_to_their_load(name: str) -> None:
    """What the generator's page says of sizes is so."""
    found, feeder = assets.load_assets(name), cases.load(name)
    places = {kind: {(found.texts("bus_id")[k], found.texts("phase")[k]) for k in rows}
              for kind, rows in found.groups("type").items()}  # fmt: skip
    assert places["battery"] <= places["pv"]
    scale = assets.OPERATING_POINTS[name].load_scale
    nominal = scale * float(feeder.column("loads", "p_mw").sum())
    sun = float(found.select(found.groups("type")["pv"]).numbers("p_max_mw").sum())
    assert 0.1 * nominal < sun < 2.0 * nominal


def test_aggregators_have_parts_of_the_tree() -> None:
    """Buses of case33bw's first lateral, 19 to 22, hang together and are of one aggregator or two."""
    found = assets.load_assets("case33bw")
    of_bus = dict(zip(found.texts("bus_id"), found.texts("agg_id"), strict=True))
    lateral = {of_bus[bus] for bus in ("19", "20", "21", "22") if bus in of_bus}
    assert len(lateral) <= 2
    counts = [rows.size for rows in found.groups("aggregator").values()]
    assert sum(counts) == found.n_assets
    assert np.max(counts) < found.n_assets


def test_the_sets_are_small() -> None:
    """Row 82: all seven together stay below 200 kB."""
    assert sum(path.stat().st_size for path in SETS.rglob("*.parquet")) < 200_000


def test_names_without_a_set_are_told(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="did you mean case33bw"):
        assets.load_assets("case33b")
    assert assets.load_assets(SETS / "ieee13").equals(assets.load_assets("ieee13"))
    idle = cases.load("ieee37")
    idle = dataclasses.replace(
        idle, loads=idle.loads.slice(0, 0), nodes=node_loads(idle.nodes, idle.loads.slice(0, 0))
    )
    with pytest.raises(ValueError, match="no load above 0 MW"):
        assets.synthetic_assets(idle)


def test_assets_of_a_feeder_without_ground_stand_between_phases() -> None:
    """Row 82: those of ieee37 are where its delta loads are, on all three legs, none from phase to ground."""
    found, loads = assets.load_assets("ieee37"), cases.load("ieee37").loads.to_pylist()
    places = {(row["node_id"], {"AC": "CA"}.get(row["phase"], row["phase"])) for row in loads}
    mine = set(zip(found.texts("bus_id"), found.texts("phase"), strict=True))
    assert mine <= places
    assert {"AB", "BC", "CA"} <= {phase for _, phase in mine} <= {"AB", "BC", "CA", "ABC"}


def published() -> dict[str, Any]:
    """The JSON schema of the site."""
    found: dict[str, Any] = json.loads(PUBLISHED.read_text())
    return found


def test_the_published_schema_is_that_of_the_tables() -> None:
    """Row 79: `python tools/output_schemas.py` writes it anew."""
    assert published() == json.loads(json.dumps(assets.asset_tables_schema()))
    jsonschema.Draft202012Validator.check_schema(published())


@pytest.mark.parametrize("name", NAMES)
def test_shipped_sets_are_valid_by_the_published_schema(name: str) -> None:
    """Row 79: and a row with a wrong type, a wrong name or a share above 1 is not."""
    tables = assets.load_assets(name).tables()
    rows = {key: json.loads(json.dumps(one.to_pylist())) for key, one in tables.items()}
    validator = jsonschema.Draft202012Validator(published())
    validator.validate(rows)
    for spoiled in ({"p_max_mw": "1"}, {"colour": "red"}, {"efficiency": 1.2}, {"asset_type": "solar"},
                    {"bus_id": None}):  # fmt: skip
        wrong = {**rows, "der_assets": [{**rows["der_assets"][0], **spoiled}]}
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)
