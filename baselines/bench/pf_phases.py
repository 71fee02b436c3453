"""`distgrid bench pf --phases 3`: unbalanced power flows, one at a time and in batches."""

from __future__ import annotations

from functools import partial

import numpy as np

from ...cases import load
from .contenders import balanced_peers as peers
from .contenders import distgrid_phases as ours3
from .contenders import opendss
from .contenders import power_grid_model as pgm3
from .contenders import textbook_phases as textbook3
from .contenders.contender import true_error
from .contenders.distgrid_balanced import SOLVE, VOLTAGES
from .contenders.nodal_admittance import nodal_voltages
from .harness.compare import Effort, Reference, compare, find, tightest, times
from .harness.roofline import per_phase_work
from .harness.utilisation import limits_of, measured_peaks, on_two_threads, thread_targets
from .problems.balanced import FloatArray
from .problems.phase_trees import random_tree3
from .problems.phases import PhaseProblem, problem3
from .report.machine import describe
from .report.results import Comparison, Pf3Report, Target

FEEDER = "ieee123"
LARGE = 8_500  # phase nodes, as many as the IEEE 8500-node feeder has
TARGET_ERROR_PU = 1e-6
STEPS = 16  # single solves walk through so many loads
_CHECKED_ROWS = 64  # rows of a batch that are held against the reference
LARGE_MS = 2.0


def bench_pf3(*, quick: bool = False, batch: int = 0, seed: int = 0) -> Pf3Report:
    """Time unbalanced power flows of distgrid and of every installed peer.

    Args:
        quick: a small tree and a few short rounds: shows that everything works, no numbers to quote.
        batch: rows of a batch of IEEE 123 to time as well; 0: none.
        seed: of the random tree and of the loads.

    Raises:
        ValueError: ``batch`` is negative.
    """
    if batch < 0:
        raise ValueError(f"batch must be 0 (none) or a number of rows, got {batch}")
    machine = describe()
    small = problem3(load(FEEDER))
    single = [
        _single(small, seed, Effort(3, 0.002) if quick else Effort(30, 0.05)),
        _single(
            random_tree3(100 if quick else LARGE, seed), seed, Effort(3, 0.002) if quick else Effort(9, 0.1)
        ),
    ]
    report = Pf3Report(
        quick=quick, machine=machine, single=single, batch=[], threads=[], peaks=None, limits=[],
        targets=_single_targets(*single),
    )  # fmt: skip
    if batch:
        _add_batch(report, small, batch, seed, Effort(3, 0.005) if quick else Effort(7, 0.3))
    return report


def _add_batch(report: Pf3Report, problem: PhaseProblem, rows: int, seed: int, effort: Effort) -> None:
    share = np.random.default_rng(seed).uniform(0.5, 1.5, (rows, problem.n_bus, 3))
    p, q = share * problem.p_mw, share * problem.q_mvar
    found, peaks = _batch(problem, p, q, effort), measured_peaks(quick=report.quick)
    threads = on_two_threads(found, ours3.on_threads(problem, p, q), effort)
    report.batch.append(found)
    report.peaks = peaks
    report.limits += limits_of(
        found, peaks, lambda of, count: per_phase_work(problem, count, currents=of == SOLVE)
    )
    report.threads.append(threads)
    report.targets += [*_batch_targets(found), *thread_targets([threads])]


def _single(problem: PhaseProblem, seed: int, effort: Effort) -> Comparison:
    levels = np.random.default_rng(seed).uniform(0.5, 1.5, STEPS)
    p, q = (levels[:, None, None] * nominal for nominal in (problem.p_mw, problem.q_mvar))
    contenders = [
        *ours3.single(problem, p, q), textbook3.single(problem, p, q), *opendss.opendss(problem, levels),
        *pgm3.single(problem, p, q),
    ]  # fmt: skip
    reference = truth(problem, p, q)
    agreed = true_error(ours3.exact(problem, p, q), reference.v)
    return compare(problem.name, problem, contenders, reference, agreed, TARGET_ERROR_PU, effort)[0]


def _batch(problem: PhaseProblem, p: FloatArray, q: FloatArray, effort: Effort) -> Comparison:
    contenders = [
        *ours3.batch(problem, p, q), textbook3.batch(problem, p, q), *pgm3.batch(problem, p, q)
    ]  # fmt: skip
    reference = truth(problem, p[:_CHECKED_ROWS], q[:_CHECKED_ROWS])
    agreed = true_error(ours3.exact(problem, p[:_CHECKED_ROWS], q[:_CHECKED_ROWS]), reference.v)
    return compare(problem.name, problem, contenders, reference, agreed, TARGET_ERROR_PU, effort, len(p))[0]


def truth(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> Reference:
    """(rows, phase nodes) voltages by power-grid-model's Newton, without it by the node equations."""
    if not peers.has_pgm():
        return Reference(nodal_voltages(problem, p_mw, q_mvar), "the node equations, factored by SuperLU")
    run = partial(pgm3.run, pgm3.model(problem), "newton_raphson", given=pgm3.update(problem, p_mw, q_mvar))
    return tightest(
        lambda tol: pgm3.voltages(problem, run(tol)), pgm3.failures(), "power-grid-model Newton", "pu"
    )


def _fastest_pgm(comparison: Comparison, of: str) -> float | None:
    found = [times(comparison, peer, of) for peer in (peers.PGM_IC, peers.PGM_NR)]
    return min((x for x in found if x is not None), default=None)


def _single_targets(small: Comparison, large: Comparison) -> list[Target]:
    found = [
        Target(name=f"{small.feeder}, {of}: times faster than {peer}", wanted=10.0,
               value=times(small, peer, of))
        for of in (SOLVE, ours3.STEPPER) for peer in (opendss.FLAT, opendss.LAST)
    ]  # fmt: skip
    row = find(large, SOLVE)
    took = None if row is None or row.timing is None else row.timing.wall_s.median * 1e3
    name = f"{large.feeder}, {large.phase_nodes:,} phase nodes: milliseconds of one {SOLVE}"
    return [*found, Target(name=name, wanted=LARGE_MS, value=took, at_most=True)]


def _batch_targets(comparison: Comparison) -> list[Target]:
    head = f"{comparison.feeder} x {comparison.solves_per_call:,}"
    return [
        Target(name=f"{head}, {of}: times faster than power-grid-model's faster method", wanted=25.0,
               value=_fastest_pgm(comparison, of))
        for of in (SOLVE, VOLTAGES) if find(comparison, of) is not None
    ]  # fmt: skip
