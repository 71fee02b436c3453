"""`distgrid derms schedule`: its call, tables, orders, policies, own series, wrong input, as a job."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.jobs.table_schemas import check_table
from distgrid.baselines.workflows.derms.schedule_job import ScheduleJob
from distgrid.baselines.workflows.derms.schedule_loads import own_loads
from distgrid.baselines.workflows.derms.schedule_tables import SCHEMAS, summarised
from distgrid.cli import main

pytest.importorskip("clarabel")

ASSETS = """\
asset_id,bus_id,phase,asset_type,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar,energy_cap_mwh,soc_min,soc_max,agg_id,cost_curve_id,settings
pv1,14,ABC,pv,0,0.8,-0.3,0.3,,,,north,,
pv2,32,ABC,pv,0,1.2,-0.4,0.4,,,,south,,
bat1,18,ABC,battery,-0.3,0.3,0,0,1.0,0.1,0.9,north,,
ev1,25,ABC,ev,-0.15,0,0,0,,,,south,,
gen1,22,ABC,generator,0,0.3,0,0,,,,,g,
flex1,24,ABC,flexible_load,-0.1,0.1,0,0,,,,south,,"{""shift_mw"": 0.1, ""window_h"": 12}"
"""
CURVES = "cost_curve_id,p_mw,cost_usd_per_h\ng,0,0\ng,0.15,9\ng,0.3,24\n"
SESSIONS = "asset_id,arrival_h,departure_h,energy_mwh\nev1,8,14,0.2\nev1,18,6,0.6\n"
SHORT = ["--dt-h", "3"]
FILES = (*(f"{name}.parquet" for name in SCHEMAS), "der_schedule.png")


class Folder:
    """A folder with asset tables, and the command in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys, self._runs = path, capsys, 0
        (path / "assets").mkdir()
        for name, text in (("der_assets", ASSETS), ("cost_curves", CURVES), ("sessions", SESSIONS)):
            (path / "assets" / f"{name}.csv").write_text(text)
        self.out = path

    def file(self, name: str, text: str) -> str:
        """Its path, as an option takes it."""
        (self.path / name).write_text(text)
        return str(self.path / name)

    def schedule(self, *arguments: str, feeder: str = "case33bw", out: str = "") -> tuple[int, str, str]:
        """Exit code, stdout, stderr of `distgrid derms schedule` into a folder of its own, ``out``."""
        self._runs += 1
        self.out = self.path / (out or f"out{self._runs}")
        words = ["--assets", str(self.path / "assets"), *SHORT, *arguments]
        with pytest.raises(SystemExit) as left:
            main(["derms", "schedule", feeder, *words, "--out", str(self.out)])
        told = self._capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    def table(self, name: str = "der_schedule") -> pa.Table:
        """Of the last call."""
        return pq.read_table(self.out / f"{name}.parquet")

    def day(self) -> dict[str, Any]:
        """The one row of the days."""
        (row,) = self.table("der_schedule_days").to_pylist()
        return dict(row)

    def column(self, asset: str, name: str) -> Any:
        """(steps,) of an asset."""
        rows = [row for row in self.table().to_pylist() if row["asset_id"] == asset]
        return np.array([row[name] for row in rows], dtype=float)


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def hashes(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in FILES}


# -- numbers -------------------------------------------------------------------------------------------------


def test_the_call_of_the_issue_writes_a_proved_schedule(folder: Folder) -> None:
    """Row 47, 49, 52, 57, 80: tables, figure and manifest; energies add up; the summary is a group-by; inputs
    are as they were.
    """
    before = (folder.path / "assets" / "der_assets.csv").read_bytes()
    code, told, _ = folder.schedule("--objective", "cost")
    assert code == 0
    assert "Schedule of case33bw" in told
    assert "optimal" in told
    assert (folder.path / "assets" / "der_assets.csv").read_bytes() == before
    day = folder.day()
    assert day["status"] == "optimal"
    assert day["n_violations"] == 0
    assert abs(day["gap"]) <= 1e-4 * day["objective"]
    p, stored = folder.column("bat1", "p_mw"), folder.column("bat1", "stored_mwh")
    gained = 3.0 * (0.95 * np.maximum(-p, 0.0) - np.maximum(p, 0.0) / 0.95)
    assert np.abs(0.5 + np.cumsum(gained) - stored).max() < 1e-12
    assert stored.max() <= 0.9 + 1e-9
    assert stored.min() >= 0.1 - 1e-9
    assert folder.column("ev1", "stored_mwh")[-1] == pytest.approx(0.8, abs=1e-9)
    shifted = folder.column("flex1", "p_mw")
    assert shifted[:4].sum() == pytest.approx(0.0, abs=1e-9)
    assert shifted[4:].sum() == pytest.approx(0.0, abs=1e-9)
    assert np.abs(shifted).max() > 0.05
    schedule = folder.table()
    assert summarised(schedule).equals(folder.table("der_schedule_summary"))
    rows = schedule.to_pylist()
    for name, of in SCHEMAS.items():
        check_table(folder.table(name), of, name)
    for group in folder.table("der_schedule_summary").to_pylist():
        mine = [row for row in rows if group["name"] in ("feeder", row["agg_id"])]
        assert group["fed_in_mwh"] == pytest.approx(3.0 * sum(max(row["p_mw"], 0.0) for row in mine))
        assert group["income_usd"] == pytest.approx(
            3.0 * sum(row["p_mw"] * row["price_usd_mwh"] for row in mine)
        )
    network = folder.table("der_schedule_network").to_pylist()
    bought = 3.0 * sum(row["head_mw"] * row["price_usd_mwh"] for row in network)
    assert day["cost_usd"] == pytest.approx(bought + sum(row["cost_usd"] for row in rows))
    balance = [row["load_mw"] + row["loss_mw"] - row["assets_mw"] - row["head_mw"] for row in network]
    assert np.abs(balance).max() < 1e-6
    run = Manifest.model_validate_json((folder.out / "run.json").read_text())
    assert run.error is None
    assert run.results["status"] == "optimal"


@pytest.mark.slow
def test_policies_and_objectives_order_as_they_must(folder: Folder) -> None:
    """Row 47, 50, 55: rules and MPC cost no less than the optimum; min-peak lowers the highest import."""
    days = {}
    for policy in ("optimum", "mpc", "tariff", "self-consumption", "valley-filling"):
        assert folder.schedule("--policy", policy, "--every-h", "12", "--horizon-h", "18")[0] == 0
        days[policy] = folder.day()
    for policy, day in days.items():
        assert day["cost_usd"] >= days["optimum"]["cost_usd"] - 1e-6, policy
        assert day["n_violations"] == 0
    assert folder.schedule("--objective", "min-peak")[0] == 0
    peak = folder.day()
    assert peak["peak_import_mw"] < days["optimum"]["peak_import_mw"] - 0.05
    assert peak["cost_usd"] > days["optimum"]["cost_usd"]


# -- orders --------------------------------------------------------------------------------------------------


def test_caps_are_kept_or_said_to_be_impossible(folder: Folder) -> None:
    """Row 54: an import cap holds in AC; one that cannot be kept exits 3 and says where and how much."""
    assert folder.schedule("--import-cap", "1.9")[0] == 0
    assert max(folder.table("der_schedule_network")["head_mw"].to_pylist()) <= 1.9 + 1e-6
    code, _, error = folder.schedule("--import-cap", "0.4")
    assert code == 3
    assert "import at head by" in error
    assert "MW in step" in error
    day = folder.day()
    assert day["status"] == "infeasible"
    limits = folder.table("der_schedule_limits").to_pylist()
    assert {row["role"] for row in limits} == {"must_give_way"}
    by = {row["step"]: row["excess"] for row in limits}
    assert folder.schedule("--import-cap", str(0.4 + max(by.values()) + 0.3))[0] == 0


def test_orders_of_a_file_hold_at_branches_and_assets(folder: Folder) -> None:
    """Row 54: sun behind a branch and one plant by its name are curtailed in their hours only."""
    text = "element,from_h,to_h,p_max_mw,p_min_mw\npv1,9,12,0.1,\n12-13,12,15,,0.2\n"
    assert folder.schedule("--limits", folder.file("limits.csv", text))[0] == 0
    pv, offered = folder.column("pv1", "p_mw"), folder.column("pv1", "offered_mw")
    assert pv[3] <= 0.1 + 1e-9 < 0.2 < offered[3]
    assert pv[4] < offered[4] - 0.05
    assert np.allclose(pv[[2, 5, 6]], offered[[2, 5, 6]], atol=1e-5)
    lost = folder.column("pv1", "curtailed_mw")
    assert np.allclose(lost, offered - pv, atol=1e-9)
    assert folder.day()["curtailed_mwh"] == pytest.approx(3.0 * lost.sum(), abs=1e-4)


def test_what_is_known_is_told_in_the_order_of_the_feeder(folder: Folder) -> None:
    """The same message in every process: the head, then branches as the table has them."""
    bad = folder.file("limits.csv", "element,p_max_mw\nzzz,1\n")
    code, _, error = folder.schedule("--limits", bad)
    assert code == 2
    assert "known: head, 1-2, 2-3, 3-4, 4-5, 5-6, 6-7, 7-8, ..." in " ".join(error.split())


def test_own_prices_and_loads_replace_the_shipped_ones(folder: Folder) -> None:
    """Row 51: series join on time stamps; a missing one is an error with file and row."""
    hours = [f"2016-07-01 {h:02d}:00" for h in range(0, 24, 3)]
    prices = "".join(f"{ts},{90 if k == 2 else 30}\n" for k, ts in enumerate(hours))
    loads = "".join(f"{ts},{bus},{p}\n" for ts in hours for bus, p in (("18", 0.3), ("30", 0.5)))
    price_file = folder.file("prices.csv", f"ts,price_usd_mwh\n{prices}")
    load_file = folder.file("loads.csv", f"ts,bus_id,p_mw\n{loads}")
    call = ["--prices", price_file, "--loads", load_file, "--day", "182"]
    code, _, error = folder.schedule(*call)
    assert code == 0, error
    network = folder.table("der_schedule_network").to_pylist()
    assert [row["price_usd_mwh"] for row in network] == [30, 30, 90, 30, 30, 30, 30, 30]
    assert {row["load_mw"] for row in network} == {0.8}
    assert folder.column("bat1", "p_mw")[2] > 0.1
    holed = folder.file(
        "prices.csv",
        f"ts,price_usd_mwh\n{''.join(prices.splitlines(True)[:3] + prices.splitlines(True)[4:])}",
    )
    code, _, error = folder.schedule("--prices", holed, "--load-scale", "1")
    assert code == 2
    assert "prices.csv" in error
    assert "missing" in error


def test_wrong_input_is_named(folder: Folder) -> None:
    """Every message says what is wrong, where, and what was expected; exit 2."""
    bad = folder.file("limits.csv", "element,from_h,to_h,p_max_mw\nnowhere,9,15,1\n5,15,9,x\n")
    for call, message in (
        (["--objective", "profit"], "unknown objective 'profit'"),
        (["--policy", "hope"], "unknown policy 'hope'"),
        (["--dt-h", "0.4"], "expected a whole number of quarter hours"),
        (["--day", "3"], "day 3 is not one of split 'test'"),
        (["--band", "[1.1,0.9]"], "the lower one first"),
        (["--every-h", "20"], "every_h 20 is above horizon_h 12"),
        (["--limits", bad], "limits.csv"),
        (["--assets", str(folder.path / "none.csv")], "none.csv"),
    ):
        code, _, error = folder.schedule(*call)
        assert code == 2, call
        assert message in error, error
    code, _, error = folder.schedule("--limits", bad)
    assert "'nowhere'" in error or "nowhere" in error
    assert "hours from 0 to 24" in error
    assert "a finite number" in error


# -- as a job ------------------------------------------------------------------------------------------------


def test_killed_and_done_again_ends_with_the_same_bytes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 77, 78: days are items; a cut and a second process move no byte."""
    call = ["--days", "157,158,200", "--policy", "tariff"]
    assert folder.schedule(*call)[0] == 0
    whole = hashes(folder.out)
    assert folder.table("der_schedule_days")["day"].to_pylist() == [157, 158, 200]
    honest, done = ScheduleJob.do_chunk, list[int]()

    def dies(self: ScheduleJob, context: Any, chunk: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(chunk.index)
        return honest(self, context, chunk)

    monkeypatch.setattr(ScheduleJob, "do_chunk", dies)
    words = ["derms", "schedule", "case33bw", "--assets", str(folder.path / "assets"), *SHORT, *call]
    killed = folder.path / "killed"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main([*words, "--out", str(killed)])
    monkeypatch.setattr(ScheduleJob, "do_chunk", honest)
    assert not (killed / FILES[0]).exists()
    assert folder.schedule(*call, out="killed")[0] == 0
    assert hashes(killed) == whole


@pytest.mark.slow
def test_two_processes_write_what_one_writes(folder: Folder) -> None:
    """Row 78: the same bytes."""
    call = ["--days", "157,158", "--policy", "tariff"]
    assert folder.schedule(*call)[0] == 0
    whole = hashes(folder.out)
    assert folder.schedule(*call, "--engine", "processes")[0] == 0
    assert hashes(folder.out) == whole


def test_own_loads_between_phases_stand_between_them(tmp_path: Path) -> None:
    """A row of phase AB is what a leg takes, as the series of an import have it; A is to ground."""
    path = tmp_path / "loads.csv"
    rows = [f"2016-06-21T{hour:02d}:00Z,671,{phase},{p},0.1" for phase, p in (("AB", 0.3), ("A", 0.2))
            for hour in range(3)]  # fmt: skip
    path.write_text("\n".join(["ts,bus_id,phase,p_mw,q_mvar", *rows]) + "\n")
    feeder = cases.load("ieee13")
    found = own_loads(path, feeder, None)
    assert found is not None
    given = found.within(found.calendar, 1.0)
    at = feeder.node_index["671"]
    for name, wanted in (("p_mw", [0.2, 0, 0]), ("p_delta_mw", [0.3, 0, 0]), ("q_delta_mvar", [0.1, 0, 0])):
        np.testing.assert_allclose(given[name][:, at], [wanted] * 3, atol=1e-15)
        assert given[name].sum() == pytest.approx(3 * sum(wanted))
