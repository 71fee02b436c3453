"""Files of environments that name asset tables: fleets both ways; what is wrong is told by file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import envs
from distgrid.cases import CaseError, assets
from distgrid.envs import ConfigError
from distgrid.envs.configuration.env_file import options_schema
from distgrid.envs.configuration.making import options_of_env

ASSETS = """\
asset_id,bus_id,phase,asset_type,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar,energy_cap_mwh
sun,14,ABC,pv,0,0.8,-0.3,0.3,
store,18,ABC,battery,-0.3,0.3,,,1.0
"""


def written(folder: Path, text: str, table: str = ASSETS) -> Path:
    """A file of an environment and its table beside it."""
    (folder / "der_assets.csv").write_text(table)
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def test_a_file_names_asset_tables_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 41: their fleet comes after the devices of the file, wherever one stands."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    file = written(tmp_path, (
        "case: case33bw\nassets: der_assets.csv\ntask: {kind: DERDispatch}\nsplit: val\n"
        "resources: [{kind: Wind, bus: 25, p_mw: 0.5}]\n"
    ))  # fmt: skip
    options = envs.read_options(file)
    fleet = envs.fleet_from_assets(assets.read_assets(tmp_path / "der_assets.csv"))
    assert options.resources == (envs.Wind("25", 0.5), *fleet)
    assert (options.case, options.split, type(options.task)) == ("case33bw", "val", envs.DERDispatch)
    env = envs.load_env(file)
    assert {unit.name for unit in env.scenario.units} >= {"sun", "store"}
    assert "assets" in options_schema()["properties"]


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize("name", ["DERDispatch-33bw-v0", "DERDispatch-ieee123-v0"])
def test_a_fleet_comes_back_from_a_file_and_its_tables(name: str, suffix: str, tmp_path: Path) -> None:
    """Row 41: tables and task are those of the registered id."""
    file = envs.write_options_and_assets(name, tmp_path / f"mine{suffix}", "fleet")
    assert "fleet" in file.read_text()
    assert (tmp_path / "fleet" / "der_assets.parquet").exists()
    assert envs.assets_of(str(file)).equals(envs.assets_of(name))
    assert envs.read_options(file).task == options_of_env(name).task


def test_the_environment_of_the_file_is_the_registered_one(tmp_path: Path) -> None:
    """Row 41: some intervals, bit for bit."""
    file = envs.write_options_and_assets("DERDispatch-33bw-v0", tmp_path / "mine.yaml")
    one, other = gymnasium.make("distgrid/DERDispatch-33bw-v0"), envs.load_env(file)
    for env in (one, other):
        env.action_space.seed(0)
    shown: list[Any] = [env.reset(seed=1)[0] for env in (one, other)]
    for _ in range(5):
        np.testing.assert_array_equal(*shown)
        action = one.action_space.sample()
        shown = [env.step(action)[0] for env in (one, other)]


@pytest.mark.parametrize(
    ("text", "table", "said"),
    [
        ("case: case33bw\nassets: none.csv\n", ASSETS, ["mine.yaml, line 2: assets: ", "none.csv"]),
        ("case: case33bw\nassets: [a]\n", ASSETS, ["mine.yaml, line 2: assets must be a text", "['a']"]),
        (
            "case: case33bw\nassets: der_assets.csv\n", ASSETS.replace("pv,0,0.8", "pv,0,much"),
            ["mine.yaml, line 2: assets: ", "der_assets.csv", "p_max_mw", "much"],
        ),
        (
            "case: case33bw\n\nassets: der_assets.csv\n", ASSETS.replace("store,18", "store,99"),
            ["mine.yaml, line 3: assets: ", "der_assets.csv", "bus_id", "99"],
        ),
        (
            "case: case33bw\nassets: der_assets.csv\n", ASSETS.replace("battery,-0.3", "battery,-0.2"),
            ["mine.yaml, line 2: assets: ", "p_min_mw", "-0.3"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_file_and_field(
    text: str, table: str, said: list[str], tmp_path: Path
) -> None:
    """Bad input: the line of the file, and row, column and value of the table."""
    with pytest.raises(ConfigError) as told:
        envs.read_options(written(tmp_path, text, table))
    for word in said:
        assert word in str(told.value)


def test_what_tables_do_not_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Bad input: tap changers have no row."""
    with pytest.raises(CaseError, match="tables hold no other"):
        envs.write_options_and_assets("VoltVar3-ieee13-v0", tmp_path / "mine.yaml")
    assert not list(tmp_path.iterdir())
