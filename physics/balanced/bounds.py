"""How bad a solved state can be: bounds that hold for every power flow above the collapse voltage.

If no node is below ``v_low``, a load of S draws at most |S| / v_low; summed down the tree this bounds every
branch current, so losses, and every voltage from above. Environments price a failed power flow with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bounds import StateBounds
from .kernels.solve_rows import RUNAWAY_PU
from .network import Network
from .parallel_branches import Bundles

FloatArray = NDArray[np.float64]
_PASSES = 200


def state_bounds(net: Network, s_max_mva: FloatArray, v_low_pu: float = 0.5) -> StateBounds:
    """Bound voltages, flows and losses given the largest apparent power per node, ``s_max_mva`` (n_bus,).

    What shunts, ZIP and CVR loads draw grows with voltage, so the voltage bound is the fixed point of "no
    voltage above v, hence no current above i(v), hence no voltage above v'". Raises ValueError where there is
    none: then shunts or loads raise the voltage without end; and where branches make loops, or a generator
    that holds a voltage has no reactive limit. Parallel branches are no loop, unless they turn the voltage by
    different angles.
    """
    if net.topology.loops is not None:
        raise ValueError(
            f"feeder {net.feeder.name!r} has loops, or parallel transformers of different phase shift: these "
            "bounds hold for trees only"
        )
    s_max_mva, extreme = s_max_mva + _held_mvar(net), _extreme(net)
    highest = float(net.source_v_pu.max(initial=0.0))
    for _ in range(_PASSES):
        current = _current_bound(net, extreme, s_max_mva, v_low_pu, highest)
        v_high = _voltage_bound(net, extreme, current)
        now = float(np.nanmax(v_high)) if net.energised.any() else highest
        if now <= highest * (1 + 1e-9):
            return _bounds(net, extreme, v_low_pu, v_high, current)
        highest = now * (1 + 1e-9)
        if highest > RUNAWAY_PU:
            break
    raise ValueError(
        f"feeder {net.feeder.name!r} has no voltage bound: its shunts or voltage-dependent loads are too "
        "large for its impedances; check shunt_b_mvar, capacitors and b"
    )


class _Extreme(NamedTuple):
    """The most that taps and banks make of a tree, by position."""

    ratio: FloatArray  # (m,) |a|
    z: FloatArray  # (m,) |z|, pu
    r: FloatArray
    y: FloatArray  # (m,) |y|, pu
    charging: FloatArray  # (n_branch,) half the charging, the larger end's, pu


def _extreme(net: Network) -> _Extreme:
    """Regulators anywhere in their ranges, banks on or off; ValueError for one in parallel branches."""
    tree, plan = net.topology.tree, net.topology.plan
    raised, grown = np.ones(tree.branch.size), np.ones(tree.branch.size)
    per_a2 = 1.0 / np.abs(net.topology.ratio) ** 2
    _check_parallel(net)
    for e, stored, (low, high) in zip(net.reg_branch, net.reg_gain, net.reg_range, strict=True):
        per_a2[e] *= (high / stored) ** 2
        k = plan.at_branch[e]
        if k >= 0 and net.topology.child_is_to[e]:
            raised[k] = high / stored
        elif k >= 0:
            raised[k], grown[k] = stored / low, (stored / low) ** 2
    charging = 0.5 * np.abs(net.b_pu) * np.maximum(1.0, per_a2)
    y = np.hypot(tree.y_re, tree.y_im)
    for node in np.unique(np.concatenate([net.cap_node, net.from_row[net.reg_branch]])):
        k, mine = plan.at_node[node], net.cap_node == node
        if k >= 0:
            banks = net.cap_susceptance[mine]
            rest = complex(tree.y_re[k], tree.y_im[k] - banks[net.cap_on[mine]].sum())
            moved = net.reg_branch[net.from_row[net.reg_branch] == node]
            y[k] = abs(rest) + np.abs(banks).sum() + charging[moved].sum()
    return _Extreme(
        raised * np.hypot(tree.a_re, tree.a_im), grown * np.hypot(tree.z_re, tree.z_im), grown * tree.z_re,
        y, charging,
    )  # fmt: skip


def _check_parallel(net: Network) -> None:
    """ValueError where a regulator stands in one of several parallel branches."""
    bundles = net.topology.bundles
    inside = np.zeros(net.reg_branch.size, dtype=bool)
    if bundles is not None:
        inside = np.isin(net.reg_branch, bundles.member)
    if inside.any():
        name = str(net.feeder.column("regulators", "reg_id")[inside][0])
        raise ValueError(
            f"feeder {net.feeder.name!r} has no bounds: regulator {name!r} stands in one of several parallel "
            "branches"
        )


def _bounds(
    net: Network, extreme: _Extreme, v_low_pu: float, v_high: FloatArray, current: FloatArray
) -> StateBounds:
    tree = net.topology.tree
    fed = tree.branch >= 0
    branch, current = tree.branch[fed], current[fed]
    lone = np.ones(net.n_branch, dtype=bool)
    if net.topology.bundles is not None:
        lone[net.topology.bundles.lead] = False
    loss = float((extreme.r[fed] * current**2 * lone[branch]).sum() * net.base_mva)
    scale, charging = extreme.ratio[fed], extreme.charging[branch]
    parent_high, child_high = v_high[tree.order[tree.parent[fed]]], v_high[tree.order[fed]]
    flow = np.zeros(net.n_branch)
    flow[branch] = net.base_mva * np.maximum(
        parent_high * (scale * current + charging * parent_high),
        child_high * (current + charging * child_high),
    )
    if net.topology.bundles is not None:
        at = np.zeros(net.n_branch)
        at[branch] = current
        loss += _of_members(net, net.topology.bundles, v_high, at, flow)
    return StateBounds(v_low_pu, v_high, loss, flow)


def _of_members(
    net: Network, bundles: Bundles, v_high: FloatArray, current: FloatArray, flow: FloatArray
) -> float:
    """Write the bounds of parallel branches into ``flow``; what they lose."""
    each = np.abs(bundles.share * bundles.back) * current[bundles.lead]
    each += np.abs(bundles.turn) * v_high[bundles.start]
    ratio = np.abs(net.topology.ratio[bundles.member])
    charging = 0.5 * np.abs(net.b_pu[bundles.member]) * np.maximum(1.0, 1.0 / ratio**2)
    start, end = v_high[bundles.start], v_high[bundles.end]
    flow[bundles.member] = net.base_mva * np.maximum(
        start * (np.abs(bundles.a) * each + charging * start), end * (each + charging * end)
    )
    return float((bundles.z.real * each**2).sum() * net.base_mva)


def _held_mvar(net: Network) -> FloatArray:
    """(n_bus,) the most that generators that hold a voltage inject or take."""
    most = np.zeros(net.n_bus)
    if net.topology.held is None:
        return most
    if not net.enforce_q_limits:
        raise ValueError(
            f"feeder {net.feeder.name!r} has no bounds: generators hold voltages whatever it takes; compile "
            "it with enforce_q_limits=True"
        )
    limit = np.maximum(np.abs(net.held_q_min_mvar), np.abs(net.held_q_max_mvar))
    if not np.isfinite(limit).all():
        node = net.feeder.column("nodes", "node_id")[net.held_node[~np.isfinite(limit)][0]]
        raise ValueError(
            f"feeder {net.feeder.name!r} has no bounds: the generator at node {str(node)!r} holds its "
            "voltage without a reactive limit; give it q_min_mvar and q_max_mvar"
        )
    most[net.held_node] = limit
    return most


def _draw(net: Network, v_low: float, v_high: float) -> FloatArray:
    """(n_bus,) largest current per unit of nominal apparent power for voltages in [v_low, v_high]."""
    draw = np.full(net.n_bus, 1.0 / v_low)
    for part in ((0, 1, 4), (2, 3, 5)):  # P, Q: shares z and i, exponent
        z, i, exponent = net.zip_coef[:, part].T
        shares = np.abs(z) * v_high + np.abs(i) + np.abs(1.0 - z - i) / v_low
        power = np.maximum(v_low ** (exponent - 1.0), v_high ** (exponent - 1.0))
        np.maximum.at(draw, net.zip_node, np.where(np.isnan(exponent), shares, power))
    return draw


def _current_bound(
    net: Network, extreme: _Extreme, s_max_mva: FloatArray, v_low: float, v_high: float
) -> FloatArray:
    """(m,) largest current into each tree position, pu."""
    tree = net.topology.tree
    load = s_max_mva * _draw(net, v_low, v_high) / net.base_mva
    current, scale = load[tree.order] + extreme.y * v_high, extreme.ratio
    for k in range(current.size - 1, -1, -1):
        if tree.parent[k] >= 0:
            current[tree.parent[k]] += scale[k] * current[k]
    return np.asarray(current)


def _voltage_bound(net: Network, extreme: _Extreme, current: FloatArray) -> FloatArray:
    """(n_bus,) highest voltage; NaN at dead nodes."""
    tree = net.topology.tree
    source = dict(zip(net.source_node.tolist(), net.source_v_pu.tolist(), strict=True))
    drop, scale = extreme.z * current, extreme.ratio
    high = np.full(net.n_bus, np.nan)
    for k in range(tree.parent.size):
        node, up = int(tree.order[k]), tree.parent[k]
        high[node] = source[node] if up < 0 else scale[k] * high[tree.order[up]] + drop[k]
    return high
