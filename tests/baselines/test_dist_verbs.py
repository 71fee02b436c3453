"""What every verb of `distgrid dist` keeps: inputs, bytes, kills, pictures, help, one function behind it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from distgrid import cases, physics
from distgrid.baselines.cli.verbs import jobs
from distgrid.baselines.hosting.capacity import hosting_capacity
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.dispatch import optimal_dispatch
from distgrid.baselines.optimal.units import Unit
from distgrid.baselines.workflows.dist.connect_job import can_connect
from distgrid.baselines.workflows.dist.controls import settle
from distgrid.baselines.workflows.dist.featurize import feeder_graphs
from distgrid.baselines.workflows.dist.pf import power_flow
from distgrid.baselines.workflows.dist.sensitivity import feeder_sensitivities
from distgrid.cli import build_app, main

HELP = Path(__file__).parents[1] / "reference" / "dist_help.txt"
DERS = "asset_id,bus_id,p_mw,p_min_mw,p_max_mw\npv,18,0.1,,\nbattery,17,,-0.1,0.1\n"
#: Sample calls; FEEDER and REGULATED are folders of tables, DERS a CSV file.
CALLS = {
    "pf": ["FEEDER"],
    "controls": ["REGULATED", "--start", "neutral"],
    "sensitivities": ["FEEDER", "--buses", "6,18"],
    "opf": ["FEEDER", "--ders", "DERS", "--voltage-band", "[0.9,1.05]"],
    "hostcap": ["FEEDER", "--ders", "DERS", "--draws", "130", "--sites-per-draw", "2", "--seed", "5"],
    "connect": ["FEEDER", "--ders", "DERS", "--bus", "18", "--mw", "0.2"],
    "featurize": ["FEEDER", "--split", "test", "--days", "DAY", "--no-pyg"],
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files that verbs read."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "ders.csv").write_text(DERS)
    day = str(cases.profiles.split_days("test")[0])
    return {
        "FEEDER": str(cases.load("case33bw").save(folder / "feeder")),
        "REGULATED": str(cases.load("ieee13").save(folder / "regulated")),
        "DERS": str(folder / "ders.csv"), "DAY": day,
    }  # fmt: skip


def filled(verb: str, inputs: dict[str, str]) -> list[str]:
    return [inputs.get(word, word) for word in CALLS[verb]]


def hashes(folder: Path, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in but)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["dist", *arguments])
    return int(left.value.code or 0), capsys.readouterr().out


def test_every_verb_is_here() -> None:
    """Row 80: each command has sample data and a call in these tests."""
    kinds = {job.kind.removeprefix("dist ") for job in jobs() if job.kind.startswith("dist ")}
    assert kinds == set(CALLS)


@pytest.mark.quick(1)
@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_reads_writes_and_shows(
    verb: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 77, 80, 127: exit status 0, a summary, all files listed with their hashes, a picture; inputs stay
    as they are; given again it does nothing and moves no byte.
    """
    read = Path(inputs["DERS"]).parent
    before, out = hashes(read), tmp_path / "out"
    code, shown = command([verb, *filled(verb, inputs), "--out", str(out)], capsys)
    assert code == 0
    assert len(shown.splitlines()) >= 4
    assert "case33bw" in shown or "ieee13" in shown or "18" in shown
    run = Manifest.model_validate_json((out / "run.json").read_text())
    assert run.status == "done"
    written = hashes(out)
    assert {record.path: record.sha256 for record in run.outputs}.items() <= written.items()
    assert any(name.endswith(".png") for name in written)
    code, again = command([verb, *filled(verb, inputs), "--out", str(out)], capsys)
    assert code == 0
    assert "complete already" in again
    assert hashes(out) == written
    assert hashes(read) == before


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children as of os.fork")
def test_killed_at_any_rename_and_given_again(inputs: dict[str, str], tmp_path: Path) -> None:
    """Row 77: killed by SIGKILL before every rename, and hostcap within its search, a verb goes on with what
    is finished and ends with the bytes of a run that nothing happened to; inputs stay as they are.
    """
    before = hashes(Path(inputs["DERS"]).parent)
    calls = {verb: filled(verb, inputs) for verb in CALLS}
    script = Path(__file__).with_name("killed_verbs.py")
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(calls), str(tmp_path)], capture_output=True, text=True,
        check=False, timeout=600, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kills = json.loads(done.stdout.splitlines()[-1])
    assert set(kills) == {*CALLS, "search"}
    assert all(count >= 2 for count in kills.values()), kills
    for verb in kills:
        whole = tmp_path / "whole" / ("hostcap" if verb == "search" else verb)
        assert hashes(tmp_path / "killed" / verb, ("run.json",)) == hashes(whole, ("run.json",)), verb
        run = Manifest.model_validate_json((tmp_path / "killed" / verb / "run.json").read_text())
        assert run.status == "done"
    assert hashes(Path(inputs["DERS"]).parent) == before


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["hostcap", "featurize"])
def test_two_processes_give_the_output_of_one(
    verb: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 78: of verbs with many items, the engine moves no byte."""
    for engine in ("local", "processes"):
        call = [verb, *filled(verb, inputs), "--engine", engine, "--out", str(tmp_path / engine)]
        assert command(call, capsys)[0] == 0
    assert hashes(tmp_path / "local", ("run.json",)) == hashes(tmp_path / "processes", ("run.json",))


def options(verb: str) -> Iterator[str]:
    """What --help tells of a verb, without its layout."""
    group: Any = typer.main.get_command(build_app())
    found = group.commands["dist"].commands[verb]
    yield " ".join((found.help or "").split())
    for parameter in found.params:
        told = " ".join((getattr(parameter, "help", None) or "").split())
        names = " / ".join([*parameter.opts, *parameter.secondary_opts])
        default = parameter.default
        shown = (
            ""
            if default is None or default is False or callable(default) or default == ""
            else f" [{default}]"
        )
        yield f"  {names}{shown}: {told}"


def test_help_is_what_was_agreed() -> None:
    """Row 76: the options of every verb. One that is added on purpose belongs into the file: see `told`."""
    told = "".join(f"[{verb}]\n" + "\n".join(options(verb)) + "\n\n" for verb in CALLS)
    assert told == HELP.read_text()


def dispatched(feeder: cases.Feeder) -> dict[str, pa.Table]:
    """Least losses with a plant at bus 18."""
    limits = NetworkLimits((0.9, 1.05))
    found = optimal_dispatch(physics.compile(feeder), [Unit("pv", "18", 0.0, 1.0)], limits=limits)
    return {"dist_opf": pa.table({"p_mw": found.p_mw})}


FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, Any], str, str]] = {
    "pf": (power_flow, {}, "losses", "p_loss_mw"),
    "controls": (settle, {"start": "neutral"}, "taps", "tap_pos"),
    "sensitivities": (feeder_sensitivities, {"buses": ["6", "18"]}, "sensitivities_buses", "dv_dp_pu_per_mw"),
    "opf": (dispatched, {}, "dist_opf", "p_mw"),
    "hostcap": (hosting_capacity, {}, "hostcap_summary", "max_mw"),
    "connect": (partial(can_connect, bus="18", mw=0.2), {}, "connect", "max_mw"),
    "featurize": (feeder_graphs, {}, "nodes", "v_pu"),
}


@pytest.mark.quick(3)
@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_is_one_function(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 76: what a verb writes is what a function of the library returns."""
    function, keywords, name, column = FUNCTIONS[verb]
    case = "ieee13" if verb == "controls" else "case33bw"
    limits = tmp_path / "limits.csv"
    limits.write_text("asset_id,bus_id,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar\npv,18,0,1,0,0\n")
    extra = {
        "controls": ["--start", "neutral"], "sensitivities": ["--buses", "6,18"],
        "opf": ["--limits", str(limits), "--band", "[0.9,1.05]"], "connect": ["--bus", "18", "--mw", "0.2"],
    }.get(verb, [])  # fmt: skip
    assert command([verb, case, *extra, "--out", str(tmp_path / "out")], capsys)[0] == 0
    written = pq.read_table(tmp_path / "out" / f"{name}.parquet")[column].to_pylist()
    found = function(cases.load(case), **keywords)
    if verb == "connect":
        assert written == [found[column]]
    elif verb == "hostcap":
        assert written == found.max_mw.tolist()
    elif verb in ("featurize", "opf"):
        assert written == found[name][column].to_pylist()
    else:
        tables = getattr(found, "tables", None)
        assert written == (tables[name] if tables else getattr(found, name))[column].to_pylist()


def changed(folder: Path, table: str, column: str, value: Any) -> None:
    """Another value in row 3 of a stored table."""
    path = folder / f"{table}.parquet"
    found = pq.read_table(path)
    at = found.schema.get_field_index(column)
    values = found[column].to_pylist()
    values[3] = value
    field = found.schema.field(at)
    pq.write_table(found.set_column(at, field, pa.array(values, field.type)), path)


def half(folder: Path) -> None:
    """A file that was cut."""
    path = folder / "loads.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no number": (lambda f: changed(f, "loads", "p_mw", math.nan),
                  "loads.parquet, row 3: p_mw = nan: expected a finite number"),
    "named twice": (lambda f: changed(f, "branches", "branch_id", "1-2"),
                    "branches.parquet, row 3: branch_id = '1-2': expected an id that no earlier row has"),
    "no such bus": (lambda f: changed(f, "loads", "node_id", "999"),
                    "loads.parquet, row 3: node_id = '999': expected the id of a row of the nodes table"),
    "cut": (half, "loads.parquet: expected a readable Parquet file"),
    "missing": (lambda f: (f / "nodes.parquet").unlink(), "nodes.parquet: expected this file"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_feeders_are_refused_by_every_verb(
    damage: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 79, 80: exit status 2; file, row, field and what was expected; nothing is written."""
    shutil.copytree(inputs["FEEDER"], tmp_path / "feeder")
    DAMAGE[damage][0](tmp_path / "feeder")
    for verb in CALLS:
        words = [str(tmp_path / "feeder") if w in ("FEEDER", "REGULATED") else w for w in CALLS[verb]]
        call = [inputs.get(word, word) for word in words]
        with pytest.raises(SystemExit) as left:
            main(["dist", verb, *call, "--out", str(tmp_path / "out")])
        assert left.value.code == 2, verb
        assert DAMAGE[damage][1] in capsys.readouterr().err, verb
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["hostcap", "connect", "featurize"])
def test_a_mesh_is_refused_where_only_a_radial_feeder_will_do(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 97: per phase, the branch that closes the loop is named; nothing is left out in silence."""
    folder = cases.load("ieee123").with_switch("sw7", closed=True).save(tmp_path / "meshed")
    extra = ["--bus", "83", "--mw", "0.1"] if verb == "connect" else []
    with pytest.raises(SystemExit) as left:
        main(["dist", verb, str(folder), *extra, "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "is meshed" in told
    assert "l105" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["hostcap", "connect"])
def test_a_balanced_mesh_is_refused_where_only_a_radial_feeder_will_do(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 97: the branch that closes the loop is named, at once."""
    folder = cases.load("case33bw").with_switch("s12-22", closed=True).save(tmp_path / "meshed")
    ders = tmp_path / "ders.csv"
    ders.write_text("asset_id,bus_id,p_mw\na,5,0.1\n")
    extra = ["--bus", "18", "--mw", "0.1"] if verb == "connect" else []
    with pytest.raises(SystemExit) as left:
        main(["dist", verb, str(folder), "--ders", str(ders), *extra, "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "is meshed: " in told
    assert "loops" in told
    assert not (tmp_path / "out").exists()


def test_units_named_twice_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 37: an asset stands once in a fleet; the second row is named by its line, blank ones counted."""
    ders = tmp_path / "ders.csv"
    ders.write_text("asset_id,bus_id,p_mw\na,5,0.1\n\na,6,0.1\n")
    with pytest.raises(SystemExit) as left:
        main(["dist", "hostcap", "case33bw", "--ders", str(ders), "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    told = capsys.readouterr().err.replace("\n", "")
    assert "ders.csv:4: asset_id = a: expected an id that no earlier row has" in told
