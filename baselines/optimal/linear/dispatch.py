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
from .search import KEPT, Point, Search, Wanted
from .swaps import swap_units

OBJECTIVES = ("loss", "cost", "voltage", "host")


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
        binding: Limits of the network with a price in the last program; none where that has integers.
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

    Balanced and per phase; with taps, banks, steps or units that may be off a mixed-integer program. Which
    units are on is bettered by exchanges that the AC power flow judges.

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
    wanted = Wanted(controls, objective, head_usd_mwh, _switchable(controls, on_off), most_on)
    search = Search(controls, flat, wanted, tolerance_pu)
    converged = search.run(most_iterations)
    if converged and wanted.on_off:
        swap_units(search, most_iterations)
    return _described(search, converged, time.perf_counter() - started)


def _switchable(controls: Controls, on_off: Sequence[str]) -> tuple[int, ...]:
    names = [unit.name for unit in controls.units]
    for name in on_off:
        if name not in names:
            raise unknown("unit of on_off", name, names)
    return tuple(sorted({names.index(name) for name in on_off}))


def _described(search: Search, converged: bool, seconds: float) -> LinearDispatch:
    controls, best = search.controls, search.best
    assert best is not None
    if best.violation > KEPT and best.found.slack > KEPT:
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


def _binding(search: Search, best: Point) -> tuple[Binding, ...]:
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


def _conflicts(search: Search, best: Point) -> str:
    seen, limits = best.seen, search.limits
    over = [
        (float(excess[k]), f"{kind} at {limits.element(kind, int(k))} by {excess[k]:.4g} {UNITS[kind]}")
        for kind, excess in limits.excess(seen.v2[0], seen.flow[0], float(seen.head[0])).items()
        for k in np.flatnonzero(excess > KEPT)
    ]
    over.sort(reverse=True)
    return "the least that must give way is " + "; ".join(text for _, text in over[:5])
