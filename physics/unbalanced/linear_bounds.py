"""How bad a state of a feeder that is no tree can be, from its linear part.

Without loads all currents and voltages follow from the sources; each ampere that a load draws adds its share
to them (superposition). With the largest current of every load these shares bound every voltage and current,
whatever the phase angles. They are taken at the lowest, neutral and highest positions of all taps together,
and the largest is raised by a tenth for those in between: far above what feeders show, though not a proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..bounds import StateBounds
from .assembly.equations import Equations
from .assembly.node_loads import LEGS
from .network import Network3

if TYPE_CHECKING:  # it takes 0.2 s, which `import distgrid` need not
    from scipy.sparse import csc_matrix

FloatArray = NDArray[np.float64]
BETWEEN = 1.1  # for taps that are not at an end of their range


def linear_bounds(
    net: Network3, wye: FloatArray, legs: FloatArray, v_low_pu: float, v_top_pu: float
) -> StateBounds:
    """Bounds as of `distgrid.physics.unbalanced.bounds`; ``wye, legs`` (3 n_bus,) largest currents in pu."""
    equations = net.topology.equations
    own = _currents(net, wye, legs, v_top_pu)
    rows = [(k, slot) for k, slot in equations.seen.tolist() if own[slot] > 0.0]
    most: FloatArray = np.zeros(int(equations.size[0]))
    for tap in _tap_ends(net):
        most = np.maximum(most, BETWEEN * _most(net, equations, tap, rows, own))
    ends = _end_currents(net, equations, most)
    v_high = np.full(3 * net.n_bus, np.nan)
    number, slot = equations.seen.T
    v_high[slot] = np.minimum(most[number], v_top_pu * 4.0 / np.sqrt(3.0))
    by_bus = v_high.reshape(-1, 3)
    known = np.nan_to_num(by_bus)
    base = net.base_mva / 3.0
    flow = np.maximum(known[net.from_row] * ends[0], known[net.to_row] * ends[1])
    return StateBounds(v_low_pu, by_bus, _loss(net, ends, known) * base, flow * base)


def _currents(net: Network3, wye: FloatArray, legs: FloatArray, v_top: float) -> FloatArray:
    """(3 n_bus,) largest current that loads and banks draw at each phase."""
    own = wye.copy().reshape(-1, 3)
    for leg, pair in enumerate(LEGS):
        for phase in pair:
            own[:, phase] += legs.reshape(-1, 3)[:, leg] / net.node_loads.leg_pu
    for bank in net.node_loads.banks:
        ends = LEGS[bank.place] if bank.delta else (bank.place,)
        own[bank.node, list(ends)] += abs(bank.b_pu) * v_top * len(ends)
    return np.where(np.asarray(net.topology.energised), own, 0.0).ravel()


def _tap_ends(net: Network3) -> list[FloatArray]:
    column = net.feeder.column
    step = column("regulators", "tap_step_pu")
    return [1.0 + position * step for position in (column("regulators", "tap_min"), 0.0 * step,
                                                   column("regulators", "tap_max"))]  # fmt: skip


def _matrix(equations: Equations, tap: FloatArray) -> csc_matrix:
    """The linear part without capacitor banks."""
    from scipy.sparse import csc_matrix

    value = equations.value.view(np.complex128).ravel().copy()
    for k, regulator, power in equations.tap:
        value[k] *= tap[regulator] ** float(power)
    n = int(equations.size[0])
    return csc_matrix((value, (equations.entry[:, 0], equations.entry[:, 1])), shape=(n, n))


def _leak(equations: Equations) -> csc_matrix:
    """A thousandth of the base from every conductor to ground."""
    from scipy.sparse import csc_matrix

    n, volts = int(equations.size[0]), np.arange(int(equations.size[1]))
    return csc_matrix((np.full(volts.size, 1e-3 + 0j), (volts, volts)), shape=(n, n))


def _most(
    net: Network3, equations: Equations, tap: FloatArray, rows: list[tuple[int, int]], own: FloatArray
) -> FloatArray:
    """(n,) largest magnitude of every unknown."""
    from scipy.sparse.linalg import splu

    n = int(equations.size[0])
    try:
        lu = splu(_matrix(equations, tap))
    except RuntimeError:  # some phase is fed through loads in series alone
        lu = splu(_matrix(equations, tap) + _leak(equations))
    emf = np.zeros(n, dtype=np.complex128)
    emf[equations.emf[:, 0]] = net.source_row.ravel()[equations.emf[:, 1]]
    total = np.abs(lu.solve(emf))
    for start in range(0, len(rows), 256):
        some = rows[start : start + 256]
        right = np.zeros((n, len(some)), dtype=np.complex128)
        right[[k for k, _ in some], np.arange(len(some))] = [own[slot] for _, slot in some]
        total += np.abs(lu.solve(right)).sum(axis=1)
    return np.asarray(total)


def _end_currents(net: Network3, equations: Equations, most: FloatArray) -> FloatArray:
    """(2, n_branch, 3) largest current into both ends of every branch."""
    from scipy.sparse import csr_matrix

    column, unknown, regulator, power = equations.ends.T
    high = np.array([1.0, *np.max(_tap_ends(net), axis=0)]) if net.tap.size else np.ones(1)
    low = np.array([1.0, *np.min(_tap_ends(net), axis=0)]) if net.tap.size else np.ones(1)
    ratio = np.where(power == -2, low[regulator + 1] ** -2.0, high[regulator + 1] ** np.maximum(power, 0))
    size = np.abs(equations.ends_value.view(np.complex128).ravel()) * ratio
    width = 3 * (net.n_bus + len(net.sources)) + 6 * net.n_branch
    currents = csr_matrix((size, (column, unknown)), shape=(width, most.size)) @ most
    return np.asarray(currents[-6 * net.n_branch :].reshape(2, net.n_branch, 3))


def _loss(net: Network3, ends: FloatArray, v: FloatArray) -> float:
    """Heat of the largest currents in all resistances, and of the highest voltages in all conductances."""
    total = 0.0
    for element in net.elements:
        i = ends[:, element.row]
        if element.line_phases:
            through = i.max(axis=0)[list(element.line_phases)]
            total += float(through @ np.abs(element.z.real) @ through)
        for winding in element.windings:
            start = sum(i[0][phase] for phase, _ in winding.start)
            total += abs(winding.zeta.real) * start**2
        if element.centre_tap is not None:
            total += float(
                (v[element.from_node].max() * i[0]).sum() + (v[element.to_node].max() * i[1]).sum()
            )
        for node, y in ((element.from_node, element.y_from), (element.to_node, element.y_to)):
            total += float(v[node] @ np.abs(y.real) @ v[node])
    return total
