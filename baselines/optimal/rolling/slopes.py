"""What squared voltages and flows of a radial feeder do where power is fed in, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ..affine import FloatArray, IntArray
from ..radial import RadialNetwork


@dataclass(frozen=True, eq=False)
class Slopes:
    """Of a feeder, without losses (LinDistFlow; M. E. Baran, F. F. Wu, IEEE Trans. Power Delivery 4 (1989)).

    Attributes:
        network: The feeder.
        at: (d,) positions where power is fed in.
        r, x: (m, d) by how much a squared voltage rises with a pu of P, and of Q.
        below: (f, d) 1 where a branch feeds the position.
        watched: (w,) positions whose voltages stand for those of all others: the ends of the feeder and
            where power is fed in.
        weight: (w,) how many positions each stands for.
    """

    network: RadialNetwork
    at: IntArray
    r: FloatArray
    x: FloatArray
    below: FloatArray
    watched: IntArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class State:
    """The AC power flow of intervals; (steps, m) over positions, (steps, f) over branches.

    Attributes:
        v_pu: Voltages.
        p, q: Power that all loads and devices behind a branch take, pu of the network's base, losses left
            out.
        loss_mw, p_source_mw: (steps,).
        converged: Whether all intervals have a solution.
    """

    v_pu: FloatArray
    p: FloatArray
    q: FloatArray
    loss_mw: FloatArray
    p_source_mw: FloatArray
    converged: bool


def slopes_of(network: RadialNetwork, at: IntArray) -> Slopes:
    """The slopes of a feeder for power fed in at some positions, each there once."""
    fed_row = np.full(network.size, -1, dtype=np.int64)
    fed_row[network.fed] = np.arange(network.fed.size)
    below = np.zeros((network.fed.size, at.size))
    for k, position in enumerate(at.tolist()):
        row = int(fed_row[position])
        while row >= 0:
            below[row, k] = 1.0
            row = int(fed_row[network.parent[row]])
    r, x = np.zeros((2, network.size, at.size))
    for k, (position, parent) in enumerate(zip(network.fed.tolist(), network.parent.tolist(), strict=True)):
        r[position] = network.ratio2[k] * r[parent] + 2.0 * network.r_pu[k] * below[k]
        x[position] = network.ratio2[k] * x[parent] + 2.0 * network.x_pu[k] * below[k]
    watched, weight = _watched(network, at)
    return Slopes(network, at, r, x, below, watched, weight)


def _watched(network: RadialNetwork, at: IntArray) -> tuple[IntArray, FloatArray]:
    """Each position is stood for by the next watched one further out, by the first that is found."""
    marked = np.zeros(network.size, dtype=np.bool_)
    marked[at] = True
    marked[np.setdiff1d(network.fed, network.parent)] = True
    marked[network.root] = False
    stands = np.full(network.size, -1, dtype=np.int64)
    for k in range(network.fed.size - 1, -1, -1):
        position, parent = int(network.fed[k]), int(network.parent[k])
        if marked[position]:
            stands[position] = position
        if stands[parent] < 0:
            stands[parent] = stands[position]
    stands[network.root] = -1
    watched, count = np.unique(stands[stands >= 0], return_counts=True)
    return watched, count.astype(np.float64)


def state_of(
    slopes: Slopes, load_p_mw: FloatArray, load_q_mvar: FloatArray, fed: tuple[FloatArray, FloatArray],
    settings: Mapping[str, Any],
) -> State:  # fmt: skip
    """The AC power flow of (steps, n_bus) loads and (steps, d) power that is fed in.

    ``settings``: ``tap`` and ``cap_on`` of `physics.solve`, where they are not as the feeder has them.
    """
    network = slopes.network
    net, steps = network.net, len(load_p_mw)
    fed_p, fed_q = np.zeros((2, steps, net.n_bus))
    fed_p[:, network.node[slopes.at]], fed_q[:, network.node[slopes.at]] = fed
    found = physics.solve(net, load_p_mw, load_q_mvar, p_inject_mw=fed_p, q_inject_mvar=fed_q, **settings)
    v = found.v_pu[:, network.node]
    taken = [
        (load - fed)[:, network.node] / network.base_mva
        for load, fed in ((load_p_mw, fed_p), (load_q_mvar, fed_q))
    ]
    taken[1] = taken[1] - _susceptance(network, settings.get("cap_on")) * np.square(v)
    p, q = (network.downstream(part.T).T for part in taken)
    return State(
        v, p, q, np.asarray(found.p_loss_mw), np.asarray(found.p_slack_mw), bool(np.all(found.converged))
    )


def _susceptance(network: RadialNetwork, cap_on: NDArray[np.bool_] | None) -> FloatArray:
    """(m,), or (steps, m) where banks are on and off as given, and not as the feeder has them."""
    if cap_on is None:
        return network.b_pu
    net = network.net
    more = (cap_on.astype(np.float64) - net.cap_on) * net.cap_susceptance * net.base_mva / network.base_mva
    found = np.repeat(network.b_pu[None], len(cap_on), axis=0)
    np.add.at(found.T, network.position[net.cap_node], more.T)
    return found
