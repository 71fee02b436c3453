"""The best positions of tap changers and banks on the AC power flow itself.

Every candidate is a row of a batch of power flows, balanced or per phase, with the load models of the
feeder. Where all combinations are few enough all are looked at and the best is the optimum; else coordinates
and pairs of them are searched from several starts, and the best is the best known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ..errors import RunError, unknown
from .integer_search import Found, best_found, best_of_all, drawn_starts, n_combinations

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: What is made small, MW, of the power flow's solution.
OBJECTIVES: dict[str, Callable[[Any], Any]] = {
    "loss": attrgetter("p_loss_mw"), "head": attrgetter("p_slack_mw"),
}  # fmt: skip


@dataclass(frozen=True)
class SwitchedOptimum:
    """The best settings found.

    Attributes:
        tap_pos: Position of every tap changer of the feeder's table.
        cap_on: State of every bank of the feeder's table.
        objective_mw: What was made small. p_loss_mw, p_slack_mw: of the power flow there.
        v_min_pu, v_max_pu: Over the buses whose band was asked for.
        violation_pu: The sum over these buses (and phases) of what lies outside the band, 0 where it is kept.
        n_settings: Combinations that there are. n_solved: power flows solved.
        status: "optimal" where all combinations were solved, "best known" where they were not, "infeasible"
            where all were solved and none keeps the band, "none found" where none of those tried does.
    """

    tap_pos: IntArray
    cap_on: BoolArray
    objective_mw: float
    p_loss_mw: float
    p_slack_mw: float
    v_min_pu: float
    v_max_pu: float
    violation_pu: float
    n_settings: int
    n_solved: int
    status: str


def best_settings(
    net: physics.Network | physics.Network3,
    *,
    objective: str = "loss",
    v_band: tuple[float, float] = (0.95, 1.05),
    buses: Sequence[str] | None = None,
    tap_pos: IntArray | None = None,
    taps: Sequence[str] | None = None,
    banks: Sequence[str] | None = None,
    most_exhaustive: int = 200_000,
    starts: int = 10,
    seed: int = 0,
    **power_flow: Any,
) -> SwitchedOptimum:
    """Positions of taps and banks with the least losses or the least power at the head, inside a band.

    A setting that keeps the band comes before all that do not; of those that do not, the one that leaves it
    by least is the best.

    Args:
        net: A compiled feeder with tap changers or banks.
        objective: "loss", or "head": the power taken from upstream, as conservation voltage reduction does.
        v_band: Least and most voltage in pu at ``buses``, in every phase.
        buses: Ids; None: those with loads.
        tap_pos: (n, n_regulator) the positions to choose from, one tuple a row, where gangs or limits leave
            fewer than all; None: any combination of all positions.
        taps: Ids of tap changers that may move; None: all. The others stay as stored. Not with ``tap_pos``.
        banks: Ids of banks that may switch; None: all. The others stay as stored.
        most_exhaustive: Up to so many combinations all are solved.
        starts: Of the search: as the feeder is, and random ones.
        seed: Of these.
        **power_flow: Further arguments of `physics.solve` for one row: loads, injections, source voltage.

    Raises:
        RunError: nothing to set, an unknown objective, bus, tap changer or bank, a band that is none,
            positions outside the range of a tap changer.
    """
    space = _Space.of(
        net, tap_pos, _free(net, "regulators", "reg_id", taps), _free(net, "capacitors", "cap_id", banks)
    )
    judge = _Judge(net, space, objective, v_band, buses, power_flow)
    if space.size <= most_exhaustive:
        return judge.described(best_of_all(space.choices, judge), ("optimal", "infeasible"))
    rng = np.random.default_rng(seed)
    begun = [space.start, *drawn_starts(space.choices, rng, starts - 1)]
    return judge.described(best_found(space.choices, judge, begun), ("best known", "none found"))


def _free(
    net: physics.Network | physics.Network3, table: str, column: str, ids: Sequence[str] | None
) -> BoolArray:
    """(rows of the table,) which of them may change."""
    known = [str(one) for one in net.feeder.column(table, column)]
    for name in ids or ():
        if name not in known:
            raise unknown(column, name, known)
    return np.array([ids is None or name in ids for name in known], dtype=bool)


@dataclass(frozen=True)
class _Space:
    """Settings as rows of integers: an entry for each tap changer (or one for all), one for each bank."""

    n_taps: int
    choices: tuple[IntArray, ...]  # values of each coordinate
    tuples: IntArray | None  # what the first coordinate chooses from
    start: IntArray

    @classmethod
    def of(
        cls, net: physics.Network | physics.Network3, tuples: IntArray | None, taps_free: BoolArray,
        banks_free: BoolArray,
    ) -> _Space:  # fmt: skip
        table = net.feeder.regulators
        least, most = (table.column(name).to_numpy() for name in ("tap_min", "tap_max"))
        stored = table.column("tap_pos").to_numpy().astype(np.int64)
        on = net.feeder.capacitors.column("status").to_numpy(zero_copy_only=False).astype(np.int64)
        if not stored.size and not on.size:
            raise RunError(f"feeder {net.feeder.name!r} has neither tap changers nor banks: nothing to set")
        banks = tuple(np.arange(2) if free else now[None] for free, now in zip(banks_free, on, strict=True))
        if tuples is None:
            taps = tuple(
                np.arange(lo, hi + 1) if free else now[None]
                for lo, hi, free, now in zip(least, most, taps_free, stored, strict=True)
            )
            return cls(stored.size, (*taps, *banks), None, np.concatenate([stored, on]))
        given = np.asarray(tuples)
        if given.ndim != 2 or given.shape[1] != stored.size or not given.size or given.dtype.kind != "i":
            raise RunError(
                f"tap_pos must be whole numbers, (n, {stored.size}) for this feeder; got {given.dtype} of "
                f"shape {given.shape}"
            )
        if (given < least).any() or (given > most).any():
            row, column = np.argwhere((given < least) | (given > most))[0]
            name = table.column("reg_id")[int(column)].as_py()
            raise RunError(
                f"tap_pos[{row}]: position {given[row, column]} of {name!r}, expected "
                f"{least[column]} to {most[column]}"
            )
        near = int(np.abs(given - stored).sum(axis=1).argmin())
        return cls(stored.size, (np.arange(len(given)), *banks), given, np.concatenate([[near], on]))

    @property
    def size(self) -> int:
        """Number of settings."""
        return n_combinations(self.choices)

    def taps(self, settings: IntArray) -> IntArray:
        """(n, n_regulator) positions."""
        return settings[:, : self.n_taps] if self.tuples is None else self.tuples[settings[:, 0]]

    def banks(self, settings: IntArray) -> BoolArray:
        """(n, n_bank) states."""
        first = self.n_taps if self.tuples is None else 1
        return settings[:, first:] == 1


@dataclass
class _Judge:
    """Solves settings and says which is the best."""

    net: Any
    space: _Space
    objective: str
    v_band: tuple[float, float]
    buses: Sequence[str] | None
    power_flow: dict[str, Any]
    n_solved: int = 0
    at: IntArray = field(init=False)

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)
        low, high = self.v_band
        if not 0.0 <= low < high:
            raise RunError(f"v_band must be (least, most) in pu with 0 <= least < most, got {self.v_band!r}")
        feeder = self.net.feeder
        names = self.buses if self.buses is not None else feeder.column("loads", "node_id")
        wanted = dict.fromkeys(str(name) for name in names)
        for name in wanted:
            if name not in feeder.node_index:
                raise unknown("bus", name, feeder.node_index)
        self.at = np.array([feeder.node_index[name] for name in wanted], dtype=np.int64)

    def __call__(self, settings: IntArray) -> tuple[FloatArray, FloatArray]:
        """By how much each setting leaves the band, and its objective; infinite where nothing is solved."""
        sol = self._solved(settings)
        self.n_solved += len(settings)
        v = self._judged(sol)
        low, high = self.v_band
        outside = (np.maximum(low - v, 0.0) + np.maximum(v - high, 0.0)).sum(axis=1)
        objective = np.asarray(OBJECTIVES[self.objective](sol))
        solved = sol.converged & ~sol.collapsed
        return np.where(solved, outside, np.inf), np.where(solved, objective, np.inf)

    def _solved(self, settings: IntArray) -> Any:
        taps = tap_ratios(self.net, self.space.taps(settings)) if self.space.n_taps else None
        return physics.solve(self.net, tap=taps, cap_on=self.space.banks(settings), **self.power_flow)

    def _judged(self, sol: Any) -> FloatArray:
        v = sol.v_pu[:, self.at].reshape(len(sol.v_pu), -1)
        return np.asarray(v[:, ~np.isnan(v).all(axis=0)])

    def described(self, best: Found, statuses: tuple[str, str]) -> SwitchedOptimum:
        """The result; ``statuses``: where the band is kept, and where it is not."""
        one = best.setting[None]
        sol = self._solved(one)
        v = self._judged(sol)[0]
        return SwitchedOptimum(
            tap_pos=self.space.taps(one)[0], cap_on=self.space.banks(one)[0], objective_mw=best.merit[1],
            p_loss_mw=float(sol.p_loss_mw[0]), p_slack_mw=float(sol.p_slack_mw[0]),
            v_min_pu=float(v.min()), v_max_pu=float(v.max()), violation_pu=best.merit[0],
            n_settings=self.space.size, n_solved=self.n_solved,
            status=statuses[0] if best.merit[0] == 0.0 else statuses[1],
        )  # fmt: skip


def tap_ratios(net: physics.Network | physics.Network3, tap_pos: IntArray) -> FloatArray:
    """Positions (n, n_regulator) as the ``tap`` of `physics.solve`: of each regulator, or of each branch."""
    table = net.feeder.regulators
    gain = 1.0 + tap_pos * table.column("tap_step_pu").to_numpy()
    if isinstance(net, physics.Network3):
        return np.asarray(gain)
    whole = np.repeat(np.asarray(net.tap)[None], len(tap_pos), axis=0)
    row = {str(name): k for k, name in enumerate(net.feeder.column("branches", "branch_id"))}
    at = [row[str(name)] for name in table.column("branch_id").to_pylist()]
    whole[:, at] = net.reg_ratio / gain
    return whole
