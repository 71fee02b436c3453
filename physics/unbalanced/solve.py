"""The three-phase power flow: checks arguments, groups rows by switch states, runs the kernel on threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numba_tools.threads import split_rows
from .kernel_tables import FloatArray, Inputs, Outputs
from .kernels.solve_rows import ALL_GOOD, SOME_BAD, SOME_LEFT, first_bad, solve_rows, workspace_for
from .network import Network3
from .newton_rows import columns_of, finish, solve_rows_directly, unsettled
from .solution import Solution3
from .topology import SweepTopology

_NONE = np.empty((0, 0))
_NO_START = np.empty((0, 0), dtype=np.complex128)
_ALL = slice(None)
_LEG_NAMES = ("AB", "BC", "CA")


class _Arguments:
    """Arguments as (batch or 1, columns) arrays; collects the batch size that they name."""

    def __init__(self, net: Network3) -> None:
        self.net = net
        self.batch: int | None = None
        self.named: dict[str, int] = {}

    def rows(self, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """``array`` of ``shape`` or (batch, *shape) as a writeable, contiguous (batch or 1, columns) array.

        Writeable, because a read-only array is another type to Numba and would compile every kernel again.
        """
        if array.shape == shape:
            rows = 1
        elif array.shape[1:] == shape and array.ndim == len(shape) + 1:
            rows = array.shape[0]
            self.named[name] = rows
            if self.batch is None or self.batch == 1:
                self.batch = rows
            elif rows not in (1, self.batch):
                listed = ", ".join(f"{known} has {size}" for known, size in self.named.items())
                raise ValueError(f"arguments disagree on the number of rows: {listed}")
        else:
            wanted = ", ".join(str(n) for n in shape)
            raise ValueError(f"{name} must have shape ({wanted}) or (batch, {wanted}), got {array.shape}")
        if not (array.flags.c_contiguous and array.flags.writeable):
            array = array.copy()
        return array.reshape(rows, -1)

    def power(self, name: str, value: ArrayLike) -> FloatArray:
        """Power per phase or leg; the kernel looks at the numbers."""
        return self.rows(name, np.asarray(value, dtype=np.float64), (self.net.n_bus, 3))

    def numbers(self, name: str, value: ArrayLike, width: int, low: float, expected: str) -> FloatArray:
        """Plain numbers above ``low``, (width,) or (batch, width)."""
        array = self.rows(name, np.asarray(value, dtype=np.float64), (width,))
        if not (np.isfinite(array).all() and (array > low).all()):
            wrong = array[~(np.isfinite(array) & (array > low))][0]
            raise ValueError(f"{name} has the value {wrong}: it must be {expected}")
        return array

    def states(self, name: str, value: ArrayLike, width: int) -> FloatArray:
        """0 or 1, (width,) or (batch, width)."""
        given = np.asarray(value)
        if given.dtype.kind not in "biuf" or not ((given == 0) | (given == 1)).all():
            raise ValueError(f"{name} must be True or False for each of {width}, got {value!r}")
        return self.rows(name, given.astype(np.float64), (width,))

    def source(self, value: ArrayLike) -> NDArray[np.complex128]:
        """(batch or 1, 3 n_source) EMF."""
        phasor = self.net.source_phasor
        v = np.asarray(value, dtype=np.float64)
        if not np.isfinite(v).all() or (v <= 0).any():
            raise ValueError("v_source_pu must be finite and above 0 pu")
        if v.ndim == 0:
            v = np.full(phasor.shape[0], v)
        elif v.ndim == 1:
            v = np.repeat(v[:, None], phasor.shape[0], axis=1)
        magnitude = self.rows("v_source_pu", v, (phasor.shape[0],))
        unit = phasor / np.abs(phasor)
        return np.ascontiguousarray((magnitude[:, :, None] * unit).reshape(magnitude.shape[0], -1))

    def start(self, value: Any) -> NDArray[np.complex128]:
        """(batch or 1, 3 n_bus) start."""
        v = np.asarray(value.v if isinstance(value, Solution3) else value, dtype=np.complex128)
        return self.rows("v0", v, (self.net.n_bus, 3))


def solve_per_phase(
    net: Network3,
    p_mw: ArrayLike | None = None,
    q_mvar: ArrayLike | None = None,
    *,
    p_delta_mw: ArrayLike | None = None,
    q_delta_mvar: ArrayLike | None = None,
    p_inject_mw: ArrayLike | None = None,
    q_inject_mvar: ArrayLike | None = None,
    p_delta_inject_mw: ArrayLike | None = None,
    q_delta_inject_mvar: ArrayLike | None = None,
    v_source_pu: ArrayLike | None = None,
    closed: ArrayLike | None = None,
    tap: ArrayLike | None = None,
    cap_on: ArrayLike | None = None,
    v0: Solution3 | ArrayLike | None = None,
    method: str = "backward-forward",
    tol: float = 1e-8,
    max_iter: int = 100,
    v_collapse_pu: float = 0.5,
    threads: int | None = None,
    currents: bool = True,
    out: Solution3 | None = None,
) -> Solution3:
    """The per-phase power flow; see :func:`distgrid.physics.solve`."""
    if method != "backward-forward":
        raise ValueError(f"method {method!r} solves balanced feeders; per-phase ones take 'backward-forward'")
    if not 0 < tol < np.inf or not max_iter >= 1 or not 0 <= v_collapse_pu < np.inf:
        raise ValueError(
            f"tol must be finite and above 0, max_iter at least 1, v_collapse_pu finite and not below 0; "
            f"got {tol}, {max_iter}, {v_collapse_pu}"
        )
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1 or None, got {threads}")
    numbers = (3.0 / net.base_mva, float(tol), int(max_iter), float(v_collapse_pu))
    plain = (
        p_inject_mw is q_inject_mvar is p_delta_mw is q_delta_mvar is p_delta_inject_mw is q_delta_inject_mvar
        is v_source_pu is closed is tap is cap_on is v0 is out is None
    )  # fmt: skip
    if plain and not net.topology.irregular:
        p, q = _lone(net, p_mw, 0), _lone(net, q_mvar, 1)
        if p is not None and q is not None:
            return _solve_lone_row(net, p, q, net.columns if currents else 3 * net.n_bus, numbers)
    get = _Arguments(net)
    nominal = net.nominal_rows
    inputs = Inputs(
        nominal[0] if p_mw is None else get.power("p_mw", p_mw),
        nominal[1] if q_mvar is None else get.power("q_mvar", q_mvar),
        _NONE if p_inject_mw is None else get.power("p_inject_mw", p_inject_mw),
        _NONE if q_inject_mvar is None else get.power("q_inject_mvar", q_inject_mvar),
        nominal[2] if p_delta_mw is None else get.power("p_delta_mw", p_delta_mw),
        nominal[3] if q_delta_mvar is None else get.power("q_delta_mvar", q_delta_mvar),
        _NONE if p_delta_inject_mw is None else get.power("p_delta_inject_mw", p_delta_inject_mw),
        _NONE if q_delta_inject_mvar is None else get.power("q_delta_inject_mvar", q_delta_inject_mvar),
        net.source_row if v_source_pu is None else get.source(v_source_pu),
        _NO_START if v0 is None else get.start(v0),
        nominal[4] if tap is None else get.numbers("tap", tap, net.tap.size, 0.0, "a ratio above 0"),
        nominal[5] if cap_on is None else get.states("cap_on", cap_on, net.cap_on.size),
    )
    switches = None if closed is None else get.states("closed", closed, net.switch_branch.size)
    batch = 1 if get.batch is None else get.batch
    all_legs = not (
        p_delta_mw is None
        and q_delta_mvar is None
        and p_delta_inject_mw is None
        and q_delta_inject_mvar is None
    )
    groups = ((_ALL, net.topology),) if switches is None else _grouped(net, switches, batch)
    columns = _columns(net, tuple(topology for _, topology in groups), currents)
    answer = _memory(batch, columns) if out is None else out.memory(net, batch, columns)
    _solve_groups(net, groups, inputs, all_legs, batch, numbers, answer, threads)
    return Solution3(net, answer, inputs, groups, get.batch is None)


def _columns(net: Network3, topologies: tuple[SweepTopology, ...], currents: bool) -> int:
    """Columns of the results."""
    if not currents:
        return 3 * net.n_bus
    return columns_of(net, any(topology.irregular for topology in topologies))


_COMPLEX, _FLOAT = np.dtype(np.complex128), np.dtype(np.float64)


def _memory(batch: int, columns: int) -> Outputs:
    return Outputs(np.empty((batch, columns), _COMPLEX), np.empty((batch, 3)))


def _lone(net: Network3, value: Any, which: int) -> FloatArray | None:
    """Power of one row where it comes as the kernel takes it, or the nominal one; else None."""
    if value is None:
        return net.nominal_rows[which]
    if type(value) is np.ndarray and value.shape == (net.n_bus, 3) and value.dtype == _FLOAT:
        flags = value.flags
        if flags.c_contiguous and flags.writeable:
            return value
    return None


def _solve_lone_row(
    net: Network3, p: FloatArray, q: FloatArray, columns: int, numbers: tuple[float, float, int, float]
) -> Solution3:
    """The most common call, one row of loads on the feeder as it is, without anything that costs time."""
    topology, nominal = net.topology, net.nominal_rows
    out = _memory(1, columns)
    try:
        run = topology.lone_rows.pop()
    except IndexError:  # none yet, or all are lent to other threads
        room = workspace_for(topology.plan, net.cap_on.size, 1)
        run = solve_rows.bind_first(plan=topology.plan, state=room)
    given = (
        p, q, _NONE, _NONE, nominal[2], nominal[3], _NONE, _NONE, net.source_row, _NO_START, nominal[4],
        nominal[5],
    )  # fmt: skip
    answer = run(*given, *out, False, 0, 1, *numbers)  # the fields of Inputs, then of Outputs
    topology.lone_rows.append(run)
    if answer != ALL_GOOD:
        inputs = Inputs(p.reshape(1, -1), q.reshape(1, -1), *given[2:])
        if answer == SOME_BAD:
            refuse(net, topology, inputs)
        finish(net, topology, inputs, False, np.zeros(1, dtype=np.int64), numbers, out)
    return Solution3(net, out, given, ((_ALL, topology),), True)


Groups = tuple[tuple[Any, SweepTopology], ...]


def _grouped(net: Network3, switches: FloatArray, batch: int) -> Groups:
    """Rows that share switch states, and their topology."""
    states, label = np.unique(switches, axis=0, return_inverse=True)
    label = np.broadcast_to(label.reshape(-1), (batch,))
    groups: list[tuple[Any, SweepTopology]] = []
    for j, state in enumerate(states):
        closed = net.closed.copy()
        closed[net.switch_branch] = state != 0
        rows: Any = _ALL if len(states) == 1 else np.flatnonzero(label == j)
        groups.append((rows, net.variant(closed)))
    return tuple(groups)


def _solve_groups(
    net: Network3,
    groups: Groups,
    inputs: Inputs,
    all_legs: bool,
    batch: int,
    numbers: tuple[float, float, int, float],
    out: Outputs,
    threads: int | None,
) -> None:
    """Rows that share switch states are solved together."""
    for rows, topology in groups:
        if len(groups) == 1:
            _run(net, topology, inputs, all_legs, batch, numbers, out, threads)
            return
        part = Outputs(out.phasors[rows], out.notes[rows])
        _run(net, topology, picked(inputs, rows), all_legs, rows.size, numbers, part, threads)
        for target, piece in zip(out, part, strict=True):
            target[rows] = piece


def picked(inputs: Inputs, rows: NDArray[np.int64]) -> Inputs:
    """The arguments of some rows; what serves all rows stays."""
    return Inputs._make(array[rows] if array.shape[0] > 1 else array for array in inputs)


def refuse(net: Network3, topology: SweepTopology, inputs: Inputs) -> None:
    """ValueError for the first number that the kernel may not be given."""
    for name, array in zip(Inputs._fields[:8], inputs[:8], strict=True):
        legs = "delta" in name
        bad = first_bad(array, topology.leg_slots if legs else topology.ground_slots)
        if bad < 0:
            continue
        node, place = divmod(bad % array.shape[1], 3)
        value = array.ravel()[bad]
        bus = net.feeder.column("nodes", "node_id")[node]
        letters = net.feeder.column("nodes", "phase")[node]
        what = f"leg {_LEG_NAMES[place]}" if legs else f"phase {'ABC'[place]}"
        where = f"{name} at bus {bus!r}, {what}, is {value}"
        if not np.isfinite(value):
            raise ValueError(f"{where}: it must be a finite number")
        if legs or not net.present[node, place]:
            raise ValueError(f"{where}: the bus has phases {letters!r} only")
        raise ValueError(
            f"{where}: a delta winding without ground feeds the bus, so nothing can flow "
            "from a phase to ground; use p_delta_mw and q_delta_mvar"
        )


def _run(
    net: Network3,
    topology: SweepTopology,
    inputs: Inputs,
    all_legs: bool,
    batch: int,
    numbers: tuple[float, float, int, float],
    out: Outputs,
    threads: int | None,
) -> None:
    """The kernel over all rows; what it leaves, and all of feeders that are no tree, by Newton's method."""
    if topology.irregular:
        refuse(net, topology, inputs)
        out.notes[:] = 0.0
        rows = np.arange(batch, dtype=np.int64)

        def solve(lo: int, hi: int) -> int:
            solve_rows_directly(net, topology, inputs, all_legs, rows[lo:hi], numbers, out)
            return 0

        split_rows(solve, batch, threads)
        return
    plan = topology.plan

    def work(lo: int, hi: int) -> int:
        room = workspace_for(plan, net.cap_on.size, hi - lo)
        return int(solve_rows(plan, room, inputs, out, all_legs, lo, hi, *numbers))

    answers = split_rows(work, batch, threads)
    if SOME_BAD in answers:
        refuse(net, topology, inputs)
    if SOME_LEFT in answers:
        finish(net, topology, inputs, all_legs, unsettled(out.notes), numbers, out)
