"""`distgrid dist hostcap` and `dist connect`: tables, pictures, resume, exit status, wrong input."""

from __future__ import annotations

import hashlib
import re
import shlex
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases
from distgrid.baselines.hosting.limits import KINDS
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.workflows.dist.hostcap_job import HostCapConfig, HostCapJob
from distgrid.baselines.workflows.dist.hosting_tables import CURVE, DETAIL, SUMMARY
from distgrid.cli import main

CALL = ["case33bw", "--type", "solar", "--voltage-band", "[0.90,1.05]", "--thermal-margin", "0.1",
        "--voltage-deviation", "0.03"]  # fmt: skip
FILES = ("hostcap_summary.parquet", "hostcap_detail.parquet", "hostcap_curve.parquet", "hostcap.png",
         "hostcap_profile.png")  # fmt: skip


def command(verb: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `distgrid dist ...`."""
    with pytest.raises(SystemExit) as left:
        main(["dist", verb, *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / f"hostcap_{name}.parquet").to_pylist()
    return found


def test_the_call_of_the_issue_writes_tables_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Capability 34, 36, 38, 127: summary, detail, curve, map and voltage profile; the alias does it too."""
    code, shown, _ = command("hostcap", [*CALL, "--out", str(tmp_path / "a")], capsys)
    assert code == 0
    assert "32 candidates: least 0.3925 MW at 18" in shown
    summary, detail = rows(tmp_path / "a", "summary"), rows(tmp_path / "a", "detail")
    for name, schema in (("summary", SUMMARY), ("detail", DETAIL), ("curve", CURVE)):
        table = pq.read_table(tmp_path / "a" / f"hostcap_{name}.parquet")
        assert table.schema.equals(schema)
        assert all(field.metadata[b"unit"] for field in table.schema if field.type == pa.float64()
                   and field.name != "share_hosting")  # fmt: skip
    assert [row["node_id"] for row in summary] == [str(n) for n in range(2, 34)]
    assert {row["limiting_constraint"] for row in summary} == {"deviation", "thermal"}
    for row in summary:
        mine = [line for line in detail if line["node_id"] == row["node_id"]]
        assert {line["constraint"] for line in mine} == {
            "overvoltage",
            "undervoltage",
            "deviation",
            "thermal",
        }
        assert min(line["headroom"] for line in mine) >= 0.0
        (binding,) = (line for line in mine if line["binding"])
        assert binding["constraint"] == row["limiting_constraint"]
        assert binding["element"] == row["limiting_element"]
        assert binding["headroom"] < 1e-3
        assert row["loading_highest_pct"] <= 90.0
        assert 0.0 < row["first_violation_mw"] - row["max_mw"] <= 1e-4 + 1e-12
    curve = rows(tmp_path / "a", "curve")
    hosting = [row["n_hosting"] for row in curve]
    assert hosting == sorted(hosting, reverse=True)
    assert hosting[0] == 32
    for row in curve:
        assert row["n_limited"] == sum(row[f"n_{kind}"] for kind in KINDS) == 32 - row["n_hosting"]
    for name in FILES[3:]:
        head = (tmp_path / "a" / name).read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", head[16:24])) > 300
    run = Manifest.model_validate_json((tmp_path / "a" / "run.json").read_text())
    assert run.status == "done"
    assert {record.path for record in run.outputs} == set(FILES)
    assert command("hosting", [*CALL, "--out", str(tmp_path / "b")], capsys)[0] == 0
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_without_ratings_buses_near_the_head_take_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap 27: ratings are kept unless they are left out."""
    for name, options in (("with", []), ("without", ["--no-thermal"])):
        assert (
            command("hostcap", [*CALL, *options, "--buses", "2,18", "--out", str(tmp_path / name)], capsys)[0]
            == 0
        )
    kept, left = (rows(tmp_path / name, "summary") for name in ("with", "without"))
    assert left[0]["max_mw"] > 1.5 * kept[0]["max_mw"]
    assert left[1]["max_mw"] == pytest.approx(kept[1]["max_mw"], abs=2e-4)
    assert {row["constraint"] for row in rows(tmp_path / "without", "detail")} == {
        "overvoltage", "undervoltage", "deviation"
    }  # fmt: skip


@pytest.mark.slow
def test_killed_and_done_again_ends_with_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capability 77, 78: what is finished is kept, and neither the cut nor a second process moves a byte."""
    call = ["case141", "--draws", "150", "--sites-per-draw", "4", "--seed", "7"]
    assert command("hostcap", [*call, "--out", str(tmp_path / "whole")], capsys)[0] == 0
    honest, done = HostCapJob.do_chunk, list[int]()

    def dies(self: HostCapJob, context: Any, chunk: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(chunk.index)
        return honest(self, context, chunk)

    monkeypatch.setattr(HostCapJob, "do_chunk", dies)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["dist", "hostcap", *call, "--out", str(tmp_path / "killed")])
    monkeypatch.setattr(HostCapJob, "do_chunk", honest)
    assert not (tmp_path / "killed" / FILES[0]).exists()
    code, shown, _ = command("hostcap", [*call, "--out", str(tmp_path / "killed")], capsys)
    assert code == 0
    assert "Resumed: 1 finished chunks were kept" in shown
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")


@pytest.mark.slow
def test_together_and_divided_as_is_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A total for a set: the best division takes no less than equal parts, and no less than one bus alone."""
    found = {}
    for way in ("equal", "load", "best"):
        out = tmp_path / way
        options = ["--together", way, "--buses", "6,12,18,25,30", "--no-thermal", "--out", str(out)]
        assert command("hostcap", [*CALL, *options], capsys)[0] == 0
        (row,) = rows(out, "summary")
        found[way] = row["max_mw"]
        parts = [line["value"] for line in rows(out, "detail") if line["scope"] == "site"]
        assert sum(parts) == pytest.approx(row["max_mw"])
    assert found["best"] > found["equal"]
    assert found["best"] > found["load"]
    single = HostCapJob(
        HostCapConfig(feeder="case33bw", voltage_band=(0.9, 1.05), thermal=False, buses=("6",))
    )
    assert found["best"] >= single.prepare().capacities(slice(0, 1)).max_mw[0] - 1e-3


def test_days_fleets_and_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Capability 37: steps of a day with what is connected; phases of IEEE 13; files are left as they are."""
    ders = tmp_path / "ders.csv"
    ders.write_text("asset_id,bus_id,p_mw,p_min_mw,p_max_mw\npv,18,0.1,,\nbattery,17,,-0.1,0.1\n")
    before = ders.read_bytes()
    days = [str(d) for d in cases.profiles.split_days("test")[:1]]
    options = ["--split", "test", "--days", days[0], "--ders", str(ders), "--buses", "18"]
    assert command("hostcap", [*CALL, *options, "--out", str(tmp_path / "days")], capsys)[0] == 0
    assert ders.read_bytes() == before
    (row,) = rows(tmp_path / "days", "summary")
    steps = [line for line in rows(tmp_path / "days", "detail") if line["scope"] == "step"]
    assert len(steps) == 96
    assert row["max_mw"] == min(line["max_mw"] for line in steps if line["max_mw"] is not None)
    assert row["step"] in [line["step"] for line in steps if line["binding"]]
    code, _, _ = command(
        "hostcap",
        ["ieee13", "--phases", "each", "--buses", "671,652", "--out", str(tmp_path / "phases")],
        capsys,
    )
    assert code == 0
    assert [(r["node_id"], r["phase"]) for r in rows(tmp_path / "phases", "summary")] == [
        ("671", "A"), ("671", "B"), ("671", "C"), ("652", "A")
    ]  # fmt: skip


def test_connect_says_yes_no_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Capability 39: can I connect this? With the reason and the largest size that fits."""
    options = ["case33bw", "--bus", "18", "--type", "solar"]
    code, shown, _ = command("connect", [*options, "--mw", "0.39", "--out", str(tmp_path / "yes")], capsys)
    assert code == 0
    assert "Yes: 0.39 MW fits at bus 18; largest 0.3925 MW, limited by deviation at 18." in shown
    code, _, told = command("connect", [*options, "--mw", "0.395", "--out", str(tmp_path / "no")], capsys)
    assert code == 3
    assert "No: 0.395 MW is too much at bus 18: deviation at 18" in told
    (row,) = pq.read_table(tmp_path / "no" / "connect.parquet").to_pylist()
    assert row["value"] > row["limit"] == 0.03
    charger = ["case33bw", "--bus", "18", "--type", "ev", "--mw", "0.5", "--voltage-band", "[0.9,1.05]"]
    code, _, told = command("connect", [*charger, "--out", str(tmp_path / "ev")], capsys)
    assert code == 3
    assert "undervoltage at 18" in told


def test_wrong_input_is_refused_in_plain_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ders = tmp_path / "ders.csv"
    for text, message in (
        ("asset_id,bus_id,p_mw\na,77,1\n", "ders.csv:2: bus_id = 77"),
        ("asset_id,bus_id,p_mw\na,5,nan\n", "ders.csv:2: p_mw = nan: expected a finite number"),
        ("asset_id,bus_id,p_mv\na,5,1\n", "column = p_mv"),
        ("asset_id,bus_id,p_mw\na,5,\n", "p_mw, or both p_min_mw and p_max_mw"),
    ):
        ders.write_text(text)
        code, _, told = command(
            "hostcap", ["case33bw", "--ders", str(ders), "--out", str(tmp_path / "none")], capsys
        )
        assert code == 2
        assert message in told.replace("\n", "")
    for verb, arguments, message in (
        ("hostcap", ["case33bw", "--voltage-band", "[1.05,0.9]"], "lower one first"),
        ("hostcap", ["case33bw", "--voltage-band", "0.95"], "two numbers"),
        ("hostcap", ["case33bw", "--type", "solr"], "solar"),
        ("hostcap", ["case33bw", "--buses", "18,99"], "unknown bus '99'"),
        ("hostcap", ["case33bw", "--profile-bus", "99"], "99"),
        ("hostcap", ["case33bw", "--together", "bst"], "best"),
        ("hostcap", ["case33bw", "--draws", "3", "--together", "best"], "choose one"),
        ("hostcap", ["case33bw", "--vuf-max-pct", "2"], "balanced"),
        ("hostcap", ["case33bw", "--days", "3"], "without the split"),
        ("hostcap", ["case33bw", "--split", "tset"], "test"),
        (
            "hostcap",
            ["case33bw", "--no-thermal", "--no-deviation", "--voltage-band", "none"],
            "nothing is limited",
        ),
        ("hostcap", ["case33bw", "--ders", str(tmp_path / "no.csv")], "cannot read"),
        ("connect", ["case33bw", "--bus", "99", "--mw", "1"], "unknown bus"),
        ("connect", ["case33bw", "--bus", "18", "--mw", "-1"], "above 0"),
        ("connect", ["case33bw", "--bus", "18", "--mw", "nan"], "--mw"),
        ("connect", ["ieee13", "--bus", "671", "--mw", "1", "--phases", "each"], "which phases"),
        ("connect", ["ieee13", "--bus", "652", "--mw", "1", "--phases", "B"], "has the phases A"),
    ):
        code, _, told = command(verb, [*arguments, "--out", str(tmp_path / "none")], capsys)
        assert code == 2, (verb, arguments)
        assert message in told, told
    assert not (tmp_path / "none").exists()


def test_the_next_per_cent_violates(tmp_path: Path) -> None:
    """Capability 31: one per cent more than the summary says passes a limit, at every bus."""
    from distgrid import physics

    job = HostCapJob(HostCapConfig(feeder="case33bw", voltage_band=(0.9, 1.05), thermal_margin=0.1))
    found = job.prepare().capacities(slice(0, 32))
    net = physics.compile(cases.load("case33bw"))
    p = np.zeros((64, 33))
    at = [net.feeder.node_index[bus] for bus in found.sites.name]
    p[np.arange(32), at], p[np.arange(32, 64), at] = found.max_mw, 1.01 * found.max_mw
    sol, base = physics.solve(net, p_inject_mw=p, q_inject_mvar=0 * p), physics.solve(net).v_pu
    kept = np.asarray(
        (sol.v_pu <= 1.05).all(axis=1) & (sol.v_pu >= 0.9).all(axis=1) & (sol.loading <= 0.9).all(axis=1)
        & (np.abs(sol.v_pu - base) <= 0.03).all(axis=1)
    )  # fmt: skip
    assert kept[:32].all()
    assert not kept[32:].any()


@pytest.mark.slow
def test_the_guide_shows_what_commands_print(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capability 81: each block of output in the guide is that of the command above it."""
    pytest.importorskip("clarabel", reason="the extra `optimal` brings it")
    page = (Path(__file__).parents[2] / "docs" / "guide" / "dist.md").read_text()
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"```bash\ndistgrid dist ([^\n]+)\n```\n\n```text\n(.*?)```", page, re.DOTALL)
    for name, content in re.findall(r"`([\w.]+\.csv)`:\n\n```csv\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(content)
    assert len(shown) >= 5
    for call, block in shown:
        verb, *arguments = shlex.split(call)
        code, printed, _ = command(verb, arguments, capsys)
        assert code == 0
        lines = [line.strip() for line in printed.splitlines()]
        for line in block.splitlines():
            assert line.strip() in {*lines, "..."}, line
