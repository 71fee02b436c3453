"""`distgrid dist controls`: tables, verdict, exit status."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases
from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs.feeder_content import feeder_sha256
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.workflows.dist.controls import settle
from distgrid.cli import main


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `distgrid dist controls ...`."""
    with pytest.raises(SystemExit) as left:
        main(["dist", "controls", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def test_folder_holds_taps_banks_and_actions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Capability 8: IEEE 13 ends at 9, 6, 9, every relay inside its band; the log leads there."""
    out = tmp_path / "run"
    code, shown, _ = command(["ieee13", "--start", "neutral", "--out", str(out)], capsys)
    assert code == 0
    assert "settled: 3 power flows, 6 control actions" in shown
    assert shown.count("+9") == 2
    taps, actions = (pq.read_table(out / f"{name}.parquet") for name in ("taps", "actions"))
    assert taps["tap_pos"].to_pylist() == [9, 6, 9]
    assert taps["in_band"].to_pylist() == [True] * 3
    for row in taps.to_pylist():
        assert sum(a["change"] for a in actions.to_pylist() if a["device"] == row["reg_id"]) == row["tap_pos"]
    for field in (*taps.schema, *actions.schema):
        if field.type == pa.float64():
            assert field.metadata[b"unit"]
    run = Manifest.model_validate_json((out / "run.json").read_text())
    assert run.status == "done"
    assert run.results["settled"] is True
    assert {record.path for record in run.outputs} == {
        "taps.parquet", "banks.parquet", "actions.parquet", "controls.png",
    }  # fmt: skip


def test_stored_taps_of_shipped_feeders_rest() -> None:
    for name in ("ieee13", "ieee34", "ieee37", "ieee123"):
        result = settle(name)
        assert result.run.settled
        assert result.actions.num_rows == 0
        assert result.taps["tap_pos"].to_pylist() == result.taps["tap_start"].to_pylist()


def test_given_up_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["ieee34", "--start", "neutral", "--max-control-iter", "3", "--out", str(out)]
    code, shown, told = command(arguments, capsys)
    assert code == 3
    assert "NOT AT REST" in shown
    assert "NOT settled: 3 power flows" in told
    assert Manifest.model_validate_json((out / "run.json").read_text()).status == "failed"


def test_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["ieee13", "--start", "neutrl"], "neutral"),
        (["case33bw"], "is balanced"),
        (["ieee13", "--max-control-iter", "0"], "max_control_iterations must be at least 1"),
    ):
        code, _, told = command([*arguments, "--out", str(tmp_path / "none")], capsys)
        assert code == 2
        assert message in told
    with pytest.raises(RunError, match="per-phase feeder"):
        settle(cases.load("case69"))
    assert not (tmp_path / "none").exists()


def test_settings_of_bank_controls_are_inputs() -> None:
    """Trap 26: a folder made with other settings is another run."""
    feeder = cases.load("ieee13")
    setting: dict[str, list[object]] = {
        "control_id": ["c"], "cap_id": ["cap1"], "type": ["voltage"], "on_setting": [118.0],
        "off_setting": [124.0], "delay_on_s": [15.0], "delay_off_s": [15.0], "dead_time_s": [300.0],
        "pt_ratio": [20.0], "ct_ratio": [1.0], "branch_id": ["650632"], "end": ["to"],
        "monitored_phase": ["A"], "v_override": [False], "feeder_id": ["ieee13"],
    }  # fmt: skip
    hashes = {feeder_sha256(feeder)}
    for on_v in (118.0, 119.0):
        table = cases.table("cap_controls", setting | {"on_setting": [on_v]})
        hashes.add(feeder_sha256(dataclasses.replace(feeder, cap_controls=table)))
    assert len(hashes) == 3
