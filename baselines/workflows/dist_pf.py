"""`distgrid dist pf`: one power flow of a feeder as tables with units.

Every node and branch of the feeder has a row, in the feeder's order; what has no voltage has nulls.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ... import cases, physics
from ..errors import RunError, unknown

METHODS = ("backward-forward", "newton", "fast-decoupled")
LOOPS = ("keep", "prune", "refuse")

#: Beyond this a limit counts as passed: the accuracy of the voltages, so that a source set to its limit is
#: inside. Per unit of the voltage, and of the rating.
TOLERANCE = 1e-9


def _schema(*fields: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={"unit": unit}) for name, kind, unit in fields])


_TEXT, _NUMBER, _YES_NO = pa.string(), pa.float64(), pa.bool_()

BUSES = _schema(
    ("node_id", _TEXT, ""), ("feeder_id", _TEXT, ""), ("energised", _YES_NO, ""),
    ("base_kv", _NUMBER, "kV line to line"), ("v_pu", _NUMBER, "pu"), ("v_deg", _NUMBER, "degree"),
    ("v_kv", _NUMBER, "kV line to line"), ("v_min_pu", _NUMBER, "pu"), ("v_max_pu", _NUMBER, "pu"),
    ("p_load_mw", _NUMBER, "MW"), ("q_load_mvar", _NUMBER, "Mvar"),  # at the solved voltage
    ("p_shunt_mw", _NUMBER, "MW"), ("q_shunt_mvar", _NUMBER, "Mvar"),  # shunts and capacitors, consumed
)  # fmt: skip

BRANCHES = _schema(
    ("branch_id", _TEXT, ""), ("from_node", _TEXT, ""), ("to_node", _TEXT, ""), ("feeder_id", _TEXT, ""),
    ("closed", _YES_NO, ""), ("carries_current", _YES_NO, ""),  # closed, energised and not left out
    ("closes_loop", _YES_NO, ""),
    ("p_from_mw", _NUMBER, "MW"), ("q_from_mvar", _NUMBER, "Mvar"), ("i_from_ka", _NUMBER, "kA"),
    ("p_to_mw", _NUMBER, "MW"), ("q_to_mvar", _NUMBER, "Mvar"), ("i_to_ka", _NUMBER, "kA"),
    ("p_loss_mw", _NUMBER, "MW"), ("q_loss_mvar", _NUMBER, "Mvar"),
    ("thermal_limit_mva", _NUMBER, "MVA"), ("loading_pct", _NUMBER, "%"), ("rating_source", _TEXT, ""),
)  # fmt: skip

LOSSES = _schema(
    ("scope", _TEXT, ""), ("feeder_id", _TEXT, ""),  # one row a feeder id, then the total
    ("p_source_mw", _NUMBER, "MW"), ("q_source_mvar", _NUMBER, "Mvar"),
    ("p_load_mw", _NUMBER, "MW"), ("q_load_mvar", _NUMBER, "Mvar"),
    ("p_shunt_mw", _NUMBER, "MW"), ("q_shunt_mvar", _NUMBER, "Mvar"),
    ("p_loss_mw", _NUMBER, "MW"), ("q_loss_mvar", _NUMBER, "Mvar"), ("p_loss_pct_of_load", _NUMBER, "%"),
    ("v_lowest_pu", _NUMBER, "pu"), ("v_lowest_node", _TEXT, ""),
    ("v_highest_pu", _NUMBER, "pu"), ("v_highest_node", _TEXT, ""), ("loading_highest_pct", _NUMBER, "%"),
)  # fmt: skip

VIOLATIONS = _schema(
    ("kind", _TEXT, ""),  # overvoltage, undervoltage, overload, not_supplied, failed_power_flow
    ("element", _TEXT, ""), ("feeder_id", _TEXT, ""),
    ("value", _NUMBER, "see unit"), ("limit", _NUMBER, "see unit"),
    ("magnitude", _NUMBER, "see unit"),  # how far beyond the limit, always positive
    ("unit", _TEXT, ""),
)  # fmt: skip


@dataclass(frozen=True)
class PowerFlow:
    """One solved feeder. The tables' schemas are this module's; each column carries its unit."""

    feeder: cases.Feeder
    solution: physics.Solution
    method: str
    buses: pa.Table
    branches: pa.Table
    losses: pa.Table
    violations: pa.Table  # empty if and only if it converged and every limit is kept everywhere
    notes: tuple[str, ...]  # what was left out or not supplied, in words

    @property
    def usable(self) -> bool:
        """A true solution, with every voltage above the collapse voltage of 0.5 pu."""
        return bool(self.solution.converged) and not bool(self.solution.collapsed)

    @property
    def verdict(self) -> str:
        """How the power flow ended, in a sentence."""
        sol, iterations = self.solution, int(self.solution.iterations)
        ended = f"{self.method}: "
        if not bool(sol.converged):
            low = " Voltages fell below 0.5 pu on the way." if bool(sol.collapsed) else ""
            return (
                f"{ended}did NOT converge in {iterations} iterations: the tables hold the last iterate, "
                f"which is not a solution.{low} {_advice(self.method)}"
            )
        ended += f"converged in {iterations} iterations, last voltage change {float(sol.v_update_pu):.1e} pu"
        if bool(sol.collapsed):
            node = self.feeder.column("nodes", "node_id")[int(np.nanargmin(sol.v_pu))]
            return (
                f"{ended}, but the voltage at node {node!r} is {float(np.nanmin(sol.v_pu)):.3f} pu: this is "
                "the edge of collapse, not an operating point. Reduce the load or raise the voltage."
            )
        return ended + "."


def _advice(method: str) -> str:
    if method == "fast-decoupled":
        return "It assumes small R/X ratios; try --method newton or backward-forward."
    return "The load may be more than the feeder can carry: reduce it, raise the voltage or --max-iter."


def power_flow(
    feeder: cases.Feeder | str | Path,
    *,
    method: str = "backward-forward",
    loops: str = "keep",
    tol: float = 1e-8,
    max_iter: int = 100,
) -> PowerFlow:
    """Solve the nominal loads of a feeder and judge the result by the feeder's own limits.

    Args:
        feeder: A feeder, the name of a shipped one, a MATPOWER file or a folder of tables.
        method: "backward-forward", "newton" or "fast-decoupled".
        loops: "keep" solves meshed feeders with all their branches, "prune" leaves out those that close
            loops and says which, "refuse" raises.
        tol: Largest voltage change of the last iteration, pu.
        max_iter: Iterations after which it is given up.

    Raises:
        ValueError: Unknown names, wrong numbers, a meshed feeder with "refuse", loads that the method cannot
            take. `distgrid.cases.CaseError`, a ValueError, for what is wrong with a file.
    """
    check_options(method, loops)
    if not isinstance(feeder, cases.Feeder):
        feeder = cases.load(feeder)
    if loops == "refuse":
        _refuse_loops(feeder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", physics.MeshWarning)
        warnings.simplefilter("always", physics.IslandWarning)
        net = physics.compile(feeder, allow_mesh_pruning=loops == "prune", keep_loops=loops == "keep")
    solution = physics.solve(net, method=method, tol=tol, max_iter=max_iter)
    buses, branches = _buses(net, solution), _branches(net, solution)
    return PowerFlow(
        feeder, solution, method, buses, branches,
        losses=_losses(net, solution, buses, branches), violations=_violations(net, solution),
        notes=tuple(str(warning.message) for warning in caught),
    )  # fmt: skip


def check_options(method: str, loops: str) -> None:
    """RunError, with the nearest name, where one of them is unknown."""
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if loops not in LOOPS:
        raise unknown("way with loops", loops, LOOPS)


def _refuse_loops(feeder: cases.Feeder) -> None:
    found = feeder.topology().loops
    if found:
        told = "; ".join(", ".join(loop) for loop in found[:5]) + (" …" if len(found) > 5 else "")
        raise RunError(
            f"feeder {feeder.name!r} is meshed; its loops: {told}. Open a branch of each, or choose loops "
            "'keep' (solve it as it is) or 'prune' (leave out the branches that close them)"
        )


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """A table of `schema`; NaN becomes null."""
    arrays = [pa.array(columns[field.name], type=field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _loads_at(net: physics.Network, v_pu: NDArray[np.float64]) -> tuple[Any, Any]:
    """(n_bus,) MW and Mvar that the loads draw at these voltages; 0 where there is none."""
    p, q = net.load_p_mw.copy(), net.load_q_mvar.copy()
    at, c = net.zip_node, net.zip_coef
    v = v_pu[at]
    for power, z, i, exponent in ((p, c[:, 0], c[:, 1], c[:, 4]), (q, c[:, 2], c[:, 3], c[:, 5])):
        shares = z * v**2 + i * v + 1.0 - z - i
        power[at] *= np.where(np.isnan(exponent), shares, v ** np.nan_to_num(exponent))
    return np.where(np.isnan(v_pu), 0.0, p), np.where(np.isnan(v_pu), 0.0, q)


def _buses(net: physics.Network, sol: physics.Solution) -> pa.Table:
    col = net.feeder.column
    p_load, q_load = _loads_at(net, sol.v_pu)
    capacitors = np.zeros(net.n_bus)
    np.add.at(capacitors, net.cap_node, np.where(net.cap_on, net.cap_mvar, 0.0))
    v2 = np.nan_to_num(sol.v_pu) ** 2
    columns = {
        "node_id": col("nodes", "node_id"),
        "feeder_id": col("nodes", "feeder_id"),
        "energised": net.energised,
        "base_kv": net.base_kv,
        "v_pu": sol.v_pu,
        "v_deg": sol.v_deg,
        "v_kv": sol.v_pu * net.base_kv,
        "v_min_pu": col("nodes", "v_min"),
        "v_max_pu": col("nodes", "v_max"),
        "p_load_mw": p_load,
        "q_load_mvar": q_load,
        "p_shunt_mw": net.shunt_g_mw * v2,
        "q_shunt_mvar": -(net.shunt_b_mvar + capacitors) * v2,
    }
    return _table(columns, BUSES)


def _branches(net: physics.Network, sol: physics.Solution) -> pa.Table:
    col, top = net.feeder.column, net.topology
    loop = np.zeros(net.n_branch, dtype=bool)
    loop[top.dropped] = True
    if top.loops is not None:
        loop[top.loops.branch] = True
    columns: dict[str, Any] = {name: col("branches", name) for name in ("branch_id", "from_node", "to_node")}
    for end, rows in (("from", net.from_row), ("to", net.to_row)):
        p, q = getattr(sol, f"p_{end}_mw"), getattr(sol, f"q_{end}_mvar")
        kv = np.where(np.isfinite(sol.v_pu), sol.v_pu, 1.0)[rows] * net.base_kv[rows]
        columns |= {f"p_{end}_mw": p, f"q_{end}_mvar": q, f"i_{end}_ka": np.hypot(p, q) / (np.sqrt(3.0) * kv)}
    columns |= {
        "feeder_id": col("branches", "feeder_id"),
        "closed": net.closed,
        "carries_current": top.in_tree,
        "closes_loop": loop,
        "p_loss_mw": sol.p_from_mw + sol.p_to_mw,
        "q_loss_mvar": sol.q_from_mvar + sol.q_to_mvar,
        "thermal_limit_mva": net.rating_mva,
        "loading_pct": 100.0 * sol.loading,
        "rating_source": col("branches", "rating_source"),
    }
    return _table(columns, BRANCHES)


def _losses(net: physics.Network, sol: physics.Solution, buses: pa.Table, branches: pa.Table) -> pa.Table:
    """Sums per feeder id, then over all; a feeder takes in from others what it does not get from a source."""
    of_bus, of_branch = net.feeder.column("nodes", "feeder_id"), net.feeder.column("branches", "feeder_id")
    of_source = net.feeder.column("sources", "feeder_id")
    source = np.atleast_1d(sol.s_source_mva)
    ids = sorted(set(of_bus.tolist()) | set(of_branch.tolist()))
    rows = []
    for feeder_id in [*ids, None]:
        at, along, fed = (
            np.ones(column.size, dtype=bool) if feeder_id is None else column == feeder_id
            for column in (of_bus, of_branch, of_source)
        )  # fmt: skip
        row: dict[str, Any] = {"scope": "total" if feeder_id is None else "feeder", "feeder_id": feeder_id}
        row |= {"p_source_mw": source[fed].real.sum(), "q_source_mvar": source[fed].imag.sum()}
        for name in ("p_load_mw", "q_load_mvar", "p_shunt_mw", "q_shunt_mvar"):
            row[name] = buses[name].to_numpy()[at].sum()
        for name in ("p_loss_mw", "q_loss_mvar"):
            row[name] = branches[name].to_numpy()[along].sum()
        row["p_loss_pct_of_load"] = 100.0 * row["p_loss_mw"] / row["p_load_mw"] if row["p_load_mw"] else None
        loading = sol.loading[along]
        row["loading_highest_pct"] = 100.0 * np.nanmax(loading) if np.isfinite(loading).any() else None
        rows.append(row | _extremes(net, sol.v_pu, at))
    return pa.Table.from_pylist(rows, schema=LOSSES)


def _extremes(net: physics.Network, v_pu: NDArray[np.float64], at: NDArray[np.bool_]) -> dict[str, Any]:
    """Lowest and highest voltage among the nodes in `at`, and where; nothing where all are dead."""
    rows = np.flatnonzero(at & np.isfinite(v_pu))
    if rows.size == 0:
        return {}
    ids = net.feeder.column("nodes", "node_id")
    low, high = rows[np.argmin(v_pu[rows])], rows[np.argmax(v_pu[rows])]
    return {
        "v_lowest_pu": v_pu[low], "v_lowest_node": ids[low],
        "v_highest_pu": v_pu[high], "v_highest_node": ids[high],
    }  # fmt: skip


def _violations(net: physics.Network, sol: physics.Solution) -> pa.Table:
    """Every limit that is passed; of a failed power flow only that it failed, its numbers prove nothing."""
    col = net.feeder.column
    if not bool(sol.converged):
        row = ("failed_power_flow", net.feeder.name, net.feeder.feeder_id, None, None, None, "")
        return _rows([row])
    found: list[tuple[Any, ...]] = []
    nodes, feeders = col("nodes", "node_id"), col("nodes", "feeder_id")
    low, high = col("nodes", "v_min"), col("nodes", "v_max")
    for kind, beyond, limit in (
        ("overvoltage", sol.v_pu - high, high),
        ("undervoltage", low - sol.v_pu, low),
    ):
        for n in np.flatnonzero(beyond > TOLERANCE):
            found.append((kind, nodes[n], feeders[n], sol.v_pu[n], limit[n], beyond[n], "pu"))
    rating = net.rating_mva
    for e in np.flatnonzero(sol.loading > 1.0 + TOLERANCE):
        flow = sol.loading[e] * rating[e]
        where = col("branches", "branch_id")[e], col("branches", "feeder_id")[e]
        found.append(("overload", *where, flow, rating[e], flow - rating[e], "MVA"))
    for n in np.flatnonzero(~net.energised):
        load = abs(complex(net.load_p_mw[n], net.load_q_mvar[n]))
        found.append(("not_supplied", nodes[n], feeders[n], 0.0, load, load, "MVA"))
    return _rows(found)


def _rows(found: list[tuple[Any, ...]]) -> pa.Table:
    columns = dict(zip(VIOLATIONS.names, zip(*found, strict=True), strict=True)) if found else {}
    return _table({name: columns.get(name, []) for name in VIOLATIONS.names}, VIOLATIONS)
