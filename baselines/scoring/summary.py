"""From steps to episodes, and from episodes to the few numbers that people compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...cases.profiles.calendar import HOURS_PER_DAY

_HEAD = ("policy", "episode", "day")
#: The column that `certificates.scored` fills.
SCORE = "normalised_score"


@dataclass(frozen=True)
class PolicySummary:
    """How one policy did over all its episodes; per-day numbers refer to 24 hours played."""

    policy: str
    n_episodes: int
    n_steps: int
    return_mean: float
    return_std: float  # over episodes, population
    loss_mwh_per_day: float
    violation_cost_per_day: float  # pu outside the band, added over nodes and steps
    violating_steps_pct: float
    n_failed_power_flows: int
    steps_per_s: float
    score_mean: float | None = None  # normalised, see `certificates`; None where there is no certificate
    score_iqm: float | None = None  # mean of the middle half of the episodes


def episodes_table(steps: pa.Table, dt_h: float, seed: int) -> pa.Table:
    """One row an episode, from the rows of its steps (all in order, episode after episode).

    Energies, voltages and counts are taken over the steps whose power flow converged: the last iterate of a
    failed one is a diagnostic, not a state of the grid. Sums of rewards and costs are over all steps.
    """
    bounds = _episode_bounds(steps)
    first = bounds[:-1]
    columns: dict[str, object] = {name: steps[name].take(pa.array(first)) for name in _HEAD}
    numbers = {n: steps[n].to_numpy() for n in steps.column_names if n != "policy"}
    valid = numbers["pf_converged"].astype(bool)
    columns["seed"] = numbers["episode"][first] + seed
    columns["n_steps"] = np.diff(bounds)
    columns["return"] = np.add.reduceat(numbers["reward"], first)
    columns["cost"] = np.add.reduceat(numbers["cost"], first)
    columns["loss_mwh"] = np.add.reduceat(np.where(valid, numbers["p_loss_mw"], 0.0), first) * dt_h
    columns["slack_mwh"] = np.add.reduceat(np.where(valid, numbers["p_slack_mw"], 0.0), first) * dt_h
    columns["n_violating_steps"] = np.add.reduceat(_violating(numbers).astype(np.int64), first)
    columns["n_failed_power_flows"] = np.add.reduceat((~valid).astype(np.int64), first)
    for name, extreme in (("v_min_pu", np.fmin), ("v_max_pu", np.fmax)):
        values = extreme.reduceat(np.where(valid, numbers[name], np.nan), first)
        columns[name] = pa.array(values, from_pandas=True)  # null: nothing converged
    for name, values in numbers.items():
        if name not in columns and name.startswith("n_"):
            columns[name] = np.add.reduceat(np.where(valid, values, 0), first)
        elif name not in columns and name.startswith(("reward_", "cost_")):
            columns[name] = np.add.reduceat(values, first)
    columns["terminated"] = numbers["terminated"][bounds[1:] - 1].astype(bool)
    return pa.table(columns)


def _violating(numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Steps with a voltage outside the band, or without a solution at all."""
    return (numbers["n_voltage_violations"] > 0) | ~numbers["pf_converged"].astype(bool)


def _episode_bounds(steps: pa.Table) -> np.ndarray:
    """Row of the first step of each episode, and the number of rows."""
    policy = steps["policy"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    episode = steps["episode"].to_numpy()
    change = np.flatnonzero((np.diff(policy) != 0) | (np.diff(episode) != 0)) + 1
    return np.concatenate(([0], change, [steps.num_rows]))


def summarise(episodes: pa.Table, dt_h: float, steps_per_s: Mapping[str, float]) -> tuple[PolicySummary, ...]:
    """One summary a policy, in the order of the table. `steps_per_s`: speed of each policy, by name.

    Scores are those of the episodes that have one.
    """
    names = list(dict.fromkeys(episodes["policy"].to_pylist()))
    policy = np.array(episodes["policy"].to_pylist(), dtype=object)
    summaries = []
    for name in names:
        rows = policy == name
        numbers = [n for n in episodes.column_names if n not in ("policy", SCORE)]
        column = {n: episodes[n].to_numpy()[rows] for n in numbers}
        scores = episodes[SCORE].filter(pa.array(rows)).drop_null().to_numpy()
        steps = int(column["n_steps"].sum())
        days = steps * dt_h / HOURS_PER_DAY
        summaries.append(
            PolicySummary(
                policy=name,
                n_episodes=int(rows.sum()),
                n_steps=steps,
                return_mean=float(column["return"].mean()),
                return_std=float(column["return"].std()),
                loss_mwh_per_day=float(column["loss_mwh"].sum() / days),
                violation_cost_per_day=float(column["cost_voltage_violation"].sum() / days),
                violating_steps_pct=float(100.0 * column["n_violating_steps"].sum() / steps),
                n_failed_power_flows=int(column["n_failed_power_flows"].sum()),
                steps_per_s=steps_per_s[name],
                score_mean=float(scores.mean()) if scores.size else None,
                score_iqm=interquartile_mean(scores) if scores.size else None,
            )
        )
    return tuple(summaries)


def interquartile_mean(values: np.ndarray) -> float:
    """Mean of the middle half (n,), the values at its edges by their share (Agarwal et al., 2021)."""
    ordered = np.sort(values)
    edges = np.arange(ordered.size + 1) / ordered.size
    share = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    return float(ordered @ share / share.sum())
