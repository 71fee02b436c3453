"""What the adjoint of a per-phase power flow reads, writes and works in, along a tree or by equations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...numba_tools.lanes import LANES, aligned
from ..kernel_tables import FloatArray, IntArray
from .adjoint_blocks import DENSE_NUMBERS

#: Numbers that a floating block keeps: 12 of inverse(1' G 1) 1' G, 2 of the same of n, 6 of t.
EXTRA = 20


class Seeds(NamedTuple):
    """The derivatives of f by what a solution tells, batch first; (0, 0) where there are none."""

    v_pu: FloatArray  # (batch, 3 n_bus)
    v_rad: FloatArray
    p_from_mw: FloatArray  # (batch, 3 n_branch)
    q_from_mvar: FloatArray
    p_to_mw: FloatArray
    q_to_mvar: FloatArray
    total: FloatArray  # (batch, 4): P and Q of losses, P and Q of all sources


class Powers(NamedTuple):
    """The powers of solved rows, (batch or 1, 3 n_bus); the first eight of an `Inputs`."""

    p_mw: FloatArray
    q_mvar: FloatArray
    p_inject_mw: FloatArray
    q_inject_mvar: FloatArray
    p_delta_mw: FloatArray
    q_delta_mvar: FloatArray
    p_delta_inject_mw: FloatArray
    q_delta_inject_mvar: FloatArray


class Adjoints(NamedTuple):
    """What is written, batch first."""

    p: FloatArray  # (batch, 3 n_bus) by MW injected from ground
    q: FloatArray  # by Mvar
    tap: FloatArray  # (batch, n_regulator)
    v_source: FloatArray  # (batch, n_source)
    move: FloatArray  # (batch, 1) how far the voltages are from those of the loads


class AdjointTree(NamedTuple):
    """A per-phase feeder in one switch state, by blocks, parents first."""

    block: IntArray  # (blocks, BLOCK_WIDTH)
    step: IntArray  # (steps, STEP_WIDTH) segments of tapped blocks
    number: FloatArray
    place: IntArray  # (conductors, 3): block, place in it, slot (-1: of a source)
    constant: FloatArray  # (2, conductors) share of P and Q that is constant power
    item: IntArray  # (items, 4): conductor, other or -1, slot, whether it takes injections
    n_nominal: int  # of those that draw power where no argument is told of legs
    item_coef: FloatArray  # (items, ITEM_COEFS)
    cap: IntArray  # (banks, 3): conductor, other or -1, row of the capacitors table
    cap_b: FloatArray  # (banks,) pu
    tap: IntArray  # (entries, 2): row of the regulators table or -1, whether the child is the from end
    tap_factor: FloatArray  # (entries,)
    root: IntArray  # (roots, 3): conductor, row of the sources table, phase
    wire: IntArray  # (., 4): conductor, its parent's, end of the branch there, end here: all that flows there
    line: IntArray  # (., 3): conductor, end of the branch at its parent, end at it: with charging beside it
    ends: IntArray  # (., 3): end of a branch, conductor whose current it takes, tap entry or -1
    ends_value: FloatArray  # (., 2)
    charge: IntArray  # (., 2): end, conductor whose voltage it takes
    charge_value: FloatArray  # (., 2)
    mixed: IntArray  # (., 2): end of a branch that no wire is alone at, the conductor there
    half: int  # 3 n_branch: ends at the from side come first
    source_at: IntArray  # (roots,) conductor of the source's node


class TreeRoom(NamedTuple):
    """Where rows are worked on: (entry, field) of a lone one, (entry, field, lane) of several."""

    v: FloatArray  # (conductors, 2)
    j: FloatArray  # (conductors, 2) currents of the segments into conductors
    by_j: FloatArray  # (conductors, 2) df/dj
    m: FloatArray  # (conductors, 2) multipliers of currents
    big: FloatArray  # (blocks, 36) M, later G, transposed
    n: FloatArray  # (blocks, 6) later l
    w: FloatArray  # (blocks, 6)
    extra: FloatArray  # (blocks, EXTRA) of floating ones
    dense: FloatArray  # (blocks, DENSE_NUMBERS) of dense and tapped ones
    ratio: FloatArray  # (entries, 2) ratio, and what it makes of an impedance
    small: FloatArray  # (1, 144) scratch
    end: FloatArray  # (6 n_branch, 2)
    by_end: FloatArray  # (6 n_branch, 2)
    note: FloatArray  # (1 + regulators, 1) scratch, then sums by tap
    some: IntArray  # (blocks,) bits of conductors with rows in M; of others ``big`` has no numbers


def tree_room(tree: AdjointTree, regulators: int, rows: int) -> TreeRoom:
    """Room for one row, or for blocks of lanes where there are more."""
    blocks, conductors, ends = len(tree.block), len(tree.place), 2 * tree.half
    fields = (
        *[(conductors, 2)] * 4, (blocks, 36), (blocks, 6), (blocks, 6), (blocks, EXTRA),
        (blocks, DENSE_NUMBERS), (len(tree.tap), 2), (1, 144), (ends, 2), (ends, 2), (1 + regulators, 1),
    )  # fmt: skip
    lanes = () if rows == 1 else (LANES,)
    arrays = [aligned(shape + lanes) for shape in fields]
    return TreeRoom._make([*arrays, np.zeros(blocks, dtype=np.int64)])
