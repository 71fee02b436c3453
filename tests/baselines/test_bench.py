"""`distgrid bench`: it runs, its JSON keeps its form, errors are true, ratios right. No wall times."""

from __future__ import annotations

import gc
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from distgrid import cases, physics
from distgrid.baselines import bench
from distgrid.baselines.bench import env as bench_env_room
from distgrid.baselines.bench import pf
from distgrid.baselines.bench import vector as bench_vector_room
from distgrid.baselines.bench.contenders import balanced_peers as peers
from distgrid.baselines.bench.contenders import distgrid_balanced as ours
from distgrid.baselines.bench.contenders.contender import Contender, Missing, tune
from distgrid.baselines.bench.contenders.textbook_balanced import textbook
from distgrid.baselines.bench.harness import stopwatch, timing
from distgrid.baselines.bench.harness.compare import Effort, compare, newton
from distgrid.baselines.bench.harness.timing import Samples
from distgrid.baselines.bench.problems.balanced import problem
from distgrid.baselines.bench.problems.trees import random_tree
from distgrid.baselines.bench.report import machine
from distgrid.baselines.bench.report.results import EnvReport, PfReport, Ratio, Spread, Target, VectorReport
from distgrid.cli import build_app, main
from distgrid.envs import dist
from distgrid.envs.core import info
from distgrid.envs.vectorised import info_arrays as vector_info


@pytest.fixture(scope="module")
def pf_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Tables and JSON of one quick run with a batch."""
    path = tmp_path_factory.mktemp("bench") / "pf.json"
    command = ["bench", "pf", "--quick", "--batch", "20", "--json", str(path)]
    result = CliRunner().invoke(build_app(), command, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, path


# -- distgrid bench pf -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pf_json_keeps_its_form(pf_run: tuple[str, Path]) -> None:
    text = pf_run[1].read_text()
    report = PfReport.model_validate_json(text)
    assert json.loads(text)["schema_version"] == "distgrid.bench.pf/2"
    assert report.quick
    assert report.machine.cores >= 1
    assert report.machine.versions["numba"] is not None
    assert [c.buses for c in report.scaling] == [100, 316]
    assert [(c.feeder, c.solves_per_call) for c in report.batch] == [("case33bw", 20)]
    names = [row.solver for row in report.single.rows]
    assert names[:3] == [ours.SOLVE, f"{ours.SOLVE}, default tol", ours.STEPPER]
    assert {peers.PGM_IC, peers.PGM_NR, peers.PANDAPOWER} <= set(names)
    assert {"textbook", peers.TENSOR} <= {row.solver for row in report.batch[0].rows}
    assert [(t.feeder, t.rows) for t in report.threads] == [("case33bw", 20)]
    assert [x.solver for x in report.limits] == [ours.SOLVE, ours.VOLTAGES]
    assert report.peaks is not None


@pytest.mark.slow
def test_every_solver_that_is_timed_is_right(pf_run: tuple[str, Path]) -> None:
    """Speed is compared at equal true error: each within the target of Newton at 1e-12, all below 1e-6."""
    report = PfReport.model_validate_json(pf_run[1].read_text())
    for comparison in (report.single, *report.scaling, *report.batch):
        assert comparison.agreement_pu < 1e-10
        assert comparison.target_error_pu <= 1e-6
        assert 0.8 < comparison.v_min_pu < 1.0
        timed = [row for row in comparison.rows if row.timing is not None]
        assert {row.solver for row in timed} >= {ours.SOLVE}
        for row in timed:
            assert row.status == "ok"
            assert row.true_error_pu is not None
            assert row.true_error_pu <= comparison.target_error_pu, (comparison.feeder, row.solver)


@pytest.mark.slow
def test_ratios_are_to_our_rows(pf_run: tuple[str, Path]) -> None:
    report = PfReport.model_validate_json(pf_run[1].read_text())
    for row in report.single.rows:
        if row.timing is not None:
            assert [r.of for r in row.ratios] == [ours.SOLVE, ours.STEPPER]
    own = next(row for row in report.single.rows if row.solver == ours.SOLVE)
    assert own.ratios[0].wall.median == own.ratios[0].cpu.median == 1.0


@pytest.mark.slow
def test_tables_name_machine_versions_targets_and_that_it_was_quick(pf_run: tuple[str, Path]) -> None:
    shown = pf_run[0]
    for words in (machine.describe().cpu, f"numpy {np.__version__}", "QUICK RUN", ">= 500", ">= 8", "<= 1.1"):
        assert words in shown


@pytest.mark.slow
def test_a_missing_peer_is_a_row_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "installed", lambda _: None)
    report = bench.bench_pf(quick=True, batch=2)
    for comparison in (report.single, *report.batch):
        rows = {row.solver: row for row in comparison.rows}
        for name in (peers.PGM_IC, peers.PGM_NR):
            assert rows[name].status == "not installed"
            assert rows[name].timing is None
        assert comparison.reference.startswith("pandapower")
        assert comparison.agreement_pu < 1e-10
    unknown = [t for t in report.targets if "power-grid-model" in t.name]
    assert unknown
    assert all(t.value is None and t.met is None for t in unknown)


def test_tensorpowerflow_runs_on_one_thread_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads of BLAS would make it look slow."""
    for name in peers.BLAS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(peers, "installed", lambda _: "0.0.7")
    prob = problem(cases.load("case33bw"))
    found = peers.tensorpowerflow(prob, (prob.p_mw[None], prob.q_mvar[None]))
    assert isinstance(found, Missing)
    assert "OPENBLAS_NUM_THREADS=1" in found.why


def test_a_peer_that_fails_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    prob = problem(cases.load("case33bw"))
    reference = newton(prob)

    def fail(_: float) -> None:
        raise ArithmeticError("no solution")

    failing = Contender("failing", "x", "", fail, lambda v: v, failures=(ArithmeticError,))
    absent = Missing("absent", "y", "", "not installed")
    report, _ = compare(
        "x", prob, [ours.single(prob)[0], failing, absent], reference, 0.0, 1e-8, Effort(2, 0)
    )
    assert [row.status for row in report.rows] == ["ok", "did not converge", "not installed"]


def test_a_negative_batch_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "pf", "--batch", "-1"])
    assert caught.value.code == 2
    assert "number of rows" in capsys.readouterr().err


def test_feeders_that_peers_model_differently_are_refused() -> None:
    feeder = cases.load("case33bw")
    branch = str(feeder.column("branches", "branch_id")[3])
    with pytest.raises(ValueError, match="ratios or phase shifts"):
        problem(feeder.with_tap(branch, tap=1.05))


@pytest.mark.parametrize("name", ["case33bw", "case141", "case533mt_hi"])
def test_the_textbook_sweep_finds_the_same_voltages(name: str) -> None:
    """The bar is an honest one: 21 rows are a full block of 16 lanes and a part of one."""
    prob = problem(cases.load(name))
    share = np.random.default_rng(1).uniform(0.5, 1.5, (21, prob.n_bus))
    p, q = share * prob.p_mw, share * prob.q_mvar
    contender = textbook(prob, p, q)
    v = contender.read(contender.call(1e-11))
    assert np.abs(v - physics.solve(prob.net, p, q, tol=1e-11).v).max() < 1e-9


# -- random trees ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_buses", [2, 50, 3000])
def test_random_trees_are_radial_realistic_and_seeded(n_buses: int) -> None:
    feeder = random_tree(n_buses, seed=3)
    assert (feeder.n_nodes, feeder.n_branches) == (n_buses, n_buses - 1)
    assert feeder.topology().is_radial
    assert feeder.equals(random_tree(n_buses, seed=3))
    assert not feeder.equals(random_tree(n_buses, seed=4))
    solution = physics.solve(physics.compile(feeder))
    assert solution.converged
    assert 0.9 < solution.v_pu.min() < 0.95 or n_buses == 2
    assert solution.v_pu.max() <= 1.0


def test_a_tree_needs_two_buses() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        random_tree(1)


# -- arithmetic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.1])
def test_exponent_of_a_power_law(slope: float) -> None:
    buses = [1_000, 3_162, 10_000, 100_000]
    assert timing.exponent(buses, [3e-7 * n**slope for n in buses]) == pytest.approx(slope, abs=1e-12)


def test_exponent_is_the_least_squares_slope() -> None:
    buses = [10, 100, 1000]
    seconds = [1.0, 20.0, 90.0]
    wanted = np.polyfit(np.log(buses), np.log(seconds), 1)[0]
    assert timing.exponent(buses, seconds) == pytest.approx(wanted, rel=1e-12)


def test_one_size_has_no_exponent() -> None:
    assert timing.exponent([100], [1.0]) is None
    assert timing.exponent([100, 100], [1.0, 2.0]) is None


def test_ratios_are_paired_before_the_median() -> None:
    """A slow round hits both: the ratio of the medians would be 4 / 2 here as well as anything else."""
    peer = Samples(np.array([2.0, 30.0, 4.0]), np.array([1.0, 2.0, 9.0]), 1)
    own = Samples(np.array([1.0, 10.0, 2.0]), np.array([1.0, 1.0, 3.0]), 1)
    ratio = timing.ratio("ours", peer, own)
    assert (ratio.wall.q1, ratio.wall.median, ratio.wall.q3) == (2.0, 2.0, 2.5)
    assert ratio.cpu.median == 2.0
    assert timing.ratio("ours", own, own).wall.median == 1.0


def test_a_target_is_held_against_the_smaller_ratio() -> None:
    def flat(value: float) -> Spread:
        return Spread(median=value, q1=value, q3=value)

    assert Ratio(of="x", wall=flat(9.0), cpu=flat(7.0)).least == 7.0
    assert Target(name="", wanted=8.0, value=8.0).met is True
    assert Target(name="", wanted=8.0, value=7.9).met is False
    assert Target(name="", wanted=1.1, value=1.2, at_most=True).met is False
    assert Target(name="", wanted=1.1, value=1.0, at_most=True).met is True
    assert Target(name="", wanted=8.0, value=None).met is None


def test_the_loosest_sufficient_tolerance_is_taken() -> None:
    tried: list[float] = []

    def call(tolerance: float) -> Any:
        tried.append(tolerance)
        return np.array([1.0 + 0.5 * tolerance])

    contender = Contender("x", "x", "", call, lambda v: v)
    reached = tune(contender, np.array([1.0 + 0j]), 1e-4)
    assert reached is not None
    assert reached.tolerance == pytest.approx(1e-4)
    assert tried == pytest.approx([1e-2, 1e-3, 1e-4])


def test_contenders_take_turns_and_the_first_call_is_not_timed() -> None:
    calls: list[str] = []
    work = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    samples = timing.take_turns(work, rounds=3, slice_s=0.0)
    assert {name: s.wall.size for name, s in samples.items()} == dict.fromkeys("abc", 3)
    assert calls[-9:] == list("abcbcacab")
    assert len(calls) > 9
    assert gc.isenabled()


# -- distgrid bench env ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_env_json_is_all_that_goes_to_stdout() -> None:
    result = CliRunner().invoke(
        build_app(), ["bench", "env", "--quick", "--json", "-"], catch_exceptions=False
    )
    report = EnvReport.model_validate_json(result.stdout)
    assert {row.env for row in report.rows} == {
        "DistGrid-33bw-v0", "VoltVar-33bw-v0", "DistGrid3Phase-ieee123-v0",
    }  # fmt: skip
    assert "QUICK RUN" in result.stderr
    assert ">= 20,000" in result.stderr
    assert ">= 8,000" in result.stderr
    for profile in report.profiles:
        assert sum(part.share for part in profile.parts) == pytest.approx(1.0)
        assert sum(part.microseconds for part in profile.parts) == pytest.approx(profile.step_us)
        words = " ".join(part.name for part in profile.parts)
        for part in ("physics", "resources", "observation", "info", "Python"):
            assert part in words, "a part was renamed in the environment: see bench/env.py"


@pytest.mark.slow
def test_vector_json_and_what_its_targets_are_held_against() -> None:
    result = CliRunner().invoke(
        build_app(), ["bench", "vector", "--quick", "--threads", "2", "--json", "-"], catch_exceptions=False
    )
    report = VectorReport.model_validate_json(result.stdout)
    assert "QUICK RUN" in result.stderr
    assert report.threads == 2
    assert {(r.env, r.way) for r in report.rows} == {
        (env, way) for env in (bench_vector_room.SMALL, bench_vector_room.LARGE, bench_vector_room.PHASES)
        for way in (bench_vector_room.OURS, bench_vector_room.PEER)
    }  # fmt: skip
    assert 0.05 < report.memory.peak_gb < 2.0
    for profile in report.profiles:
        assert sum(part.share for part in profile.parts) == pytest.approx(1.0)
        words = " ".join(part.name for part in profile.parts)
        for part in (
            "power flow",
            "measuring",
            "resources",
            "observation",
            "infos",
            "load profile",
            "Python",
        ):
            assert part in words, "a part was renamed in the environment: see bench/vector.py"


@pytest.mark.slow
def test_the_stopwatch_leaves_nothing_behind() -> None:
    assert bench_env_room.bench_env(quick=True).quick
    assert vars(dist)["step_info"] is info.step_info
    kept = dict(vars(vector_info.InfoArrays))
    for name in (bench_vector_room.SMALL, bench_vector_room.PHASES):
        bench_vector_room._profile(name, 8, 0, 2)
    assert dict(vars(vector_info.InfoArrays)) == kept


def test_nested_parts_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def spend(seconds: float) -> None:
        now[0] += seconds

    watch = stopwatch.Stopwatch()
    inner = watch.wrap("inner", spend)

    def outer() -> None:
        spend(1.0)
        inner(5.0)
        inner(2.0)
        spend(3.0)

    watch.wrap("outer", outer)()
    assert watch.parts() == {"inner": 7.0, "outer": 4.0}


def test_methods_come_back_also_on_frozen_objects() -> None:
    env = dist.DistGridEnv()
    watch = stopwatch.Stopwatch()
    with stopwatch.around(watch, [("task", env.task, "terms"), ("none", env.task, "no_such_method")]):
        env.reset(seed=0)
        env.step(env.neutral_action)
    assert set(watch.parts()) == {"task"}
    assert "terms" not in vars(env.task)


def test_numbers_for_quick_runs_and_full_runs_differ_in_size_only() -> None:
    """Capability claims are for 1,000 to 100,000 buses and the five feeders of the batch targets."""
    assert pf.SIZES[0] == 1_000
    assert pf.SIZES[-1] == 100_000
    assert set(pf.BATCH_FEEDERS) <= set(cases.names())
