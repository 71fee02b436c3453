"""What plans of a fleet have in common: what feeds in where, what is decided, which actions ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...envs.core.planning import PlannedScenario
from .affine import Affine, FloatArray, IntArray
from .conic import ConicSolution
from .devices import Planned
from .radial import RadialNetwork
from .taps import put_positions


def positions_of(scenario: PlannedScenario, network: RadialNetwork, one: Planned) -> IntArray:
    """(n_units,) positions in the network."""
    units = {unit.name: unit for unit in scenario.units}
    return np.array([network.position[units[name].node_row] for name in one.names], dtype=np.int64)


def injected(
    scenario: PlannedScenario, network: RadialNetwork, feeding: Sequence[Planned], steps: int
) -> tuple[Affine, Affine]:
    """(steps, m) P and Q that devices feed in at each position."""
    p, q = (Affine(np.zeros((steps, network.size))) for _ in range(2))
    for one in feeding:
        at = positions_of(scenario, network, one)
        p = p + one.p_mw.scattered(at, network.size)
        q = q + one.q_mvar.scattered(at, network.size)
    return p, q


def priced(fleet: Sequence[Planned], found: ConicSolution) -> tuple[float, dict[str, IntArray]]:
    """By how much the bound of a solution rises, and what devices decide at its multipliers.

    The Lagrangian at the multipliers of all rows but those of a device is the sum of what the rest costs
    at the least, which the multipliers of the rest bound, and of what the device costs by itself at the
    prices that they make of its columns, which is found exactly (Lagrangian relaxation; A. M. Geoffrion,
    Mathematical Programming Study 2 (1974) 82-114).
    """
    more, decided = 0.0, dict[str, IntArray]()
    compiled, z = found.compiled, found.compiled.in_dual_cones(found.z)
    for one in fleet:
        if one.choice is None:
            continue
        own = compiled.program.rows[slice(*one.rows)]
        dual, others = 0.0, z.copy()
        for rows in own:
            place = compiled.place(rows)
            dual -= float(found.right[place] @ z[place])
            others[place] = 0.0
        best = one.choice.least(found.cost + compiled.matrix.T @ others)
        if best is not None:
            more += max(best[0] - dual, 0.0)
            decided |= best[1]
    return more, decided


def actions_of(
    scenario: PlannedScenario, fleet: Sequence[Planned], x: FloatArray, steps: int,
    held: Mapping[str, FloatArray],
) -> FloatArray:  # fmt: skip
    """(steps, n_actions) a plan in the floats of the action space; ``held``: whole positions, by kind."""
    actions = np.repeat(scenario.neutral_action[None].astype(np.float64), steps, axis=0)
    put_positions(scenario, held, actions)
    column = {dimension.name: dimension.index for dimension in scenario.action_layout}
    for one in fleet:
        for quantity, asked in one.asked(x).items():
            for k, name in enumerate(one.names):
                if f"{name}.{quantity}" in column:
                    actions[:, column[f"{name}.{quantity}"]] = asked[:, k]
    return np.clip(actions, -1.0, 1.0)
