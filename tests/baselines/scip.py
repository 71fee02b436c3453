"""Taps and banks of a radial feeder as a mixed-integer conic program in SCIP.

Written from the branch flow equations with one binary for each position of a tap changer; nothing of the
package but its feeder tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distgrid.cases import Feeder


@dataclass(frozen=True)
class Found:
    """What SCIP proved."""

    value_mw: float
    bound_mw: float
    tap_pos: int
    cap_on: tuple[bool, ...]


def least_losses(
    feeder: Feeder, positions: Sequence[int], step_pu: float, banks: Sequence[tuple[str, float]],
    v_band: tuple[float, float],
) -> Found:  # fmt: skip
    """Least losses with a tap changer on the first branch and banks (bus, Mvar at 1 pu), on or off.

    Branches are those in service, from ends towards the source; loads are constant power.
    """
    from pyscipopt import Model, quicksum

    model = Model()
    model.hideOutput()
    base = feeder.base_mva
    branches = [row for row in feeder.branches.to_pylist() if row["status"]]
    loads = {row["node_id"]: (row["p_mw"] / base, row["q_mvar"] / base) for row in feeder.loads.to_pylist()}
    source = feeder.sources.to_pylist()[0]
    buses, root = feeder.nodes["node_id"].to_pylist(), source["node_id"]
    low, high = v_band[0] ** 2, v_band[1] ** 2
    v = {bus: model.addVar(lb=low, ub=high) for bus in buses if bus != root}
    taps = {k: model.addVar(vtype="B") for k in positions}
    model.addCons(quicksum(taps.values()) == 1)
    head = source["v_pu"] ** 2 * quicksum((1.0 + k * step_pu) ** 2 * on for k, on in taps.items())
    p: dict[str, Any] = {}
    q: dict[str, Any] = {}
    current: dict[str, Any] = {}
    children: dict[str, list[str]] = {bus: [] for bus in buses}
    for row in branches:
        end, begin = row["to_node"], row["from_node"]
        p[end], q[end] = model.addVar(lb=-10.0), model.addVar(lb=-10.0)
        current[end] = model.addVar(lb=0.0, ub=50.0)
        children[begin].append(end)
    states = {bus: model.addVar(vtype="B") for bus, _ in banks}
    fed = {bus: _product(model, states[bus], v[bus], size / base, low, high) for bus, size in banks}
    losses = []
    for row in branches:
        end, begin = row["to_node"], row["from_node"]
        r, x = row["r"], row["x"]
        u = head if begin == root else v[begin]
        load_p, load_q = loads.get(end, (0.0, 0.0))
        model.addCons(p[end] - r * current[end] == load_p + quicksum(p[c] for c in children[end]))
        model.addCons(
            q[end] - x * current[end] + fed.get(end, 0.0) == load_q + quicksum(q[c] for c in children[end])
        )
        model.addCons(v[end] == u - 2.0 * (r * p[end] + x * q[end]) + (r**2 + x**2) * current[end])
        squared = model.addVar(lb=0.0)
        model.addCons(squared == u)
        model.addCons(p[end] * p[end] + q[end] * q[end] <= squared * current[end])
        losses.append(r * current[end])
    model.setObjective(1e3 * base * quicksum(losses))
    model.setParam("limits/gap", 1e-7)
    model.setParam("numerics/feastol", 1e-8)
    model.optimize()
    assert model.getStatus() in ("optimal", "gaplimit"), model.getStatus()
    return Found(
        1e-3 * model.getObjVal(), 1e-3 * model.getDualbound(),
        next(k for k, on in taps.items() if model.getVal(on) > 0.5),
        tuple(model.getVal(states[bus]) > 0.5 for bus, _ in banks),
    )  # fmt: skip


def _product(model: Any, on: Any, v: Any, size: float, low: float, high: float) -> Any:
    """size * on * v, exact where `on` is 0 or 1."""
    q = model.addVar(lb=0.0)
    model.addCons(q <= size * high * on)
    model.addCons(q >= size * low * on)
    model.addCons(q <= size * (v - low * (1 - on)))
    model.addCons(q >= size * (v - high * (1 - on)))
    return q
