"""What each agent is paid: what its own units bring, and a share of what is nobody's own.

Of the reward of the environment a unit has on its own account: what it charges (wear, fuel, discomfort,
energy that a car left without), its accounts that the task prices (throughput, curtailment, switchings), the
load that it sheds, the energy that it takes or gives at the price of the interval, and the settlement of
what it holds at the end as if it settled alone. Losses, limits, peaks, and what units save by settling
together are nobody's own. A failed power flow takes its whole price from every agent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.terms import is_own
from ..core.unserved import UNSERVED
from ..kernels import ledger
from ..kernels.agents import own_accounts
from ..kernels.terms import ACCOUNT
from ..resources.accounts import ACCOUNTS
from ..resources.base import Resource
from ..resources.class_names import ships

if TYPE_CHECKING:
    from ..core.grid import Grid
    from ..resources import Fleet
    from ..tasks import Task

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
#: Words for shares.
OWN, TEAM = "own", "team"
#: Quantities of what is settled at the end of an episode.
_SETTLEMENT = ("energy_deficit_usd", "energy_surplus_usd", "energy_deficit_mwh")


def share_of(reward: str | float, n_agents: int) -> float | None:
    """The share of what is nobody's own that each agent gets; None: every agent gets the whole reward.

    "own": equal parts, so that the rewards of all agents add up to that of the environment.
    ValueError for anything but "own", "team" or a number from 0 to 1.
    """
    if reward == TEAM:
        return None
    if reward == OWN:
        return 1.0 / n_agents
    if isinstance(reward, bool) or not isinstance(reward, int | float) or not 0.0 <= reward <= 1.0:
        raise ValueError(f"reward must be {OWN!r}, {TEAM!r} or a share from 0 to 1, got {reward!r}")
    return float(reward)


class Credit:
    """How the last interval of a grid is put to the accounts of agents. One for each grid.

    Args:
        grid: whose fleet, task and ledger are read.
        agent_of: (units,) number of each unit's agent; -1 for nobody's.
    """

    def __init__(self, grid: Grid, agent_of: IntArray) -> None:
        self._grid, self._agent_of = grid, agent_of
        task, fleet = grid.task, grid.fleet
        factors = {} if is_own(task) else _factors(task)
        names = fleet.accounts.written
        weights = _weights(task, fleet, factors)
        self._which = np.array([names.index(name) for name in weights], dtype=np.int64)
        self._weights = np.array(list(weights.values())).reshape(len(weights), fleet.n_units)
        self._stock = np.array(
            [names.index(n) if n in names else -1 for n in ("stored_mwh", "owed_mwh")], dtype=np.int64
        )
        self._held = np.zeros((2, grid.batch, fleet.n_units))
        priced = grid.ledger is not None
        self._energy = -factors.get("energy_cost_usd", 0.0) * grid.dt_h if priced else 0.0
        deficit, surplus, deficit_mwh = (factors.get(name, 0.0) for name in _SETTLEMENT)
        self._settled = deficit, surplus, deficit_mwh
        self._none = np.zeros(grid.batch), np.zeros((grid.batch, 2)), np.zeros(grid.batch, dtype=np.bool_)

    def begin(self) -> None:
        """Remember what units hold in rows where an episode begins."""
        rows = np.flatnonzero(self._grid.step_index == 0)
        if rows.size:
            for k, account in enumerate(self._stock.tolist()):
                if account >= 0:
                    self._held[k, rows] = self._grid.fleet.accounts.table[account, rows]

    def write(self, first_row: int, out: FloatArray, failed: BoolArray) -> None:
        """Fill rows ``first_row`` on of ``out`` (all rows, agents) for the interval just solved.

        ``failed`` (batch,): rows whose power flow failed.
        """
        grid, (price, prices, settles) = self._grid, self._none
        if grid.ledger is not None:
            price = grid.ledger.entries[:, ledger.PRICE]
            prices = grid.ledger.memory[:, [ledger.HIGHEST_PRICE, ledger.LOWEST_PRICE]]
            settles = grid.step_index == grid.ledger.steps
        own_accounts(
            first_row, self._agent_of, grid.fleet.accounts.table, self._which, self._weights,
            grid.fleet.delivered_p_mw, price, self._energy, settles, self._stock, self._held, prices,
            *self._settled, failed, out,
        )  # fmt: skip


def _factors(task: Task) -> dict[str, float]:
    """What a unit of each quantity brings to the reward; terms of one quantity together."""
    found: dict[str, float] = {}
    for term in task.reward_terms:
        if term.ships and not term.parameters:
            found[term.of.name] = found.get(term.of.name, 0.0) + float(term.reader()[0])
    return found


def _weights(task: Task, fleet: Fleet, factors: dict[str, float]) -> dict[str, FloatArray]:
    """(units,) what each account of each unit brings, by account; those that bring nothing are left out."""
    found: dict[str, FloatArray] = {}

    def add(account: str, weight: float, units: slice) -> None:
        if weight:
            found.setdefault(account, np.zeros(fleet.n_units))[units] += weight

    everyone, first = slice(None), 0
    for term in () if not factors else task.reward_terms:
        source = term.of.source if term.ships else None
        if source is not None and source.kind == ACCOUNT and source.of in fleet.accounts.written:
            add(str(source.of), float(term.reader()[0]), everyone)
    for program in fleet.programs:
        units = slice(first, first + program.n_units)
        first = units.stop
        charges = program.max_cost_per_step and (
            ships(type(program)) or type(program).costs is Resource.costs
        )
        for account in program.writes if charges else ():
            if ACCOUNTS[account].cost is not None:
                add(account, factors.get("resource_cost", 0.0), units)
    if UNSERVED + "_mw" in fleet.accounts.written:
        add(UNSERVED + "_mw", -task.unserved_weight, everyone)
    return found
