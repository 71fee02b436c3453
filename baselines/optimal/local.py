"""A local optimum of a dispatch on the AC power flow itself: what is reached, whatever a bound says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import physics
from ..errors import RunError
from .ac_problem import AcLimits, AcProblem
from .affine import FloatArray
from .binding import binding_limits
from .branch_flow import NetworkLimits
from .dispatch_program import Case
from .quadratic import Setpoints
from .replay import Binding
from .sequential import KEPT, Ended, minimise
from .units import Unit

#: Words of `LocalOptimum.status`.
LOCAL, INFEASIBLE, STOPPED = "local", "infeasible", "stopped"


@dataclass(frozen=True, eq=False)
class LocalOptimum:
    """Setpoints that no small change makes better. A batch has the axis of its steps first.

    Attributes:
        units: In the order of ``p_mw`` and ``q_mvar``.
        p_mw, q_mvar: (n_unit,) or (steps, n_unit).
        objective: MW of losses, USD/h, (V - 1)^2 summed over buses, or MW fed in; of the AC power flow.
        violation: Largest excess over a limit, in its own unit (pu, MVA, MW).
        status: "local": all limits are kept and no small change gains; "infeasible": no small change brings
            it nearer to the limits; "stopped": the iterations were used up. Never "optimal": nothing is
            proved.
        bound: NaN: none is proved.
        solution: Of `physics.solve`.
        binding: Limits with a multiplier; of a batch empty.
        iterations: Subproblems of the slowest step.
    """

    units: tuple[Unit, ...]
    p_mw: FloatArray
    q_mvar: FloatArray
    objective: Any
    violation: Any
    status: Any
    bound: float
    solution: Any
    binding: tuple[Binding, ...]
    iterations: int


def local_optimum(
    net: physics.Network,
    units: Sequence[Unit],
    *,
    objective: str = "loss",
    limits: NetworkLimits | None = None,
    head_usd_mwh: float = 0.0,
    p_mw: FloatArray | None = None,
    q_mvar: FloatArray | None = None,
    v_source_pu: float | FloatArray | None = None,
    start: tuple[FloatArray, FloatArray] | None = None,
    max_iterations: int = 60,
) -> LocalOptimum:
    """A local optimum of the dispatch of a balanced feeder on the AC power flow, radial or meshed.

    Sequential quadratic programming with exact gradients by adjoint sweeps. All that the power flow solves is
    covered: any load model, loops that are kept, parallel branches, generators that hold voltages. Steps of a
    batch do not know of each other; each is solved as if it were alone.

    Args:
        net: Compiled, balanced; with ``keep_loops=True`` where loops are to carry current.
        units: What is dispatched.
        objective: "loss", "cost", "voltage" or "host", as `optimal_dispatch` has it.
        limits: Of the network; None: the band [0.95, 1.05] and the ratings.
        head_usd_mwh: Price of what the head delivers.
        p_mw: (n_bus,) or (steps, n_bus) loads; None: the nominal ones.
        q_mvar: With ``p_mw``.
        v_source_pu: Of all sources, or (n_source,); None: as stored.
        start: P and Q of units, (n_unit,) or (steps, n_unit); None: 0, or as near to it as limits let.
        max_iterations: Subproblems at most.

    Raises:
        RunError: an unknown bus or objective, a band outside the physical, loads or a start of wrong shape.
    """
    given = {"p_mw": p_mw, "q_mvar": q_mvar}
    problem, steps = balanced_problem(net, units, objective, limits, head_usd_mwh, given, v_source_pu)
    return found_from(problem, tuple(units), start, steps, max_iterations)


def balanced_problem(
    net: physics.Network, units: Sequence[Unit], objective: str, limits: NetworkLimits | None,
    head_usd_mwh: float, given: dict[str, FloatArray | None], v_source_pu: float | FloatArray | None,
) -> tuple[AcProblem, int | None]:  # fmt: skip
    """The problem of `local_optimum`, checked, and its steps (None: a single operating point)."""
    limits = NetworkLimits() if limits is None else limits
    case = Case.of(net, units, objective, limits, head_usd_mwh)
    loads, steps = load_rows(given, (net.n_bus,))
    share = np.zeros((len(case.units), net.n_bus))
    share[np.arange(len(case.units)), case.at] = 1.0
    _refuse_dead(case, net.energised[case.at])
    live = np.array(net.energised, dtype=bool)
    live[net.topology.tree.order[net.topology.tree.parent < 0]] = False
    if v_source_pu is not None:
        loads["v_source_pu"] = np.broadcast_to(np.asarray(v_source_pu, float), (steps or 1, net.n_source))
    problem = AcProblem(
        net, setpoints_of(case.units, objective), share, objective, head_usd_mwh,
        AcLimits.of(net, limits, live), loads,
    )  # fmt: skip
    return problem, steps


def found_from(
    problem: AcProblem, units: tuple[Unit, ...], start: tuple[FloatArray, FloatArray] | None,
    steps: int | None, max_iterations: int,
) -> LocalOptimum:  # fmt: skip
    """The local optimum of a problem, its results without the axis of steps where there was none."""
    n, rows = len(units), steps or 1
    ended = minimise(problem, _start(start, rows, n), max_iterations=max_iterations)
    state = problem.evaluate(np.arange(rows), ended.x, None)
    excess = (state.excess * problem.limits.scale).max(axis=1, initial=0.0)
    violation = np.where(np.isfinite(state.value), np.maximum(excess, 0.0), np.inf)
    sign = -1.0 if problem.objective == "host" else 1.0
    value = sign * (state.value + problem.setpoints.own(ended.x))
    status = _statuses(ended)
    p, q = ended.x[:, :n], ended.x[:, n:]
    if steps is None:
        return LocalOptimum(
            units, p[0], q[0], float(value[0]), float(violation[0]), str(status[0]), np.nan, state.solution,
            binding_limits(problem, units, state, ended), ended.iterations,
        )  # fmt: skip
    return LocalOptimum(units, p, q, value, violation, status, np.nan, state.solution, (), ended.iterations)


def _statuses(ended: Ended) -> Any:
    kept = ended.violation <= KEPT
    return np.where(~ended.converged, STOPPED, np.where(kept, LOCAL, INFEASIBLE))


def _start(start: tuple[FloatArray, FloatArray] | None, rows: int, n: int) -> FloatArray:
    if start is None:
        return np.zeros((rows, 2 * n))
    parts = []
    for name, given in zip(("P", "Q"), start, strict=True):
        array = np.asarray(given, dtype=np.float64)
        if array.shape not in ((n,), (rows, n)) or not np.isfinite(array).all():
            raise RunError(f"start: {name} must be {n} finite numbers, one a unit; got shape {array.shape}")
        parts.append(np.broadcast_to(array, (rows, n)))
    return np.concatenate(parts, axis=1)


def load_rows(
    given: dict[str, FloatArray | None], shape: tuple[int, ...]
) -> tuple[dict[str, FloatArray], int | None]:
    """Loads with a row for each step, and the steps (None: a single operating point). RunError for others."""
    found: dict[str, FloatArray] = {}
    steps: set[int] = set()
    for name, value in given.items():
        if value is None:
            continue
        array = np.asarray(value, dtype=np.float64)
        if array.ndim not in (len(shape), len(shape) + 1) or array.shape[array.ndim - len(shape) :] != shape:
            raise RunError(f"{name} must have shape {shape} or (steps, *{shape}), got {array.shape}")
        if not np.isfinite(array).all():
            raise RunError(f"{name} must be {shape} finite numbers")
        if array.ndim > len(shape):
            steps.add(array.shape[0])
        found[name] = array
    if len(steps) > 1:
        raise RunError(f"loads disagree on the number of steps: {sorted(steps)}")
    many = steps.pop() if steps else None
    rows = {name: np.broadcast_to(array, (many or 1, *shape)) for name, array in found.items()}
    return rows, many


def setpoints_of(units: Sequence[Unit], objective: str) -> Setpoints:
    """Boxes, circles and costs of units; the most that they can feed in is a cost of -1 for each MW."""
    n = len(units)
    lower = np.array([u.p_min_mw for u in units] + [u.q_min_mvar for u in units], dtype=np.float64)
    upper = np.array([u.p_max_mw for u in units] + [u.q_max_mvar for u in units], dtype=np.float64)
    round_ = np.flatnonzero([np.isfinite(u.s_mva) for u in units])
    square, slope, constant = np.zeros(2 * n), np.zeros(2 * n), 0.0
    pieces = [(k, *piece) for k, u in enumerate(units) for piece in u.pieces] if objective == "cost" else []
    if objective == "host":
        slope[:n] = -1.0
    if objective == "cost":
        square[:n], slope[:n] = [u.cost[0] for u in units], [u.cost[1] for u in units]
        constant = float(sum(u.cost[2] for u in units))
    table = np.array(pieces, dtype=np.float64).reshape(-1, 3)
    return Setpoints(
        lower=lower, upper=upper, size=np.maximum(np.maximum(np.abs(lower), np.abs(upper)), 1e-6),
        circle=np.stack([round_, round_ + n], axis=1), radius=np.array([units[int(k)].s_mva for k in round_]),
        square=square, slope=slope, constant=constant, piece_of=table[:, 0].astype(np.int64),
        piece=table[:, 1:],
    )  # fmt: skip


def _refuse_dead(case: Case, live: Any) -> None:
    if not live.all():
        dead = case.units[int(np.flatnonzero(~live)[0])]
        raise RunError(f"unit {dead.name!r}: bus {dead.bus!r} has no connection to a source")
