"""Checks on actions: a clear error that names the dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.actions import first_bad

TOLERANCE = 1e-6  # rounding of a float32 policy: clipped without a word


def checked(
    action: object,
    shape: tuple[int, int],
    names: Sequence[str],
    unused: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """``action`` as a fresh float64 array of ``shape`` (batch, n_actions), within [-1, 1].

    Rows in the mask ``unused`` may hold anything and become 0. Raises ValueError for a wrong shape, NaN, or a
    value outside [-1, 1] by more than 1e-6; the message names the dimension.
    """
    try:
        array = np.array(action, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ValueError(f"an action must be {shape[1]} numbers in [-1, 1], got {action!r}") from error
    if array.shape != shape and (shape[0] != 1 or array.shape != shape[1:]):
        wanted = shape if shape[0] > 1 else shape[1:]
        raise ValueError(
            f"action has shape {array.shape}, expected {wanted}: one entry for each of {_listed(names)}"
        )
    if unused is not None:
        array[unused] = 0.0
    bad = first_bad(array, TOLERANCE)
    if bad >= 0:
        row, where = divmod(bad, shape[1])
        value = array.reshape(-1)[bad]
        place = f"{row}, {where}" if array.ndim == 2 and shape[0] > 1 else f"{where}"
        raise ValueError(f"action[{place}] ({names[where]}) is {value}: expected a number in [-1, 1]")
    return array if array.ndim == 2 else array.reshape(shape)


def checked_codes(
    codes: object,
    shape: tuple[int, ...],
    counts: NDArray[np.int64],
    names: Sequence[str],
    unused: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """``codes`` as an int64 array of ``shape``, (batch, dimensions) or (batch,), each in 0..count - 1.

    Args:
        codes: whole numbers; without the batch where that is 1.
        shape: wanted.
        counts: of codes, one for each dimension.
        names: of the dimensions, for messages.
        unused: (batch,) rows that may hold anything and become 0.

    Raises:
        ValueError: a wrong shape, other things than whole numbers, a code that there is not.
    """
    array = np.asarray(codes)
    if array.shape != shape and (shape[0] != 1 or array.shape != shape[1:]):
        wanted = shape if shape[0] > 1 else shape[1:]
        what = f"one entry for each of {_listed(names)}" if len(shape) > 1 else f"a number of {names[0]}"
        raise ValueError(f"action has shape {array.shape}, expected {wanted}: {what}")
    array = array.reshape(shape)
    if array.dtype.kind not in "iu":
        raise ValueError(_wrong_kind(array, counts, names))
    if unused is not None:
        array = np.where(unused.reshape(-1, *(1,) * (len(shape) - 1)), 0, array)
    outside = (array < 0) | (array >= counts)
    if outside.any():
        raise ValueError(_wrong_code(array, int(outside.reshape(-1).argmax()), counts, names))
    return array.astype(np.int64)


def _wrong_kind(array: NDArray[Any], counts: NDArray[np.int64], names: Sequence[str]) -> str:
    """Of what is no whole number: the first entry that could not be one, else the first of all."""
    entries = array.reshape(-1).tolist()
    odd = [k for k, x in enumerate(entries) if not isinstance(x, float) or not x.is_integer()]
    return _wrong_code(array, odd[0] if odd else 0, counts, names) + f" as an integer, not {array.dtype}"


def _wrong_code(array: NDArray[Any], bad: int, counts: NDArray[np.int64], names: Sequence[str]) -> str:
    where = np.unravel_index(bad, array.shape)
    dim = int(where[1]) if array.ndim > 1 else 0
    place = ", ".join(str(int(k)) for k in (where if array.shape[0] > 1 else where[1:]))
    return (
        f"action{f'[{place}]' if place else ''} ({names[dim]}) is {array.reshape(-1)[bad]!s}: expected a "
        f"whole number in 0..{counts[dim] - 1}"
    )


def _listed(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:6]) + (f", … ({len(names)} in all)" if len(names) > 6 else "")
        if names
        else "no actions"
    )
