"""`distgrid bench pf --phases 3`: all programs solve the same problem, to the same error. No wall times."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from distgrid import cases, physics
from distgrid.baselines import bench
from distgrid.baselines.bench import pf_phases as pf3
from distgrid.baselines.bench.contenders import balanced_peers as peers
from distgrid.baselines.bench.contenders import distgrid_balanced as ours
from distgrid.baselines.bench.contenders import distgrid_phases as ours3
from distgrid.baselines.bench.contenders import nodal_admittance as nodal
from distgrid.baselines.bench.contenders import opendss
from distgrid.baselines.bench.contenders import textbook_phases as textbook3
from distgrid.baselines.bench.contenders.contender import Contender, true_error, tune, walking
from distgrid.baselines.bench.harness import timing
from distgrid.baselines.bench.problems.phase_trees import random_tree3
from distgrid.baselines.bench.problems.phases import PhaseProblem, problem3
from distgrid.baselines.bench.report.results import Pf3Report
from distgrid.cli import build_app, main

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def ieee123() -> PhaseProblem:
    return problem3(cases.load("ieee123"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Tables and JSON of one quick run with a batch."""
    path = tmp_path_factory.mktemp("bench") / "pf3.json"
    command = ["bench", "pf", "--phases", "3", "--quick", "--batch", "20", "--json", str(path)]
    result = CliRunner().invoke(build_app(), command, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, path


def steps(problem: PhaseProblem, rows: int) -> tuple[Floats, Floats]:
    share = np.random.default_rng(1).uniform(0.5, 1.5, (rows, problem.n_bus, 3))
    return share * problem.p_mw, share * problem.q_mvar


# -- the command -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_json_keeps_its_form(run: tuple[str, Path]) -> None:
    text = run[1].read_text()
    report = Pf3Report.model_validate_json(text)
    assert json.loads(text)["schema_version"] == "distgrid.bench.pf3/1"
    assert [(c.feeder, c.phase_nodes) for c in report.single] == [("ieee123", 271), ("tree3ph100", 100)]
    assert [(c.feeder, c.solves_per_call) for c in report.batch] == [("ieee123", 20)]
    names = {row.solver for row in report.single[0].rows}
    assert {ours.SOLVE, ours3.STEPPER, textbook3.NAME, opendss.FLAT, opendss.LAST} <= names
    assert {peers.PGM_IC, peers.PGM_NR} <= names
    assert {ours.SOLVE, textbook3.NAME, peers.PGM_IC, peers.PGM_NR} <= {
        r.solver for r in report.batch[0].rows
    }
    assert report.limits[0].solver == ours.SOLVE


@pytest.mark.slow
def test_every_solver_that_is_timed_is_right(run: tuple[str, Path]) -> None:
    """At most 1e-6 pu from an independent solution, over all the loads that the calls walk through."""
    report = Pf3Report.model_validate_json(run[1].read_text())
    for comparison in (*report.single, *report.batch):
        assert comparison.agreement_pu < 1e-10
        assert comparison.target_error_pu == 1e-6
        assert 0.8 < comparison.v_min_pu < 0.99
        timed = [row for row in comparison.rows if row.timing is not None]
        assert {row.solver for row in timed} >= {ours.SOLVE, textbook3.NAME}
        for row in timed:
            assert row.true_error_pu is not None
            assert row.true_error_pu <= 1e-6, (comparison.feeder, row.solver)


@pytest.mark.slow
def test_tables_name_targets_and_that_it_was_quick(run: tuple[str, Path]) -> None:
    for words in ("QUICK RUN", ">= 10", ">= 25", "<= 2", "271 phase nodes", "Limits of one solve"):
        assert words in run[0]


@pytest.mark.slow
def test_without_peers_the_node_equations_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (peers, opendss):
        monkeypatch.setattr(module, "installed", lambda _: None)
    report = bench.bench_pf3(quick=True, batch=3)
    for comparison in (*report.single, *report.batch):
        rows = {row.solver: row for row in comparison.rows}
        absent = {peers.PGM_IC, peers.PGM_NR} | ({opendss.FLAT, opendss.LAST} & set(rows))
        assert all(rows[name].status == "not installed" for name in absent)
        assert "SuperLU" in comparison.reference
        assert comparison.agreement_pu < 1e-10
    assert all(t.met is None for t in report.targets if "OpenDSS" in t.name or "power-grid" in t.name)


@pytest.mark.parametrize(
    ("options", "words"), [(["--phases", "2"], "1 (balanced) or 3"), (["--batch", "-1"], "number of rows")]
)
def test_bad_options_are_refused(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "pf", "--phases", "3", *options])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


# -- the problem -------------------------------------------------------------------------------------------


def test_the_problem_is_the_feeder(ieee123: PhaseProblem) -> None:
    """Every load and bank of IEEE 123 is there, on as many phases; only the unloaded transformer is not."""
    feeder = cases.load("ieee123")
    assert (ieee123.n_bus, ieee123.from_row.size) == (129, 128)
    assert ieee123.p_mw.sum() == pytest.approx(feeder.column("nodes", "load_p_mw").sum())
    assert ieee123.q_mvar.sum() == pytest.approx(feeder.column("nodes", "load_q_mvar").sum())
    assert ieee123.cap_mvar.sum() == pytest.approx(feeder.column("capacitors", "q_mvar").sum())
    for array in (ieee123.p_mw, ieee123.q_mvar, ieee123.cap_mvar):
        assert not array[~ieee123.present].any()
    net = ieee123.net
    assert np.array_equal(net.present, ieee123.present)
    np.testing.assert_allclose(net.load_p_mw, ieee123.p_mw)


def test_feeders_with_loads_behind_transformers_are_refused() -> None:
    with pytest.raises(ValueError, match="behind a transformer"):
        problem3(cases.load("european_lv"))


@pytest.mark.parametrize("phase_nodes", [6, 100, 1000])
def test_random_trees_are_radial_unbalanced_and_seeded(phase_nodes: int) -> None:
    tree, again, other = (random_tree3(phase_nodes, seed) for seed in (3, 3, 4))
    assert tree.n_phase_nodes == phase_nodes
    assert tree.z_ohm.tobytes() == again.z_ohm.tobytes()
    assert tree.p_mw.tobytes() == again.p_mw.tobytes()
    assert tree.p_mw.tobytes() != other.p_mw.tobytes()
    solution = physics.solve(tree.net)
    assert solution.converged
    assert np.nanmin(solution.v_pu) > 0.9
    assert phase_nodes < 100 or np.nanmin(solution.v_pu) < 0.97
    widths = set(tree.present.sum(axis=1).tolist())
    assert phase_nodes < 100 or widths == {1, 2, 3}


def test_a_tree_needs_two_buses() -> None:
    with pytest.raises(ValueError, match="at least 6 phases"):
        random_tree3(5)


# -- the contenders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: problem3(cases.load("ieee123")), lambda: random_tree3(300, 1)])
def test_all_ways_find_the_same_voltages(make: Any) -> None:
    """Capability 105: sweeps, node equations, power-grid-model's Newton, the textbook: one solution."""
    problem = make()
    p, q = steps(problem, 21)  # the textbook's blocks: a full one and a part of one
    exact = ours3.exact(problem, p, q)
    assert np.abs(nodal.nodal_voltages(problem, p, q) - exact).max() < 1e-11
    reference = pf3.truth(problem, p, q)
    assert true_error(exact, reference.v) < 1e-11
    for contender in (textbook3.batch(problem, p, q), textbook3.single(problem, p, q)):
        assert true_error(contender.answer(1e-12)[0], exact) < 1e-10


def test_opendss_starts_where_its_row_says(ieee123: PhaseProblem) -> None:
    """From no load an answer does not depend on the one before; else the same loads again take two rounds."""
    pytest.importorskip("dss", reason="the extra `oracle` brings OpenDSS")
    flat, last = opendss.opendss(ieee123, np.array([1.0, 1.0, 0.4]))
    assert isinstance(flat, Contender)
    assert isinstance(last, Contender)
    first, rounds = flat.answer(1e-6)
    assert rounds is not None
    assert rounds > 4
    assert first.tobytes() == flat.answer(1e-6)[0].tobytes()
    assert first[0].tobytes() == first[1].tobytes()
    assert last.prepare is not None
    counts = []
    for _ in range(6):
        last.prepare(1e-6)
        counts.append(last.iterations(last.call(1e-6)))
    assert counts[4] == 2.0
    assert counts[3] is not None
    assert counts[3] > 2.0
    exact = ours3.exact(ieee123, *(x[None] for x in (ieee123.p_mw, ieee123.q_mvar)))
    assert true_error(flat.answer(1e-11)[0][:1], exact) < 1e-8


def test_all_results_and_voltages_only_are_rows(ieee123: PhaseProblem) -> None:
    p, q = steps(ieee123, 3)
    for found in (ours3.single(ieee123, p, q), ours3.batch(ieee123, p, q)):
        rows = {contender.name: contender for contender in found}
        assert "currents=False" in rows[ours.VOLTAGES].options
        whole, voltages = (rows[name].answer(1e-6)[0] for name in (ours.SOLVE, ours.VOLTAGES))
        assert voltages.shape == (3, 271)
        np.testing.assert_array_equal(voltages, whole)
    assert "out=memory" in rows[ours.VOLTAGES].options


def test_walking_contenders_are_tuned_on_all_their_steps() -> None:
    """A tolerance that suffices for the first step only is not taken."""
    contender = walking(
        "x", "x", "", 2, lambda step, tol: np.array([1.0 + step * tol]), lambda v: v, iterations=lambda _: 3.0
    )
    reached = tune(contender, np.ones((2, 1), dtype=np.complex128), 1e-4)
    assert reached is not None
    assert reached.tolerance == pytest.approx(1e-4)
    assert reached.iterations == 3.0
    assert [contender.call(0.5)[0] for _ in range(4)] == [1.0, 1.5, 1.0, 1.5]


def test_what_comes_before_a_call_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: now[0] / 2.0)

    def spend(seconds: float) -> None:
        now[0] += seconds

    samples = timing.take_turns(
        {"x": lambda: spend(2.0), "y": lambda: spend(3.0)}, rounds=2, slice_s=8.0,
        before={"x": lambda: spend(100.0)},
    )  # fmt: skip
    assert samples["x"].calls == 4
    assert samples["x"].wall.tolist() == [2.0, 2.0]
    assert samples["x"].cpu.tolist() == [1.0, 1.0]
    assert samples["y"].wall.tolist() == [3.0, 3.0]
