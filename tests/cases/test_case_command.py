"""`distgrid case`: list, show, import."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from distgrid import cases
from distgrid.baselines.cli.case import app

MATPOWER = Path(__file__).resolve().parents[1] / "reference" / "matpower"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A runner with a terminal wide enough to keep lines whole."""
    monkeypatch.setenv("COLUMNS", "250")
    return CliRunner()


def test_list_names_all_feeders(run: CliRunner) -> None:
    result = run.invoke(app, ["list"])
    assert result.exit_code == 0
    for name in cases.names():
        assert name in result.stdout
    assert "3.715" in result.stdout


def test_show(run: CliRunner) -> None:
    result = run.invoke(app, ["show", "case33bw"])
    assert result.exit_code == 0
    assert "3.7150 MW and 2.3000 Mvar" in result.stdout
    assert "37 (32 closed, 5 open), radial" in result.stdout
    assert "37 synthetic" in result.stdout


def test_show_names_loops_and_dead_islands(run: CliRunner, tmp_path: Path) -> None:
    """Capability 119: with branch ids and node ids."""
    feeder = cases.load("case33bw").with_switch("s9-15", closed=True).with_switch("2-19", closed=False)
    result = run.invoke(app, ["show", str(feeder.save(tmp_path / "f"))])
    assert result.exit_code == 0
    assert "branches 12-13, 13-14, 14-15, 9-15, 9-10, 10-11, 11-12" in result.stdout
    assert "nodes 19, 20, 21, 22" in result.stdout


def test_import_writes_a_feeder(run: CliRunner, tmp_path: Path) -> None:
    """Capability 1 and 4: the imported folder is a feeder, marked with its id."""
    out = tmp_path / "f"
    result = run.invoke(app, ["import", str(MATPOWER / "case141.m"), "-o", str(out), "--feeder-id", "F1"])
    assert result.exit_code == 0, result.output
    assert str(out) in result.stdout
    feeder = cases.load(out)
    assert feeder.n_nodes == 141
    assert set(feeder.column("branches", "feeder_id")) == {"F1"}


def test_import_of_an_opendss_script(run: CliRunner, tmp_path: Path) -> None:
    """A per-phase feeder from a script; files outside of its folder only where --root allows them."""
    (tmp_path / "codes.dss").write_text("new linecode.k r1=.3 x1=.6 r0=.7 x0=1.9 units=km\n")
    (tmp_path / "case").mkdir()
    script = tmp_path / "case" / "m.dss"
    script.write_text(
        "new circuit.tiny basekv=12.47\nredirect ../codes.dss\nnew line.a bus1=sourcebus bus2=b linecode=k\n"
        "new load.l bus1=b.2 phases=1 kv=7.2 kw=50 kvar=9\nset voltagebases=[12.47]\ncalcv\n"
    )
    command = ["import", str(script), "-o", str(tmp_path / "out")]
    refused = run.invoke(app, command)
    assert refused.exit_code == 2
    assert "m.dss:2" in refused.stderr
    assert "--root" in refused.stderr
    done = run.invoke(app, [*command, "--root", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "per-phase, 6 phases of nodes" in done.stdout
    assert cases.load(tmp_path / "out").column("loads", "phase").tolist() == ["B"]


@pytest.mark.parametrize("name", cases.names(phases="per-phase"))
def test_show_of_per_phase_feeders(name: str, run: CliRunner) -> None:
    result = run.invoke(app, ["show", name])
    assert result.exit_code == 0
    assert "per-phase" in result.stdout
    assert "radial" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "case33"], "did you mean case33bw"),
        (["import", "none.m", "-o", "x"], "a file or folder that exists"),
        (["import", "bad.m", "-o", "x"], "bad.m:2"),
        (["import", "good.m", "-o", "taken"], "keep.txt"),
        (["import", "good.m", "-o", "keep.m/x"], "keep.m"),
    ],
)
def test_mistakes_are_told_without_traceback(
    arguments: list[str], message: str, run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.m").write_text("function mpc = bad\nsystem('ls')\n")
    Path("good.m").write_bytes((MATPOWER / "case4_dist.m").read_bytes())
    Path("keep.m").write_text("")
    Path("taken").mkdir()
    Path("taken", "keep.txt").write_text("")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    result = run.invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
