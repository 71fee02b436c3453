"""Gradients of scalars of a solved balanced power flow: arguments, then the adjoint of each group of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..flags import CONVERGED
from ..numba_tools.threads import split_rows
from ..objective import (
    SCALARS,
    FlowSeeds,
    broadcast_rows,
    given_rows,
    of_currents,
    of_loading,
    repeated,
    rows_for_all,
)
from .adjustment import RowGroup, adjustment
from .kernels.adjoint_rows import adjoint_rows
from .kernels.adjoint_seeds import Adjoints, Seeds, Solved, room_for
from .kernels.adjusted import adjust_rows
from .mesh_adjoint import MeshRows, mesh_gradient
from .network import Network
from .solution import Solution

FloatArray = NDArray[np.float64]
_NONE = np.empty((0, 0))
_FLOAT = np.dtype(np.float64)
_SCALAR_COLUMN = {name: column for column, name in enumerate(SCALARS)}
#: Fields of Seeds that arguments become without any change.
_AS_THEY_ARE = {"v_pu": 0, "p_from_mw": 2, "q_from_mvar": 3, "p_to_mw": 4, "q_to_mvar": 5}
_OF_BRANCHES = ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar")


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of a scalar f of a solution by what was given to :func:`distgrid.physics.solve`.

    Every field bears the name of the argument of :func:`~distgrid.physics.solve` by which it derives, and
    has a batch axis where the solution, or what f was said to be, had one. 0 at dead nodes and branches;
    NaN, all of it, in rows that did not converge.
    """

    net: Network = field(repr=False)
    converged: Any  # (batch,) bool: whether the row is a solution; where not, its gradient is NaN
    p_inject_mw: FloatArray  # (batch, n_bus) f per MW that more is injected
    q_inject_mvar: FloatArray  # (batch, n_bus) f per Mvar that more is injected
    tap: FloatArray  # (batch, n_branch) f per unit of the ratio of each branch
    v_source_pu: FloatArray  # (batch, n_source) f per pu of the voltage of each source
    _v: NDArray[np.complex128] = field(repr=False)

    @cached_property
    def p_mw(self) -> FloatArray:
        """(batch, n_bus) f per MW that more is consumed at 1 pu, of the kind of load that the bus has."""
        return self._of_loads(self.p_inject_mw, 0, 4)

    @cached_property
    def q_mvar(self) -> FloatArray:
        """(batch, n_bus) f per Mvar that more is consumed at 1 pu."""
        return self._of_loads(self.q_inject_mvar, 2, 5)

    @cached_property
    def shunt_g_mw(self) -> FloatArray:
        """(batch, n_bus) f per MW that more is consumed at 1 pu by a conductance at the bus."""
        return np.asarray(-self.p_inject_mw * self._squared)

    @cached_property
    def shunt_b_mvar(self) -> FloatArray:
        """(batch, n_bus) f per Mvar that more is injected at 1 pu by a susceptance, such as a bank."""
        return np.asarray(self.q_inject_mvar * self._squared)

    @property
    def _squared(self) -> FloatArray:
        return np.nan_to_num(self._v.real**2 + self._v.imag**2)

    def _of_loads(self, by_injection: FloatArray, share: int, exponent: int) -> FloatArray:
        out = -by_injection
        at, coef = self.net.zip_node, self.net.zip_coef
        v = np.abs(self._v[..., at])
        z, i, power = coef[:, share], coef[:, share + 1], coef[:, exponent]
        curved = np.isfinite(power)
        factor = np.where(curved, v ** np.where(curved, power, 1.0), z * v * v + i * v + (1.0 - z - i))
        out[..., at] *= np.nan_to_num(factor)
        return np.asarray(out)


def gradient(sol: Solution, seeds: dict[str, ArrayLike | None], *, threads: int | None = None) -> Gradient:
    """See :func:`distgrid.physics.gradient`."""
    lone = _of_lone_row(sol, seeds)
    if lone is not None:
        return lone
    net = sol.net
    sizes = {name: net.n_bus if name.startswith("v_") else net.n_branch for name in seeds}
    given, rows = given_rows(seeds, sizes)
    batch, squeeze = broadcast_rows(sol.v.shape[0] if sol.v.ndim == 2 else None, rows)
    q_held = np.zeros((1, 0)) if sol._q_held is None else sol._q_held
    solved = MeshRows._make(
        repeated(a, batch) for a in (sol._v, sol._branch_current, sol._s_source_mva, sol.zip_load_mva, q_held)
    )
    by = {name: rows_for_all(a, (batch, sizes[name]))
          for name, a in given.items() if name not in SCALARS}  # fmt: skip
    _resolve_ends(sol, by, batch)
    total = np.zeros((batch, 4))
    for column, name in enumerate(SCALARS):
        if name in given:
            total[:, column] = given[name]
    v_rad = np.rad2deg(by["v_deg"]) if "v_deg" in by else _NONE
    packed = Seeds._make(
        [by.get("v_pu", _NONE), v_rad, *(by.get(name, _NONE) for name in _OF_BRANCHES), total]
    )
    flows = any(name in by for name in _OF_BRANCHES) or bool(total[:, :2].any())
    out = Adjoints(
        np.empty((batch, net.n_bus)), np.empty((batch, net.n_bus)), np.empty((batch, net.n_branch)),
        np.empty((batch, net.n_source)),
    )  # fmt: skip
    groups = sol.groups if sol._v.shape[0] == batch else tuple(_for_all(g, batch) for g in sol.groups)
    for group in groups:
        _of_group(net, group, solved, packed, out, flows, threads)
    converged = repeated((sol._ended[:, 0] & CONVERGED) != 0, batch)
    if not converged.all():
        for array in out:
            array[~converged] = np.nan
    if squeeze:
        return Gradient(net, converged[0], out[0][0], out[1][0], out[2][0], out[3][0], solved.v[0])
    return Gradient(net, converged, out.p_inject, out.q_inject, out.tap, out.v_source, solved.v)


def _of_lone_row(sol: Solution, seeds: dict[str, ArrayLike | None]) -> Gradient | None:
    """The most common call, one row on the feeder as it is, without anything that costs time; else None."""
    net, topology = sol.net, sol.net.topology
    if not (sol.squeeze and sol.groups is topology.whole and topology.plain) or net.zip_node.size:
        return None
    packed = _lone_seeds(net, seeds)
    if packed is None or sol._ended[0, 0] != CONVERGED:
        return None
    given, flows = packed
    out = Adjoints(
        np.empty((1, net.n_bus)), np.empty((1, net.n_bus)), np.empty((1, net.n_branch)),
        np.empty((1, net.n_source)),
    )  # fmt: skip
    try:
        run = topology.lone_adjoints.pop()
    except IndexError:  # none yet, or all are lent to other threads
        room = room_for(topology.plan.link.shape[0], 1)
        run = adjoint_rows.bind_first(plan=topology.plan, ends=topology.ends, room=room)
    solved = (_pairs(sol._v), _pairs(sol._branch_current), _pairs(sol._s_source_mva), _NONE, _NONE)
    run(*solved, *given, *out, 0, 1, net.base_mva, flows)  # the fields of Solved, Seeds, Adjoints
    topology.lone_adjoints.append(run)
    if not np.isfinite(out.p_inject).all():  # of arguments that were not: said elsewhere
        return None
    return Gradient(net, np.True_, out[0][0], out[1][0], out[2][0], out[3][0], sol._v[0])


def _lone_seeds(net: Network, seeds: dict[str, ArrayLike | None]) -> tuple[list[FloatArray], bool] | None:
    """The fields of Seeds, and whether there are flows; None where something needs a check or a change."""
    total = np.zeros((1, 4))
    given, flows, some = [_NONE, _NONE, _NONE, _NONE, _NONE, _NONE, total], False, False
    for name, value in seeds.items():
        if value is None:
            continue
        some = True
        column = _SCALAR_COLUMN.get(name)
        if column is not None and type(value) is float:
            total[0, column] = value
            flows |= column < 2
            continue
        place, size = _AS_THEY_ARE.get(name), net.n_bus if name == "v_pu" else net.n_branch
        if place is None or type(value) is not np.ndarray or value.shape != (size,) or value.dtype != _FLOAT:
            return None
        given[place] = value[None]
        if not given[place].flags.carray:
            return None
        flows |= place > 0
    return (given, flows) if some else None


def _for_all(group: RowGroup, batch: int) -> RowGroup:
    """The group of a lone row as that of a batch of its copies."""
    settings = group.settings
    if settings is not None:
        settings = settings._replace(values=repeated(settings.values, batch))
    return RowGroup(slice(None), group.topology, settings)


def _resolve_ends(sol: Solution, by: dict[str, FloatArray], batch: int) -> None:
    """Currents and loadings as what they are of powers and voltages of the larger end."""
    if not ("i_ka" in by or "loading" in by):
        return
    net = sol.net
    flows = [repeated(s, batch) for s in sol._flows]
    into = FlowSeeds.of(by, batch, net.n_bus, net.n_branch)
    ends = (net.from_row, net.to_row)
    if "i_ka" in by:
        of_currents(into, by.pop("i_ka"), flows, ends, repeated(sol._v, batch), np.sqrt(3.0) * net.base_kv)
    if "loading" in by:
        names = net.feeder.column("branches", "branch_id")
        of_loading(into, by.pop("loading"), flows, (net.rating_mva, net.rating_mva), names)
    by.update(into.as_dict())


def _of_group(
    net: Network, group: RowGroup, solved: MeshRows, seeds: Seeds, out: Adjoints, flows: bool,
    threads: int | None,
) -> None:  # fmt: skip
    """The adjoint of the rows of a group."""
    rows = group.rows
    part = out
    if not isinstance(rows, slice):
        solved = MeshRows._make(a[rows] for a in solved)
        seeds = Seeds._make(a[rows] if a.size else a for a in seeds)
        part = Adjoints._make(np.empty_like(a[rows]) for a in out)
    if group.topology.plain:
        _along_tree(net, group, solved, seeds, part, flows, threads)
    else:
        mesh_gradient(net, group.topology, solved, seeds, part, threads)
    if not isinstance(rows, slice):
        for target, piece in zip(out, part, strict=True):
            target[rows] = piece


def _along_tree(
    net: Network, group: RowGroup, solved: MeshRows, seeds: Seeds, out: Adjoints, flows: bool,
    threads: int | None,
) -> None:  # fmt: skip
    """The adjoint sweep over rows that the sweep of a tree alone solves."""
    _, topology, settings = group
    zip_load = solved.zip_load_mva[:, topology.energised[net.zip_node]]
    given = Solved(
        _pairs(solved.v), _pairs(solved.current), _pairs(solved.s_source_mva), zip_load.real.copy(),
        zip_load.imag.copy(),
    )  # fmt: skip
    own = None if settings is None else adjustment(net, topology, settings.tap, settings.bank)
    plan = topology.plan if own is None else own.sweep

    def work(lo: int, hi: int) -> None:
        room = room_for(plan.link.shape[0], hi - lo, 0 if own is None else own.size)
        if own is not None and settings is not None:
            adjust_rows(*own.rows, lo, hi, settings.values, room.adjusted)
        adjoint_rows(plan, topology.ends, room, given, seeds, out, lo, hi, net.base_mva, flows)

    split_rows(work, solved.v.shape[0], threads)


def _pairs(array: NDArray[np.complex128]) -> FloatArray:
    """(batch, n) complex as (batch, 2 n) real."""
    return array.view(np.float64)
