"""`distgrid dist opf`: published optima, limits and their duals, schedules, conflicts, wrong input."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.workflows.dist.opf_job import OpfJob
from distgrid.baselines.workflows.dist.opf_tables import SCHEMAS
from distgrid.cli import main

from .opf_folder import HEADER, METRIC, TWO, WIDE, Folder

FILES = (*(f"{name}.parquet" for name in SCHEMAS), "dist_opf.png")


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def hashes(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in FILES}


# -- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("q_most", "loss_kw"), [(0, 71.4985), (5, 11.6696)])
def test_the_call_of_the_issue_gives_the_published_least_loss(
    folder: Folder, q_most: int, loss_kw: float
) -> None:
    """Row 20, 77, 80: plants at 13, 24, 30 of 33bw; tables, figure, manifest; inputs as they were."""
    plants = "".join(f"pv{bus},{bus},0,5,0,{q_most}\n" for bus in (13, 24, 30))
    limits = folder.file("dispatch_limits.csv", f"{HEADER}\n{plants}")
    before = hashlib.sha256(Path(limits).read_bytes()).hexdigest()
    code, shown, _ = folder.opf("--objective", "loss", "--limits", limits, "--voltage-band", "[0.9,1.1]")
    assert code == 0
    assert f"losses {loss_kw} kW" in shown
    row = folder.summary()
    assert row["status"] == "optimal"
    assert 1e3 * row["p_loss_mw"] == pytest.approx(loss_kw, abs=6e-5)
    assert row["objective"] == row["p_loss_mw"]
    assert row["gap"] == pytest.approx(row["objective"] - row["bound"], abs=1e-12)
    assert abs(row["gap"]) < 1e-6
    assert row["v_error_pu"] < 1e-6
    assert hashlib.sha256(Path(limits).read_bytes()).hexdigest() == before
    for name, schema in SCHEMAS.items():
        table = pq.read_table(folder.out / f"{name}.parquet")
        assert table.schema.equals(schema)
        assert all(field.metadata[b"unit"] for field in table.schema if field.type == pa.float64())
    run = Manifest.model_validate_json((folder.out / "run.json").read_text())
    assert run.status == "done"
    assert {record.path for record in run.outputs} == set(FILES)
    assert (folder.out / "dist_opf.png").read_bytes()[:4] == b"\x89PNG"
    assert len(folder.rows("dist_opf_buses")) == 33
    lost = sum(branch["p_loss_mw"] or 0.0 for branch in folder.rows("dist_opf_branches"))
    assert lost == pytest.approx(row["p_loss_mw"], abs=1e-9)


@pytest.mark.parametrize(
    ("costs", "usd_per_h", "p_mw"),
    [("a,0,40,0\nb,0,55,0\n", 180.591830, (1.0, 0.0)),
     ("a,5,48,0\nb,8,49,0\n", 190.387950, (0.452452, 0.287476))],
)  # fmt: skip
def test_least_cost_is_that_of_pandapowers_runopp(
    folder: Folder, costs: str, usd_per_h: float, p_mw: tuple[float, float]
) -> None:
    """Row 21, 22, 26: linear and quadratic costs; the limit that binds is told with its dual."""
    code, _, _ = folder.opf(
        "--objective", "cost", "--limits", folder.file("limits.csv", TWO), "--head-usd-mwh", "50",
        "--costs", folder.file("gen_costs.csv", f"asset_id,c2,c1,c0\n{costs}"), *WIDE,
    )  # fmt: skip
    assert code == 0
    assert folder.summary()["cost_usd_per_h"] == pytest.approx(usd_per_h, abs=1e-5)
    assert [row["p_mw"] for row in folder.rows()] == pytest.approx(p_mw, abs=2e-6)
    assert "q_max" in folder.rows()[1]["binding"]
    assert ("q_max", "b") in {(row["kind"], row["element"]) for row in folder.rows("dist_opf_binding")}


def test_a_dual_is_what_a_unit_more_of_the_limit_is_worth(folder: Folder) -> None:
    """Row 22, 26: by difference of the objective."""
    limits = folder.file("limits.csv", f"{HEADER}\na,18,0,0.4,-0.3,0.3\nb,33,0,0.4,-0.3,0.3\n")
    assert folder.opf("--limits", limits, *WIDE)[0] == 0
    first = folder.summary()["objective"]
    duals = {(row["kind"], row["element"]): row for row in folder.rows("dist_opf_binding")}
    row = duals["p_max", "a"]
    assert row["dual_unit"] == "MW per MW"
    folder.file("limits.csv", f"{HEADER}\na,18,0,0.4001,-0.3,0.3\nb,33,0,0.4,-0.3,0.3\n")
    assert folder.opf("--limits", limits, *WIDE)[0] == 0
    assert (first - folder.summary()["objective"]) / 1e-4 == pytest.approx(row["dual"], rel=0.02)


def test_objectives_differ_and_each_is_best_in_its_own_metric(folder: Folder) -> None:
    """Row 29: four objectives, four plans."""
    limits = folder.file(
        "limits.csv", f"{HEADER}\na,18,0,1.2,-0.6,0.6\nb,25,0,1.2,-0.6,0.6\nc,33,0,1.2,-0.6,0.6\n"
    )
    costs = folder.file("costs.csv", "asset_id,c2,c1,c0\na,2,45,0\nb,2,45,0\nc,2,45,0\n")
    plans, value = {}, {}
    for word in METRIC:
        assert folder.opf("--objective", word, "--limits", limits, "--costs", costs, *WIDE)[0] == 0
        plans[word] = tuple((round(row["p_mw"], 3), round(row["q_mvar"], 3)) for row in folder.rows())
        row = folder.summary()
        value[word] = {name: row[column] * (-1 if name == "host" else 1) for name, column in METRIC.items()}
        assert row["objective"] == pytest.approx(abs(value[word][word]))
    assert len(set(plans.values())) == 4
    for word in METRIC:
        assert value[word][word] == pytest.approx(min(other[word] for other in value.values()), abs=1e-6)


def test_bands_ratings_and_circles_hold_after_the_replay(folder: Folder) -> None:
    """Row 23, 24: the most that inverters can feed in, with margins; the replay is done again here."""
    limits = folder.file(
        "limits.csv",
        f"{HEADER},s_mva\na,18,0,20,-20,20,1.1\nb,22,0,20,-1,1,20\nc,33,0,20,-1,1,2\n",
    )
    code, _, _ = folder.opf(
        "--objective", "host", "--limits", limits, "--band", "[0.9,1.05]", "--thermal-margin", "0.1",
        "--export-mw", "3.5",
    )  # fmt: skip
    assert code == 0
    row = folder.summary()
    assert row["bound"] >= row["objective"] - 1e-9
    assert row["n_violations"] == 0
    net = physics.compile(cases.load("case33bw"))
    p, q = np.zeros(33), np.zeros(33)
    for asset in folder.rows():
        assert asset["p_mw"] ** 2 + asset["q_mvar"] ** 2 <= asset["s_mva"] ** 2 + 1e-6
        p[net.feeder.node_index[asset["bus_id"]]] = asset["p_mw"]
        q[net.feeder.node_index[asset["bus_id"]]] = asset["q_mvar"]
    sol = physics.solve(net, p_inject_mw=p, q_inject_mvar=q)
    assert sol.v_pu.min() >= 0.9 - 1e-6
    assert sol.v_pu.max() <= 1.05 + 1e-6
    assert np.nanmax(sol.loading) <= 0.9 + 1e-6
    assert -sol.p_slack_mw <= 3.5 + 1e-6
    np.testing.assert_allclose([bus["v_pu"] for bus in folder.rows("dist_opf_buses")], sol.v_pu, atol=1e-9)
    told = [branch["loading_pct"] or 0.0 for branch in folder.rows("dist_opf_branches")]
    np.testing.assert_allclose(told, 100.0 * np.nan_to_num(sol.loading), atol=1e-6)
    assert {one["kind"] for one in folder.rows("dist_opf_binding")} & {"thermal_from", "thermal_to", "export"}


def test_schedules_are_kept_and_envelopes_are_room(folder: Folder) -> None:
    """Row 25: fixed setpoints come back as they are; a unit moves inside its envelope and limits alone."""
    limits = folder.file("limits.csv", f"{HEADER}\na,18,0,1,-0.5,0.5\nb,33,0,1.5,-0.5,0.5\n")
    ders = folder.file(
        "ders.csv",
        "asset_id,bus_id,p_mw,q_mvar,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar\n"
        "a,18,0.123456,0.0654321,,,,\nb,33,,,0.2,0.3,,\nc,25,-0.2,,,,,\n",
    )
    assert folder.opf("--limits", limits, "--ders", ders, *WIDE)[0] == 0
    a, b, c = folder.rows()
    assert (a["p_mw"], a["q_mvar"]) == (pytest.approx(0.123456, abs=1e-9), pytest.approx(0.0654321, abs=1e-9))
    assert [row["scheduled"] for row in (a, b, c)] == [True, False, True]
    assert b["p_mw"] == pytest.approx(0.3, abs=1e-6)
    assert (b["p_min_mw"], b["p_max_mw"], b["q_max_mvar"]) == (0.2, 0.3, 0.5)
    assert (c["p_mw"], c["q_mvar"]) == (pytest.approx(-0.2, abs=1e-9), pytest.approx(0.0, abs=1e-9))
    loss = folder.summary()["objective"]
    assert folder.opf("--limits", limits, *WIDE)[0] == 0
    assert folder.summary()["objective"] < loss


def test_loads_sources_and_caps_are_those_that_are_asked_for(folder: Folder) -> None:
    """Half the loads at 1.02 pu, and no more from the source than 1 MW: all of it in the tables."""
    limits = folder.file("limits.csv", TWO)
    code, _, _ = folder.opf(
        "--limits", limits, *WIDE, "--load-scale", "0.5", "--v-source-pu", "1.02", "--import-mw", "0.8",
        "--objective", "vvo",
    )  # fmt: skip
    assert code == 0
    buses, row = folder.rows("dist_opf_buses"), folder.summary()
    assert buses[0]["v_pu"] == pytest.approx(1.02)
    assert sum(bus["p_load_mw"] for bus in buses) == pytest.approx(0.5 * 3.715)
    assert row["p_source_mw"] <= 0.8 + 1e-6


# -- what cannot be kept -------------------------------------------------------------------------------------


def test_limits_that_conflict_are_an_irreducible_set_and_the_exit_status_is_3(folder: Folder) -> None:
    """Bad input: the message and the table name them; dropping any one makes it feasible."""
    text = f"{HEADER}\na,18,0,0.1,0,0\nb,25,0,0.1,0,0\n"
    code, _, told = folder.opf("--limits", folder.file("limits.csv", text), *WIDE, "--import-mw", "2")
    assert code == 3
    assert "no setpoints keep the limits: these 3 conflict" in told
    conflicts = folder.rows("dist_opf_binding")
    assert {row["role"] for row in conflicts} == {"conflict"}
    found = {(row["kind"], row["element"]): row["excess"] for row in conflicts}
    assert set(found) == {("import", "head"), ("p_max", "a"), ("p_max", "b")}
    assert folder.summary()["status"] == "infeasible"
    assert folder.summary()["message"] in told
    assert folder.rows() == []
    run = Manifest.model_validate_json((folder.out / "run.json").read_text())
    assert run.error is not None
    for drop in found:
        most = {name: 5 if drop[1] == name else 0.1 for name in "ab"}
        text = f"{HEADER}\na,18,0,{most['a']},0,0\nb,25,0,{most['b']},0,0\n"
        cap = "9" if drop[1] == "head" else "2"
        limits = folder.file("limits.csv", text)
        assert folder.opf("--limits", limits, *WIDE, "--import-mw", cap)[0] == 0, drop


# -- as a job ------------------------------------------------------------------------------------------------


def test_killed_and_done_again_ends_with_the_same_bytes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 77, 78: steps of a day are items; a cut and a second process move no byte."""
    call = ["--limits", folder.file("limits.csv", TWO), *WIDE, "--split", "test", "--days", "15",
            "--steps", ",".join(map(str, range(0, 96, 8)))]  # fmt: skip
    assert folder.opf(*call)[0] == 0
    whole, rows = hashes(folder.out), folder.rows("dist_opf_summary")
    assert len(rows) == 12
    assert len({row["step"] for row in rows}) == 12
    assert all(row["status"] == "optimal" for row in rows)
    honest, done = OpfJob.do_chunk, list[int]()

    def dies(self: OpfJob, context: Any, chunk: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(chunk.index)
        return honest(self, context, chunk)

    monkeypatch.setattr(OpfJob, "do_chunk", dies)
    killed = folder.path / "killed"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["dist", "opf", "case33bw", *call, "--out", str(killed)])
    monkeypatch.setattr(OpfJob, "do_chunk", honest)
    assert not (killed / FILES[0]).exists()
    with pytest.raises(SystemExit) as left:
        main(["dist", "opf", "case33bw", *call, "--out", str(killed)])
    assert not left.value.code
    assert hashes(killed) == whole


@pytest.mark.slow
def test_two_processes_give_the_output_of_one(folder: Folder) -> None:
    """Row 78."""
    call = ["--limits", folder.file("limits.csv", TWO), *WIDE, "--split", "test", "--days", "15", "--steps",
            "0,24,48,72"]  # fmt: skip
    found = []
    for engine in ("local", "processes"):
        assert folder.opf(*call, "--engine", engine)[0] == 0
        found.append(hashes(folder.out))
    assert found[0] == found[1]


# -- wrong input ---------------------------------------------------------------------------------------------

BAD_LIMITS = (
    (f"{HEADER}\na,99,0,1,0,0\n", "limits.csv:2: bus_id = 99: expected a bus of the feeder"),
    (f"{HEADER}\na,1,0,1,0,0\n", "limits.csv:2: bus_id = 1: expected a bus of the feeder that is no source"),
    (f"{HEADER}\n\na,18,0,nan,0,0\n", "limits.csv:3: p_max_mw = nan: expected a finite number"),
    (f"{HEADER}\na,18,0,,0,0\n", "limits.csv:2: p_max_mw: expected a finite number"),
    (f"{HEADER}\na,18,2,1,0,0\n", "limits.csv:2: p_min_mw = 2: expected no more than p_max_mw = 1"),
    (f"{HEADER}\na,18,0,1,0,0\na,17,0,1,0,0\n", "limits.csv:3: asset_id = a: expected each asset once"),
    (f"{HEADER}\n,18,0,1,0,0\n", "limits.csv:2: asset_id: expected a name"),
    (f"{HEADER}\na,18,0,1\n", "limits.csv:2: row = 4 values: expected 6 values"),
    (f"{HEADER},s_mva\na,18,0,1,0,0,-1\n", "limits.csv:2: s_mva = -1: expected a number greater than 0"),
    (
        f"{HEADER},phase\na,18,0,1,0,0,A\n",
        "limits.csv:2: phase = A: expected nothing: the feeder is balanced",
    ),
    (f"{HEADER},pmax\na,18,0,1,0,0,1\n", "limits.csv:1: column = pmax: expected columns among asset_id"),
    ("asset_id,bus_id,p_min_mw,p_max_mw,q_min_mvar\na,18,0,1,0\n", "expected a column q_max_mvar"),
    (f"{HEADER},s_mva,s_mva\na,18,0,1,0,0,1,1\n", "column = s_mva: expected each column once"),
    (f"{HEADER}\n", "nothing to dispatch"),
)
BAD_DERS = (
    ("asset_id,bus_id,p_mw\na,18,1.2\n", "ders.csv:2: p_mw = 1.2: expected a power from 0 to 1"),
    ("asset_id,bus_id,p_mw\na,17,0.2\n", "ders.csv:2: bus_id = 17: expected bus 18, as in the limits"),
    ("asset_id,bus_id,p_mw\nc,17,\n", "ders.csv:2: p_mw: expected p_mw, or both p_min_mw and p_max_mw"),
    ("asset_id,bus_id,p_min_mw,p_max_mw\na,18,2,3\n", "expected an envelope that meets the limits, 0 to 1"),
    ("asset_id,bus_id,p_mw\nc,17,inf\n", "ders.csv:2: p_mw = inf: expected a finite number"),
)
BAD_COSTS = (
    ("asset_id,c2,c1,c0\nz,1,1,1\n", "costs.csv:2: asset_id = z: expected an asset that is dispatched: a, b"),
    ("asset_id,c2,c1,c0\na,-1,1,1\n", "costs.csv:2: c2 = -1: expected a cost of 0 or more: a cost that"),
    ("asset_id,c2,c1,c0\na,1,-5,1\n", "costs.csv:2: c1 = -5: expected a cost of 0 or more"),
    ("asset_id,c2,c1,c0\na,1,nan,1\n", "costs.csv:2: c1 = nan: expected a finite number"),
    ("asset_id,c2,c1,c0\na,1,1,1\na,1,1,1\n", "costs.csv:3: asset_id = a: expected each asset once"),
    ("asset_id,c2,c1\na,1,1\n", "costs.csv:1: columns = asset_id, c2, c1: expected asset_id with c2, c1, c0"),
    ("asset_id,p_mw,cost_usd_per_h\na,0,0\na,0.5,30\na,1,50\n",
     "costs.csv:4: cost_usd_per_h = 50: expected no slope below 60 USD/MWh"),
    ("asset_id,p_mw,cost_usd_per_h\na,0,0\na,0.5,30\n", "costs.csv:3: p_mw = 0 to 0.5: expected points from"),
    ("asset_id,p_mw,cost_usd_per_h\na,0,0\na,0,30\n", "costs.csv:3: p_mw = 0: expected more than the point"),
)  # fmt: skip


def test_wrong_files_are_told_by_file_line_field_and_expectation(folder: Folder) -> None:
    """Bad input: unknown assets and buses, NaN, empty boxes, costs that are negative or not convex."""
    right = folder.file("right.csv", TWO)
    for cases_of, name, options in (
        (BAD_LIMITS, "limits", []), (BAD_DERS, "ders", ["--limits", right]),
        (BAD_COSTS, "costs", ["--limits", right]),
    ):  # fmt: skip
        for text, message in cases_of:
            code, _, told = folder.opf(*options, f"--{name}", folder.file(f"{name}.csv", text))
            assert code == 2, text
            assert message in told.replace("\n", ""), told
            assert not folder.out.exists()


def test_wrong_options_are_refused_in_plain_words(folder: Folder) -> None:
    """Bad input: bands outside the physical, what is no number, unknown names, files that are not there."""
    right = folder.file("right.csv", TWO)
    for arguments, message in (
        (["--voltage-band", "[0.2,1.1]"], "expected two voltages within 0.5 and 1.5 pu"),
        (["--voltage-band", "[1.1,0.9]"], "the lower one first"),
        (["--voltage-band", "0.9"], "two numbers"),
        (["--objective", "los"], "loss"),
        (["--thermal-margin", "1.5"], "--thermal-margin is 1.5: expected 0 or more, and below 1"),
        (["--import-mw", "nan"], "--import-mw is nan"),
        (["--head-usd-mwh", "inf"], "--head-usd-mwh is inf"),
        (["--v-source-pu", "3"], "--v-source-pu is 3.0"),
        (["--load-scale", "-1"], "load scale is -1.0"),
        (["--days", "3"], "without the split"),
        (["--split", "tset"], "test"),
        (["--split", "test", "--days", "15", "--steps", "96"], "--steps has 96"),
        (["--costs", str(folder.path / "no.csv")], "cannot read"),
    ):
        code, _, told = folder.opf("--limits", right, *arguments)
        assert code == 2, arguments
        assert message in told, told
        assert not folder.out.exists()
    assert "nothing to dispatch: --limits or --ders" in folder.opf()[2]


def test_help_names_the_options(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 76, 79: the options are those of the configuration."""
    with pytest.raises(SystemExit):
        main(["dist", "opf", "--help"])
    shown = capsys.readouterr().out
    for flag in ("--objective", "--limits", "--costs", "--voltage-band", "--thermal-margin", "--ders"):
        assert flag in shown
