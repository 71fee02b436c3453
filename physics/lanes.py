"""Eight float64 lanes as one value inside compiled kernels.

LLVM's loop vectoriser gives up on short inner loops over arrays that might alias, so the kernels say what
they mean: a value of type ``Lanes`` is an LLVM vector of eight doubles, loaded from and stored to eight
neighbouring array entries. Arithmetic is lane by lane, with the rounding of the scalar operations.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

LANES = 8
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


lanes_type = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), mask)


@intrinsic
def load(typingctx: Any, array: Any, row: Any) -> Any:
    """Lanes ``row * LANES`` onwards of a C-contiguous array, seen flat."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.mul(args[1], ir.Constant(args[1].type, LANES))
        return builder.load(_pointer(context, builder, signature.args[0], args[0], start), align=8)

    return lanes_type(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, row: Any, value: Any) -> Any:
    """Write ``value`` where :func:`load` reads."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.mul(args[1], ir.Constant(args[1].type, LANES))
        builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], start), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes_type), codegen


@intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """The same number in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return lanes_type(types.float64), codegen


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

        return lanes_type(lanes_type, lanes_type), codegen

    return operation


_add, _sub, _mul, _div = (_binary(m) for m in ("fadd", "fsub", "fmul", "fdiv"))
larger = _extreme(">")  # lane-wise; a NaN in the first argument gives the second
smaller = _extreme("<")

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
    """Lane-wise square root."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64")
        return builder.call(function, [args[0]])

    return lanes_type(lanes_type), codegen


def block(*shape: int) -> np.ndarray:
    """Zeros of ``shape`` with a last axis of lanes."""
    return np.zeros((*shape, LANES))
