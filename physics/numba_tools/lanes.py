"""One source for one row and for sixteen: numbers or vectors of lanes inside compiled kernels.

LLVM's loop vectoriser gives up on short inner loops over arrays that might alias, so the kernels say what
they mean. Their state lies in arrays ``(position, field)`` for a single row and ``(position, field, lane)``
for a block of rows; :func:`load` gives a float64 from the first and a ``Lanes`` value, an LLVM vector of
doubles, from the second. Arithmetic is lane by lane with the rounding of the scalar operations, so that a row
has the same bits whether it was solved alone or beside others.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

LANES = 16  # two vectors of a processor's widest: one is on its way while the other is waited for
_LINE = 8  # doubles in a line of the cache
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


lanes_type = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def aligned(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An array that begins where a line of the cache does: vectors across two lines take twice as long."""
    size = math.prod(shape)
    room = np.empty(size + _LINE)
    first = -room.__array_interface__["data"][0] // room.itemsize % _LINE
    return room[first : first + size].reshape(shape)


def _is_wide(array: Any) -> bool:
    """Whether an array type holds lanes."""
    return bool(array.ndim == 3)


def _value_type(array: Any) -> Any:
    return lanes_type if _is_wide(array) else types.float64


def _place(context: Any, builder: Any, array_type: Any, array: Any, k: Any, f: Any) -> tuple[Any, Any]:
    """Pointer to the first double of entry (k, f), and the constant number of doubles per entry."""
    struct = cgutils.create_struct_proxy(array_type)(context, builder, value=array)
    fields = builder.extract_value(struct.shape, 1)
    index = builder.add(builder.mul(k, fields), f)
    width = ir.Constant(index.type, LANES if _is_wide(array_type) else 1)
    return builder.gep(struct.data, [builder.mul(index, width)]), width


@intrinsic
def load(typingctx: Any, array: Any, k: Any, f: Any) -> Any:
    """Entry (k, f) of a C-contiguous array: a number, or all its lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, _ = _place(context, builder, signature.args[0], *args)
        if _is_wide(signature.args[0]):
            pointer = builder.bitcast(pointer, _VECTOR.as_pointer())
        return builder.load(pointer, align=8)

    return _value_type(array)(array, types.intp, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, k: Any, f: Any, value: Any) -> Any:
    """Write ``value`` where :func:`load` reads."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, _ = _place(context, builder, signature.args[0], *args[:3])
        if _is_wide(signature.args[0]):
            pointer = builder.bitcast(pointer, _VECTOR.as_pointer())
        builder.store(args[3], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, _value_type(array)), codegen


@intrinsic
def pick(typingctx: Any, array: Any, k: Any, f: Any, lane: Any) -> Any:
    """The number in one lane of entry (k, f); the only lane of a single row is 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, _ = _place(context, builder, signature.args[0], *args[:3])
        return builder.load(builder.gep(pointer, [args[3]]), align=8)

    return types.float64(array, types.intp, types.intp, types.intp), codegen


@intrinsic
def put(typingctx: Any, array: Any, k: Any, f: Any, lane: Any, value: Any) -> Any:
    """Write a number where :func:`pick` reads."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, _ = _place(context, builder, signature.args[0], *args[:3])
        builder.store(args[4], builder.gep(pointer, [args[3]]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp, types.float64), codegen


@intrinsic
def from_rows(typingctx: Any, array: Any, table: Any, row: Any, column: Any) -> Any:
    """``table[row, column]`` of a (batch, n) table, and of the rows below it, as ``array`` holds values."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = cgutils.create_struct_proxy(signature.args[1])(context, builder, value=args[1])
        columns = builder.extract_value(struct.shape, 1)
        pointer = builder.gep(struct.data, [builder.add(builder.mul(args[2], columns), args[3])])
        if not _is_wide(signature.args[0]):
            return builder.load(pointer, align=8)
        value = ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(LANES):
            at = builder.gep(pointer, [builder.mul(columns, ir.Constant(columns.type, lane))])
            place = ir.Constant(ir.IntType(32), lane)
            value = builder.insert_element(value, builder.load(at, align=8), place)
        return value

    return _value_type(array)(array, table, types.intp, types.intp), codegen


@intrinsic
def to_rows(typingctx: Any, table: Any, row: Any, column: Any, re: Any, im: Any) -> Any:
    """Write complex numbers to column ``column`` of a (batch, n) table, one row after the other."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
        columns = builder.extract_value(struct.shape, 1)
        pointer = builder.gep(struct.data, [builder.add(builder.mul(args[1], columns), args[2])])
        wide = signature.args[3] == lanes_type
        pair, index = ir.VectorType(ir.DoubleType(), 2), ir.IntType(32)
        for lane in range(LANES if wide else 1):
            if wide:
                mask = ir.Constant(ir.VectorType(index, 2), [lane, LANES + lane])
                both = builder.shuffle_vector(args[3], args[4], mask)
            else:
                both = builder.insert_element(ir.Constant(pair, ir.Undefined), args[3], ir.Constant(index, 0))
                both = builder.insert_element(both, args[4], ir.Constant(index, 1))
            at = builder.gep(pointer, [builder.mul(columns, ir.Constant(columns.type, lane))])
            builder.store(both, builder.bitcast(at, pair.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(table, types.intp, types.intp, re, re), codegen


@intrinsic
def to_rows_real(typingctx: Any, table: Any, row: Any, column: Any, value: Any) -> Any:
    """As :func:`to_rows` for a table of real numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
        columns = builder.extract_value(struct.shape, 1)
        pointer = builder.gep(struct.data, [builder.add(builder.mul(args[1], columns), args[2])])
        if signature.args[3] != lanes_type:
            builder.store(args[3], pointer, align=8)
            return context.get_dummy_value()
        for lane in range(LANES):
            at = builder.gep(pointer, [builder.mul(columns, ir.Constant(columns.type, lane))])
            builder.store(builder.extract_element(args[3], ir.Constant(ir.IntType(32), lane)), at, align=8)
        return context.get_dummy_value()

    return types.void(table, types.intp, types.intp, value), codegen


@intrinsic
def width(typingctx: Any, array: Any) -> Any:
    """Rows side by side in an array of state: 1 or ``LANES``; known to the compiler."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), LANES if _is_wide(signature.args[0]) else 1)

    return types.int64(array), codegen


def _splat(builder: Any, scalar: Any) -> Any:
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), mask)


@intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """The same number in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return lanes_type(types.float64), codegen


@intrinsic
def every(typingctx: Any, array: Any, scalar: Any) -> Any:
    """A number as a value of the kind that ``array`` holds."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[1]) if _is_wide(signature.args[0]) else args[1]

    return _value_type(array)(array, types.float64), codegen


def _binary(method: str) -> Any:
    @intrinsic
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, method)(args[0], args[1])

        return lanes_type(lanes_type, lanes_type), codegen

    return operation


def _extreme(comparison: str) -> Any:
    @intrinsic
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, args[0], args[1]), args[0], args[1])

        return a(a, a), codegen

    return operation


_add, _sub, _mul, _div = (_binary(m) for m in ("fadd", "fsub", "fmul", "fdiv"))
larger = _extreme(">")  # lane-wise; a NaN in the first argument gives the second
smaller = _extreme("<")


@intrinsic
def choose(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """``a`` where ``mask`` is above 0, else ``b``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(args[0].type, None if signature.args[0] == lanes_type else 0.0)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], args[2])

    return a(a, a, a), codegen


@intrinsic
def anywhere(typingctx: Any, mask: Any) -> Any:
    """Whether any lane of ``mask`` is above 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = signature.args[0] == lanes_type
        zero = ir.Constant(args[0].type, None if wide else 0.0)
        above = builder.fcmp_ordered(">", args[0], zero)
        if not wide:
            return above
        bits = ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(above, bits), ir.Constant(bits, 0))

    return types.boolean(mask), codegen


_OPERATIONS = {operator.add: _add, operator.sub: _sub, operator.mul: _mul, operator.truediv: _div}


def _overload(symbol: Any, operation: Any) -> None:
    @overload(symbol)
    def implementation(a, b):  # type: ignore[no-untyped-def]  # numba compares with the lambdas below
        if isinstance(a, _LanesType) and isinstance(b, _LanesType):
            return lambda a, b: operation(a, b)
        if isinstance(a, _LanesType) and isinstance(b, types.Float):
            return lambda a, b: operation(a, splat(b))
        if isinstance(a, types.Float) and isinstance(b, _LanesType):
            return lambda a, b: operation(splat(a), b)
        return None


for _symbol, _operation in _OPERATIONS.items():
    _overload(_symbol, _operation)


@intrinsic
def root(typingctx: Any, value: Any) -> Any:
    """Square root of a number or of every lane."""
    kind, suffix = (_VECTOR, f"v{LANES}f64") if value == lanes_type else (ir.DoubleType(), "f64")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        signature_of_root = ir.FunctionType(kind, [kind])
        function = cgutils.get_or_insert_function(builder.module, signature_of_root, f"llvm.sqrt.{suffix}")
        return builder.call(function, [args[0]])

    return value(value), codegen
