"""What plans of a fleet have in common: what feeds in where, what is decided, which actions ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...envs.core.planning import PlannedScenario
from .affine import Affine, FloatArray, IntArray
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
