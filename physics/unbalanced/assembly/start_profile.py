"""Where power sums start: the voltages of a feeder without load, and how far its nominal loads move them.

A guess only: what is returned as converged was held against Kirchhoff's laws. But a start within some
thousandths of the solution saves a sweep. A row starts at ``tap * (no load + share * move)``, with the
share of the nominal active power that it draws and the ratios of the regulators on the way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernel_tables import FloatArray, IntArray
from .forest import Conductor, Placed
from .node_loads import LEGS, NodeLoads
from .segments import Segment, sub_block

_SWEEPS = 2
_MOST_BANKS = 32
_SANE = (0.5, 2.0)  # what the loads may leave of a voltage; beyond, the guess is no load

Voltages = NDArray[np.complex128]


class NoLoadNetwork(NamedTuple):
    """A laid-out network as far as a guess needs it."""

    size: int  # conductors
    conductor: dict[Conductor, int]
    placed: list[Placed]
    roots: dict[int, complex]  # EMF of the conductors of sources
    floating: dict[
        int, complex
    ]  # by place of a floating segment: how its mean voltage moves with its current
    node_shunt: NDArray[np.complex128]
    node_loads: NodeLoads
    bank_on: FloatArray  # (n_capacitor,) as stored
    base_mva: float


def start_profile(net: NoLoadNetwork) -> FloatArray:
    """Numbers for ``SweepPlan.number``, with regulators at neutral.

    One row for all conductors each: voltage without load (re, im), its move under nominal load (re, im),
    power drawn there by shunts (P, Q). Then 1 over the nominal wye power that is constant, and the share of a
    row where that says nothing. Numbers that are left out between nodes have 1 pu.
    """
    rest = np.ones(net.size, dtype=np.complex128)
    rest[list(net.roots)] = list(net.roots.values())
    steps = _numbered(net.placed, net.conductor)
    _place(steps, rest, np.zeros(net.size, dtype=np.complex128), {})
    loaded = rest.copy()
    nodes = _nodes(net)
    for v, share in ((rest, 0.0), (loaded, 1.0)):
        for _ in range(_SWEEPS):
            current = _node_currents(net, nodes, v, share)
            _gather(steps, current)
            _place(steps, v, current, net.floating)
    left = np.abs(loaded) / np.maximum(np.abs(rest), 1e-9)
    if not ((left > _SANE[0]) & (left < _SANE[1])).all():
        loaded = rest
    shunt = np.zeros(net.size, dtype=np.complex128)
    for _, at, block in nodes:
        shunt[at] = loaded[at] * np.conj(block @ loaded[at])
    move = loaded - rest
    constant = (
        float((net.node_loads.wye_p_mw.ravel() * net.node_loads.constant[0]).sum()) * 3.0 / net.base_mva
    )
    scale = (1.0 / constant, 0.0) if constant > 0.0 else (0.0, 1.0)
    rows = (rest.real, rest.imag, move.real, move.imag, shunt.real, shunt.imag, np.array(scale))
    return np.concatenate(rows)


def reactions(
    conductor: dict[Conductor, int], placed: list[Placed], v: Voltages, banks: IntArray
) -> FloatArray:
    """(n, n) by how much the |V|^2 of bank j rises with the reactive power of bank k, from impedances alone.

    ``v``: voltages to linearise at; ``banks`` (n, 3): conductor, other conductor or -1. All zero where there
    are so many banks that using this would cost more than it saves.
    """
    n = len(banks)
    if n > _MOST_BANKS:
        return np.zeros((n, n))
    ends = np.zeros((v.size, n))
    ends[banks[:, 0], np.arange(n)] = 1.0
    between = np.flatnonzero(banks[:, 1] >= 0)
    ends[banks[between, 1], between] = -1.0
    across = ends.T @ v
    current = ends * (1j / np.conj(across))
    steps = _numbered(placed, conductor)
    _gather(steps, current)
    moved = np.zeros_like(current)
    _place(steps, moved, current, {})
    return np.asarray(2.0 * (np.conj(across)[:, None] * (ends.T @ moved)).real)


class _Step(NamedTuple):
    """A segment in the place where it feeds something, by numbers of conductors."""

    segment: Segment
    child: IntArray
    parent: IntArray
    reference: int  # -1: none


def _numbered(placed: list[Placed], conductor: dict[Conductor, int]) -> list[_Step]:
    return [
        _Step(
            one.segment, np.array([conductor[at] for at in one.child], dtype=np.int64),
            np.array([conductor[at] for at in one.parent], dtype=np.int64),
            conductor[one.reference[0]] if one.reference else -1,
        )
        for one in placed
    ]  # fmt: skip


def _gather(steps: list[_Step], current: Voltages) -> None:
    """Currents of conductors, or columns of them, into those that feed them."""
    for one in reversed(steps):
        into = current[one.child]
        current[one.parent] += one.segment.d @ into
        if one.reference >= 0:
            current[one.reference] += into[0]


def _place(steps: list[_Step], v: Voltages, current: Voltages, floating: dict[int, complex]) -> None:
    """Voltages of all children, or columns of them, sources first."""
    for k, (segment, child, parent, reference) in enumerate(steps):
        new = segment.a @ v[parent] - segment.b @ current[child]
        if k in floating:
            new = new + v[child].mean(axis=0) - floating[k] * current[child].sum(axis=0)
        v[child] = new + (v[reference] if reference >= 0 else 0.0)


def _nodes(net: NoLoadNetwork) -> list[tuple[int, IntArray, Voltages]]:
    """(node row, conductors, shunt) of every node with a voltage and a shunt."""
    found: dict[int, list[int]] = {}
    for node, phase in net.conductor:
        if node < len(net.node_shunt):
            found.setdefault(node, []).append(phase)
    nodes = []
    shunted = np.asarray(net.node_shunt.any(axis=(1, 2)))
    for node, phases in found.items():
        if shunted[node]:
            at = np.array([net.conductor[node, p] for p in sorted(phases)], dtype=np.int64)
            block = sub_block(net.node_shunt[node], sorted(phases))
            if block.any():
                nodes.append((node, at, block))
    return nodes


def _node_currents(
    net: NoLoadNetwork, nodes: list[tuple[int, IntArray, Voltages]], v: Voltages, share: float
) -> Voltages:
    """Currents of shunts, banks, and a share of the nominal loads, all taken as constant power."""
    current = np.zeros_like(v)
    conductor, node_loads = net.conductor, net.node_loads
    for _, at, block in nodes:
        current[at] = block @ v[at]
    for bank in node_loads.banks:
        ends = [conductor.get((bank.node, p)) for p in (LEGS[bank.place] if bank.delta else (bank.place,))]
        _load_power(current, v, ends, 1j * bank.b_pu * net.bank_on[bank.row], 0j)
    scale = 3.0 / net.base_mva * share
    wye = scale * (node_loads.wye_p_mw + 1j * node_loads.wye_q_mvar)
    legs = scale * (node_loads.delta_p_mw + 1j * node_loads.delta_q_mvar)
    for node, phase in np.argwhere(wye != 0).tolist() if share else ():
        _load_power(current, v, [conductor.get((node, phase))], 0j, wye[node, phase])
    for node, leg in np.argwhere(legs != 0):
        ends = [conductor.get((int(node), phase)) for phase in LEGS[leg]]
        _load_power(current, v, ends, 0j, legs[node, leg])
    return current


def _load_power(
    current: Voltages, v: Voltages, ends: list[int | None], admittance: complex, power: complex
) -> None:
    """Add the currents of both from the first conductor to the second or to ground, unless one is dead."""
    at = [k for k in ends if k is not None]
    if len(at) < len(ends):
        return
    across = v[at[0]] - (v[at[1]] if len(at) > 1 else 0.0)
    flow = admittance * across + np.conj(power / across)
    current[at[0]] += flow
    if len(at) > 1:
        current[at[1]] -= flow
