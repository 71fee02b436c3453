"""Hosting capacity without learning: the nearest applications first, as far as a share of the limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.model.topology import branch_ends
from ...envs.resources.hosting import HostingProgram
from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of

BoolArray = NDArray[np.bool_]
_ASKS_MW = 1e-4  # less is what float32 leaves of an application that is served
_DEVIATION_PU = 0.03


class NearestFirst(Policy):
    """The nearest site that still asks and has room gets a whole unit; nobody where none has.

    Near is by the resistance of the way to the source. A site has room where a unit on top of what flows
    would overload no branch of the way, and while the voltage at its bus has moved by less than ``share`` of
    3 %. What a unit does to the voltages of other buses is left to that margin.
    """

    name = "host-nearest"
    plays_batches = True
    transient = ("_opened", "_new")

    def __init__(self, env: AnyEnv, share: float = 0.4) -> None:
        """Find the sites and their ways. RunError when there are none, or too little is observed."""
        self._actions, self._observations, self._share = RuleActions(env), RuleObservations(env), share
        scenario = scenario_of(env)
        units = scenario.fleet.units(HostingProgram.kind)
        if not units:
            raise RunError("this environment has no HostingSite to connect at: choose another policy")
        layout = scenario.layout
        for block in ("v_pu", "loading"):
            if block not in layout or scenario.feeder.phases != "balanced":
                raise RunError(f"{self.name} looks at {block} of every node and branch of a balanced feeder")
        self._v, self._loading = layout["v_pu"], layout["loading"]
        self._asked = np.array([unit.observation["asked_mw"] for unit in units])
        self._action = np.array([unit.action_p for unit in units])
        self._node = np.array([unit.node_row for unit in units])
        ways = [way_to_source(scenario.feeder, row) for row in self._node.tolist()]
        self._on_way = np.zeros((len(units), scenario.feeder.branches.num_rows), dtype=np.bool_)
        for k, way in enumerate(ways):
            self._on_way[k, way] = True
        far = self._on_way @ np.asarray(scenario.feeder.column("branches", "r"), dtype=np.float64)
        rating = np.asarray(scenario.feeder.column("branches", "thermal_limit_mva"), dtype=np.float64)
        steps = [p.step_mw for p in scenario.fleet.programs if isinstance(p, HostingProgram)]
        self._unit_loading = np.concatenate(steps)[:, None] / np.nan_to_num(rating, nan=np.inf)
        self._rank = np.argsort(np.argsort(far, kind="stable"))

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """The share of a limit that is used."""
        return {"share": self._share}

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Remember the voltages that the episode opens with."""
        batch, _ = self._observations.batch(obs)
        self._opened: FloatArray = batch[:, self._v].copy()
        self._new: BoolArray = np.zeros(len(batch), dtype=np.bool_)

    def restart(self, rows: BoolArray) -> None:
        """What these rows observe next is their opening."""
        self._new |= rows

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """A unit at one site of each row of `obs`."""
        batch, single = self._observations.batch(obs)
        v = batch[:, self._v]
        self._opened[self._new] = v[self._new]
        self._new[:] = False
        moved = np.abs(v - self._opened)[:, self._node]
        loading = batch[:, None, self._loading] + self._unit_loading
        busy = np.where(self._on_way, loading, 0.0).max(axis=2)
        room = (moved < self._share * _DEVIATION_PU) & (busy < 1.0)
        fit = room & (batch[:, self._asked] > _ASKS_MW)
        first = np.where(fit, self._rank, self._rank.size).argmin(axis=1)
        action = self._actions.neutral(len(batch))
        rows = np.flatnonzero(fit.any(axis=1))
        action[rows, self._action[first[rows]]] = 1.0
        return self._actions.coded(action, single)


def way_to_source(feeder: Feeder, node: int) -> list[int]:
    """Rows of the closed branches between a node, by its row, and the nearest source; empty where none is."""
    index = feeder.node_index
    closed = np.asarray(feeder.column("branches", "status"), dtype=np.bool_)
    at: list[list[tuple[int, int]]] = [[] for _ in index]
    for row, (a, b) in enumerate(branch_ends(feeder).tolist()):
        if closed[row]:
            at[a].append((b, row))
            at[b].append((a, row))
    sources = {index[n] for n in feeder.column("sources", "node_id")}
    ways: dict[int, list[int]] = {node: []}
    queue = deque([node])
    while queue:
        here = queue.popleft()
        if here in sources:
            return ways[here]
        for there, row in at[here]:
            if there not in ways:
                ways[there] = [*ways[here], row]
                queue.append(there)
    return []
