"""The public power flow: checks arguments, groups rows by topology, runs the kernel on threads."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import external, kernels, mesh_kernels
from .lanes import LANES
from .network import MeshWarning, Network, Topology
from .solution import Solution

FloatArray = NDArray[np.float64]
_ROWS_WORTH_A_THREAD = 256
_NO_ROWS = np.empty((0, 0), dtype=np.complex128)
_METHODS = ("backward-forward", "newton", "fast-decoupled")


@lru_cache(maxsize=1)
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="distgrid")


if hasattr(os, "register_at_fork"):  # threads stay behind in the parent: a forked worker needs its own
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _batch_shape(arguments: Sequence[tuple[str, Any, tuple[int, ...]]]) -> int | None:
    """Batch size named by arguments of (name, value, batched ranks); None where none has a batch axis."""
    found: dict[str, int] = {}
    for name, value, ranks in arguments:
        if value is not None and np.ndim(value) in ranks:
            found[name] = np.shape(value)[0]
    sizes = set(found.values()) - {1} or set(found.values())
    if len(sizes) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in found.items())
        raise ValueError(f"arguments disagree on the number of rows: {told}")
    return sizes.pop() if sizes else None


def _rows(name: str, value: ArrayLike, batch: int, width: int, dtype: Any = np.float64) -> NDArray[Any]:
    """``value`` as a finite, writeable (batch, width) array; a single row is repeated.

    Writeable, because a read-only array is another type to Numba and would compile every kernel again.
    """
    array = np.asarray(value, dtype=dtype)
    if array.ndim not in (1, 2) or array.shape[-1] != width:
        raise ValueError(f"{name} must have shape ({width},) or (batch, {width}), got {array.shape}")
    if not np.isfinite(array).all():
        _refuse(name, array, ~np.isfinite(array), "a finite number")
    if array.shape == (batch, width) and array.flags.c_contiguous and array.flags.writeable:
        return array
    out = np.empty((batch, width), dtype=dtype)
    out[:] = array
    return out


def _refuse(name: str, array: NDArray[Any], bad: NDArray[np.bool_], expected: str) -> None:
    """ValueError naming the first entry where ``bad`` holds."""
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        entry = f"{name}{list(where)}" if where else name
        raise ValueError(f"{entry} is {array[where]}: it must be {expected}")


def _states(name: str, value: ArrayLike, batch: int, width: int) -> NDArray[np.bool_]:
    """``value`` as a (batch, width) bool array; numbers must be 0 or 1 (NaN would pass for True)."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be bool, got dtype {array.dtype}")
    _refuse(name, array, (array != 0) & (array != 1), "True or False")
    return _rows(name, array, batch, width, bool)


def _source_voltage(net: Network, v_source_pu: ArrayLike | None, batch: int) -> NDArray[np.complex128]:
    """(batch, n_source) complex voltage in the order of ``feeder.sources``."""
    n_source = net.source_node.size
    out = np.empty((batch, n_source), dtype=np.complex128)
    if v_source_pu is None:
        out[:] = net.source_phasor
        return out
    v = np.asarray(v_source_pu, dtype=np.float64)
    _refuse("v_source_pu", v, ~(np.isfinite(v) & (v > 0)), "finite and above 0 pu")
    if v.ndim <= 1:
        v = v.reshape(-1, 1)
    if v.ndim != 2 or v.shape[0] not in (1, batch) or v.shape[1] not in (1, n_source):
        raise ValueError(
            f"v_source_pu must be a number, ({batch},) or ({batch}, {n_source}), got {np.shape(v_source_pu)}"
        )
    out[:] = v * np.exp(1j * np.deg2rad(net.source_deg))
    return out


def _topologies(
    net: Network, closed: ArrayLike | None, tap: ArrayLike | None, cap_on: ArrayLike | None, batch: int
) -> tuple[tuple[slice | NDArray[np.int64], Topology], ...]:
    """Rows that share switch, tap and capacitor states, with their topology."""
    if closed is None and tap is None and cap_on is None:
        return ((slice(None), net.topology),)
    status = np.broadcast_to(net.closed, (batch, net.n_branch)).copy()
    if closed is not None:
        status[:, net.switch_branch] = _states("closed", closed, batch, net.switch_branch.size)
    ratio = np.broadcast_to(net.tap, (batch, net.n_branch))
    if tap is not None:
        ratio = _rows("tap", tap, batch, net.n_branch)
        given = np.asarray(tap)
        _refuse("tap", given, given <= 0, "above 0 (1.0 is the nominal ratio)")
    caps = np.broadcast_to(net.cap_on, (batch, net.cap_on.size))
    if cap_on is not None:
        caps = _states("cap_on", cap_on, batch, net.cap_on.size)
    key = np.concatenate([status, ratio, caps], axis=1)
    _, first, label = np.unique(key, axis=0, return_index=True, return_inverse=True)
    label = label.reshape(-1)
    groups = []
    for j, row in enumerate(first):
        topology = net.variant(status[row].copy(), ratio[row].copy(), caps[row].copy())
        _warn_pruned(net, topology)
        rows: slice | NDArray[np.int64] = slice(None) if len(first) == 1 else np.flatnonzero(label == j)
        groups.append((rows, topology))
    return tuple(groups)


def _warn_pruned(net: Network, topology: Topology) -> None:
    """Say which branches these switch states made the sweep leave out, unless compile said so already."""
    if topology.dropped.size and not np.array_equal(topology.dropped, net.topology.dropped):
        ids = net.feeder.column("branches", "branch_id")
        names = ", ".join(repr(str(ids[e])) for e in topology.dropped)
        warnings.warn(
            f"closed switches make loops: solved as the breadth-first tree without {names}",
            MeshWarning,
            stacklevel=4,
        )


def _workers(threads: int | None, batch: int) -> int:
    return min(threads or os.cpu_count() or 1, batch // _ROWS_WORTH_A_THREAD)


def _run(workers: int, batch: int, arguments: tuple[Any, ...], topology: Topology) -> None:
    """Run the kernel over all rows, split at block borders over ``workers`` threads."""
    rows: Callable[..., None] = partial(kernels.sweep_rows, topology.tree)
    if topology.loops is not None:
        rows = partial(mesh_kernels.mesh_rows, topology.tree, topology.loops)
        # Read-only arrays are another type to Numba: one compilation serves single rows and batches.
        arguments = tuple(a if np.isscalar(a) or a.flags.writeable else a.copy() for a in arguments)
    if workers <= 1:
        rows(0, batch, *arguments)
        return
    blocks = -(-batch // LANES)
    cuts = [min(batch, (blocks * i // workers) * LANES) for i in range(workers)] + [batch]
    jobs = [_pool(workers).submit(rows, lo, hi, *arguments) for lo, hi in itertools.pairwise(cuts)]
    for job in jobs:
        job.result()


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
) -> Solution:
    """Solve one case or a batch of independent cases.

    Parameters
    ----------
    p_mw, q_mvar
        Load per bus, (n_bus,) or (batch, n_bus), positive when it consumes; None: the nominal loads. ZIP and
        CVR shares of the feeder's loads apply to it; these values are the power at 1 pu.
    p_inject_mw, q_inject_mvar
        Constant-power injection per bus (resources), positive when it injects; same shapes.
    v_source_pu
        Source voltage: a number, (batch,), or (batch, n_source). None: as stored.
    closed
        State of each switch of ``feeder.switches``, (n_switch,) or (batch, n_switch) bool.
    tap
        Ratio of each branch, (n_branch,) or (batch, n_branch). None: as stored.
    cap_on
        State of each bank of ``feeder.capacitors``, (n_cap,) or (batch, n_cap) bool.
    v0
        Where the sweep starts: a Solution or complex (batch, n_bus) pu. None: no-load voltages.
    method
        "backward-forward" (closes the loops of a network compiled with ``keep_loops=True``), or pandapower's
        "newton" or "fast-decoupled", row by row: slow, and independent of the sweep.
    tol, max_iter, v_collapse_pu
        See :class:`Solution`. ``tol`` is in pu.
    threads
        Workers for batches of some hundred rows. Results do not depend on it.

    A power flow that fails is flagged, not raised. ValueError for arguments of wrong shape, NaN, or switch
    states that connect two sources.
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
    start = v0.v if isinstance(v0, Solution) else v0
    size = _batch_shape(
        [("p_mw", p_mw, (2,)), ("q_mvar", q_mvar, (2,)), ("p_inject_mw", p_inject_mw, (2,)),
         ("q_inject_mvar", q_inject_mvar, (2,)), ("v_source_pu", v_source_pu, (1, 2)),
         ("closed", closed, (2,)), ("tap", tap, (2,)), ("cap_on", cap_on, (2,)), ("v0", start, (2,))]
    )  # fmt: skip
    batch = 1 if size is None else size
    load_p, load_q = _loads(net, p_mw, q_mvar, batch)
    const_p, const_q = _constant_power(net, load_p, load_q, p_inject_mw, q_inject_mvar, batch)
    groups = _topologies(net, closed, tap, cap_on, batch)
    v_source = _source_voltage(net, v_source_pu, batch)
    v_start = _NO_ROWS if start is None else _start(net, start, batch)
    workers = 1 if batch < 2 * _ROWS_WORTH_A_THREAD else _workers(threads, batch)
    out = _outputs(net, batch)
    for rows, topology in groups:
        _solve_group(
            rows, topology, (load_p, load_q, const_p, const_q, v_source, v_start), out,
            (1.0 / net.base_mva, float(tol), int(max_iter), float(v_collapse_pu)), workers, net, method,
        )  # fmt: skip
    return _wrap(net, out, groups, squeeze=size is None)


def _loads(
    net: Network, p_mw: ArrayLike | None, q_mvar: ArrayLike | None, batch: int
) -> tuple[FloatArray, FloatArray]:
    p = _rows("p_mw", net.load_p_mw if p_mw is None else p_mw, batch, net.n_bus)
    q = _rows("q_mvar", net.load_q_mvar if q_mvar is None else q_mvar, batch, net.n_bus)
    return p, q


def _constant_power(
    net: Network, load_p: FloatArray, load_q: FloatArray,
    p_inject_mw: ArrayLike | None, q_inject_mvar: ArrayLike | None, batch: int,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Net constant power per bus: loads that do not depend on voltage, less injections."""
    out = []
    pairs = ((load_p, p_inject_mw, "p_inject_mw"), (load_q, q_inject_mvar, "q_inject_mvar"))
    for load, inject, name in pairs:
        if inject is None and net.zip_node.size == 0:
            out.append(load)
            continue
        power = load.copy()
        power[:, net.zip_node] = 0.0
        if inject is not None:
            power -= _rows(name, inject, batch, net.n_bus)
        out.append(power)
    return out[0], out[1]


def _start(net: Network, v0: Any, batch: int) -> NDArray[np.complex128]:
    v = np.asarray(v0, dtype=np.complex128)
    if v.shape[-1] != net.n_bus or v.ndim not in (1, 2) or (v.ndim == 2 and v.shape[0] not in (1, batch)):
        raise ValueError(f"v0 must have shape ({net.n_bus},) or ({batch}, {net.n_bus}), got {v.shape}")
    v = np.where(np.isfinite(v), v, 1.0)  # nodes that were dead when the start was solved
    return np.ascontiguousarray(np.broadcast_to(v, (batch, net.n_bus)))


def _outputs(net: Network, batch: int) -> tuple[NDArray[Any], ...]:
    """Arrays the kernel writes: v, current, i_source, status, iterations, last update."""
    return (
        np.full((batch, net.n_bus), np.nan + 0j, dtype=np.complex128),
        np.zeros((batch, net.n_branch), dtype=np.complex128),
        np.zeros((batch, net.source_node.size), dtype=np.complex128),
        np.zeros(batch, dtype=np.int64),
        np.zeros(batch, dtype=np.int64),
        np.zeros(batch),
    )


def _solve_group(
    rows: slice | NDArray[np.int64], topology: Topology, inputs: tuple[NDArray[Any], ...],
    out: tuple[NDArray[Any], ...], numbers: tuple[float, float, int, float], workers: int,
    net: Network, method: str,
) -> None:  # fmt: skip
    """Solve the rows that share a topology and write source power where the kernel wrote current."""
    load_p, load_q, const_p, const_q, v_source, v_start = inputs
    if v_source.shape[1] > 1:
        v_source = np.ascontiguousarray(v_source[:, topology.source_rank])
    whole = isinstance(rows, slice)
    part = out if whole else tuple(a[rows] for a in out)
    if not whole:
        load_p, load_q, const_p, const_q = load_p[rows], load_q[rows], const_p[rows], const_q[rows]
        v_source = v_source[rows]
        v_start = v_start[rows] if v_start.size else v_start
    if method == "backward-forward":
        arguments = (const_p, const_q, load_p, load_q, v_source, v_start, *numbers, *part)
        _run(workers, part[0].shape[0], arguments, topology)
    else:
        inputs = (load_p, load_q, const_p, const_q, v_source, v_start)
        external.solve_group(net, topology, method, inputs, numbers, part)
    # The kernel wrote source currents, in the order of its sweep.
    part[2][:, topology.source_rank] = v_source * np.conj(part[2]) / numbers[0]
    if not whole:
        for target, piece in zip(out, part, strict=True):
            target[rows] = piece


def _wrap(net: Network, out: tuple[NDArray[Any], ...], groups: Any, *, squeeze: bool) -> Solution:
    v, current, s_source, status, iterations, update = (a[0] if squeeze else a for a in out)
    return Solution(
        net=net, v=v, i_branch=current, s_source_mva=s_source,
        converged=(status & kernels.CONVERGED) != 0,
        diverged=(status & kernels.DIVERGED) != 0,
        collapsed=(status & kernels.COLLAPSED) != 0,
        iterations=iterations, v_update_pu=update, groups=groups, squeeze=squeeze,
    )  # fmt: skip
