"""power-grid-model's asymmetric power flow as a contender."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..problems.balanced import ComplexArray, FloatArray
from ..problems.phases import HZ, PhaseProblem
from ..report.results import NOT_INSTALLED
from . import balanced_peers as peers
from .contender import Contender, Missing, walking

_PAIRS = {"aa": (0, 0), "ba": (1, 0), "bb": (1, 1), "ca": (2, 0), "cb": (2, 1), "cc": (2, 2)}
_OPTIONS = "asymmetric, sk=1e25, one thread, node output only"


def model(problem: PhaseProblem) -> Any:
    """Nodes, asymmetric lines and loads, capacitors as loads of constant impedance, a stiff source.

    It knows three-phase nodes only: phases that do not exist are there, hang on impedances of their own, and
    carry nothing.
    """
    pgm = import_module("power_grid_model")
    n, m = problem.n_bus, problem.from_row.size

    def rows(component: str, size: int, first: int, **columns: Any) -> Any:
        array = pgm.initialize_array("input", component, size)
        array["id"] = first + np.arange(size)
        for name, value in columns.items():
            array[name] = value
        return array

    z = problem.z_ohm.copy()
    largest = np.abs(z).max(axis=(1, 2))
    for j in range(3):
        z[:, j, j] = np.where(problem.branch_present[:, j], z[:, j, j], 1j * largest)
    farad = problem.b_us * 1e-6 / (2.0 * np.pi * HZ)
    line = {f"{x}_{pair}": part[:, *at] for pair, at in _PAIRS.items()
            for x, part in (("r", z.real), ("x", z.imag), ("c", farad))}  # fmt: skip
    volts = problem.kv * 1e3
    power, impedance = pgm.LoadGenType.const_power, pgm.LoadGenType.const_impedance
    banks = np.flatnonzero(problem.cap_mvar.any(axis=1))
    loads = np.concatenate([
        rows("asym_load", n, n + m, node=np.arange(n), status=1, type=power,
             p_specified=problem.p_mw * 1e6, q_specified=problem.q_mvar * 1e6),
        rows("asym_load", banks.size, 2 * n + m, node=banks, status=1, type=impedance, p_specified=0.0,
             q_specified=-problem.cap_mvar[banks] * 1e6),
    ])  # fmt: skip
    return pgm.PowerGridModel(
        {
            "node": rows("node", n, 0, u_rated=volts),
            "asym_line": rows("asym_line", m, n, from_node=problem.from_row, to_node=problem.to_row,
                              from_status=1, to_status=1, i_n=1e6, **line),
            "asym_load": loads,
            "source": rows("source", 1, 3 * n + m, node=problem.source, status=1, u_ref=problem.v_source_pu,
                           sk=1e25),
        },
        HZ,
    )  # fmt: skip


def update(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> dict[str, Any]:
    """Loads (n, 3) as an update, (rows, n, 3) as a batch of updates."""
    n, m = problem.n_bus, problem.from_row.size
    array = import_module("power_grid_model").initialize_array("update", "asym_load", p_mw.shape[:-1])
    array["id"] = n + m + np.arange(n)
    array["p_specified"], array["q_specified"] = p_mw * 1e6, q_mvar * 1e6
    return {"asym_load": array}


def run(built: Any, method: str, tolerance: float, given: dict[str, Any] | None = None) -> Any:
    """One call, one thread, node voltages only."""
    return built.calculate_power_flow(
        symmetric=False, error_tolerance=tolerance, max_iterations=200, calculation_method=method,
        threading=-1, output_component_types=["node"], update_data=given,
    )  # fmt: skip


def voltages(problem: PhaseProblem, result: Any) -> ComplexArray:
    """(phase nodes,) or (rows, phase nodes) complex voltages in pu."""
    node = result["node"]
    v = node["u_pu"] * np.exp(1j * node["u_angle"])
    return np.asarray(v[..., problem.present])


def failures() -> tuple[type[Exception], ...]:
    """How it says that it found no solution."""
    return (import_module("power_grid_model.errors").PowerGridError,)


def single(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> list[Contender | Missing]:
    """Both methods, one of the steps (steps, n, 3) a call; the model is updated before the clock starts."""
    if not peers.has_pgm():
        return _missing()
    built = model(problem)
    updates = [update(problem, p, q) for p, q in zip(p_mw, q_mvar, strict=True)]

    def contender(name: str, method: str) -> Contender:
        return walking(
            name, peers.PGM, f"{_OPTIONS}; loads updated off the clock", len(updates),
            lambda _, tol: run(built, method, tol), lambda result: voltages(problem, result),
            ready=lambda step, _: built.update(update_data=updates[step]), failures=failures(),
        )  # fmt: skip

    return [contender(name, method) for name, method in peers.PGM_METHODS.items()]


def batch(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> list[Contender | Missing]:
    """Both methods on loads (rows, n, 3)."""
    if not peers.has_pgm():
        return _missing()
    built, given = model(problem), update(problem, p_mw, q_mvar)

    def contender(name: str, method: str) -> Contender:
        return Contender(
            name, peers.PGM, f"{_OPTIONS}; batch", lambda tol: run(built, method, tol, given),
            lambda result: voltages(problem, result), failures=failures(),
        )  # fmt: skip

    return [contender(name, method) for name, method in peers.PGM_METHODS.items()]


def _missing() -> list[Contender | Missing]:
    return [Missing(name, peers.PGM, _OPTIONS, NOT_INSTALLED) for name in peers.PGM_METHODS]
