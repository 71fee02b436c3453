"""What is wrong with the tables of a per-phase feeder; run by `feeder.check` after its own checks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import Problem
from ..schema import CAP_CONTROL_TYPES, OPEN_ENDS, TRANSFORMER_CONNECTIONS, matrices
from .checks import SLOTS, Check, choice, is_true, on_phases, phase_bits

MATRICES = ("r_ohm", "x_ohm", "b_us")
ROUNDING = 1e-9  # of the largest element: what a symmetric matrix may lack
POSITIVE = {  # columns that are null or > 0
    "transformers": ("tap_from", "tap_to"),
    "regulators": ("v_reg_v", "pt_ratio", "ct_a", "rev_v_reg_v", "max_tap_change"),
    "loads": ("v_low_pu", "v_high_pu", "v_rated_pu"),
    "cap_controls": ("pt_ratio", "ct_ratio"),
}
NOT_NEGATIVE = {
    "transformers": (
        *("r_pct", "noload_pct", "imag_pct", "antifloat_ppm"),
        *("r_h_pct", "r_1_pct", "r_2_pct"),
    ),
    "regulators": ("band_v", "delay_s", "tap_delay_s", "rev_band_v", "rev_delay_s", "v_limit_v"),
    "cap_controls": ("delay_on_s", "delay_off_s", "dead_time_s"),
}
UNIT = ("connection", "from_phase", "to_phase", "s_mva", "r_pct", "x_pct", "tap_from", "tap_to", "lag_deg")
CENTRE_TAP = ("r_h_pct", "r_1_pct", "r_2_pct", "x_h2_pct", "x_12_pct")


def check_per_phase(run: Check, ends: np.ndarray) -> None:
    """Report what is wrong; `ends` are the node rows of the branches' ends."""
    for table, columns in POSITIVE.items():
        for column in columns:
            run.report(table, column, run.numbers(table, column) <= 0, "a number > 0, or null")
    for table, columns in NOT_NEGATIVE.items():
        for column in columns:
            run.report(table, column, run.numbers(table, column) < 0, "a number >= 0, or null")
    _open_ends(run)
    _matrices(run)
    _legs(run)
    _units(run, ends)
    _regulators(run, ends)
    _cap_controls(run)
    _sources(run)


def _open_ends(run: Check) -> None:
    """Lines and switches may be open at one end while they are closed at the other."""
    open_end = is_true(pc.is_in(run.array("branches", "open_ends"), value_set=pa.array(OPEN_ENDS[1:])))
    run.report("branches", "open_ends", open_end & ~_wires(run), "an open end of a line or switch only")
    apart = open_end & ~is_true(run.array("branches", "status"))
    run.report("branches", "open_ends", apart, '"", as the branch is open at both ends (status is false)')


def _wires(run: Check) -> np.ndarray:
    """(rows,) which branches are lines or switches."""
    kind = run.array("branches", "type")
    return is_true(pc.is_in(kind, value_set=pc.cast(["line", "switch"], kind.type)))


def _slots(bits: np.ndarray) -> np.ndarray:
    """(rows, 3) which places of a 3x3 matrix the phases of each row take."""
    has = (bits[:, None] >> np.arange(len(SLOTS))) & 1 == 1
    places = has[:, :3].copy()
    places[:, :2] |= has[:, 3:]
    return places


def _matrices(run: Check) -> None:
    wire = _wires(run)
    slots = _slots(phase_bits(run, "branches"))
    outside = ~(slots[:, :, None] & slots[:, None, :])
    for column in MATRICES:
        values = run.array("branches", column)
        present = is_true(values.is_valid())
        run.report("branches", column, wire & ~present, "a 3x3 matrix for every line and switch")
        matrix = np.nan_to_num(matrices(values))
        largest = np.abs(matrix).max(axis=(1, 2), initial=0.0)
        skew = np.abs(matrix - matrix.swapaxes(1, 2)).max(axis=(1, 2), initial=0.0)
        run.report("branches", column, skew > ROUNDING * largest, "a symmetric matrix")
        stray = ((matrix != 0) & outside).any(axis=(1, 2))
        run.report("branches", column, wire & stray, "zeros for phases that the branch has not")
        if column == "r_ohm":
            low = (np.einsum("kii->ki", matrix) < 0).any(axis=1)
            run.report("branches", column, low, "a diagonal >= 0")
    dead = wire[:, None] & (_diagonal_size(run) == 0) & slots
    expected = "an impedance > 0 on the diagonal of r_ohm or x_ohm for each of its phases"
    run.report("branches", "r_ohm", dead.any(axis=1), expected)


def _diagonal_size(run: Check) -> np.ndarray:
    """(rows, 3) |r| + |x| on the diagonal; NaN where a matrix is missing."""
    parts = [matrices(run.array("branches", column)) for column in ("r_ohm", "x_ohm")]
    return np.asarray(sum(np.abs(np.einsum("kii->ki", part)) for part in parts))


def _legs(run: Check) -> None:
    """Delta devices lie between phases; split-phase ones between the two legs."""
    for table in ("loads", "capacitors"):
        delta = is_true(pc.equal(run.array(table, "connection"), "delta"))
        single = is_true(pc.equal(pc.utf8_length(run.array(table, "phase")), 1))
        run.report(table, "phase", delta & single, "two phases (a leg) or three for a delta connection")
    low, high = run.numbers("loads", "v_low_pu"), run.numbers("loads", "v_high_pu")
    run.report("loads", "v_high_pu", high <= low, "a voltage above v_low_pu")


def _units(run: Check, ends: np.ndarray) -> None:
    """The transformer units: one or more rows per branch of type transformer or regulator."""
    choice(run, "transformers", "connection", TRANSFORMER_CONNECTIONS)
    branch = run.rows_of("transformers", "branch_id", "branches")
    for column in UNIT:
        missing = is_true(run.array("transformers", column).is_null())
        run.report("transformers", column, missing, "a value, as the feeder is per-phase")
    tapped = is_true(pc.equal(run.array("transformers", "connection"), "centre-tap").fill_null(False))
    for column in CENTRE_TAP:
        given = is_true(run.array("transformers", column).is_valid())
        run.report("transformers", column, tapped & ~given, "a value for a centre-tap unit")
        run.report("transformers", column, ~tapped & given, "null, as the unit has no centre tap")
    known = branch >= 0
    for column, side in (("from_phase", 0), ("to_phase", 1)):
        _terminals(run, column, side, tapped)
        at = np.where(known, ends[branch, side], -1) if len(ends) else branch
        on_phases(run, "transformers", at, "nodes", f"the {column[:-6]} node of its branch", column)
    three = [is_true(pc.equal(pc.utf8_length(run.array("transformers", f"{end}_phase")), 3).fill_null(False))
             for end in ("from", "to")]  # fmt: skip
    both = "three phases at both ends of a unit, or at neither"
    run.report("transformers", "to_phase", three[0] != three[1], both)
    kind = run.array("branches", "type")
    device = is_true(pc.is_in(kind, value_set=pc.cast(["transformer", "regulator"], kind.type)))
    fed = np.zeros(len(device), dtype=bool)
    fed[branch[known]] = True
    run.report("branches", "branch_id", device & ~fed, "a row in transformers for this branch")
    wrong = known & ~device[branch] if len(device) else known
    run.report("transformers", "branch_id", wrong, "a branch of type transformer or regulator")


def _terminals(run: Check, column: str, side: int, tapped: np.ndarray) -> None:
    """Terminals fit the winding: three phases, one phase of a wye, an ordered pair of a delta."""
    texts = run.array("transformers", column).fill_null("").to_pylist()
    kinds = run.array("transformers", "connection").fill_null("").to_pylist()
    bad = np.zeros(len(texts), dtype=bool)
    for row, (text, kind) in enumerate(zip(texts, kinds, strict=True)):
        if not text or kind not in TRANSFORMER_CONNECTIONS:
            continue
        winding = kind.split("-")[side]
        if tapped[row]:
            high = len(set(text)) == len(text) <= 2 and set(text) <= set("ABC")
            fits = high if side == 0 else text == "12"
        else:
            size = len(set(text)) == len(text) and set(text) <= set("ABC")
            alone = {"wye": 1, "delta": 2}.get(winding, 3)
            fits = size and len(text) in (3, alone)
        bad[row] = not fits
    expected = (
        "three phases, one phase of a wye, or the ordered pair of phases of a one-phase delta winding "
        '(centre-tap: one phase or an ordered pair to "12")'
    )
    run.report("transformers", column, bad, expected)


def _regulators(run: Check, ends: np.ndarray) -> None:
    given = is_true(run.array("regulators", "transformer_id").is_valid())
    run.report("regulators", "transformer_id", ~given, "the id of a row of the transformers table")
    if given.all() and len(given):
        unit = run.rows_of("regulators", "transformer_id", "transformers")
        of_unit = run.array("transformers", "branch_id").take(np.maximum(unit, 0))
        other = ~is_true(pc.equal(of_unit, run.array("regulators", "branch_id")))
        run.report("regulators", "transformer_id", (unit >= 0) & other, "a unit of the branch branch_id")
    branch = run.rows_of("regulators", "branch_id", "branches")
    at = np.where(branch >= 0, ends[branch, 1], -1) if len(ends) else branch
    on_phases(run, "regulators", at, "nodes", "the to node of its branch", "monitored_phase")


def _cap_controls(run: Check) -> None:
    run.rows_of("cap_controls", "cap_id", "capacitors")
    branch = run.rows_of("cap_controls", "branch_id", "branches")
    choice(run, "cap_controls", "type", CAP_CONTROL_TYPES)
    choice(run, "cap_controls", "end", ("from", "to"))
    on_phases(run, "cap_controls", branch, "branches", "its branch", "monitored_phase")


def _sources(run: Check) -> None:
    r, x = (run.array("sources", column) for column in ("r_ohm", "x_ohm"))
    lone = is_true(pc.xor(r.is_null(), x.is_null()))
    run.report("sources", "r_ohm", lone, "r_ohm and x_ohm together, or neither")
    at = run.rows_of("sources", "node_id", "nodes")
    bits = phase_bits(run, "nodes")
    for row in np.flatnonzero((at >= 0) & (bits[at] != 7)).tolist():
        file, line = run.place("sources", row)
        node = run.tables["sources"].column("node_id")[row].as_py()
        run.problems.append(Problem(file, line, "node_id", repr(node), "a node with the phases ABC"))
