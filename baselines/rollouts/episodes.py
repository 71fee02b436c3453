"""One policy on one environment, some episodes in a row, as tables: steps, nodes, branches, violations.

Nothing of the clock gets into the tables, and no exception is caught: a policy or an environment that fails
ends the run with its own traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa

from ..errors import RunError
from ..policy import Policy
from ..scoring.extremes import Envelope, FloatArray
from ..scoring.violations import Violations

#: info entries that are columns of their own already, or that the run itself counts.
_HANDLED = frozenset({"day", "step", "t_index", "cost", "rewards", "costs"})

#: The tables of a run, in this order everywhere.
KINDS = ("steps", "nodes", "branches", "violations")


@dataclass(frozen=True)
class Episodes:
    """Consecutive episodes of one policy: `days[i]` and the seed `seed + first + i` belong together."""

    policy: str
    first: int
    days: tuple[int, ...]
    seed: int

    def rows(self) -> list[tuple[str, int, int]]:
        """Policy, episode and day of each."""
        return [(self.policy, self.first + k, day) for k, day in enumerate(self.days)]


def run_episodes(env: gymnasium.Env[Any, Any], policy: Policy, episodes: Episodes) -> dict[str, pa.Table]:
    """Run episodes one after the other; the tables by `KINDS`.

    RunError when the environment does not do as it is told.
    """
    rows: dict[str, list[Any]] = {}
    nodes: list[pa.Table] = []
    branches: list[pa.Table] = []
    violations = Violations(env.unwrapped)
    for key in episodes.rows():
        envelope = _run_episode(env, policy, key, episodes.seed, rows, violations)
        nodes.append(envelope.nodes(*key))
        branches.append(envelope.branches(*key))
    steps = pa.table({name: _column(name, values) for name, values in rows.items()})
    tables = (steps, pa.concat_tables(nodes), pa.concat_tables(branches), violations.table())
    return dict(zip(KINDS, tables, strict=True))


def _run_episode(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    key: tuple[str, int, int],
    first_seed: int,
    rows: dict[str, list[Any]],
    violations: Violations,
) -> Envelope:
    """Append one row a step to `rows`, which maps each column to its values, and what went wrong to
    `violations`. `key`: policy, episode, day.
    """
    name, episode, day = key
    obs, info = env.reset(seed=first_seed + episode, options={"day": day})
    if int(info["day"]) != day:
        raise RunError(
            f"the environment started on day {info['day']}, not on the day {day} that was asked for"
        )
    policy.seed(first_seed + episode)
    policy.reset(obs, info)
    grid: Any = env.unwrapped
    envelope = Envelope(grid.feeder)
    step, over = 0, False
    while not over:
        t_index = int(info["t_index"])  # the interval that is decided now; after the step info is one further
        obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
        over = bool(terminated or truncated)
        head = {
            "policy": name,
            "episode": episode,
            "day": day,
            "step": step,
            "t_index": t_index,
            "reward": float(reward),
            "cost": float(info["cost"]),
            "terminated": bool(terminated),
            "truncated": bool(truncated),
        }
        voltages = np.asarray(np.ma.filled(info["voltages"], np.nan), dtype=np.float64)
        loading = np.asarray(np.ma.filled(info["branch_loading"], np.nan), dtype=np.float64)
        violations.add(key, step, t_index, info)
        envelope.add(voltages[None], loading[None], np.array([info["pf_converged"]]))
        _append(rows, {**head, **_scalars(info), **_extremes(voltages, loading)})
        step += 1
    return envelope


def _scalars(info: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers and flags of `info` in its own order, lower case, then each named reward and cost."""
    row: dict[str, Any] = {}
    for key, value in info.items():
        if is_column(key, value):
            row[key.lower()] = value.item() if isinstance(value, np.generic) else value
    # Last, over entries of the same name: in a failed power flow info has diagnostics, costs what is charged.
    for name, value in info["rewards"].items():
        row[f"reward_{name}"] = float(value)
    for name, value in info["costs"].items():
        row[cost_column(name)] = float(value)
    return row


def is_column(key: str, value: Any) -> bool:
    """Whether an entry of an info is a number or flag that becomes a column by its own name."""
    return key not in _HANDLED and isinstance(value, bool | int | float | np.generic)


def cost_column(name: str) -> str:
    """The column of a cost of the task."""
    return name if name.startswith("cost_") else f"cost_{name}"


def _extremes(voltages: FloatArray, loading: FloatArray) -> dict[str, float]:
    """What is kept of the arrays of a step: the band of the voltages, and the heaviest loading."""
    return {
        "v_min_pu": float(np.fmin.reduce(voltages, axis=None)),
        "v_median_pu": _median(voltages),
        "v_max_pu": float(np.fmax.reduce(voltages, axis=None)),
        "loading_max": float(np.fmax.reduce(loading, axis=None)) if loading.size else 0.0,
    }


def _median(values: FloatArray) -> float:
    """Median of what is there, to the bit that of `np.nanmedian`, which takes five times as long."""
    there = values[~np.isnan(values)]
    if not there.size:
        return float("nan")
    half = there.size // 2
    if there.size % 2:
        return float(np.partition(there, half)[half])
    low, high = np.partition(there, (half - 1, half))[half - 1 : half + 1]
    return float((low + high) / 2.0)


def _append(rows: dict[str, list[Any]], row: dict[str, Any]) -> None:
    """Add `row`; the first one decides the columns."""
    if not rows:
        rows.update({name: [] for name in row})
    if rows.keys() != row.keys():
        changed = ", ".join(sorted(rows.keys() ^ row.keys()))
        raise RunError(f"info must hold the same entries in every step; missing or new: {changed}")
    for name, value in row.items():
        rows[name].append(value)


def _column(name: str, values: list[Any]) -> pa.Array:
    """An Arrow column whose type follows from the first value."""
    first = values[0]
    for kind, arrow in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64()), (str, pa.string())):
        if isinstance(first, kind):
            return pa.array(values, type=arrow)
    raise RunError(
        f"info[{name!r}] is a {type(first).__name__}; only numbers, flags and texts can be recorded"
    )
