"""What a scalar has of a solution: arguments of a gradient, checked, brought to powers and voltages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

#: Results of a power flow by which a scalar may be told to derive: of nodes, of branches, one a row.
OF_NODES = ("v_pu", "v_deg")
OF_BRANCHES = ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka", "loading")
SCALARS = ("p_loss_mw", "q_loss_mvar", "p_slack_mw", "q_slack_mvar")


def given_rows(
    seeds: Mapping[str, ArrayLike | None], sizes: Mapping[str, int], phases: tuple[int, ...] = ()
) -> tuple[dict[str, FloatArray], int | None]:
    """Those that were given as arrays, (batch, n, *phases) or (batch,), and the batch size that they name.

    ValueError for a wrong shape, a number that is not finite, or batches that disagree; where none is given.
    """
    found: dict[str, FloatArray] = {}
    batches: dict[str, int] = {}
    for name, value in seeds.items():
        if value is None:
            continue
        array = np.asarray(value, dtype=np.float64)
        shape = () if name in SCALARS else (sizes[name], *phases)
        if array.ndim not in (len(shape), len(shape) + 1) or array.shape[array.ndim - len(shape) :] != shape:
            wanted = ", ".join(str(n) for n in shape)
            plain = "a number" if not shape else f"({wanted}{',' if len(shape) == 1 else ''})"
            batched = "(batch,)" if not shape else f"(batch, {wanted})"
            raise ValueError(f"{name} must be {plain} or of shape {batched}, got shape {array.shape}")
        if not np.isfinite(array).all():
            where = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
            raise ValueError(
                f"{name}{where or ''} must be a finite number: the derivative of the scalar by it"
            )
        if array.ndim > len(shape):
            batches[name] = array.shape[0]
        found[name] = array
    if not found:
        raise ValueError("give the derivative of the scalar by some result, as in p_loss_mw=1.0")
    many = set(batches.values()) - {1} or set(batches.values())
    if len(many) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in batches.items())
        raise ValueError(f"arguments disagree on the number of rows: {listed}")
    return found, many.pop() if many else None


def broadcast_rows(solved: int | None, asked: int | None) -> tuple[int, bool]:
    """Rows of the gradient, and whether it has no batch axis. One row serves all, on either side."""
    if solved is not None and asked is not None and 1 not in (solved, asked) and solved != asked:
        raise ValueError(f"the solution has {solved} rows, what the scalar is has {asked}")
    return max(solved or 1, asked or 1), solved is None and asked is None


def rows_for_all(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """``array`` broadcast to ``shape``, contiguous and writeable: itself where it is.

    A view that was broadcast is read-only, which is another type to Numba and compiles every kernel again.
    """
    if array.shape == shape and array.flags.carray:
        return array
    return np.array(np.broadcast_to(array, shape), order="C")


def repeated(array: NDArray[Any], batch: int) -> NDArray[Any]:
    """One row, or ``batch`` of them, as ``batch`` rows; see `rows_for_all`."""
    return rows_for_all(array, (batch, *array.shape[1:]))


@dataclass
class FlowSeeds:
    """Derivatives of a scalar by powers at both ends of branches and by voltages; batch first."""

    v_pu: FloatArray
    p: list[FloatArray]  # at the from end, at the to end
    q: list[FloatArray]

    @classmethod
    def of(cls, by: Mapping[str, FloatArray], batch: int, n_bus: int, n_branch: int) -> FlowSeeds:
        """What is given by name, 0 where nothing is."""

        def start(name: str, n: int) -> FloatArray:
            return by[name].copy() if name in by else np.zeros((batch, n))

        p, q = ("p_from_mw", "p_to_mw"), ("q_from_mvar", "q_to_mvar")
        return cls(start("v_pu", n_bus), [start(n, n_branch) for n in p], [start(n, n_branch) for n in q])

    def as_dict(self) -> dict[str, FloatArray]:
        """By name."""
        return {
            "v_pu": self.v_pu, "p_from_mw": self.p[0], "p_to_mw": self.p[1], "q_from_mvar": self.q[0],
            "q_to_mvar": self.q[1],
        }  # fmt: skip


def of_currents(
    into: FlowSeeds, seed: FloatArray, flows: Sequence[NDArray[np.complex128]],
    ends: tuple[NDArray[np.int64], NDArray[np.int64]], v: NDArray[np.complex128], kv: FloatArray,
) -> None:  # fmt: skip
    """Add currents of the larger end, |S| / (kv |V|); ``kv`` (n_bus,) makes kA of MVA at 1 pu."""
    size = [_current(s, v[:, node], kv[node]) for s, node in zip(flows, ends, strict=True)]
    larger = size[1] >= size[0]
    for end, node in enumerate(ends):
        mine = np.where((larger if end else ~larger) & (size[end] > 0), seed, 0.0)
        magnitude = np.abs(flows[end])
        safe = np.where(magnitude > 0, magnitude, 1.0)
        per = mine * size[end] / safe**2
        into.p[end] += per * flows[end].real
        into.q[end] += per * flows[end].imag
        change = -mine * size[end] / np.where(mine != 0, np.abs(v[:, node]), 1.0)
        for row in range(seed.shape[0]):
            np.add.at(into.v_pu[row], node, change[row])


def _current(s: NDArray[np.complex128], v: NDArray[np.complex128], kv: FloatArray) -> FloatArray:
    size = np.abs(v) * kv
    safe = np.where(np.isfinite(size) & (size > 0), size, 1.0)  # dead ends carry no flow
    return np.asarray(np.abs(s) / safe)


def of_loading(
    into: FlowSeeds, seed: FloatArray, flows: Sequence[NDArray[np.complex128]],
    rating: tuple[FloatArray, FloatArray], names: NDArray[Any],
) -> None:  # fmt: skip
    """Add loadings |S| / rating of the end where they are larger; ValueError where one has no rating."""
    rated = np.isfinite(rating[0]) | np.isfinite(rating[1])
    wrong = np.argwhere((seed != 0) & ~rated)
    if wrong.size:
        raise ValueError(f"branch {str(names[wrong[0][1]])!r} has no rating, hence no loading to derive by")
    ratio = [np.nan_to_num(np.abs(s) / r) for s, r in zip(flows, rating, strict=True)]
    larger = ratio[1] >= ratio[0]
    for end in (0, 1):
        mine = np.where((larger if end else ~larger) & (ratio[end] > 0), seed, 0.0)
        magnitude = np.abs(flows[end])
        per = mine * ratio[end] / np.where(magnitude > 0, magnitude, 1.0) ** 2
        into.p[end] += per * flows[end].real
        into.q[end] += per * flows[end].imag
