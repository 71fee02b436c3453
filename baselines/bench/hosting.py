"""`distgrid bench hosting`: all buses of a feeder as one batch, beside one bus after another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...cases import Feeder, load
from ..hosting.capacity import Capacities, HostingStudy, Settings, flows_of
from ..hosting.limits import HostingLimits
from ..hosting.siting import Sites, each_bus
from .contenders.bus_by_bus import (
    ALONE,
    LONE,
    PANDAPOWER,
    Alone,
    bisected,
    pandapower_bisected,
    searched,
)
from .harness.timing import Samples, ratio, take_turns, timing
from .report.machine import describe, installed
from .report.results import HostingPeer, HostingReport, HostingRow, Target

BALANCED = HostingLimits((0.90, 1.10), 0.03, 0.0)
PER_PHASE = HostingLimits((0.95, 1.05), 0.03, 0.0, vuf_max_pct=3.0)
OURS = "distgrid"


@dataclass(frozen=True)
class _Question:
    """All candidates of a feeder, and the seconds that the answer may take; None: no target."""

    feeder: str
    limits: HostingLimits
    controls: str = "frozen"
    phases: str = "all"
    most_s: float | None = None

    @property
    def settings(self) -> Settings:
        return Settings(self.limits, controls=self.controls)


QUESTIONS = (
    _Question("case33bw", BALANCED),
    _Question("case118zh", BALANCED, most_s=1.0),
    _Question("case533mt_hi", BALANCED, most_s=8.0),
    _Question("ieee123", PER_PHASE, "frozen", "each", 5.0),
    _Question("ieee123", PER_PHASE, "band-floating", "each", 5.0),
)
_QUICK = (QUESTIONS[0], _Question("ieee13", PER_PHASE, "band-floating", "all"))


def bench_hosting(*, quick: bool = False) -> HostingReport:
    """Time the hosting capacity of every bus, beside bisection and search of one bus after another.

    On the clock is everything from the loaded feeder: compiling it, its power flow as it is, and the search.
    Peers answer some of the candidates, spread over the feeder; times are compared a candidate.

    Args:
        quick: Two small feeders and one round: shows that everything works, no numbers to quote.
    """
    machine = describe()
    rows = [_row(question, quick=quick) for question in (_QUICK if quick else QUESTIONS)]
    return HostingReport(quick=quick, machine=machine, rows=rows, targets=[] if quick else _targets(rows))


def _row(question: _Question, *, quick: bool) -> HostingRow:
    feeder, settings = load(question.feeder), question.settings
    sites = each_bus(flows_of(feeder, settings), None, question.phases)
    study = HostingStudy(feeder, settings)

    def ours() -> Capacities:
        return HostingStudy(feeder, settings).capacities(sites)

    found = ours()
    some = _some(len(sites), 3 if quick else 12)
    peers = {
        name: _Turn(alone, some[: 1 if quick and name == PANDAPOWER else most])
        for name, alone, most in _peers(feeder, study, sites)
    }
    work: dict[str, Callable[[], object]] = {OURS: ours, **peers}
    samples = take_turns(work, rounds=1 if quick else 5, slice_s=0.0)
    bracket, digits = _known_bracket(study, sites, found)
    return HostingRow(
        feeder=question.feeder, buses=feeder.n_nodes, candidates=len(sites), controls=question.controls,
        all_candidates=timing(samples[OURS]), most_s=question.most_s,
        power_flows_mean=float(found.power_flows.mean()), power_flows_most=int(found.power_flows.max()),
        bracket_power_flows=bracket, bracket_bound=digits,
        peers=[_peer(name, turn, found, samples[name], samples[OURS]) for name, turn in peers.items()],
    )  # fmt: skip


def _peer(name: str, turn: _Turn, found: Capacities, samples: Samples, ours: Samples) -> HostingPeer:
    each = _each(samples, len(turn.candidates))
    return HostingPeer(
        name=name, candidates=len(turn.candidates), each=timing(each),
        power_flows_mean=float(np.mean([asked for _, asked in turn.found])),
        ratio=ratio(OURS, each, _each(ours, len(found.sites))),
        disagreement_kw=1e3 * float(np.abs(turn.sizes - found.max_mw[turn.candidates]).max()),
    )  # fmt: skip


def _peers(feeder: Feeder, study: HostingStudy, sites: Sites) -> list[tuple[str, Alone, int]]:
    """Name, how a candidate is answered, and how many of them are."""
    if any(judge.scanned for judge in study.judges):
        return [(ALONE, searched(study, sites), 12)]
    peers = [(LONE, bisected(study, sites), 12)]
    if not study.flows.per_phase and installed("pandapower") is not None:
        peers.append((PANDAPOWER, pandapower_bisected(feeder, study.settings, sites, study.max_mw), 3))
    return peers


class _Turn:
    """Some candidates, one after another; keeps the last answers."""

    def __init__(self, alone: Alone, candidates: list[int]) -> None:
        self.alone, self.candidates = alone, candidates
        self.found: list[tuple[float, int]] = []

    def __call__(self) -> None:
        self.found = [self.alone(candidate) for candidate in self.candidates]

    @property
    def sizes(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([size for size, _ in self.found])


def _some(n: int, count: int) -> list[int]:
    """Candidates spread over all, the first of them spread too."""
    spread = np.unique(np.linspace(0, n - 1, min(n, count)).astype(np.int64))
    return np.random.default_rng(0).permutation(spread).tolist()


def _known_bracket(study: HostingStudy, sites: Sites, found: Capacities) -> tuple[int | None, int | None]:
    """Most power flows of a candidate between 0 and a size that none takes, and what bisection plus four is;
    None where controls act: sizes are scanned there.
    """
    if any(judge.scanned for judge in study.judges) or len(study.judges) > 1:
        return None, None
    top = min(1.25 * float(found.max_mw.max()), study.max_mw)
    known = study.capacities(sites, (0.0, top))
    return int(known.power_flows.max()), math.ceil(math.log2(top / study.settings.tol_mw)) + 4


def _each(samples: Samples, candidates: int) -> Samples:
    """Of one candidate."""
    return Samples(samples.wall / candidates, samples.cpu / candidates, samples.calls)


def _targets(rows: list[HostingRow]) -> list[Target]:
    found = []
    for row in rows:
        who = f"{row.feeder}, {row.candidates} candidates, controls {row.controls}"
        if row.most_s is not None:
            seconds = row.all_candidates.wall_s.median
            found.append(Target(name=f"{who}: seconds", wanted=row.most_s, value=seconds, at_most=True))
        if row.bracket_power_flows is not None and row.bracket_bound is not None:
            found.append(
                Target(name=f"{who}: power flows of a candidate, bracket known", wanted=row.bracket_bound,
                       value=row.bracket_power_flows, at_most=True)
            )  # fmt: skip
    return found
