"""The first crossing of many rows at once, on made-up quantities: exact, first, and within its budget."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid.baselines.hosting.flows import Shown
from distgrid.baselines.hosting.scan import ActingControls, scanned_crossings
from distgrid.baselines.hosting.search import SLACK, Bounds, first_crossings

Floats = NDArray[np.float64]
LOW, HIGH = 0.9, 1.05


def rise_and_fall(
    peak: Floats, at: Floats
) -> Callable[[NDArray[np.int64], Floats], tuple[Floats, NDArray[np.bool_]]]:
    """A voltage that rises to ``peak`` at the size ``at`` and falls again, as a parabola from 1 pu."""

    def evaluate(rows: NDArray[np.int64], size: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        share = size / at[rows]
        return (1.0 + (peak[rows] - 1.0) * share * (2.0 - share))[:, None], np.ones(rows.size, dtype=bool)

    return evaluate


def bounds() -> Bounds:
    return Bounds(np.array([[LOW]]), np.array([[HIGH]]))


def exact(peak: float, at: float, largest: float) -> float:
    """Where the parabola leaves the band first: at the top while rising, else at the bottom."""
    top = (HIGH - 1.0) / (peak - 1.0)
    share = 1.0 - math.sqrt(1.0 - top) if top <= 1.0 else 1.0 + math.sqrt(1.0 + (1.0 - LOW) / (peak - 1.0))
    return min(share * at, largest)


@given(st.lists(st.tuples(st.floats(1.01, 1.4), st.floats(0.5, 50.0)), min_size=1, max_size=20))
def test_the_first_of_two_crossings_is_found(shapes: list[tuple[float, float]]) -> None:
    """Trap 43: a voltage that is too high and then within the band again has its capacity before it was too
    high; whatever barely exceeds the bound at its peak is not stepped over.
    """
    shapes = [(peak, at) for peak, at in shapes if abs(peak - HIGH) > 1e-4]
    if not shapes:
        return
    peak, at = (np.array(column) for column in zip(*shapes, strict=True))
    largest, tol = np.full(peak.size, 60.0), 1e-4
    found = first_crossings(
        rise_and_fall(peak, at), np.ones((1, 1)), bounds(), largest, np.full(peak.size, 0.25), tol
    )
    for k, (p, a) in enumerate(zip(peak, at, strict=True)):
        wanted = exact(p, a, 60.0)
        assert wanted - tol - 1e-9 <= found.kept_mw[k] <= wanted + 1e-9
        if wanted < 60.0:
            assert found.passed_mw[k] - found.kept_mw[k] <= tol + 1e-12
        else:
            assert math.isinf(found.passed_mw[k])


@given(
    st.floats(0.01, 0.99), st.floats(0.05, 12.0), st.integers(4, 24), st.booleans(),
)  # fmt: skip
def test_a_known_bracket_takes_at_most_bisection_and_four(
    where: float, exponent: float, digits: int, solves: bool
) -> None:
    """Capability 39: at most ceil(log2(range / tol)) + 4 power flows, the ends included, however bent the
    quantity is, and where no power flow is found beyond the crossing.
    """
    width = 8.0
    tol = width / 2.0**digits
    crossing = where * width

    def evaluate(rows: NDArray[np.int64], size: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        x = 1.0 + (HIGH - 1.0) * (size / crossing) ** exponent
        return x[:, None], np.full(rows.size, solves) | (size <= crossing)

    one = np.ones(1)
    found = first_crossings(
        evaluate, np.ones((1, 1)), bounds(), width * one, one, tol, bracket_mw=(0.0 * one, width * one)
    )
    assert crossing - tol - 1e-12 <= found.kept_mw[0] <= crossing + 1e-9
    assert found.power_flows[0] <= digits + SLACK + 1 <= math.ceil(math.log2(width / tol)) + 4


def test_rows_do_not_know_of_each_other() -> None:
    """A row alone gives the bits that it gives among others."""
    rng = np.random.default_rng(0)
    peak, at = rng.uniform(1.02, 1.3, 40), rng.uniform(1.0, 40.0, 40)
    together = first_crossings(
        rise_and_fall(peak, at), np.ones((1, 1)), bounds(), np.full(40, 60.0), np.full(40, 0.2), 1e-4
    )
    for k in range(40):
        alone = first_crossings(
            rise_and_fall(peak[k : k + 1], at[k : k + 1]), np.ones((1, 1)), bounds(), np.full(1, 60.0),
            np.full(1, 0.2), 1e-4,
        )  # fmt: skip
        assert alone.kept_mw[0] == together.kept_mw[k]
        assert alone.power_flows[0] == together.power_flows[k]


@pytest.mark.parametrize("first_mw", [0.01, 30.0])
def test_nothing_that_binds_ends_at_the_largest_size(first_mw: float) -> None:
    def flat(rows: NDArray[np.int64], size: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        return np.ones((rows.size, 1)), np.ones(rows.size, dtype=bool)

    found = first_crossings(
        flat, np.ones((1, 1)), bounds(), np.array([60.0, 0.0]), np.full(2, first_mw), 1e-4
    )
    assert found.kept_mw.tolist() == [60.0, 0.0]
    assert np.isinf(found.passed_mw).all()
    assert found.power_flows[1] == 0
    assert found.binding(bounds())[0].tolist() == [-1, -1]


def test_steps_of_taps_are_scanned_from_below() -> None:
    """Where a tap moves at 1 MW and lets the voltage back into the band, the crossing before it counts."""

    def held(rows: NDArray[np.int64], size: Floats, state: dict[str, Floats]) -> Shown:
        v = 1.0 + 0.08 * size - 0.01 * state["tap_pos"][:, 0]
        return Shown(v[:, None], np.ones(rows.size, dtype=bool), v, state)

    for moves_at in (1.0, 0.6251, 0.64):  # hardly later than the crossing, and between two sizes of the scan

        def rest(rows: NDArray[np.int64], size: Floats, at: float = moves_at) -> Shown:
            return held(rows, size, {"tap_pos": np.where(size > at, 6.0, 0.0)[:, None]})

        acting = ActingControls(rest, held)
        found = scanned_crossings(acting, np.ones((1, 1)), bounds(), np.array([5.0, 0.5]), 5e-5)
        assert found.kept_mw[0] == pytest.approx(0.625, abs=1e-4)
        assert found.kept_mw[1] == 0.5
