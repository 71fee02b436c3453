"""All contenders on one problem: reference, equal error, turns on the clock, ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..contenders import balanced_peers as peers
from ..contenders import distgrid_balanced as ours
from ..contenders.contender import Contender, Missing, Tuned, true_error, tune
from ..problems.balanced import BalancedProblem, ComplexArray, FloatArray
from ..problems.phases import PhaseProblem
from ..report.results import Comparison, ReportRow
from .timing import Samples, ratio, take_turns, timing


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int
    slice_s: float


class Reference(NamedTuple):
    """Newton's answer, and the words that say whose."""

    v: ComplexArray
    words: str


#: Tolerances for the reference: the tightest at which Newton still ends (rounding stops it on large feeders).
_TIGHT = (1e-12, 1e-11, 1e-10)


def newton(problem: BalancedProblem, loads: tuple[FloatArray, FloatArray] | None = None) -> Reference:
    """Newton's solution: by pandapower for small single problems, else by power-grid-model if it is there.

    ``loads`` (rows, n) each: one solution per row. Without power-grid-model pandapower solves row by row.
    """
    if peers.has_pgm() and (loads is not None or problem.n_bus > 500):
        model = peers.pgm_model(problem)
        update = None if loads is None else peers.pgm_update(problem, *loads)
        run = partial(peers.run_pgm, model, "newton_raphson", update=update)
        failures: tuple[type[Exception], ...] = _failures(peers.power_grid_model(problem)[0])
        return tightest(lambda tol: peers.pgm_voltages(run(tol)), failures, "power-grid-model Newton", "pu")
    net = peers.pandapower_net(problem)
    failures = _failures(peers.pandapower(problem))

    def rows(tolerance: float) -> ComplexArray:
        if loads is None:
            return peers.pandapower_voltages(peers.run_pandapower(net, tolerance))
        found = []
        for p, q in zip(*loads, strict=True):
            net.load["p_mw"], net.load["q_mvar"] = p, q
            found.append(peers.pandapower_voltages(peers.run_pandapower(net, tolerance)))
        return np.array(found)

    return tightest(rows, failures, "pandapower Newton", "MVA")


def _failures(contender: Contender | Missing) -> tuple[type[Exception], ...]:
    return contender.failures if isinstance(contender, Contender) else ()


def tightest(
    solve: Callable[[float], ComplexArray], failures: tuple[type[Exception], ...], who: str, unit: str
) -> Reference:
    """``solve(tolerance)`` at the tightest tolerance at which ``who`` still ends."""
    for tolerance in _TIGHT:
        try:
            return Reference(solve(tolerance), f"{who} at {tolerance:.0e} {unit}")
        except failures:
            continue
    raise ValueError(f"{who} finds no solution to compare with: the problem is not solvable or too stiff")


def compare(
    name: str, problem: BalancedProblem | PhaseProblem, contenders: Sequence[Contender | Missing],
    reference: Reference,
    agreement_pu: float, target_error_pu: float, effort: Effort, solves_per_call: int = 1,
) -> tuple[Comparison, dict[str, Samples]]:  # fmt: skip
    """Tune every contender to the target error, time them in turns, and divide their times by ours."""
    tuned: dict[str, Tuned] = {}
    work: dict[str, Callable[[], object]] = {}
    before: dict[str, Callable[[], object]] = {}
    for contender in contenders:
        if isinstance(contender, Contender):
            reached = tune(contender, reference.v, target_error_pu)
            if reached is not None:
                tuned[contender.name] = reached
                work[contender.name] = partial(contender.call, reached.tolerance)
                if contender.prepare is not None:
                    before[contender.name] = partial(contender.prepare, reached.tolerance)
    samples = take_turns(work, rounds=effort.rounds, slice_s=effort.slice_s, before=before)
    own = [c.name for c in contenders if isinstance(c, Contender) and c.ours and c.name in samples]
    rows = [_row(c, tuned.get(c.name), samples, own) for c in contenders]
    comparison = Comparison(
        feeder=name, buses=problem.n_bus,
        phase_nodes=problem.n_phase_nodes if isinstance(problem, PhaseProblem) else None,
        solves_per_call=solves_per_call, target_error_pu=target_error_pu, reference=reference.words,
        agreement_pu=agreement_pu,
        v_min_pu=float(np.abs(reference.v).min()), rows=rows,
    )  # fmt: skip
    return comparison, samples


def _row(
    contender: Contender | Missing, tuned: Tuned | None, samples: dict[str, Samples], own: Sequence[str]
) -> ReportRow:
    row = ReportRow(solver=contender.name, package=contender.package, options=contender.options)
    if isinstance(contender, Missing):
        row.status = contender.why
        return row
    if tuned is None:
        row.status = "did not converge"
        return row
    mine = samples[contender.name]
    row.tolerance, row.tolerance_unit = tuned.tolerance, contender.unit
    row.true_error_pu, row.iterations = tuned.true_error_pu, tuned.iterations
    row.timing = timing(mine)
    row.ratios = [ratio(name, mine, samples[name]) for name in own]
    return row


def agreement(problem: BalancedProblem, reference: Reference, p_mw: FloatArray, q_mvar: FloatArray) -> float:
    """Distance of the reference from distgrid's own answer at 1e-12: two programs, one solution."""
    return true_error(ours.exact(problem, p_mw, q_mvar), reference.v)


def find(comparison: Comparison, solver: str) -> ReportRow | None:
    """The row of one solver that has numbers."""
    return next((r for r in comparison.rows if r.solver == solver and r.timing is not None), None)


def times(comparison: Comparison, peer: str, of: str = ours.SOLVE) -> float | None:
    """How many times faster ours is: the smaller of the wall and the processor ratio."""
    row = find(comparison, peer)
    if row is None:
        return None
    return next((r.least for r in row.ratios if r.of == of), None)
