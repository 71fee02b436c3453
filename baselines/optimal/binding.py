"""What the limits of an AC local optimum are worth: multipliers of networks and of units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ac_problem import AcProblem, AcState
from .affine import FloatArray
from .replay import Binding
from .sequential import Ended
from .units import Unit

_BINDING = 1e-6  # of the largest multiplier
_AT = 1e-6  # of a setpoint's size: so near to a limit it stands at it


def binding_limits(
    problem: AcProblem, units: Sequence[Unit], state: AcState, ended: Ended
) -> tuple[Binding, ...]:
    """Limits of a single operating point that hold its objective back.

    Multipliers of the network are those of the last subproblem. What is left of the objective's slope at a
    box or a circle is the multiplier of that.
    """
    dual = ended.multiplier[0]
    slope = problem.slopes(state, np.ones(1), dual[None])[0] + problem.setpoints.own_slope(ended.x)[0]
    found = list(_of_network(problem, dual / problem.limits.scale))
    found += _of_units(units, ended.x[0], slope, problem.setpoints.size)
    least = max([_BINDING * max((one.dual for one in found), default=0.0), 1e-9])
    return tuple(one for one in found if one.dual > least)


def _of_network(problem: AcProblem, dual: FloatArray) -> Iterator[Binding]:
    limits, feeder, width = problem.limits, problem.net.feeder, 3 if problem.shape else 1
    nodes, branches = feeder.column("nodes", "node_id"), feeder.column("branches", "branch_id")

    def named(ids: NDArray[Any], flat: int) -> str:
        name = str(ids[flat // width])
        return f"{name}.{'ABC'[flat % width]}" if width > 1 else name

    names: list[tuple[str, str, float, str]] = []
    for kind, limit in (("v_max", limits.high), ("v_min", limits.low)):
        names += [(kind, named(nodes, k), limit, "pu") for k in limits.node]
    for kind, at, rating in zip(("thermal_from", "thermal_to"), limits.branch, limits.rating, strict=True):
        names += [(kind, named(branches, k), float(r), "MVA") for k, r in zip(at, rating, strict=True)]
    for kind, limit in (("import", limits.most_import_mw), ("export", limits.most_export_mw)):
        if np.isfinite(limit):
            names.append((kind, "head", limit, "MW"))
    for name, worth in zip(names, dual.tolist(), strict=True):
        if worth > 0.0:
            yield Binding(*name, worth)


def _of_units(units: Sequence[Unit], x: FloatArray, slope: FloatArray, size: FloatArray) -> list[Binding]:
    """Boxes first; what they do not account for is the circle's."""
    n, found = len(units), []
    for k, unit in enumerate(units):
        left = []
        for kind, place, low, high, word in (
            ("p", k, unit.p_min_mw, unit.p_max_mw, "MW"),
            ("q", k + n, unit.q_min_mvar, unit.q_max_mvar, "Mvar"),
        ):
            down, near = -slope[place], _AT * size[place]
            if high > low and x[place] >= high - near and down > 0.0:
                found.append(Binding(f"{kind}_max", unit.name, high, word, float(down)))
            elif high > low and x[place] <= low + near and down < 0.0:
                found.append(Binding(f"{kind}_min", unit.name, low, word, float(-down)))
            elif high > low:
                left.append(down * x[place] / unit.s_mva)
        at_circle = np.hypot(x[k], x[k + n]) >= unit.s_mva * (1.0 - _AT)
        if at_circle and sum(left) > 0.0:
            found.append(Binding("s_max", unit.name, unit.s_mva, "MVA", float(sum(left))))
    return found
