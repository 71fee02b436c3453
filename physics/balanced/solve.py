"""The public power flow: checks arguments, groups rows by topology, runs the kernel on threads."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..flags import CONVERGED, MeshWarning
from ..numba_tools.threads import split_rows
from . import pandapower_methods as external
from .adjustment import RowGroup, RowSettings, adjustment
from .arguments import (
    batch_size,
    loads_of,
    lone_row,
    refuse,
    rows_of,
    source_voltage,
    start_of,
    states_of,
)
from .kernels import mesh_rows as mesh_kernels
from .kernels.solve_rows import Inputs, Outputs, sweep_rows, workspace_for
from .network import Network, SweepTopology
from .parallel_branches import split_currents
from .row_inputs import by_settings, row_settings
from .solution import NO_LOADS, Solution

FloatArray = NDArray[np.float64]
_NO_ROWS = np.empty((0, 0), dtype=np.complex128)
_NO_POWER = np.empty((0, 0))
_METHODS = ("backward-forward", "newton", "fast-decoupled")
_ALL = slice(None)
_COMPLEX, _INT = np.dtype(np.complex128), np.dtype(np.int64)
Numbers = tuple[float, float, int, float]  # 1 / base MVA, tol, max_iter, v_collapse_pu


def solve(
    net: Network,
    p_mw: ArrayLike | None = None,
    q_mvar: ArrayLike | None = None,
    *,
    p_inject_mw: ArrayLike | None = None,
    q_inject_mvar: ArrayLike | None = None,
    v_source_pu: ArrayLike | None = None,
    closed: ArrayLike | None = None,
    tap: ArrayLike | None = None,
    cap_on: ArrayLike | None = None,
    v0: Solution | ArrayLike | None = None,
    method: str = "backward-forward",
    tol: float = 1e-8,
    max_iter: int = 100,
    v_collapse_pu: float = 0.5,
    threads: int | None = None,
    currents: bool = True,
    out: Solution | None = None,
) -> Solution:
    """Solve one case or a batch of independent cases.

    A power flow that fails is flagged, not raised.

    Args:
        net: A compiled balanced feeder.
        p_mw: Load per bus, (n_bus,) or (batch, n_bus), positive when it consumes; None: the nominal loads.
            ZIP and CVR shares of the feeder's loads apply to it; these values are the power at 1 pu.
        q_mvar: With ``p_mw``.
        p_inject_mw: Constant-power injection per bus (resources), positive when it injects; same shapes.
        q_inject_mvar: With ``p_inject_mw``.
        v_source_pu: Source voltage: a number, (batch,), or (batch, n_source). None: as stored.
        closed: State of each switch of ``feeder.switches``, (n_switch,) or (batch, n_switch) bool.
        tap: Ratio of each branch, (n_branch,) or (batch, n_branch). None: as stored, regulators included.
            Rows with taps and banks of their own are solved together, like rows with loads of their own.
        cap_on: State of each bank of ``feeder.capacitors``, (n_cap,) or (batch, n_cap) bool.
        v0: Where the sweep starts: a Solution or complex (batch, n_bus) pu. None: no-load voltages.
        method: "backward-forward" (closes the loops of a network compiled with ``keep_loops=True``), or
            pandapower's "newton" or "fast-decoupled", row by row: slow, and independent of the sweep.
        tol: See :class:`Solution`. ``tol`` is in pu.
        max_iter: With ``tol``.
        v_collapse_pu: With ``tol``.
        threads: Workers for batches of some hundred rows. Results do not depend on it.
        currents: False: voltages only. A large batch is solved about a third faster where nobody asks for
            its branch currents, flows and losses; asking for them then is an AttributeError.
        out: An earlier solution of as many rows whose memory the new one takes over; its numbers are lost.
            A large batch spends more time on getting fresh memory than on a sweep.

    Raises:
        ValueError: Arguments of wrong shape, NaN, or switch states that connect two sources.
    """
    if method not in _METHODS:
        raise ValueError(f"unknown method {method!r}; one of {', '.join(_METHODS)}")
    if not 0 < tol < np.inf or not max_iter >= 1 or not 0 <= v_collapse_pu < np.inf:
        raise ValueError(
            f"tol must be finite and above 0, max_iter at least 1, v_collapse_pu finite and not below 0; "
            f"got {tol}, {max_iter}, {v_collapse_pu}"
        )
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1 or None, got {threads}")
    numbers = (1.0 / net.base_mva, float(tol), int(max_iter), float(v_collapse_pu))
    plain = (
        p_inject_mw is q_inject_mvar is v_source_pu is closed is tap is cap_on is v0 is out is None
        and currents
    )
    if plain and method == "backward-forward" and net.topology.plain:
        p = net.nominal_row[0] if p_mw is None else lone_row(net, p_mw)
        q = net.nominal_row[1] if q_mvar is None else lone_row(net, q_mvar)
        if p is not None and q is not None:
            return _solve_lone_row(net, p, q, numbers)
    start = v0.v if isinstance(v0, Solution) else v0
    size = batch_size(
        [("p_mw", p_mw, (2,)), ("q_mvar", q_mvar, (2,)), ("p_inject_mw", p_inject_mw, (2,)),
         ("q_inject_mvar", q_inject_mvar, (2,)), ("v_source_pu", v_source_pu, (1, 2)),
         ("closed", closed, (2,)), ("tap", tap, (2,)), ("cap_on", cap_on, (2,)), ("v0", start, (2,))]
    )  # fmt: skip
    batch = 1 if size is None else size
    inputs = Inputs(*loads_of(net, p_mw, q_mvar, batch), *_injections(net, p_inject_mw, q_inject_mvar, batch))
    settings = None if tap is cap_on is None else row_settings(net, tap, cap_on, batch)
    groups = _groups(net, closed, settings, batch, method)
    v_source = source_voltage(net, v_source_pu, batch)
    v_start = _NO_ROWS if start is None else start_of(net, start, batch)
    outputs = _outputs(net, batch) if out is None else out.memory(net, batch)
    if not currents:
        outputs = outputs._replace(current=_NO_ROWS)
    q_held = np.zeros((batch, net.held_node.size))
    for group in groups:
        solve_group(group, inputs, v_source, v_start, outputs, numbers, threads, net, method, q_held)
    return Solution(net, outputs, groups, size is None, q_held, _zip_loads(net, *inputs[:2]))


def _solve_lone_row(net: Network, p: FloatArray, q: FloatArray, numbers: Numbers) -> Solution:
    """The most common call, one row of loads on the feeder as it is, without anything that costs time."""
    topology = net.topology
    outputs = _outputs(net, 1)
    try:
        run = topology.lone_rows.pop()
    except IndexError:  # none yet, or all are lent to other threads
        room = workspace_for(topology.plan, 1)
        run = sweep_rows.bind_first(plan=topology.plan, state=room, v_source=net.source_row, v_start=_NO_ROWS)
    run(p, q, _NO_POWER, _NO_POWER, *outputs, 0, 1, *numbers)  # the fields of Inputs, then of Outputs
    topology.lone_rows.append(run)
    if outputs.ended[0, 0] != CONVERGED or topology.plan.link.shape[0] < net.n_bus:
        refuse("p_mw", p[0], ~np.isfinite(p[0]), "a finite number")
        refuse("q_mvar", q[0], ~np.isfinite(q[0]), "a finite number")
    if net.zip_node.size:
        return Solution(net, outputs, topology.whole, True, None, _zip_loads(net, p, q))
    return Solution(net, outputs, topology.whole, True)


def _zip_loads(net: Network, p_mw: FloatArray, q_mvar: FloatArray) -> NDArray[np.complex128]:
    """(batch, n_zip) loads that depend on voltage: voltages and currents do not tell their nominal power."""
    if not net.zip_node.size:
        return NO_LOADS
    return p_mw[:, net.zip_node] + 1j * q_mvar[:, net.zip_node]


def _injections(
    net: Network, p_inject_mw: ArrayLike | None, q_inject_mvar: ArrayLike | None, batch: int
) -> tuple[FloatArray, FloatArray]:
    """Rows of injections; (0, 0) arrays where there are none."""
    if p_inject_mw is None and q_inject_mvar is None:
        return _NO_POWER, _NO_POWER
    given = (("p_inject_mw", p_inject_mw), ("q_inject_mvar", q_inject_mvar))
    p, q = (
        np.zeros((batch, net.n_bus)) if value is None else rows_of(name, value, batch, net.n_bus)
        for name, value in given
    )
    return p, q


def _groups(
    net: Network, closed: ArrayLike | None, settings: RowSettings | None, batch: int, method: str
) -> tuple[RowGroup, ...]:
    """Rows that share a tree; their taps and banks are of each row, where the sweep alone solves it."""
    if closed is None:
        label, first = np.zeros(batch, np.int64), np.zeros(1, np.int64)
        status = net.closed[None]
    else:
        status = np.broadcast_to(net.closed, (batch, net.n_branch)).copy()
        status[:, net.switch_branch] = states_of("closed", closed, batch, net.switch_branch.size)
        _, first, label = np.unique(status, axis=0, return_index=True, return_inverse=True)
        label = label.reshape(-1)
    groups: list[RowGroup] = []
    for j, row in enumerate(first):
        topology = net.topology if closed is None else net.variant(status[row].copy(), net.tap, net.cap_on)
        _warn_pruned(net, topology)
        rows: slice | NDArray[np.int64] = _ALL if len(first) == 1 else np.flatnonzero(label == j)
        if settings is None or (topology.plain and method == "backward-forward"):
            groups.append(RowGroup(rows, topology, None if settings is None else settings.of(rows)))
        else:
            groups += by_settings(net, status[row].copy(), np.flatnonzero(label == j), settings)
    return tuple(groups)


def _warn_pruned(net: Network, topology: SweepTopology) -> None:
    """Say which branches these switch states made the sweep leave out, unless compile said so already."""
    if topology.dropped.size and not np.array_equal(topology.dropped, net.topology.dropped):
        ids = net.feeder.column("branches", "branch_id")
        names = ", ".join(repr(str(ids[e])) for e in topology.dropped)
        warnings.warn(
            f"closed switches make loops: solved as the breadth-first tree without {names}",
            MeshWarning,
            stacklevel=4,
        )


def _outputs(net: Network, batch: int) -> Outputs:
    """Arrays for the kernel to write."""
    return Outputs(
        np.empty((batch, net.n_bus), _COMPLEX), np.empty((batch, net.n_branch), _COMPLEX),
        np.empty((batch, net.n_source), _COMPLEX), np.empty((batch, 2), _INT), np.empty((batch, 1)),
    )  # fmt: skip


def solve_group(
    group: RowGroup, inputs: Inputs, v_source: NDArray[Any], v_start: NDArray[Any], outputs: Outputs,
    numbers: Numbers, threads: int | None, net: Network, method: str, q_held: FloatArray,
) -> None:  # fmt: skip
    """Solve the rows of a group into ``outputs``; ``q_held`` (batch, n_held) Mvar."""
    rows, topology, settings = group
    whole = isinstance(rows, slice)
    part = outputs if whole else Outputs._make(a[rows] if a.size else a for a in outputs)
    if not whole:
        inputs = Inputs(*(a[rows] if a.size else a for a in inputs))
        v_source = v_source[rows]
        v_start = v_start[rows] if v_start.size else v_start
    if method == "backward-forward" and topology.loops is None and topology.held is None:
        _run(threads, net, topology, settings, inputs, v_source, v_start, numbers, part)
        if topology.bundles is not None and part.current.size:
            split_currents(topology.bundles, part.v, part.current)
    else:
        q_part = q_held if whole else q_held[rows]
        _solve_otherwise(net, topology, method, inputs, v_source, v_start, numbers, part, q_part)
        if not whole:
            q_held[rows] = q_part
    if not whole:
        for target, piece in zip(outputs, part, strict=True):
            if target.size:
                target[rows] = piece


def _run(
    threads: int | None, net: Network, topology: SweepTopology, settings: RowSettings | None,
    inputs: Inputs, v_source: NDArray[Any], v_start: NDArray[Any], numbers: Numbers, outputs: Outputs,
) -> None:  # fmt: skip
    """Run the sweep over all rows."""
    own = None if settings is None else adjustment(net, topology, settings.tap, settings.bank)
    plan = topology.plan if own is None else own.sweep

    def work(lo: int, hi: int) -> None:
        room = workspace_for(plan, hi - lo) if own is None else own.lend(hi - lo)
        if own is not None and settings is not None:
            own.fill(room, lo, hi, settings.values)
        sweep_rows(plan, room, v_source, v_start, inputs, outputs, lo, hi, *numbers)
        if own is not None:
            own.take_back(room)

    split_rows(work, outputs.v.shape[0], threads)


def _solve_otherwise(
    net: Network, topology: SweepTopology, method: str, inputs: Inputs, v_source: NDArray[Any],
    v_start: NDArray[Any], numbers: Numbers, outputs: Outputs, q_held: FloatArray,
) -> None:  # fmt: skip
    """Loops, held voltages, or pandapower's methods: these write source currents, as their tree has them."""
    batch = outputs.v.shape[0]
    if not outputs.current.size:
        outputs = outputs._replace(current=np.empty((batch, net.n_branch), np.complex128))
    outputs.v.fill(np.nan)
    outputs.current.fill(0.0)
    const_p, const_q = _constant_power(net, inputs)
    ranked = np.ascontiguousarray(v_source[:, topology.source_rank])
    arguments = (inputs.load_p_mw, inputs.load_q_mvar, const_p, const_q, ranked, v_start)
    i_source = np.zeros_like(ranked)
    status, iterations, update = np.zeros(batch, np.int64), np.zeros(batch, np.int64), np.zeros(batch)
    out = (outputs.v, outputs.current, i_source, status, iterations, update, q_held)
    if method == "backward-forward":
        mesh_kernels.solve_rows(topology, arguments, numbers, out)
        if topology.bundles is not None:
            split_currents(topology.bundles, outputs.v, outputs.current)
    else:
        external.solve_group(net, topology, method, arguments, numbers, out)
    outputs.s_source_mva[:, topology.source_rank] = ranked * np.conj(i_source) / numbers[0]
    outputs.ended[:, 0], outputs.ended[:, 1], outputs.measured[:, 0] = status, iterations, update


def _constant_power(net: Network, inputs: Inputs) -> tuple[FloatArray, FloatArray]:
    """Net constant power per bus: loads that do not depend on voltage, less injections."""
    p, q = inputs.load_p_mw.copy(), inputs.load_q_mvar.copy()
    p[:, net.zip_node] = 0.0
    q[:, net.zip_node] = 0.0
    if inputs.inject_p_mw.size:
        p -= inputs.inject_p_mw
        q -= inputs.inject_q_mvar
    return p, q
