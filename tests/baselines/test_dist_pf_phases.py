"""`distgrid dist pf` phase by phase: the written tables against OpenDSS, and what the user reads."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases
from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.dist.pf import power_flow
from distgrid.baselines.workflows.dist.pf_result import PhasePowerFlow
from distgrid.cli import main

FIGURES = Path(__file__).parents[1] / "reference" / "opendss"
FEEDERS = ("ieee13", "ieee34", "ieee37", "ieee123", "european_lv")
TABLES = ("buses", "branches", "losses", "violations", "voltages", "flows")


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `distgrid dist pf ...`."""
    with pytest.raises(SystemExit) as left:
        main(["dist", "pf", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def solved(feeder: cases.Feeder | str, **options: object) -> PhasePowerFlow:
    flow = power_flow(feeder, **options)  # type: ignore[arg-type]
    assert isinstance(flow, PhasePowerFlow)
    return flow


def phasor(size: float, degrees: float) -> complex:
    return complex(size * math.cos(math.radians(degrees)), size * math.sin(math.radians(degrees)))


@pytest.mark.parametrize("name", ["ieee13", "ieee123"])
def test_written_voltages_are_those_that_opendss_stored(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Capability 11, 13, 92, trap 1: every node and phase of the file in kV and degrees; losses to 0.01 %."""
    out = tmp_path / "run"
    assert command([name, "--out", str(out)], capsys)[0] == 0
    written = {
        (row["node_id"], row["phase"]): row for row in pq.read_table(out / "voltages.parquet").to_pylist()
    }
    nodes = {row["node_id"]: row for row in pq.read_table(out / "buses.parquet").to_pylist()}
    seen = set()
    with (FIGURES / f"{name}_std.csv").open() as file:
        for row in csv.DictReader(file):
            key = row["bus"], "ABC"[int(row["phase"]) - 1]
            if key not in written:
                assert row["bus"] not in nodes  # OpenDSS's own helper buses
                continue
            if name == "ieee123" and row["bus"] == "610":
                continue  # behind a delta winding only voltages between phases are fixed; next test
            ours = written[key]
            volts = complex(float(row["v_re_volt"]), float(row["v_im_volt"]))
            rated = nodes[row["bus"]]["base_kv"] * 1e3 / math.sqrt(3.0)
            assert abs(phasor(1e3 * ours["v_kv"], ours["v_deg"]) - volts) < 1e-5 * rated, key
            assert ours["v_pu"] == pytest.approx(abs(volts) / rated, abs=1e-5)
            seen.add(key)
    singles = {key for key, row in written.items() if len(row["phase"]) == 1 and row["node_id"] != "610"}
    assert seen == singles
    total = pq.read_table(out / "losses.parquet").to_pylist()[-1]
    stored = json.loads((FIGURES / f"{name}.json").read_text())["std"]
    assert total["p_loss_mw"] * 1e3 == pytest.approx(stored["loss_kw"], rel=1e-4)
    assert total["q_loss_mvar"] * 1e3 == pytest.approx(stored["loss_kvar"], rel=1e-4)


@pytest.mark.quick(3)
@pytest.mark.parametrize("bands", [False, True], ids=["models", "bands"])
@pytest.mark.parametrize("name", FEEDERS)
def test_tables_against_opendss(name: str, bands: bool) -> None:
    """Capability 11, 12, 18: voltages to ground and between phases, powers and currents at both ends."""
    pytest.importorskip("dss", reason="the extra `oracle` brings OpenDSS")
    from dss import DSS

    from ..physics import dss_oracle

    feeder = cases.load(name)
    flow = solved(feeder, voltage_bands=bands, tol=1e-10)
    ref = dss_oracle.solve(feeder, bands=bands)
    for row in flow.voltages.to_pylist():
        v = ref.v[feeder.node_index[row["node_id"]]]
        first, *second = ("ABC".index(letter) for letter in row["phase"])
        theirs = complex(v[first] - v[second[0]]) / math.sqrt(3.0) if second else complex(v[first])
        assert abs(phasor(row["v_pu"], row["v_deg"]) - theirs) < 1e-6, row
    units: dict[str, list[str]] = {}
    for unit in feeder.transformers.to_pylist():
        units.setdefault(unit["branch_id"], []).append(f"transformer.{unit['transformer_id']}")
    circuit = DSS.ActiveCircuit
    totals: dict[tuple[str, str, str], list[complex]] = {}
    for branch in feeder.branches.to_pylist():
        if not branch["status"]:
            continue
        wire = [] if branch["r_ohm"] is None else [f"line.{branch['branch_id']}"]
        for element in wire + units.get(branch["branch_id"], []):
            circuit.SetActiveElement(element)
            active = circuit.ActiveCktElement
            order, count = active.NodeOrder, active.NumConductors
            for k, node in enumerate(order):
                if node == 0:
                    continue
                key = branch["branch_id"], ("from", "to")[k // count], "ABC"[node - 1]
                power, current = (
                    complex(array[2 * k], array[2 * k + 1]) / 1e3
                    for array in (active.Powers, active.Currents)
                )
                at = totals.setdefault(key, [0j, 0j])
                at[0] += power
                at[1] += current
    ours = {(row["branch_id"], row["end"], row["phase"]): row for row in flow.flows.to_pylist()}
    for key, row in ours.items():
        s, i = totals.pop(key, [0j, 0j])
        scale = max(abs(s), 1e-3)
        assert abs(complex(row["p_mw"], row["q_mvar"]) - s) < 1e-4 * scale, key
        assert abs(phasor(row["i_ka"], row["i_deg"]) - i) < 1e-4 * max(abs(i), 1e-3), key
    assert not totals


@pytest.mark.parametrize("name", FEEDERS)
def test_sources_give_what_the_rest_takes(name: str) -> None:
    """Capability 12, 13, 96: of each phase and in total, P and Q; unbalance only at three phases."""
    flow = solved(name)
    rows = flow.losses.to_pylist()
    assert [row["phase"] for row in rows if row["scope"] == "phase"] == ["A", "B", "C"]
    for row in rows:
        for kind in ("p_{}_mw", "q_{}_mvar"):
            source, *taken = (row[kind.format(part)] for part in ("source", "load", "shunt", "loss"))
            assert source == pytest.approx(sum(taken), abs=1e-9), row["scope"]
    total = rows[-1]
    for column in ("p_source_mw", "p_load_mw", "p_loss_mw", "q_loss_mvar"):
        phases = sum(row[column] for row in rows if row["scope"] == "phase")
        assert total[column] == pytest.approx(phases, abs=1e-9)
    assert flow.branches["p_loss_mw"].to_numpy().sum() == pytest.approx(total["p_loss_mw"], abs=1e-12)
    for row in flow.buses.to_pylist():
        assert (row["vuf_pct"] is None) == (row["phases"] != "ABC")


def expected_violations(flow: PhasePowerFlow, vuf_max_pct: float) -> set[tuple[str, str, str | None]]:
    """By reading the other tables again."""
    limits = {row["node_id"]: row for row in flow.buses.to_pylist()}
    found: set[tuple[str, str, str | None]] = set()
    sources = flow.feeder.column("sources", "node_id").tolist()  # given, not a result
    for row in flow.voltages.to_pylist():
        if row["node_id"] in sources:
            continue
        at = limits[row["node_id"]]
        if row["judged"] and row["v_pu"] is not None and row["v_pu"] > at["v_max_pu"]:
            found.add(("overvoltage", row["node_id"], row["phase"]))
        if row["judged"] and row["v_pu"] is not None and row["v_pu"] < at["v_min_pu"]:
            found.add(("undervoltage", row["node_id"], row["phase"]))
    for row in flow.flows.to_pylist():
        if row["loading_pct"] is not None and row["loading_pct"] > 100.0:
            found.add(("overload", row["branch_id"], row["phase"]))
    for node, row in limits.items():
        if row["vuf_pct"] is not None and row["vuf_pct"] > vuf_max_pct:
            found.add(("unbalance", node, None))
    return found


@pytest.mark.parametrize(
    ("name", "vuf_max_pct", "kinds"),
    [
        ("ieee13", 1.0, {"overvoltage", "overload", "unbalance"}),
        ("ieee37", 2.0, {"undervoltage", "overload", "unbalance"}),
        ("ieee123", 2.0, set()),
    ],
)
def test_violations_are_all_that_is_out_of_limits(name: str, vuf_max_pct: float, kinds: set[str]) -> None:
    """Capability 14, 109, trap 10: per phase; of a delta feeder between phases; none where all is kept."""
    flow = solved(name, vuf_max_pct=vuf_max_pct)
    rows = flow.violations.to_pylist()
    found = {(row["kind"], row["element"], row["phase"]) for row in rows}
    assert found == expected_violations(flow, vuf_max_pct)
    assert len(found) == len(rows)
    assert {row["kind"] for row in rows} == kinds
    for row in rows:
        assert row["magnitude"] == pytest.approx(abs(row["value"] - row["limit"]), rel=1e-12)
        assert row["magnitude"] > 0
    volts = {len(row["phase"]) for row in rows if row["unit"] == "pu"}
    assert volts <= ({2} if name == "ieee37" else {1})


def test_dead_phases_are_named() -> None:
    """Capability 9, 107: nulls where there is no voltage, one violation per dead node with its load."""
    flow = solved(cases.load("ieee13").with_switch("671692", closed=False))
    dead = [row["node_id"] for row in flow.buses.to_pylist() if not row["energised"]]
    assert dead == ["675", "692"] or dead == ["692", "675"]
    for row in flow.voltages.to_pylist():
        assert (row["v_pu"] is None) == (row["node_id"] in dead)
        assert row["energised"] == (row["node_id"] not in dead)
    lost = {r["element"]: r for r in flow.violations.to_pylist() if r["kind"] == "not_supplied"}
    assert sorted(lost) == ["675", "692"]
    assert lost["675"]["phase"] == "ABC"
    assert lost["675"]["magnitude"] == pytest.approx(
        abs(complex(0.843, 0.462)), rel=1e-6
    )  # the published one
    assert "2 nodes" in flow.notes[0]


@pytest.mark.parametrize("name", ["case33bw", "case533mt_hi"])
def test_a_balanced_feeder_per_phase_is_the_balanced_one(name: str) -> None:
    """Capability 18: the same numbers at each phase, and the same verdict on each limit."""
    feeder = cases.load(name)
    p, q = (1.6 * feeder.column("nodes", c) for c in ("load_p_mw", "load_q_mvar"))
    feeder = feeder.with_loads(p_mw=p, q_mvar=q)
    one, three = power_flow(feeder, tol=1e-12), solved(feeder, phases="per-phase", tol=1e-12)
    buses = {row["node_id"]: row for row in one.buses.to_pylist()}
    for row in three.voltages.to_pylist():
        if len(row["phase"]) == 1:
            turned = row["v_deg"] + 120.0 * "ABC".index(row["phase"])
            same = buses[row["node_id"]]
            assert row["v_pu"] == pytest.approx(same["v_pu"], abs=1e-9)
            assert phasor(1, turned) == pytest.approx(phasor(1, same["v_deg"]), abs=1e-9)
    for column in ("p_from_mw", "q_from_mvar", "p_to_mw", "p_loss_mw", "loading_pct"):
        ours, theirs = (flow.branches[column].to_numpy() for flow in (three, one))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)
    alone = {(row["kind"], row["element"]) for row in one.violations.to_pylist()}
    phases = [(row["kind"], row["element"], row["phase"]) for row in three.violations.to_pylist()]
    assert alone
    assert sorted(phases) == sorted((*row, phase) for row in alone for phase in "ABC")


def test_every_number_has_its_unit() -> None:
    """Every number column names its unit and carries it in the schema."""
    suffixes = {
        "pu": {"pu"}, "deg": {"degree"}, "kv": {"kV", "kV line to line"}, "mw": {"MW"}, "mvar": {"Mvar"},
        "ka": {"kA"}, "mva": {"MVA"}, "pct": {"%"}, "load": {"%"},
    }  # fmt: skip
    flow = solved("ieee13")
    for name in TABLES:
        for field in flow.tables[name].schema:
            if field.type == pa.float64() and name != "violations":
                assert field.metadata[b"unit"].decode() in suffixes[field.name.rsplit("_", 1)[-1]], field


@pytest.mark.slow
def test_the_command_writes_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, run.json, a line per phase; a .dss script and a folder of tables are feeders, too."""
    out = tmp_path / "out"
    code, shown, err = command(["ieee13", "--out", str(out)], capsys)
    assert (code, err) == (0, "")
    for text in (
        "phase A",
        "phase C",
        "112.391",
        "rg60.C",
        "2 overvoltage, 1 overload",
        "Unbalance: at most",
    ):
        assert text in shown
    files = {*(f"{name}.parquet" for name in TABLES), "pf.png", "run.json"}
    assert {path.name for path in out.iterdir()} == files
    run = json.loads((out / "run.json").read_text())
    assert run["parameters"]["phases"] == "per-phase"
    assert run["results"]["violations"] == 3 == pq.read_table(out / "violations.parquet").num_rows
    saved = cases.load("ieee13").save(tmp_path / "saved")
    assert command([str(saved), "--out", str(tmp_path / "again")], capsys)[0] == 0
    for name in TABLES:
        assert (out / f"{name}.parquet").read_bytes() == (tmp_path / "again" / f"{name}.parquet").read_bytes()
    script = tmp_path / "two.dss"
    script.write_text(
        "New Circuit.two basekv=4.16 pu=1.02 bus1=s R1=0.01 X1=0.02 R0=0.01 X0=0.02\n"
        "New Line.a bus1=s.1.2 bus2=b.1.2 phases=2 rmatrix=[0.3 | 0.1 0.3] xmatrix=[0.6 | 0.2 0.6]"
        " cmatrix=[0 | 0 0] length=1 units=none\n"
        "New Load.x bus1=b.2 phases=1 conn=wye model=1 kv=2.4018 kw=80 kvar=30\n"
        "Set voltagebases=[4.16]\nCalcvoltagebases\nSolve\n"
    )
    code, shown, _ = command([str(script), "--out", str(tmp_path / "dss")], capsys)
    assert code == 0, shown
    rows = pq.read_table(tmp_path / "dss" / "flows.parquet").to_pylist()
    assert [(row["end"], row["phase"]) for row in rows] == [
        ("from", "A"), ("from", "B"), ("to", "A"), ("to", "B"),
    ]  # fmt: skip
    assert rows[3]["p_mw"] == pytest.approx(-0.08, abs=1e-9)


def test_failure_is_said_in_words_and_by_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap 8: 3 and a sentence on stderr; of the violations only that it failed."""
    out = tmp_path / "out"
    code, shown, err = command(["ieee123", "--out", str(out), "--max-iter", "2"], capsys)
    assert code == 3
    assert "did NOT converge in 2 iterations" in err
    assert "NOT A SOLUTION" in shown
    rows = pq.read_table(out / "violations.parquet").to_pylist()
    assert [(row["kind"], row["element"]) for row in rows] == [("failed_power_flow", "ieee123")]


def test_loops_are_kept_pruned_or_refused() -> None:
    """Capability 97: what is left out is said, and never silently."""
    meshed = cases.load("ieee123").with_switch("sw7", closed=True)
    with pytest.raises(RunError, match="is meshed"):
        power_flow(meshed, loops="refuse")
    kept = solved(meshed, loops="keep")
    assert not kept.notes
    (closing,) = (row for row in kept.branches.to_pylist() if row["closes_loop"])
    assert closing["branch_id"] == "l105"
    flow = solved(meshed, loops="prune")
    assert "without" in flow.notes[0]
    left_out = [row["branch_id"] for row in flow.branches.to_pylist() if row["closes_loop"]]
    assert len(left_out) == 1
    assert left_out[0] in flow.notes[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ieee13", "--phases", "balanced"], "no balanced feeder has its power flow"),
        (["ieee13", "--phases", "per-fase"], "did you mean 'per-phase'"),
        (["ieee13", "--method", "newton"], "per-phase ones take 'backward-forward'"),
        (["ieee13", "--vuf-max-pct", "0"], "above 0 and below 100"),
        (["ieee13", "--vuf-max-pct", "nan"], "above 0 and below 100"),
        (["ieee13", "--tol", "0"], "tol must be finite and above 0"),
        (["case33bw", "--voltage-bands"], "voltage_bands is for per-phase feeders"),
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
