"""Kernels of many arguments are declared on named tuples: that each array stands in its own place.

A kernel of fifty positional arrays of the same type runs as well with two of them swapped. `flattened` makes
both the flat signature and what unpacks into it of the tuples' fields; these tests hold that to it, and every
kernel of many arguments to `flattened`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import distgrid
from distgrid import cases, physics
from distgrid.physics.balanced.kernels import solve_rows as balanced
from distgrid.physics.balanced.kernels import step_rows as balanced_steps
from distgrid.physics.numba_tools.flattened import FlatKernel, flattened
from distgrid.physics.unbalanced.kernels import solve_rows as unbalanced
from distgrid.physics.unbalanced.kernels import step_rows as unbalanced_steps

MANY = 25  # parameters from which on a kernel has to be declared on tuples
KERNELS: dict[str, FlatKernel] = {
    "sweep_rows": balanced.sweep_rows,
    "step_rows": balanced_steps.step_rows,
    "unbalanced solve_rows": unbalanced.solve_rows,
    "unbalanced step_rows": unbalanced_steps.step_rows,
}


class Sizes(NamedTuple):
    """Two arrays of one type."""

    low: np.ndarray
    high: np.ndarray


class Limits(NamedTuple):
    """As many, and a number."""

    high: np.ndarray
    low: np.ndarray
    share: float


@flattened(sizes=Sizes, limits=Limits)
def places(sizes, limits, out, factor):  # type: ignore[no-untyped-def]
    """What stands where, by powers of ten."""
    out[0] = factor * (sizes.low[0] + 10.0 * sizes.high[0] + 100.0 * limits.high[0] + 1000.0 * limits.low[0])
    return limits.share


def example() -> tuple[Sizes, Limits, np.ndarray]:
    """Another number in each array."""
    one = [np.array([float(k)]) for k in range(1, 5)]
    return Sizes(one[0], one[1]), Limits(one[2], one[3], 0.5), np.zeros(1)


def test_every_field_arrives_under_its_own_name() -> None:
    """Called with tuples, or bound in any way: the same places."""
    sizes, limits, out = example()
    ways: list[Callable[[], Any]] = [
        lambda: places(sizes, limits, out, 2.0),
        lambda: places.bind(sizes=sizes, limits=limits, out=out)(2.0),
        lambda: places.bind(limits=limits)(sizes, out, 2.0),
        lambda: places.bind(out=out, factor=2.0)(sizes, limits),
        lambda: places.bind(sizes=sizes, factor=2.0)(limits, out),
        lambda: places.bind(sizes=sizes, limits=limits, out=out, factor=2.0)(),
        lambda: places.bind_first(sizes=sizes)(*limits, out, 2.0),
        lambda: places.bind_first(limits=limits, sizes=sizes)(out, 2.0),
    ]
    for way in ways:
        out[:] = 0.0
        assert way() == 0.5
        assert out[0] == 2.0 * (1 + 20 + 300 + 4000)


def test_a_tuple_of_another_class_is_refused() -> None:
    """Two tuples swapped, or arrays in the place of one, say so at once."""
    sizes, limits, out = example()
    with pytest.raises(TypeError, match="places: sizes must be Sizes, got Limits"):
        places(limits, sizes, out, 1.0)
    with pytest.raises(TypeError, match="places: limits must be Limits, got tuple"):
        places.bind(sizes=sizes)(tuple(limits), out, 1.0)
    with pytest.raises(TypeError, match="places: limits must be Limits, got Sizes"):
        places.bind(limits=sizes)
    with pytest.raises(TypeError, match="places has no parameter 'size'; it has sizes, limits, out, factor"):
        places.bind(size=sizes)
    with pytest.raises(TypeError, match="places: sizes must be Sizes, got Limits"):
        places.bind_first(sizes=limits)
    with pytest.raises(TypeError, match="places begins with sizes: bind these"):
        places.bind_first(limits=limits)
    with pytest.raises(TypeError, match="no parameter 'size'"):
        flattened(size=Sizes)(places.flat.py_func)


@pytest.mark.parametrize("name", KERNELS)
def test_the_flat_signature_is_the_joined_fields_of_the_tuples(name: str) -> None:
    """Names and their order, each once."""
    kernel = KERNELS[name]
    given, wanted = list(inspect.signature(kernel.flat.py_func).parameters), []
    for parameter in inspect.signature(kernel).parameters:
        fields = kernel.tuples[parameter]._fields if parameter in kernel.tuples else None  # type: ignore[attr-defined]
        wanted += [parameter] if fields is None else [f"{parameter}_{field}" for field in fields]
    assert given == wanted
    assert len(set(given)) == len(given) >= MANY


def decorated(folder: Path) -> Iterator[tuple[str, int]]:
    """Module and function, and how many parameters it has, of every kernel that takes arrays singly."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                marks = {ast.unparse(mark) for mark in node.decorator_list}
                if marks & {"kernel", "lean_kernel"}:
                    yield f"{path.relative_to(folder)}:{node.name}", len(node.args.args)


@pytest.mark.slow
def test_every_kernel_of_many_arguments_is_declared_on_tuples() -> None:
    """A new one takes `flattened`."""
    root = Path(distgrid.__file__).parent
    found = {name: n for part in ("physics", "envs") for name, n in decorated(root / part)}
    assert len(found) > 15
    assert {name for name, count in found.items() if count >= MANY} == set()


def calls_by_hand(root: Path) -> Iterator[str]:
    """Places outside the tool where a flat kernel is called past its tuples."""
    for path in sorted(root.rglob("*.py")):
        if path.name == "flattened.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".flat"):
                yield f"{path.name}:{node.lineno}"


@pytest.mark.slow
def test_nobody_lists_arrays_by_hand() -> None:
    """`flat` is called by generated code alone."""
    root = Path(distgrid.__file__).parent
    assert [each for part in ("physics", "envs", "baselines") for each in calls_by_hand(root / part)] == []


def test_machine_code_is_kept_as_that_of_the_kernel_that_was_written() -> None:
    """The generated function bears the file and line of the written one, which Numba's cache goes by."""
    for kernel in KERNELS.values():
        code = kernel.flat.py_func.__code__
        lines = Path(code.co_filename).read_text().splitlines()
        assert lines[code.co_firstlineno - 1].startswith("@flattened(")
        assert kernel.flat.py_func.__module__.startswith("distgrid.physics.")
        assert kernel.flat._cache.cache_path


@pytest.mark.parametrize(
    ("case", "one"),
    [("case33bw", "v_source_pu"), ("ieee13", "v_source_pu")],
)
def test_a_lone_row_is_what_a_batch_of_one_is(case: str, one: str) -> None:
    """The short way of the most common call makes its tuples singly: the same state as the long way."""
    net: Any = physics.compile(cases.load(case))
    nominal = np.abs(net.source_phasor) if case == "case33bw" else np.abs(net.source_phasor)[:, 0]
    short, long = physics.solve(net), physics.solve(net, **{one: nominal})
    np.testing.assert_allclose(short.p_from_mw, long.p_from_mw[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(short.v_pu, long.v_pu[0], rtol=0, atol=1e-12)
