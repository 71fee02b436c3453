"""Hosting capacity by looking ahead: every unit is solved by the power flow before it is connected."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs.resources.hosting import HostingProgram
from ...envs.tasks import HostingCapacity
from ..errors import RunError
from ..hosting.flows import BalancedFlows
from ..hosting.limits import THERMAL, HostingLimits
from ..hosting.search import Bounds, first_crossings
from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

ASKS_MW = 1e-4  # less is what float32 leaves of an application that is served
_NOISE = 2e-6  # pu or share of a rating: what is observed in float32 may be off by
_LEVELS = 8


@dataclass(frozen=True, eq=False)
class Opened:
    """The grid in front of a decision: what units at sites would do to what limits speak of.

    Attributes:
        flows: Of the feeder; ``loads`` in it.
        loads: As `BalancedFlows.solve` takes them.
        there_mw: (nodes,) what is connected already.
        node: (sites,) rows of the nodes.
        bounds: Of the columns.
    """

    flows: BalancedFlows
    loads: Mapping[str, Any]
    there_mw: FloatArray
    node: IntArray
    bounds: Bounds

    def evaluate(self, at: IntArray, size_mw: FloatArray) -> tuple[FloatArray, BoolArray]:
        """(rows, columns) where one site each gets a unit, and whether there was a power flow."""
        sizes = np.zeros((at.size, self.node.size))
        sizes[np.arange(at.size), at] = size_mw
        return self._solved(sizes)

    def columns(self, sizes_mw: FloatArray) -> FloatArray:
        """(rows, columns) where all sites get sizes (rows, sites); NaN without a power flow."""
        x, found = self._solved(sizes_mw)
        return np.where(found[:, None], x, np.nan)

    def kept(self, sizes_mw: FloatArray) -> BoolArray:
        """(rows,) whether sizes (rows, sites) keep every limit."""
        x, found = self._solved(sizes_mw)
        return found & self.bounds.kept(x)

    def _solved(self, sizes_mw: FloatArray) -> tuple[FloatArray, BoolArray]:
        p = np.repeat(self.there_mw[None], len(sizes_mw), axis=0)
        for site, node in enumerate(self.node):  # sites may share a node
            p[:, node] += sizes_mw[:, site]
        shown = self.flows.solve(dict(self.loads), p, np.zeros_like(p))
        return shown.x, shown.found


class LooksAhead(Policy):
    """Sites, and the power flow that says what units there would do."""

    plays_batches = True
    transient: tuple[str, ...] = ("_opened", "_new")

    def __init__(self, env: AnyEnv) -> None:
        """Find the sites. RunError when there are none, or too little is observed."""
        self._actions, self._observations = RuleActions(env), RuleObservations(env)
        self._scenario = scenario = scenario_of(env)
        units, task = scenario.fleet.units(HostingProgram.kind), scenario.task
        if not units:
            raise RunError("this environment has no HostingSite to connect at: choose another policy")
        if not isinstance(task, HostingCapacity):
            raise RunError(f"{self.name} keeps the limits of HostingCapacity, not of {type(task).__name__}")
        layout = scenario.layout
        needs = ("v_pu", "loading", "load_p_mw", "load_q_mvar")
        if any(block not in layout for block in needs) or scenario.feeder.phases != "balanced":
            raise RunError(f"{self.name} looks at {', '.join(needs)} of every node of a balanced feeder")
        self._v, self._loading, self._p, self._q = (layout[block] for block in needs)
        entries = [unit.observation for unit in units]
        self._asked, self._connected = (
            np.array([entry[name] for entry in entries]) for name in ("asked_mw", "connected_mw")
        )
        self._action = np.array([unit.action_p for unit in units])
        self._node = np.array([unit.node_row for unit in units])
        steps = [p.step_mw for p in scenario.fleet.programs if isinstance(p, HostingProgram)]
        self._step_mw = np.concatenate(steps)
        self._flows = BalancedFlows(scenario.feeder, HostingLimits(task.v_band, None, 0.0))
        columns = self._flows.quantities
        thermal = columns.kind_high == THERMAL
        at_most = task.most_loading - _NOISE
        self._columns = replace(
            columns, low=columns.low + _NOISE,
            high=np.where(thermal, at_most, columns.high - _NOISE),
            moves=np.where(thermal, np.inf, task.deviation_pu - _NOISE),
        )  # fmt: skip
        self._source = int(scenario.network.source_node[0])

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Remember the grid that the episode opens with."""
        batch, _ = self._observations.batch(obs)
        self._opened: FloatArray = self._shown(batch)
        self._new: BoolArray = np.zeros(len(batch), dtype=np.bool_)

    def restart(self, rows: BoolArray) -> None:
        """What these rows observe next is their opening."""
        self._new |= rows

    def _shown(self, batch: FloatArray) -> FloatArray:
        v, loading = batch[:, self._v], batch[:, self._loading]
        return np.hstack([v[:, self._flows.nodes], loading[:, self._flows.branches]])

    def _opening(self, shown: FloatArray, opened: FloatArray, sites: IntArray) -> Opened:
        """The grid as it is shown, with what is connected already."""
        loads = {
            "p_mw": shown[None, self._p], "q_mvar": shown[None, self._q],
            "v_source_pu": shown[self._v][self._source],
        }  # fmt: skip
        there = np.zeros(self._flows.shape)
        there[self._node] = shown[self._connected]
        bounds = self._columns.against(opened[None]).bounds
        return Opened(self._flows, loads, there, self._node[sites], bounds)


class _OneByOne(LooksAhead):
    """The largest unit that no limit forbids, at the site where it leaves most room."""

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """A unit at one site of each row of `obs`."""
        batch, single = self._observations.batch(obs)
        self._opened[self._new] = self._shown(batch[self._new])
        self._new[:] = False
        action = self._actions.neutral(len(batch))
        for row in range(len(batch)):  # a row is a batch of its own: its sites side by side
            site, size = self._chosen(batch[row], self._opened[row])
            if site >= 0:
                action[row, self._action[site]] = min(size / self._step_mw[site], 1.0)
        return self._actions.coded(action, single)

    def _chosen(self, shown: FloatArray, opened: FloatArray) -> tuple[int, float]:
        """The site and the size of its unit; -1: none fits anywhere."""
        asked = shown[self._asked]
        most = np.where(asked > ASKS_MW, np.minimum(asked, self._step_mw), 0.0)
        sites = np.flatnonzero(most > 0.0)
        if sites.size == 0:
            return -1, 0.0
        grid = self._opening(shown, opened, sites)
        bounds, evaluate = grid.bounds, grid.evaluate
        base, _ = evaluate(np.zeros(1, dtype=np.int64), np.zeros(1))
        if not bounds.kept(base)[0]:
            return -1, 0.0
        size = self._largest(evaluate, base, bounds, most[sites])
        if size.max() <= ASKS_MW:
            return -1, 0.0
        x, _ = evaluate(np.arange(sites.size), size)
        with np.errstate(invalid="ignore"):
            room = np.minimum(
                (bounds.high - x) / (bounds.high - base), (x - bounds.low) / (base - bounds.low)
            )
        left = np.nanmin(room, axis=1)
        score = np.where(size >= 0.99 * size.max(), left, -np.inf)
        best = int(score.argmax())
        return int(sites[best]), float(size[best])

    @abstractmethod
    def _largest(self, evaluate: Any, base: FloatArray, bounds: Bounds, most: FloatArray) -> FloatArray:
        """(sites,) the largest unit of each that keeps every limit, at most ``most`` MW."""


class Sweep(_OneByOne):
    """Sizes in eight equal steps up to a whole unit, at every site; see `_OneByOne`."""

    name = "host-sweep"

    def _largest(self, evaluate: Any, base: FloatArray, bounds: Bounds, most: FloatArray) -> FloatArray:
        part = np.arange(1, _LEVELS + 1) / _LEVELS
        x, found = evaluate(np.repeat(np.arange(most.size), _LEVELS), np.outer(most, part).reshape(-1))
        kept = (found & bounds.kept(x)).reshape(most.size, _LEVELS)
        steps = np.where(kept.all(axis=1), _LEVELS, kept.argmin(axis=1))  # the first that fails ends it
        return np.asarray(most * steps / _LEVELS)


class Bisection(_OneByOne):
    """The largest unit to a kilowatt, bracketed and bisected at all sites together; see `_OneByOne`."""

    name = "host-bisection"

    def _largest(self, evaluate: Any, base: FloatArray, bounds: Bounds, most: FloatArray) -> FloatArray:
        return first_crossings(evaluate, base, bounds, most, most, 1e-3).kept_mw
