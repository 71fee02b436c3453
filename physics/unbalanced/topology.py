"""One combination of switch states of a per-phase feeder, and how its phases are numbered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...cases.model.feeder import Feeder
from .assembly.build_program import SweepLayout
from .assembly.equations import Equations
from .assembly.forest import BoolArray
from .kernel_tables import IntArray, SweepPlan
from .kernels.adjoint_tables import AdjointTree, TreeRoom
from .kernels.branch_flows import FlowTable
from .kernels.newton_system import Memory


@dataclass(frozen=True, eq=False)
class SweepTopology:
    """One combination of switch states, ready for the kernel."""

    plan: SweepPlan
    layout: SweepLayout
    flows: FlowTable
    energised: BoolArray  # (n_bus, 3)
    ground_slots: BoolArray  # (3 n_bus,) phases that can carry power to ground: no delta winding floats them
    leg_slots: BoolArray  # (3 n_bus,) legs that exist
    in_tree: BoolArray  # (n_branch,)
    child_is_to: BoolArray  # (n_branch,)
    dropped: IntArray  # branch rows left out, at least in one phase, as they close loops
    cut: dict[int, tuple[int, ...]]  # the same rows, with the phases that are cut where others carry on
    irregular: str  # why Newton's method solves it instead of sweeps along its tree; empty: sweeps do
    write: Callable[[bool], Equations] = field(repr=False)  # True: telling the currents of branch ends
    grow: Callable[[], AdjointTree | None] = field(repr=False)
    closing: IntArray = field(default_factory=lambda: np.empty(0, np.int64))  # rows that close loops, kept
    lone_rows: list[Callable[..., int]] = field(default_factory=list, repr=False)  # sweeps, lent and returned
    memories: list[Memory] = field(default_factory=list, repr=False)  # of Newton's method, likewise
    lone_adjoints: list[Callable[..., None]] = field(default_factory=list, repr=False)
    # Of gradients, likewise: of lone rows, and of blocks of lanes.
    tree_rooms: tuple[list[TreeRoom], list[TreeRoom]] = field(default_factory=lambda: ([], []), repr=False)

    @property
    def ungrounded(self) -> BoolArray:
        """(n_bus, 3) True in zones without a winding or source to ground: shunts hold their potential."""
        return self.layout.floating

    @cached_property
    def equations(self) -> Equations:
        """Kirchhoff's laws for Newton's method, written when they are first needed."""
        return self.write(False)

    @cached_property
    def end_equations(self) -> Equations:
        """The same, telling currents into both ends of branches but for what the charging there takes."""
        return self.write(True)

    @cached_property
    def adjoint(self) -> AdjointTree | None:
        """The tree by blocks, for gradients; None where they need the equations."""
        return self.grow()


class PhaseIndex:
    """Which row of a matrix stands for which phase of which node: node by node, A, B, C, absent ones left
    out.

    ``index[node_id, phase]`` is a row, ``index.at(row)`` the pair; ``index.row`` (n_bus, 3) holds -1 where a
    phase is absent.
    """

    def __init__(self, feeder: Feeder, present: BoolArray) -> None:
        self.row: IntArray = np.full(present.shape, -1, dtype=np.int64)
        self.row[present] = np.arange(np.count_nonzero(present))
        names, phases = feeder.column("nodes", "node_id"), feeder.column("nodes", "phase")
        self.pairs = [
            (str(name), letter) for name, letters in zip(names, phases, strict=True) for letter in letters
        ]
        self._row_of = {pair: k for k, pair in enumerate(self.pairs)}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, pair: tuple[str, str]) -> int:
        return self._row_of[pair]

    def at(self, row: int) -> tuple[str, str]:
        """(node id, phase) of a matrix row."""
        return self.pairs[row]
