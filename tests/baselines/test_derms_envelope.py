"""`distgrid derms envelope`: its call, groups, energy, operating envelopes, wrong input, as a job."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs.table_schemas import check_table, output_schema
from distgrid.baselines.optimal.envelope.polygon import area, beyond
from distgrid.baselines.workflows.derms.envelope_config import EnvelopeConfig
from distgrid.baselines.workflows.derms.envelope_job import EnvelopeJob
from distgrid.baselines.workflows.derms.envelope_session import envelope_session
from distgrid.baselines.workflows.derms.envelope_tables import OPERATING_SCHEMAS, REGION_SCHEMAS, SCHEMAS
from distgrid.baselines.workflows.derms.output_schemas import DERMS_TABLES
from distgrid.cli import main

BUSES = ("6", "9", "12", "14", "18", "22", "25", "28", "30", "33")
HEADER = (
    "asset_id,bus_id,phase,asset_type,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar,s_rated_mva,energy_cap_mwh,"
    "agg_id,controls\n"
)
INVERTERS = HEADER + "".join(
    f"i{bus},{bus},ABC,battery,-0.3,0.3,-0.35,0.35,0.35,20,{'north' if k < 5 else 'south'},pq\n"
    for k, bus in enumerate(BUSES)
)
FEW = HEADER + (
    "pv,14,ABC,pv,0,0.6,-0.3,0.3,0.6,,north,pq\nbat,18,ABC,battery,-0.3,0.3,0,0,0.3,1.0,north,p\n"
    "gen,25,ABC,generator,0,0.4,-0.3,0.3,0.5,,south,pq\n"
)
NOMINAL = ("--nominal", "--band", "[0.90,1.05]", "--no-thermal")


class Folder:
    """A folder with asset tables, and the command in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys, self.out = path, capsys, path
        self.assets(INVERTERS)

    def assets(self, text: str) -> None:
        """Another table of assets."""
        (self.path / "der_assets.csv").write_text(text)

    def envelope(self, *arguments: str, feeder: str = "case33bw", out: str = "out") -> tuple[int, str, str]:
        """Exit code, stdout, stderr of `distgrid derms envelope` with the assets."""
        self.out = self.path / out
        words = ["--assets", str(self.path / "der_assets.csv"), *arguments, "--out", str(self.out), "--fresh"]
        with pytest.raises(SystemExit) as left:
            main(["derms", "envelope", feeder, *words])
        told = self._capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    def table(self, name: str = "der_envelopes") -> pa.Table:
        """Of the last call."""
        return pq.read_table(self.out / f"{name}.parquet")

    def rows(self, name: str = "der_envelope_regions") -> list[dict[str, Any]]:
        """Of the last call."""
        return list(self.table(name).to_pylist())

    def hashes(self) -> dict[str, str]:
        """Of everything but run.json."""
        files = sorted(path for path in self.out.glob("der_*") if path.is_file())
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def test_the_ten_inverters_have_the_area_of_the_nonlinear_solver(folder: Folder) -> None:
    """Row 43 to 46: tables of the call; vertices replay; labels; boxes inside of the hull and around it."""
    code, out, _ = folder.envelope(*NOMINAL, "--directions", "20")
    assert code == 0
    assert "case33bw" in out
    vertices = folder.table()
    corners = np.stack([vertices[name].to_numpy() for name in ("p_mw", "q_mvar")], axis=1)
    assert 0.97 * 30.40611 <= area(corners) <= 30.40611 * (1.0 + 1e-5)
    (region,) = folder.rows()
    assert region["area_mw_mvar"] == pytest.approx(area(corners))
    assert region["naive_area_mw_mvar"] == pytest.approx(36.04423, rel=1e-3)
    assert (region["seen_at"], region["status"], region["step"]) == ("head", "best known", None)
    net = physics.compile(cases.load("case33bw"))
    p, q = np.zeros((len(corners), 33)), np.zeros((len(corners), 33))
    for row in folder.rows("der_envelope_setpoints"):
        at = net.feeder.node_index[row["asset_id"][1:]]
        p[row["vertex_id"], at], q[row["vertex_id"], at] = row["p_mw"], row["q_mvar"]
    sol = physics.solve(net, p_inject_mw=p, q_inject_mvar=q)
    np.testing.assert_allclose(np.stack([sol.p_slack_mw, sol.q_slack_mvar], axis=1), corners, atol=1e-6)
    assert sol.v_pu[:, 1:].min() >= 0.9 - 1e-6
    assert sol.v_pu.max() <= 1.05 + 1e-6
    labels = dict(zip(vertices["vertex_id"].to_pylist(), vertices["label"].to_pylist(), strict=True))
    at_end = int(corners[:, 1].argmax())
    assert "v_min" in labels[at_end]
    kinds = {r["kind"] for r in folder.rows("der_envelope_limits") if r["vertex_id"] == at_end}
    assert "v_min" in kinds
    boxes = {row["box"]: row for row in folder.rows("der_envelope_boxes")}
    assert (boxes["inner"]["inside_hull"], boxes["inner"]["contains_hull"]) == (True, False)
    assert (boxes["outer"]["inside_hull"], boxes["outer"]["contains_hull"]) == (False, True)
    inner = boxes["inner"]
    square = np.array(
        [[inner[a], inner[b]] for a in ("p_min_mw", "p_max_mw") for b in ("q_min_mvar", "q_max_mvar")]
    )
    assert beyond(corners, square).max() <= 1e-9
    assert (folder.out / "der_envelopes.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder.out / "run.json").read_text())["error"] is None
    assert {path.stem for path in folder.out.glob("*.parquet")} == set(REGION_SCHEMAS)


@pytest.mark.parametrize(("by", "names"), [
    ("aggregator", {"north": 2, "south": 1}), ("bus", {"14": 1, "18": 1, "25": 1}),
    ("asset", {"pv": 1, "bat": 1, "gen": 1}), ("substation", {"1": 3}), ("feeder", {"case33bw": 3}),
])  # fmt: skip
def test_groups_are_parts_of_the_assets(folder: Folder, by: str, names: dict[str, int]) -> None:
    """Row 43: every asset in one group, and no group has what is not its own."""
    folder.assets(FEW)
    assert folder.envelope(*NOMINAL, "--group-by", by, "--directions", "4", "--no-plot")[0] == 0
    assert {row["region"]: row["assets"] for row in folder.rows()} == names
    seen = {row["seen_at"] for row in folder.rows()}
    assert seen == ({"head"} if by in ("substation", "feeder") else {"injection"})
    assert not (folder.out / "der_envelopes.png").exists()
    of = {(row["region"], row["asset_id"]) for row in folder.rows("der_envelope_setpoints")}
    assert {asset for _, asset in of} == {"pv", "bat", "gen"}
    assert len(of) == 3


def test_a_battery_has_less_to_give_as_it_empties(folder: Folder) -> None:
    """Row 48, 42: energy along a schedule; held for two hours it is half the power; sun ends at night."""
    folder.assets(FEW)
    plan = "asset_id,step,p_mw\n" + "".join(f"bat,{step},0.1\n" for step in range(8, 12))
    (folder.path / "plan.csv").write_text(plan)
    call = ["--day", "200", "--steps", "8,9,10,11,12", "--group-by", "asset", "--directions", "4",
            "--schedule", str(folder.path / "plan.csv"), "--band", "[0.85,1.1]", "--no-plot"]  # fmt: skip
    assert folder.envelope(*call)[0] == 0
    mine = [row for row in folder.rows() if row["region"] == "bat"]
    stored = np.array([row["energy_mwh"] for row in mine])
    np.testing.assert_allclose(np.diff(stored), -0.1 / 0.95)
    assert stored[0] == pytest.approx(0.5)
    most = np.array([row["p_max_mw"] for row in mine])
    assert most == pytest.approx(np.minimum(0.3, 0.95 * stored), abs=1e-6)
    assert most[-1] < most[0]
    least = np.array([row["p_min_mw"] for row in mine])
    assert least == pytest.approx(-np.minimum(0.3, (1.0 - stored) / 0.95), abs=1e-6)
    assert folder.envelope(*call, "--hold-h", "2")[0] == 0  # twice as long: half the power
    held = np.array([row["p_max_mw"] for row in folder.rows() if row["region"] == "bat"])
    assert held == pytest.approx(np.minimum(0.3, 0.5 * 0.95 * stored), abs=1e-6)
    assert folder.envelope(*call[:2], "--steps", "0,12", *call[4:])[0] == 0
    sun = {row["step"]: row["p_max_mw"] for row in folder.rows() if row["region"] == "pv"}
    assert sun[0] == pytest.approx(0.0, abs=1e-9)
    assert sun[12] > 0.1


def test_the_call_of_the_issue_takes_the_shipped_set_and_a_test_day(tmp_path: Path) -> None:
    """`distgrid derms envelope case33bw --out DIR`, in two of its steps."""
    with pytest.raises(SystemExit) as left:
        main(["derms", "envelope", "case33bw", "--out", str(tmp_path / "run"), "--steps", "3,12",
              "--directions", "8", "--base", "tariff"])  # fmt: skip
    assert not left.value.code
    rows = pq.read_table(tmp_path / "run" / "der_envelope_regions.parquet").to_pylist()
    assert [row["step"] for row in rows] == [3, 12]
    assert {row["status"] for row in rows} == {"best known"}
    assert rows[1]["area_mw_mvar"] > rows[0]["area_mw_mvar"]  # the sun


def test_the_fleet_of_an_environment_has_a_region(tmp_path: Path) -> None:
    """A registered id in the place of a feeder: its fleet, its feeder, the band of its task."""
    config = EnvelopeConfig(feeder="DERDispatch-33bw-v0", steps=(12,), directions=4)
    session = envelope_session(config)
    assert session.feeder.name == "case33bw"
    assert session.case.limits.v_band == (0.95, 1.05)
    assert len(session.groups[0].assets) == len(session.case.assets) > 3
    assert session.left_out == ()


def test_what_computes_is_neither_moved_nor_counted(folder: Folder) -> None:
    """A data centre beside a battery; alone it is an error that says what moves."""
    folder.assets(FEW + "dc,22,ABC,data_center,-0.1,0,,,,,north,p\n")
    path = folder.path / "der_assets.csv"
    session = envelope_session(EnvelopeConfig(feeder="case33bw", assets=path, nominal=True))
    assert session.left_out == ("dc",)
    assert session.groups[0].assets == ("pv", "bat", "gen")
    folder.assets(HEADER + "dc,22,ABC,data_center,-0.1,0,,,,,north,p\n")
    with pytest.raises(RunError, match="no asset that moves: expected one of the kinds pv"):
        envelope_session(EnvelopeConfig(feeder="case33bw", assets=path, nominal=True))


def test_operating_envelopes_stand_beside_regions(folder: Folder) -> None:
    """Limits in the terms of CSIP-AUS; replayed; none where none are asked for."""
    folder.assets(FEW)
    call = [*NOMINAL, "--directions", "4", "--most-export-kw", "900"]
    code, out, _ = folder.envelope(*call, "--operating", "ideal")
    assert code == 0
    assert "Operating envelopes: ideal, equal" in out
    limits, grid = folder.table("der_operating_envelopes"), folder.rows("der_operating_grid")
    assert limits.num_rows == 32
    assert limits.schema.equals(OPERATING_SCHEMAS["der_operating_envelopes"])
    w = limits["opModExpLimW"].to_numpy()
    assert 0.0 < w.max() <= 9e5
    assert [row["direction"] for row in grid] == ["export", "import"]
    assert grid[0]["total_w"] == pytest.approx(w.sum())
    assert grid[0]["v_highest_pu"] <= 1.05 + 1e-6
    assert grid[1]["v_lowest_pu"] >= 0.9 - 1e-6
    net, load = physics.compile(cases.load("case33bw")), np.zeros((1, 33))
    p = np.zeros((1, 33))
    p[0, [net.feeder.node_index[bus] for bus in limits["bus_id"].to_pylist()]] = 1e-6 * w
    sol = physics.solve(net, load, load, p_inject_mw=p)
    assert sol.v_pu.max() == pytest.approx(grid[0]["v_highest_pu"], abs=1e-7)
    assert folder.envelope(*call)[0] == 0
    assert not (folder.out / "der_operating_grid.parquet").exists()


def test_tables_are_those_of_the_published_schemas(folder: Folder) -> None:
    """Row 79, 90: `derms_output.json` is made from the tables, and what the verb writes is valid by it."""
    published = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "derms_output.json").read_text())
    made = json.loads(json.dumps(output_schema("Tables of `distgrid derms`", DERMS_TABLES)))
    assert published["properties"]["derms envelope"] == made["properties"]["derms envelope"]
    folder.assets(FEW)
    call = [*NOMINAL, "--directions", "4", "--operating", "asset-capacity", "--no-plot"]
    call.remove("--no-thermal")
    assert folder.envelope(*call)[0] == 0
    rows = {path.stem: pq.read_table(path).to_pylist() for path in folder.out.glob("*.parquet")}
    assert set(rows) == set(SCHEMAS)
    for name, table in rows.items():
        check_table(folder.table(name), SCHEMAS[name], name)
        assert table
    jsonschema.Draft202012Validator(published).validate({"derms envelope": json.loads(json.dumps(rows))})


def test_a_group_that_cannot_keep_the_limits_is_told(folder: Folder) -> None:
    """Exit 3, with by how much, and no vertex is made up."""
    folder.assets(FEW)
    code, _, err = folder.envelope("--nominal", "--band", "[0.99,1.05]", "--directions", "4", "--no-plot")
    assert code == 3
    assert "no setpoints of case33bw keep the limits, which must give way by 0.0" in err
    assert folder.table().num_rows == 0
    assert folder.rows()[0]["status"] == "infeasible"


BAD = [
    (["--group-by", "street"], "group 'street'"),
    (["--directions", "3"], "--directions is 3: expected 4 or more"),
    (["--hold-h", "0.5"], "--hold-h is 0.5: expected at least the 1 h of a step"),
    (["--nominal", "--day", "200"], "--nominal is one step"),
    (["--steps", "24"], "--steps has 24: expected 0 to 23"),
    (["--base", "lazy"], "base schedule 'lazy'"),
    (["--operating", "perfect"], "operating envelope 'perfect'"),
    (["--allocation", "fair"], "allocation 'fair'"),
    (["--band", "[1.1,0.9]"], "--voltage-band is"),
    (["--schedule", "nowhere.csv"], "cannot read nowhere.csv"),
    (["--group-by", "aggregator", "--assets", "ASSETS"], "no asset says its aggregator"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_wrong_input_is_named(folder: Folder, arguments: list[str], said: str) -> None:
    """Exit 2 and one message."""
    alone = folder.path / "alone.csv"
    alone.write_text("asset_id,bus_id,phase,asset_type,p_min_mw,p_max_mw\npv,14,ABC,pv,0,0.6\n")
    code, _, err = folder.envelope(*(str(alone) if word == "ASSETS" else word for word in arguments))
    assert code == 2
    assert said in err


@pytest.mark.parametrize(("row", "said"), [
    ("nobody,3,0.1", "plan.csv:2: asset_id = nobody: expected an asset of the tables"),
    ("bat,99,0.1", "plan.csv:2: step = 99: expected a whole number from 0 to 23"),
    ("bat,3,much", "plan.csv:2: p_mw = much: expected a finite number"),
])  # fmt: skip
def test_a_row_of_a_schedule_that_cannot_be_is_named(folder: Folder, row: str, said: str) -> None:
    """File, line, field and expectation."""
    folder.assets(FEW)
    (folder.path / "plan.csv").write_text(f"asset_id,step,p_mw\n{row}\n")
    code, _, err = folder.envelope("--schedule", str(folder.path / "plan.csv"))
    assert code == 2
    assert said in err


def test_killed_and_done_again_ends_with_the_same_bytes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 77: regions that are finished are kept."""
    folder.assets(FEW)
    call = [*NOMINAL, "--group-by", "asset", "--directions", "4", "--operating", "asset-critical-voltage",
            "--most-export-kw", "500"]  # fmt: skip
    call.remove("--no-thermal")
    assert folder.envelope(*call, out="whole")[0] == 0
    whole = folder.hashes()
    honest, done = EnvelopeJob.do_chunk, list[int]()

    def dies(self: EnvelopeJob, context: Any, chunk: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(chunk.index)
        return honest(self, context, chunk)

    monkeypatch.setattr(EnvelopeJob, "do_chunk", dies)
    words = ["derms", "envelope", "case33bw", "--assets", str(folder.path / "der_assets.csv"), *call]
    killed = folder.path / "killed"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main([*words, "--out", str(killed)])
    monkeypatch.setattr(EnvelopeJob, "do_chunk", honest)
    assert not (killed / "der_envelopes.parquet").exists()
    with pytest.raises(SystemExit) as left:
        main([*words, "--out", str(killed)])
    assert not left.value.code
    folder.out = killed
    assert folder.hashes() == whole
    assert set(whole) >= {f"{name}.parquet" for name in SCHEMAS}


@pytest.mark.slow
def test_two_processes_write_what_one_writes(folder: Folder) -> None:
    """Row 78: the same bytes."""
    folder.assets(FEW)
    call = [*NOMINAL, "--group-by", "asset", "--directions", "8"]
    assert folder.envelope(*call, out="one")[0] == 0
    whole = folder.hashes()
    assert folder.envelope(*call, "--engine", "processes", out="two")[0] == 0
    assert folder.hashes() == whole
