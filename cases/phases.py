"""Places of phases in (n, 3) arrays, for everybody who reads the letters of a table."""

from __future__ import annotations

#: Place of every phase letter in (bus, 3) arrays; the legs of split-phase wires take those of A and B.
PLACE = {"A": 0, "B": 1, "C": 2, "1": 0, "2": 1}

#: Place of what stands between two phases in arrays of the legs AB, BC, CA; behind a centre tap that of AB.
LEG_PLACE = {"AB": 0, "BC": 1, "CA": 2, "12": 0}


def places(phase: str) -> tuple[int, ...]:
    """Places of the phases named."""
    return tuple(PLACE[letter] for letter in phase)
