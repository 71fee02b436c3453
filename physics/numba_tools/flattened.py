"""Kernels declared on named tuples, compiled on flat arrays.

A tuple costs three times as much to pass into compiled code as its arrays, and a list of fifty arrays of one
type runs as well with two of them swapped. So a kernel is written on tuples, and both its flat signature and
the callers that unpack are made here, of the tuples' fields: nobody lists arrays.

    @flattened(plan=SweepPlan, inputs=Inputs)
    def sweep_rows(plan, inputs, lo, hi, tol): ...

    sweep_rows(plan, inputs, 0, 8, 1e-8)
    solve = sweep_rows.bind(plan=plan, inputs=inputs)  # unpacked once, for many calls
    solve(0, 8, 1e-8)

A call is quickest where what is bound comes first in the kernel's list, and single arguments last.

What is generated is compiled under the name, file and line of the kernel that was written, so that Numba
keeps its machine code as that of any other.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from .jit import inline, lean_kernel

Tuples = Mapping[str, type[tuple[Any, ...]]]


class FlatKernel(Protocol):
    """What `flattened` makes of a function."""

    __name__: str
    flat: Any  #: the compiled function, on the fields of all tuples one by one
    tuples: Tuples  #: parameter -> class of its named tuple

    def __call__(self, *arguments: Any) -> Any:
        """Run it; TypeError where a tuple is of another class than the kernel's."""

    def bind(self, **given: Any) -> Callable[..., Any]:
        """A function of the other parameters, in their order. TypeError for an unknown name or class."""

    def bind_first(self, **given: Any) -> Callable[..., Any]:
        """The compiled function of the fields of the other parameters one by one, unchecked.

        For a call that takes a few microseconds in all, where tuples cost a tenth of it: nothing guards the
        order. TypeError as `bind`, and where others come before those given.
        """


def flattened(**tuples: type[tuple[Any, ...]]) -> Callable[[Callable[..., Any]], FlatKernel]:
    """Decorator: compile a function of named tuples (``tuples``: parameter -> class) and of single arguments.

    The function allocates nothing; see `lean_kernel`. TypeError where a class belongs to no parameter.
    """

    def decorate(function: Callable[..., Any]) -> FlatKernel:
        names = list(inspect.signature(function).parameters)
        unknown = sorted(set(tuples) - set(names))
        if unknown:
            raise TypeError(f"{function.__name__} has no parameter {unknown[0]!r}; it has {', '.join(names)}")
        flat = lean_kernel(_flat(function, names, tuples))
        made: Any = _caller(function, names, tuples, flat, {})
        made.__doc__, made.flat, made.tuples = function.__doc__, flat, dict(tuples)

        def bind(**given: Any) -> Callable[..., Any]:
            return _caller(function, names, tuples, flat, given)

        def bind_first(**given: Any) -> Callable[..., Any]:
            _check(function, names, tuples, given)
            first = names[: len(given)]
            if set(first) != set(given):
                raise TypeError(f"{function.__name__} begins with {', '.join(first)}: bind these")
            return functools.partial(flat, *_unpacked(first, tuples, given))

        made.bind, made.bind_first = bind, bind_first
        return cast("FlatKernel", made)

    return decorate


def _fields(name: str, tuples: Tuples) -> list[str]:
    """Flat parameters of one parameter."""
    if name not in tuples:
        return [name]
    return [f"{name}_{field}" for field in getattr(tuples[name], "_fields", ())]


def _flat(function: Callable[..., Any], names: list[str], tuples: Tuples) -> Callable[..., Any]:
    """The function on flat parameters: it packs the tuples and is the written one, inlined."""
    module, name = function.__globals__, function.__name__
    body = f"_{name}_on_tuples"
    module[body] = inline(function)
    packed = []
    for each in names:
        if each in tuples:
            module[f"_{name}_{each}"] = tuples[each]
            packed.append(f"_{name}_{each}({', '.join(_fields(each, tuples))})")
        else:
            packed.append(each)
    flat = [field for each in names for field in _fields(each, tuples)]
    twice = sorted({field for field in flat if flat.count(field) > 1})
    if twice:
        raise TypeError(f"{name}: {twice[0]!r} names two arguments; call the parameters otherwise")
    source = f"def {name}({', '.join(flat)}):\n    return {body}({', '.join(packed)})\n"
    code = function.__code__
    made = _made(source, name, module, code.co_filename, code.co_firstlineno)
    made.__module__, made.__qualname__, made.__doc__ = function.__module__, name, function.__doc__
    return made


def _caller(
    function: Callable[..., Any], names: list[str], tuples: Tuples, flat: Any, given: Mapping[str, Any]
) -> Callable[..., Any]:
    """A Python function of the parameters not ``given``, which unpacks and calls the compiled one."""
    _check(function, names, tuples, given)
    first = next((k for k, name in enumerate(names) if name not in given), len(names))
    flat = functools.partial(flat, *_unpacked(names[:first], tuples, given)) if first else flat
    rest = names[first:]
    if not any(name in tuples or name in given for name in rest):
        return cast("Callable[..., Any]", flat)
    known: dict[str, Any] = {"_flat": flat, "_wrong": _wrong}
    checks, passed, run = [], [], list[Any]()
    for name in rest:
        if name in given:
            run += _unpacked([name], tuples, given)
            continue
        if run:
            known[f"_before_{name}"], run = tuple(run), []
            passed.append(f"*_before_{name}")
        if name in tuples:
            known[f"_class_{name}"] = tuples[name]
            checks.append(
                f"    if type({name}) is not _class_{name}:\n"
                f"        raise TypeError(_wrong({function.__name__!r}, {name!r}, _class_{name}, {name}))\n"
            )
        passed.append(f"*{name}" if name in tuples else name)
    if run:
        known["_rest"] = tuple(run)
        passed.append("*_rest")
    head = f"def {function.__name__}({', '.join(n for n in rest if n not in given)}):\n"
    source = head + "".join(checks) + f"    return _flat({', '.join(passed)})\n"
    return _made(source, function.__name__, known, f"<caller of {function.__name__}>", 1)


def _check(function: Callable[..., Any], names: list[str], tuples: Tuples, given: Mapping[str, Any]) -> None:
    """TypeError where what is given is of no parameter, or of another class than its tuple."""
    for name, value in given.items():
        if name not in names:
            raise TypeError(f"{function.__name__} has no parameter {name!r}; it has {', '.join(names)}")
        if name in tuples and type(value) is not tuples[name]:
            raise TypeError(_wrong(function.__name__, name, tuples[name], value))


def _unpacked(names: Sequence[str], tuples: Tuples, given: Mapping[str, Any]) -> list[Any]:
    """The values of these parameters one by one."""
    values: list[Any] = []
    for name in names:
        values += given[name] if name in tuples else [given[name]]
    return values


def _wrong(kernel: str, name: str, wanted: type, value: Any) -> str:
    return f"{kernel}: {name} must be {wanted.__name__}, got {type(value).__name__}"


def _made(source: str, name: str, module: dict[str, Any], file: str, line: int) -> Callable[..., Any]:
    """The function that a source defines, as if it were written at that line of a file."""
    found: dict[str, Callable[..., Any]] = {}
    exec(compile("\n" * (line - 1) + source, file, "exec"), module, found)  # noqa: S102 - names of fields
    return found[name]
