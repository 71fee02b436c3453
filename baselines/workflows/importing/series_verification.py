"""Whether the series of a feeder are what the engine of its source plays, step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....cases import Feeder
from ....cases.importers.reading import Profiles
from ....cases.phases import LEG_PLACE, PLACE
from .verification import ImportDifferenceError, Verification, compare_solution, solution_of, ungrounded

_SHOWN = 5


def verify_series(
    feeder: Feeder, profiles: Profiles, approximated: str = "", *, approximate: bool = False
) -> str:
    """Solve some steps of the series of a per-phase feeder, and compare all voltages with the engine's.

    Args:
        feeder: as it was read.
        profiles: its series, with what the engine found in some steps.
        approximated: what was reduced in the feeder, in words.
        approximate: whether points may follow one mixture of loads that depend on the voltage in different
            ways.

    Returns:
        What came of it, in one line.

    Raises:
        ImportDifferenceError: a difference above 1e-6 pu; names step and node, and points with such mixtures.
        RunError: a step that finds no solution here.
    """
    if not profiles.solved:
        return "series: not verified"
    steps = sorted(profiles.solved)
    loads = _loads(feeder, profiles, steps)
    solution = solution_of(feeder, loads)
    mixture = f"one mixture of loads at {_listed(profiles.mixed)}" if profiles.mixed else ""
    reduced = "; ".join(part for part in (approximated, mixture if approximate else "") if part)
    worst: Verification | None = None
    compared, between, held, apart = 0, 0, 0, 0.0
    for row, step in enumerate(steps):
        ours = np.asarray(solution.v[row]) if bool(solution.converged[row]) else None
        powers = {name: values[row] for name, values in loads.items()}
        try:
            found = compare_solution(
                feeder, ours, profiles.solved[step], powers, reduced, ungrounded(solution)
            )
        except ImportDifferenceError as error:
            raise ImportDifferenceError(f"step {step} of the series: {error}{_hint(mixture)}") from None
        compared += found.compared
        between += found.between
        if worst is None or found.largest_pu > worst.largest_pu:
            worst = found
        held, apart = max(held, found.held), max(apart, found.apart_pu)
    assert worst is not None, "there are steps"
    whole = replace(
        worst, compared=compared, between=between, held=held, apart_pu=apart,
        steps=f" in {len(steps)} of {len(profiles.p_mw)} steps",
    )  # fmt: skip
    return f"series {whole}"


def _loads(feeder: Feeder, profiles: Profiles, steps: list[int]) -> dict[str, Any]:
    """Arguments of the power flow for some steps."""
    shape = (len(steps), feeder.n_nodes, 3)
    found: dict[str, NDArray[np.float64]] = {
        f"{part}_{unit}": np.zeros(shape) for part in ("p", "p_delta", "q", "q_delta")
        for unit in ("mw" if part[0] == "p" else "mvar",)
    }  # fmt: skip
    for column, (node, phase) in enumerate(zip(profiles.node_ids, profiles.phases, strict=True)):
        row = feeder.node_index[node]
        at, kind = (LEG_PLACE[phase], "_delta") if phase in LEG_PLACE else (PLACE[phase], "")
        found[f"p{kind}_mw"][:, row, at] += profiles.p_mw[steps, column]
        found[f"q{kind}_mvar"][:, row, at] += profiles.q_mvar[steps, column]
    return found


def _hint(mixture: str) -> str:
    if not mixture:
        return ""
    return (
        f". A point has one series: {mixture} that follow different shapes and depend on the voltage in "
        "different ways; --approximate takes it and says what that costs"
    )


def _listed(points: tuple[str, ...]) -> str:
    more = f" and {len(points) - _SHOWN} more" if len(points) > _SHOWN else ""
    return ", ".join(points[:_SHOWN]) + more
