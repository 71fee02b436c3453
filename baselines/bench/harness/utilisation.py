"""How much of the machine a batch uses: one core against its limits, two threads against one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ....physics.numba_tools.threads import ROWS_WORTH_A_THREAD
from ..contenders.distgrid_balanced import SOLVE, VOLTAGES
from ..report.results import Comparison, Limit, Peaks, Target, Threads
from .compare import Effort, find
from .peaks import bandwidth, memory_bandwidth, vector_peak
from .roofline import Work, limit
from .timing import best_ratio, spread, take_turns

_WORTH_TWO = 2 * ROWS_WORTH_A_THREAD


def measured_peaks(*, quick: bool) -> Peaks:
    """What one core of this machine can do."""
    return Peaks(memory_bytes_per_s=memory_bandwidth(quick=quick), flops_per_s=vector_peak(quick=quick))


def limits_of(comparison: Comparison, peaks: Peaks, work: Callable[[str, float], Work]) -> list[Limit]:
    """For each of ours that was timed: its work, what that takes at least, and what it took."""
    found = []
    for solver in (SOLVE, VOLTAGES):
        row = find(comparison, solver)
        if row is None or row.timing is None or row.iterations is None:
            continue
        rows = comparison.solves_per_call
        needed = work(solver, row.iterations)
        found.append(
            limit(comparison.feeder, solver, rows, needed, peaks, bandwidth(round(needed.block_bytes)),
                  row.timing.cpu_s.median / rows)
        )  # fmt: skip
    return found


def on_two_threads(comparison: Comparison, solve: Callable[[float, int], object], effort: Effort) -> Threads:
    """``solve(tolerance, threads)`` on one and on two threads, at the tolerance of the comparison."""
    row = find(comparison, SOLVE)
    assert row is not None
    assert row.tolerance is not None
    work = {str(n): partial(solve, row.tolerance, n) for n in (1, 2)}
    samples = take_turns(work, rounds=effort.rounds, slice_s=effort.slice_s)
    one, two = samples["1"], samples["2"]
    return Threads(
        feeder=comparison.feeder, rows=comparison.solves_per_call, one_s=spread(one.wall),
        two_s=spread(two.wall), ratio=spread(one.wall / two.wall), best_ratio=best_ratio(one, two),
    )  # fmt: skip


def thread_targets(threads: Sequence[Threads]) -> list[Target]:
    """Two threads against one; of a batch too small for two nothing is wanted."""
    return [
        Target(name=f"{t.feeder} x {t.rows:,}: two threads against one, best rounds", wanted=1.8,
               value=t.best_ratio if t.rows >= _WORTH_TWO else None)
        for t in threads
    ]  # fmt: skip
