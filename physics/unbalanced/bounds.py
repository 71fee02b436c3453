"""How bad a solved three-phase state can be: bounds as of balanced networks, phase by phase.

They hold for states in which no phase (or leg, in its own base) is below ``v_low`` or above ``v_top``: an
environment calls all others a failed power flow. Then a load of S draws at most |S| / v_low. Magnitudes of
these currents are summed towards the source through every winding (|D| I); a voltage is at most its no-load
value at neutral taps plus what taps and drops can add (|A| d + |B| I), so no phase angle is needed. All of
it overestimates. The potential of a delta without ground moves at most as far as its voltages do, because
shunts of one sign fix it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bounds import StateBounds
from .assembly.forest import Conductor, Placed
from .assembly.node_loads import LEGS, Item
from .kernel_tables import FLOATING, TAP, TAP_LEG
from .linear_bounds import linear_bounds
from .network import Network3

FloatArray = NDArray[np.float64]
_PASSES = 200
V_TOP_PU = 2.0  # above this nothing is operable


@dataclass(frozen=True)
class _Step:
    """One placed segment in magnitudes, with its taps at their worst."""

    child: list[int]
    parent: list[int]
    reference: list[int]
    rise: FloatArray  # |A| at the highest tap
    moved: FloatArray  # |change of A| that taps can bring
    drop: FloatArray  # |B|
    loss: FloatArray  # |Re B|
    back: FloatArray  # |D|
    doubled: bool  # without ground: the mean moves too
    branch: int


def phase_bounds(
    net: Network3,
    s_wye_mva: FloatArray,
    s_leg_mva: FloatArray,
    v_low_pu: float = 0.5,
    v_top_pu: float = V_TOP_PU,
) -> StateBounds:
    """Bounds given the largest apparent power per phase and per leg, (n_bus, 3) each, whatever the taps.

    ``v_high_pu`` (n_bus, 3) to ground, NaN at dead phases; ``s_branch_mva`` (n_branch, 3). For a feeder that
    is no tree see `linear_bounds`.
    """
    if net.topology.irregular:
        return linear_bounds(
            net, *_node_loads(net, s_wye_mva, s_leg_mva, v_low_pu, v_top_pu), v_low_pu, v_top_pu
        )
    number = net.topology.layout.conductor
    steps = [_step(net, placed, number) for placed in net.topology.layout.placed]
    size = max(number.values()) + 1
    flat = _no_load(net, number, size)
    top = _tops(net, number, size, v_top_pu)
    highest = np.minimum(np.abs(flat), top)
    for last in (False,) * _PASSES + (True,):
        current = _currents(net, steps, number, s_wye_mva, s_leg_mva, (v_low_pu, v_top_pu), highest)
        now = np.minimum(_voltages(steps, flat, current), top)
        if (now <= highest * (1 + 1e-9)).all():
            break
        highest = top if last else np.maximum(highest, now * (1 + 1e-9))
    return _bounds(net, steps, number, v_low_pu, highest, current)


def _tops(net: Network3, number: dict[Conductor, int], size: int, v_top: float) -> FloatArray:
    """Voltage to ground that no usable state exceeds; sources behind an impedance have any."""
    top = np.full(size, np.inf)
    grounded = net.topology.ground_slots.reshape(-1, 3)
    for (node, phase), k in number.items():
        if node < net.n_bus:
            # without ground: a third of two legs of sqrt 3 v_top each, and as much again for the potential
            top[k] = v_top if grounded[node, phase] else v_top * 4.0 / np.sqrt(3.0)
    return top


def _step(net: Network3, placed: Placed, number: dict[Conductor, int]) -> _Step:
    segment = placed.segment
    child, parent, reference = (
        [number[at] for at in ends] for ends in (placed.child, placed.parent, placed.reference)
    )
    a, b = np.abs(segment.a), np.abs(segment.b)
    rise, moved, swing = a, np.zeros_like(a), 1.0
    if segment.kind in (TAP, TAP_LEG) and segment.tap is not None:
        low, high = _tap_range(net, segment.tap.regulator)
        if segment.tap.child_is_from:
            rise, moved = a / low, a * max(1.0 / low - 1.0, 1.0 - 1.0 / high)
        else:
            rise, moved = a * high, a * max(high - 1.0, 1.0 - low)
            swing = float(rise.max()) ** 2
    back = rise.T if segment.kind in (TAP, TAP_LEG) else np.abs(segment.d)
    return _Step(
        child, parent, reference, rise, moved, b * swing, np.abs(segment.b.real) * swing, back,
        segment.kind == FLOATING, placed.branch,
    )  # fmt: skip


def _tap_range(net: Network3, regulator: int) -> tuple[float, float]:
    if regulator < 0:
        return 1.0, 1.0
    low, high, step = (
        float(net.feeder.column("regulators", c)[regulator]) for c in ("tap_min", "tap_max", "tap_step_pu")
    )
    return 1.0 + low * step, 1.0 + high * step


def _no_load(net: Network3, number: dict[Conductor, int], size: int) -> NDArray[np.complex128]:
    """Voltages without current, taps neutral."""
    v = np.zeros(size, dtype=np.complex128)
    for s, source in enumerate(net.sources):
        for phase in source.phases:
            v[number[net.n_bus + s, phase]] = net.source_phasor[s, phase]
    for placed in net.topology.layout.placed:
        rise = placed.segment.a @ np.array([v[number[at]] for at in placed.parent])
        for at in placed.reference:
            rise = rise + v[number[at]]
        v[[number[at] for at in placed.child]] = rise
    return v


def _voltages(steps: list[_Step], flat: NDArray[np.complex128], current: FloatArray) -> FloatArray:
    """Highest magnitude of every conductor."""
    away = np.zeros(flat.size)
    for step in steps:
        change = step.rise @ away[step.parent] + step.drop @ current[step.child]
        if step.moved.any():
            level = flat[step.parent]
            span = np.abs(level[0] - level[-1]) if step.reference else np.abs(level[0])
            change = change + step.moved.max() * span
        for at in step.reference:
            change = change + away[at]
        away[step.child] = change + (change.max() if step.doubled else 0.0)
    return np.asarray(np.abs(flat) + away)


def _currents(
    net: Network3,
    steps: list[_Step],
    number: dict[Conductor, int],
    s_wye: FloatArray,
    s_leg: FloatArray,
    span: tuple[float, float],
    v_high: FloatArray,
) -> FloatArray:
    """Largest current into every conductor, pu."""
    current = np.zeros(v_high.size)
    wye, legs = _node_loads(
        net, s_wye, s_leg, span[0], min(span[1], float(v_high.max()) * 2.0 / np.sqrt(3.0))
    )
    for (node, phase), k in number.items():
        if node >= net.n_bus:
            continue
        current[k] += wye[3 * node + phase]
        for leg, pair in enumerate(LEGS):
            if phase in pair:
                current[k] += legs[3 * node + leg] / net.node_loads.leg_pu[node]
        for other in range(3):
            if (node, other) in number:
                block = abs(net.topology.layout.node_shunt[node, phase, other])
                current[k] += block * v_high[number[node, other]]
    for bank in net.node_loads.banks:
        ends: tuple[int, ...] = LEGS[bank.place] if bank.delta else (bank.place,)
        across = [number[bank.node, phase] for phase in ends if (bank.node, phase) in number]
        current[across] += abs(bank.b_pu) * v_high[across].sum()
    for step in reversed(steps):
        into = current[step.child]
        current[step.parent] += step.back @ into
        for other in step.reference:
            current[other] += into[0]
    return current


def _node_loads(
    net: Network3, s_wye: FloatArray, s_leg: FloatArray, v_low: float, v_high: float
) -> tuple[FloatArray, FloatArray]:
    """(3 n_bus,) each: largest current of what draws power at each slot and leg; of legs at 1 pu across."""
    base = net.base_mva / 3.0
    return (
        s_wye.ravel() / base * _growth(net.node_loads.wye_items, s_wye.size, v_low, v_high),
        s_leg.ravel() / base * _growth(net.node_loads.leg_items, s_leg.size, v_low, v_high),
    )


def _growth(items: list[Item], n_slot: int, v_low: float, v_high: float) -> FloatArray:
    """(n_slot,) current per unit of power, at the worst voltage of the range, for the models at each slot."""
    total, seen = np.zeros(n_slot), np.zeros(n_slot, dtype=bool)
    for item in items:
        z_p, i_p, z_q, i_q, cvr_p, cvr_q, *_ = item.model
        worst = max(_part(z_p, i_p, cvr_p, v_low, v_high), _part(z_q, i_q, cvr_q, v_low, v_high))
        total[item.slot] += max(abs(item.p_share), abs(item.q_share)) * worst
        seen[item.slot] = True
    return np.where(seen, np.maximum(total, 1.0 / v_low), 1.0 / v_low)


def _part(z: float, i: float, exponent: float, v_low: float, v_high: float) -> float:
    if np.isnan(exponent):
        return abs(z) * v_high + abs(i) + abs(1.0 - z - i) / v_low
    return float(max(v_low ** (exponent - 1.0), v_high ** (exponent - 1.0)))


def _bounds(
    net: Network3,
    steps: list[_Step],
    number: dict[Conductor, int],
    v_low: float,
    v_high: FloatArray,
    current: FloatArray,
) -> StateBounds:
    base = net.base_mva / 3.0
    name_of = {k: at for at, k in number.items()}
    flow = np.zeros((net.n_branch, 3))
    loss = 0.0
    for step in steps:
        if step.branch < 0:
            continue
        into = current[step.child]
        loss += float(into @ step.loss @ into)
        for ends, through in ((step.child, into), (step.parent, step.back @ into)):
            for k, i in zip(ends, through, strict=True):
                flow[step.branch, name_of[k][1]] = max(flow[step.branch, name_of[k][1]], v_high[k] * i)
    for element in net.elements:
        for node, y in ((element.from_node, element.y_from), (element.to_node, element.y_to)):
            own = np.array([v_high[number[node, p]] if (node, p) in number else 0.0 for p in range(3)])
            flow[element.row] += own * (np.abs(y) @ own)
            loss += float(own @ np.abs(y.real) @ own)
    highest = np.full((net.n_bus, 3), np.nan)
    for (node, phase), k in number.items():
        if node < net.n_bus:
            highest[node, phase] = v_high[k]
    return StateBounds(v_low, highest, loss * base, flow * base)
