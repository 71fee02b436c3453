"""`distgrid bench pf`: one power flow, how its cost grows, and batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ... import physics
from ...cases import load
from .contenders import balanced_peers as peers
from .contenders import distgrid_balanced as ours
from .contenders.textbook_balanced import textbook
from .harness.compare import Effort, agreement, compare, newton, times
from .harness.roofline import balanced_work
from .harness.timing import exponent
from .harness.utilisation import limits_of, measured_peaks, on_two_threads, thread_targets
from .problems.balanced import BalancedProblem, FloatArray, problem
from .problems.trees import random_tree
from .report.machine import describe
from .report.results import Comparison, Exponent, Limit, Peaks, PfReport, Target, Threads

SINGLE_FEEDER = "case33bw"
SIZES = (1_000, 3_162, 10_000, 31_623, 100_000)
BATCH_FEEDERS = ("case33bw", "case118zh", "case141", "case533mt_lo", "case533mt_hi")
TARGET_ERROR_PU = 1e-8  # one solve and scaling
BATCH_ERROR_PU = 1e-6
_CHECKED_ROWS = 64  # rows of a batch that are held against Newton's
_CHECKED_ROWS_PANDAPOWER = 4


def bench_pf(*, quick: bool = False, batch: int = 0, seed: int = 0) -> PfReport:
    """Time power flows of distgrid and of every installed peer.

    Args:
        quick: two small trees and a few short rounds: shows that everything works, no numbers to quote.
        batch: rows of a batch to time on the shipped feeders as well; 0: none.
        seed: of the random trees and of the batch's loads.

    Raises:
        ValueError: ``batch`` is negative.
    """
    if batch < 0:
        raise ValueError(f"batch must be 0 (none) or a number of rows, got {batch}")
    machine = describe()
    single = _single(Effort(3, 0.002) if quick else Effort(30, 0.05))
    sizes = (100, 316) if quick else SIZES
    scaling = [_scaling(n, seed, Effort(3, 0.002) if quick else Effort(9, 0.1)) for n in sizes]
    exponents = fit(scaling)
    report = PfReport(
        quick=quick, machine=machine, single=single, scaling=scaling, exponents=exponents, batch=[],
        threads=[], peaks=None, limits=[], targets=_targets(single, scaling, exponents),
    )  # fmt: skip
    if batch:
        _add_batches(report, batch, seed)
    return report


def _add_batches(report: PfReport, rows: int, seed: int) -> None:
    feeders = BATCH_FEEDERS[:1] if report.quick else BATCH_FEEDERS
    effort = Effort(3, 0.005) if report.quick else Effort(9, 0.3)
    peaks = measured_peaks(quick=report.quick)
    report.peaks = peaks
    for name in feeders:
        prob = problem(load(name))
        p, q = _drawn_loads(prob, rows, seed)
        found = _batch(name, prob, p, q, effort)
        report.batch.append(found)
        report.limits += _limits(found, prob, peaks)
        report.threads.append(_threads(found, prob, p, q, effort))
        report.targets += _batch_targets(found)
    report.targets += thread_targets(report.threads)


def _single(effort: Effort) -> Comparison:
    prob = problem(load(SINGLE_FEEDER))
    reference = newton(prob)
    contenders = [*ours.single(prob), *peers.power_grid_model(prob), peers.pandapower(prob)]
    agreed = agreement(prob, reference, prob.p_mw, prob.q_mvar)
    return compare(SINGLE_FEEDER, prob, contenders, reference, agreed, TARGET_ERROR_PU, effort)[0]


def _scaling(buses: int, seed: int, effort: Effort) -> Comparison:
    feeder = random_tree(buses, seed)
    prob = problem(feeder)
    reference = newton(prob)
    solve = ours.single(prob)[0]
    contenders = [solve, *peers.power_grid_model(prob), peers.pandapower(prob)]
    agreed = agreement(prob, reference, prob.p_mw, prob.q_mvar)
    return compare(feeder.name, prob, contenders, reference, agreed, TARGET_ERROR_PU, effort)[0]


def _batch(name: str, prob: BalancedProblem, p: FloatArray, q: FloatArray, effort: Effort) -> Comparison:
    rows = p.shape[0]
    checked = min(rows, _CHECKED_ROWS if peers.has_pgm() else _CHECKED_ROWS_PANDAPOWER)
    reference = newton(prob, (p[:checked], q[:checked]))
    agreed = agreement(prob, reference, p[:checked], q[:checked])
    contenders = [
        *ours.batch(prob, p, q), textbook(prob, p, q), *peers.power_grid_model(prob, (p, q)),
        peers.tensorpowerflow(prob, (p, q)),
    ]  # fmt: skip
    return compare(name, prob, contenders, reference, agreed, BATCH_ERROR_PU, effort, rows)[0]


def _limits(comparison: Comparison, prob: BalancedProblem, peaks: Peaks) -> list[Limit]:
    return limits_of(
        comparison, peaks, lambda name, count: balanced_work(prob.net, count, currents=name == ours.SOLVE)
    )


def _threads(
    comparison: Comparison, prob: BalancedProblem, p: FloatArray, q: FloatArray, effort: Effort
) -> Threads:
    memory = physics.solve(prob.net, p, q)
    return on_two_threads(
        comparison, lambda tol, n: physics.solve(prob.net, p, q, tol=tol, threads=n, out=memory), effort
    )


def _drawn_loads(prob: BalancedProblem, rows: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """(rows, n) MW and Mvar: every load of every row times its own draw from U(0.5, 1.5)."""
    share = np.random.default_rng(seed).uniform(0.5, 1.5, (rows, prob.n_bus))
    return share * prob.p_mw, share * prob.q_mvar


def fit(scaling: Sequence[Comparison]) -> list[Exponent]:
    """For every solver the exponent of its processor time over the sizes that it ran."""
    names = dict.fromkeys(row.solver for comparison in scaling for row in comparison.rows)
    fits = []
    for name in names:
        points = [
            (c.buses, row.timing.cpu_s.median)
            for c in scaling for row in c.rows
            if row.solver == name and row.timing is not None
        ]  # fmt: skip
        buses, seconds = [n for n, _ in points], [s for _, s in points]
        fits.append(Exponent(solver=name, exponent=exponent(buses, seconds), buses=buses))
    return fits


def _fastest_pgm(comparison: Comparison, of: str = ours.SOLVE) -> float | None:
    found = [times(comparison, peer, of) for peer in (peers.PGM_IC, peers.PGM_NR)]
    return min((x for x in found if x is not None), default=None)


def _targets(
    single: Comparison, scaling: Sequence[Comparison], exponents: Sequence[Exponent]
) -> list[Target]:  # fmt: skip
    found = []
    for of in (ours.SOLVE, ours.STEPPER):
        found += [
            Target(name=f"{single.feeder}, {of}: times faster than pandapower runpp", wanted=500.0,
                   value=times(single, peers.PANDAPOWER, of)),
            Target(name=f"{single.feeder}, {of}: times faster than power-grid-model's faster method",
                   wanted=8.0, value=_fastest_pgm(single, of)),
        ]  # fmt: skip
    grown = next((e.exponent for e in exponents if e.solver == ours.SOLVE), None)
    found.append(Target(name="exponent of cost over buses", wanted=1.1, value=grown, at_most=True))
    for c in scaling:
        name = f"{c.buses:,} buses: times faster than power-grid-model's iterative current"
        found.append(Target(name=name, wanted=8.0, value=times(c, peers.PGM_IC)))
    return found


def _batch_targets(comparison: Comparison) -> list[Target]:
    c = comparison
    wanted = 25.0 if c.feeder == SINGLE_FEEDER else 20.0
    head = f"{c.feeder} x {c.solves_per_call:,}: times faster than"
    found = [
        Target(name=f"{head} power-grid-model's iterative current", wanted=wanted,
               value=times(c, peers.PGM_IC)),
        Target(name=f"{head} the textbook sweep, voltages only", wanted=2.0,
               value=times(c, "textbook", ours.VOLTAGES)),
    ]  # fmt: skip
    if c.feeder == SINGLE_FEEDER:
        tensor = f"{head} tensorpowerflow, voltages only"  # which is what it gives
        found.append(Target(name=tensor, wanted=12.0, value=times(c, peers.TENSOR, ours.VOLTAGES)))
    return found
