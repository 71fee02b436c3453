"""How bad a solved state can be: bounds that hold for every power flow above the collapse voltage.

If no node is below ``v_low``, a load of S draws at most |S| / v_low; summed down the tree this bounds every
branch current, so losses, and every voltage from above. Environments price a failed power flow with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .network import Network

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class StateBounds:
    """Bounds over all states whose voltages are at least ``v_low_pu``."""

    v_low_pu: float
    v_high_pu: FloatArray  # (n_bus,)
    p_loss_mw: float
    s_branch_mva: FloatArray  # (n_branch,)


def state_bounds(net: Network, s_max_mva: FloatArray, v_low_pu: float = 0.5) -> StateBounds:
    """Bound voltages, flows and losses given the largest apparent power per node, ``s_max_mva`` (n_bus,).

    ZIP loads are covered: between ``v_low_pu`` and the voltage bound no share draws more current than the
    larger of S / v_low and S v_high.
    """
    v_high = _voltage_bound(net, s_max_mva, v_low_pu, 1.0 / v_low_pu)
    worst = max(1.0 / v_low_pu, float(np.nanmax(v_high, initial=1.0)))
    v_high = _voltage_bound(net, s_max_mva, v_low_pu, worst)
    current = _current_bound(net, s_max_mva, worst, float(np.nanmax(v_high, initial=1.0)))
    tree = net.topology.tree
    fed = tree.branch >= 0
    loss = float((tree.z_re[fed] * current[fed] ** 2).sum() * net.base_mva)
    flow = np.zeros(net.n_branch)
    scale = np.hypot(tree.a_re[fed], tree.a_im[fed])
    parent_high = v_high[tree.order[tree.parent[fed]]]
    child_high = v_high[tree.order[fed]]
    flow[tree.branch[fed]] = np.maximum(parent_high * scale, child_high) * current[fed] * net.base_mva
    return StateBounds(v_low_pu, v_high, loss, flow)


def _current_bound(net: Network, s_max_mva: FloatArray, per_s: float, v_high: float) -> FloatArray:
    """(m,) largest current into each tree position, pu."""
    tree = net.topology.tree
    current = s_max_mva[tree.order] / net.base_mva * per_s + np.hypot(tree.y_re, tree.y_im) * v_high
    for k in range(current.size - 1, -1, -1):
        if tree.parent[k] >= 0:
            current[tree.parent[k]] += np.hypot(tree.a_re[k], tree.a_im[k]) * current[k]
    return np.asarray(current)


def _voltage_bound(net: Network, s_max_mva: FloatArray, v_low_pu: float, per_s: float) -> FloatArray:
    """(n_bus,) highest voltage; NaN at dead nodes. Shunts are taken at twice the source voltage."""
    tree = net.topology.tree
    source = dict(zip(net.source_node.tolist(), net.source_v_pu.tolist(), strict=True))
    current = _current_bound(net, s_max_mva, per_s, 2.0 * max(source.values()))
    high = np.full(net.n_bus, np.nan)
    for k in range(tree.parent.size):
        node = int(tree.order[k])
        up = tree.parent[k]
        if up < 0:
            high[node] = source[node]
        else:
            drop = np.hypot(tree.z_re[k], tree.z_im[k]) * current[k]
            high[node] = np.hypot(tree.a_re[k], tree.a_im[k]) * high[tree.order[up]] + drop
    return high
