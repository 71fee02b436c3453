"""The one definition of a violation: kernels and tables agree to the last bit, up to the limit itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distgrid import cases, physics
from distgrid.physics.balanced.stepper import Stepper
from distgrid.physics.violations import judged_band, of_band, of_rating, of_unbalance

FEEDER = cases.load("case33bw")
LOOP = FEEDER.with_switch("s25-29", closed=True)


def solved(feeder: cases.Feeder, batch: int = 3) -> Stepper:
    """Nominal loads in every row; lanes and lone rows are solved by the same kernel."""
    net = physics.compile(feeder, keep_loops=True)
    low, high = judged_band(feeder)
    stepper = Stepper(net, batch, low, high)
    stepper.load_p_mw[:], stepper.load_q_mvar[:] = net.load_p_mw, net.load_q_mvar
    stepper.solve()
    return stepper


@pytest.mark.parametrize("feeder", [FEEDER, LOOP], ids=["tree", "loop"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_limit_holds_up_to_itself(feeder: cases.Feeder, inside: bool) -> None:
    """Limits at the solved values are kept; the next number below is passed, by a voltage and by a flow."""
    stepper = solved(feeder)
    rating = stepper._ratings[:, 0]
    rating[:] = 1.0
    stepper.solve()
    flow = stepper.loading[0].copy()  # of 1 MVA: the flow itself
    v = stepper.v_pu[0].copy()
    stepper.v_min[:] = 0.0
    stepper.v_max[:] = v if inside else np.nextafter(v, 0.0)
    rating[:] = np.where(flow > 0.0, flow if inside else np.nextafter(flow, 0.0), 1.0)
    stepper.solve()
    above = of_rating(stepper.loading, rating)
    outside = of_band(stepper.v_pu, stepper.v_min, stepper.v_max)
    np.testing.assert_array_equal((above > 0.0).sum(axis=1), stepper.n_overloads)
    np.testing.assert_array_equal((outside.over > 0.0).sum(axis=1), stepper.n_voltage_violations)
    assert stepper.n_voltage_violations.tolist() == [0 if inside else v.size] * 3
    assert stepper.n_overloads.tolist() == [0 if inside else int((flow > 0.0).sum())] * 3
    assert ((stepper.overload_mva > 0.0) == (not inside)).all()
    assert ((stepper.voltage_violation_pu > 0.0) == (not inside)).all()


@given(st.floats(1e-3, 1e3), st.floats(0.0, 1e4))
def test_a_loading_above_one_has_an_excess_above_zero(rating: float, flow: float) -> None:
    """Above and below alike, to the rounding of a division."""
    above = float(of_rating(np.array(flow / rating), np.array(rating)))
    assert (above > 0.0) == (flow / rating > 1.0)
    assert above == pytest.approx(max(flow - rating, 0.0), abs=1e-12 * rating, rel=1e-9)


def test_what_does_not_exist_violates_nothing() -> None:
    """Dead nodes, absent phases and branches without a rating."""
    nan, one = np.array([np.nan]), np.array([1.0])
    assert of_band(nan, one, one).over.tolist() == of_band(nan, one, one).under.tolist() == [0.0]
    assert of_band(one, nan, nan).over.tolist() == [0.0]
    assert of_rating(nan, one).tolist() == of_rating(one + 1.0, nan).tolist() == [0.0]
    assert of_unbalance(nan, 2.0).tolist() == [0.0]


def test_unbalance_counts_up_to_a_hundred_per_cent() -> None:
    """Without a positive sequence there is no bound: what prices a failed power flow needs one."""
    assert of_unbalance(np.array([1.0, 2.0, 5.0, 1e9]), 2.0).tolist() == [0.0, 0.0, 3.0, 98.0]


def test_the_voltage_of_a_source_is_not_judged() -> None:
    """Nobody on the feeder can mend it: the band of a task or of the feeder holds for the other nodes."""
    for band in (None, (0.99, 1.01)):
        low, high = judged_band(FEEDER, band)
        source = FEEDER.node_index[str(FEEDER.column("sources", "node_id")[0])]
        assert (low[source], high[source]) == (0.0, np.inf)
        assert np.isfinite(np.delete(high, source)).all()
    assert np.delete(low, source).tolist() == [0.99] * 32
