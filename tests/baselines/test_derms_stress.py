"""`distgrid derms stress-test`: scenarios, worlds, policies in them, the verb. Row 53."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.jobs.table_schemas import check_table
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.scheduling.assets import Asset, Reservoir
from distgrid.baselines.optimal.scheduling.case import ScheduleCase
from distgrid.baselines.optimal.scheduling.rolling import RollingSettings
from distgrid.baselines.optimal.scheduling.scenarios import drawn
from distgrid.baselines.optimal.scheduling.stress import STRESS_POLICIES, StressTest
from distgrid.baselines.optimal.scheduling.worlds import KINDS, Event, begun, behind, world_of
from distgrid.baselines.workflows.derms.stress_tables import SCHEMAS
from distgrid.cli import main

pytest.importorskip("clarabel")

STEPS = 8
ASSETS = """\
asset_id,bus_id,phase,asset_type,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar,energy_cap_mwh,soc_min,soc_max,agg_id
pv1,14,ABC,pv,0,0.8,-0.3,0.3,,,,north
bat1,18,ABC,battery,-0.3,0.3,0,0,1.0,0.1,0.9,north
"""


def flat(value: float) -> np.ndarray:
    """The same in every step."""
    return np.full(STEPS, value)


def nominal() -> ScheduleCase:
    """case33bw with a plant at bus 14, a battery at 18 and cars at 25 that want 0.6 MWh by the end."""
    feeder = cases.load("case33bw")
    load = [np.zeros((STEPS, feeder.n_nodes)) for _ in range(2)]
    for name, part in zip(("p_mw", "q_mvar"), load, strict=True):
        for node, value in zip(feeder.column("loads", "node_id"), feeder.column("loads", name), strict=True):
            part[:, feeder.node_index[str(node)]] += value
    none = flat(0.0)
    cars = Reservoir(0.0, np.append(none[1:], 0.6), flat(0.7), 1.0, 1.0)
    store = Reservoir(0.5, np.append(flat(0.1)[1:], 0.5), flat(0.9), capacity_mwh=1.0)
    assets = (
        Asset("pv", "14", none, flat(0.5), none, none, "pv", offered=True, agg="north"),
        Asset("battery", "18", flat(-0.3), flat(0.3), none, none, "battery", reservoir=store, agg="north"),
        Asset("cars", "25", flat(-0.1), none, none, none, "ev", reservoir=cars),
    )
    price = np.array([20.0, 20.0, 30.0, 60.0, 90.0, 60.0, 40.0, 20.0])
    return ScheduleCase(
        physics.compile(feeder),
        assets,
        {"p_mw": load[0], "q_mvar": load[1]},
        price,
        3.0,
        NetworkLimits((0.9, 1.05), None),
    )


def test_buses_behind_a_branch_are_those_that_lose_supply() -> None:
    """Row 53: on case33bw branch 6-26 feeds buses 26 to 33, and the first branch feeds all but bus 1."""
    case = nominal()
    names = np.array([str(name) for name in case.net.feeder.column("nodes", "node_id")])
    assert sorted(map(int, names[behind(case, "6-26")])) == list(range(26, 34))
    assert sorted(map(int, names[behind(case, "1-2")])) == list(range(2, 34))


def test_without_the_first_line_everything_is_unserved() -> None:
    """Row 53: all load of two steps, by hand; the head gives nothing and assets do nothing."""
    case = nominal()
    world = world_of(case, [Event("line-outage", "1-2", 3.0, 9.0, 0.0)])
    assert world.unserved_mwh == pytest.approx(2 * 3.0 * case.loads["p_mw"][0].sum(), rel=1e-12)
    outcome = StressTest.of(case).outcome(
        "idle", [Event("line-outage", "1-2", 3.0, 9.0, 0.0)], RollingSettings()
    )
    np.testing.assert_allclose(outcome.schedule.head_mw[1:3], 0.0, atol=1e-9)
    np.testing.assert_array_equal(outcome.schedule.p_mw[1:3], 0.0)
    assert not [one for one in outcome.exceeded if one.step in (1, 2)]


def test_factors_multiply_what_they_are_of() -> None:
    """Row 53: price, load and sun between two hours, and nothing else."""
    case = nominal()
    world = world_of(case, [
        Event("price", "", 6.0, 12.0, 2.0), Event("load", "", 0.0, 24.0, 0.5),
        Event("sun", "", 0.0, 3.0, 0.4),
    ]).case  # fmt: skip
    np.testing.assert_allclose(world.price_usd_mwh / case.price_usd_mwh, [1, 1, 2, 2, 1, 1, 1, 1])
    np.testing.assert_allclose(world.loads["q_mvar"], 0.5 * case.loads["q_mvar"])
    np.testing.assert_allclose(world.assets[0].p_max_mw, [0.2, *[0.5] * 7])
    np.testing.assert_array_equal(world.assets[1].p_max_mw, case.assets[1].p_max_mw)


def test_cars_without_a_charger_leave_with_less() -> None:
    """Row 53: 0.1 MW for 24 h, less 21 h of outage, is 0.3 MWh; 0.6 were wanted."""
    world = world_of(nominal(), [Event("asset-outage", "cars", 0.0, 21.0, 0.0)])
    assert world.unmet_mwh == pytest.approx(0.3, abs=1e-12)
    assert world.case.assets[2].reservoir is not None
    assert world.case.assets[2].reservoir.least_mwh[-1] == pytest.approx(0.3, abs=1e-12)


def test_who_hears_nothing_keeps_the_last_setpoint() -> None:
    """Row 53: an aggregator that loses communication holds both of its assets."""
    world = world_of(nominal(), [Event("communication-loss", "north", 6.0, 12.0, 0.0)])
    asked = np.arange(STEPS * 3, dtype=float).reshape(STEPS, 3)
    p, q = world.heard(asked, -asked)
    np.testing.assert_array_equal(p[2:4, :2], np.tile(asked[1, :2], (2, 1)))
    np.testing.assert_array_equal(p[:, 2], asked[:, 2])
    np.testing.assert_array_equal(q, -p)


def test_nobody_knows_of_an_outage_before_it_begins() -> None:
    """What planners are told: prices of the whole day, outages from their hour on."""
    events = (Event("price", "", 18.0, 20.0, 3.0), Event("line-outage", "6-26", 9.0, 12.0, 0.0))
    assert begun(events, 8.0) == events[:1]
    assert begun(events, 9.0) == events


def test_scenarios_are_their_own() -> None:
    """Row 53: the same seed and number, the same events; kinds do not move each other; seeds differ."""
    case = nominal()
    first = [drawn(case, 3, k) for k in range(20)]
    assert first == [drawn(case, 3, k) for k in range(20)]
    assert first != [drawn(case, 4, k) for k in range(20)]
    assert {event.kind for events in first for event in events} == set(KINDS)
    for k, events in enumerate(first):
        assert drawn(case, 3, k, ("load", "line-outage")) == tuple(
            event for event in events if event.kind in ("load", "line-outage")
        )


@pytest.mark.slow
def test_the_optimum_is_the_cheapest_of_those_that_keep_the_limits() -> None:
    """Rows 47 and 53: in each scenario, beside all other policies; mpc with a perfect forecast comes near."""
    case = nominal()
    test = StressTest.of(case)
    for k in range(3):
        events = drawn(case, 1, k, ("price", "load", "sun", "asset-outage", "line-outage"))
        costs = {}
        for policy in STRESS_POLICIES:
            found = test.outcome(policy, events, RollingSettings(24.0, 3.0, 0.0, 0.0, 0, k))
            if not found.exceeded:
                costs[policy] = found.measures()["cost_usd"]
        assert min(costs.values()) >= costs["optimum"] - 1e-4 * abs(costs["optimum"])


class Verb:
    """`distgrid derms stress-test` in a folder with assets of its own."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys = path, capsys
        (path / "assets").mkdir()
        (path / "assets" / "der_assets.csv").write_text(ASSETS)

    def __call__(self, out: str, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        given = ["--assets", str(self.path / "assets"), "--dt-h", "6", "--policies", "day-ahead,idle", *words]
        with pytest.raises(SystemExit) as left:
            main(["derms", "stress-test", "case33bw", *given, "--out", str(self.path / out)])
        told = self._capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    def bytes_of(self, out: str) -> dict[str, str]:
        """Hashes of tables and picture."""
        files = [*(f"{name}.parquet" for name in SCHEMAS), "stress.png"]
        return {name: hashlib.sha256((self.path / out / name).read_bytes()).hexdigest() for name in files}


@pytest.fixture
def verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    """The command."""
    return Verb(tmp_path, capsys)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(verb: Verb) -> None:
    """Row 53, 77, 78: again, in two processes, and the first scenarios of a longer study."""
    code, told, _ = verb("one", "--scenarios", "6")
    assert code == 0
    assert "6 scenarios of day" in told
    assert verb("two", "--scenarios", "6", "--jobs", "processes")[0] == 0
    assert verb.bytes_of("one") == verb.bytes_of("two")
    assert verb("more", "--scenarios", "7")[0] == 0
    for name in ("stress_results", "stress_scenarios"):
        short, long = (pq.read_table(verb.path / out / f"{name}.parquet") for out in ("one", "more"))
        assert long.slice(0, short.num_rows).equals(short)
    for name, schema in SCHEMAS.items():
        check_table(pq.read_table(verb.path / "one" / f"{name}.parquet"), schema, name)
    results = pq.read_table(verb.path / "one" / "stress_results.parquet").to_pylist()
    summary = pq.read_table(verb.path / "one" / "stress_summary.parquet").to_pylist()
    for row in summary:
        values = [one[row["measure"]] for one in results if one["policy"] == row["policy"]]
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["lowest"] <= row["median"] <= row["highest"]
        assert row["mean_low"] <= row["mean"] <= row["mean_high"]


def test_scripted_scenarios_are_played_as_written(verb: Verb) -> None:
    """Row 53: an empty line counts in line numbers; a number of a scenario is kept."""
    script = verb.path / "s.csv"
    script.write_text("scenario,kind,element,from_h,to_h,factor\n7,line-outage,1-2,0,24,\n\n9,load,,,,1.5\n")
    assert verb("out", "--script", str(script))[0] == 0
    rows = pq.read_table(verb.path / "out" / "stress_results.parquet").to_pylist()
    assert [row["scenario"] for row in rows] == [7, 7, 9, 9]
    assert [row["unserved_mwh"] > 0.0 for row in rows] == [True, True, False, False]
    assert all(abs(row["peak_import_mw"]) < 1e-9 for row in rows[:2])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,lode,,,,1", "row 3, column kind"),
        ("1,line-outage,99-98,,,", "row 3, column element"),
        ("1,load,,20,4,1", "row 3, column to_h"),
        ("1,load,,,,-1", "row 3, column factor"),
        ("one,load,,,,1", "row 3, column scenario"),
        ("1,load,14,,,1", "row 3, column element"),
    ],
)
def test_wrong_scripts_are_told_by_line(verb: Verb, row: str, said: str) -> None:
    """Bad input: file, line, column and what was expected; nothing is written."""
    script = verb.path / "s.csv"
    script.write_text(f"scenario,kind,element,from_h,to_h,factor\n0,load,,,,1\n{row}\n")
    code, _, told = verb("out", "--script", str(script))
    assert code == 2
    words = " ".join(told.split())
    assert "s.csv" in words
    assert said.split(", ")[1].split()[1] in words
    assert not (verb.path / "out" / "stress_results.parquet").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scenarios", "0"), "--scenarios is 0"),
        (("--policies", "optimum,luck"), "luck"),
        (("--kinds", "hail"), "hail"),
        (("--policies", "idle,idle"), "named twice"),
        (("--policies", "file:none.zip"), "cannot read none.zip"),
        (("--policies", "idle,ev-cheapest"), "policy 'ev-cheapest': this"),
    ],
)
def test_wrong_options_are_told(verb: Verb, words: tuple[str, ...], said: str) -> None:
    """Bad input: one message each."""
    code, _, told = verb("out", *words)
    assert code == 2
    assert said in " ".join(told.split())


def test_a_feeder_with_loops_is_refused(
    verb: Verb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input: what a line that is out leaves without supply is a matter of trees; what to open is told."""
    cases.load("case33bw").with_switch("s9-15", closed=True).save(tmp_path / "meshed")
    with pytest.raises(SystemExit) as left:
        main([
            "derms", "stress-test", str(tmp_path / "meshed"), "--assets", str(verb.path / "assets"),
            "--out", str(tmp_path / "no"),
        ])  # fmt: skip
    assert left.value.code == 2
    assert "open one branch of each loop" in " ".join(capsys.readouterr().err.split())
