"""Other people's power flows as contenders, set up as fast as they can be called for this work."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from ..problems.balanced import BalancedProblem, ComplexArray, FloatArray
from ..report.machine import installed
from ..report.results import NOT_INSTALLED
from .contender import Contender, Missing

PANDAPOWER = "pandapower runpp"
PGM_IC = "power-grid-model, iterative current"
PGM_NR = "power-grid-model, Newton-Raphson"
TENSOR = "tensorpowerflow"

#: One of these keeps BLAS on one thread.
BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
PGM = "power-grid-model"
PGM_METHODS = {PGM_IC: "iterative_current", PGM_NR: "newton_raphson"}
#: Buses above which pandapower takes seconds a call.
_PANDAPOWER_BUSES = 10_000


# -- pandapower ------------------------------------------------------------------------------------------


def pandapower_net(problem: BalancedProblem) -> Any:
    """The problem as pandapower's lines, loads and external grid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pp = import_module("pandapower")
        net = pp.create_empty_network(sn_mva=problem.base_mva)
        pp.create_buses(net, problem.n_bus, vn_kv=problem.KV)
        pp.create_lines_from_parameters(
            net, problem.from_row, problem.to_row, length_km=1.0, c_nf_per_km=0.0, max_i_ka=1.0,
            r_ohm_per_km=problem.r_pu * problem.ohm_per_pu, x_ohm_per_km=problem.x_pu * problem.ohm_per_pu,
        )  # fmt: skip
        pp.create_loads(net, np.arange(problem.n_bus), p_mw=problem.p_mw, q_mvar=problem.q_mvar)
        pp.create_ext_grid(net, problem.source, vm_pu=problem.v_source_pu)
    return net


def pandapower_voltages(net: Any) -> ComplexArray:
    """(n,) complex voltages of the last run."""
    return np.asarray(net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree)))


def run_pandapower(net: Any, tolerance_mva: float) -> Any:
    """Newton-Raphson from a flat start, the quickest that `runpp` offers without keeping old results."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("pandapower").runpp(
            net, algorithm="nr", init="flat", numba=True, lightsim2grid=False, tolerance_mva=tolerance_mva,
            max_iteration=50,
        )  # fmt: skip
    return net


def pandapower(problem: BalancedProblem) -> Contender | Missing:
    """`pandapower.runpp` with numba."""
    options = "runpp(numba=True, init='flat', lightsim2grid=False)"
    if problem.n_bus > _PANDAPOWER_BUSES:
        return Missing(PANDAPOWER, "pandapower", options, f"not run above {_PANDAPOWER_BUSES} buses")
    net = pandapower_net(problem)
    return Contender(
        PANDAPOWER, "pandapower", options, lambda tol: run_pandapower(net, tol), pandapower_voltages,
        lambda done: float(done._ppc["iterations"]), unit="MVA",
        failures=(import_module("pandapower").powerflow.LoadflowNotConverged,),
    )  # fmt: skip


# -- power-grid-model ------------------------------------------------------------------------------------


def _pgm() -> ModuleType:
    return import_module("power_grid_model")


def has_pgm() -> bool:
    """Whether power-grid-model is installed."""
    return installed(PGM) is not None


def pgm_model(problem: BalancedProblem) -> Any:
    """The problem as power-grid-model's nodes, lines, loads and a source of next to no impedance."""
    pgm = _pgm()
    n, m = problem.n_bus, problem.r_pu.size

    def rows(component: str, size: int, first: int, columns: Mapping[str, Any]) -> Any:
        array = pgm.initialize_array("input", component, size)
        array["id"] = first + np.arange(size)
        for name, value in columns.items():
            array[name] = value
        return array

    line = {
        "from_node": problem.from_row, "to_node": problem.to_row, "from_status": 1, "to_status": 1,
        "r1": problem.r_pu * problem.ohm_per_pu, "x1": problem.x_pu * problem.ohm_per_pu,
        "c1": 0.0, "tan1": 0.0, "i_n": 1e6,
    }  # fmt: skip
    load = {
        "node": np.arange(n), "status": 1, "type": pgm.LoadGenType.const_power,
        "p_specified": problem.p_mw * 1e6, "q_specified": problem.q_mvar * 1e6,
    }  # fmt: skip
    source = {"node": problem.source, "status": 1, "u_ref": problem.v_source_pu, "sk": 1e25}
    return pgm.PowerGridModel(
        {
            "node": rows("node", n, 0, {"u_rated": problem.KV * 1e3}),
            "line": rows("line", m, n, line),
            "sym_load": rows("sym_load", n, n + m, load),
            "source": rows("source", 1, 2 * n + m, source),
        }
    )


def pgm_update(problem: BalancedProblem, p_mw: FloatArray, q_mvar: FloatArray) -> dict[str, Any]:
    """Loads (rows, n) as power-grid-model's batch update."""
    n, m = problem.n_bus, problem.r_pu.size
    update = _pgm().initialize_array("update", "sym_load", p_mw.shape)
    update["id"] = n + m + np.arange(n)
    update["p_specified"], update["q_specified"] = p_mw * 1e6, q_mvar * 1e6
    return {"sym_load": update}


def run_pgm(model: Any, method: str, tolerance: float, update: dict[str, Any] | None = None) -> Any:
    """One call, one thread, node voltages only (the least that it can be asked for)."""
    return model.calculate_power_flow(
        symmetric=True, error_tolerance=tolerance, max_iterations=200, calculation_method=method,
        threading=-1, output_component_types=["node"], update_data=update,
    )  # fmt: skip


def pgm_voltages(result: Any) -> ComplexArray:
    """(n,) or (rows, n) complex voltages in pu."""
    node = result["node"]
    return np.asarray(node["u_pu"] * np.exp(1j * node["u_angle"]))


def power_grid_model(
    problem: BalancedProblem, loads: tuple[FloatArray, FloatArray] | None = None
) -> list[Contender | Missing]:
    """Both methods on a model that is built already; with ``loads`` (rows, n) each as a batch."""
    options = "sk=1e25, one thread, node output only"
    if not has_pgm():
        return [Missing(name, PGM, options, NOT_INSTALLED) for name in PGM_METHODS]
    model = pgm_model(problem)
    update = None if loads is None else pgm_update(problem, *loads)

    def contender(name: str, method: str) -> Contender:
        return Contender(
            name, PGM, options, lambda tol: run_pgm(model, method, tol, update), pgm_voltages,
            failures=(import_module("power_grid_model.errors").PowerGridError,),
        )  # fmt: skip

    return [contender(name, method) for name, method in PGM_METHODS.items()]


# -- tensorpowerflow -------------------------------------------------------------------------------------


def tensorpowerflow(problem: BalancedProblem, loads: tuple[FloatArray, FloatArray]) -> Contender | Missing:
    """The dense tensor method on (rows, n) loads; it wants the source first and kW.

    Its products are BLAS's, which wastes processor time on more than one thread: on two it looks half as fast
    as it is. NumPy's BLAS reads how many it may have when it is loaded, so they are asked for, not set.
    """
    options = "run_pf(algorithm='tensor'), BLAS on one thread"
    if installed(TENSOR) is None:
        return Missing(TENSOR, TENSOR, options, NOT_INSTALLED)
    if "1" not in {os.environ.get(name) for name in BLAS_VARIABLES}:
        return Missing(TENSOR, TENSOR, options, f"not run: set {BLAS_VARIABLES[0]}=1 for it")
    try:
        module = import_module(TENSOR)
    except ImportError as error:  # 0.0.7 needs the pkg_resources that newer setuptools left out
        return Missing(TENSOR, TENSOR, options, f"does not import: {error}")
    n = problem.n_bus
    order = np.concatenate([[problem.source], np.delete(np.arange(n), problem.source)])
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    pandas = import_module("pandas")
    nodes = {"NODES": np.arange(1, n + 1), "Tb": [1] + [0] * (n - 1), "PD": problem.p_mw[order] * 1e3,
             "QD": problem.q_mvar[order] * 1e3, "Pct": 1, "Ict": 0, "Zct": 0}  # fmt: skip
    lines = {"FROM": rank[problem.from_row] + 1, "TO": rank[problem.to_row] + 1,
             "R": problem.r_pu * problem.ohm_per_pu, "X": problem.x_pu * problem.ohm_per_pu,
             "B": 0.0, "STATUS": 1, "TAP": 1}  # fmt: skip
    inner = import_module(f"{TENSOR}.grid")
    inner.trange = partial(inner.trange, disable=True)  # type: ignore[attr-defined]  # no progress bar
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Numba not enabled": the tensor method has no Numba part
        grid = module.GridTensor(
            node_file_path="", lines_file_path="", from_file=False, nodes_frame=pandas.DataFrame(nodes),
            lines_frame=pandas.DataFrame(lines), s_base=problem.base_mva * 1e3, v_base=problem.KV,
            numba=False,
        )  # fmt: skip
    p_kw, q_kvar = (np.ascontiguousarray(a[:, order[1:]] * 1e3) for a in loads)

    def read(result: Any) -> ComplexArray:
        v = np.full((p_kw.shape[0], n), complex(problem.v_source_pu))
        v[:, order[1:]] = result["v"]
        return v

    def call(tolerance: float) -> Any:
        return grid.run_pf(active_power=p_kw, reactive_power=q_kvar, algorithm="tensor", tolerance=tolerance)

    return Contender(TENSOR, TENSOR, options, call, read, lambda result: float(result["iterations"]))
