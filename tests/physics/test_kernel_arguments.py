"""Kernels take the fields of tuples one by one: that each array stands in its own place.

A kernel of fifty positional arrays of the same type runs as well with two of them swapped. So its signature
is held against the fields of the tuples that callers unpack (`KERNELS`), and callers against the tuples
themselves (`CALLS`). A new kernel of many arguments gets a line in both tables.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distgrid
from distgrid import cases, physics
from distgrid.baselines.bench import vector
from distgrid.physics.balanced import branch_flows as ends
from distgrid.physics.balanced.kernels import solve_rows as kernels
from distgrid.physics.balanced.kernels import step_rows as metrics
from distgrid.physics.balanced.plan import SweepPlan
from distgrid.physics.unbalanced import kernel_tables as program
from distgrid.physics.unbalanced.kernels import branch_flows as flows
from distgrid.physics.unbalanced.kernels import measure
from distgrid.physics.unbalanced.kernels import solve_rows as kernels3
from distgrid.physics.unbalanced.kernels import step_rows as stepped

MANY = 25  # parameters from which on a kernel has to be in the table
TOL, STEPS, COLLAPSE = 1e-7, 77, 0.4  # none is a default
NUMBERS = ("tol", "max_iter", "v_collapse")
DEMAND3 = ("load_p_mw", "load_q_mvar", "inject_p_mw", "inject_q_mvar", "tap", "cap_on")


@dataclass(frozen=True)
class Kernel:
    """A compiled function: named tuples whose fields it takes one by one, and names of single arguments."""

    function: Any
    parts: tuple[Any, ...]  # classes of named tuples, and strings
    renamed: dict[str, str] = field(default_factory=dict)  # "Tuple.field" -> parameter

    @property
    def source(self) -> Callable[..., Any]:
        """What was compiled."""
        source: Callable[..., Any] = self.function.py_func
        return source

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names in the signature."""
        return tuple(inspect.signature(self.source).parameters)

    def fields(self, part: Any) -> dict[str, str]:
        """Field -> parameter of a named tuple."""
        return {name: self.renamed.get(f"{part.__name__}.{name}", name) for name in part._fields}

    @property
    def joined(self) -> tuple[str, ...]:
        """Names that the parts ask for."""
        names: list[str] = []
        for part in self.parts:
            names += [part] if isinstance(part, str) else self.fields(part).values()
        return tuple(names)


KERNELS = {
    "sweep_rows": Kernel(
        kernels.sweep_rows,
        (
            SweepPlan, "lo", "hi", kernels.Inputs, "v_source", "v_start", "scale", *NUMBERS,
            kernels.Workspace, kernels.Outputs,
        ),
    ),
    "step_rows": Kernel(
        metrics.step_rows,
        (
            SweepPlan, ends.Ends, "lo", "hi", kernels.Inputs, "v_source", "v_start", "base_mva", *NUMBERS,
            kernels.Workspace, kernels.Outputs, metrics.StepLimits, metrics.StepResults,
        ),
    ),
    "flow_rows": Kernel(
        ends.flow_rows,
        (ends.Ends, "lo", "hi", "base_mva", "tap_at", "settings", "v", "current", "s_from", "s_to"),
    ),
    "unbalanced solve_rows": Kernel(
        kernels3.solve_rows,
        (
            program.SweepPlan, program.Inputs, "all_legs", "lo", "hi", "scale", *NUMBERS, program.Workspace,
            program.Outputs,
        ),
    ),
    "unbalanced step_rows": Kernel(
        stepped.step_rows,
        (
            program.SweepPlan, flows.FlowTable, measure.StepColumns, measure.StepLimits, "tol", "max_iter",
            "lo", "hi", stepped.Places, *DEMAND3, stepped.Block, "v_source", "v_start", program.Workspace,
            program.Outputs,
            "room", measure.StepResults,
        ),
        {
            "Places.load": "place_load", "Places.port": "place_port", "Places.share": "place_share",
            "Block.p_inject_mw": "p_in", "Block.q_inject_mvar": "q_in", "Block.p_delta_mw": "p_leg",
            "Block.q_delta_mvar": "q_leg", "Block.p_delta_inject_mw": "p_leg_in",
            "Block.q_delta_inject_mvar": "q_leg_in", "Block.tap": "block_tap", "Block.cap_on": "block_cap",
            "StepResults.v": "v_out",
        },
    ),
    "unbalanced flow_rows": Kernel(
        flows.flow_rows,
        (program.SweepPlan, flows.FlowTable, "lo", "hi", "tap", "v", "current", "i_from", "i_to"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_a_signature_is_the_joined_fields_of_its_tuples(name: str) -> None:
    """Names and their order; a field that is added, moved or left out in one of the two places fails."""
    assert KERNELS[name].parameters == KERNELS[name].joined


def decorated(folder: Path) -> Iterator[tuple[str, int]]:
    """Module and function, and how many parameters it has, of every kernel under a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                marks = {ast.unparse(mark) for mark in node.decorator_list}
                if marks & {"kernel", "lean_kernel"}:
                    module = ".".join(path.relative_to(folder).with_suffix("").parts)
                    yield f"{module}.{node.name}", len(node.args.args)


def test_every_kernel_of_many_arguments_is_in_the_table() -> None:
    """A new one is added to KERNELS, and its callers to CALLS."""
    root = Path(distgrid.__file__).parent
    known = {f"{kernel.source.__module__}.{kernel.source.__name__}" for kernel in KERNELS.values()}
    found = {f"{part}.{name}": n for part in ("physics", "envs") for name, n in decorated(root / part)}
    assert len(found) > 15
    large = {f"distgrid.{name}" for name, count in found.items() if count >= MANY}
    assert large - known == set()


def constructed(kernel: Kernel) -> Iterator[tuple[Any, list[str]]]:
    """Every named tuple that a kernel makes of its parameters, and what it puts in, as written."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kernel.source)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            made = kernel.source.__globals__.get(node.func.id)
            if isinstance(made, type) and hasattr(made, "_fields"):
                yield made, [ast.unparse(arg) for arg in node.args]


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_makes_its_tuples_of_the_right_parameters(name: str) -> None:
    """Inside, the same order again: a parameter goes into the field that it was unpacked from.

    Where a tuple is made of another's parameters (`Inputs` of those of `Block`), into the field of that name.
    """
    kernel = KERNELS[name]
    came_from = {single: single for single in (*kernel.parts, "block") if isinstance(single, str)}
    for part in kernel.parts:
        if not isinstance(part, str):
            came_from |= {parameter: name for name, parameter in kernel.fields(part).items()}
    seen = 0
    for made, given in constructed(kernel):
        assert len(given) == len(made._fields), made
        for wanted, text in zip(made._fields, given, strict=True):
            (parameter,) = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
            assert came_from[parameter] == wanted, f"{made.__name__}.{wanted} is made of {text}"
        if made in kernel.parts:
            assert {p for text in given for p in kernel.parameters if p in text} >= set(
                kernel.fields(made).values()
            )
        seen += 1
    assert seen >= 1 or len(kernel.parameters) < MANY


class CaughtError(Exception):
    """What a kernel was called with, in the place of running it."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        super().__init__("caught")
        self.arguments = arguments


#: What single arguments must be, and what makes the call.
Prepared = tuple[dict[str, Any], Callable[[], object]]


@dataclass(frozen=True)
class Call:
    """A module that calls a kernel, and how to make it."""

    kernel: str
    module: str
    prepare: Callable[[], Prepared]
    singly: tuple[Any, ...] = ()  # tuples that this caller does not make, see the last test


def solving(case: str, **options: Any) -> Callable[[], Prepared]:
    """`physics.solve` of a shipped case."""

    def prepare() -> Prepared:
        net = physics.compile(cases.load(case))
        chosen = {"tol": TOL, "max_iter": STEPS, "v_collapse_pu": COLLAPSE, "threads": 1, **options}
        known: dict[str, Any] = {"lo": 0, "tol": TOL, "max_iter": STEPS, "v_collapse": COLLAPSE}
        return known, lambda: physics.solve(net, **chosen)

    return prepare


def stepping() -> Prepared:
    """A balanced stepper of three rows."""
    net = physics.compile(cases.load("case33bw"))
    stepper = physics.Stepper(net, 3, np.full(net.n_bus, 0.9), np.full(net.n_bus, 1.1))
    stepper.v_collapse_pu = COLLAPSE
    known = {name: getattr(stepper, name) for name in DEMAND3[:4]}
    known |= {
        "lo": 1,
        "hi": 2,
        "tol": TOL,
        "max_iter": STEPS,
        "v_collapse": COLLAPSE,
        "base_mva": net.base_mva,
    }
    return known, lambda: stepper.solve(TOL, STEPS, 1, 2)


def stepping_by_phase() -> Prepared:
    """A per-phase stepper of two rows."""
    net: Any = physics.compile(cases.load("ieee13"))
    slots, none = np.flatnonzero(net.present), np.empty((0, 2), np.int64)
    columns = physics.Columns(
        voltage=np.column_stack([slots, np.full(slots.size, -1)]), v_min=np.full(slots.size, 0.9),
        v_max=np.full(slots.size, 1.1), judged=none, branch=np.array([0]), balance=np.array([0]),
        vuf_max_pct=3.0, v_top_pu=1.5, load=slots[:2], n_port=1, port=np.array([0]), port_slot=slots[-1:],
        port_share=np.ones(1),
    )  # fmt: skip
    stepper = physics.Stepper3(net, 2, columns)
    known = {name: getattr(stepper, name) for name in DEMAND3}
    known |= {"lo": 1, "hi": 2, "tol": TOL, "max_iter": STEPS}
    return known, lambda: stepper.solve(TOL, STEPS, 1, 2)


def timing() -> Prepared:
    """The benchmark's own call."""
    net = physics.compile(cases.load("case33bw"))
    stepper = physics.Stepper(net, 2, np.full(net.n_bus, 0.9), np.full(net.n_bus, 1.1))
    return {"lo": 0, "hi": 2, "v_collapse": 0.5}, vector._rows(stepper)


def flowing(case: str) -> Callable[[], Prepared]:
    """Flows of a solution, which are computed when they are asked for."""

    def prepare() -> Prepared:
        sol = physics.solve(physics.compile(cases.load(case)))
        return {"lo": 0, "hi": 1, "v": np.nan_to_num(sol.v)}, lambda: sol.p_from_mw

    return prepare


BALANCED, PHASES = np.zeros((2, 33)), np.zeros((2, 16, 3))
CALLS = (
    Call("sweep_rows", "physics.balanced.solve", solving("case33bw", p_mw=BALANCED, q_mvar=BALANCED)),
    Call("sweep_rows", "physics.balanced.solve", solving("case33bw"), singly=(kernels.Inputs,)),
    Call("sweep_rows", "baselines.bench.vector", timing),
    Call("step_rows", "physics.balanced.stepper", stepping),
    Call("flow_rows", "physics.balanced.solution", flowing("case33bw")),
    Call("unbalanced solve_rows", "physics.unbalanced.solve", solving("ieee13", p_inject_mw=PHASES)),
    Call("unbalanced solve_rows", "physics.unbalanced.solve", solving("ieee13"), singly=(program.Inputs,)),
    Call("unbalanced step_rows", "physics.unbalanced.stepper", stepping_by_phase),
    Call("unbalanced flow_rows", "physics.unbalanced.solution", flowing("ieee13")),
)
MEMORY = (
    kernels.Workspace,
    kernels.Outputs,
    program.Workspace,
    program.Outputs,
)  # to work in and to write to
#: Tuples whose arrays callers hold in another one, with fields of the same names.
HELD_IN: dict[Any, Any] = {stepped.Block: program.Inputs}


def caught(call: Call, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    """The arguments of a call by parameter, what some of them must be, all named tuples made until then."""
    kernel = KERNELS[call.kernel]
    made: list[Any] = []

    def kept(make: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(make)
        def keep(*args: Any, **kwargs: Any) -> Any:
            made.append(make(*args, **kwargs))
            return made[-1]

        return keep

    def catch(*arguments: Any) -> None:
        made.extend(each for each in gc.get_objects() if hasattr(type(each), "_fields"))
        raise CaughtError(arguments)

    with monkeypatch.context() as patch:
        for part in kernel.parts:
            if not isinstance(part, str):
                patch.setattr(part, "__new__", kept(part.__new__))
        known, run = call.prepare()
        patch.setattr(import_module(f"distgrid.{call.module}"), kernel.source.__name__, catch)
        with pytest.raises(CaughtError) as caught_there:
            run()
    return dict(zip(kernel.parameters, caught_there.value.arguments, strict=True)), known, made


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.module} {call.kernel} {len(call.singly)}")
def test_a_caller_unpacks_the_tuples_where_they_belong(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field of a tuple that the caller made arrives under its own name: the very same array."""
    kernel = KERNELS[call.kernel]
    arguments, known, made = caught(call, monkeypatch)
    for parameter, value in known.items():
        assert arguments[parameter] is value or parameter not in DEMAND3, parameter
        assert np.array_equal(np.ravel(arguments[parameter]), np.ravel(value)), parameter
    for part in kernel.parts:
        if isinstance(part, str) or part in call.singly:
            continue
        given = {name: arguments[parameter] for name, parameter in kernel.fields(part).items()}
        holders = [each for each in made if isinstance(each, HELD_IN.get(part, part))]
        assert holders, part
        assert any(all(getattr(h, name) is given[name] for name in given) for h in holders), part


@pytest.mark.parametrize(
    ("kernel", "module", "case", "one"),
    [
        ("sweep_rows", "physics.balanced.solve", "case33bw", "v_source_pu"),
        ("unbalanced solve_rows", "physics.unbalanced.solve", "ieee13", "v_source_pu"),
    ],
)
def test_a_lone_row_passes_what_a_batch_of_one_passes(
    kernel: str, module: str, case: str, one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short way of the most common call passes its arguments singly: the same numbers as the long way."""
    net = physics.compile(cases.load(case))
    nominal = np.abs(net.source_phasor) if case == "case33bw" else np.abs(net.source_phasor)[:, 0]
    short = caught(Call(kernel, module, solving(case)), monkeypatch)[0]
    long = caught(Call(kernel, module, solving(case, **{one: nominal})), monkeypatch)[0]
    written = {
        p for part in KERNELS[kernel].parts if part in MEMORY for p in KERNELS[kernel].fields(part).values()
    }
    differing = 0
    for parameter in set(KERNELS[kernel].parameters) - written:
        np.testing.assert_allclose(
            np.ravel(short[parameter]), np.ravel(long[parameter]), rtol=1e-15, err_msg=parameter
        )
        differing += 1
    assert differing > 10
