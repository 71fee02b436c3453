"""Arrays of affine expressions in the columns of a conic program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NO_INT = np.empty(0, dtype=np.int64)
_NO_FLOAT = np.empty(0)


class Affine:
    """An array of expressions ``constant + sum(value * column)``.

    Behaves like an array of numbers as far as sums, products with numbers, indices and sums over axes go, so
    that rows of devices and terms of objectives read like the formulas they stand for.

    Attributes:
        constant: The numbers, in the shape of the array.
        row, column, value: Entries: flat index of the expression (ascending), column of the program,
            coefficient. A pair may occur more than once; its coefficients add up.
    """

    __slots__ = ("column", "constant", "row", "value")
    __array_ufunc__ = None  # numbers times Affine is for Affine to say

    def __init__(
        self, constant: ArrayLike, row: IntArray = _NO_INT, column: IntArray = _NO_INT,
        value: FloatArray = _NO_FLOAT,
    ) -> None:  # fmt: skip
        self.constant: FloatArray = np.asarray(constant, dtype=np.float64)
        self.row, self.column, self.value = row, column, value

    @classmethod
    def of_columns(cls, columns: IntArray) -> Affine:
        """The columns themselves, in their shape."""
        return cls(np.zeros(columns.shape), np.arange(columns.size), columns.ravel(), np.ones(columns.size))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.constant.shape

    @property
    def size(self) -> int:
        """Number of expressions."""
        return int(self.constant.size)

    @property
    def is_number(self) -> bool:
        """Whether no column occurs in it."""
        return self.row.size == 0

    def at(self, x: FloatArray) -> FloatArray:
        """Values of the expressions where the columns have the values ``x``."""
        sums = np.bincount(self.row, weights=self.value * x[self.column], minlength=self.size)
        return np.asarray(self.constant + sums.reshape(self.shape))

    # -- which of them ---------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Affine:
        return self._picked(np.arange(self.size).reshape(self.shape)[index])

    def reshape(self, *shape: int) -> Affine:
        """The same expressions in another shape."""
        return Affine(self.constant.reshape(*shape), self.row, self.column, self.value)

    def broadcast(self, shape: tuple[int, ...]) -> Affine:
        """Repeated to ``shape`` as NumPy does."""
        if self.shape == shape:
            return self
        return self._picked(np.broadcast_to(np.arange(self.size).reshape(self.shape), shape))

    def _picked(self, which: Any) -> Affine:
        """The expressions of the flat indices ``which``, in its shape."""
        wanted = np.asarray(which)
        flat = wanted.ravel()
        start = np.searchsorted(self.row, flat, side="left")
        count = np.searchsorted(self.row, flat, side="right") - start
        row = np.repeat(np.arange(flat.size), count)
        first = np.cumsum(count) - count
        source = np.arange(row.size) - np.repeat(first - start, count)
        constant = self.constant.ravel()[flat].reshape(wanted.shape)
        return Affine(constant, row, self.column[source], self.value[source])

    # -- sums and products -----------------------------------------------------------------------------------

    def __add__(self, other: Affine | ArrayLike) -> Affine:
        if not isinstance(other, Affine):
            other = Affine(other)
        shape = np.broadcast_shapes(self.shape, other.shape)
        a, b = self.broadcast(shape), other.broadcast(shape)
        return _sorted(
            a.constant + b.constant, np.concatenate([a.row, b.row]), np.concatenate([a.column, b.column]),
            np.concatenate([a.value, b.value]),
        )  # fmt: skip

    __radd__ = __add__

    def __neg__(self) -> Affine:
        return Affine(-self.constant, self.row, self.column, -self.value)

    def __sub__(self, other: Affine | ArrayLike) -> Affine:
        return self + (-other if isinstance(other, Affine) else -np.asarray(other, dtype=np.float64))

    def __rsub__(self, other: ArrayLike) -> Affine:
        return -self + other

    def __mul__(self, factor: ArrayLike) -> Affine:
        numbers = np.asarray(factor, dtype=np.float64)
        shape = np.broadcast_shapes(self.shape, numbers.shape)
        a = self.broadcast(shape)
        flat = np.broadcast_to(numbers, shape).ravel()
        return Affine(a.constant * flat.reshape(shape), a.row, a.column, a.value * flat[a.row])

    __rmul__ = __mul__

    def __truediv__(self, divisor: ArrayLike) -> Affine:
        return self * (1.0 / np.asarray(divisor, dtype=np.float64))

    def sum(self, axis: int | None = None) -> Affine:
        """Sums over one axis, or over all (shape ())."""
        if axis is None:
            return Affine(self.constant.sum(), np.zeros_like(self.row), self.column, self.value)
        kept = np.arange(int(np.prod(np.delete(self.shape, axis), dtype=np.int64)))
        into = np.broadcast_to(
            np.expand_dims(kept.reshape(np.delete(self.shape, axis)), axis), self.shape
        ).ravel()
        return _sorted(self.constant.sum(axis=axis), np.asarray(into[self.row]), self.column, self.value)

    def cumsum(self) -> Affine:
        """Sums over the first axis up to each index."""
        steps = [self[0]]
        for t in range(1, self.shape[0]):
            steps.append(steps[-1] + self[t])
        return stacked(steps)

    def scattered(self, index: IntArray, size: int) -> Affine:
        """Added up along the last axis: expression k goes to ``index[k]`` of ``size`` places."""
        lead = self.shape[:-1]
        places = np.arange(int(np.prod(lead, dtype=np.int64)) * size).reshape(*lead, size)
        into = places[..., index].ravel()
        summed = np.bincount(into, weights=self.constant.ravel(), minlength=places.size)
        constant = np.asarray(summed.reshape(*lead, size), dtype=np.float64)
        return _sorted(constant, np.asarray(into[self.row]), self.column, self.value)


def _sorted(constant: FloatArray, row: IntArray, column: IntArray, value: FloatArray) -> Affine:
    order = np.argsort(row, kind="stable")
    return Affine(constant, row[order], column[order], value[order])


def stacked(parts: Sequence[Affine]) -> Affine:
    """Arrays of one shape along a new first axis."""
    size = parts[0].size
    return Affine(
        np.stack([part.constant for part in parts]),
        np.concatenate([part.row + k * size for k, part in enumerate(parts)]),
        np.concatenate([part.column for part in parts]),
        np.concatenate([part.value for part in parts]),
    )
