"""What voltages and flows can be at all where devices stay within boxes: intervals, swept through the tree.

Sweeps of intervals from an empty range of losses on grow until they map into themselves; the iterates of a
backward and forward sweep from a flat start never leave such ranges, and so its solution lies within them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .affine import Affine, FloatArray, IntArray
from .branch_flow import BranchFlow, Demand
from .devices.planned import Box
from .program import Program
from .radial import RadialNetwork

_ROUNDS = 200
_STILL = 1e-10
_WIDER = 1e-7
_LEAST_V2 = 0.25
_NARROWER = 12


@dataclass(frozen=True, eq=False)
class Reach:
    """Bounds over (steps, m) positions and (steps, f) branches, pu of the network's base.

    Attributes:
        v_low, v_high: Squared voltages.
        p_low, p_high, q_low, q_high: Power that reaches the position that a branch feeds.
        l_high: Squared current.
    """

    v_low: FloatArray
    v_high: FloatArray
    p_low: FloatArray
    p_high: FloatArray
    q_low: FloatArray
    q_high: FloatArray
    l_high: FloatArray

    def most_mva(self, network: RadialNetwork) -> FloatArray:
        """(steps, f) apparent power that neither end of a branch exceeds, line charging too."""
        p = np.maximum(np.abs(self.p_low), np.abs(self.p_high)) + np.abs(network.r_pu) * self.l_high
        q = np.maximum(np.abs(self.q_low), np.abs(self.q_high)) + np.abs(network.x_pu) * self.l_high
        near, far = self.v_high[:, network.parent], self.v_high[:, network.fed]
        charging = np.maximum(np.abs(network.half_parent) * near, np.abs(network.half_child) * far)
        return np.asarray(network.base_mva * np.hypot(p, q + charging))


def reachable(network: RadialNetwork, demand: Demand, inject: Box) -> Reach | None:
    """Ranges of what can flow; ``inject`` (steps, m) at the positions; None: the boxes allow a collapse."""
    steps, m = demand.p_mw.shape
    root = np.empty((steps, m))
    root[:] = np.mean(demand.v_source_pu**2, axis=1)[:, None]
    root[:, network.root] = demand.v_source_pu**2
    now = _Ranges(root, root, np.zeros((steps, network.fed.size)))
    for _ in range(_ROUNDS):
        mapped, _ = _mapped(network, demand, inject, root, now)
        grown = _Ranges(
            np.minimum(now.v_low, mapped.v_low), np.maximum(now.v_high, mapped.v_high),
            np.maximum(now.l_high, mapped.l_high),
        )  # fmt: skip
        if grown.v_low.min() < _LEAST_V2:
            return None
        if now.distance(grown) < _STILL:
            return _narrowed(network, demand, inject, root, grown)
        now = grown
    return None


@dataclass(frozen=True, eq=False)
class _Ranges:
    v_low: FloatArray
    v_high: FloatArray
    l_high: FloatArray

    def distance(self, other: _Ranges) -> float:
        return max(
            float(np.abs(mine - its).max())
            for mine, its in (
                (self.v_low, other.v_low),
                (self.v_high, other.v_high),
                (self.l_high, other.l_high),
            )
        )


_Flows = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _mapped(
    network: RadialNetwork, demand: Demand, inject: Box, root: FloatArray, ranges: _Ranges
) -> tuple[_Ranges, _Flows]:
    """One sweep, backward and forward, of all that lies within the ranges."""
    flows = _arriving(network, demand, inject, (ranges.v_low, ranges.v_high), ranges.l_high)
    p_low, p_high, q_low, q_high = flows
    most2 = np.maximum(p_low**2, p_high**2) + np.maximum(q_low**2, q_high**2)
    l_high = most2 / ranges.v_low[:, network.fed]
    return _Ranges(*_voltages(network, root, flows, l_high), l_high), flows


def _narrowed(
    network: RadialNetwork, demand: Demand, inject: Box, root: FloatArray, ranges: _Ranges
) -> Reach:
    """A solution within the ranges is within what they are mapped to, too."""
    for _ in range(_NARROWER):
        ranges, flows = _mapped(network, demand, inject, root, ranges)
    p_low, p_high, q_low, q_high = flows
    return Reach(
        ranges.v_low - _WIDER, ranges.v_high + _WIDER, p_low - _WIDER, p_high + _WIDER, q_low - _WIDER,
        q_high + _WIDER, ranges.l_high + _WIDER,
    )  # fmt: skip


def _arriving(
    network: RadialNetwork, demand: Demand, inject: Box, v: tuple[FloatArray, FloatArray], l_high: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(steps, f) least and most P, then Q, that reach the fed positions."""
    base = network.base_mva
    out: list[FloatArray] = []
    for load, z, shunt, sign, low, high, part in (
        (demand.p_mw, network.z_p, network.g_pu, 1.0, inject.p_low, inject.p_high, network.r_pu),
        (demand.q_mvar, network.z_q, network.b_pu, -1.0, inject.q_low, inject.q_high, network.x_pu),
    ):
        by_v = sign * shunt + load * z / base
        fixed = load * (1.0 - z) / base
        ends = [by_v * v[0], by_v * v[1]]
        need_low = fixed + np.minimum(*ends) - high / base
        need_high = fixed + np.maximum(*ends) - low / base
        lost = part * l_high
        for need, more in ((need_low, np.minimum(lost, 0.0)), (need_high, np.maximum(lost, 0.0))):
            out.append(_summed(network, need, more))
    return out[0], out[1], out[2], out[3]


def _summed(network: RadialNetwork, need: FloatArray, lost: FloatArray) -> FloatArray:
    total = need.copy()
    for k in range(network.fed.size - 1, -1, -1):
        total[:, network.parent[k]] += total[:, network.fed[k]] + lost[:, k]
    return np.asarray(total[:, network.fed])


def _voltages(
    network: RadialNetwork, root: FloatArray, flows: tuple[FloatArray, ...], l_high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(steps, m) least and most of v = u - 2 (r P + x Q) - |z|^2 l, with P and Q as they arrive."""
    p_low, p_high, q_low, q_high = flows
    r, x = network.r_pu, network.x_pu
    least = np.minimum(r * p_low, r * p_high) + np.minimum(x * q_low, x * q_high)
    most = np.maximum(r * p_low, r * p_high) + np.maximum(x * q_low, x * q_high)
    low, high = root.copy(), root.copy()
    for k in range(network.fed.size):
        at, parent = network.fed[k], network.parent[k]
        high[:, at] = network.ratio2[k] * high[:, parent] - 2.0 * least[:, k]
        z2 = r[k] ** 2 + x[k] ** 2
        low[:, at] = network.ratio2[k] * low[:, parent] - 2.0 * most[:, k] - z2 * l_high[:, k]
    return low, high


def add_most_losses(program: Program, flow: BranchFlow, reach: Reach, steps: IntArray) -> None:
    """Currents at most what the chord of P^2 + Q^2 allows within its range, in some intervals.

    Without that a relaxation loses as much as it likes where more import pays.
    """
    network = flow.network
    p = (flow.p - network.r_pu * flow.l)[steps]
    q = (flow.q - network.x_pu * flow.l)[steps]
    chord = Affine(np.zeros(p.shape))
    for part, low, high in ((p, reach.p_low, reach.p_high), (q, reach.q_low, reach.q_high)):
        chord = chord + part * (low + high)[steps] - (low * high)[steps]
    least = reach.v_low[:, network.fed][steps]
    program.nonneg(chord - flow.l[steps] * least)
