"""`distgrid bench opf`: optimal power flow of one operating point and of a day with storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

import numpy as np

from ... import physics
from ...cases import Feeder, load
from ..optimal.branch_flow import NetworkLimits
from ..optimal.dispatch import optimal_dispatch
from ..optimal.dispatch_program import demand_of
from ..optimal.radial import radial_network
from ..optimal.redispatch import Redispatch
from ..optimal.schedule import Horizon, Schedule, optimal_schedule
from ..optimal.storage import Storage
from ..optimal.units import Unit
from .contenders.opf_peers import Peer, ipopt, runopp
from .harness.timing import Samples, ratio, take_turns, timing
from .report.machine import describe
from .report.results import OpfReport, OpfRow, ScheduleRow, Target

#: Feeder and the most milliseconds of a warm solve.
SINGLE = (("case33bw", 3.0), ("case118zh", 12.0), ("case533mt_hi", 60.0))
#: Feeder, steps of a day and the most seconds.
DAYS = (("case33bw", 96, 1.0), ("case118zh", 24, 0.6), ("case533mt_hi", 24, 5.0))
MOST_APART = 1e-5  # of the objective, from IPOPT's
MOST_ERROR_PU = 1e-6
WARM, ANEW = "distgrid, in place", "distgrid, built anew (Clarabel)"
_BAND = (0.85, 1.1)
_DRAWS, _PLANTS, _STORES = 16, 6, 10


def bench_opf(*, quick: bool = False, seed: int = 0) -> OpfReport:
    """Time least losses of one operating point, and the cheapest day of ten stores.

    A warm solve has other loads each time; it, and one with matrices built anew, end with the AC replay. The
    peers solve the nominal loads again and again.

    Args:
        quick: One feeder and short rounds: shows that everything works, no numbers to quote.
        seed: Of the loads.
    """
    machine = describe()
    rows = [
        row for name, _ in (SINGLE[:1] if quick else SINGLE) for row in _single(name, quick=quick, seed=seed)
    ]
    days = [
        _day(name, steps, quick=quick) for name, steps in ((DAYS[0][0], 8),)
    ] if quick else [_day(name, steps, quick=False) for name, steps, _ in DAYS]  # fmt: skip
    targets = [] if quick else [*_single_targets(rows), *_day_targets(days)]
    return OpfReport(quick=quick, machine=machine, rows=rows, days=days, targets=targets)


# -- one operating point -------------------------------------------------------------------------------------


def _plants(feeder: Feeder, total_mw: float) -> list[Unit]:
    """Six inverters along the feeder, together about as large as its load."""
    buses = [str(n) for n in feeder.column("nodes", "node_id")[5 :: feeder.n_nodes // _PLANTS][:_PLANTS]]
    p, q = 0.16 * total_mw, 0.13 * total_mw
    return [Unit(bus, bus, 0.0, p, -q, q) for bus in buses]


def _single(name: str, *, quick: bool, seed: int) -> Iterator[OpfRow]:
    feeder = load(name)
    net = physics.compile(feeder)
    units, limits = _plants(feeder, float(net.load_p_mw.sum())), NetworkLimits(_BAND, None)
    warm = Redispatch(net, units, limits=limits)
    share = np.random.default_rng(seed).uniform(0.5, 1.0, _DRAWS)
    loads = cycle([(s * net.load_p_mw, s * net.load_q_mvar) for s in share])
    network = radial_network(net)
    nominal = demand_of(net, network, None, None, None)
    peers = [peer for peer in (runopp(feeder, units, _BAND), ipopt(network, nominal, units, _BAND)) if peer]
    work: dict[str, Callable[[], object]] = {
        WARM: lambda: _again(warm, *next(loads)),
        ANEW: partial(optimal_dispatch, net, units, limits=limits),
        **{peer.name: peer.run for peer in peers},
    }
    samples = take_turns(work, rounds=3 if quick else 9, slice_s=0.002 if quick else 0.2)
    found = optimal_dispatch(net, units, limits=limits)
    error = max(_again(warm, s * net.load_p_mw, s * net.load_q_mvar) for s in share)
    yield _row(name, net.n_bus, WARM, samples, found.replay.objective, None, error)
    yield _row(name, net.n_bus, ANEW, samples, found.replay.objective, None, found.replay.v_error_pu)
    for peer in peers:
        yield _peer_row(name, net.n_bus, peer, samples, found.replay.objective)


def _again(warm: Redispatch, p_mw: np.ndarray, q_mvar: np.ndarray) -> float:
    """Solve with other loads; how far the replay is from the plan."""
    return warm.solve(p_mw=p_mw, q_mvar=q_mvar).replay.v_error_pu


def _row(
    name: str, buses: int, way: str, samples: dict[str, Samples], loss: float, apart: float | None,
    error: float | None,
) -> OpfRow:  # fmt: skip
    return OpfRow(
        feeder=name, buses=buses, way=way, timing=timing(samples[way]), loss_kw=1e3 * loss,
        ratio=None if way == WARM else ratio(way, samples[way], samples[WARM]), apart=apart, v_error_pu=error,
    )  # fmt: skip


def _peer_row(name: str, buses: int, peer: Peer, samples: dict[str, Samples], ours_mw: float) -> OpfRow:
    loss = peer.loss_mw()
    return _row(name, buses, peer.name, samples, loss, abs(loss - ours_mw) / ours_mw, None)


def _single_targets(rows: list[OpfRow]) -> list[Target]:
    found = []
    for name, most_ms in SINGLE:
        mine = next(row for row in rows if row.feeder == name and row.way == WARM)
        assert mine.v_error_pu is not None
        found.append(_target(f"{name}: ms of a warm solve", most_ms, 1e3 * mine.timing.cpu_s.median))
        found.append(_target(f"{name}: pu between plan and replay", MOST_ERROR_PU, mine.v_error_pu))
        exact = [row for row in rows if row.feeder == name and row.way.startswith("IPOPT")]
        found += [
            _target(f"{name}: objective beside IPOPT's", MOST_APART, row.apart)
            for row in exact
            if row.apart is not None
        ]
    return found


def _target(name: str, wanted: float, value: float) -> Target:
    return Target(name=name, wanted=wanted, value=value, at_most=True)


# -- a day with storage --------------------------------------------------------------------------------------


def day_with_storage(name: str, steps: int) -> Callable[[], Schedule]:
    """The schedule of ten stores over a day of so many steps, to be called."""
    feeder = load(name)
    net = physics.compile(feeder)
    hour = 24.0 / steps * np.arange(steps)
    share = 0.6 + 0.3 * np.sin((hour - 9.0) / 24.0 * 2.0 * np.pi)
    price = 50.0 + 30.0 * np.sin((hour - 10.0) / 24.0 * 2.0 * np.pi)
    total = float(net.load_p_mw.sum())
    ids = feeder.column("nodes", "node_id")
    buses = [str(ids[k]) for k in np.linspace(3, net.n_bus - 1, _STORES).astype(int)]
    storage = [
        Storage(f"storage {bus}", bus, 0.02 * total, 0.02 * total, 0.06 * total, 0.03 * total,
                q_max_mvar=0.01 * total, s_mva=0.022 * total, wear_usd_mwh=1.0)
        for bus in buses
    ]  # fmt: skip
    horizon = Horizon(24.0 / steps, price, share[:, None] * net.load_p_mw, share[:, None] * net.load_q_mvar)
    return partial(optimal_schedule, net, [], storage, horizon, limits=NetworkLimits(_BAND, None))


def _day(name: str, steps: int, *, quick: bool) -> ScheduleRow:
    planned = day_with_storage(name, steps)
    samples = take_turns({WARM: planned}, rounds=1 if quick else 5, slice_s=0.002)
    found = planned()
    return ScheduleRow(
        feeder=name, buses=found.solution.v_pu.shape[1], steps=steps, storage=_STORES,
        timing=timing(samples[WARM]), solver_s=found.seconds, status=found.status, usd=found.usd,
        relative_gap=found.gap / abs(found.bound), v_error_pu=found.v_error_pu,
    )  # fmt: skip


def _day_targets(days: list[ScheduleRow]) -> list[Target]:
    found = []
    for row, (name, steps, most_s) in zip(days, DAYS, strict=True):
        found.append(_target(f"{name}: s of a day of {steps} steps", most_s, row.timing.cpu_s.median))
        found.append(_target(f"{name}, day: pu between plan and replay", MOST_ERROR_PU, row.v_error_pu))
    return found
