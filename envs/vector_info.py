"""Infos of a vector environment: one array a key, and a mask ``_key`` of the environments that have it.

The keys are those of `envs.info`. Arrays are fresh in every step and nobody changes them afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..physics.rows import TOLD_COUNTS, TOLD_FLAGS, TOLD_NUMBERS, tell_rows
from .grid import Outcome
from .shards import Shard

BoolArray = NDArray[np.bool_]
Tree = dict[str, Any]  # name -> array, or a tree of them


class Told:
    """What shards tell of their grids, row by row of the whole batch; :meth:`write` is safe on threads."""

    def __init__(self, rows: int, like: Shard) -> None:
        grid = like.grid
        units = grid.fleet.n_units
        self.numbers = np.empty((len(TOLD_NUMBERS), rows))
        self.counts = np.empty((len(TOLD_COUNTS), rows), dtype=np.int64)
        self.flags = np.empty((len(TOLD_FLAGS), rows), dtype=np.bool_)
        self.voltages = np.empty((rows, grid.stepper.v_pu.shape[1]))
        self.loading = np.empty((rows, grid.stepper.loading.shape[1]))
        self.p_mw, self.q_mvar = np.empty((rows, units)), np.empty((rows, units))

    def write(self, shard: Shard) -> None:
        """Take over the present state of a shard."""
        grid, stepper, fleet = shard.grid, shard.grid.stepper, shard.grid.fleet
        tell_rows(
            shard.lo, stepper.ended, stepper.measured, stepper.v_pu, stepper.loading,
            grid.day, grid.step_index, grid.t_index, fleet.delivered_p_mw, fleet.delivered_q_mvar,
            self.numbers, self.counts, self.flags, self.voltages, self.loading, self.p_mw, self.q_mvar,
        )  # fmt: skip

    def state(self) -> Tree:
        """What ``envs.info.state_info`` tells."""
        named = dict(zip(TOLD_NUMBERS, self.numbers, strict=True))
        named |= zip(TOLD_COUNTS, self.counts, strict=True)
        named |= zip(TOLD_FLAGS, self.flags, strict=True)
        return named | {"voltages": self.voltages, "branch_loading": self.loading}

    def step(self, outcomes: Sequence[Outcome | None], rows: Sequence[int]) -> Tree:
        """What ``envs.info.step_info`` adds; ``rows`` of each outcome, 0 where there is none."""
        charged = [
            None if o is None else np.array([*o.resource_costs.values()]).reshape(-1, n)
            for o, n in zip(outcomes, rows, strict=True)
        ]
        return {
            "cost_resource": joined([None if c is None else c.sum(axis=0) for c in charged], rows),
            "n_resource_violations": joined(
                [None if c is None else (c > 0.0).sum(axis=0) for c in charged], rows
            ),
            "rewards": _named([None if o is None else o.rewards for o in outcomes], rows),
            "costs": _named([None if o is None else o.costs for o in outcomes], rows),
            "cost": joined([None if o is None else o.cost for o in outcomes], rows),
            "delivered": {"p_mw": self.p_mw, "q_mvar": self.q_mvar},
        }


def joined(parts: Sequence[NDArray[Any] | None], rows: Sequence[int]) -> NDArray[Any]:
    """A fresh array of the whole batch; zeros where a shard has no part."""
    kind = next((p.dtype for p in parts if p is not None), np.dtype(np.float64))
    return np.concatenate(
        [np.zeros(n, dtype=kind) if p is None else p for p, n in zip(parts, rows, strict=True)]
    )


def _named(parts: Sequence[Mapping[str, NDArray[Any]] | None], rows: Sequence[int]) -> Tree:
    names = next(p for p in parts if p is not None)
    return {name: joined([None if p is None else p[name] for p in parts], rows) for name in names}


def blank(tree: Tree, rows: BoolArray) -> Tree:
    """The same tree, its arrays set to 0 in ``rows``, as Gymnasium has them where a mask is False."""
    for value in tree.values():
        if isinstance(value, dict):
            blank(value, rows)
        else:
            value[rows] = 0
    return tree


def copied(tree: Tree) -> Tree:
    """The tree with arrays of its own."""
    return {name: copied(v) if isinstance(v, dict) else v.copy() for name, v in tree.items()}


def masked(tree: Tree, mask: BoolArray) -> Tree:
    """The tree with ``_key`` beside each key."""
    infos: Tree = {}
    for name, value in tree.items():
        infos[name] = masked(value, mask) if isinstance(value, dict) else value
        infos["_" + name] = mask
    return infos
