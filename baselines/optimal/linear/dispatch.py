"""Dispatch by linear programs that are corrected until the AC power flow agrees: LinDistFlow, LP and MILP.

The first program is LinDistFlow (M. E. Baran, F. F. Wu, IEEE Trans. Power Delivery 4(1), 1989; three-phase:
L. Gan, S. H. Low, PSCC 2014) with its losses. Each plan is replayed through the AC power flow; the next one
is linear about the replay, with exact slopes and curvature, in a trust region that halves where steps do not
shrink (R. Fletcher, E. Sainz de la Maza, Math. Program. 43, 1989). Nothing of it bounds the AC problem: what
is found is the best known.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RunError, unknown
from ..affine import FloatArray, IntArray
from ..branch_flow import NetworkLimits
from ..dispatch import Binding
from ..units import Unit
from .controls import AnyNetwork, Controls, controls_of
from .limits import UNITS, FlatLimits
from .model import Observed, linearised
from .program import Found, Task, solve_program

OBJECTIVES = ("loss", "cost", "voltage", "host")
_KEPT = 1e-6  # of a limit in the replay, in its own unit
_STILL = 1e-6  # of a column's range: a step of no account
_GAIN = 1e-8  # of the objective: no gain of account
_FLAT = 1e-3  # of the objective: steps among plans that are about as good are damped the more
_FLAT_DAMPING = 0.1
_LEAST_RADIUS = 1e-7


@dataclass(frozen=True, eq=False)
class LinearDispatch:
    """Setpoints of an operating point by corrected linear programs.

    Attributes:
        units: In the order of ``p_mw`` and ``q_mvar``, (n_unit,).
        tap_pos, cap_on: Of all tap changers and banks of the feeder's tables, those set and the others.
        objective: Of the AC replay: MW of losses, USD/h, the sum over nodes of |V - 1|, or MW fed in.
        residual_pu: Largest difference, over nodes and phases, of the program's voltages and the replay's.
        residuals: (iterations,) of each program; the first is LinDistFlow's own error at its plan.
        violation: The largest excess over a limit in the replay, in its unit.
        status: "best known": the replay agrees within the tolerance and keeps all limits; "not converged": it
            does not. No bound of the AC problem is proved.
        mip_gap: Of the last program, which is linear; 0 without integers.
        binding: Limits of the network with a price in the last program; none with integers.
        solution: The replay, a batch of one row.
    """

    units: tuple[Unit, ...]
    p_mw: FloatArray
    q_mvar: FloatArray
    tap_pos: IntArray
    cap_on: NDArray[np.bool_]
    objective: float
    residual_pu: float
    residuals: tuple[float, ...]
    violation: float
    status: str
    mip_gap: float
    binding: tuple[Binding, ...]
    solution: Any
    seconds: float

    @property
    def iterations(self) -> int:
        """Programs solved."""
        return len(self.residuals)


def linear_dispatch(
    net: AnyNetwork,
    units: Sequence[Unit] = (),
    *,
    objective: str = "loss",
    limits: NetworkLimits | None = None,
    head_usd_mwh: float = 0.0,
    taps: Sequence[str] | bool = False,
    banks: Sequence[str] | bool = False,
    q_steps_mvar: dict[str, float] | None = None,
    on_off: Sequence[str] = (),
    most_on: int | None = None,
    p_mw: FloatArray | None = None,
    q_mvar: FloatArray | None = None,
    v_source_pu: float | None = None,
    tolerance_pu: float = 1e-5,
    most_iterations: int = 40,
) -> LinearDispatch:
    """Setpoints by linear programs, corrected until the AC replay agrees with the last of them.

    Balanced and per phase; with taps, banks, steps or units that may be off a mixed-integer program.

    Args:
        net: Compiled.
        units: What is dispatched. Per phase, bus "671" is all phases of node 671 alike, "671.b" one.
        objective: "loss", "cost" (the head at ``head_usd_mwh`` and the units' own costs), "voltage" (the sum
            over nodes and phases of |V - 1|) or "host" (the most that the units can feed in).
        limits: Of the network; None: the band [0.95, 1.05] and the ratings, each phase by itself.
        head_usd_mwh: Price of what the head delivers.
        taps: Ids of tap changers whose position is set, or True for all.
        banks: Ids of the feeder's banks that are switched, or True for all.
        q_steps_mvar: By unit, the step of which its reactive power is a whole multiple: a bank in steps.
        on_off: Names of units that may be off, with no power; on they keep their box.
        most_on: The most of these that are on.
        p_mw: Loads, (n_bus,) or (n_bus, 3); None: the nominal ones.
        q_mvar: With ``p_mw``.
        v_source_pu: Of all sources; None: as stored.
        tolerance_pu: How near the replay must be to the program at every node and phase.
        most_iterations: Programs after which it is said that they do not converge.

    Raises:
        RunError: names that do not exist, a band outside the physical, nothing to set, a power flow that does
            not converge, limits that cannot be kept (the largest excesses, named).
    """
    started = time.perf_counter()
    limits = NetworkLimits() if limits is None else limits
    if objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    controls = controls_of(net, units, (p_mw, q_mvar), v_source_pu, taps, banks, dict(q_steps_mvar or {}))
    flat = FlatLimits.of(net, limits)
    wanted = _Wanted(controls, objective, head_usd_mwh, _switchable(controls, on_off), most_on)
    search = _Search(controls, flat, wanted, tolerance_pu)
    converged = search.run(most_iterations)
    return _described(search, converged, time.perf_counter() - started)


def _switchable(controls: Controls, on_off: Sequence[str]) -> tuple[int, ...]:
    names = [unit.name for unit in controls.units]
    for name in on_off:
        if name not in names:
            raise unknown("unit of on_off", name, names)
    return tuple(sorted({names.index(name) for name in on_off}))


@dataclass(frozen=True, eq=False)
class _Wanted:
    """The objective, as a program reads it and as a replay is worth."""

    controls: Controls
    objective: str
    head_usd_mwh: float
    on_off: tuple[int, ...]
    most_on: int | None

    @property
    def scalar(self) -> dict[str, float]:
        """The smooth part, of the power flow."""
        if self.objective == "loss":
            return {"p_loss_mw": 1.0}
        return {"p_slack_mw": self.head_usd_mwh} if self.objective == "cost" else {}

    @property
    def task(self) -> Task:
        """The rest."""
        units, cost = self.controls.units, self.objective == "cost"
        price, curve = np.zeros(len(units)), np.zeros(len(units))
        if cost:
            price = np.array([unit.cost[1] for unit in units], dtype=np.float64)
            curve = np.array([2.0 * unit.cost[0] for unit in units], dtype=np.float64)
        elif self.objective == "host":
            price = -np.ones(len(units))
        pieces = tuple(unit.pieces if cost and unit.points else np.empty((0, 2)) for unit in units)
        deviation = 1.0 if self.objective == "voltage" else 0.0
        return Task(price, curve, pieces, deviation, self.on_off, self.most_on)

    def value(self, x: FloatArray, sol: Any) -> float:
        """Of a replay, smaller is better."""
        p = x[: len(self.controls.units)]
        if self.objective == "loss":
            return float(sol.p_loss_mw[0])
        if self.objective == "host":
            return -float(p.sum())
        if self.objective == "voltage":
            return float(np.nansum(np.abs(sol.v_pu[0] - 1.0)))
        own = sum(unit.cost_usd_per_h(float(one)) for unit, one in zip(self.controls.units, p, strict=True))
        return float(self.head_usd_mwh * sol.p_slack_mw[0] + own)


@dataclass(frozen=True, eq=False)
class _Point:
    """A plan and its replay."""

    x: FloatArray
    sol: Any
    seen: Observed
    value: float
    violation: float
    found: Found
    residual: float

    @property
    def merit(self) -> tuple[float, float]:
        """Limits first."""
        return (self.violation if self.violation > _KEPT else 0.0, self.value)


class _Search:
    """Program after program, each about the replay of the last."""

    def __init__(self, controls: Controls, limits: FlatLimits, wanted: _Wanted, tolerance_pu: float) -> None:
        self.controls, self.limits, self.wanted, self.tolerance = controls, limits, wanted, tolerance_pu
        least, most = controls.least.copy(), controls.most.copy()
        for k in (k + shift for k in wanted.on_off for shift in (0, len(controls.units))):
            least[k], most[k] = min(least[k], 0.0), max(most[k], 0.0)
        self.least, self.most, self.range = least, most, np.maximum(most - least, 1e-12)
        self.residuals: list[float] = []
        self.best: _Point | None = None

    def run(self, most_iterations: int) -> bool:
        """Whether it converged; the plan is ``best``."""
        point = self._step(self.controls.nothing, np.inf, of_no_load=True)
        radius, last = 1.0, np.inf
        while len(self.residuals) < most_iterations:
            new = self._step(point.x, radius, of_no_load=False)
            step = float((np.abs(new.x - point.x) / self.range).max(initial=0.0))
            agrees = new.residual <= self.tolerance and new.violation <= _KEPT
            still = step <= _STILL or abs(new.value - point.value) <= _GAIN * abs(point.value)
            if agrees and still and self._as_good_as_any(new):
                self.best = new  # the setpoints may have been there before, from a program farther off
                return True
            gained = self.best is not None and new.merit <= self.best.merit
            if step > 0.5 * last or radius < _LEAST_RADIUS:
                flat = self.best is not None and abs(new.value - self.best.value) <= _FLAT * abs(new.value)
                radius = (_FLAT_DAMPING if flat else 0.5) * min(radius, step)
                if radius < _LEAST_RADIUS:
                    break
            last = step
            point = new if gained or self.best is None else self._better(new)
        return self._settled()

    def _as_good_as_any(self, new: _Point) -> bool:
        assert self.best is not None
        return self.best.violation > _KEPT or new.value <= self.best.value + _GAIN * abs(self.best.value)

    def _better(self, new: _Point) -> _Point:
        assert self.best is not None
        return new if new.merit[0] > 0.0 and self.best.merit[0] > 0.0 else self.best

    def _settled(self) -> bool:
        """Steps are small or used up: whether the best of all plans is a solution nevertheless."""
        assert self.best is not None
        return self.best.violation <= _KEPT and self.best.residual <= self.tolerance

    def _step(self, x0: FloatArray, radius: float, *, of_no_load: bool) -> _Point:
        controls = self.controls
        model = linearised(controls, x0, self.wanted.scalar, of_no_load=of_no_load)
        reach = radius * self.range
        least, most = np.maximum(self.least, x0 - reach), np.minimum(self.most, x0 + reach)
        least, most = np.minimum(least, self.most), np.maximum(most, self.least)
        whole = controls.whole
        least[whole], most[whole] = np.ceil(least[whole] - 1e-9), np.floor(most[whole] + 1e-9)
        found = solve_program(controls, model, self.limits, self.wanted.task, least, most)
        point = self._replayed(found)
        self.residuals.append(point.residual)
        if self.best is None or point.merit < self.best.merit:
            self.best = point
        return point

    def _replayed(self, found: Found) -> _Point:
        sol = self.controls.solve(found.x[None], np.ones(1))
        seen = Observed.of(sol)
        if not seen.converged[0]:
            raise RunError(
                "the power flow does not converge at a plan: the loads or injections are too large"
            )
        with np.errstate(invalid="ignore"):
            off = np.abs(np.sqrt(np.maximum(found.v2, 0.0)) - np.sqrt(seen.v2[0]))
        violation = self.limits.worst(seen.v2[0], seen.flow[0], float(seen.head[0]))
        residual = float(np.nanmax(off))
        return _Point(found.x, sol, seen, self.wanted.value(found.x, sol), violation, found, residual)


def _described(search: _Search, converged: bool, seconds: float) -> LinearDispatch:
    controls, best = search.controls, search.best
    assert best is not None
    if best.violation > _KEPT and best.found.slack > _KEPT:
        raise RunError(f"no setpoints keep the limits: {_conflicts(search, best)}")
    n, value = len(controls.units), best.x * controls.scale
    feeder = controls.net.feeder
    tap_pos = feeder.regulators.column("tap_pos").to_numpy().astype(np.int64)
    cap_on = np.array(controls.net.cap_on, dtype=bool)
    tap_pos[controls.taps] = np.round(best.x[controls.first_tap : controls.first_bank])
    cap_on[controls.banks] = best.x[controls.first_bank :] > 0.5
    return LinearDispatch(
        controls.units, value[:n], value[n : 2 * n], tap_pos, cap_on,
        -best.value if search.wanted.objective == "host" else best.value, best.residual,
        tuple(search.residuals), best.violation, "best known" if converged else "not converged",
        best.found.mip_gap, _binding(search, best), best.sol, seconds,
    )  # fmt: skip


def _binding(search: _Search, best: _Point) -> tuple[Binding, ...]:
    """A limit that several tangents stand for once, with the sum of their prices."""
    limits, units = search.limits, search.controls.units
    prices: dict[tuple[str, int], float] = {}
    for kind, k, price in best.found.duals:
        prices[kind, k] = prices.get((kind, k), 0.0) + price
    most, found = max(prices.values(), default=0.0), []
    for (kind, k), price in prices.items():
        if price <= 1e-6 * most:
            continue
        if kind == "s_max":
            found.append(Binding(kind, units[k].name, units[k].s_mva, "MVA", price))
        else:
            found.append(Binding(kind, limits.element(kind, k), limits.limit(kind, k), UNITS[kind], price))
    return tuple(found)


def _conflicts(search: _Search, best: _Point) -> str:
    seen, limits = best.seen, search.limits
    over = [
        (float(excess[k]), f"{kind} at {limits.element(kind, int(k))} by {excess[k]:.4g} {UNITS[kind]}")
        for kind, excess in limits.excess(seen.v2[0], seen.flow[0], float(seen.head[0])).items()
        for k in np.flatnonzero(excess > _KEPT)
    ]
    over.sort(reverse=True)
    return "the least that must give way is " + "; ".join(text for _, text in over[:5])
