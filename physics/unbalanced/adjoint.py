"""Gradients of scalars of a solved per-phase power flow: arguments, then the adjoint of every row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..flags import CONVERGED
from ..numba_tools.threads import split_rows
from ..objective import (
    OF_NODES,
    SCALARS,
    FlowSeeds,
    broadcast_rows,
    given_rows,
    of_currents,
    of_loading,
    repeated,
    rows_for_all,
)
from .assembly.node_loads import LEGS
from .consumption import model_factors
from .kernel_tables import Inputs
from .kernels.adjoint_rows import MOST_MOVE_PU, Places, adjoint_rows, room_for
from .kernels.adjoint_tables import Adjoints, Powers, Seeds, tree_room
from .kernels.adjoint_tree import tree_rows
from .kernels.newton_system import memory_for
from .network import Network3
from .solution import Solution3
from .solve import picked
from .topology import SweepTopology

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
_NONE = np.empty((0, 0))
_FLOAT = np.dtype(np.float64)
_SCALAR_COLUMN = {name: column for column, name in enumerate(SCALARS)}
#: Fields of Seeds that arguments become without any change.
_AS_THEY_ARE = {"v_pu": 0, "p_from_mw": 2, "q_from_mvar": 3, "p_to_mw": 4, "q_to_mvar": 5}
_OF_ENDS = ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar")


@dataclass(frozen=True, eq=False, init=False)
class Gradient3:
    """Derivatives of a scalar f of a per-phase solution by what was given to :func:`distgrid.physics.solve`.

    Every array bears the name of the argument of :func:`~distgrid.physics.solve` by which it derives, and
    has a batch axis where the solution, or what f was said to be, had one. Phases A, B, C last; of what
    stands between phases the legs AB, BC, CA. 0 where there is no phase or no source, and from phase to
    ground where a delta winding without ground feeds it; NaN, all of it, in rows that did not converge.
    """

    net: Network3 = field(repr=False)
    converged: Any  # (batch,) bool: whether the row is a solution; where not, its gradient is NaN
    tap: FloatArray  # (batch, n_regulator) f per unit of the ratio of each regulator
    v_source_pu: FloatArray  # (batch, n_source) f per pu of the voltage of each source, all its phases
    _p: FloatArray = field(repr=False)  # (batch, n_bus, 3) by injections from ground, whatever feeds them
    _q: FloatArray = field(repr=False)
    _v: ComplexArray = field(repr=False)
    _topologies: tuple[tuple[Any, SweepTopology], ...] = field(repr=False)  # rows, topology

    def __init__(
        self, net: Network3, converged: Any, tap: FloatArray, v_source: FloatArray, p: FloatArray,
        q: FloatArray, v: ComplexArray, topologies: tuple[tuple[Any, SweepTopology], ...],
    ) -> None:  # fmt: skip
        # Straight into the dictionary: the setters of a frozen dataclass cost as much as a small feeder.
        own = self.__dict__
        own["net"], own["converged"], own["tap"], own["v_source_pu"] = net, converged, tap, v_source
        own["_p"], own["_q"], own["_v"], own["_topologies"] = p, q, v, topologies

    @cached_property
    def p_inject_mw(self) -> FloatArray:
        """(batch, n_bus, 3) f per MW that more is injected from ground."""
        return self._from_ground(self._p)

    @cached_property
    def q_inject_mvar(self) -> FloatArray:
        """(batch, n_bus, 3) f per Mvar that more is injected from ground."""
        return self._from_ground(self._q)

    @cached_property
    def p_delta_inject_mw(self) -> FloatArray:
        """(batch, n_bus, 3) f per MW that more is injected between two phases."""
        return self._between[0]

    @cached_property
    def q_delta_inject_mvar(self) -> FloatArray:
        """(batch, n_bus, 3) f per Mvar that more is injected between two phases."""
        return self._between[1]

    @cached_property
    def p_mw(self) -> FloatArray:
        """(batch, n_bus, 3) f per MW at 1 pu of the phase's own kind of load to ground."""
        return np.asarray(-self.p_inject_mw * self._models[0])

    @cached_property
    def q_mvar(self) -> FloatArray:
        """(batch, n_bus, 3) f per Mvar at 1 pu of the phase's own kind of load to ground."""
        return np.asarray(-self.q_inject_mvar * self._models[1])

    @cached_property
    def p_delta_mw(self) -> FloatArray:
        """(batch, n_bus, 3) f per MW at 1 pu of the leg's own kind of load."""
        return np.asarray(-self.p_delta_inject_mw * self._models[2])

    @cached_property
    def q_delta_mvar(self) -> FloatArray:
        """(batch, n_bus, 3) f per Mvar at 1 pu of the leg's own kind of load."""
        return np.asarray(-self.q_delta_inject_mvar * self._models[3])

    @cached_property
    def shunt_g_mw(self) -> FloatArray:
        """(batch, n_bus, 3) f per MW that more is consumed at 1 pu by a conductance from phase to ground."""
        return np.asarray(-self.p_inject_mw * self._squared)

    @cached_property
    def shunt_b_mvar(self) -> FloatArray:
        """(batch, n_bus, 3) f per Mvar that more is injected at 1 pu by a susceptance to ground."""
        return np.asarray(self.q_inject_mvar * self._squared)

    @property
    def _squared(self) -> FloatArray:
        return np.nan_to_num(self._v.real**2 + self._v.imag**2)

    def _from_ground(self, found: FloatArray) -> FloatArray:
        if all(topology.ground_slots.all() for _, topology in self._topologies):
            return found
        out = found.copy()
        for rows, topology in self._topologies:
            part = out[rows]
            part[..., ~topology.ground_slots.reshape(-1, 3)] *= 0.0
            out[rows] = part
        return out

    @cached_property
    def _between(self) -> tuple[FloatArray, FloatArray]:
        """By injections between phases: the multipliers of both, over the voltage across."""
        v = np.nan_to_num(self._v)
        multiplier = (self._p - 1j * self._q) * v
        across, apart = (np.stack([a[..., i] - a[..., k] for i, k in LEGS], axis=-1) for a in (v, multiplier))
        live = np.zeros(across.shape, dtype=bool)
        for rows, topology in self._topologies:
            ends = np.stack([topology.energised[:, i] & topology.energised[:, k] for i, k in LEGS], axis=1)
            live[rows] = ends & topology.leg_slots.reshape(-1, 3)
        found = np.where(live, apart / np.where(live & (across != 0.0), across, 1.0), 0.0)
        found = np.where(np.isnan(self._p), np.nan, found)
        return np.ascontiguousarray(found.real), np.ascontiguousarray(-found.imag)

    @cached_property
    def _models(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """What 1 MW or Mvar at 1 pu is at the voltages: wye P and Q, delta P and Q."""
        p, q, p_delta, q_delta = model_factors(self.net, self._v)
        return p, q, p_delta, q_delta


def gradient(sol: Solution3, seeds: dict[str, ArrayLike | None], *, threads: int | None = None) -> Gradient3:
    """See :func:`distgrid.physics.gradient`."""
    lone = _of_lone_row(sol, seeds)
    if lone is not None:
        return lone
    net = sol.net
    sizes = {name: net.n_bus if name in OF_NODES else net.n_branch for name in seeds}
    given, rows = given_rows(seeds, sizes, (3,))
    solved = sol._phasors.shape[0]
    batch, squeeze = broadcast_rows(None if sol.squeeze else solved, rows)
    by = {name: rows_for_all(a, (batch, sizes[name], 3)).reshape(batch, -1)
          for name, a in given.items() if name not in SCALARS}  # fmt: skip
    v = repeated(sol._phasors[:, : 3 * net.n_bus], batch)
    _resolve_ends(sol, by, v, batch)
    total = np.zeros((batch, 4))
    for column, name in enumerate(SCALARS):
        if name in given:
            total[:, column] = given[name]
    v_rad = np.rad2deg(by["v_deg"]) if "v_deg" in by else _NONE
    packed = Seeds._make([by.get("v_pu", _NONE), v_rad, *(by.get(name, _NONE) for name in _OF_ENDS), total])
    flows = any(name in by for name in _OF_ENDS) or bool(total[:, :2].any())
    out = _room_for_results(net, batch)
    converged = repeated((sol._notes[:, 0].astype(np.int64) & CONVERGED) != 0, batch)
    whole = solved == batch
    for group, topology in sol.groups if whole else ((slice(None), sol.groups[0][1]),):
        _of_group(sol, topology, np.arange(batch)[group], v, packed, out, flows, threads)
    if (converged & ~(out.move[:, 0] < MOST_MOVE_PU)).any():
        raise ValueError(
            "this is no solution of its loads: arrays that were given to the power flow have been changed "
            "since; solve again"
        )
    if not converged.all():
        for array in out:
            array[~converged] = np.nan
    p, q = out.p.reshape(batch, net.n_bus, 3), out.q.reshape(batch, net.n_bus, 3)
    v = v.reshape(batch, net.n_bus, 3)
    topologies: tuple[tuple[Any, SweepTopology], ...] = (((), sol.groups[0][1]),)
    if squeeze:
        return Gradient3(net, converged[0], out.tap[0], out.v_source[0], p[0], q[0], v[0], topologies)
    groups = sol.groups if whole else ((slice(None), sol.groups[0][1]),)
    topologies = tuple(((rows,), topology) for rows, topology in groups)
    return Gradient3(net, converged, out.tap, out.v_source, p, q, v, topologies)


def _of_lone_row(sol: Solution3, seeds: dict[str, ArrayLike | None]) -> Gradient3 | None:
    """One row on the feeder as it is, of a plain scalar, without anything that costs time; else None."""
    net, topology = sol.net, sol.net.topology
    if not sol.squeeze or sol.groups[0][1] is not topology or topology.adjoint is None:
        return None
    packed = _lone_seeds(net, seeds)
    if packed is None or sol._notes[0, 0] != CONVERGED:
        return None
    given, flows, slack = packed
    out = _room_for_results(net, 1)
    powers = [a.reshape(1, -1) if a.size else a for a in sol._given[:8]]
    v_source, tap, cap_on = sol._given[8], sol._given[10], sol._given[11]
    v = np.ascontiguousarray(sol._phasors[:, : 3 * net.n_bus])
    try:
        run = topology.lone_adjoints.pop()
    except IndexError:  # none yet, or all are lent to other threads
        room = tree_room(topology.adjoint, net.tap.size, 1)
        run = tree_rows.bind_first(tree=topology.adjoint, room=room)
    rest = (v_source.view(np.float64), tap, cap_on, v.view(np.float64))
    run(
        *powers, *rest, *given, *out, 0, 1, 3.0 / net.base_mva, flows, slack, _all_legs(sol)
    )  # fields of Powers, ...
    topology.lone_adjoints.append(run)
    if not (out.move[0, 0] < MOST_MOVE_PU and np.isfinite(out.p).all()):  # said elsewhere
        return None
    shape = (net.n_bus, 3)
    p, q, v = out.p.reshape(shape), out.q.reshape(shape), v.reshape(shape)
    return Gradient3(net, np.True_, out.tap[0], out.v_source[0], p, q, v, (((), topology),))


def _lone_seeds(
    net: Network3, seeds: dict[str, ArrayLike | None]
) -> tuple[list[FloatArray], bool, bool] | None:
    """The fields of Seeds, whether there are flows and powers of sources; None: something needs a check."""
    total = np.zeros((1, 4))
    given, flows, slack, some = [_NONE, _NONE, _NONE, _NONE, _NONE, _NONE, total], False, False, False
    for name, value in seeds.items():
        if value is None:
            continue
        some = True
        column = _SCALAR_COLUMN.get(name)
        if column is not None and type(value) is float:
            total[0, column] = value
            flows, slack = flows or column < 2, slack or column > 1
            continue
        place, n = _AS_THEY_ARE.get(name), net.n_bus if name == "v_pu" else net.n_branch
        if place is None or type(value) is not np.ndarray or value.shape != (n, 3) or value.dtype != _FLOAT:
            return None
        if not value.flags.carray:
            return None
        given[place] = value.reshape(1, -1)
        flows = flows or place > 0
    return (given, flows, slack) if some else None


def _room_for_results(net: Network3, batch: int) -> Adjoints:
    sizes = (3 * net.n_bus, 3 * net.n_bus, net.tap.size, len(net.sources), 1)
    return Adjoints._make(np.empty((batch, n)) for n in sizes)


def _resolve_ends(sol: Solution3, by: dict[str, FloatArray], v: ComplexArray, batch: int) -> None:
    """Currents and loadings as what they are of powers and voltages of the larger end."""
    if not ("i_ka" in by or "loading" in by):
        return
    net = sol.net
    flows = [repeated(s.reshape(s.shape[0], -1), batch) for s in sol._flows]
    into = FlowSeeds.of(by, batch, 3 * net.n_bus, 3 * net.n_branch)
    if "i_ka" in by:
        phases = np.arange(3)
        ends = (3 * net.from_row[:, None] + phases).ravel(), (3 * net.to_row[:, None] + phases).ravel()
        kv = np.repeat(net.base_kv, 3) / np.sqrt(3.0)
        of_currents(into, by.pop("i_ka"), flows, ends, v, kv)
    if "loading" in by:
        ratings = net.phase_rating_mva.reshape(2, -1)
        names = np.repeat(net.feeder.column("branches", "branch_id"), 3)
        of_loading(into, by.pop("loading"), flows, (ratings[0], ratings[1]), names)
    by.update(into.as_dict())


def _places(net: Network3, topology: SweepTopology) -> Places:
    conductor = np.full(3 * net.n_bus, -1, dtype=np.int64)
    seen = topology.end_equations.seen
    conductor[seen[:, 1]] = seen[:, 0]
    source = np.array([source.node for source in net.sources], dtype=np.int64)
    flows = topology.flows
    return Places(conductor, np.stack([net.from_row, net.to_row]), source, flows.charging, flows.admittance)


def _of_group(
    sol: Solution3, topology: SweepTopology, rows: NDArray[np.int64], v: ComplexArray, seeds: Seeds,
    out: Adjoints, flows: bool, threads: int | None,
) -> None:  # fmt: skip
    """The adjoint of the rows of a group."""
    net = sol.net
    every = rows.size == v.shape[0]
    inputs = _inputs(sol)
    part = out
    if not every:
        inputs, v = picked(inputs, rows), v[rows]
        seeds = Seeds._make(a[rows] if a.size else a for a in seeds)
        part = Adjoints._make(np.empty((rows.size, a.shape[1])) for a in out)
    states, scale = (inputs.v_source, inputs.tap, inputs.cap_on), 3.0 / net.base_mva
    rest = (topology, (inputs[:8], *states), v, seeds, part, scale, flows)
    work = _by_equations(net, *rest) if topology.adjoint is None else _along_tree(*rest, _all_legs(sol))
    split_rows(work, rows.size, threads)
    if not every:
        for target, piece in zip(out, part, strict=True):
            target[rows] = piece


Given = tuple[tuple[FloatArray, ...], ComplexArray, FloatArray, FloatArray]  # powers, sources, taps, banks


def _along_tree(
    topology: SweepTopology, given: Given, v: ComplexArray, seeds: Seeds, out: Adjoints,
    scale: float, flows: bool, all_legs: bool,
) -> Callable[[int, int], None]:  # fmt: skip
    """The adjoint sweep of some rows."""
    tree = topology.adjoint
    assert tree is not None

    powers, v_source, tap, cap_on = given
    rest = (Powers._make(powers), _pairs(v_source), tap, cap_on, _pairs(v), seeds, out)
    slack = bool(seeds.total[:, 2:].any())

    def work(lo: int, hi: int) -> None:
        wide = hi - lo > 1
        try:
            room = topology.tree_rooms[wide].pop()
        except IndexError:  # none yet, or all are lent to other threads
            room = tree_room(tree, tap.shape[1], hi - lo)
        tree_rows(tree, room, *rest, lo, hi, scale, flows, slack, all_legs)
        topology.tree_rooms[wide].append(room)

    return work


def _all_legs(sol: Solution3) -> bool:
    """Whether legs without a nominal load may draw power: the power flow was told of legs."""
    nominal, given = sol.net.nominal_rows, sol._given
    told = given[4] is not nominal[2] or given[5] is not nominal[3]
    return bool(told or given[6].size or given[7].size)


def _pairs(array: ComplexArray) -> FloatArray:
    """(rows, n) complex as (rows, 2 n) real."""
    return np.ascontiguousarray(array).view(np.float64)


def _by_equations(
    net: Network3, topology: SweepTopology, given: Given, v: ComplexArray, seeds: Seeds, out: Adjoints,
    scale: float, flows: bool,
) -> Callable[[int, int], None]:  # fmt: skip
    """The transposed equations of some rows, for feeders that are no tree."""
    equations, places = topology.end_equations, _places(net, topology)

    def work(lo: int, hi: int) -> None:
        try:
            memory = topology.memories.pop()
        except IndexError:
            memory = memory_for(equations)
        room = room_for(int(equations.size[0]), net.n_branch, len(net.sources))
        adjoint_rows(equations, memory, room, places, *given, v, seeds, out, lo, hi, scale, flows)
        topology.memories.append(memory)

    return work


def _inputs(sol: Solution3) -> Inputs:
    """What was solved, (rows, columns) each."""
    width = 3 * sol.net.n_bus  # taps of as many rows, of three regulators, have that size too
    return Inputs._make(
        a.reshape(1, -1) if k < 8 and a.shape[-1] == 3 and a.size == width else a
        for k, a in enumerate(sol._given)
    )
