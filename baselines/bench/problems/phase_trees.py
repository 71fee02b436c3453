"""Random unbalanced feeders of any size: a three-phase trunk with laterals of one and two phases."""

from __future__ import annotations

import numpy as np

from .phases import PhaseProblem
from .trees import sum_along, sum_below

_KV = 12.47
_DROP_PU = 0.06  # linear estimate of the voltage drop to the worst phase
_ONWARD = 0.8  # share of nodes that lengthen a line; the rest start a branch at any earlier node
_NARROWER = 0.4  # share of branches that carry fewer phases than what feeds them
_SELF, _MUTUAL = 0.306 + 0.627j, 0.0953 + 0.241j  # ohm/km, overhead conductors
_CHARGING = (3.5, -0.8)  # uS/km of a phase, between two


def random_tree3(phase_nodes: int, seed: int = 0) -> PhaseProblem:
    """A 12.47 kV tree with ``phase_nodes`` phases at all its buses together; equal seeds give equal trees.

    Sections of 30 to 300 m with full matrices and charging; 60 % of the phases have a load of their own with
    a power factor from 0.9 to 0.98. Loads are scaled so that voltages end near 0.94 pu.
    """
    if phase_nodes < 6:
        raise ValueError(f"a three-phase tree needs at least 6 phases at its buses, got {phase_nodes}")
    rng = np.random.default_rng([seed, phase_nodes])
    parent, present = _shape(phase_nodes, rng)
    n = present.shape[0]
    km = rng.uniform(0.03, 0.3, n - 1)
    there = present[1:, :, None] & present[1:, None, :]
    unit = np.eye(3)
    z = km[:, None, None] * np.where(there, _MUTUAL + (_SELF - _MUTUAL) * unit, 0.0)
    charging = _CHARGING[1] + (_CHARGING[0] - _CHARGING[1]) * unit
    b = km[:, None, None] * np.where(there, charging, 0.0)
    p = rng.lognormal(0.0, 0.7, (n, 3)) * (rng.random((n, 3)) < 0.6) * present
    q = p * np.tan(np.arccos(rng.uniform(0.9, 0.98, (n, 3))))
    p[0] = q[0] = 0.0
    worst = 0.0
    for j in range(3):
        series = z[:, j, j]
        drop = series.real * sum_below(parent, p[:, j])[1:] + series.imag * sum_below(parent, q[:, j])[1:]
        worst = max(worst, float(sum_along(parent, drop).max()) / (_KV**2 / 3.0))
    scale = _DROP_PU / max(worst, 1e-300)
    return PhaseProblem(
        name=f"tree3ph{phase_nodes}", kv=_KV, present=present, from_row=parent, to_row=np.arange(1, n),
        z_ohm=z, b_us=b, p_mw=p * scale, q_mvar=q * scale, cap_mvar=np.zeros((n, 3)), source=0,
        v_source_pu=1.0,
    )  # fmt: skip


def _shape(phase_nodes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Parent of every node but the first, and the phases of all, (n, 3)."""
    present: list[tuple[bool, ...]] = [(True, True, True)]
    parent, left = [], phase_nodes - 3
    while left > 0:
        k = len(present)
        onward = bool(rng.random() < _ONWARD)
        up = k - 1 if onward else int(rng.integers(0, k))
        mine = present[up]
        if not onward and sum(mine) > 1 and rng.random() < _NARROWER:
            keep = rng.random(3) < 0.5
            first = int(rng.choice(np.flatnonzero(mine)))
            mine = tuple(
                bool(m and (s or j == first)) for j, (m, s) in enumerate(zip(mine, keep, strict=True))
            )
        while sum(mine) > left:  # the last node takes what is left
            mine = tuple(m and sum(mine[:j]) < left for j, m in enumerate(mine))
        present.append(mine)
        parent.append(up)
        left -= sum(mine)
    return np.array(parent), np.array(present)
