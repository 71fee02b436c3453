"""Checks on actions: a clear error that names the dimension."""

from __future__ import annotations

from collections.abc import Sequence

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


def _listed(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:6]) + (f", … ({len(names)} in all)" if len(names) > 6 else "")
        if names
        else "no actions"
    )
