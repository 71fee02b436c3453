"""`distgrid dist sensitivities`: tables, picture, exit status."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.jobs.feeder_content import feeder_sha256
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.workflows.dist.sensitivity import feeder_sensitivities
from distgrid.cli import main

TABLES = ("sensitivities_buses", "sensitivities_voltages", "sensitivities_currents")


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `distgrid dist sensitivities ...`."""
    with pytest.raises(SystemExit) as left:
        main(["dist", "sensitivities", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def test_folder_holds_tables_picture_and_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Capability 40: dLoss/dP, dV/dP, dV/dQ per bus are finite differences of the power flow."""
    out = tmp_path / "run"
    code, shown, _ = command(["case33bw", "--out", str(out)], capsys)
    assert code == 0
    assert "where a further MW costs most" in shown
    buses, voltages, currents = (pq.read_table(out / f"{name}.parquet") for name in TABLES)
    assert (buses.num_rows, voltages.num_rows, currents.num_rows) == (33, 33 * 33, 37 * 33)
    for field in (*buses.schema, *voltages.schema, *currents.schema):
        if field.type == pa.float64():
            assert field.metadata[b"unit"]
    net = physics.compile(cases.load("case33bw"))
    inject = np.zeros(33)
    inject[17] = 1e-4
    up, down = (physics.solve(net, p_inject_mw=s * inject, tol=1e-12) for s in (1, -1))
    row = buses.to_pylist()[17]
    assert row["node_id"] == "18"
    assert row["dv_dp_pu_per_mw"] == pytest.approx((up.v_pu[17] - down.v_pu[17]) / 2e-4, rel=1e-6)
    assert row["dloss_dp_mw_per_mw"] == pytest.approx((up.p_loss_mw - down.p_loss_mw) / 2e-4, rel=1e-6)
    assert row["marginal_losses_per_mwh"] == pytest.approx(-50.0 * row["dloss_dp_mw_per_mw"], rel=1e-6)
    (own,) = [v for v in voltages.to_pylist() if v["node_id"] == "18" and v["at_node"] == "18"]
    assert own["dv_dp_pu_per_mw"] == row["dv_dp_pu_per_mw"]
    assert (out / "sensitivities.png").read_bytes()[:4] == b"\x89PNG"
    run = Manifest.model_validate_json((out / "run.json").read_text())
    assert run.status == "done"
    assert run.results["dearest_node"] == "18"
    assert {record.path for record in run.outputs} == {*(f"{t}.parquet" for t in TABLES), "sensitivities.png"}


def test_run_again_it_ends_with_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice into one folder does nothing the second time; into two folders gives equal files."""
    first, second = tmp_path / "a", tmp_path / "b"
    arguments = ["ieee13", "--buses", "671,675", "--branches", "632670"]
    before = feeder_sha256(cases.load("ieee13"))
    assert command([*arguments, "--out", str(first)], capsys)[0] == 0
    names = [*(f"{t}.parquet" for t in TABLES), "sensitivities.png", "run.json"]
    kept = {name: (first / name).read_bytes() for name in names}
    assert command([*arguments, "--out", str(first)], capsys)[0] == 0
    assert {name: (first / name).read_bytes() for name in names} == kept
    assert command([*arguments, "--out", str(second)], capsys)[0] == 0
    for name in names[:-1]:
        assert (second / name).read_bytes() == kept[name]
    assert feeder_sha256(cases.load("ieee13")) == before


def test_phases_are_rows_of_their_own() -> None:
    """Per phase: the phases that a bus has, and of voltages only the buses that were named."""
    found = feeder_sensitivities("ieee13", buses=["675", "611"])
    assert found.sensitivities_currents.num_rows == 0
    places = {(row["node_id"], row["phase"]) for row in found.sensitivities_voltages.to_pylist()}
    assert places == {("675", "A"), ("675", "B"), ("675", "C"), ("611", "C")}
    net = physics.compile_per_phase(cases.load("ieee13"))
    assert found.sensitivities_buses.num_rows == np.count_nonzero(net.present)
    told = [r["node_id"] for r in found.sensitivities_buses.to_pylist() if r["dv_dp_pu_per_mw"] is not None]
    assert sorted(set(told)) == ["611", "675"]


def test_large_feeders_tell_the_lowest_voltages() -> None:
    """Matrices of millions of rows are not what anybody reads: twenty buses, and a note."""
    found = feeder_sensitivities("european_lv")
    assert len(found.found.buses) == 20
    assert "name others by buses" in found.notes[0]
    assert found.sensitivities_buses.num_rows == 3 * 907


def test_a_meshed_feeder_has_sensitivities() -> None:
    """Row 40: all ties of 33bw closed; losses by injections are differences of the meshed power flow."""
    feeder = cases.load("case33bw")
    for tie in feeder.column("switches", "switch_id"):
        feeder = feeder.with_switch(str(tie), closed=True)
    found = feeder_sensitivities(feeder, price_per_mwh=40.0)
    net, h = physics.compile(feeder, keep_loops=True), 1e-3
    moved = np.concatenate([h * np.eye(33), -h * np.eye(33)])
    sol = physics.solve(net, p_inject_mw=moved, tol=1e-12)
    by_loss = (sol.p_loss_mw[:33] - sol.p_loss_mw[33:]) / (2 * h)
    by_voltage = (sol.v_pu[:33] - sol.v_pu[33:]).T / (2 * h)
    np.testing.assert_allclose(found.found.loss_by_p, by_loss, atol=1e-6)
    np.testing.assert_allclose(found.found.v_by_p, by_voltage, atol=1e-6)
    buses = found.sensitivities_buses.to_pydict()
    np.testing.assert_allclose(buses["marginal_total_per_mwh"], 40.0 * (1.0 - by_loss), atol=1e-4)


def test_a_meshed_feeder_per_phase_has_sensitivities() -> None:
    """Row 40: a tie of IEEE 123 closed; voltages by injections are differences of the meshed power flow."""
    feeder = cases.load("ieee123").with_switch("sw7", closed=True)
    found = feeder_sensitivities(feeder, buses=["83"])
    net, h = physics.compile_per_phase(feeder, keep_loops=True), 1e-3
    moved = np.zeros((2, net.n_bus, 3))
    moved[0, feeder.node_index["83"], 1], moved[1, feeder.node_index["83"], 1] = h, -h
    sol = physics.solve(net, p_inject_mw=moved, tol=1e-12)
    by_voltage = (sol.v_pu[0] - sol.v_pu[1]) / (2 * h)
    told = found.sensitivities_voltages.to_pylist()
    rows = [row for row in told if row["at_node"] == "83" and row["at_phase"] == "B"]
    assert len(rows) == 3
    for row in rows:
        place = feeder.node_index[row["node_id"]], "ABC".index(row["phase"])
        assert row["dv_dp_pu_per_mw"] == pytest.approx(by_voltage[place], abs=1e-6)


def test_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown buses and branches with the nearest name, unknown feeders, prices."""
    for arguments, message in (
        (["case33bw", "--buses", "188"], "there is no bus '188' in this feeder; did you mean '18'"),
        (["case33bw", "--branches", "x"], "there is no branch 'x'"),
        (["case33b"], "case33bw"),
        (["case33bw", "--price-per-mwh", "nan"], "the price must be a finite number"),
    ):
        code, _, told = command([*arguments, "--out", str(tmp_path / "none")], capsys)
        assert code == 2
        assert message in told
    feeder = cases.load("case33bw")
    heavy = feeder.with_loads(*(20.0 * feeder.column("nodes", c) for c in ("load_p_mw", "load_q_mvar")))
    with pytest.raises(ValueError, match="did not converge"):
        feeder_sensitivities(heavy)
