"""Voltages and flows of a plan as rows: of a balanced feeder each bus and branch, of another each phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ....physics import Network3
from ...jobs.unit_tables import NUMBER, TEXT, schema, table
from .opf_config import OpfSession
from .opf_plan import KEPT, LETTERS, FloatArray, OpfPlan, judged_nodes, phase_flows

STEP = pa.int64()

BUSES = schema(
    ("step", STEP, "interval of the year"), ("node_id", TEXT, ""), ("phase", TEXT, ""),
    ("v_pu", NUMBER, "pu"), ("v_deg", NUMBER, "degree"),
    ("v_min_pu", NUMBER, "pu"), ("v_max_pu", NUMBER, "pu"), ("violation_pu", NUMBER, "pu"),
    ("p_load_mw", NUMBER, "MW at 1 pu"), ("q_load_mvar", NUMBER, "Mvar at 1 pu"),  # to ground
    ("p_inject_mw", NUMBER, "MW"), ("q_inject_mvar", NUMBER, "Mvar"),
)  # fmt: skip

BRANCHES = schema(
    ("step", STEP, "interval of the year"), ("branch_id", TEXT, ""), ("from_node", TEXT, ""),
    ("to_node", TEXT, ""), ("phase", TEXT, ""),
    ("p_from_mw", NUMBER, "MW"), ("q_from_mvar", NUMBER, "Mvar"),
    ("p_to_mw", NUMBER, "MW"), ("q_to_mvar", NUMBER, "Mvar"), ("p_loss_mw", NUMBER, "MW"),
    ("thermal_limit_mva", NUMBER, "MVA"), ("loading_pct", NUMBER, "%"), ("violation_mva", NUMBER, "MVA"),
)  # fmt: skip


def buses_table(session: OpfSession, plan: OpfPlan, step: int | None, loads: dict[str, Any]) -> pa.Table:
    """A row for each bus, or for each phase of each bus."""
    net, sol = session.net, plan.solution
    phase: list[str | None]
    at: tuple[Any, ...]
    if isinstance(net, Network3):
        judged, rows = judged_nodes(session), np.argwhere(net.present)
        node, at = rows[:, 0], tuple(rows.T)
        phase = [LETTERS[k] for k in rows[:, 1]]
        degrees = np.angle(sol.v, deg=True)
    else:
        judged = net.energised & session.limits.judges(net.feeder.column("nodes", "node_id"))
        judged[[net.feeder.node_index[str(n)] for n in net.feeder.column("sources", "node_id")]] = False
        node = np.arange(net.n_bus)
        at, phase, degrees = (node,), [None] * net.n_bus, sol.v_deg
    band = session.limits.v_band or (np.nan, np.nan)
    low, high = (np.where(judged, limit, np.nan) for limit in band)
    v = np.asarray(sol.v_pu)
    beyond = np.fmax(np.fmax(low - v, v - high), 0.0)
    return table(
        {
            "step": [step] * len(node), "phase": phase,
            "node_id": net.feeder.column("nodes", "node_id")[node],
            "v_pu": v[at], "v_deg": np.where(np.isfinite(v), degrees, np.nan)[at], "v_min_pu": low[at],
            "v_max_pu": high[at], "violation_pu": np.where(beyond > KEPT, beyond, 0.0)[at],
            "p_load_mw": loads["p_mw"][at], "q_load_mvar": loads["q_mvar"][at],
            "p_inject_mw": plan.p_inject_mw[at], "q_inject_mvar": plan.q_inject_mvar[at],
        },
        BUSES,
    )  # fmt: skip


def branches_table(session: OpfSession, plan: OpfPlan, step: int | None) -> pa.Table:
    """A row for each branch, or for each phase of each branch."""
    net, sol, margin = session.net, plan.solution, session.limits.thermal_margin
    phase: list[str | None]
    at: tuple[Any, ...]
    if isinstance(net, Network3):
        carried = np.zeros((len(net.elements), 3), dtype=bool)
        for e, element in enumerate(net.elements):
            for place in (0, 1):
                carried[e, list(element.phases(place))] = True
        rows = np.argwhere(carried)
        branch, at, phase = rows[:, 0], tuple(rows.T), [LETTERS[k] for k in rows[:, 1]]
        rating, loading = _tighter(net, sol)
    else:
        branch = np.arange(net.n_branch)
        at, phase, rating, loading = (branch,), [None] * net.n_branch, net.rating_mva, sol.loading
    most = np.full(rating.shape, np.nan) if margin is None else (1.0 - margin) * rating
    beyond = np.fmax(loading * rating - most, 0.0)
    column = net.feeder.column
    columns: dict[str, Any] = {
        name: column("branches", name)[branch] for name in ("branch_id", "from_node", "to_node")
    }
    for part, unit in (("p", "mw"), ("q", "mvar")):
        for end in ("from", "to"):
            columns[f"{part}_{end}_{unit}"] = np.asarray(getattr(sol, f"{part}_{end}_{unit}"))[at]
    columns |= {
        "step": [step] * len(branch), "phase": phase, "thermal_limit_mva": most[at],
        "p_loss_mw": columns["p_from_mw"] + columns["p_to_mw"], "loading_pct": 100.0 * loading[at],
        "violation_mva": np.where(beyond > KEPT, beyond, 0.0)[at],
    }  # fmt: skip
    return table(columns, BRANCHES)


def _tighter(net: Network3, sol: Any) -> tuple[FloatArray, FloatArray]:
    """Rating and loading of each branch and phase, of the end that is loaded more."""
    size, rating = phase_flows(sol), np.asarray(net.phase_rating_mva)
    loading = np.stack([np.where(np.isfinite(r), s / r, np.nan) for s, r in zip(size, rating, strict=True)])
    end = np.argmax(np.nan_to_num(loading, nan=-1.0), axis=0)[None]
    return np.take_along_axis(rating, end, 0)[0], np.take_along_axis(loading, end, 0)[0]
