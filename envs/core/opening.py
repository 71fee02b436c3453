"""How an episode opens: the grid as it was one interval before the first, with the fleet left alone.

What the fleet does in that interval is found by a second fleet of a few rows, so that the one that plays is
reset and nothing else: rows that go on are not touched, and the work is that of the rows that begin.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...physics.solved_grid import SETTINGS, SolvedGrid
from ..resources import Fleet
from .settling import settling_of

if TYPE_CHECKING:
    from ...cases.profiles import Profiles
    from .ledger import Ledger

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Where = slice | IntArray
FEW_ROWS, MANY_ROWS = 32, 256  # that the second fleet has: enough for compiled loops, little beside a batch


class Opening:
    """The second fleet of a grid, of ``rows`` rows."""

    def __init__(self, fleet: Fleet, stepper: SolvedGrid, profiles: Profiles, rows: int) -> None:
        self.rows = rows
        self.fleet = fleet.again()
        self.fleet.bind(rows, profiles.dt_h, profiles, stepper)
        columns = stepper.inject_p_mw.shape[1]
        self._load = np.zeros((rows, stepper.load_p_mw.shape[1])) if fleet.uses_load else None
        self._p_mw, self._q_mvar = np.zeros((rows, columns)), np.zeros((rows, columns))
        self._neutral = np.repeat(fleet.neutral_action[None], rows, axis=0)
        self._v_pu = np.ones((rows, stepper.port_v_pu.shape[1]))
        self._moved = self._settings(stepper) if fleet.moving else None
        self._own = fleet.own
        self._settling = settling_of(self.fleet)
        self._first_guesses: list[tuple[IntArray, dict[str, FloatArray]]] = []

    def _settings(self, stepper: SolvedGrid) -> SimpleNamespace:
        """The settings of a grid that devices move, for the rows of the second fleet."""
        rows = {name: np.repeat(getattr(stepper, name)[:1], self.rows, axis=0) for name in SETTINGS}
        return SimpleNamespace(**rows)

    def begin(
        self, fleet: Fleet, stepper: SolvedGrid, rows: IntArray, rngs: Sequence[np.random.Generator],
        before: IntArray, loads: Callable[[slice], None], starts: IntArray, ledger: Ledger | None,
    ) -> None:  # fmt: skip
        """Reset ``rows`` of ``fleet``, and put what they would do unattended in the interval ``before`` (one
        per entry of ``rows``) into the power flow. ``loads`` draws and fills the loads of a part of the rows;
        ``ledger`` is opened with what there then is.
        """
        self._first_guesses = []
        for lo in range(0, rows.size, self.rows):
            part = slice(lo, lo + self.rows)
            where = _where(rows[part])
            self._begin(fleet, rows[part], where, rngs[part])
            loads(part)
            self._advance(before[part], stepper, where)
            self._inject(stepper, where, rows[part].size)
            if self._settling is not None:
                self._first_guesses.append((rows[part], self.fleet.state()))
            if ledger is not None:
                advance = functools.partial(self._advance, stepper=stepper, where=where)
                ledger.open(rows[part], starts[part], self.fleet, advance)

    def settle(self, fleet: Fleet, stepper: SolvedGrid) -> None:
        """Bring the rows that begin to rest, once they are solved; nothing where no device settles."""
        if self._settling is None:
            return
        for part, state in self._first_guesses:
            self.fleet.load_state(state)
            inject = functools.partial(self._inject, stepper, _where(part), part.size)
            self._settling.run(stepper, inject, part)
            fleet.accounts["unsettled"][part] = self.fleet.accounts["unsettled"][: part.size]
        self._first_guesses = []

    def _begin(self, fleet: Fleet, rows: IntArray, where: Where, rngs: Sequence[np.random.Generator]) -> None:
        """Both fleets start alike. Programs of the user's own get generators of their own that stand alike:
        their states may be more than they list, and they may go on drawing.
        """
        if self._own:
            self.fleet.reset(np.arange(rows.size), [copy.deepcopy(rng) for rng in rngs])
            fleet.reset(rows, rngs)
        else:
            fleet.reset(rows, rngs)
            self.fleet.take_rows(fleet, where, rows.size)

    def _advance(self, before: IntArray, stepper: SolvedGrid, where: Where) -> None:
        t_index = np.full(self.rows, before[0])
        t_index[: before.size] = before
        if self._load is not None:
            self._load[: before.size] = stepper.load_p_mw[where]
        self.fleet.advance(self._neutral, t_index, self._v_pu, self._load)

    def _inject(self, stepper: SolvedGrid, where: Where, n: int) -> None:
        p, q = self._p_mw, self._q_mvar
        p.fill(0.0)
        q.fill(0.0)
        self.fleet.add_injections(p, q)
        stepper.inject_p_mw[where], stepper.inject_q_mvar[where] = p[:n], q[:n]
        if self._moved is not None:
            self.fleet.apply(self._moved)
            for name, array in vars(self._moved).items():
                getattr(stepper, name)[where] = array[:n]

    def charged(self, fleet: Fleet) -> tuple[str, ...]:
        """Names of what the fleet charges; ``fleet`` is held to them from now on."""
        names = tuple(self.fleet.costs())
        fleet.expect(self.fleet)
        return names


def _where(rows: IntArray) -> Where:
    """Ascending rows as an index: a slice, which is not copied, where they have no gaps."""
    first, last = rows.item(0), rows.item(-1)
    return slice(first, last + 1) if last - first + 1 == rows.size else rows
