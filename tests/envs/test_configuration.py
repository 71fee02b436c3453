"""Environments as files: what is written is what is played, and what is wrong is told with file and field."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from distgrid import cases
from distgrid.cases.profiles import Calendar, TimeSeries, load_profiles
from distgrid.envs import (
    EV,
    PV,
    Battery,
    ConfigError,
    DataTask,
    DistGrid3PhaseEnv,
    DistGridEnv,
    Duration,
    EnvOptions,
    Forecaster,
    ForecastError,
    Hybrid,
    LoadForecast,
    Meter,
    MultiDiscrete,
    ResourceSpec,
    Term,
    describe,
    load_env,
    load_vector_env,
    options_from_dict,
    options_to_dict,
    read_options,
    write_options,
)
from distgrid.envs.configuration.env_file import options_schema
from distgrid.envs.configuration.text_files import read_text_file, yaml_text
from distgrid.envs.suites import ENTRIES

from .world import FEEDER, flat_load

TASK = DataTask(
    Duration(6),
    (0.94, 1.06),
    blocks=("clock", "v_pu", LoadForecast(horizon=2)),
    rewards=(
        Term("loss", "loss_mw", -0.1),
        Term("import", "import_above_mw", -2.0, {"limit_mw": 3.0}),
        Term("voltage", "voltage_deviation", -1e-05),
    ),
    costs=("voltage_violation", Term("switching", "switchings", 0.5)),
)
FLEET = (
    Battery(18, 0.2, 0.8, soc_init=(0.2, 0.7)),
    PV(25, 0.5, site=3, controls="pq"),
    EV(22, 0.05, sessions=[(8.0, 12.0, 0.1)]),
)
#: Options of every kind that has a written form.
FULL = EnvOptions(
    "case33bw", FLEET, TASK, profiles=load_profiles().resampled(0.5), prices="pge-a10-tou",
    days=[3, 5], load_scale=1.3, v_source_pu=1.02, allow_mesh_pruning=False,
    meters=[Meter("v_pu", std=0.002, columns=["18", "33"])],
    forecaster=Forecaster(load=ForecastError(std=0.1)), action_space=Hybrid({"battery_18.p": 5}),
)  # fmt: skip


def played(env: Any, seed: int = 3) -> tuple[bytes, list[float]]:
    """Observations of the first steps as bytes, and their rewards."""
    obs, _ = env.reset(seed=seed)
    seen, rewards = [obs], []
    env.action_space.seed(seed)
    for _ in range(4):
        obs, reward, *_ = env.step(env.action_space.sample())
        seen.append(obs)
        rewards.append(reward)
    return np.concatenate(seen).tobytes(), rewards


@pytest.mark.slow
def test_every_registered_id_is_a_file_and_back(tmp_path: Path) -> None:
    """Issue: tasks configurable by YAML. An id that was written to a file is the same environment."""
    for entry in ENTRIES:
        options = EnvOptions(**entry.arguments())
        for ending in ("yaml", "json"):
            assert read_options(write_options(options, tmp_path / f"env.{ending}")) == options, entry.id


def test_an_environment_from_a_file_plays_the_same_bytes(tmp_path: Path) -> None:
    """Round trip of an environment: same day, same observations, same rewards, single and vector."""
    env = gym.make("distgrid/VoltVar3-ieee13-v0").unwrapped
    assert isinstance(env, DistGrid3PhaseEnv)
    file = write_options(env, tmp_path / "mine.yaml")
    again = load_env(file)
    assert type(again) is DistGrid3PhaseEnv
    assert played(again) == played(env)
    rows = load_vector_env(file, 2)
    observations, _ = rows.reset(seed=3)
    np.testing.assert_array_equal(observations[0], env.reset(seed=3)[0])


def test_all_that_has_a_written_form_comes_back(tmp_path: Path) -> None:
    """Terms with parameters, forecasts, meters, splits by days, steps, tariffs, action spaces."""
    for ending in ("yaml", "json"):
        back = read_options(write_options(FULL, tmp_path / f"full.{ending}"))
        assert back == FULL
        assert back.profiles is FULL.profiles
    assert options_from_dict(options_to_dict(FULL)) == FULL
    env = load_env(tmp_path / "full.yaml")
    assert env.scenario.episode_steps == 12
    assert played(env) == played(DistGridEnv(options=FULL))


def test_profiles_that_came_from_another_process_have_a_written_form() -> None:
    """They are other objects there: what they are counts. Days or series of one's own have none."""
    hours = load_profiles().resampled(1.0)
    sent = pickle.loads(pickle.dumps(hours))  # noqa: S301
    assert sent is not hours
    assert options_to_dict(EnvOptions(profiles=sent))["profiles"] == {"dt_h": 1.0}
    prices = TimeSeries(np.arange(8784.0), hours.calendar)
    for own in (hours.between("2016-03-01", "2016-04-01"), hours.with_series(price_usd_mwh=prices)):
        with pytest.raises(ConfigError, match="the shipped year, all of it"):
            options_to_dict(EnvOptions(profiles=own))


def test_prices_of_ones_own_are_written_with_their_calendar() -> None:
    series = TimeSeries(np.arange(48.0), Calendar(load_profiles().calendar.start, 1.0, 48))
    back = options_from_dict(options_to_dict(EnvOptions(prices=series))).prices
    assert isinstance(back, TimeSeries)
    assert back.calendar == series.calendar
    np.testing.assert_array_equal(back.values, series.values)


def test_toml_is_read_and_changes_win(tmp_path: Path) -> None:
    """The same fields in TOML; keywords of `load_env` take the place of the file's."""
    file = tmp_path / "mine.toml"
    file.write_text('load_scale = 1.2\nsplit = "val"\n[[resources]]\nkind = "PV"\nbus = 25\np_mw = 0.5\n')
    assert load_env(file).options == EnvOptions(resources=[PV(25, 0.5)], split="val", load_scale=1.2)
    assert load_env(file, split="test").split == "test"
    with pytest.raises(ConfigError, match=r"mine\.toml: unknown split 'trian'; did you mean 'train'"):
        load_env(file, split="trian")


def test_a_case_beside_the_file_is_found(tmp_path: Path) -> None:
    """A folder of tables, named as it stands beside the file; written with the whole way to it."""
    cases.load("case33bw").save(tmp_path / "mygrid")
    (tmp_path / "mine.yaml").write_text("case: mygrid\n")
    env = load_env(tmp_path / "mine.yaml")
    assert env.feeder.n_nodes == 33
    assert options_to_dict(env)["case"] == str((tmp_path / "mygrid").resolve())


@dataclasses.dataclass(frozen=True)
class _Own(ResourceSpec):
    """A device of somebody's own, known by the name of its module."""

    bus: str | int = "18"
    p_mw: float = 0.1

    @staticmethod
    def program(specs: Any) -> Any:
        return Battery.program([Battery(s.bus, s.p_mw, 1.0) for s in specs])


def test_a_kind_of_ones_own_is_named_with_its_module() -> None:
    """Imported before, it is written and read as those of the package; its fields are those of the class."""
    content = options_to_dict(EnvOptions(resources=[_Own(25)]))
    (one,) = content["resources"]
    assert one == {"kind": f"{__name__}:_Own", "bus": 25}
    assert options_from_dict(content).resources == (_Own(25),)
    one["p_kw"] = 3
    with pytest.raises(ConfigError, match=r"resources\[0\]\.p_kw: unknown key 'p_kw'; did you mean 'p_mw'"):
        options_from_dict(content)


WRONG = {
    "load_scal: 2": r"line 1: load_scal: unknown key 'load_scal'; did you mean 'load_scale'\?",
    "case: case33bw\nresources:\n- kind: PV\n  bus: 3\n  p_mwh: 1": (
        r"line 5: resources\[0\]\.p_mwh: unknown key 'p_mwh'; did you mean 'p_mw'\?"
    ),
    "resources:\n- {kind: Batery, bus: 18}": (
        r"line 2: resources\[0\]\.kind: unknown kind 'Batery'; did you mean 'Battery'\?"
    ),
    "resources: [{bus: 18}]": r"line 1: resources\[0\] needs a kind",
    "resources: [{kind: PV, bus: 18}]": r"line 1: resources\[0\]\.p_mw is missing",
    "resources:\n- kind: PV\n  bus: 18\n  p_mw: big": (
        r"line 4: resources\[0\]\.p_mw must be a number, got 'big'"
    ),
    "resources:\n- kind: PV\n  bus: 1.5\n  p_mw: 1": r"\[0\]\.bus must be a text or a whole number, got 1\.5",
    "resources:\n- kind: PV\n  bus: 18\n  p_mw: -1": (
        r"line 2: resources\[0\]: PV at bus 18: p_mw must be greater than 0, got -1"
    ),
    "resources: {kind: PV}": r"resources must be a list, got \{'kind': 'PV'\}",
    "resources: [PV]": r"resources\[0\] must be a mapping of names to values, got 'PV'",
    "resources: [{kind: 'my.mod:Dev'}]": r"unknown kind 'my\.mod:Dev'.*import the module of your own first",
    "task: {kind: VoltVr}": r"task\.kind: unknown kind 'VoltVr'; did you mean 'VoltVar'\?",
    "task:\n  kind: VoltVar\n  episode: 24": r"line 3: task\.episode must be a mapping of names to values",
    "task: {kind: VoltVar, v_band: [0.9]}": r"task\.v_band\[1\] is missing",
    "task:\n  kind: DataTask\n  rewards:\n  - {name: a, quantity: lose_mw, weight: -1}": (
        r"line 4: task\.rewards\[0\]: quantity 'lose_mw' is unknown; expected one of loss_mw"
    ),
    "action_space: {kind: Multi}": r"kind: unknown kind 'Multi'; did you mean 'MultiDiscrete'\?",
    "load_scale: true": r"load_scale must be a number, got True",
    "load_scale: null": r"load_scale must be a number, got nothing",
    "load_scale: -1": r"load_scale must be above 0 and finite, got -1",
    "v_source_pu: '1.0'": r"v_source_pu must be a number, got '1\.0'",
    "meters: [{block: v_pu, delay_steps: 1.5}]": r"meters\[0\]\.delay_steps must be a whole number, got 1\.5",
    "power_flow: mine": r"power_flow has no written form: load the file in Python",
    "days: [1]\nsplit: train": r"split 'train' and days= both say",
    "resources: [{kind: PV, bus: 99, p_mw: 1}]": r"wrong\.yaml: .*no bus '99'",
    "case: case33bv": r"wrong\.yaml: .*did you mean case33bw",
    "prices: {values: [1, 2], calendar: {start: '2016-01-01', dt_h: 1, n_steps: 3}}": r"must have 3 rows",
    "load_scale: 1\nload_scale: 2": r"line 2, column 1: key 'load_scale' is there twice",
    "resources: [1\ncase: x": r"line 2, column 5: expected",
    "case: !!python/name:os.system x": r"line 1, column 7: ",
    "a: &a [*a]": r"nested too deeply",
    "- 1": r"must hold a mapping of names to values, it holds a list",
    "": r"it holds nothing",
    "18: x": r"one of its names is 18",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_file_line_and_field(text: str, tmp_path: Path) -> None:
    """Issue, bad input: YAML with a wrong key, type, kind, number or syntax, or a key twice."""
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=WRONG[text]) as found:
        load_env(file)
    assert str(file) in str(found.value)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """No such file, another ending, no text, a key twice in JSON and TOML."""
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml: No such file"):
        read_options(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"must end in \.yaml"):
        read_options("env.txt")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="it is not text"):
        read_options(tmp_path / "bytes.yaml")
    (tmp_path / "twice.json").write_text('{"split": "val", "split": "test"}')
    with pytest.raises(ConfigError, match=r"twice\.json cannot be read: key 'split' is there twice"):
        read_options(tmp_path / "twice.json")
    (tmp_path / "twice.toml").write_text("split = 'val'\nsplit = 'test'")
    with pytest.raises(ConfigError, match=r"twice\.toml cannot be read"):
        read_options(tmp_path / "twice.toml")
    with pytest.raises(ConfigError, match=r"must end in \.yaml, \.yml or \.json"):
        write_options(FULL, tmp_path / "mine.toml")


def test_what_was_made_in_python_has_no_written_form() -> None:
    """It is refused by name, and nothing is left out in silence."""
    with pytest.raises(ConfigError, match=r"feeder 'case33bw' was made in Python: write it by feeder\.save"):
        options_to_dict(EnvOptions(FEEDER))
    with pytest.raises(ConfigError, match="load is a SeriesLoad, which has no written form"):
        options_to_dict(EnvOptions(load=flat_load()))
    with pytest.raises(ConfigError, match="profiles have a written form where they are the shipped year"):
        options_to_dict(EnvOptions(profiles=load_profiles().between("2016-01-01", "2016-02-01")))


def test_yaml_has_no_surprises(tmp_path: Path) -> None:
    """Scalars as YAML 1.2 has them: no Norway, no clock times as numbers, exponents without a point."""
    file = tmp_path / "any.yaml"
    file.write_text("a: [NO, on, 12:30, 1e-3, 2016-06-21, 010, .inf, ~, true, '18']\n")
    assert read_text_file(file).content == {
        "a": ["NO", "on", "12:30", 0.001, "2016-06-21", 10, float("inf"), None, True, "18"]
    }
    content = {"a": ["NO", "1e3", "12:30", "", "true", "18"], "b": [1e-05, 1e300, -0.1, 7], "c": {}}
    file.write_text(yaml_text(content))
    assert read_text_file(file).content == content


def test_the_schema_names_every_field_with_its_meaning() -> None:
    """Editors complete and check a file by it; it is made of the dataclasses, as the reader is."""
    schema = options_schema()
    fields = {item.name for item in dataclasses.fields(EnvOptions)} - {"load", "power_flow"}
    found = json.loads(json.dumps(schema))
    top = found["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
    assert set(top["properties"]) == {*fields, "assets"}
    assert all(one.get("description") for one in top["properties"].values())
    battery = found["$defs"]["Battery"]
    assert set(battery["properties"]) == {"kind", *(f.name for f in dataclasses.fields(Battery) if f.init)}
    assert battery["additionalProperties"] is False


def test_describe_tells_all_that_there_is() -> None:
    """Feeder, fleet, terms with units, splits with days, blocks with meaning, actions: as plain data."""
    told = describe(DistGridEnv(options=dataclasses.replace(FULL, action_space=MultiDiscrete())))
    assert json.loads(json.dumps(told)) == told
    assert told["feeder"]["nodes"] == 33
    assert [unit["name"] for unit in told["resources"]] == ["battery_18", "pv_25", "ev_22"]
    assert told["resources"][1]["actions"] == ["p", "q"]
    units = {row["name"]: row["unit"] for row in told["task"]["terms"] if row["part"] == "reward"}
    assert units == {"loss": "MW", "import": "MW", "voltage": "1", "unserved": "MW"}
    assert told["episode"] == {"hours": 6.0, "steps": 12, "dt_h": 0.5}
    assert told["split"] == "days"
    assert told["splits"]["days"] == 2
    assert told["splits"]["test"] > 40
    blocks = {row["block"]: row for row in told["observation"]["blocks"]}
    assert told["observation"]["level"] == "oracle"
    assert blocks["v_pu"]["when"] == ["last"]
    assert blocks["clock"]["when"] == ["coming (known)"]
    assert blocks["total_load_forecast_mw"]["size"] == 2
    size = DistGridEnv(options=FULL).layout.size
    assert sum(row["size"] for row in told["observation"]["blocks"]) == told["observation"]["size"] == size
    assert [row["positions"] for row in told["actions"]] == [None] * 4
    assert set(told["options"]) == {"meters", "forecaster", "action_space"}
