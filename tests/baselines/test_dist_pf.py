"""`distgrid dist pf`: the tables, the verdict, and what the user reads when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.workflows.dist import pf as dist_pf
from distgrid.baselines.workflows.dist.pf import power_flow
from distgrid.baselines.workflows.dist.pf_result import PowerFlow
from distgrid.cli import main

TABLES = ("buses", "branches", "losses", "violations")


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `distgrid dist pf ...`."""
    with pytest.raises(SystemExit) as left:
        main(["dist", "pf", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def heavier(name: str, scale: float) -> cases.Feeder:
    feeder = cases.load(name)
    p, q = (scale * feeder.column("nodes", c) for c in ("load_p_mw", "load_q_mvar"))
    return feeder.with_loads(p_mw=p, q_mvar=q)


def column(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].to_numpy())


@pytest.mark.parametrize("name", ["case33bw", "case118zh", "case141", "case533mt_hi"])
def test_tables_hold_the_solution(name: str) -> None:
    """Capability 11, 12, 13: voltages, both ends' flows, currents; losses are sources less loads."""
    flow = power_flow(name)
    net = physics.compile(cases.load(name))
    sol = physics.solve(net)
    assert column(flow.buses, "node_id").tolist() == net.feeder.column("nodes", "node_id").tolist()
    assert column(flow.branches, "branch_id").tolist() == net.feeder.column("branches", "branch_id").tolist()
    for table, key, expected in (
        (flow.buses, "v_pu", sol.v_pu), (flow.buses, "v_deg", sol.v_deg),
        (flow.buses, "v_kv", sol.v_pu * net.base_kv), (flow.buses, "p_load_mw", net.load_p_mw),
        (flow.branches, "p_from_mw", sol.p_from_mw), (flow.branches, "q_to_mvar", sol.q_to_mvar),
        (flow.branches, "loading_pct", 100 * sol.loading),
    ):  # fmt: skip
        np.testing.assert_array_equal(column(table, key), expected)
    ends = [column(flow.branches, f"i_{end}_ka") for end in ("from", "to")]
    np.testing.assert_allclose(np.maximum(*ends), sol.i_ka, rtol=1e-12)
    total = flow.losses.to_pylist()[-1]
    assert total["scope"] == "total"
    missing = total["p_source_mw"] - total["p_load_mw"] - total["p_shunt_mw"] - total["p_loss_mw"]
    assert missing == pytest.approx(0.0, abs=1e-9)
    missing = total["q_source_mvar"] - total["q_load_mvar"] - total["q_shunt_mvar"] - total["q_loss_mvar"]
    assert missing == pytest.approx(0.0, abs=1e-9)
    assert total["p_loss_mw"] == column(flow.branches, "p_loss_mw").sum()
    assert total["v_lowest_pu"] == sol.v_pu.min()
    assert flow.usable


def test_every_number_has_its_unit() -> None:
    """Every number column names its unit and carries it in the schema."""
    suffixes = {
        "pu": "pu", "deg": "degree", "kv": "kV line to line", "mw": "MW", "mvar": "Mvar", "ka": "kA",
        "mva": "MVA", "pct": "%", "load": "%",
    }  # fmt: skip
    flow = power_flow("case33bw")
    for name in ("buses", "branches", "losses"):
        for field in getattr(flow, name).schema:
            if field.type == pa.float64():
                assert field.metadata[b"unit"].decode() == suffixes[field.name.rsplit("_", 1)[-1]]


def expected_violations(flow: PowerFlow) -> set[tuple[str, str]]:
    """By reading the bus and branch tables again."""
    found = set()
    sources = flow.feeder.column("sources", "node_id").tolist()  # given, not a result
    for row in flow.buses.to_pylist():
        if not row["energised"]:
            found.add(("not_supplied", row["node_id"]))
        elif row["node_id"] in sources:
            continue
        elif row["v_pu"] > row["v_max_pu"]:
            found.add(("overvoltage", row["node_id"]))
        elif row["v_pu"] < row["v_min_pu"]:
            found.add(("undervoltage", row["node_id"]))
    for row in flow.branches.to_pylist():
        if row["loading_pct"] is not None and row["loading_pct"] > 100.0:
            found.add(("overload", row["branch_id"]))
    return found


@pytest.mark.parametrize(
    ("name", "scale", "v"),
    [("case33bw", 1.0, 1.0), ("case33bw", 1.6, 1.0), ("case33bw", 0.1, 1.12), ("case118zh", 1.0, 1.0)],
)
def test_violations_are_all_that_is_out_of_band(name: str, scale: float, v: float) -> None:
    """Capability 14: empty if and only if every voltage and every loading is inside its limit."""
    flow = power_flow(heavier(name, scale).with_source(v_pu=v))
    rows = flow.violations.to_pylist()
    assert {(row["kind"], row["element"]) for row in rows} == expected_violations(flow)
    assert len(rows) == len({(row["kind"], row["element"]) for row in rows})
    assert bool(rows) == ((name, scale, v) != ("case33bw", 1.0, 1.0))
    for row in rows:
        assert row["magnitude"] == pytest.approx(abs(row["value"] - row["limit"]), rel=1e-12)
        assert row["magnitude"] > 0
        assert row["unit"] == ("MVA" if row["kind"] == "overload" else "pu")


def test_overload_and_both_kinds_of_voltage_occur() -> None:
    """Capability 14: the table above is tested on all kinds."""
    flow = power_flow(heavier("case33bw", 1.6))
    kinds = set(flow.violations["kind"].to_pylist())
    assert kinds == {"undervoltage", "overload"}
    assert set(power_flow(cases.load("case33bw").with_source(v_pu=1.12)).violations["kind"].to_pylist()) == {
        "overvoltage"
    }


def test_dead_nodes_are_named() -> None:
    """Capability 9: nulls, not zeros, where there is no voltage; what is not supplied is a violation."""
    flow = power_flow(cases.load("case33bw").with_switch("2-19", closed=False))
    dead = [row["node_id"] for row in flow.buses.to_pylist() if row["v_pu"] is None]
    assert dead == ["19", "20", "21", "22"]
    rows = flow.violations.to_pylist()
    assert [(row["kind"], row["element"]) for row in rows] == [("not_supplied", node) for node in dead]
    assert "4 nodes have no source" in flow.notes[0]
    assert flow.losses["p_load_mw"][-1].as_py() == pytest.approx(3.715 - 0.36)


def meshed() -> cases.Feeder:
    return cases.load("case33bw").with_switch("s25-29", closed=True)


def test_loops_are_kept_pruned_or_refused() -> None:
    """Capability 19, 97: the three answers to a closed tie."""
    keep, prune = (power_flow(meshed(), loops=loops) for loops in ("keep", "prune"))
    assert keep.notes == ()
    assert "without '27-28'" in prune.notes[0]
    at = meshed().branch_index["27-28"]
    assert keep.branches["p_from_mw"][at].as_py() != 0
    assert prune.branches["p_from_mw"][at].as_py() == 0
    for flow, carries in ((keep, True), (prune, False)):
        row = flow.branches.slice(at, 1).to_pylist()[0]
        assert (row["closed"], row["carries_current"], row["closes_loop"]) == (True, carries, True)
    assert keep.losses["p_loss_mw"][-1].as_py() < prune.losses["p_loss_mw"][-1].as_py()
    with pytest.raises(RunError, match=r"is meshed.*27-28"):
        power_flow(meshed(), loops="refuse")
    assert power_flow("case33bw", loops="refuse").usable


@pytest.mark.parametrize("method", dist_pf.METHODS)
def test_methods_agree(method: str) -> None:
    """Capability 15, 16, 17, Trap 26: what --method says is what runs, and the answers are one."""
    flow = power_flow(meshed(), method=method)
    assert flow.usable
    assert flow.verdict.startswith(f"{method}: converged in ")
    reference = power_flow(meshed(), tol=1e-12)
    np.testing.assert_allclose(column(flow.buses, "v_pu"), column(reference.buses, "v_pu"), rtol=0, atol=1e-8)
    counts = {m: int(power_flow(meshed(), method=m).solution.iterations) for m in dist_pf.METHODS}
    assert len(set(counts.values())) == 3


def test_the_command_writes_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, run.json, table, verdict; the same command again gives the same bytes."""
    out = tmp_path / "out"
    code, shown, err = command(["case118zh", "--out", str(out)], capsys)
    assert (code, err) == (0, "")
    for text in ("Losses", "1,298.092", "0.86880", "8 undervoltage", "converged in"):
        assert text in shown
    run = json.loads((out / "run.json").read_text())
    files = {*(f"{name}.parquet" for name in TABLES), "pf.png"}
    assert {path.name for path in out.iterdir()} == {*files, "run.json"}
    assert run["status"] == "done"
    assert run["command"][:4] == ["distgrid", "dist", "pf", "case118zh"]
    assert run["results"]["converged"] is True
    assert run["results"]["violations"] == 8 == pq.read_table(out / "violations.parquet").num_rows
    assert {record["path"] for record in run["outputs"]} == files
    assert len(run["inputs"][0]["sha256"]) == 64
    assert pq.read_table(out / "buses.parquet").equals(power_flow("case118zh").buses)
    before = {p.name: p.read_bytes() for p in out.glob("*.parquet")}
    assert command(["case118zh", "--out", str(out)], capsys)[0] == 0
    assert before == {p.name: p.read_bytes() for p in out.glob("*.parquet")}
    Manifest.model_validate_json((out / "run.json").read_text())


def test_files_and_folders_are_feeders_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Capability 1: a folder of tables that was saved; both give the same losses."""
    saved = heavier("case69", 1.0).save(tmp_path / "saved")
    code, shown, _ = command([str(saved), "--out", str(tmp_path / "out")], capsys)
    assert code == 0
    assert "224." in shown


def test_failure_is_said_in_words_and_by_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap 8: 3 and a sentence on stderr; the tables say that they are no solution."""
    out = tmp_path / "out"
    code, shown, err = command(["case33bw", "--out", str(out), "--max-iter", "2"], capsys)
    assert code == 3
    assert "did NOT converge in 2 iterations" in err
    assert "NOT A SOLUTION" in shown
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "failed"
    assert "did NOT converge" in run["error"]
    rows = pq.read_table(out / "violations.parquet").to_pylist()
    assert [(row["kind"], row["element"]) for row in rows] == [("failed_power_flow", "case33bw")]


def test_weak_convergence_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trap 4, 8: true numbers below 0.5 pu, just short of the nose: 3 as well, with another sentence."""
    saved = heavier("case33bw", 3.6).save(tmp_path / "heavy")
    flow = power_flow(saved)
    assert flow.solution.converged
    assert not flow.usable
    code, _, err = command([str(saved), "--out", str(tmp_path / "out")], capsys)
    assert code == 3
    assert "edge of collapse" in err
    assert pq.read_table(tmp_path / "out" / "violations.parquet").num_rows > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["case33bx"], "did you mean case33bw"),
        (["missing.m"], "missing.m"),
        (["case33bw", "--method", "newtn"], "did you mean 'newton'"),
        (["case33bw", "--loops", "kep"], "did you mean 'keep'"),
        (["case33bw", "--tol", "0"], "tol must be finite and above 0"),
        (["case33bw", "--tol", "nan"], "tol must be finite and above 0"),
        (["case33bw", "--max-iter", "0"], "max_iter at least 1"),
    ],
)
def test_bad_input(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one plain sentence, no traceback, no folder."""
    code, out, err = command([*arguments, "--out", str(tmp_path / "out")], capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_folders_that_hold_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trap 26: nobody's files are overwritten, another run only with --fresh."""
    out = tmp_path / "out"
    assert command(["case33bw", "--out", str(out)], capsys)[0] == 0
    kept = (out / "buses.parquet").read_bytes()
    code, _, err = command(["case69", "--out", str(out)], capsys)
    assert code == 2
    assert "holds another run" in err
    assert "--fresh" in err
    assert (out / "buses.parquet").read_bytes() == kept
    assert command(["case69", "--out", str(out), "--fresh"], capsys)[0] == 0
    assert pq.read_table(out / "buses.parquet").num_rows == 69
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    for path in (foreign, foreign / "notes.txt", foreign / "notes.txt" / "below"):
        assert command(["case33bw", "--out", str(path), "--fresh"], capsys)[0] == 2
    (foreign / "run.json").write_text('{"schema_version": "distgrid.run/1"}')
    code, _, err = command(["case33bw", "--out", str(foreign), "--fresh"], capsys)
    assert code == 2
    assert "belongs to something else" in err
    assert sorted(p.name for p in foreign.iterdir()) == ["notes.txt", "run.json"]


@pytest.mark.slow
def test_as_a_process(tmp_path: Path) -> None:
    """The command line as users run it: exit status 3 reaches the shell."""
    done = subprocess.run(
        [sys.executable, "-m", "distgrid", "dist", "pf", "case33bw", "--out", "out", "--max-iter", "2"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "did NOT converge" in done.stderr
