"""What the three-phase kernels read and write, and the kinds of step they know.

A *conductor* is one phase of one node that a source reaches; conductors are numbered in sweep order. A
*segment* feeds one to three conductors of a node. Segments that are not coupled to each other (the phases of
a regulator bank, of three separate lines) are separate segments, so a phase costs what it needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: Kinds of segment. V: voltages, I: currents into the child, p: parent, c: child.
WIRE = 0  # V_c = V_p
SINGLE = 1  # V_c = V_p - z I
SCALED = 2  # V_c = a V_p - z I,  I_p = conj(a) I
TAP = 3  # as SCALED, with a real and moved by a regulator: z at its nominal ratio
TAP_LEG = 4  # V_c = V_r + a (V_p - V_q) - z I: a regulator winding between two phases, r a phase of the child
PAIR = 5  # V_c = V_p - Z I, two coupled conductors
TRIPLE = 6  # three coupled conductors
GENERAL = 7  # V_c = A V_p - B I,  I_p = D I, any number of conductors at both ends
FLOATING = 8  # GENERAL, and the mean of V_c moves until the currents into the child have no mean

#: Columns of ``Program.segment``.
KIND, OFFSET, N_CHILD, N_PARENT, CHILD, PARENT, NODE = 0, 1, 2, 3, 4, 7, 10

#: Kinds of admittance block at a node.
NO_SHUNT, SUSCEPTANCE, ADMITTANCE = 0, 1, 2

#: Bits of ``Outputs.status``, as in the balanced kernel.
CONVERGED, DIVERGED, COLLAPSED = 1, 2, 4

#: Columns of ``Program.item_coef``.
SHARE_P, SHARE_Q, Z_P, I_P, Z_Q, I_Q, CVR_P, CVR_Q, LOW, HIGH = range(10)


class Program(NamedTuple):
    """One network in one switch state, ready for the sweep."""

    segment: IntArray  # (n_segment, 11), parents before children; see the columns above
    node: IntArray  # (n_node, 6): conductors, the three of them (-1: none), shunt kind, coefficient offset
    coef: FloatArray  # all complex coefficients as re, im; blocks row by row
    slot: IntArray  # (m,) 3 * bus row + phase of each conductor; -1 behind a source's impedance
    constant: FloatArray  # (2, m) share of the conductor's P and Q that is constant power
    cap: IntArray  # (n, 3): conductor, other conductor or -1 for ground, row of the capacitors table
    cap_b: FloatArray  # (n,) susceptance when on, pu
    tap: IntArray  # (n_tap, 2): row of the regulators table (-1: fixed), 1 where the child is its from end
    tap_factor: FloatArray  # (n_tap,) ratio at the neutral position
    item: IntArray  # (n_item, 4): conductor, other or -1, slot of the power it shares in, 1: takes injections
    item_coef: FloatArray  # (n_item, 10): shares of the slot's power, ZIP shares, exponents, voltage band
    n_item: IntArray  # (3,) items at conductors; those and legs with a nominal load; all, every leg included
    root: IntArray  # (n, 3): conductor, source row, phase


class Inputs(NamedTuple):
    """Arguments of a batch, (batch or 1, columns) each: one row serves all; 0 rows: nothing given."""

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

    v: ComplexArray  # (batch, 3 n_bus) pu
    current: ComplexArray  # (batch, 3 n_bus) pu, into the node from what feeds it
    i_source: ComplexArray  # (batch, 3 n_source)
    status: IntArray  # (batch,)
    iterations: IntArray
    v_update_pu: FloatArray


class Cell(NamedTuple):
    """Working memory of one row (rank 1) or of one block of lanes (rank 2): entries are conductors, items …"""

    v_re: FloatArray
    v_im: FloatArray
    i_re: FloatArray
    i_im: FloatArray
    p: FloatArray
    q: FloatArray
    item_p: FloatArray
    item_q: FloatArray
    taps: tuple[FloatArray, FloatArray]  # ratio; what the ratio makes of the impedance
    cap_on: FloatArray
    track: FloatArray  # largest squared voltage update, smallest |V|^2, largest |I|^2
    room: FloatArray  # scratch
