"""One policy on one environment, some episodes in a row, as two tables: every step, every node.

Nothing of the clock gets into the tables, and no exception is caught: a policy or an environment that fails
ends the run with its own traceback.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .errors import RunError
from .parts import table_bytes
from .policy import Policy

#: info entries that are columns of their own already, or that the run itself counts.
_HANDLED = frozenset({"day", "step", "t_index", "cost", "rewards", "costs"})

_NODES_SCHEMA = pa.schema(
    [
        ("policy", pa.string()),
        ("episode", pa.int64()),
        ("day", pa.int64()),
        ("node_id", pa.string()),
        ("v_min_pu", pa.float64()),
        ("v_max_pu", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Chunk:
    """Consecutive episodes of one policy: `days[i]` and `seed + first_episode + i` belong together."""

    index: int
    policy: str
    first_episode: int
    days: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class ChunkResult:
    """The two tables of a chunk as Parquet bytes, and how long the episodes took."""

    steps: bytes
    nodes: bytes
    n_steps: int
    wall_s: float


def run_chunk(env: gymnasium.Env[Any, Any], policy: Policy, chunk: Chunk) -> ChunkResult:
    """Run the episodes of `chunk` one after the other.

    RunError when the environment does not do as it is told.
    """
    rows: dict[str, list[Any]] = {}
    nodes: list[pa.Table] = []
    started = time.perf_counter()
    n_steps = 0
    for offset, day in enumerate(chunk.days):
        episode = chunk.first_episode + offset
        envelope = _run_episode(env, policy, chunk, episode, day, rows)
        nodes.append(_nodes_table(env, chunk.policy, episode, day, envelope))
        n_steps += envelope.n_steps
    wall_s = time.perf_counter() - started
    steps = pa.table({name: _column(name, values) for name, values in rows.items()})
    return ChunkResult(table_bytes(steps), table_bytes(pa.concat_tables(nodes)), n_steps, wall_s)


class _Envelope:
    """Lowest and highest voltage of each node over the steps whose power flow converged."""

    def __init__(self) -> None:
        self.low: NDArray[np.float64] | None = None  # (n_nodes,)
        self.high: NDArray[np.float64] | None = None
        self.n_steps = 0

    def add(self, v_pu: NDArray[np.float64], valid: bool) -> None:
        """`v_pu`: (n_nodes,) or (n_nodes, 3)."""
        self.n_steps += 1
        by_node = v_pu.reshape(v_pu.shape[0], -1)
        if self.low is None or self.high is None:
            self.low = np.full(v_pu.shape[0], np.nan)
            self.high = np.full(v_pu.shape[0], np.nan)
        if valid:
            np.fmin(self.low, np.fmin.reduce(by_node, axis=1), out=self.low)
            np.fmax(self.high, np.fmax.reduce(by_node, axis=1), out=self.high)


def _run_episode(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    chunk: Chunk,
    episode: int,
    day: int,
    rows: dict[str, list[Any]],
) -> _Envelope:
    """Append one row a step to `rows`, which maps each column to its values."""
    seed = chunk.seed + episode
    obs, info = env.reset(seed=seed, options={"day": day})
    if int(info["day"]) != day:
        raise RunError(
            f"the environment started on day {info['day']} although options={{'day': {day}}} was given"
        )
    policy.seed(seed)
    policy.reset(obs, info)
    envelope = _Envelope()
    step, over = 0, False
    while not over:
        t_index = int(info["t_index"])  # the interval that is decided now; after the step info is one further
        action = policy.act(obs, info)
        obs, reward, terminated, truncated, info = env.step(action)
        over = bool(terminated or truncated)
        head = {
            "policy": chunk.policy,
            "episode": episode,
            "day": day,
            "step": step,
            "t_index": t_index,
            "reward": float(reward),
            "cost": float(info["cost"]),
            "terminated": bool(terminated),
            "truncated": bool(truncated),
        }
        voltages = np.asarray(info["voltages"], dtype=np.float64)
        envelope.add(voltages, bool(info["pf_converged"]))
        _append(rows, {**head, **_scalars(info), **_extremes(info, voltages)})
        step += 1
    return envelope


def _scalars(info: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers and flags of `info` in its own order, lower case, then each named reward and cost."""
    row: dict[str, Any] = {}
    for key, value in info.items():
        if key not in _HANDLED and isinstance(value, bool | int | float | np.generic):
            row[key.lower()] = value.item() if isinstance(value, np.generic) else value
    # Last, over entries of the same name: in a failed power flow info has diagnostics, costs what is charged.
    for name, value in info["rewards"].items():
        row[f"reward_{name}"] = float(value)
    for name, value in info["costs"].items():
        row[name if name.startswith("cost_") else f"cost_{name}"] = float(value)
    return row


def _extremes(info: Mapping[str, Any], voltages: NDArray[np.float64]) -> dict[str, float]:
    """What is kept of the arrays in `info`: the band of the voltages, and the heaviest loading."""
    loading = np.asarray(info["branch_loading"], dtype=np.float64)
    return {
        "v_min_pu": float(np.nanmin(voltages)),
        "v_median_pu": float(np.nanmedian(voltages)),
        "v_max_pu": float(np.nanmax(voltages)),
        "loading_max": float(np.nanmax(loading)) if loading.size else 0.0,
    }


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


def _nodes_table(
    env: gymnasium.Env[Any, Any], policy: str, episode: int, day: int, envelope: _Envelope
) -> pa.Table:
    """One row a node; null voltages where no power flow of the episode converged."""
    grid: Any = env.unwrapped
    ids = grid.feeder.nodes["node_id"].combine_chunks().cast(pa.string())
    n = len(ids)
    columns = [
        pa.array([policy] * n),
        pa.array(np.full(n, episode)),
        pa.array(np.full(n, day)),
        ids,
        pa.array(envelope.low, from_pandas=True),
        pa.array(envelope.high, from_pandas=True),
    ]
    return pa.Table.from_arrays(columns, schema=_NODES_SCHEMA)
