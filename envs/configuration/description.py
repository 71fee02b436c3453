"""What an environment is, in one plain mapping: feeder, fleet, task, time, observation, actions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cases.profiles import SPLIT_SETS
from ..core.grown_load import GrownLoad
from ..core.load_source import ProfileLoad
from ..core.options import EnvOptions
from ..core.snapshot_load import SnapshotLoad
from ..dist import DistGridEnv
from .env_file import plain
from .kinds import kind_of


def describe(env: DistGridEnv) -> dict[str, Any]:
    """Everything about an environment that a person asks first; values as JSON has them.

    Args:
        env: A single environment, without wrappers: ``env.unwrapped``.

    Returns:
        ``feeder``, ``resources`` (one entry a unit), ``task`` with its ``terms``, ``episode``, ``split`` and
        ``splits`` (number of days by name), ``observation`` with its ``level`` and its ``blocks``, which say
        of ``when`` they are and so what is known of the coming interval, ``actions`` (one entry a dimension),
        and ``options``: meters, forecaster, randomisation and the like, where not as by default.
    """
    return {
        "feeder": _feeder(env),
        "resources": _resources(env),
        "task": _task(env),
        "episode": {
            "hours": env.task.episode.hours, "steps": env.scenario.episode_steps, "dt_h": env.profiles.dt_h,
        },
        "split": env.split,
        "split_set": env.profiles.splits,
        "splits": _splits(env),
        "observation": _observation(env),
        "action_space": str(env.action_space),
        "actions": _actions(env),
        "options": _options(env.options),
    }  # fmt: skip


def _feeder(env: DistGridEnv) -> dict[str, Any]:
    feeder = env.feeder
    levels = sorted(set(feeder.column("nodes", "base_kv").tolist()), reverse=True)
    return {
        "name": feeder.name, "phases": feeder.phases, "nodes": feeder.n_nodes, "branches": feeder.n_branches,
        "open_branches": int((~feeder.column("branches", "status")).sum()), "base_kv": levels,
        "load_p_mw": float(feeder.column("loads", "p_mw").sum()),
        "load_q_mvar": float(feeder.column("loads", "q_mvar").sum()),
        "load_scale": env.load_scale, "v_source_pu": feeder.column("sources", "v_pu").tolist(),
    }  # fmt: skip


def _resources(env: DistGridEnv) -> list[dict[str, Any]]:
    return [
        {
            "name": unit.name, "kind": unit.kind, "bus": unit.bus, "phase": unit.phase, "p_mw": unit.p_mw,
            "s_mva": unit.s_mva, "q_max_mvar": unit.q_max_mvar, "energy_mwh": unit.energy_mwh,
            "actions": [dim.quantity for dim in env.action_layout if dim.resource_name == unit.name],
        }
        for unit in env.units
    ]  # fmt: skip


def _task(env: DistGridEnv) -> dict[str, Any]:
    task, low_high = env.task, env.v_limits_pu
    known = [np.isfinite(limit) & (limit > 0.0) for limit in low_high]
    band = [float(low_high[0][known[0]].min()), float(low_high[1][known[1]].max())]
    return {
        "kind": kind_of(type(task)),
        "v_limits_pu": band,
        "terms": [row._asdict() for row in task.term_rows()],
        "failure_price": task.failure_price,
        "failure_cost": task.failure_cost,
    }


def _splits(env: DistGridEnv) -> dict[str, int]:
    """Number of days of every split; those of `env.split` that an episode may begin on come first."""
    load = env.load
    while isinstance(load, GrownLoad | SnapshotLoad):
        load = load.source
    if isinstance(load, ProfileLoad) and not load.splits:
        names = SPLIT_SETS[env.profiles.splits] if env.profiles.has_splits else ()
        found = {name: len(env.profiles.split_days(name)) for name in names}
    else:
        found = {name: len(days) for name, days in load.splits.items()}
    return found if env.split in found else {env.split: len(env.days), **found}


def _observation(env: DistGridEnv) -> dict[str, Any]:
    layout = env.layout
    return {
        "level": layout.level, "normalised": layout.normalised, "size": layout.size, "blocks": _blocks(env),
    }  # fmt: skip


def _blocks(env: DistGridEnv) -> list[dict[str, Any]]:
    rows = env.layout.describe()
    found = []
    for name, where in env.layout.items():
        part, block = rows[where], env.layout.blocks[name]
        found.append({
            "block": name, "unit": block.unit, "first": where.start, "size": len(part),
            "when": list(dict.fromkeys(row.time for row in part)),
            "low": min((row.low for row in part), default=0.0),
            "high": max((row.high for row in part), default=0.0), "meaning": block.meaning,
        })  # fmt: skip
    return found


def _actions(env: DistGridEnv) -> list[dict[str, Any]]:
    return [
        {
            "index": dim.index, "name": dim.name, "resource": dim.resource_name, "bus": dim.bus,
            "quantity": dim.quantity, "positions": dim.positions,
        }
        for dim in env.action_layout
    ]  # fmt: skip


def _options(options: EnvOptions) -> dict[str, Any]:
    told = ("meters", "forecaster", "randomise", "action_space")
    given = {name: getattr(options, name) for name in told}
    return {name: plain(value, name) for name, value in given.items() if value}
