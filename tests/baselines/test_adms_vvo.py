"""`distgrid adms vvo-plan`: what it writes, recomputed; files, limits, kills, processes, wrong input."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.cli.verbs import jobs
from distgrid.baselines.jobs.job import Chunk
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.jobs.runner import prepared, run_job
from distgrid.baselines.jobs.table_schemas import check_table, output_schema
from distgrid.baselines.workflows.adms.output_schemas import ADMS_TABLES
from distgrid.baselines.workflows.adms.vvo_job import VvoPlanJob
from distgrid.cli import main

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "adms_output.json"
DAY = str(cases.profiles.split_days("test")[2])
SMALL = [
    "--load-levels", "0.3,0.6,0.9", "--pv-levels", "0,1", "--moments", "4", "--days", DAY, "--starts", "1",
]  # fmt: skip
BANKS = "cap_id,bus_id,q_mvar\nc30,30,0.6\nc14,14,0.3\n"


def command(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as left:
        main(["adms", *arguments])
    return int(left.value.code or 0)


def tables(out: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: pq.read_table(path).to_pylist() for path in sorted(out.glob("*.parquet"))}


def hashes(out: Path) -> dict[str, str]:
    files = (path for path in out.iterdir() if path.is_file() and path.name != "run.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of case33bw with two banks, for least losses."""
    folder = tmp_path_factory.mktemp("vvo")
    (folder / "banks.csv").write_text(BANKS)
    out = folder / "plan"
    call = ["case33bw", *SMALL, "--banks", str(folder / "banks.csv"), "--hosting", "--out", str(out)]
    assert command(["vvo-plan", *call]) == 0
    return out


@pytest.fixture(scope="module")
def regulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Plans of IEEE 13 without inverters: for least demand, and with other bands of its regulators."""
    folder = tmp_path_factory.mktemp("regulated")
    (folder / "narrow.csv").write_text("reg_id,band_v\nreg1,0.8\nreg2,0.8\nreg3,0.8\n")
    (folder / "wide.csv").write_text("reg_id,band_v,delay_s\nreg1,6,30\nreg2,6,30\nreg3,6,30\n")
    calls = {
        "cvr": ["--objective", "cvr"],
        "narrow": ["--regulator-deadbands", str(folder / "narrow.csv"), "--no-plot"],
        "wide": ["--regulator-deadbands", str(folder / "wide.csv"), "--max-operations", "3", "--no-plot"],
    }
    for name, extra in calls.items():
        call = [
            "ieee13",
            *SMALL,
            "--pv-share",
            "0",
            "--most-exhaustive",
            "1000",
            *extra,
            "--out",
            str(folder / name),
        ]
        assert command(["vvo", *call]) == 0
    return {name: folder / name for name in calls}


@pytest.mark.slow
def test_tables_are_those_that_are_published(plan: Path) -> None:
    """Row 67, 79, 90: all tables, the picture and run.json; valid by the schema that is published; one row a
    device for every snapshot, level and type of day.
    """
    found = tables(plan)
    assert set(found) == set(ADMS_TABLES["adms vvo-plan"])
    for name, schema in ADMS_TABLES["adms vvo-plan"].items():
        check_table(pq.read_table(plan / f"{name}.parquet"), schema, name)
    document = json.loads(PUBLISHED.read_text())
    assert document == json.loads(json.dumps(output_schema("Tables of `distgrid adms`", ADMS_TABLES)))
    jsonschema.Draft202012Validator(document).validate({"adms vvo-plan": json.loads(json.dumps(found))})
    devices = {row["device_id"] for row in found["vvo_settings"]}
    assert {"ltc_1-2", "c30", "c14"} < devices
    assert len(found["vvo_settings"]) == len(devices) * (6 + 6 + 4)
    assert {row["day_type"] for row in found["vvo_days"]} == {"low", "medium", "peak", "high PV"}
    assert (plan / "vvo_plan.png").stat().st_size > 10_000
    run = Manifest.model_validate_json((plan / "run.json").read_text())
    assert run.status == "done"
    assert {record.path for record in run.outputs} == {p.name for p in plan.iterdir() if p.is_file()} - {
        "run.json"
    }


@pytest.mark.slow
def test_settings_differ_by_day_and_the_cut_of_losses_is_real(plan: Path) -> None:
    """Row 67, 68: types of days have other settings; the losses and voltages of every interval are those
    that pandapower finds at the settings written, to 1e-6, and their sums are the performance.
    """
    found = tables(plan)
    of_type: dict[str, list[float]] = {}
    for row in found["vvo_settings"]:
        if row["scope"] == "day type":
            of_type.setdefault(row["day_type"], []).append(round(row["setting"], 6))
    assert len({tuple(values) for values in of_type.values()}) >= 2
    loss: dict[str, list[float]] = {}
    for row in found["vvo_steps"]:
        loss.setdefault(row["strategy"], []).append(row["p_loss_mw"])
        if row["step"] % 48 == 12:
            p_loss, v = with_pandapower(row, found["vvo_settings"])
            assert p_loss == pytest.approx(row["p_loss_mw"], abs=1e-6)
            assert v.min() == pytest.approx(row["v_min_pu"], abs=1e-6)
            assert np.abs(v - 1.0).mean() == pytest.approx(row["v_deviation_pu"], abs=1e-6)
    total = {row["strategy"]: row for row in found["vvo_performance"] if row["day"] is None}
    for strategy, row in total.items():
        assert row["loss_mwh"] == pytest.approx(0.25 * sum(loss[strategy]), abs=1e-9)
        cut = 100.0 * (1.0 - sum(loss[strategy]) / sum(loss["do-nothing"]))
        assert row["loss_cut_pct"] == pytest.approx(cut, abs=1e-6)
    assert total["vvo-plan"]["loss_mwh"] < total["vvo-day-type"]["loss_mwh"] < total["do-nothing"]["loss_mwh"]


def with_pandapower(row: dict[str, Any], settings: list[dict[str, Any]]) -> tuple[float, Any]:
    """Losses and voltages of an interval of case33bw at the settings of a row of vvo_steps."""
    net = pn.case33bw()
    net.ext_grid.vm_pu = 1.0 + 0.00625 * int(row["tap_pos"])
    step = row["day"] * 96 + row["step"]
    feeder, year = cases.load("case33bw"), cases.profiles.load_profiles()
    p, q = cases.profiles.assignment(feeder).node_series(feeder, year, np.array([step]))
    net.load.drop(net.load.index, inplace=True)
    for bus in range(33):
        pp.create_load(net, bus, p[0, bus], q[0, bus])
    units = {r["device_id"]: r["place"] for r in settings if r["kind"] == "inverter"}
    rated = {int(place): feeder.column("loads", "p_mw") for place in units.values()}
    nominal = dict(
        zip(feeder.column("loads", "node_id").tolist(), feeder.column("loads", "p_mw"), strict=True)
    )
    scale = 0.5 * sum(nominal.values()) / sum(nominal[str(bus)] for bus in rated)
    for bus, mvar in zip(units.values(), map(float, row["q_mvar"].split(",")), strict=True):
        pp.create_sgen(net, int(bus) - 1, row["pv_level"] * scale * nominal[bus], mvar)
    for bus, size, on in zip((30, 14), (0.6, 0.3), row["cap_on"].split(","), strict=True):
        if int(on):
            pp.create_shunt(net, bus - 1, q_mvar=-size)
    pp.runpp(net, tolerance_mva=1e-10, numba=False)
    return float(net.res_line.pl_mw.sum()), net.res_bus.vm_pu.to_numpy()[1:]


def test_capacity_with_the_plan_is_no_less(plan: Path) -> None:
    """Row 70: of every bus."""
    rows = tables(plan)["vvo_hosting"]
    assert len(rows) == 32
    assert all(row["with_plan_mw"] >= row["as_stored_mw"] for row in rows)


@pytest.mark.slow
def test_conservation_voltage_reduction_saves_energy_within_the_band(regulated: dict[str, Path]) -> None:
    """Row 69: with the voltage-dependent loads of IEEE 13 the plan takes less energy from upstream than the
    relays and than doing nothing, loads take less, and no voltage leaves the band that local control keeps.
    """
    found = tables(regulated["cvr"])
    total = {row["strategy"]: row for row in found["vvo_performance"] if row["day"] is None}
    plan = total["vvo-plan"]
    for other in ("do-nothing", "local-control"):
        assert plan["head_mwh"] < total[other]["head_mwh"]
        assert plan["load_mwh"] < total[other]["load_mwh"]
    assert plan["v_min_pu"] >= 0.95 - 1e-9
    assert plan["v_max_pu"] <= total["do-nothing"]["v_max_pu"]
    assert {row["status"] for row in found["vvo_points"]} == {"best known"}


def test_bands_of_relays_and_limits_change_operations(regulated: dict[str, Path]) -> None:
    """Row 70: relays with a narrow band step more often than with a wide one; the plan, too, which the wide
    band and three operations a day hold back.
    """
    steps: dict[str, dict[str, int]] = {}
    for name in ("narrow", "wide"):
        rows = tables(regulated[name])["vvo_performance"]
        steps[name] = {row["strategy"]: row["tap_steps"] for row in rows if row["day"] is None}
        assert not (regulated[name] / "vvo_plan.png").exists()
    assert steps["narrow"]["local-control"] > steps["wide"]["local-control"]
    assert steps["narrow"]["vvo-plan"] > steps["wide"]["vvo-plan"]
    assert steps["wide"]["vvo-plan"] <= 3 * 3


def test_steps_of_a_per_phase_feeder_are_power_flows(regulated: dict[str, Path]) -> None:
    """Row 68: every eighth interval solved again from the tables alone."""
    feeder, year = cases.load("ieee13"), cases.profiles.load_profiles()
    net, column = physics.compile_per_phase(feeder), feeder.column
    at = [feeder.node_index[str(n)] for n in column("loads", "node_id")]
    for row in tables(regulated["cvr"])["vvo_steps"][::8]:
        step = np.array([row["day"] * 96 + row["step"]])
        series = cases.profiles.assignment(feeder).load_series(year, step)
        loads = {f"{k}{c}": np.zeros((net.n_bus, 3)) for k in "pq" for c in ("", "_delta")}
        for load, node in enumerate(at):
            phases, delta = column("loads", "phase")[load], column("loads", "connection")[load] == "delta"
            legs = {"AB": [0], "BC": [1], "CA": [2], "AC": [2], "ABC": [0, 1, 2]}
            places = legs[phases] if delta else ["ABC".index(x) for x in phases]
            for kind, power in zip("pq", series, strict=True):
                loads[kind + "_delta" * delta][node, places] += power[0, load] / len(places)
        given: dict[str, Any] = {
            f"{k}_{'mw' if k[0] == 'p' else 'mvar'}": values for k, values in loads.items()
        }
        taps = np.array([int(k) for k in row["tap_pos"].split(",")])
        on = np.array([k == "1" for k in row["cap_on"].split(",")])
        sol = physics.solve(net, tap=1.0 + 0.00625 * taps, cap_on=on, **given)
        assert float(sol.p_loss_mw) == pytest.approx(row["p_loss_mw"], abs=1e-6)
        assert float(sol.p_slack_mw) == pytest.approx(row["p_head_mw"], abs=1e-6)


def config(**more: Any) -> Any:
    return VvoPlanJob.config_model(
        feeder="case33bw", load_levels=(0.4, 0.8), pv_levels=(0.0, 1.0), moments=2, days=(int(DAY),),
        starts=1, day_types=("summer=251", "winter=9"), plot=False, **more,
    )  # fmt: skip


class _KilledError(Exception):
    """A process that dies."""


def _dies() -> bool:
    return "DISTGRID_TEST_DIES" in os.environ


class _Mortal(VvoPlanJob):
    """Dies in its sixth chunk."""

    def do_chunk(self, context: Any, chunk: Chunk) -> Any:
        """Do it, or die."""
        if chunk.index == 5 and _dies():
            raise _KilledError
        return super().do_chunk(context, chunk)


@pytest.mark.slow
def test_killed_and_given_again_and_by_processes_the_bytes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 77, 78: what is finished is kept, and neither a kill nor two processes move a byte."""
    monkeypatch.setenv("DISTGRID_TEST_DIES", "1")
    job = VvoPlanJob(config())
    with prepared(job) as context:
        run_job(job, context, tmp_path / "whole", progress=False)
        run_job(job, context, tmp_path / "two", engine="processes", progress=False)
    first = hashes(tmp_path / "whole")
    assert first == hashes(tmp_path / "two")
    mortal = _Mortal(config())
    with prepared(mortal) as context, pytest.raises(_KilledError):
        run_job(mortal, context, tmp_path / "killed", progress=False)
    monkeypatch.delenv("DISTGRID_TEST_DIES")
    with prepared(mortal) as context:
        again = run_job(mortal, context, tmp_path / "killed", progress=False)
    assert again.skipped == 5
    assert hashes(tmp_path / "killed") == first
    assert {row["day_type"] for row in again.tables["vvo_days"].to_pylist()} == {"summer", "winter"}


def test_the_verb_is_there() -> None:
    """Row 70, 76: `adms vvo-plan`, also as `adms vvo`."""
    assert next(job for job in jobs() if job.kind == "adms vvo-plan").aliases == ("vvo",)


WRONG = {
    "objective": (["--objective", "los"], "unknown objective 'los'; did you mean 'loss'"),
    "band": (["--band", "[1.05,0.95]"], "--voltage-band is [1.05,0.95]"),
    "levels": (["--load-levels", "0.5,0.3"], "--load-levels is 0.5,0.3: expected numbers that ascend"),
    "sun": (["--pv-levels", "0,1.5"], "--pv-levels is 0.0,1.5: expected numbers that ascend, 0 or more, 1"),
    "shares": (["--load-zip", "0.5,0.5,0.5"], "--load-zip is 0.5,0.5,0.5: expected three shares"),
    "types": (["--day-types", "peak"], "--day-types has 'peak': expected NAME=DAY"),
    "type": (["--day-types", "peak=400"], "day type 'peak': day 400 is not one"),
    "days": (["--days", "1000"], "day 1000 is not one of split 'test'"),
    "margin": (["--margin-pu", "0.05"], "--margin-pu is 0.05"),
    "limit": (["--max-operations", "-1"], "most_operations is -1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_are_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 79: status 2, the option, what it is and what was expected; nothing is written."""
    extra, told = WRONG[name]
    assert command(["vvo-plan", "case33bw", *extra, "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "run.json").exists()


FILES = {
    "inverters": ("asset_id,bus_id,p_mw,s_mva\na,99,0.1,0.1\na,18,0.3,0.2\n,18,x,1\n",
                  ["given.csv:2: bus_id = 99", "given.csv:3: p_mw, s_mva, q_max_mvar",
                   "given.csv:4: asset_id"]),
    "banks": ("cap_id,bus_id,q_mvar\nc,18,-1\nd,99,0.5\n",
              ["given.csv:2: q_mvar = -1", "given.csv:3: bus_id = 99"]),
    "regulator-deadbands": ("reg_id,band_v\nreg,2\nltc_1-2,0\n",
                            ["given.csv:2: reg_id = reg: expected each regulator once, among ltc_1-2",
                             "given.csv:3: band_v = 0: expected a number of volts above 0"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_wrong_files_are_told_by_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 79: file, line, field, value and expectation of every wrong row."""
    content, told = FILES[name]
    file = tmp_path / "given.csv"
    file.write_text(content)
    assert command(["vvo-plan", "case33bw", f"--{name}", str(file), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    for text in told:
        assert text in shown, shown
