"""Consecutive episodes of one policy side by side: the rows of a vector environment.

The tables have the bytes of `episodes.run_episodes`: a row gives the numbers of a single environment with its
seed and day, whatever stands beside it, and a policy that plays batches gives each row its own action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from ...envs import DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, DistGridEnv, DistGridVectorEnv
from ..errors import RunError
from ..jobs.code_content import has_address
from ..policy import Policy
from ..scoring.extremes import BoolArray, Envelope, FloatArray
from ..scoring.violations import Solved, Violations
from .env_source import EnvSource
from .episodes import KINDS, Episodes, cost_column, is_column

AnyVectorEnv = VectorEnv[Any, Any, Any]
_FACES: dict[type, type[DistGridVectorEnv]] = {
    DistGridEnv: DistGridVectorEnv, DistGrid3PhaseEnv: DistGrid3PhaseVectorEnv,
}  # fmt: skip
_WRAPPERS = (gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.TimeLimit)


def has_rows(source: EnvSource, env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the episodes of `env`, which `source` made, can be played by `open_rows`.

    An environment that was handed in is played itself. So is one with wrappers, or with a class, task, load
    or resource of somebody's own: those were perhaps written for one environment at a time.
    """
    grid: Any = env.unwrapped
    if not source.portable or type(grid) not in _FACES:
        return False
    parts = [value for _, value in grid.options.content()]
    return all(type(layer) in _WRAPPERS for layer in _layers(env)) and all(
        has_address(type(part)) for part in parts
    )


def face_of(env: gymnasium.Env[Any, Any]) -> type[DistGridVectorEnv]:
    """The vector environment of environments like `env`; RunError for a class that has none."""
    kind = type(env.unwrapped)
    if kind not in _FACES:
        raise RunError(
            f"{kind.__name__} has no vector environment: expected {' or '.join(k.__name__ for k in _FACES)}, "
            "with task, loads and resources of your own as its arguments"
        )
    return _FACES[kind]


def open_rows(
    env: gymnasium.Env[Any, Any], rows: int, threads: int = 1,
    autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
) -> AnyVectorEnv:  # fmt: skip
    """Environments like `env` as `rows` rows.

    On one thread by default: the bytes do not depend on threads, and the other cores may have chunks of their
    own.
    """
    grid: Any = env.unwrapped
    limits = [layer._max_episode_steps for layer in _layers(env) if hasattr(layer, "_max_episode_steps")]
    return face_of(env)(
        options=grid.options, num_envs=rows, threads=threads, autoreset_mode=autoreset_mode,
        max_episode_steps=min(limits, default=None),
    )  # fmt: skip


def _layers(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The wrappers, from outside to inside."""
    layers: list[Any] = []
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        layers.append(layer)
        layer = layer.env
    return layers


def run_rows(
    rows: AnyVectorEnv, like: gymnasium.Env[Any, Any], policy: Policy, episodes: Episodes
) -> dict[str, pa.Table]:
    """Run episodes side by side; the tables by `episodes.KINDS`.

    Args:
        rows: As many environments as there are episodes.
        like: A single one of them, which says in which order an info tells its entries. It is reset.
        policy: One that plays batches.
        episodes: What is played.

    Raises:
        RunError: The environment does not do as it is told.
    """
    keys = episodes.rows()
    first = episodes.seed + episodes.first
    days = np.array(episodes.days)
    obs, infos = rows.reset(seed=first, options={"day": days})
    if not np.array_equal(infos["day"], days):
        raise RunError(f"the environments started on days {infos['day']}, not on {days} as asked for")
    policy.seed(first)
    policy.reset(obs, infos)
    record = _Record(like, keys)
    playing = np.ones(len(keys), dtype=np.bool_)
    over = np.zeros(len(keys), dtype=np.bool_)  # in the step before: these rows begin anew by themselves
    step = 0
    while playing.any():
        t_index = infos["t_index"].copy()  # of the interval that is decided now
        obs, reward, terminated, truncated, infos = rows.step(policy.act(obs, infos))
        if over.any():
            policy.restart(over)
        record.add(step, t_index, playing, reward, terminated, truncated, infos)
        over = terminated | truncated
        playing = playing & ~over
        step += 1
    return dict(zip(KINDS, record.tables(), strict=True))


class _Record:
    """Columns of steps, extremes and violations of episodes that are played side by side."""

    def __init__(self, like: gymnasium.Env[Any, Any], keys: list[tuple[str, int, int]]) -> None:
        _, info = like.reset(options={"day": keys[0][2]})
        self._names = [name for name, value in info.items() if is_column(name, value)]
        self._earned = {kind: tuple(info[kind]) for kind in ("rewards", "costs")}
        self._keys = keys
        grid: Any = like.unwrapped
        self._envelope = Envelope(grid.feeder, len(keys))
        self._violations = Violations(grid)
        self._violations.begin(keys)
        self._playing: list[BoolArray] = []
        self._columns: dict[str, list[NDArray[Any]]] = {}

    def add(
        self, step: int, t_index: NDArray[np.int64], playing: BoolArray, reward: FloatArray,
        terminated: BoolArray, truncated: BoolArray, infos: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Take over a step of the rows that are `playing`."""
        voltages, loading = _plain(infos["voltages"]), _plain(infos["branch_loading"])
        vuf_pct = _plain(infos["vuf_pct"]) if voltages.ndim == 3 else None
        solved = Solved(
            voltages, loading, vuf_pct, infos["p_slack_MW"], infos["unserved_MW"], infos["pf_converged"]
        )
        self._violations.add_rows(step, t_index, solved, playing)
        self._envelope.add(voltages, loading, playing & solved.converged)
        row = {"step": np.full(playing.size, step), "t_index": t_index, "reward": reward,
               "cost": infos["cost"], "terminated": terminated, "truncated": truncated}  # fmt: skip
        row |= {name.lower(): infos[name] for name in self._names}
        row |= {f"reward_{name}": infos["rewards"][name] for name in self._earned["rewards"]}
        row |= {cost_column(name): infos["costs"][name] for name in self._earned["costs"]}
        row |= _extremes(voltages, loading)
        self._playing.append(playing)
        for name, values in row.items():
            self._columns.setdefault(name, []).append(values)

    def tables(self) -> tuple[pa.Table, ...]:
        """Steps, nodes, branches and violations, episode by episode."""
        nodes = [self._envelope.nodes(*key, row=row) for row, key in enumerate(self._keys)]
        branches = [self._envelope.branches(*key, row=row) for row, key in enumerate(self._keys)]
        return self._steps(), pa.concat_tables(nodes), pa.concat_tables(branches), self._violations.table()

    def _steps(self) -> pa.Table:
        played = np.stack(self._playing, axis=1)  # (rows, steps)
        row, at = np.nonzero(played)
        policies, episodes, days = zip(*self._keys, strict=True)
        head = {
            "policy": pa.array(np.array(policies, dtype=object)[row], pa.string()),
            "episode": pa.array(np.array(episodes)[row]),
            "day": pa.array(np.array(days)[row]),
        }
        columns = {name: pa.array(np.stack(found, axis=1)[row, at]) for name, found in self._columns.items()}
        return pa.table(head | columns)


def _plain(values: NDArray[Any]) -> FloatArray:
    return np.asarray(np.ma.filled(values, np.nan), dtype=np.float64)


def _extremes(voltages: FloatArray, loading: FloatArray) -> dict[str, FloatArray]:
    """As `episodes.extremes`, of each row."""
    v, share = (array.reshape(array.shape[0], -1) for array in (voltages, loading))
    return {
        "v_min_pu": np.fmin.reduce(v, axis=1),
        "v_median_pu": _medians(v),
        "v_max_pu": np.fmax.reduce(v, axis=1),
        "loading_max": np.fmax.reduce(share, axis=1) if share.size else np.zeros(v.shape[0]),
    }


def _medians(v: FloatArray) -> FloatArray:
    """(rows,) medians of what is there; rows that lack other columns than the first one by themselves."""
    there = ~np.isnan(v)
    if (there == there[0]).all():
        return np.asarray(np.median(v[:, there[0]], axis=1))
    return np.array([np.nanmedian(row) for row in v])
