"""What loads, capacitor banks and shunts draw at a solved state, node by node and phase by phase."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numba_tools.jit import kernel
from .assembly.node_loads import LEGS
from .kernel_tables import CVR_P, CVR_Q, HIGH, I_P, I_Q, LOW, MODEL, RATED, SHARE_P, SHARE_Q, Z_P, Z_Q
from .kernels.load_power import banded
from .network import Network3
from .solution import Solution3

ComplexArray = NDArray[np.complex128]


class Consumption(NamedTuple):
    """Complex MVA that leaves each phase's conductor, (n_bus, 3), positive when consumed; 0 where none.

    What is connected between two phases takes power from both of them: from each its own voltage times the
    current, so that at every node and phase the branches bring what loads and shunts draw.
    """

    load: ComplexArray
    shunt: ComplexArray  # capacitor banks and the shunts of the nodes table


def consumption(net: Network3, sol: Solution3) -> Consumption:
    """Loads by their own models (shares, exponents, voltage bands) at the voltages of `sol`.

    `sol`: one row without a batch axis, solved with the nominal loads and capacitor states of `net`.
    """
    node_loads, v = net.node_loads, sol.v
    conductors = np.nan_to_num(v)
    between = np.stack([conductors[:, a] - conductors[:, b] for a, b in LEGS], axis=1)
    live = np.stack([net.energised[:, a] & net.energised[:, b] for a, b in LEGS], axis=1)
    wye = node_loads.wye_p_mw * node_loads.constant[0].reshape(-1, 3) + 1j * (
        node_loads.wye_q_mvar * node_loads.constant[1].reshape(-1, 3)
    )
    legs = np.zeros_like(wye)
    for items, p, q, volts, into in (
        (node_loads.wye_items, node_loads.wye_p_mw, node_loads.wye_q_mvar, np.abs(conductors), wye),
        (
            node_loads.leg_items,
            node_loads.delta_p_mw,
            node_loads.delta_q_mvar,
            np.abs(between) / node_loads.leg_pu[:, None],
            legs,
        ),
    ):
        slot = np.array([item.slot for item in items], dtype=np.int64)
        coef = np.array([(item.p_share, item.q_share, *item.model) for item in items], dtype=np.float64)
        _add_items(slot, coef.reshape(-1, MODEL), p.ravel(), q.ravel(), volts.ravel(), into.reshape(-1))
    load = np.where(net.energised, wye, 0.0) + _at_phases(np.where(live, legs, 0.0), conductors, between)
    return Consumption(load, _shunts(net, conductors, between, live))


def model_factors(net: Network3, v: ComplexArray) -> tuple[NDArray[np.float64], ...]:
    """What a load of 1 MW or Mvar at 1 pu is at voltages ``v`` (..., n_bus, 3): wye P, Q, legs P, Q.

    By the shares of the models that the phase's or the leg's own loads have; a leg without any takes
    constant power. NaN voltages give 0.
    """
    node_loads = net.node_loads
    rows = np.nan_to_num(v).reshape(-1, net.n_bus, 3)
    between = np.stack([rows[..., a] - rows[..., b] for a, b in LEGS], axis=-1)
    one = np.ones(3 * net.n_bus)
    found = [np.zeros((2, *rows.shape)) for _ in range(2)]
    legs = node_loads.leg_items + node_loads.more_legs
    kinds = (
        (found[0], node_loads.wye_items, np.abs(rows)),
        (found[1], legs, np.abs(between) / node_loads.leg_pu[:, None]),
    )
    found[0][:] = node_loads.constant.reshape(2, 1, net.n_bus, 3)
    for into, items, volts in kinds:
        slot = np.array([item.slot for item in items], dtype=np.int64)
        coef = np.array([(item.p_share, item.q_share, *item.model) for item in items], dtype=np.float64)
        for k in range(len(rows)):
            drawn = np.zeros(3 * net.n_bus, dtype=np.complex128)
            _add_items(slot, coef.reshape(-1, MODEL), one, one, volts[k].ravel(), drawn)
            into[0, k] += drawn.real.reshape(-1, 3)
            into[1, k] += drawn.imag.reshape(-1, 3)
    return tuple(a.reshape(v.shape) for a in (*found[0], *found[1]))


@kernel
def _add_items(slot, coef, p, q, volts, into):  # type: ignore[no-untyped-def]
    """Add each item's power at the voltage of its slot."""
    for k in range(slot.size):
        at, c = slot[k], coef[k]
        v = volts[at]
        low, high, rated = c[LOW], c[HIGH], c[RATED]
        active = banded(p[at] * c[SHARE_P], c[Z_P], c[I_P], c[CVR_P], low, high, rated, v)
        reactive = banded(q[at] * c[SHARE_Q], c[Z_Q], c[I_Q], c[CVR_Q], low, high, rated, v)
        into[at] += complex(active, reactive)


def _at_phases(legs: ComplexArray, v: ComplexArray, between: ComplexArray) -> ComplexArray:
    """Power of the legs AB, BC, CA as each of their two phases gives it."""
    current = np.conj(np.divide(legs, between, out=np.zeros_like(legs), where=between != 0))
    power = np.zeros_like(legs)
    for leg, (a, b) in enumerate(LEGS):
        power[:, a] += v[:, a] * np.conj(current[:, leg])
        power[:, b] -= v[:, b] * np.conj(current[:, leg])
    return power


def _shunts(net: Network3, v: ComplexArray, between: ComplexArray, live: NDArray[np.bool_]) -> ComplexArray:
    """Fixed shunts and capacitor banks."""
    base = net.base_mva / 3.0
    power = base * v * np.conj((net.shunt @ v[:, :, None])[:, :, 0])
    legs = np.zeros_like(power)
    for bank in net.node_loads.banks:
        volts = between if bank.delta else v
        bank_power = -1j * base * bank.b_pu * net.cap_on[bank.row] * np.abs(volts[bank.node, bank.place]) ** 2
        if not bank.delta:
            power[bank.node, bank.place] += bank_power
        elif live[bank.node, bank.place]:
            legs[bank.node, bank.place] += bank_power
    return power + _at_phases(legs, v, between)
