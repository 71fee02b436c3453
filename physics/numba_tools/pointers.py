"""Memory of the three-phase kernels: one source for a row and for a block of lanes, no reference counts.

A *pointer* is the data of an array without the array: what it points at must live as long as it is used. It
points at numbers, or at blocks of lanes when it was made from an array of rank 2, (entry, lane); `get` then
gives a vector. The arithmetic in between is written once, so a row has the same bits alone and beside others.
Passing arrays between helpers instead costs a reference count each, more than a segment's arithmetic.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

from . import lanes
from .lanes import LANES, lanes_type


class _Pointer(types.Type):
    """Pointer to float64 ("number"), int64 ("whole"), bool ("flag") or to lanes of float64 ("lanes")."""

    def __init__(self, entry: str) -> None:
        self.entry = entry
        super().__init__(name=f"Pointer({entry})")


_DOUBLE, _BYTE, _WHOLE = ir.DoubleType(), ir.IntType(8), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_LLVM = {"number": _DOUBLE, "whole": _WHOLE, "flag": _BYTE, "lanes": _VECTOR}
_ENTRY = {"number": types.float64, "whole": types.int64, "flag": types.boolean, "lanes": lanes_type}
_TYPES = {entry: _Pointer(entry) for entry in _LLVM}


@register_model(_Pointer)
class _PointerModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _LLVM[fe_type.entry].as_pointer())


@intrinsic
def point(typingctx: Any, array: Any) -> Any:
    """Pointer to the data of a C-contiguous array; float64 of rank 2 is seen as (entry, lane)."""
    kinds = {types.float64: "number", types.int64: "whole", types.boolean: "flag"}
    entry = "lanes" if array.ndim == 2 else kinds[array.dtype]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data
        return builder.bitcast(data, _LLVM[entry].as_pointer())

    return _TYPES[entry](array), codegen


@intrinsic
def flat(typingctx: Any, array: Any) -> Any:
    """Pointer to the numbers of a C-contiguous array of any rank; complex ones are pairs."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data
        return builder.bitcast(data, _DOUBLE.as_pointer())

    return _TYPES["number"](array), codegen


@intrinsic
def advance(typingctx: Any, pointer: Any, count: Any) -> Any:
    """The pointer ``count`` entries further on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.intp), codegen


@intrinsic
def get(typingctx: Any, pointer: Any, k: Any) -> Any:
    """Entry ``k``: a number or lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(builder.gep(args[0], [args[1]]), align=1 if pointer.entry == "flag" else 8)
        return builder.icmp_unsigned("!=", value, _BYTE(0)) if pointer.entry == "flag" else value

    return _ENTRY[pointer.entry](pointer, types.intp), codegen


@intrinsic
def put(typingctx: Any, pointer: Any, k: Any, value: Any) -> Any:
    """Write entry ``k``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.zext(args[2], _BYTE) if pointer.entry == "flag" else args[2]
        builder.store(value, builder.gep(args[0], [args[1]]), align=1 if pointer.entry == "flag" else 8)
        return context.get_dummy_value()

    return types.void(pointer, types.intp, _ENTRY[pointer.entry]), codegen


def _lane_of(builder: Any, entry: str, args: Any) -> Any:
    if entry != "lanes":
        return builder.gep(args[0], [args[1]])
    flat = builder.bitcast(args[0], _DOUBLE.as_pointer())
    place = builder.add(builder.mul(args[1], ir.Constant(args[1].type, LANES)), args[2])
    return builder.gep(flat, [place])


@intrinsic
def get_lane(typingctx: Any, pointer: Any, k: Any, lane: Any) -> Any:
    """One lane of entry ``k``; of a number, the number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_lane_of(builder, pointer.entry, args), align=8)

    return types.float64(pointer, types.intp, types.intp), codegen


@intrinsic
def put_lane(typingctx: Any, pointer: Any, k: Any, lane: Any, value: Any) -> Any:
    """Write one lane of entry ``k``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[3], _lane_of(builder, pointer.entry, args), align=8)
        return context.get_dummy_value()

    return types.void(pointer, types.intp, types.intp, types.float64), codegen


@intrinsic
def across(typingctx: Any, pointer: Any, data: Any, stride: Any, count: Any) -> Any:
    """``count`` numbers ``stride`` apart as an entry of what ``pointer`` points at; the last one repeats."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, numbers, step, rows = args
        if pointer.entry != "lanes":
            return builder.load(numbers, align=8)
        value = ir.Constant(_VECTOR, ir.Undefined)
        last = builder.sub(rows, ir.Constant(rows.type, 1))
        for lane in range(LANES):
            here = ir.Constant(rows.type, lane)
            row = builder.select(builder.icmp_signed("<", here, last), here, last)
            number = builder.load(builder.gep(numbers, [builder.mul(row, step)]), align=8)
            value = builder.insert_element(value, number, ir.Constant(ir.IntType(32), lane))
        return value

    return _ENTRY[pointer.entry](pointer, data, types.intp, types.intp), codegen


def like(pointer: Any, number: Any) -> Any:
    """``number`` as an entry of what ``pointer`` points at."""
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


def width_of(pointer: Any) -> int:
    """How many lanes an entry has: 1 or ``LANES``."""
    raise NotImplementedError("only inside compiled kernels")


@overload(like)
def _like(pointer, number):  # type: ignore[no-untyped-def]
    if pointer.entry == "lanes":
        return lambda pointer, number: lanes.splat(number)
    return lambda pointer, number: number


@overload(width_of)
def _width_of(pointer):  # type: ignore[no-untyped-def]
    if pointer.entry == "lanes":
        return lambda pointer: LANES
    return lambda pointer: 1


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


class _QuadType(types.Type):
    """Four float64: the phases of a node beside each other, the fourth always zero."""

    def __init__(self) -> None:
        super().__init__(name="Quad")


_quad_type = _QuadType()
_QUAD = ir.VectorType(_DOUBLE, 4)


@register_model(_QuadType)
class _QuadModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _QUAD)


@intrinsic
def get_quad(typingctx: Any, pointer: Any, k: Any) -> Any:
    """Entries k to k + 3 of numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.bitcast(builder.gep(args[0], [args[1]]), _QUAD.as_pointer())
        return builder.load(at, align=8)

    return _quad_type(pointer, types.intp), codegen


@intrinsic
def put_quad(typingctx: Any, pointer: Any, k: Any, value: Any) -> Any:
    """Write entries k to k + 3."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.bitcast(builder.gep(args[0], [args[1]]), _QUAD.as_pointer())
        builder.store(args[2], at, align=8)
        return context.get_dummy_value()

    return types.void(pointer, types.intp, _quad_type), codegen


@intrinsic
def quad(typingctx: Any, number: Any) -> Any:
    """A number four times."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(ir.IntType(32), 0)
        first = builder.insert_element(ir.Constant(_QUAD, ir.Undefined), args[0], zero)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
        return builder.shuffle_vector(first, ir.Constant(_QUAD, ir.Undefined), mask)

    return _quad_type(types.float64), codegen


@intrinsic
def pick(typingctx: Any, value: Any, k: Any) -> Any:
    """Entry k of a quad."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.extract_element(args[0], builder.trunc(args[1], ir.IntType(32)))

    return types.float64(_quad_type, types.intp), codegen


def _quad_operation(method: str) -> Any:
    @intrinsic
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if method in ("<", ">"):
                return builder.select(builder.fcmp_ordered(method, *args), *args)
            return getattr(builder, method)(*args)

        return _quad_type(_quad_type, _quad_type), codegen

    return operation


def _overload_quad(symbol: Any, operation: Any) -> None:
    @overload(symbol)
    def implementation(a, b):  # type: ignore[no-untyped-def]
        if isinstance(a, _QuadType) and isinstance(b, _QuadType):
            return lambda a, b: operation(a, b)
        return None


for _symbol, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _overload_quad(_symbol, _quad_operation(_name))
larger_quad, smaller_quad = _quad_operation(">"), _quad_operation("<")
