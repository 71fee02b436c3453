"""Fleets from asset tables and back, exact both ways; series, prices and loads of tables are played."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases, envs
from distgrid.cases import CaseError, assets
from distgrid.cases.profiles import Calendar, load_profiles
from distgrid.envs import resources as kinds
from distgrid.envs.configuration.asset_fleet.kinds import KINDS
from distgrid.envs.configuration.making import options_of_env

NAMES = assets.asset_set_names()
COLUMNS = assets.ASSET_TABLES["der_assets"]
share = st.floats(0.01, 1.0)
size = st.floats(1e-3, 50.0)
price = st.floats(0.0, 500.0)
maybe = st.one_of(st.none(), size)
at = st.sampled_from(["1", "18", "x 7"])
phase = st.sampled_from(["ABC", "A", "BC"])


@st.composite
def battery(draw: Any) -> kinds.Battery:
    p_mw, low, high = draw(size), draw(st.floats(0.0, 0.4)), draw(st.floats(0.6, 1.0))
    init = draw(st.floats(low, high))
    ageing = draw(st.one_of(st.none(), st.builds(kinds.CycleAgeing, price)))
    return kinds.Battery(
        draw(at), p_mw, draw(size), soc_init=draw(st.sampled_from([init, (low, high)])), soc_min=low,
        soc_max=high,
        eta_charge=draw(share), eta_discharge=draw(share), s_mva=draw(st.sampled_from([None, 1.25 * p_mw])),
        controls=draw(st.sampled_from(["p", "pq"])), phase=draw(phase), ramp_mw_per_h=draw(maybe),
        standing_loss_per_h=draw(st.floats(0.0, 0.5)), wear_cost_per_mwh=draw(price), ageing=ageing,
    )  # fmt: skip


@st.composite
def plant(draw: Any) -> kinds.PV | kinds.Wind:
    common = {
        "bus": draw(at), "p_mw": draw(size), "s_mva": draw(maybe), "q_max_frac": draw(share),
        "phase": draw(phase),
        "priority": draw(st.sampled_from(["reactive", "active"])),
    }  # fmt: skip
    site = draw(st.one_of(st.none(), st.integers(0, 11)))
    controls = draw(st.sampled_from(["p", "q", "pq"]))
    if draw(st.booleans()):
        return kinds.Wind(**common, site=site, controls=controls, ramp_mw_per_h=draw(maybe))
    functions = draw(st.sampled_from([None, None, "volt-var-b", "volt-var+volt-watt-a"]))
    return kinds.PV(
        **common, site=site, functions=functions,
        controls=controls if functions is None else draw(st.sampled_from(["", "p"])),
    )  # fmt: skip


@st.composite
def station(draw: Any) -> kinds.EV:
    v2g = draw(st.sampled_from([0.0, 0.4]))
    sessions = draw(st.sampled_from([None, (), ((8.0, 17.25, 0.3), (18.5, 7.0, 1.0)), ((30.1, 52.0, 2.0),)]))
    weekly = sessions is not None and len(sessions) == 1
    return kinds.EV(
        draw(at), draw(size), sessions=sessions, site=draw(st.sampled_from(["jpl", "caltech"])), v2g_mw=v2g,
        eta_charge=draw(share), eta_discharge=draw(share), undelivered_cost_per_mwh=draw(price),
        phase=draw(phase), repeats="weekly" if weekly else "daily",
        v2g_cost_per_mwh=draw(price) if v2g else 0.0, cars=draw(st.integers(1, 9)) if sessions is None else 1,
    )  # fmt: skip


@st.composite
def flexible(draw: Any) -> kinds.FlexibleLoad:
    shift, curtail = draw(st.sampled_from([(0.0, 0.3), (0.2, 0.0), (0.2, 0.3)]))
    window: dict[str, Any] = {draw(st.sampled_from(["window_h", "return_h"])): 6.0} if shift else {}
    return kinds.FlexibleLoad(
        draw(at), curtail_mw=curtail, shift_mw=shift, phase=draw(phase), share=draw(share),
        curtail_cost_per_mwh=1.0 + draw(price) if curtail else draw(st.sampled_from([None, 5.0])),
        shift_cost_per_mwh=draw(price), power_factor=draw(share),
        return_mw=draw(st.sampled_from([None, 0.1, 0.2])), **window,
    )  # fmt: skip


@st.composite
def generator(draw: Any) -> kinds.Generator:
    p_mw = draw(size)
    return kinds.Generator(
        draw(at), p_mw, cost_per_mwh=draw(price), p_min_mw=draw(st.sampled_from([0.0, 0.4 * p_mw])),
        cost_per_h=draw(price), cost_per_mw2h=draw(st.sampled_from([0.0, 0.0, 3.3])), start_cost=draw(price),
        ramp_mw_per_h=draw(maybe), min_up_h=draw(st.sampled_from([0.0, 1.5])), phase=draw(phase),
        s_mva=draw(st.sampled_from([None, 1.3 * p_mw])), q_max_mvar=draw(st.sampled_from([None, 0.5 * p_mw])),
        controls=draw(st.sampled_from(["p", "pq"])), on=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def thermal(draw: Any) -> kinds.HeatPump | kinds.DataCenter:
    if draw(st.booleans()):
        return kinds.HeatPump(
            draw(at), draw(size), heat_loss_mw_per_k=draw(maybe), gains_mw=draw(st.floats(0.0, 1.0)),
            t_init_c=draw(st.sampled_from([None, 21.0, (20.0, 22.5)])), discomfort_cost_per_kh=draw(maybe),
        )  # fmt: skip
    return kinds.DataCenter(
        draw(at), draw(size), dropped_cost_per_mwh=draw(size), pue=draw(st.sampled_from([None, 1.3, 1.07])),
        deferrable=draw(st.sampled_from([0.2, (0.1,) * 24])), deadline_h=draw(st.sampled_from([12.0, 3.0])),
    )  # fmt: skip


fleets = st.lists(st.one_of(battery(), plant(), station(), flexible(), generator(), thermal()), max_size=4)


@settings(max_examples=30)
@given(fleets)
def test_any_fleet_comes_back_from_its_tables(fleet: list[Any]) -> None:
    """Row 41: every field of every kind that tables hold, bit for bit; names are those of the units."""
    written = envs.assets_of(fleet)
    named = [dataclasses.replace(one, name=name) for one, name in zip(fleet, written.ids, strict=True)]
    assert list(envs.fleet_from_assets(written)) == named
    again = envs.assets_of(named)
    assert again.equals(written)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_registered_fleets_come_back_from_files(suffix: str, tmp_path: Path) -> None:
    """Rows 41 and 57: the fleet of every registered id whose kinds tables hold."""
    held = 0
    for identity in (key for key in gymnasium.registry if key.startswith("distgrid/")):
        options = options_of_env(identity)
        fleet: Any = options.resources
        if {type(one) for one in fleet} - {kind.spec for kind in KINDS.values()}:
            continue
        saved = envs.assets_of(identity).save(tmp_path / str(held), suffix)
        read = assets.read_assets(saved, feeder=cases.load(str(options.case)))
        named = [dataclasses.replace(one, name=name) for one, name in zip(fleet, read.ids, strict=True)]
        assert list(envs.fleet_from_assets(read)) == named, identity
        held += 1
    assert held > 20


def test_an_environment_is_written_with_the_names_of_its_units() -> None:
    env = envs.DistGridEnv(resources=[kinds.Battery("18", 0.2, 0.8), kinds.Battery("18", 0.1, 0.4)])
    assert envs.assets_of(env).ids == tuple(unit.name for unit in env.units) == ("battery_18", "battery_18#2")


@pytest.mark.slow
def test_a_fleet_from_tables_plays_the_day_of_the_written_fleet() -> None:
    """The same day, bit for bit, from the id and from its tables."""
    identity = "distgrid/DERDispatch-33bw-v0"
    options = options_of_env(identity)
    changed = envs.options_from_assets(
        "case33bw", envs.assets_of(identity), task=options.task, load_scale=options.load_scale,
        v_source_pu=options.v_source_pu, observation=options.observation, splits=options.splits,
    )  # fmt: skip
    plays = [envs.make_env(one) for one in (options, changed)]
    action = 0.3 * np.ones_like(plays[0].neutral_action)
    for env in plays:
        env.reset(seed=3)
    for _ in range(96):
        (first, paid, *_), (second, repaid, *_) = (env.step(action) for env in plays)
        np.testing.assert_array_equal(first, second)
        assert paid == repaid


def test_kinds_that_tables_do_not_hold_are_refused_by_name() -> None:
    own = [
        kinds.SoftOpenPoint("18", "33", 0.5),
        kinds.PV("18", 0.1),
        kinds.CapacitorBank(bus="7", q_mvar=0.1),
    ]
    with pytest.raises(CaseError) as caught:
        envs.assets_of(own)
    assert [(one.row, one.value) for one in caught.value.problems] == [
        (0, "SoftOpenPoint"),
        (2, "CapacitorBank"),
    ]
    with pytest.raises(CaseError, match="TapChanger: expected one of PV, Wind, Battery"):
        envs.assets_of("VoltVar3-ieee13-v1")
    with pytest.raises(ValueError, match="VoltVar-33bw"):
        envs.assets_of("VoltVar-33bx-v0")


def one_asset(**cells: Any) -> assets.AssetSet:
    """A set of one asset."""
    row = {**dict.fromkeys(COLUMNS.names), "asset_id": "a", "bus_id": "18", "phase": "ABC", **cells}
    curve = cells.pop("points", ())
    row.pop("points", None)
    points = [{"cost_curve_id": "c", "p_mw": p, "cost_usd_per_h": cost} for p, cost in curve]
    return assets.AssetSet(
        pa.Table.from_pylist([row], COLUMNS),
        pa.Table.from_pylist(points, assets.ASSET_TABLES["cost_curves"]),
    )


@pytest.mark.parametrize(
    ("cells", "column", "expected"),
    [
        ({"asset_type": "battery", "p_min_mw": -0.1, "p_max_mw": 0.2, "energy_cap_mwh": 1.0}, "p_min_mw",
         "-0.2"),
        ({"asset_type": "wind", "p_min_mw": 0.0, "p_max_mw": 0.2, "ramp_up_mw_per_h": 1.0}, "ramp_down",
         "alike"),
        ({"asset_type": "pv", "p_min_mw": 0.0, "p_max_mw": 0.2, "ramp_up_mw_per_h": 1.0}, "ramp_up",
         "nothing"),
        ({"asset_type": "pv", "p_min_mw": 0.0, "p_max_mw": 0.2, "q_min_mvar": -0.1, "q_max_mvar": 0.05},
         "q_min_mvar", "-0.05"),
        ({"asset_type": "ev", "p_min_mw": -0.1, "p_max_mw": 0.0}, "telemetry_id", "ev:jpl"),
        ({"asset_type": "heat_pump", "p_min_mw": -0.1, "p_max_mw": 0.0, "cost_curve_id": "c",
          "points": ((-0.1, 1.0), (0.0, 0.0))}, "cost_curve_id", "no cost in environments"),
        ({"asset_type": "battery", "p_min_mw": -0.2, "p_max_mw": 0.2, "energy_cap_mwh": 1.0,
          "cost_curve_id": "c", "points": ((-0.2, 1.0), (0.0, 0.0), (0.2, 2.0))}, "cost_curve_id",
         "as dear for charging"),
        ({"asset_type": "generator", "p_min_mw": 0.0, "p_max_mw": 0.2, "cost_curve_id": "c",
          "points": ((0.0, 0.0), (0.1, 1.0), (0.2, 3.0))}, "cost_curve_id", "one line from 0 MW on"),
        ({"asset_type": "pv", "p_min_mw": 0.0, "p_max_mw": 0.2, "settings": '{"sight":3}'}, "asset_id",
         "did you mean 'site'"),
        ({"asset_type": "data_center", "p_min_mw": -0.2, "p_max_mw": 0.0}, "asset_id",
         "dropped_cost_per_mwh"),
        ({"asset_type": "pv", "p_max_mw": 0.2, "telemetry_id": "mast"}, "", ""),
    ],
)  # fmt: skip
def test_what_no_resource_can_be_is_told_by_row_and_column(
    cells: dict[str, Any], column: str, expected: str
) -> None:
    one = one_asset(**cells)
    if not column:
        assert envs.fleet_from_assets(one) == (kinds.PV("18", 0.2, name="a", controls="p"),)
        return
    with pytest.raises(CaseError) as caught:
        envs.fleet_from_assets(one)
    (problem,) = caught.value.problems
    assert problem.row == 0
    assert column in problem.field
    assert expected in problem.expected


def test_a_car_needs_what_lies_between_its_states_of_charge() -> None:
    """Row 57: 60 kWh from 0.25 to 0.9 are 39 kWh, and the departure says by when."""
    made = one_asset(asset_type="ev", p_min_mw=-0.011, p_max_mw=0.0, energy_cap_mwh=0.06, efficiency=0.9)
    session = {"asset_id": "a", "arrival_h": 18.0, "departure_h": 7.0, "energy_mwh": None,
               "soc_arrival": 0.25, "soc_departure": 0.9}  # fmt: skip
    table = pa.Table.from_pylist([session], assets.ASSET_TABLES["sessions"])
    (station_made,) = envs.fleet_from_assets(dataclasses.replace(made, sessions=table))
    assert isinstance(station_made, kinds.EV)
    ((come, leave, energy),) = station_made.sessions or ()
    assert (come, leave) == (18.0, 31.0)
    assert energy == pytest.approx(0.039)


def telemetry(values: Any, key: str = "mast", column: str = "p_max_mw") -> pa.Table:
    """Hourly limits of 2016-06-21, by the standard time of the data."""
    stamps = np.datetime64("2016-06-20T23:00", "us") + np.arange(24) * np.timedelta64(1, "h")
    rows = {one.name: pa.nulls(24, one.type) for one in assets.ASSET_TABLES["telemetry"]}
    rows.update(telemetry_id=pa.array([key] * 24), ts=pa.array(stamps).cast(pa.timestamp("us", "UTC")))
    rows[column] = pa.array(values, pa.float64())
    return pa.Table.from_pydict(rows, assets.ASSET_TABLES["telemetry"])


def test_a_series_of_limits_is_what_a_plant_gives() -> None:
    """Row 42: an environment made from tables delivers the telemetry's p_max_mw, step by step."""
    limits = 0.1 + 0.01 * np.arange(24)
    made = dataclasses.replace(
        one_asset(asset_type="pv", p_min_mw=0.0, p_max_mw=0.5, telemetry_id="mast", controls="p"),
        telemetry=telemetry(limits),
    )
    env = envs.make_env(envs.options_from_assets("case33bw", made))
    assert env.days.tolist() == [0]
    env.reset(seed=0)
    given_mw = [env.step(env.neutral_action)[4]["delivered"]["p_mw"][0] for _ in range(96)]
    np.testing.assert_allclose(given_mw, np.repeat(limits, 4), rtol=1e-12)


def test_limits_of_plants_are_what_the_environment_gives() -> None:
    """Row 42: `AssetSet.limits` and the array program, which know nothing of each other, agree on the sun."""
    owned = assets.load_assets("case33bw")
    day = 172
    sun = owned.groups("type")["pv"]
    limits = owned.limits(Calendar(load_profiles().day_label(day), 0.25, 96)).p_max_mw[:, sun]
    env = envs.make_env(envs.options_from_assets("case33bw", owned.select(sun)))
    env.reset(seed=0, options={"day": day})
    given_mw = [env.step(env.neutral_action)[4]["delivered"]["p_mw"] for _ in range(96)]
    np.testing.assert_allclose(given_mw, limits, rtol=1e-12, atol=1e-15)
    assert limits.max() > 0.1


def test_a_file_of_such_an_environment_is_written_and_read(tmp_path: Path) -> None:
    """What `distgrid run` takes: the fleet of the tables, cars and all."""
    options = envs.options_from_assets("case33bw", "case33bw", envs.DERDispatch(), "test")
    read = envs.read_options(envs.write_options(options, tmp_path / "mine.yaml"))
    assert (read.resources, read.task, read.split) == (options.resources, options.task, "test")


def test_series_that_environments_cannot_have_are_told() -> None:
    stored = dataclasses.replace(
        one_asset(asset_type="battery", p_min_mw=-0.5, p_max_mw=0.5, energy_cap_mwh=1.0, telemetry_id="mast"),
        telemetry=telemetry(np.full(24, 0.2)),
    )
    with pytest.raises(CaseError, match="telemetry_id = mast: expected nothing, as a battery"):
        envs.options_from_assets("case33bw", stored)
    plant_made = dataclasses.replace(
        one_asset(asset_type="pv", p_min_mw=0.0, p_max_mw=0.5, telemetry_id="mast"),
        telemetry=telemetry(np.full(24, 0.2), column="q_max_mvar"),
    )
    with pytest.raises(CaseError, match="a series of p_max_mw alone"):
        envs.options_from_assets("case33bw", plant_made)


def write_day(path: Path, header: str, line: Any) -> Path:
    """A CSV file of the quarter hours of 2016-06-21, standard time of the data."""
    stamps = [str(Calendar("2016-06-21", 0.25, 96).time(k)) for k in range(96)]
    path.write_text("\n".join([header, *(row for k, ts in enumerate(stamps) for row in line(k, ts))]) + "\n")
    return path


def test_prices_and_loads_of_files_are_played(tmp_path: Path) -> None:
    """Row 51: what the files say is what the environment has, at the stamps of the files."""
    feeder = cases.load("case33bw")
    buses = [str(bus) for bus in feeder.column("loads", "node_id")]
    prices = write_day(tmp_path / "prices.csv", "ts,price_usd_mwh", lambda k, ts: [f"{ts},{k}"])
    loads = write_day(
        tmp_path / "loads.csv", "ts,bus_id,p_mw,q_mvar",
        lambda k, ts: [f"{ts},{bus},{0.001 * (k + int(bus))},{0.0005 * k}" for bus in buses],
    )  # fmt: skip
    env = envs.make_env(envs.options_from_assets("case33bw", "case33bw", price_file=prices, load_file=loads))
    np.testing.assert_array_equal(env.profiles.price_usd_mwh, np.arange(96.0))
    assert env.load.active_mw is not None
    row = feeder.node_index["18"]
    np.testing.assert_allclose(env.load.active_mw[:, row], 0.001 * (np.arange(96) + 18))
    env.reset(seed=0)
    env.step(env.neutral_action)


def test_loads_of_a_per_phase_feeder_go_where_its_loads_are(tmp_path: Path) -> None:
    """A row without phase is shared as the nominal loads are, one with a phase is that phase's."""
    feeder = cases.load("ieee13")
    split = {"675": ("A", "B", "C")}
    rows = {str(bus): ("",) for bus in feeder.column("loads", "node_id")} | split

    def line(k: int, ts: str) -> list[str]:
        return [
            f"{ts},{bus},{phase},{0.01 * (n + 1)}"
            for bus, phases in rows.items()
            for n, phase in enumerate(phases)
        ]

    path = write_day(tmp_path / "loads.csv", "ts,bus_id,phase,p_mw", line)
    env = envs.make_env(envs.options_from_assets(feeder, "ieee13", load_file=path))
    load = env.load
    assert load.active_mw is not None
    by_point = dict(zip(load.point_names, load.active_mw[0], strict=True))  # type: ignore[attr-defined]
    assert [by_point[f"675.{one}"] for one in "ABC"] == pytest.approx([0.01, 0.02, 0.03])
    of_634 = np.array([by_point[f"634.{one}"] for one in "ABC"])
    np.testing.assert_allclose(of_634, 0.01 * np.array([160.0, 120.0, 120.0]) / 400.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: rows[1:], "rows of it: it has load in case33bw"),
        (lambda rows: [*rows, "1"], "a bus with load in case33bw"),
    ],
)
def test_loads_of_other_buses_are_told(change: Any, expected: str, tmp_path: Path) -> None:
    buses = change([str(bus) for bus in range(2, 34)])
    path = write_day(
        tmp_path / "loads.csv", "ts,bus_id,p_mw", lambda _, ts: [f"{ts},{bus},0.1" for bus in buses]
    )
    with pytest.raises(CaseError, match=expected):
        envs.options_from_assets("case33bw", "case33bw", load_file=path)


def test_part_of_a_day_of_loads_is_told(tmp_path: Path) -> None:
    rows = "".join(f"2016-06-21 0{hour}:00,{bus},0.1\n" for hour in range(3) for bus in range(2, 34))
    (tmp_path / "loads.csv").write_text("ts,bus_id,p_mw\n" + rows)
    with pytest.raises(CaseError, match="a whole day from midnight to midnight"):
        envs.options_from_assets("case33bw", "case33bw", load_file=tmp_path / "loads.csv")


def test_a_feeder_without_a_shipped_set_is_told() -> None:
    with pytest.raises(CaseError, match="a feeder with a shipped set"):
        envs.shipped_asset_options("case69")
