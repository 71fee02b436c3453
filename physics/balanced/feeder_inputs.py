"""What a balanced network reads from a feeder's tables: rows by id, loads that depend on voltage, phases."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ...cases.model.feeder import Feeder
from .tree import FloatArray, IntArray


def rows_of_ids(index: dict[str, int] | object, ids: NDArray[np.object_]) -> IntArray:
    """Row of each id."""
    return np.array([index[str(i)] for i in ids], dtype=np.int64)  # type: ignore[index]


def voltage_dependent_loads(feeder: Feeder) -> tuple[IntArray, FloatArray]:
    """Nodes with ZIP or CVR loads and their coefficients, weighted by nominal power where a node has several.

    Raises ValueError where one node mixes exponent loads with other loads: no single exponent says both.
    """
    columns = ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")
    share = np.stack([feeder.column("loads", c) for c in columns], axis=1).reshape(-1, 4)
    cvr = np.stack([feeder.column("loads", c) for c in ("cvr_p", "cvr_q")], axis=1).reshape(-1, 2)
    node = rows_of_ids(feeder.node_index, feeder.column("loads", "node_id"))
    power = np.stack([feeder.column("loads", "p_mw"), feeder.column("loads", "q_mvar")], axis=1)
    weight = np.repeat(power, 2, axis=1).reshape(-1, 4)  # signed: a generator takes its share away
    dependent = (share != 0).any(axis=1) | np.isfinite(cvr).any(axis=1)
    nodes = np.unique(node[dependent])
    coef = np.full((nodes.size, 6), np.nan)
    for j, n in enumerate(nodes):
        mine = np.flatnonzero(node == n)
        total = weight[mine].sum(axis=0)
        part = (share[mine] * weight[mine]).sum(axis=0)
        name = feeder.column("nodes", "node_id")[n]
        if ((total == 0) & (part != 0)).any():
            raise ValueError(
                f"loads at node {name!r} cancel at nominal voltage but depend on it; move one to a node of "
                "its own behind a closed switch"
            )
        coef[j, :4] = np.where(total == 0, share[mine].mean(axis=0), part / np.where(total == 0, 1.0, total))
        if not np.array_equal(cvr[mine], np.broadcast_to(cvr[mine[0]], (mine.size, 2)), equal_nan=True):
            raise ValueError(
                f"loads at node {name!r} have different CVR exponents; give them one exponent or move one "
                "to a node of its own behind a closed switch"
            )
        coef[j, 4:] = cvr[mine[0]]
    return nodes, coef


class RegulatorColumns(TypedDict):
    """The fields of a Network that regulators decide on."""

    tap: FloatArray
    reg_branch: IntArray
    reg_ratio: FloatArray
    reg_gain: FloatArray
    reg_range: FloatArray


def regulator_columns(feeder: Feeder) -> RegulatorColumns:
    """Ratios of the branches with their regulators at the stored positions.

    A regulator stands at the from end of its branch and multiplies the voltage behind it by 1 + position *
    step. Raises ValueError where a branch has two.
    """
    column = feeder.column
    branch = rows_of_ids(feeder.branch_index, column("regulators", "branch_id")).astype(np.int64)
    twice = np.flatnonzero(np.bincount(branch, minlength=1) > 1)
    if twice.size:
        names = ", ".join(repr(str(i)) for i in column("regulators", "reg_id")[branch == twice[0]])
        raise ValueError(
            f"feeder {feeder.name!r}: the regulators {names} stand in the same branch "
            f"{str(column('branches', 'branch_id')[twice[0]])!r}; a branch of a balanced feeder has one"
        )
    tap = column("branches", "tap").copy()
    position = np.stack([column("regulators", f"tap_{part}") for part in ("pos", "min", "max")], axis=1)
    gain = 1.0 + position * column("regulators", "tap_step_pu")[:, None]
    low = np.flatnonzero(gain[:, 1] <= 0.0)
    if low.size:
        name = str(column("regulators", "reg_id")[low[0]])
        raise ValueError(
            f"feeder {feeder.name!r}: regulator {name!r} reaches a ratio of {gain[low[0], 1]:g}; expected "
            "1 + tap_min * tap_step_pu above 0"
        )
    ratio = tap[branch]
    tap[branch] = ratio / gain[:, 0]
    return {
        "tap": tap, "reg_branch": branch, "reg_ratio": ratio, "reg_gain": gain[:, 0].copy(),
        "reg_range": gain[:, 1:].copy(),
    }  # fmt: skip


def check_phases(feeder: Feeder) -> None:
    """ValueError where an element has fewer than three phases."""
    ids = {"nodes": "node_id", "branches": "branch_id", "loads": "load_id", "capacitors": "cap_id"}
    for name, key in ids.items():
        partial = np.flatnonzero(feeder.column(name, "phase") != "ABC")
        if partial.size:
            which, phase = (feeder.column(name, c)[partial[0]] for c in (key, "phase"))
            raise ValueError(
                f"feeder {feeder.name!r} is not balanced: {key} {which!r} has phase {phase!r}; this power "
                "flow solves three-phase (ABC) elements only"
            )
