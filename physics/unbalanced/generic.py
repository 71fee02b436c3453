"""The same kernel source for one row and for eight: element access that follows the array's rank.

An array of rank 2, (entry, lane), gives and takes a vector of lanes; one of rank 1 gives and takes a number.
The arithmetic in between is written once, so a row has the same bits alone and beside others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from .. import lanes


def get(array: Any, k: Any) -> Any:
    """Entry ``k``: a number or lanes."""
    raise NotImplementedError("only inside compiled kernels")


def put(array: Any, k: Any, value: Any) -> None:
    """Write entry ``k``."""
    raise NotImplementedError("only inside compiled kernels")


def put_lane(array: Any, k: Any, lane: Any, value: Any) -> None:
    """Write one lane of entry ``k``; of a number, its only one."""
    raise NotImplementedError("only inside compiled kernels")


def get_lane(array: Any, k: Any, lane: Any) -> Any:
    """One lane of entry ``k``."""
    raise NotImplementedError("only inside compiled kernels")


def like(array: Any, number: Any) -> Any:
    """``number`` in the shape of an entry of ``array``."""
    raise NotImplementedError("only inside compiled kernels")


def larger(a: Any, b: Any) -> Any:
    """The larger one; ``b`` where ``a`` is NaN."""
    raise NotImplementedError("only inside compiled kernels")


def smaller(a: Any, b: Any) -> Any:
    """The smaller one; ``b`` where ``a`` is NaN."""
    raise NotImplementedError("only inside compiled kernels")


def root(value: Any) -> Any:
    """Square root."""
    raise NotImplementedError("only inside compiled kernels")


@overload(get)
def _get(array, k):  # type: ignore[no-untyped-def]
    if array.ndim == 1:
        return lambda array, k: array[k]
    return lambda array, k: lanes.load(array, k)


@overload(put)
def _put(array, k, value):  # type: ignore[no-untyped-def]
    if array.ndim == 1:

        def one(array, k, value):  # type: ignore[no-untyped-def]
            array[k] = value

        return one
    return lambda array, k, value: lanes.store(array, k, value)


@overload(put_lane)
def _put_lane(array, k, lane, value):  # type: ignore[no-untyped-def]
    if array.ndim == 1:

        def one(array, k, lane, value):  # type: ignore[no-untyped-def]
            array[k] = value

        return one

    def many(array, k, lane, value):  # type: ignore[no-untyped-def]
        array[k, lane] = value

    return many


@overload(get_lane)
def _get_lane(array, k, lane):  # type: ignore[no-untyped-def]
    if array.ndim == 1:
        return lambda array, k, lane: array[k]
    return lambda array, k, lane: array[k, lane]


@overload(like)
def _like(array, number):  # type: ignore[no-untyped-def]
    if array.ndim == 1:
        return lambda array, number: number
    return lambda array, number: lanes.splat(number)


@overload(larger)
def _larger(a, b):  # type: ignore[no-untyped-def]
    if isinstance(a, types.Float):
        return lambda a, b: a if a > b else b
    return lambda a, b: lanes.larger(a, b)


@overload(smaller)
def _smaller(a, b):  # type: ignore[no-untyped-def]
    if isinstance(a, types.Float):
        return lambda a, b: a if a < b else b
    return lambda a, b: lanes.smaller(a, b)


@overload(root)
def _root(value):  # type: ignore[no-untyped-def]
    if isinstance(value, types.Float):
        return lambda value: np.sqrt(value)
    return lambda value: lanes.root(value)
