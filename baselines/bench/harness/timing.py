"""Fair timing on a machine that others use too: contenders take turns, ratios are paired."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..report.results import Ratio, Spread, Timing

FloatArray = NDArray[np.float64]


class Samples(NamedTuple):
    """Seconds per call in each round."""

    wall: FloatArray
    cpu: FloatArray
    calls: int


def take_turns(
    work: Mapping[str, Callable[[], object]], *, rounds: int, slice_s: float,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Samples]:  # fmt: skip
    """Time every function once per round, ``slice_s`` seconds or at least one call each.

    What slows the machine down for a while so hits all contenders of a round alike, and the order turns from
    round to round. Each is called beforehand, so that nothing is compiled or loaded on the clock. The
    garbage collector rests meanwhile. ``before``: what some need before every call, off the clock.
    """
    before = before or {}
    calls = {name: _calls_in(function, slice_s, before.get(name)) for name, function in work.items()}
    wall: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(names) if names else 0
            for name in names[first:] + names[:first]:
                seconds = _time(work[name], calls[name], before.get(name))
                wall[name].append(seconds[0])
                cpu[name].append(seconds[1])
    finally:
        if collecting:
            gc.enable()
    return {name: Samples(np.array(wall[name]), np.array(cpu[name]), calls[name]) for name in work}


def _time(
    function: Callable[[], object], calls: int, before: Callable[[], object] | None
) -> tuple[float, float]:
    """Wall and processor seconds per call."""
    if before is not None:
        return _time_apart(function, calls, before)
    repeat = range(calls)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in repeat:
        function()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / calls, cpu / calls


def _time_apart(
    function: Callable[[], object], calls: int, before: Callable[[], object]
) -> tuple[float, float]:
    """The same with the clocks stopped while ``before`` runs."""
    total_wall = total_cpu = 0.0
    for _ in range(calls):
        before()
        cpu, wall = time.process_time(), time.perf_counter()
        function()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        total_wall += wall
        total_cpu += cpu
    return total_wall / calls, total_cpu / calls


def _calls_in(function: Callable[[], object], slice_s: float, before: Callable[[], object] | None) -> int:
    """How many calls fill ``slice_s``; the first call is not counted, it may compile."""
    if before is not None:
        before()
    function()
    calls = 1
    while True:
        seconds = _time(function, calls, before)[0] * calls
        if seconds >= 0.2 * slice_s:
            return max(1, round(calls * slice_s / seconds))
        calls *= 4


def spread(values: Sequence[float] | FloatArray) -> Spread:
    """Median and quartiles."""
    q1, median, q3 = (float(x) for x in np.percentile(np.asarray(values), (25, 50, 75)))
    return Spread(median=median, q1=q1, q3=q3)


def timing(samples: Samples) -> Timing:
    """The samples as they are reported."""
    return Timing(
        wall_s=spread(samples.wall),
        cpu_s=spread(samples.cpu),
        rounds=len(samples.wall),
        calls_per_round=samples.calls,
    )


def ratio(of: str, peer: Samples, ours: Samples) -> Ratio:
    """Peer time over our time, paired round by round: above 1 where we are faster."""
    return Ratio(of=of, wall=spread(peer.wall / ours.wall), cpu=spread(peer.cpu / ours.cpu))


def best_ratio(peer: Samples, ours: Samples) -> float:
    """Wall time of the peer's best round over that of ours."""
    return float(peer.wall.min() / ours.wall.min())


def exponent(buses: Sequence[int], seconds: Sequence[float]) -> float | None:
    """Least-squares slope of log(seconds) over log(buses); None for fewer than two different sizes."""
    x, y = np.log(np.asarray(buses, dtype=np.float64)), np.log(np.asarray(seconds, dtype=np.float64))
    if x.size < 2 or np.ptp(x) == 0.0:
        return None
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())
