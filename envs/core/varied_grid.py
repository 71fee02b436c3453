"""A `SolvedGrid` whose rows have other networks: each row is solved by the one of its network.

The networks have the same nodes and branches, so that all columns are the same; rows of one network are
gathered, solved together and put back. A row has the bits that it has alone on its network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...physics import StateBounds
from ...physics.solved_grid import SETTINGS, PowerFlow, SolvedGrid, SolveSetup
from .network_variants import Variant

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_INPUTS = ("load_p_mw", "load_q_mvar", "inject_p_mw", "inject_q_mvar", *SETTINGS)
_ROWS = 256  # that are solved at once: enough for compiled loops


class VariedGrid:
    """``batch`` rows, each on one of several networks; attributes are those of a `SolvedGrid`.

    ``network`` (batch,) says which; `begin` draws it. All arrays are those of a grid of the first network
    that is never solved itself.
    """

    has_solution = False

    def __init__(
        self, variants: Sequence[Variant], solver: PowerFlow, batch: int, setup: SolveSetup,
        like: VariedGrid | None,
    ) -> None:  # fmt: skip
        rows = min(batch, _ROWS)
        front: SolvedGrid | None = None if like is None else like._front
        alike: tuple[SolvedGrid | None, ...] = (None,) * len(variants) if like is None else like._grids
        self._front: SolvedGrid = solver(variants[0].net, batch, setup, front)
        self._grids: tuple[SolvedGrid, ...] = tuple(
            solver(one.net, rows, setup, other) for one, other in zip(variants, alike, strict=True)
        )
        self._rows, self._variants = rows, tuple(variants)
        if like is None:
            for variant, grid in zip(variants, self._grids, strict=True):
                _check_columns(variant, grid, self._front)
        self.network = np.zeros(batch, dtype=np.int64)
        self._tie()

    def __getattr__(self, name: str) -> Any:
        """What does not depend on the network, and all arrays, are those of the grid in front."""
        if name.startswith("__") or name == "_front":
            raise AttributeError(name)
        return getattr(self._front, name)

    def __getstate__(self) -> dict[str, Any]:
        """A copy ties its own arrays together."""
        return {name: value for name, value in self.__dict__.items() if name != "_ties"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._tie()

    def _tie(self) -> None:
        self._ties = [(_inputs(self._front, grid), _results(self._front, grid)) for grid in self._grids]

    def begin(self, rows: IntArray, rngs: Sequence[np.random.Generator]) -> None:
        """Episodes begin in ``rows``: each draws its network from its own generator."""
        self.network[rows] = [rng.integers(len(self._grids)) for rng in rngs]

    def solve(self, *, lo: int = 0, hi: int | None = None) -> None:
        """Solve rows [lo, hi), all by default, each on its network."""
        part = self.network[lo : self._front.batch if hi is None else hi]
        order = np.argsort(part, kind="stable") + lo
        counts = np.bincount(part, minlength=len(self._grids))
        first = 0
        for k in np.flatnonzero(counts).tolist():
            last = first + int(counts[k])
            for at in range(first, last, self._rows):
                self._solve_rows(k, order[at : min(at + self._rows, last)])
            first = last

    def _solve_rows(self, k: int, rows: IntArray) -> None:
        """Rows of network ``k``, as many as its grid has at most."""
        n, (inputs, results) = rows.size, self._ties[k]
        where: slice | IntArray = slice(rows[0], rows[0] + n) if rows[-1] - rows[0] == n - 1 else rows
        for mine, other in inputs:
            other[:n] = mine[where]
        self._grids[k].solve(lo=0, hi=n)
        for mine, other in results:
            mine[where] = other[:n]

    def drawn(self) -> dict[str, FloatArray]:
        """(batch,) each, by name: 1 for the topology that a row has, mean factors of its lines."""
        of = self._variants
        topology = np.array([one.topology for one in of])[self.network]
        n = of[-1].topology + 1
        found = {f"topology[{k}]": (topology == k).astype(np.float64) for k in range(n) if n > 1}
        means = {"line_r": [one.line_r for one in of], "line_x": [one.line_x for one in of]}
        return found | {name: np.array(values)[self.network] for name, values in means.items()}

    def bounds(self, s_load_mva: FloatArray, s_port_mva: FloatArray) -> StateBounds:
        """Bounds that hold on every network."""
        every = [grid.bounds(s_load_mva, s_port_mva) for grid in self._grids]
        return StateBounds(
            min(one.v_low_pu for one in every),
            np.maximum.reduce([one.v_high_pu for one in every]),
            max(one.p_loss_mw for one in every),
            np.maximum.reduce([one.s_branch_mva for one in every]),
        )

    def solution(self) -> Any:
        """ValueError: the whole state is that of one of several networks, and is not kept."""
        raise ValueError("rows on other networks keep no whole solution: read the columns")

    def state(self) -> dict[str, NDArray[Any]]:
        """Live arrays of the solved state, and which network a row has."""
        return {**self._front.state(), "network": self.network}


@dataclass(frozen=True, eq=False)
class VariedFlow:
    """The power flow of rows on these networks, each of which ``solver`` solves."""

    variants: tuple[Variant, ...]
    solver: PowerFlow

    def __call__(self, _net: Any, batch: int, setup: SolveSetup, like: Any) -> SolvedGrid:
        """See `PowerFlow`."""
        return cast(SolvedGrid, VariedGrid(self.variants, self.solver, batch, setup, like))


def _inputs(front: SolvedGrid, grid: SolvedGrid) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    pairs = [(getattr(front, name), getattr(grid, name)) for name in _INPUTS]
    return [(mine, other) for mine, other in pairs if mine.shape[1]]


def _results(front: SolvedGrid, grid: SolvedGrid) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Arrays that a solve writes, each once."""
    here, there = front.state(), grid.state()
    pairs = [(here[name], there[name]) for name in here if name not in SETTINGS]
    for name in ("port_v_pu", "vuf_pct"):
        mine = getattr(front, name)
        if mine.shape[1] and not any(mine is one for one, _ in pairs):
            pairs.append((mine, getattr(grid, name)))
    return [(mine, other) for mine, other in pairs if mine.size]


def _check_columns(variant: Variant, grid: SolvedGrid, front: SolvedGrid) -> None:
    """ValueError where a network has other columns, or phases without supply."""
    same = grid.names == front.names and all(
        np.array_equal(mine, other) for mine, other in zip(grid.dead_columns, front.dead_columns, strict=True)
    )
    if not same:
        raise ValueError(
            f"Randomisation: {variant.what} leaves phases without a source that another topology feeds: "
            "every topology must feed every phase"
        )
