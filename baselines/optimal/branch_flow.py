"""The branch flow relaxation over a horizon: power balance, voltage drop and a cone for every branch.

M. Farivar, S. H. Low: Branch flow model: relaxations and convexification, IEEE Trans. Power Systems 28 (2013)
2554-2572. The tightening is that of L. Gan, N. Li, U. Topcu, S. H. Low: Exact convex relaxation of optimal
power flow in radial networks, IEEE Trans. Automatic Control 60 (2015) 72-87.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import cases
from ..errors import RunError, unknown
from .affine import Affine, FloatArray, IntArray
from .program import Limit, Program, Rows
from .radial import RadialNetwork

MOST_V_PU = 1.5
_LEAST_V_PU = 0.5
_FLOW_ROOM = 2.0  # flows stay below so many times all power that lies downstream: see `conic.Bound`


@dataclass(frozen=True)
class NetworkLimits:
    """What the network must keep to.

    Attributes:
        v_band: Least and most voltage, pu, of every bus but the sources'; None: any between 0.5 and 1.5.
        thermal_margin: Loading stays at or below 1 minus it; None leaves ratings out.
        band_at: Ids of the buses where the band holds; None: at all but the sources'.
        most_import_mw, most_export_mw: Of all sources together.
        lossless_voltages: Hold the voltages that there would be without losses below the upper limit, too:
            what makes the relaxation exact where that limit binds, at some cost in what is feasible.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    thermal_margin: float | None = 0.0
    most_import_mw: float = np.inf
    most_export_mw: float = np.inf
    lossless_voltages: bool = False
    band_at: tuple[str, ...] | None = None

    def check(self, feeder: cases.Feeder) -> None:
        """RunError for a band outside the physical, or buses that the feeder does not have."""
        if self.v_band is not None and not 0.5 <= self.v_band[0] < self.v_band[1] <= MOST_V_PU:
            raise RunError(f"v_band must be within 0.5 and 1.5 pu, least first; got {self.v_band!r}")
        for bus in self.band_at or ():
            if bus not in feeder.node_index:
                raise unknown("band_at: bus", bus, feeder.node_index)

    def judges(self, buses: NDArray[np.object_]) -> NDArray[np.bool_]:
        """(of ``buses``) whether the band holds at each."""
        if self.band_at is None:
            return np.ones(buses.shape, dtype=bool)
        return np.isin(buses.astype(str), self.band_at)


@dataclass(frozen=True, eq=False)
class Demand:
    """What loads take at 1 pu, and the sources' voltages.

    Attributes:
        p_mw, q_mvar: (steps, m) at each position.
        v_source_pu: (steps, n_root).
    """

    p_mw: FloatArray
    q_mvar: FloatArray
    v_source_pu: FloatArray


@dataclass(frozen=True, eq=False)
class Gains:
    """Ideal ratios that are chosen: behind them stands the voltage times a gain within its range.

    Attributes:
        at: (k,) branches, index among the fed; their from ends are the parents.
        low, high: (steps, k) least and most gain, above 0.
    """

    at: IntArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class BranchFlow:
    """Columns and rows of the network in a program; (steps, m) over positions, (steps, f) over branches.

    Attributes:
        v: Squared voltage. p, q: power out of the parent, pu of the network's base. l: squared current.
        sent: Squared voltage behind the ideal ratio. charged: reactive power that a line's charging feeds in
            at its parent.
        p_source_mw, q_source_mvar: (steps,) of all sources together.
        loss_mw: (steps,) series losses of all branches.
        balance_p, balance_q: Rows of what each position takes; their constants are the loads.
        drop: Rows of the sources' voltages.
    """

    network: RadialNetwork
    v: Affine
    p: Affine
    q: Affine
    l: Affine  # noqa: E741
    sent: Affine
    charged: Affine
    p_source_mw: Affine
    q_source_mvar: Affine
    loss_mw: Affine
    balance_p: Rows
    balance_q: Rows
    source_v: Rows


def add_branch_flow(
    program: Program, network: RadialNetwork, demand: Demand, p_inject_mw: Affine, q_inject_mvar: Affine,
    limits: NetworkLimits, reach_mva: FloatArray, gains: Gains | None = None,
) -> BranchFlow:  # fmt: skip
    """Put a network into a program.

    Args:
        program: Takes the columns and rows.
        network: Its radial form.
        demand: Loads and source voltages.
        p_inject_mw: (steps, m) what devices feed in.
        q_inject_mvar: The same.
        limits: Of the network.
        reach_mva: (m,) the most that devices at each position can feed in or take.
        gains: Ratios that are chosen; all others are the network's.
    """
    steps, m, f = demand.p_mw.shape[0], network.size, network.fed.size
    base = network.base_mva
    reach = _reaches(network, demand, reach_mva)
    v = program.columns((steps, m), MOST_V_PU**2)
    p, q = (program.columns((steps, f), reach.flow) for _ in range(2))
    current = program.columns(
        (steps, f), 2.0 * reach.flow**2 / (_least_ratio2(network, gains) * _LEAST_V_PU**2)
    )
    p_root, q_root = (program.columns((steps, network.root.size), reach.root) for _ in range(2))

    lost_p, lost_q = network.r_pu * current, network.x_pu * current
    in_p = _arriving(network, p, p_root, lost_p)
    in_q = _arriving(network, q, q_root, lost_q)
    taken_p = demand.p_mw * (1.0 - network.z_p) / base
    taken_q = demand.q_mvar * (1.0 - network.z_q) / base
    own_g = network.g_pu + demand.p_mw * network.z_p / base
    own_b = network.b_pu - demand.q_mvar * network.z_q / base
    sent = _behind_ratios(program, network, v, gains)
    charged, swapped = _charging(network, v, sent, gains)
    balance_p = program.zero(in_p + p_inject_mw / base - own_g * v - taken_p)
    balance_q = program.zero(in_q + q_inject_mvar / base + own_b * v + swapped - taken_q)

    drop = 2.0 * (network.r_pu * p + network.x_pu * q)
    z2 = network.r_pu**2 + network.x_pu**2
    program.zero(sent - drop + z2 * current - v[:, network.fed])
    program.rotated(sent, current, p, q)
    source_v = program.zero(v[:, network.root] - demand.v_source_pu**2)
    found = BranchFlow(
        network, v, p, q, current, sent, charged, base * p_root.sum(axis=1), base * q_root.sum(axis=1),
        base * lost_p.sum(axis=1), balance_p, balance_q, source_v,
    )  # fmt: skip
    _add_limits(program, found, limits, p_inject_mw, q_inject_mvar, demand, gains)
    return found


def _least_ratio2(network: RadialNetwork, gains: Gains | None) -> FloatArray:
    least = network.ratio2.copy()
    if gains is not None:
        least[gains.at] = gains.low.min(axis=0) ** 2
    return least


def _behind_ratios(program: Program, network: RadialNetwork, v: Affine, gains: Gains | None) -> Affine:
    """(steps, f) squared voltages behind the ideal ratios; those that are chosen are within their range."""
    if gains is None:
        return network.ratio2 * v[:, network.parent]
    fixed = network.ratio2.copy()
    fixed[gains.at] = 0.0
    near = v[:, network.parent[gains.at]]
    behind = program.columns(near.shape, (MOST_V_PU * gains.high) ** 2)
    single = gains.low == gains.high
    program.zero((gains.low**2 * near - behind)[single])
    program.nonneg((gains.high**2 * near - behind)[~single])
    program.nonneg((behind - gains.low**2 * near)[~single])
    return fixed * v[:, network.parent] + behind.scattered(gains.at, network.fed.size)


def _charging(network: RadialNetwork, v: Affine, sent: Affine, gains: Gains | None) -> tuple[Affine, Affine]:
    """(steps, f) what each line's charging feeds in at its parent, and (steps, m) by how much that differs
    from what the network's shunts hold of it.
    """
    near = v[:, network.parent]
    if gains is None or not network.half_child[gains.at].any():
        return network.half_parent * near, Affine(0.0)
    stored = network.half_parent.copy()
    stored[gains.at] = 0.0
    chosen = network.half_child[gains.at] * sent[:, gains.at]
    more = chosen - network.half_parent[gains.at] * near[:, gains.at]
    return (
        stored * near + chosen.scattered(gains.at, network.fed.size),
        more.scattered(network.parent[gains.at], network.size),
    )


@dataclass(frozen=True)
class _Reaches:
    flow: FloatArray  # (f,) pu
    root: FloatArray  # (n_root,) pu


def _reaches(network: RadialNetwork, demand: Demand, reach_mva: FloatArray) -> _Reaches:
    """Sizes that flows cannot exceed: all that lies downstream, with room for losses."""
    own = np.hypot(demand.p_mw, demand.q_mvar).max(axis=0) * (1.0 + network.z_p + network.z_q) + reach_mva
    own = own / network.base_mva + (np.abs(network.g_pu) + np.abs(network.b_pu)) * MOST_V_PU**2
    below = _FLOW_ROOM * network.downstream(own) + 1e-6
    return _Reaches(below, np.full(network.root.size, _FLOW_ROOM * own.sum() + 1e-6))


def _arriving(network: RadialNetwork, flow: Affine, root: Affine, lost: Affine) -> Affine:
    """(steps, m) what reaches each position, less what it sends on."""
    arrived = (flow - lost).scattered(network.fed, network.size)
    sent = flow.scattered(network.parent, network.size)
    return arrived - sent + root.scattered(network.root, network.size)


def _add_limits(
    program: Program, flow: BranchFlow, limits: NetworkLimits, p_mw: Affine, q_mvar: Affine, demand: Demand,
    gains: Gains | None,
) -> None:  # fmt: skip
    network = flow.network
    buses = network.bus_names()[network.fed]
    low, high = band_of(limits, buses)
    v = flow.v[:, network.fed]
    program.nonneg(high**2 - v, _limit("v_max", "pu", buses, high, 2.0 * high))
    program.nonneg(v - low**2, _limit("v_min", "pu", buses, low, 2.0 * low))
    if limits.thermal_margin is not None:
        _add_ratings(program, flow, 1.0 - limits.thermal_margin)
    head = np.array(["head"], dtype=object)
    if np.isfinite(limits.most_import_mw):
        limit = _limit("import", "MW", head, limits.most_import_mw, 1.0)
        program.nonneg((limits.most_import_mw - flow.p_source_mw).reshape(-1, 1), limit)
    if np.isfinite(limits.most_export_mw):
        limit = _limit("export", "MW", head, limits.most_export_mw, 1.0)
        program.nonneg((limits.most_export_mw + flow.p_source_mw).reshape(-1, 1), limit)
    if limits.lossless_voltages:
        _add_lossless(program, flow, high, p_mw, q_mvar, demand, gains)


def band_of(limits: NetworkLimits, buses: NDArray[np.object_]) -> tuple[FloatArray, FloatArray]:
    """Least and most voltage of each bus, pu; where no band holds any that the relaxation knows."""
    low, high = limits.v_band or (_LEAST_V_PU, MOST_V_PU)
    judged = limits.judges(buses)
    return np.where(judged, low, _LEAST_V_PU), np.where(judged, high, MOST_V_PU)


def _add_ratings(program: Program, flow: BranchFlow, share: float) -> None:
    network = flow.network
    rated = np.flatnonzero(np.isfinite(network.rating_mva))
    if not rated.size:
        return
    names, base = network.branch_names()[rated], network.base_mva
    most = share * network.rating_mva[rated]
    for kind, (at_p, at_q) in ends_of(flow, rated).items():
        head = Affine(np.broadcast_to(most / base, at_p.shape))
        program.cone(head, at_p, at_q, limit=_limit(kind, "MVA", names, most, 1.0 / base))


def ends_of(flow: BranchFlow, which: IntArray) -> dict[str, tuple[Affine, Affine]]:
    """P and Q at both ends of the branches ``which`` (of the fed), line charging included, pu."""
    network = flow.network
    p, q, current = flow.p[:, which], flow.q[:, which], flow.l[:, which]
    far = flow.v[:, network.fed[which]]
    return {
        "thermal_from": (p, q - flow.charged[:, which]),
        "thermal_to": (
            p - network.r_pu[which] * current,
            q - network.x_pu[which] * current + network.half_child[which] * far,
        ),
    }


def _add_lossless(
    program: Program, flow: BranchFlow, high: FloatArray, p_mw: Affine, q_mvar: Affine, demand: Demand,
    gains: Gains | None,
) -> None:  # fmt: skip
    """Voltages as if nothing were lost stay below the limit: they are above the true ones."""
    network, base = flow.network, flow.network.base_mva
    steps = flow.v.shape[0]
    v = program.columns((steps, network.size), MOST_V_PU**2)
    own_p = (demand.p_mw - p_mw) / base + network.g_pu * v
    own_q = (demand.q_mvar - q_mvar) / base - network.b_pu * v
    p, q = (program.columns((steps, network.fed.size), program.reach_of(part)) for part in (flow.p, flow.q))
    for part, own in ((p, own_p), (q, own_q)):
        sent = part.scattered(network.parent, network.size)
        balance = part.scattered(network.fed, network.size) - sent - own
        program.zero(balance[:, network.fed])
    sent_v = _behind_ratios(program, network, v, gains)
    program.zero(sent_v - 2.0 * (network.r_pu * p + network.x_pu * q) - v[:, network.fed])
    program.zero(v[:, network.root] - demand.v_source_pu**2)
    buses = network.bus_names()[network.fed]
    program.nonneg(high**2 - v[:, network.fed], _limit("v_max_lossless", "pu", buses, high, 2.0 * high))


def _limit(
    kind: str,
    unit: str,
    element: NDArray[np.object_],
    value: float | FloatArray,
    per_unit: float | FloatArray,
) -> Limit:
    size = element.shape
    return Limit(
        kind, unit, element, np.broadcast_to(np.asarray(value, float), size), np.full(size, per_unit)
    )
