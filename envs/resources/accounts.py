"""The accounts of a fleet: what each unit did, kept, missed or cost in the last interval.

Kernels write (batch, units) and nothing else: terms of tasks and costs by name are sums of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..kernels.devices import sum_units

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Account:
    """One quantity that units may write down, 0 or more.

    Attributes:
        name: With its unit, as arrays have it.
        unit: "MW", "MWh", "1", or "money": whatever a task's costs are counted in.
        meaning: In words.
        cost: Under which name the sum is a cost of its resource; None: an amount, which tasks may price.
    """

    name: str
    unit: str
    meaning: str
    cost: str | None = None


#: Every account that there is, by name.
ACCOUNTS: Mapping[str, Account] = {
    account.name: account
    for account in (
        Account("throughput_mwh", "MWh", "energy through storage, at its terminals"),
        Account("curtailed_mw", "MW", "available power that was not used"),
        Account("connected_mw", "MW", "generation that was newly connected"),
        Account("stored_mwh", "MWh", "energy in store at the end of the interval"),
        Account("standing_loss_mwh", "MWh", "energy that left the store by itself"),
        Account("shifted_mwh", "MWh", "load moved away from the interval that wanted it"),
        Account("unserved_mw", "MW", "load that was shed"),
        Account("undelivered_mwh", "MWh", "energy that a car left without"),
        Account("switchings", "1", "tap steps, switchings of banks and of switches"),
        Account("unsettled", "1", "units whose power does not agree with the voltage that it brings about"),
        Account("wear_cost", "money", "price of use: of switchings, of energy through storage", "wear"),
        Account("discomfort_cost", "money", "price of rooms too warm or cold, of load moved", "discomfort"),
        Account("undelivered_cost", "money", "price of energy that a car left without", "undelivered"),
        Account("load_curtailed_mw", "MW", "load that was curtailed at its own price"),
        Account("owed_mwh", "MWh", "energy put off that is still to be drawn, when the interval ends"),
        Account("dropped_mwh", "MWh", "work of servers that was not done in time"),
        Account("curtailment_cost", "money", "price of load that was curtailed", "curtailment"),
        Account("fuel_cost", "money", "fuel of generators", "fuel"),
        Account("start_cost", "money", "starts of generators", "start"),
        Account("dropped_cost", "money", "price of work that was not done in time", "dropped"),
    )
}


class Writer(Protocol):
    """What fills accounts: a resource."""

    accounts: Mapping[str, Floats]


class Accounts(Mapping[str, Floats]):
    """Arrays (batch, n_units) of a fleet by account; those that no unit writes are one read-only zero.

    ``accounts["throughput_mwh"]`` are the units in the order of the fleet; live, so copy what you keep.
    """

    def __init__(self, batch: int, sizes: Iterable[int], written: Iterable[tuple[str, ...]]) -> None:
        """``sizes``: units of each program; ``written``: names of the accounts that each of them writes."""
        #: (programs + 1,) where the units of each program begin.
        self.first: Ints = np.cumsum([0, *sizes], dtype=np.int64)
        self._names = tuple(written)
        shape = (batch, int(self.first[-1]))
        self.written: tuple[str, ...] = tuple(
            name for name in ACCOUNTS if any(name in names for names in self._names)
        )
        self._none = np.zeros(batch)
        self._none.setflags(write=False)
        self._shape = shape
        #: (accounts written, batch, units), as kernels read them.
        self.table: Floats = np.zeros((len(self.written), *shape))
        self._arrays: dict[str, Floats] = dict(zip(self.written, self.table, strict=True))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a copy, what were views of the table have become arrays of their own: look anew."""
        self.__dict__.update(state)
        self._arrays = dict(zip(self.written, self.table, strict=True))

    def of(self, program: int) -> dict[str, Floats]:
        """What the ``program``-th writes: views (batch, its units) by account."""
        units = slice(self.first[program], self.first[program + 1])
        return {name: self._arrays[name][:, units] for name in self._names[program]}

    def total(self, name: str) -> Floats:
        """(batch,) sum over units: fresh, or read-only zeros where no unit writes the account."""
        account = self._arrays.get(name)
        if account is None:
            return self._none
        out = np.empty(self._none.size)
        sum_units(account, self.first, out)
        return out

    def take(self, program: int, writer: Writer, bounds: Mapping[str, float]) -> None:
        """Take over what the user's own code wrote; ValueError where it is no amount, or beyond its bound.

        An amount that is not bounded would let a failed power flow pay.
        """
        for name, mine in self.of(program).items():
            theirs = writer.accounts[name]
            if not np.shares_memory(mine, theirs):  # assigned instead of filled
                mine[:] = theirs
            if not (mine >= 0.0).all():
                raise ValueError(
                    f"{type(writer).__name__}: account {name!r} must hold numbers >= 0, got {mine}"
                )
            most = float(mine.sum(axis=1).max(initial=0.0))
            if most > bounds[name] * (1.0 + 1e-9):
                raise ValueError(
                    f"{type(writer).__name__}: account {name!r} reaches {most:g} in one interval, above its "
                    f"bound {bounds[name]:g}; write most_of to return a true bound"
                )

    def __getitem__(self, name: str) -> Floats:
        if name in self._arrays:
            return self._arrays[name]
        if name not in ACCOUNTS:
            raise KeyError(f"there is no account {name!r}; there are {', '.join(ACCOUNTS)}")
        return np.broadcast_to(np.zeros(()), self._shape)

    def __iter__(self) -> Iterator[str]:
        return iter(ACCOUNTS)

    def __len__(self) -> int:
        return len(ACCOUNTS)


def check_names(owner: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of accounts that a resource declares; ValueError for one that there is not."""
    for name in names:
        if name not in ACCOUNTS:
            raise ValueError(f"{owner}: account {name!r} is unknown; expected some of {', '.join(ACCOUNTS)}")
    return tuple(names)


def costs_of(accounts: Mapping[str, Floats]) -> dict[str, Floats]:
    """Costs by name of one program: sums over its units, each fresh and (batch,)."""
    costs: dict[str, Floats] = {}
    for name, account in accounts.items():
        label = ACCOUNTS[name].cost
        if label is not None:
            costs[label] = np.empty(len(account))
            sum_units(account, np.array([0, account.shape[1]]), costs[label])
    return costs
