"""What a feeder has no place for in a MATPOWER case: left out, filled in or refused, and said."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from distgrid import cases, physics
from distgrid.baselines.workflows.dist.pf import power_flow
from distgrid.cases.importers.matpower.importer import feeder_from_text
from distgrid.cases.library import source_notes
from distgrid.cli import build_app
from distgrid.envs import DistGridEnv

CASE = """function mpc = small
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
  1 3 0   0   0 0 1 1 0 12.5 1 1.1 0.9;
  2 1 0.4 0.2 0 0 1 1 0 12.5 1 1.1 0.9;
  3 1 0.3 0.1 0 0 1 1 0 12.5 1 1.1 0.9;
];
mpc.gen = [
  1 0 0 10 -10 1 100 1 10 0;
];
mpc.branch = [
  1 2 0.003 0.002 0 5 0 0 0 0 1 -360 360;
  2 3 0.004 0.003 0 5 0 0 0 0 1 -360 360;
];
"""
DC_LINE = "mpc.dcline = [\n  1 3 {status} 10 9 0 0 1 1 0 20 -5 5 -5 5 0 0;\n];\n"


def small(*changes: tuple[str, str]) -> cases.Feeder:
    """The case with parts of its text replaced."""
    text = CASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return feeder_from_text(text, "small.m", "small")


def test_fields_without_effect_are_read_over() -> None:
    """Texts, costs and DC lines out of service change nothing; what is unusual is named in the notes."""
    more = (
        "mpc.gencost = [2 0 0 3 0 1 0];\nmpc.areas = [1 1];\nmpc.bus_name = {'a'; 'b'; 'c'};\n"
        "mpc.branch_name = {'one'; 'two'};\nmpc.gentype = {'UN'};\nmpc.genfuel = {'hydro'};\n"
    ) + DC_LINE.format(status=0)
    feeder, plain = small(("];\nmpc.branch = [", "];\n" + more + "mpc.branch = [")), small()
    assert feeder.branches.equals(plain.branches)
    assert feeder.loads.equals(plain.loads)
    for name in ("branch_name", "gentype", "genfuel", "dcline"):
        assert name in feeder.metadata["notes"]
    assert "notes" not in plain.metadata
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of the model is missing
        physics.compile(feeder)


def test_a_dc_line_in_service_is_refused() -> None:
    """Trap 34: it moves power that nothing else moves; with file, line and value."""
    with pytest.raises(cases.CaseError, match=r"small\.m:13: dcline status = 1: expected 0: DC lines"):
        small(("];\nmpc.branch = [", "];\n" + DC_LINE.format(status=1) + "mpc.branch = ["))


def test_isolated_buses_are_left_out_and_said() -> None:
    """Type 4: with what is connected to them, as MATPOWER does; errors still name the right lines."""
    away = ("  3 1 0.3 0.1", "  7 4 9 3 0 0 1 1 0 12.5 1 1.1 0.9;\n  3 1 0.3 0.1")
    gen = ("1 100 1 10 0;", "1 100 1 10 0;\n  7 5 0 10 -10 1 100 1 10 0;")
    branch = ("  2 3 0.004", "  2 7 0.004 0.003 0 5 0 0 0 0 1 -360 360;\n  2 3 0.004")
    feeder, plain = small(away, gen, branch), small()
    for table in ("nodes", "branches", "loads"):
        assert getattr(feeder, table).equals(getattr(plain, table))
    note = feeder.metadata["notes"]
    assert "1 isolated buses (type 4: 7) were left out with 1 branches and 1 generators" in note
    assert "9 MW and 3 Mvar" in note
    with pytest.raises(cases.CaseError, match=r"small\.m:17: r = -0\.004"):
        small(away, gen, branch, ("2 3 0.004", "2 3 -0.004"))


def test_a_base_voltage_of_zero_is_filled_in_and_said() -> None:
    """From the next bus along a branch without a ratio, or 1 kV; voltages and powers do not depend on it."""
    sol = physics.solve(physics.compile(small()))
    one = small((" 1 1 0 12.5 1 1.1 0.9;\n];", " 1 1 0 0 1 1.1 0.9;\n];"))
    assert one.column("nodes", "base_kv").tolist() == [12.5] * 3
    none = small(("12.5", "0"))
    assert none.column("nodes", "base_kv").tolist() == [1.0] * 3
    for feeder, count in ((one, 1), (none, 3)):
        assert f"baseKV is 0 at {count} buses" in feeder.metadata["notes"]
        with pytest.warns(physics.ModelWarning, match="baseKV is 0"):
            net = physics.compile(feeder)
        assert physics.solve(net).v.tobytes() == sol.v.tobytes()


def test_what_is_left_out_is_said_where_the_answer_is_given(tmp_path: Path) -> None:
    """In the summary, in run.json, by `compile` and by environments, once; shipped feeders are quiet."""
    file = tmp_path / "small.m"
    file.write_text(CASE.replace("12.5", "0"))
    feeder = cases.load(file)
    note = feeder.metadata["notes"]
    result = CliRunner().invoke(build_app(), ["dist", "pf", str(file), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0
    assert "baseKV is 0 at 3 buses" in " ".join(result.output.split())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["notes"] == [note]
    assert power_flow(feeder).notes == (note,)
    with pytest.warns(physics.ModelWarning, match="baseKV") as caught:
        net = physics.compile(feeder)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(physics.ModelWarning, match="baseKV"):
        DistGridEnv(feeder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.loads(pickle.dumps(net))  # noqa: S301 - said when it was compiled
        physics.compile(cases.load("case33bw"))
        physics.compile(cases.load("case33bw").with_switch("s21-8", closed=False))
        physics.compile(cases.load("ieee13"))
    assert source_notes(cases.load("ieee13")) == ""


def test_generators_of_type_2_are_tables() -> None:
    """Several at one bus keep their own limits; infinite ones are none; two voltages are an error."""
    units = "1 100 1 10 0;\n  3 0.1 0.2 Inf -2 1.02 100 1 10 0;\n  3 0.2 0 3 -1 1.02 100 1 1 0;"
    change = (("  3 1 0.3", "  3 2 0.3"), ("1 100 1 10 0;", units))
    feeder = small(*change)
    col = feeder.column
    assert col("loads", "load_id").tolist() == ["load2", "load3", "gen3", "gen3#2"]
    assert col("loads", "v_set_pu")[2:].tolist() == [1.02, 1.02]
    assert np.isnan(col("loads", "v_set_pu")[:2]).all()
    assert col("loads", "q_min_mvar")[2:].tolist() == [-2.0, -1.0]
    assert np.isnan(col("loads", "q_max_mvar")[2])
    assert col("loads", "q_mvar").tolist() == [0.2, 0.1, 0.0, 0.0]
    assert col("nodes", "load_p_mw")[2] == pytest.approx(0.0)
    sol = physics.solve(physics.compile(feeder))
    assert sol.v_pu[2] == pytest.approx(1.02, abs=1e-9)
    with pytest.raises(cases.CaseError, match=r"small\.m:12: gen Vg = 1\.03: expected the Vg of the other"):
        small(change[0], (change[1][0], units.replace("-1 1.02", "-1 1.03")))
    with pytest.raises(cases.CaseError, match=r"small\.m:12: gen Qmax = -2: expected a limit"):
        small(change[0], (change[1][0], units.replace("3 -1 1.02", "-2 -1 1.02")))
