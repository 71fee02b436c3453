"""What devices decide at the prices that the rest of a program makes."""

from __future__ import annotations

from collections.abc import Sequence

from ..affine import IntArray
from ..conic import ConicSolution
from .planned import Planned


def priced(found: ConicSolution, fleet: Sequence[Planned]) -> tuple[float, dict[str, IntArray]]:
    """By how much more than the relaxation the program costs at the least, and what devices decide for that.

    The Lagrangian at the multipliers of all rows but those of a device is the sum of what the rest costs
    at the least, which the multipliers of the rest bound, and of what the device costs by itself at the
    prices that they make of its columns, which is found exactly (Lagrangian relaxation; A. M. Geoffrion,
    Mathematical Programming Study 2 (1974) 82-114).

    Args:
        found: Solution of a program with the rows of the fleet.
        fleet: Made in that program.
    """
    more, z = 0.0, found.compiled.in_dual_cones(found.z)
    decided: dict[str, IntArray] = {}
    for one in fleet:
        if one.choice is None:
            continue
        dual, others = 0.0, z.copy()
        for rows in found.compiled.program.rows[slice(*one.rows)]:
            place = found.compiled.place(rows)
            dual -= float(found.right[place] @ z[place])
            others[place] = 0.0
        best = one.choice.least(found.cost + found.compiled.matrix.T @ others)
        if best is not None:
            more += max(best[0] - dual, 0.0)
            decided |= best[1]
    return more, decided
