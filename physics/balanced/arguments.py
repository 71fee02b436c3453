"""Arguments of a power flow as arrays of rows: checked, repeated where one row serves all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .network import Network

FloatArray = NDArray[np.float64]
_FLOAT = np.dtype(np.float64)


def batch_size(arguments: Sequence[tuple[str, Any, tuple[int, ...]]]) -> int | None:
    """Batch size named by arguments of (name, value, batched ranks); None where none has a batch axis."""
    found: dict[str, int] = {}
    for name, value, ranks in arguments:
        if value is not None and np.ndim(value) in ranks:
            found[name] = np.shape(value)[0]
    sizes = set(found.values()) - {1} or set(found.values())
    if len(sizes) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in found.items())
        raise ValueError(f"arguments disagree on the number of rows: {listed}")
    return sizes.pop() if sizes else None


def rows_of(name: str, value: ArrayLike, batch: int, width: int, dtype: Any = np.float64) -> NDArray[Any]:
    """``value`` as a finite, writeable (batch, width) array; a single row is repeated.

    Writeable, because a read-only array is another type to Numba and would compile every kernel again.
    """
    array = np.asarray(value, dtype=dtype)
    if array.ndim not in (1, 2) or array.shape[-1] != width:
        raise ValueError(f"{name} must have shape ({width},) or (batch, {width}), got {array.shape}")
    if not np.isfinite(array).all():
        refuse(name, array, ~np.isfinite(array), "a finite number")
    if array.shape == (batch, width) and array.flags.c_contiguous and array.flags.writeable:
        return array
    out = np.empty((batch, width), dtype=dtype)
    out[:] = array
    return out


def refuse(name: str, array: NDArray[Any], bad: NDArray[np.bool_], expected: str) -> None:
    """ValueError naming the first entry where ``bad`` holds."""
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        entry = f"{name}{list(where)}" if where else name
        raise ValueError(f"{entry} is {array[where]}: it must be {expected}")


def states_of(name: str, value: ArrayLike, batch: int, width: int) -> NDArray[np.bool_]:
    """``value`` as a (batch, width) bool array; numbers must be 0 or 1 (NaN would pass for True)."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be bool, got dtype {array.dtype}")
    refuse(name, array, (array != 0) & (array != 1), "True or False")
    return rows_of(name, array, batch, width, bool)


def source_voltage(net: Network, v_source_pu: ArrayLike | None, batch: int) -> NDArray[np.complex128]:
    """(batch, n_source) complex voltage in the order of ``feeder.sources``."""
    n_source = net.source_node.size
    out = np.empty((batch, n_source), dtype=np.complex128)
    if v_source_pu is None:
        out[:] = net.source_phasor
        return out
    v = np.asarray(v_source_pu, dtype=np.float64)
    refuse("v_source_pu", v, ~(np.isfinite(v) & (v > 0)), "finite and above 0 pu")
    if v.ndim <= 1:
        v = v.reshape(-1, 1)
    if v.ndim != 2 or v.shape[0] not in (1, batch) or v.shape[1] not in (1, n_source):
        raise ValueError(
            f"v_source_pu must be a number, ({batch},) or ({batch}, {n_source}), got {np.shape(v_source_pu)}"
        )
    out[:] = v * np.exp(1j * np.deg2rad(net.source_deg))
    return out


def loads_of(
    net: Network, p_mw: ArrayLike | None, q_mvar: ArrayLike | None, batch: int
) -> tuple[FloatArray, FloatArray]:
    """(batch, n_bus) P and Q; the nominal loads where none are given."""
    p = rows_of("p_mw", net.load_p_mw if p_mw is None else p_mw, batch, net.n_bus)
    q = rows_of("q_mvar", net.load_q_mvar if q_mvar is None else q_mvar, batch, net.n_bus)
    return p, q


def start_of(net: Network, v0: Any, batch: int) -> NDArray[np.complex128]:
    """(batch, n_bus) complex voltages to start from."""
    v = np.asarray(v0, dtype=np.complex128)
    if v.shape[-1] != net.n_bus or v.ndim not in (1, 2) or (v.ndim == 2 and v.shape[0] not in (1, batch)):
        raise ValueError(f"v0 must have shape ({net.n_bus},) or ({batch}, {net.n_bus}), got {v.shape}")
    v = np.where(np.isfinite(v), v, 1.0)  # nodes that were dead when the start was solved
    return rows_of("v0", v, batch, net.n_bus, np.complex128)


def lone_row(net: Network, value: ArrayLike) -> FloatArray | None:
    """``value`` (n_bus,) as (1, n_bus) where no conversion is needed, else None.

    Not looked through for NaN: the sweep never calls a row with NaN converged.
    """
    if type(value) is not np.ndarray or value.dtype != _FLOAT or value.shape != (net.n_bus,):
        return None
    row = value[None]
    return row if row.flags.carray else row.copy()
