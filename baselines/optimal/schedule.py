"""Optimal schedules: units and storage of a radial feeder over many steps, with a bound and the AC replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ... import physics
from ..errors import RunError, unknown
from .affine import Affine, FloatArray, IntArray
from .branch_flow import BranchFlow, Demand, NetworkLimits, add_branch_flow
from .conflicts import solved_or_conflicts
from .conic import Compiled, ConicSolution
from .program import Limit, Program
from .radial import RadialNetwork, radial_network
from .replay import beyond_band
from .storage import Storage, StorageColumns, add_storage, netted
from .units import Unit
from .verdict import REPLAY_PU, better, status_of

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Horizon:
    """Steps of a schedule.

    Attributes:
        dt_h: Length of a step.
        price_usd_mwh: (steps,) of what the sources deliver, and of what they take back.
        p_mw, q_mvar: (steps, n_bus) loads; None: the nominal ones at each step.
        p_max_mw: (steps, n_unit) most power of units, in place of that of `Unit`; None: that of `Unit`.
        v_source_pu: Of all sources; None: as stored.
    """

    dt_h: float
    price_usd_mwh: FloatArray
    p_mw: FloatArray | None = None
    q_mvar: FloatArray | None = None
    p_max_mw: FloatArray | None = None
    v_source_pu: float | None = None


@dataclass(frozen=True, eq=False)
class Schedule:
    """Setpoints of all steps, replayed; (steps, n) arrays, positive when fed in.

    Attributes:
        p_mw, q_mvar: Of the units.
        storage_p_mw, storage_q_mvar: Of storage, which never charges and discharges in one step.
        stored_mwh: In store after each step.
        solution: The AC power flow of each step.
        usd: What it costs in the AC power flow: energy of the sources, units, wear, peak.
        bound: No schedule that keeps the limits costs less: from the dual of the relaxation.
        gap: Between them, at least 0 up to rounding.
        status: "optimal" (the replay keeps all limits, gap within the tolerance), "feasible" (it keeps them),
            "inexact" (it does not).
        v_error_pu: Largest difference of voltage between the relaxation and the AC power flow.
        violation: Largest excess over a limit in the replay, in its own unit.
        tightened: Whether voltages without losses were held below the limit to make the plan real.
        seconds: Of the solver.
    """

    units: tuple[Unit, ...]
    storage: tuple[Storage, ...]
    p_mw: FloatArray
    q_mvar: FloatArray
    storage_p_mw: FloatArray
    storage_q_mvar: FloatArray
    stored_mwh: FloatArray
    solution: physics.Solution
    usd: float
    bound: float
    gap: float
    status: str
    v_error_pu: float
    violation: float
    tightened: bool
    seconds: float


def optimal_schedule(
    net: physics.Network, units: Sequence[Unit], storage: Sequence[Storage], horizon: Horizon, *,
    limits: NetworkLimits | None = None, peak_usd_per_mw: float = 0.0, gap_tolerance: float = 1e-4,
) -> Schedule:  # fmt: skip
    """The cheapest schedule of units and storage of a radial balanced feeder.

    The branch flow relaxation over all steps gives the schedule and, from its dual, a bound. Power of storage
    is netted, every step is replayed through the AC power flow, and where that is not the plan or breaks a
    limit, the relaxation is tightened and solved again.

    Args:
        net: Compiled.
        units: What is dispatched in each step.
        storage: What carries energy between steps.
        horizon: Steps, prices, loads.
        limits: Of the network; None: the band [0.95, 1.05] and the ratings.
        peak_usd_per_mw: Price of the largest power from the sources, where it is above 0.
        gap_tolerance: Relative gap up to which a schedule is called optimal.

    Raises:
        InfeasibleError: No schedule keeps the limits; those that conflict are named.
        RunError: A feeder that the relaxation does not cover, unknown buses, arrays of another shape.
    """
    limits = NetworkLimits() if limits is None else limits
    network = radial_network(net)
    asked = _Asked.of(network, units, storage, horizon, limits, peak_usd_per_mw)
    built = _Built(asked, limits)
    found = built.solved()
    first = _schedule(built, found, found.bound.value, gap_tolerance)
    if first.status == "optimal" or first.v_error_pu <= REPLAY_PU or limits.lossless_voltages:
        return first
    tight = _Built(asked, replace(limits, lossless_voltages=True))
    again = tight.solution()
    if not again.solved:
        return first
    second = _schedule(tight, again, found.bound.value, gap_tolerance)
    return second if better((second.violation, second.gap), (first.violation, first.gap)) else first


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is asked for, checked."""

    network: RadialNetwork
    units: tuple[Unit, ...]
    storage: tuple[Storage, ...]
    at: IntArray  # (n_unit + n_storage,) bus rows
    dt_h: float
    price: FloatArray
    p_max: FloatArray  # (steps, n_unit)
    demand: Demand
    peak: float

    @property
    def steps(self) -> int:
        return int(self.price.size)

    @classmethod
    def of(
        cls, network: RadialNetwork, units: Sequence[Unit], storage: Sequence[Storage], horizon: Horizon,
        limits: NetworkLimits, peak: float,
    ) -> _Asked:  # fmt: skip
        net = network.net
        everything: list[Unit | Storage] = [*units, *storage]
        index, names = net.feeder.node_index, [one.name for one in everything]
        for one in everything:
            if one.bus not in index:
                raise unknown(f"{one.name!r}: bus", one.bus, index)
            if network.position[index[one.bus]] < 0:
                raise RunError(f"{one.name!r}: bus {one.bus!r} has no connection to a source")
            if names.count(one.name) > 1:
                raise RunError(f"{one.name!r} is there twice: give each its own name")
        limits.check(net.feeder)
        for name, value, least in (("dt_h", horizon.dt_h, 1e-9), ("peak_usd_per_mw", peak, 0.0)):
            if not (np.isfinite(value) and value >= least):
                raise RunError(
                    f"{name} must be finite and {'above' if least else 'at least'} 0, got {value!r}"
                )
        price = _array("price_usd_mwh", horizon.price_usd_mwh, (np.size(horizon.price_usd_mwh),))
        t, most = price.size, np.array([unit.p_max_mw for unit in units])
        p_max = np.tile(most, (t, 1)) if horizon.p_max_mw is None else horizon.p_max_mw
        p_max = _array("p_max_mw", p_max, (t, len(units)))
        low = np.array([unit.p_min_mw for unit in units])
        if (p_max < low).any():
            k = int(np.argwhere(p_max < low)[0, 1])
            raise RunError(f"p_max_mw of unit {units[k].name!r} falls below its p_min_mw {low[k]:g}")
        at = np.array([index[one.bus] for one in everything], dtype=np.int64)
        demand = _demand(network, horizon, t)
        return cls(network, tuple(units), tuple(storage), at, horizon.dt_h, price, p_max, demand, peak)


def _array(name: str, given: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    found = np.asarray(given, dtype=np.float64)
    if found.shape != shape or not np.isfinite(found).all() or not found.shape[0]:
        raise RunError(f"{name} must be finite numbers of shape {shape}, got shape {found.shape}")
    return found


def _demand(network: RadialNetwork, horizon: Horizon, steps: int) -> Demand:
    net = network.net
    load = []
    for name, given, nominal in (
        ("p_mw", horizon.p_mw, net.load_p_mw), ("q_mvar", horizon.q_mvar, net.load_q_mvar)
    ):  # fmt: skip
        values = np.tile(nominal, (steps, 1)) if given is None else given
        load.append(_array(name, values, (steps, net.n_bus))[:, network.node])
    stored = net.feeder.column("sources", "v_pu")[network.source].astype(np.float64)
    source = stored if horizon.v_source_pu is None else np.full(stored.size, float(horizon.v_source_pu))
    return Demand(load[0], load[1], np.tile(source, (steps, 1)))


class _Built:
    """A schedule as a conic program."""

    def __init__(self, asked: _Asked, limits: NetworkLimits) -> None:
        self.asked, self.limits = asked, limits
        self.program, self.flow, self.p, self.q, self.store = self._put_together(elastic=False)

    def solved(self) -> ConicSolution:
        """The solution; InfeasibleError that names what conflicts where there is none."""
        return solved_or_conflicts(self.solution(), lambda: self._put_together(elastic=True)[0])

    def solution(self) -> ConicSolution:
        """What the solver ends with."""
        return Compiled(self.program, tolerance=_TOLERANCE).solve()

    def _put_together(
        self, elastic: bool
    ) -> tuple[Program, BranchFlow, Affine, Affine, StorageColumns | None]:
        program, asked = Program(elastic=elastic), self.asked
        network, n = asked.network, len(asked.units)
        p, q = _unit_columns(program, asked)
        store = add_storage(program, asked.storage, asked.steps, asked.dt_h) if asked.storage else None
        at = network.position[asked.at]
        reach = np.zeros(network.size)
        np.add.at(reach, at, _sizes(asked))
        into_p, into_q = (part.scattered(at[:n], network.size) for part in (p, q))
        if store is not None:
            into_p = into_p + store.p.scattered(at[n:], network.size)
            into_q = into_q + store.q.scattered(at[n:], network.size)
        flow = add_branch_flow(program, network, asked.demand, into_p, into_q, self.limits, reach)
        program.minimise(_usd(program, asked, flow, p, store))
        return program, flow, p, q, store


def _sizes(asked: _Asked) -> FloatArray:
    units = [
        np.hypot(max(abs(u.p_min_mw), asked.p_max[:, k].max()), max(abs(u.q_min_mvar), abs(u.q_max_mvar)))
        for k, u in enumerate(asked.units)
    ]
    return np.array(
        [*units, *(np.hypot(max(s.charge_mw, s.discharge_mw), s.q_max_mvar) for s in asked.storage)]
    )


def _unit_columns(program: Program, asked: _Asked) -> tuple[Affine, Affine]:
    """(steps, n_unit) P and Q within boxes and circles."""
    units, shape = asked.units, asked.p_max.shape
    names = np.array([unit.name for unit in units], dtype=object)
    columns = []
    for part, unit, low, high in (
        ("p", "MW", np.array([u.p_min_mw for u in units]), asked.p_max),
        ("q", "Mvar", np.array([u.q_min_mvar for u in units]), np.array([u.q_max_mvar for u in units])),
    ):
        least, most = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
        found = program.columns(shape, np.maximum(np.abs(least), np.abs(most)) + 1e-6)
        wide = (most > least) | program.elastic
        who = np.broadcast_to(names, shape)[wide]
        if (~wide).any():
            program.zero(found[~wide] - least[~wide])
        if wide.any():
            above, below = most[wide] - found[wide], found[wide] - least[wide]
            program.nonneg(above, Limit(f"{part}_max", unit, who, most[wide], np.ones(who.size)))
            program.nonneg(below, Limit(f"{part}_min", unit, who, least[wide], np.ones(who.size)))
        columns.append(found)
    p, q = columns
    round_ = np.flatnonzero([np.isfinite(unit.s_mva) for unit in units])
    if round_.size:
        most = np.array([unit.s_mva for unit in units])[round_]
        head = Affine(np.broadcast_to(most, (asked.steps, round_.size)))
        limit = Limit("s_max", "MVA", names[round_], most, np.ones(round_.size))
        program.cone(head, p[:, round_], q[:, round_], limit=limit)
    return p, q


def _usd(
    program: Program, asked: _Asked, flow: BranchFlow, p: Affine, store: StorageColumns | None
) -> Affine:
    """(shape ()) energy of the sources, costs of units, wear of storage, peak."""
    total = (asked.dt_h * asked.price * flow.p_source_mw).sum()
    for k, unit in enumerate(asked.units):
        c2, c1, c0 = unit.cost
        own = p[:, k]
        total = total + (asked.dt_h * c1 * own).sum() + asked.dt_h * c0 * asked.steps
        if c2 > 0.0:
            total = total + program.square(own, asked.dt_h * c2).sum()
        if unit.points:
            slope, intercept = unit.pieces.T
            top = program.columns((asked.steps, 1), max(abs(cost) for _, cost in unit.points) + 1e-6)
            program.nonneg(top - (own.reshape(-1, 1) * slope + intercept))
            total = total + (asked.dt_h * top).sum()
    if store is not None:
        wear = np.array([one.wear_usd_mwh for one in asked.storage])
        total = total + (asked.dt_h * wear * (store.charge + store.discharge)).sum()
    if asked.peak > 0.0:
        total = total + asked.peak * program.most(flow.p_source_mw, floor=0.0)
    return total


# -- the replay ----------------------------------------------------------------------------------------------


def _schedule(built: _Built, found: ConicSolution, bound: float, tolerance: float) -> Schedule:
    asked = built.asked
    p, q = built.p.at(found.x), built.q.at(found.x)
    stored_p, stored_q, stored = (np.zeros((asked.steps, len(asked.storage))) for _ in range(3))
    if built.store is not None:
        into, out = built.store.charge.at(found.x), built.store.discharge.at(found.x)
        stored_p, stored = netted(asked.storage, into, out, asked.dt_h)
        stored_q = built.store.q.at(found.x)
    sol = _replayed(asked, np.hstack([p, stored_p]), np.hstack([q, stored_q]))
    v = np.sqrt(np.maximum(built.flow.v.at(found.x), 0.0))
    error = float(np.abs(sol.v_pu[:, asked.network.node] - v).max()) if sol.converged.all() else np.inf
    usd = _replayed_usd(asked, sol, p, stored_p)
    violation = max(_excess(asked.network, sol, built.limits), _ramp_excess(asked, stored_p))
    gap = usd - bound
    status = status_of(violation, gap, bound, tolerance)
    return Schedule(
        asked.units, asked.storage, p, q, stored_p, stored_q, stored, sol, usd, bound, gap, status, error,
        violation, built.limits.lossless_voltages, found.seconds,
    )  # fmt: skip


def _replayed(asked: _Asked, p: FloatArray, q: FloatArray) -> physics.Solution:
    network, net = asked.network, asked.network.net
    load_p, load_q, into_p, into_q = (np.zeros((asked.steps, net.n_bus)) for _ in range(4))
    load_p[:, network.node], load_q[:, network.node] = asked.demand.p_mw, asked.demand.q_mvar
    for k, bus in enumerate(asked.at):
        into_p[:, bus] += p[:, k]
        into_q[:, bus] += q[:, k]
    source = np.tile(np.array(net.feeder.column("sources", "v_pu"), dtype=np.float64), (asked.steps, 1))
    source[:, network.source] = asked.demand.v_source_pu
    return physics.solve(
        net, load_p, load_q, p_inject_mw=into_p, q_inject_mvar=into_q, v_source_pu=source, tol=1e-11
    )


def _replayed_usd(asked: _Asked, sol: physics.Solution, p: FloatArray, stored_p: FloatArray) -> float:
    energy = float(asked.price @ sol.p_slack_mw)
    own = sum(unit.cost_usd_per_h(float(x)) for k, unit in enumerate(asked.units) for x in p[:, k])
    wear = float((np.abs(stored_p) * [one.wear_usd_mwh for one in asked.storage]).sum())
    peak = asked.peak * max(float(sol.p_slack_mw.max()), 0.0)
    return asked.dt_h * (energy + own + wear) + peak


def _excess(network: RadialNetwork, sol: physics.Solution, limits: NetworkLimits) -> float:
    """Largest excess over a limit of the network at any step, in its own unit."""
    if not sol.converged.all():
        return float("inf")
    over = [0.0]
    if limits.v_band is not None:
        v = sol.v_pu[:, network.node[network.fed]]
        over.append(beyond_band(v[:, limits.judges(network.bus_names()[network.fed])], limits.v_band))
    if limits.thermal_margin is not None:
        beyond = (sol.loading - (1.0 - limits.thermal_margin)) * network.net.rating_mva
        over.append(float(beyond[np.isfinite(beyond)].max(initial=0.0)))
    over += [float(sol.p_slack_mw.max()) - limits.most_import_mw]
    over += [-float(sol.p_slack_mw.min()) - limits.most_export_mw]
    return max(over)


def _ramp_excess(asked: _Asked, stored_p: FloatArray) -> float:
    if asked.steps < 2 or not asked.storage:
        return 0.0
    most = np.array([one.ramp_mw_per_h for one in asked.storage]) * asked.dt_h
    return float((np.abs(np.diff(stored_p, axis=0)) - most).max())
