"""What the three-phase kernels read and write, and the kinds of step they know.

A *conductor* is one phase of one node that a source reaches; those of a node are numbered one after the
other, and after three of them a number is left out. A *segment* feeds one to three conductors of a node.
Segments that are not coupled to each other (the phases of a regulator bank, of three separate lines) are
separate segments, so a phase costs what it needs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: Kinds of segment. V: voltages, I: currents into the child, p: parent, c: child.
WIRE = 0  # V_c = V_p
SINGLE = 1  # V_c = V_p - z I
SCALED = 2  # V_c = a V_p - z I,  I_p = conj(a) I
TAP = 3  # V_c = a V_p - m z I with a and m from a tap entry; I_p = a I
TAP_LEG = 4  # V_c = V_r + a (V_p - V_q) - m z I: a winding between two phases, r a phase of the child
PAIR = 5  # V_c = V_p - Z I, two coupled conductors
TRIPLE = 6  # three coupled conductors
GENERAL = 7  # V_c = A V_p - B I_c,  I_p = D I_c, any number of conductors at both ends
SPLIT = 9  # GENERAL with one parent and two children: a centre-tap transformer
FLOATING = 8  # GENERAL, and the mean of V_c moves until the currents into the child have no mean

#: Columns of the table of segments: kind, place of its coefficients, conductors at both ends (CHILD and
#: PARENT are the first of three each), NODE: which node is complete then. ENTRY, REFERENCE: tap entry of TAP
#: and TAP_LEG and, in the place of the third child, phase r.
SEGMENT_WIDTH = 12
KIND, OFFSET, N_CHILD, N_PARENT, CHILD, PARENT, NODE = 0, 1, 2, 3, 4, 7, 10
ENTRY, REFERENCE = 11, 6

#: Columns of the table of nodes: number of conductors, the first one, kind and coefficients of the shunt.
NODE_WIDTH = 4
N_CONDUCTOR, FIRST, SHUNT_KIND, SHUNT = 0, 1, 2, 3

#: Kinds of admittance block at a node.
NO_SHUNT, SUSCEPTANCE, ADMITTANCE = 0, 1, 2

#: Columns of the table of items: both conductors, slot of the power, whether injections are taken. Columns of
#: the table of their models; SCALE: 1 over the voltage across the item that is 1 pu.
ITEM_WIDTH = 4
ITEM_A, ITEM_B, ITEM_SLOT, ITEM_PLAIN = 0, 1, 2, 3
ITEM_COEFS = 13
SHARE_P, SHARE_Q, Z_P, I_P, Z_Q, I_Q, CVR_P, CVR_Q, LOW, HIGH, RATED, MODEL, SCALE = range(13)
#: Values of MODEL.
CONSTANT, POLYNOMIAL, CURVED = 0.0, 1.0, 2.0

#: Widths of the tables of banks, of tap entries and of roots; how many sizes come before the tables.
CAP_WIDTH, TAP_WIDTH, ROOT_WIDTH = 3, 2, 3
N_SIZES = 14

#: Bits of the first column of ``Outputs.notes``, as of the balanced kernel's ``ended``.
#: Entries of ``Cell.track``.
D2_MOST, V2_LEAST, I2_MOST, GOING = 0, 1, 2, 3
N_TRACKED = 4


class SweepPlan(NamedTuple):
    """One network in one switch state, ready for the sweep; two arrays, because each costs a call its share.

    ``whole``: its sizes (see `pack`), then row by row the tables segment; node; slot (3 * bus row + phase of
    each conductor, -1 behind a source's impedance); cap (conductor, other conductor or -1 for ground, row of
    the capacitors table); tap (row of the regulators table or -1, 1 where the child is its from end); zone
    (1 + tap entry that each conductor is behind, 0: none; the same of the parent of each tap entry); item
    (conductor, other or -1, slot of the power it shares in, 1: takes injections); root (conductor, source
    row, phase); bar (slots, then slots of legs, where no power can be); ungrounded (nodes whose
    potential only shunts fix). ``number``: coefficients (complex as
    re, im; blocks row by row); shares of every conductor's P, then Q, that are constant power; susceptance of
    banks; ratio of tap entries at neutral; models of items; where power sums start and how banks react: see
    `start_profile`.
    """

    whole: IntArray
    number: FloatArray


def pack(
    segment: IntArray, node: IntArray, slot: IntArray, cap: IntArray, tap: IntArray,
    zone: tuple[IntArray, IntArray], item: IntArray, root: IntArray, bar_wye: IntArray, bar_leg: IntArray,
    coef: FloatArray, constant: FloatArray, cap_b: FloatArray, tap_factor: FloatArray, item_coef: FloatArray,
    n_wye_item: int, n_nominal_item: int, start: FloatArray, reaction: FloatArray, ungrounded: IntArray,
    n_slot: int,
) -> SweepPlan:  # fmt: skip
    """A program from its tables."""
    sizes = (
        len(segment), len(node), slot.size, len(cap), len(tap), len(item), len(root), n_wye_item,
        n_nominal_item, coef.size, bar_wye.size, bar_leg.size, ungrounded.size, n_slot,
    )  # fmt: skip
    tables = (segment, node, slot, cap, tap, *zone, item, root, bar_wye, bar_leg, ungrounded)
    whole = np.concatenate([np.array(sizes, dtype=np.int64), *(t.ravel() for t in tables)])
    numbers = (coef, constant, cap_b, tap_factor, item_coef, start, reaction)
    return SweepPlan(whole, np.concatenate([a.ravel() for a in numbers]))


class Inputs(NamedTuple):
    """Arguments of a batch, (batch or 1, columns) each: one row serves all; 0 rows: nothing given.

    Powers of a single row may keep their shape (n_bus, 3).
    """

    p_mw: FloatArray  # (., 3 n_bus), slot order
    q_mvar: FloatArray
    p_inject_mw: FloatArray
    q_inject_mvar: FloatArray
    p_delta_mw: FloatArray
    q_delta_mvar: FloatArray
    p_delta_inject_mw: FloatArray
    q_delta_inject_mvar: FloatArray
    v_source: ComplexArray  # (., 3 n_source)
    v_start: ComplexArray  # (., 3 n_bus)
    tap: FloatArray  # (., n_regulator) ratio
    cap_on: FloatArray  # (., n_capacitor) 0 or 1


class Outputs(NamedTuple):
    """Results of a batch, (batch, columns) each."""

    # (batch, 6 n_bus + 3 n_source) pu: voltages, currents into nodes, source currents; or only voltages
    phasors: ComplexArray
    notes: FloatArray  # (batch, 3): status bits, iterations, last voltage update in pu


class Workspace(NamedTuple):
    """Memory to work in."""

    cells: FloatArray  # (entries,) of a lone row, (entries, LANES) of a block
    live: IntArray  # (1 + items,)
    lane_notes: FloatArray  # (N_NOTES, LANES)


class Steps(NamedTuple):
    """Pointers to the tables of a program, and its sizes."""

    segment: Any
    node: Any
    slot: Any
    cap: Any
    tap: Any
    zone: Any
    item: Any
    root: Any
    bar: Any
    ungrounded: Any
    coef: Any
    constant: Any
    cap_b: Any
    tap_factor: Any
    item_coef: Any
    start: Any
    reaction: Any
    n_segment: int
    n_node: int
    n_conductor: int
    n_cap: int
    n_tap: int
    n_item: int  # of those that can draw power in this call
    n_wye_item: int
    n_root: int
    n_bar_wye: int
    n_bar_leg: int
    n_ungrounded: int
    n_slot: int


class Cell(NamedTuple):
    """Pointers to the working memory of one row or of one block of lanes: one entry a conductor."""

    v_re: Any
    v_im: Any
    i_re: Any
    i_im: Any
    p: Any
    q: Any
    p_sum: Any  # power that arrives, later power that is sent
    q_sum: Any
    w: Any  # 1 / |V|^2
    item_p: Any
    item_q: Any
    ratio: Any  # of every tap entry, as seen from the parent
    square: Any  # what the ratio makes of the impedance
    lift: Any  # what regulators make of the voltage of each zone
    cap_on: Any
    bank: Any  # of every bank: power, what it lacks, its change
    track: Any  # largest squared update or residual, smallest |V|^2, largest |I|^2, whether a lane moves on
    room: Any  # scratch, 3 entries
    live: Any  # how many items draw power, and which


class SegmentEnds(NamedTuple):
    """What a segment's own code needs of `Steps` and `Cell`: a call passes every field."""

    coef: Any
    ratio: Any
    square: Any
    v_re: Any
    v_im: Any
    i_re: Any
    i_im: Any
    track: Any


class Table(NamedTuple):
    """An argument of a batch: pointer, rows (1: the same for all; 0: nothing), columns."""

    data: Any
    rows: int
    columns: int
