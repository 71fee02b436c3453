"""What an environment plays on: rows of one grid that are solved again and again, whoever solves them.

`SolvedGrid` is the seam: everything above physics reads a power flow by these names and knows of no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .bounds import StateBounds
from .row_results import N_ENDED, N_MEASURED, ComplexArray, FloatArray, IntArray, RowResults

Port = tuple[int, str]  # row of a node, phase of a resource


#: Inputs of a row that devices move: a new one is a name here and an array of every `SolvedGrid`.
SETTINGS = ("tap", "cap_on")


class ColumnNames(NamedTuple):
    """What the columns of the results stand for, each name once: "671.A" or "18"."""

    voltage: tuple[str, ...]  # of ``v, v_pu``
    load: tuple[str, ...]  # of ``load_p_mw, load_q_mvar``
    branch: tuple[str, ...]  # of ``s_from, i_ka, loading``
    unbalance: tuple[str, ...]  # of ``vuf_pct``


class ColumnMap(Protocol):
    """How columns become the array that an info shows, over all nodes or branches."""

    @property
    def column(self) -> IntArray:
        """(places,) column of each place, -1 for none; empty where columns are shown as they are."""

    @property
    def size(self) -> int:
        """Entries that a row takes."""

    def filled(self, values: FloatArray) -> Any:
        """The array of one row from its ``values`` (columns,); a copy."""

    def over(self, values: FloatArray) -> Any:
        """The arrays of all rows from ``values`` (batch, size), in which places are filled already."""


class InfoColumns(NamedTuple):
    """How voltages, loading and unbalance are shown."""

    voltages: ColumnMap
    branch_loading: ColumnMap
    vuf_pct: ColumnMap


@dataclass(frozen=True, eq=False)
class SolveSetup:
    """What is asked of a `SolvedGrid` before its first row is solved."""

    v_min: FloatArray  # (n_nodes,) lowest voltage allowed, pu; NaN: no limit
    v_max: FloatArray
    ports: tuple[Port, ...] = ()  # where resources of a per-phase feeder connect: the columns of injections
    vuf_max_pct: float = 2.0  # unbalance allowed at nodes with three phases
    details: tuple[str, ...] = ("v", "s_from", "i_ka")  # results that are read; the others may be left out


class SolvedGrid(Protocol):
    """A batch of rows of one grid. Fill the inputs, call :meth:`solve`, read the results.

    Arrays are allocated once and live: the next call overwrites them, copies are the caller's. A row has the
    same results alone and beside others, whatever was solved before. The inputs of a row are loads,
    injections and settings; one more, such as ``closed`` (batch, n_switch), is another array beside these.
    """

    batch: int
    # -- inputs of a row -------------------------------------------------------------------------------------
    load_p_mw: FloatArray  # (batch, loads) power at 1 pu, positive when it consumes
    load_q_mvar: FloatArray
    inject_p_mw: FloatArray  # (batch, ports, or nodes of a balanced feeder) positive when it injects
    inject_q_mvar: FloatArray
    tap: FloatArray  # (batch, n_regulator) ratios 1 + position * step
    cap_on: FloatArray  # (batch, n_capacitor) 0 or 1
    # -- results: columns as in `ColumnNames`; NaN where no source reaches -----------------------------------
    v: ComplexArray  # (batch, voltages) pu; without rows or columns where ``details`` leaves it out
    v_pu: FloatArray
    s_from: ComplexArray  # (batch, branches) MVA into the branch; as ``v``
    i_ka: FloatArray  # as ``v``
    loading: FloatArray  # (batch, branches) of the rating
    vuf_pct: FloatArray  # (batch, nodes with three phases)
    port_v_pu: FloatArray  # (batch, columns of injections) what resources see
    ended: IntArray  # (batch, N_ENDED), and its columns; see `RowResults`
    measured: FloatArray  # (batch, N_MEASURED), and its columns
    status: IntArray
    voltage_violation_pu: FloatArray
    overload_mva: FloatArray
    vuf_violation_pct: FloatArray
    loss_mva: ComplexArray
    slack_mva: ComplexArray
    # -- limits ----------------------------------------------------------------------------------------------
    v_min: FloatArray  # (n_nodes,) as asked for
    v_max: FloatArray

    @property
    def names(self) -> ColumnNames:
        """Names of the columns."""

    @property
    def info_columns(self) -> InfoColumns:
        """How infos show the columns."""

    @property
    def v_limits_pu(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest voltage allowed, per column of voltages."""

    @property
    def rating_mva(self) -> FloatArray:
        """Rating per column of branches; NaN without one."""

    @property
    def dead_columns(self) -> tuple[IntArray, IntArray]:
        """Columns of loads and of injections that no source reaches: what they take is not supplied."""

    @property
    def vuf_violation_max_pct(self) -> float:
        """The most that ``vuf_violation_pct`` can be."""

    @property
    def has_solution(self) -> bool:
        """Whether :meth:`solution` tells the whole state."""

    def solution(self) -> Any:
        """All of the state that was solved last, such as a `Solution3`; ValueError where it is not kept."""

    def solve(self, *, lo: int = 0, hi: int | None = None) -> None:
        """Solve rows [lo, hi), all by default. A power flow that fails is a flag of its row."""

    def bounds(self, s_load_mva: FloatArray, s_port_mva: FloatArray) -> StateBounds:
        """Bounds of every solved state, per column, given the largest apparent power of loads and injections.

        ValueError where there are none.
        """

    def i_max_ka(self, s_branch_mva: FloatArray, v_low_pu: float) -> FloatArray:
        """Per column of branches: a current that carries ``s_branch_mva`` at the lowest voltage."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Every array that a row's infos and observations depend on: live, batch first."""


#: What makes a `SolvedGrid`: network, rows, what is asked of it, and None or one that it made for the same
#: setup, whose tables it may share.
PowerFlow = Callable[[Any, int, SolveSetup, Any], SolvedGrid]


class SolvedArrays(RowResults):
    """The arrays of a `SolvedGrid`, allocated: what a class of your own begins with.

    It has no settings and unbalance; ``v, s_from, i_ka`` are kept, and resources see the voltages.
    """

    def __init__(self, batch: int, n_voltage: int, n_load: int, n_port: int, n_branch: int) -> None:
        self.batch = batch
        self.load_p_mw, self.load_q_mvar = (np.zeros((batch, n_load)) for _ in range(2))
        self.inject_p_mw, self.inject_q_mvar = (np.zeros((batch, n_port)) for _ in range(2))
        self.tap, self.cap_on = (np.zeros((batch, 0)) for _ in range(2))
        self.v = np.ones((batch, n_voltage), dtype=np.complex128)
        self.v_pu = self.port_v_pu = np.ones((batch, n_voltage))
        self.s_from = np.zeros((batch, n_branch), dtype=np.complex128)
        self.i_ka, self.loading = (np.zeros((batch, n_branch)) for _ in range(2))
        self.vuf_pct = np.zeros((batch, 0))
        self._name_columns(np.zeros((batch, N_ENDED), dtype=np.int64), np.zeros((batch, N_MEASURED)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a copy, what were live columns have become arrays of their own: look anew."""
        self.__dict__.update(state)
        self._name_columns(self.ended, self.measured)


class PlainColumns:
    """One column for each node or branch, shown as it is."""

    column: IntArray = np.empty(0, dtype=np.int64)

    def __init__(self, size: int) -> None:
        self.size = size

    def filled(self, values: FloatArray) -> FloatArray:
        """A copy."""
        return values.copy()

    def over(self, values: FloatArray) -> FloatArray:
        """The values themselves."""
        return values


class NoColumns:
    """A quantity that a grid does not have: every row shows 0."""

    column: IntArray = np.empty(0, dtype=np.int64)
    size = 0

    def filled(self, _values: FloatArray) -> float:
        """Zero."""
        return 0.0

    def over(self, values: FloatArray) -> FloatArray:
        """(batch,) zeros."""
        return np.zeros(len(values))
