"""Newton's method and the fast-decoupled method of pandapower, on the same network and into the same arrays.

The network is written down in pandapower's own elements: an impedance for each branch of ratio 1, a
two-winding transformer for each other branch, and shunts for everything that draws current in proportion to
the voltage (charging, capacitors, constant-impedance loads). Nodes joined by branches without impedance are
one bus there; what flows in those branches follows from Kirchhoff's current law.

pandapower averages the constant-current percentages of the loads of a bus without weighing them by power,
and forgets all but the last where buses are fused, so every bus gets exactly one load.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..flags import CONVERGED, DIVERGED
from .held_voltages import NO_HELD, Held
from .network import Network, SweepTopology
from .operable_branch import compare, judge

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]

_ALGORITHM = {"newton": "nr", "fast-decoupled": "fdxb"}
_EXPONENT_SHARES = {0.0: (0.0, 0.0), 1.0: (0.0, 1.0), 2.0: (1.0, 0.0)}  # shares z, i of P ~ |V|^n


@dataclass(frozen=True, eq=False)
class _Model:
    """One topology as a pandapower network."""

    net: Any
    nodes: IntArray  # (m,) energised node rows
    bus: IntArray  # (m,) pandapower's bus of each of them
    free: IntArray  # branch rows without impedance: their ends are one bus
    series: IntArray  # branch rows that carry current and have an impedance
    shunt: ComplexArray  # (n_pp_bus,) admittance without loads, MVA at 1 pu, positive when it consumes
    held: IntArray  # (n_held,) pandapower's bus of each held node
    lock: Lock = field(default_factory=Lock)


_models: WeakKeyDictionary[SweepTopology, _Model] = WeakKeyDictionary()


def solve_group(
    net: Network, topology: SweepTopology, method: str, inputs: tuple[NDArray[Any], ...],
    numbers: tuple[float, float, int, float], out: tuple[NDArray[Any], ...], attempt: int = 0,
    q_known: FloatArray | None = None,
) -> None:  # fmt: skip
    """Solve rows of one topology, one after the other; arguments as the sweep's kernel takes them.

    ``out``: v, current, i_source (in sweep order), status, iterations, last update, Mvar of held nodes.
    ``attempt``: 0 from where it is told, 1 once more from no load, 2 from the operable branch, where
    generators inject ``q_known``, Mvar. ValueError where pandapower cannot express a load.
    """
    load_p, load_q, const_p, const_q, v_source, v_start = inputs
    _, tol, max_iter, v_collapse = numbers
    v, current, i_source, status, iterations, update, q_held = out
    model = _models.get(topology)
    if model is None:
        model = _models[topology] = _build(net, topology)
    held = NO_HELD if topology.held is None else topology.held
    z_load, i_load = _voltage_dependent(net, topology, load_p, load_q)
    constant = const_p + 1j * const_q + _constant_share(net, load_p, load_q)
    if method == "fast-decoupled" and i_load.any():
        raise ValueError(
            "pandapower's fast-decoupled method takes no constant-current loads; use method='newton' or "
            "'backward-forward'"
        )
    with model.lock:
        for row in range(v.shape[0]):
            start = v_start[row] if v_start.size else _no_load(net, topology, v_source[row])
            success, iterations[row] = _solve_row(
                model, method, (constant[row], i_load[row], z_load[row]), v_source[row], start, v[row],
                tol, max_iter, held, q_held[row], None if q_known is None else q_known[row],
            )  # fmt: skip
            status[row] = CONVERGED if success else DIVERGED
    injected = np.zeros_like(v)
    injected[:, net.held_node] = 1j * q_held
    voltage = np.abs(np.nan_to_num(v, nan=1.0))
    power = (constant - injected + i_load * voltage + z_load * voltage**2) / net.base_mva
    rest = _currents(net, topology, model, power, v, current, i_source)
    if held.row.size:  # pandapower's own sums are some 1e-8 off
        at = net.held_node[held.row]
        q_held[:, held.row] += net.base_mva * (v[:, at] * np.conj(rest[:, at])).imag
    if topology.loops is None and topology.held is None:
        judge(
            net, topology, (const_p, const_q, load_p, load_q), tol, v_collapse, (v, current, status, update)
        )
        known = None
    else:
        known = compare(net, topology, inputs, numbers, (v, status, update))
    failed = np.flatnonzero(status & DIVERGED)
    nowhere = np.empty((0, 0), dtype=np.complex128)
    # A poor start leads nowhere, or to another branch.
    if failed.size and attempt == 0 and v_start.size:
        attempt, again, given = 1, nowhere, None
    elif failed.size and attempt < 2 and known is not None:
        attempt, again, given = 2, np.nan_to_num(known[0][failed], nan=1.0), known[1][failed]
    else:
        return
    part = tuple(a[failed] for a in out)
    cold = (*(a[failed] for a in inputs[:5]), again)
    solve_group(net, topology, method, cold, numbers, part, attempt, given)
    for target, piece in zip(out, part, strict=True):
        target[failed] = piece


def _build(net: Network, topology: SweepTopology) -> _Model:
    """The network in pandapower's elements; loads and sources get their values row by row."""
    carries = np.flatnonzero(topology.in_tree)
    ratio, z = topology.ratio, net.r_pu + 1j * net.x_pu
    free, series = carries[z[carries] == 0], carries[z[carries] != 0]
    if (ratio[free] != 1.0).any():
        name = net.feeder.column("branches", "branch_id")[free[ratio[free] != 1.0][0]]
        raise ValueError(
            f"branch {name!r} is a transformer without impedance, which pandapower has not: give it a small "
            "one, or use method='backward-forward'"
        )
    nodes, bus = _merge(net, topology, free)
    at = np.full(net.n_bus, -1, dtype=np.int64)
    at[nodes] = bus
    count = int(bus.max(initial=-1)) + 1
    kv = np.ones(count)
    kv[bus] = net.base_kv[nodes]
    shunt = np.zeros(count, dtype=np.complex128)
    y = np.conj(_shunts(topology))  # conj: power drawn at 1 pu
    np.add.at(shunt, at[topology.tree.order], net.base_mva * y)
    held = at[net.held_node[topology.held.row]] if topology.held is not None else at[:0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower's own deprecations
        import pandapower as pp

        model = pp.create_empty_network(sn_mva=net.base_mva)
        pp.create_buses(model, count, vn_kv=kv)
        _create_branches(pp, model, net, topology, series, at, kv)
        pp.create_loads(model, np.arange(count), p_mw=0.0, q_mvar=0.0)
        pp.create_shunts(model, np.arange(count), q_mvar=shunt.imag, p_mw=shunt.real)
        for root in topology.tree.order[topology.tree.parent < 0]:
            pp.create_ext_grid(model, at[root])
        if topology.held is not None:
            pp.create_gens(model, held, p_mw=0.0, vm_pu=topology.held.v)
    return _Model(model, nodes, bus, free, series, shunt, held)


def _shunts(topology: SweepTopology) -> ComplexArray:
    """(m,) admittance to ground at each position, without what stands for unequal parallel branches."""
    tree = topology.tree
    return tree.y_re + 1j * tree.y_im - topology.bundle_y[tree.order]


def _merge(net: Network, topology: SweepTopology, free: IntArray) -> tuple[IntArray, IntArray]:
    """Energised nodes and the number of the group that branches without impedance join each to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix(
        (np.ones(free.size), (net.from_row[free], net.to_row[free])), shape=(net.n_bus, net.n_bus)
    )
    _, label = connected_components(links, directed=False)
    nodes = np.flatnonzero(topology.energised)
    _, bus = np.unique(label[nodes], return_inverse=True)
    return nodes, bus.reshape(-1).astype(np.int64)


def _create_branches(
    pp: Any, model: Any, net: Network, topology: SweepTopology, series: IntArray, at: IntArray, kv: FloatArray
) -> None:
    ratio = topology.ratio
    plain, turned = series[ratio[series] == 1.0], series[ratio[series] != 1.0]
    if plain.size:
        pp.create_impedances(
            model, at[net.from_row[plain]], at[net.to_row[plain]], rft_pu=net.r_pu[plain],
            xft_pu=net.x_pu[plain], sn_mva=net.base_mva,
        )  # fmt: skip
    if turned.size:
        size = np.hypot(net.r_pu[turned], net.x_pu[turned])
        start, end = at[net.from_row[turned]], at[net.to_row[turned]]
        pp.create_transformers_from_parameters(
            model, start, end, sn_mva=net.base_mva, vn_hv_kv=kv[start] * np.abs(ratio[turned]),
            vn_lv_kv=kv[end], vkr_percent=100.0 * net.r_pu[turned],
            vk_percent=100.0 * np.where(net.x_pu[turned] < 0, -size, size), pfe_kw=0.0, i0_percent=0.0,
            shift_degree=np.angle(ratio[turned], deg=True),
        )  # fmt: skip


def _shares(net: Network) -> FloatArray:
    """(n_zip, 4) shares p_z, p_i, q_z, q_i; ValueError where an exponent is none of 0, 1 and 2."""
    shares = net.zip_coef[:, :4].copy()
    for row, part in np.argwhere(np.isfinite(net.zip_coef[:, 4:])):
        exponent = float(net.zip_coef[row, 4 + part])
        if exponent not in _EXPONENT_SHARES:
            name = net.feeder.column("nodes", "node_id")[net.zip_node[row]]
            raise ValueError(
                f"the load at node {name!r} has CVR exponent {exponent:g}, which pandapower has not (only "
                "0, 1 and 2); use method='backward-forward'"
            )
        shares[row, 2 * part : 2 * part + 2] = _EXPONENT_SHARES[exponent]
    return shares


def _voltage_dependent(
    net: Network, topology: SweepTopology, load_p: FloatArray, load_q: FloatArray
) -> tuple[ComplexArray, ComplexArray]:
    """(batch, n_bus) MVA at 1 pu drawn as constant impedance and as constant current."""
    z_load, i_load = (np.zeros(load_p.shape, dtype=np.complex128) for _ in range(2))
    share, at = _shares(net), net.zip_node
    live = topology.energised[at]
    share, at = share[live], at[live]
    z_load[:, at] = share[:, 0] * load_p[:, at] + 1j * share[:, 2] * load_q[:, at]
    i_load[:, at] = share[:, 1] * load_p[:, at] + 1j * share[:, 3] * load_q[:, at]
    return z_load, i_load


def _constant_share(net: Network, load_p: FloatArray, load_q: FloatArray) -> ComplexArray:
    """(batch, n_bus) constant power of the loads that depend on voltage in part."""
    rest = np.zeros(load_p.shape, dtype=np.complex128)
    share, at = _shares(net), net.zip_node
    rest[:, at] = (1 - share[:, 0] - share[:, 1]) * load_p[:, at]
    rest[:, at] += 1j * (1 - share[:, 2] - share[:, 3]) * load_q[:, at]
    return rest


def _no_load(net: Network, topology: SweepTopology, v_source: ComplexArray) -> ComplexArray:
    """(n_bus,) voltages without current: where both methods start."""
    tree = topology.tree
    v = np.full(net.n_bus, np.nan + 0j)
    v[tree.order[tree.parent < 0]] = v_source
    for k in np.flatnonzero(tree.parent >= 0):
        v[tree.order[k]] = complex(tree.a_re[k], tree.a_im[k]) * v[tree.order[tree.parent[k]]]
    return v


def _solve_row(
    model: _Model, method: str, load: tuple[ComplexArray, ComplexArray, ComplexArray], v_source: ComplexArray,
    start: ComplexArray, v: ComplexArray, tol: float, max_iter: int, held: Held, q_held: FloatArray,
    q_known: FloatArray | None,
) -> tuple[bool, int]:  # fmt: skip
    """Write one row's voltages; returns (whether pandapower says it converged, its iterations).

    Generators hold their voltages, then those beyond a limit stop at it, until none is, as often as needed.
    """
    net = model.net
    if not model.nodes.size:
        return True, 0
    constant, i_load, z_load = (_by_bus(model, part) for part in load)
    shunt = model.shunt + z_load
    net.shunt["p_mw"], net.shunt["q_mvar"] = shunt.real, shunt.imag
    net.ext_grid["vm_pu"], net.ext_grid["va_degree"] = np.abs(v_source), np.angle(v_source, deg=True)
    first = np.ones(constant.size, dtype=np.complex128)
    first[model.bus] = start[model.nodes]
    success, iterations = False, 0
    fixed, freed = np.zeros(held.row.size), np.zeros(held.row.size, dtype=np.int64)
    if q_known is not None:  # those that are known to stand at a limit begin there
        fixed[q_known[held.row] >= held.q_max * net.sn_mva * (1 - 1e-9)] = 1.0
        fixed[q_known[held.row] <= held.q_min * net.sn_mva * (1 - 1e-9)] = -1.0
    for _ in range(1 + 8 * held.row.size):
        limit = np.where(fixed > 0, held.q_max, held.q_min) * net.sn_mva
        given = np.where(fixed != 0, limit, 0.0)
        own = constant.copy()
        np.add.at(own, model.held, -1j * given)
        _set_loads(net, own, i_load)
        if held.row.size:
            net.gen["in_service"] = fixed == 0
        for tightness in (1e-2, 1.0):  # the tighter one may lie below what rounding leaves
            success = _run(net, method, first, tightness * tol, max_iter)
            iterations += int(net._ppc["iterations"])
            if success:
                break
        if not held.row.size or not success:
            break
        q = np.where(fixed == 0, net.res_gen["q_mvar"].to_numpy(), given)
        q_held[held.row] = q
        slack = 1e-9 * np.maximum(net.sn_mva, np.abs(q))
        over = (q > held.q_max * net.sn_mva + slack).astype(float)
        over -= q < held.q_min * net.sn_mva - slack
        above = net.res_bus["vm_pu"].to_numpy()[model.held] - held.v
        free = (fixed != 0) & (above * fixed > 10.0 * tol) & (freed < 3)
        if not (free.any() or (over[fixed == 0] != 0).any()):
            break
        freed += free
        fixed = np.where(fixed == 0, over, np.where(free, 0.0, fixed))
    bus = net._ppc["bus"][net._pd2ppc_lookups["bus"]]
    result = bus[:, 7] * np.exp(1j * np.deg2rad(bus[:, 8]))  # MATPOWER's columns VM and VA
    v[model.nodes] = result[model.bus]
    return success, iterations


def _by_bus(model: _Model, power: ComplexArray) -> ComplexArray:
    total = np.zeros(len(model.net.bus), dtype=np.complex128)
    np.add.at(total, model.bus, power[model.nodes])
    return total


def _set_loads(net: Any, constant: ComplexArray, i_load: ComplexArray) -> None:
    """One load a bus: its power at 1 pu, and how many percent of it are constant current."""
    total = constant + i_load
    for column, power, current in (("p", total.real, i_load.real), ("q", total.imag, i_load.imag)):
        if ((power == 0) & (current != 0)).any():
            raise ValueError(
                "constant power cancels a constant-current load at a bus, which pandapower cannot express; "
                "use method='backward-forward'"
            )
        percent = 100.0 * current / np.where(power == 0, 1.0, power)
        if (percent > 100.0).any():
            raise ValueError(
                "an injection outweighs the constant-power share of a constant-current load at a bus, which "
                "pandapower cannot express; use method='backward-forward'"
            )
        net.load[f"const_i_{column}_percent"] = percent
    net.load["p_mw"], net.load["q_mvar"] = total.real, total.imag


def _run(net: Any, method: str, first: ComplexArray, tol: float, max_iter: int) -> bool:
    depends = bool(net.load.const_i_p_percent.any() or net.load.const_i_q_percent.any())
    # pandapower's fast-decoupled method stumbles over an array of angles; a DC power flow gives it its own.
    angles = np.angle(first, deg=True) if method == "newton" else "dc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp

        try:
            pp.runpp(
                net, algorithm=_ALGORITHM[method], calculate_voltage_angles=True, init="auto",
                init_vm_pu=np.abs(first), init_va_degree=angles, max_iteration=max_iter,
                tolerance_mva=tol, trafo_model="pi", check_connectivity=False, numba=False,
                voltage_depend_loads=depends,
            )  # fmt: skip
        except pp.LoadflowNotConverged:
            return False
    return True


def _currents(
    net: Network, topology: SweepTopology, model: _Model, power: ComplexArray, v: ComplexArray,
    current: ComplexArray, i_source: ComplexArray,
) -> ComplexArray:  # fmt: skip
    """Series currents into the child ends, and what the sources deliver, from the voltages.

    Returns the current that each node lacks, (batch, n_bus).
    """
    ratio, forward = topology.ratio, topology.child_is_to
    tree = topology.tree
    series = model.series
    drop = v[:, net.from_row] / ratio - v[:, net.to_row]
    into_to = np.zeros_like(current)
    into_to[:, series] = drop[:, series] / (net.r_pu[series] + 1j * net.x_pu[series])
    with np.errstate(invalid="ignore", divide="ignore"):  # a diverged row may have lost its numbers
        node_current = np.where(
            topology.energised, np.conj(power / np.where(topology.energised, v, 1.0)), 0.0
        )
    node_current[:, tree.order] += _shunts(topology) * v[:, tree.order]
    for row in range(v.shape[0]):
        np.add.at(node_current[row], net.from_row, into_to[row] / np.conj(ratio))
        np.add.at(node_current[row], net.to_row, -into_to[row])
    roots = tree.order[tree.parent < 0]
    free = model.free
    if free.size:
        incidence = np.zeros((net.n_bus, free.size))
        incidence[net.from_row[free], np.arange(free.size)] = 1.0
        incidence[net.to_row[free], np.arange(free.size)] = -1.0
        judged = np.setdiff1d(np.flatnonzero(incidence.any(axis=1)), roots)
        into_to[:, free] = np.linalg.lstsq(incidence[judged], -node_current[:, judged].T, rcond=None)[0].T
        node_current += into_to[:, free] @ incidence.T
    i_source[:] = node_current[:, roots]
    current[:] = np.where(forward, into_to, -into_to / np.conj(ratio))
    return node_current
