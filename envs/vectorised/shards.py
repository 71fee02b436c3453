"""A large batch as several grids of some rows each: what threads share, and what stays in their caches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.lanes import LANES
from ..core.grid import Grid
from ..core.outcome import Outcome
from ..resources.row_states import joined, taken
from .workers import share

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
_MOST_CELLS = 65_536  # nodes (phases) times rows of a shard; its arrays take some 8 MB
_LEAST_CELLS = 4_096  # below this, handing a shard to a thread costs more than it saves


class Shard(NamedTuple):
    """Rows [lo, hi) of the batch and the grid that plays them."""

    grid: Grid
    lo: int
    hi: int

    @property
    def rows(self) -> slice:
        """The rows, for indexing arrays of the whole batch."""
        return slice(self.lo, self.hi)


class Restart(NamedTuple):
    """Rows that begin a new episode, ascending, with the interval and the generator of each."""

    rows: IntArray
    starts: IntArray
    rngs: Sequence[np.random.Generator]

    def within(self, lo: int, hi: int) -> Restart:
        """The part in [lo, hi), with rows counted from ``lo``."""
        first, last = np.searchsorted(self.rows, (lo, hi)).tolist()
        part = slice(first, last)
        return Restart(self.rows[part] - lo, self.starts[part], self.rngs[part])


class Shards:
    """``batch`` independent rows. Where the borders are depends on the batch and the feeder alone.

    A row has the same bits in any batch, so results depend neither on the borders nor on ``threads``.
    """

    def __init__(
        self, make: Callable[[int, Grid | None], Grid], batch: int, n_node: int, threads: int
    ) -> None:
        self.threads, self.batch = threads, batch
        size = _rows_per_shard(batch, n_node)
        cuts = [*range(0, batch, size), batch]
        shards: list[Shard] = []
        for lo, hi in itertools.pairwise(cuts):
            grid = make(hi - lo, shards[0].grid if shards else None)
            grid.aside.first_row = lo
            shards.append(Shard(grid, lo, hi))
        self.shards = tuple(shards)

    def __iter__(self) -> Iterator[Shard]:
        return iter(self.shards)

    @property
    def grid(self) -> Grid:
        """One of the grids, for what all have in common: fleet, layout, limits."""
        return self.shards[0].grid

    def step(
        self,
        action: NDArray[np.float64],
        restart: Restart | None,
        take: Callable[[Shard, Outcome], None],
        then: Callable[[Shard], None],
    ) -> None:
        """Advance every row, then begin the episodes of ``restart`` in place of what their rows did.

        ``take`` gets what the step of a shard brought, ``then`` is called when its restarts are done, both on
        the shard's thread. A shard that begins anew as a whole has no outcome.
        """

        def work(k: int) -> None:
            shard = self.shards[k]
            part = _NOBODY if restart is None else restart.within(shard.lo, shard.hi)
            if part.rows.size < shard.grid.batch:
                take(shard, shard.grid.step(action[shard.rows]))
            if part.rows.size:
                shard.grid.reset(*part)
            then(shard)

        share(work, len(self.shards), self.threads)

    def reset(self, restart: Restart, then: Callable[[Shard], None] | None = None) -> None:
        """Begin the episodes of ``restart``; ``then`` is called for each shard that has any of them."""

        def work(k: int) -> None:
            shard = self.shards[k]
            part = restart.within(shard.lo, shard.hi)
            if part.rows.size:
                shard.grid.reset(*part)
                if then is not None:
                    then(shard)

        share(work, len(self.shards), self.threads)

    def visit(self, then: Callable[[Shard], None]) -> None:
        """Call ``then`` for each shard, on threads."""
        share(lambda k: then(self.shards[k]), len(self.shards), self.threads)

    def at(self, row: int) -> tuple[Grid, int]:
        """The grid that plays a row, and the row's place in it."""
        shard = next(s for s in self.shards if s.lo <= row < s.hi)
        return shard.grid, row - shard.lo

    def state(self, rows: IntArray) -> dict[str, Any]:
        """Copies of everything that the future of ``rows`` depends on, in their order."""
        owner = self._owner(rows)
        several = [
            (at, shard.grid.state(rows[at] - shard.lo))
            for k, shard in enumerate(self.shards)
            if (at := np.flatnonzero(owner == k)).size
        ]
        order = np.argsort(np.concatenate([at for at, _ in several]))
        return joined([state for _, state in several], order)

    def load_state(self, state: Mapping[str, Any], rows: IntArray) -> None:
        """Restore what :meth:`state` returned in ``rows``; a state of one row goes to each of them.

        ValueError where it belongs to another feeder or fleet, or to other rows: nothing is loaded then.
        """
        self.grid.check_state(state, rows.size)
        owner = self._owner(rows)
        for k, shard in enumerate(self.shards):
            at = np.flatnonzero(owner == k)
            if at.size:
                shard.grid.load_state(taken(state, at), rows[at] - shard.lo)

    def _owner(self, rows: IntArray) -> IntArray:
        """Which shard plays each row."""
        firsts = np.array([shard.lo for shard in self.shards])
        return np.searchsorted(firsts, rows, side="right") - 1


_NOBODY = Restart(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), ())


def _rows_per_shard(batch: int, n_node: int) -> int:
    """A multiple of the rows solved side by side: small enough for the cache, large enough for a thread.

    Shards are a power of two in number, so that two, four ... threads have equal work.
    """
    cells = batch * n_node
    shards = 1
    while cells > shards * _MOST_CELLS or (shards == 1 and cells >= 2 * _LEAST_CELLS):
        shards *= 2
    return -(-batch // (shards * LANES)) * LANES
