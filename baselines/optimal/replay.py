"""A plan through the AC power flow: what it is really worth, and whether it keeps its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import physics
from .affine import FloatArray, IntArray
from .branch_flow import Demand, NetworkLimits
from .radial import RadialNetwork
from .units import Unit


class Binding(NamedTuple):
    """A limit that holds the objective back."""

    kind: str  # "v_max", "v_min", "thermal_from", "thermal_to", "p_max", "q_max", "s_max" ...
    element: str
    limit: float
    unit: str
    dual: float  # by how much the objective falls when the limit is relaxed by one of its unit


@dataclass(frozen=True, eq=False)
class Replay:
    """The plan through the AC power flow.

    Attributes:
        solution: Of `physics.solve`, one row.
        objective: Of the AC solution.
        v_error_pu: Largest difference between the plan's voltages and the AC solution's.
        violation: Largest excess over a limit, in its own unit (pu, MVA, MW).
    """

    solution: physics.Solution
    objective: float
    v_error_pu: float
    violation: float


@dataclass(frozen=True, eq=False)
class Plan:
    """Setpoints and the voltages that a relaxation gives them.

    Attributes:
        at: (n_unit,) bus rows. p_mw, q_mvar: (n_unit,). v_pu: (m,) at the network's positions.
        tap: (n_branch,) ratios. cap_on: (n_bank,) states. Where they are None, as the feeder has them.
        beside_q_mvar: (n_bus,) what else feeds in.
    """

    at: IntArray
    p_mw: FloatArray
    q_mvar: FloatArray
    v_pu: FloatArray
    tap: FloatArray | None = None
    cap_on: NDArray[np.bool_] | None = None
    beside_q_mvar: FloatArray | float = 0.0


def replayed(
    network: RadialNetwork, demand: Demand, limits: NetworkLimits, plan: Plan, units: Sequence[Unit],
    objective: str, head_usd_mwh: float,
) -> Replay:  # fmt: skip
    """The plan through `physics.solve`; ``objective`` as `dispatch.optimal_dispatch` has it."""
    net = network.net
    load_p, load_q, source = bus_loads(network, demand)
    inject_p, inject_q = np.zeros(net.n_bus), np.zeros(net.n_bus)
    np.add.at(inject_p, plan.at, plan.p_mw)
    np.add.at(inject_q, plan.at, plan.q_mvar)
    sol = physics.solve(
        net, load_p[None], load_q[None], p_inject_mw=inject_p[None],
        q_inject_mvar=(inject_q + plan.beside_q_mvar)[None], v_source_pu=source[None], tol=1e-11,
        tap=None if plan.tap is None else plan.tap[None],
        cap_on=None if plan.cap_on is None else plan.cap_on[None],
    )  # fmt: skip
    v = sol.v_pu[0]
    error = float(np.abs(v[network.node] - plan.v_pu).max()) if sol.converged[0] else np.inf
    value = _value(sol, v, plan, units, objective, head_usd_mwh)
    return Replay(sol, value, error, _excess(network, sol, v, limits))


def bus_loads(network: RadialNetwork, demand: Demand) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Loads (n_bus,), P and Q, and voltages (n_source,) of the first step, in the feeder's order."""
    net = network.net
    p, q = np.zeros(net.n_bus), np.zeros(net.n_bus)
    p[network.node], q[network.node] = demand.p_mw[0], demand.q_mvar[0]
    source = np.array(net.feeder.column("sources", "v_pu"), dtype=np.float64)
    source[network.source] = demand.v_source_pu[0]
    return p, q, source


def _value(
    sol: physics.Solution, v: FloatArray, plan: Plan, units: Sequence[Unit], objective: str, head: float
) -> float:
    if objective == "loss":
        return float(sol.p_loss_mw[0])
    if objective == "host":
        return float(plan.p_mw.sum())
    if objective == "voltage":
        return float(np.nansum((v - 1.0) ** 2))
    own = sum(unit.cost_usd_per_h(float(p)) for unit, p in zip(units, plan.p_mw, strict=True))
    return float(head * sol.p_slack_mw[0] + own)


def _excess(network: RadialNetwork, sol: physics.Solution, v: FloatArray, limits: NetworkLimits) -> float:
    """Largest excess over a limit of the network, in its own unit."""
    if not sol.converged[0]:
        return float("inf")
    over = [0.0]
    if limits.v_band is not None:
        judged = limits.judges(network.bus_names()[network.fed])
        over.append(beyond_band(v[network.node[network.fed]][judged], limits.v_band))
    if limits.thermal_margin is not None:
        beyond = (sol.loading[0] - (1.0 - limits.thermal_margin)) * network.net.rating_mva
        rated = beyond[np.isfinite(beyond)]
        over.append(float(rated.max(initial=0.0)))
    head = float(sol.p_slack_mw[0])
    over += [head - limits.most_import_mw, -head - limits.most_export_mw]
    return max(over)


def beyond_band(v_pu: FloatArray, band: tuple[float, float]) -> float:
    """By how much any voltage leaves a band, pu, at least 0."""
    return float(np.maximum(band[0] - v_pu, v_pu - band[1]).max(initial=0.0))
