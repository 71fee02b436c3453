"""PV as people write it: validation, curtailment the right way round, reactive power by day and by night."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid import cases
from distgrid.envs.resources import PV, Fleet
from distgrid.envs.resources.pv import N_SITES

FEEDER = cases.load("case33bw")
NIGHT, MORNING, NOON = 0, 1, 2


@dataclass(frozen=True)
class Sun:
    """Three intervals: night, 0.5 and 1.1 of the rating on every site; site 7 is cloudy at noon."""

    pv: NDArray[np.float64]


def sky() -> Sun:
    pv = np.repeat(np.array([[0.0], [0.5], [1.1]]), N_SITES, axis=1)
    pv[NOON, 7] = 0.2
    return Sun(pv)


def started(*specs: PV, batch: int = 1) -> Fleet:
    """A fleet of PV plants, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(batch, 0.25, sky())
    fleet.reset(np.arange(batch), [np.random.default_rng(row) for row in range(batch)])
    return fleet


def act(fleet: Fleet, action: Any, step: int) -> tuple[list[float], list[float]]:
    """(P, Q) delivered in the first row."""
    wide = np.broadcast_to(np.asarray(action, dtype=np.float64), (fleet.batch, fleet.n_actions))
    fleet.advance(wide, np.full(fleet.batch, step))
    return fleet.delivered_p_mw[0].tolist(), fleet.delivered_q_mvar[0].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": -1.0}, "p_mw must be greater than 0"),
        ({"p_mw": math.inf}, "p_mw must be a finite number"),
        ({"s_mva": 0.0}, "s_mva must be greater than 0"),
        ({"site": 25}, "site must be an integer from 0 to 24"),
        ({"site": 1.0}, "site must be an integer from 0 to 24"),
        ({"q_max_frac": 1.2}, r"q_max_frac must be in \[0, 1\]"),
        ({"q_max_frac": 0.0}, "use controls='p'"),
        ({"controls": "v"}, "controls 'v' is unknown; expected one of q, pq, p"),
        ({"priority": "watt"}, "priority 'watt' is unknown; expected one of reactive, active"),
        ({"phase": "a"}, "phase 'a' is unknown"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"PV at bus 25: .*{message}"):
        PV(**{"bus": 25, "p_mw": 1.0, **change})


def test_curtailment_is_not_inverted_and_neutral_keeps_everything() -> None:
    """Trap 16: p = +1 is the neutral action and feeds all of it in, p = -1 nothing."""
    fleet = started(PV(25, 2.0, controls="pq"))
    assert fleet.neutral_action.tolist() == [1.0, 0.0]
    for p_action, fed, lost in ((1.0, 1.0, 0.0), (0.0, 0.5, 0.5), (-1.0, 0.0, 1.0)):
        assert act(fleet, [p_action, 0.0], MORNING) == ([fed], [0.0])
        assert fleet.accounts.total("curtailed_mw")[0] == lost


def test_reactive_power_is_not_always_zero() -> None:
    """Trap 16: q scales with the inverter and its sign is that of the action, at night too."""
    fleet = started(PV(25, 1.0, s_mva=1.0))
    assert [d.name for d in fleet.action_dims] == ["pv_25.q"]
    assert act(fleet, [1.0], NIGHT) == ([0.0], [0.44])
    assert act(fleet, [-0.5], MORNING) == ([0.5], [-0.22])


def test_reactive_priority_cuts_active_power_and_counts_it() -> None:
    """Full sun at S = 1: Q = 0.44 costs 1 - sqrt(1 - 0.44²) MW, reported as curtailed; "active" keeps P."""
    fleet = started(PV(25, 1.0, s_mva=1.0), PV(26, 1.0, s_mva=1.0, priority="active"))
    p, q = act(fleet, [1.0, 1.0], NOON)
    np.testing.assert_allclose(p, [math.sqrt(1 - 0.44**2), 1.0], rtol=1e-14)
    np.testing.assert_allclose(q, [0.44, 0.0], rtol=1e-14)
    np.testing.assert_allclose(fleet.accounts.total("curtailed_mw"), 1.0 - p[0], rtol=1e-12)


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4), st.sampled_from([NIGHT, MORNING, NOON]))
def test_circle_holds_in_every_row(action: list[float], step: int) -> None:
    """P² + Q² <= S² (1 + 1e-12) for both priorities, and no plant makes more than the sun offers."""
    fleet = started(
        PV(25, 1.0, s_mva=0.9, controls="pq", q_max_frac=1.0),
        PV(26, 1.0, controls="pq", priority="active"),
    )
    p, q = (np.array(x) for x in act(fleet, action, step))
    assert (p**2 + q**2 <= fleet.max_apparent_mva**2 * (1.0 + 1e-12)).all()
    assert (p >= 0.0).all()
    assert (p <= fleet.state()["pv.p_avail_mw"][0]).all()


def test_observation_is_the_coming_interval() -> None:
    """What is observed for interval t is what an uncurtailed plant then delivers."""
    fleet = started(PV(25, 2.0, s_mva=1.5, controls="p"), PV(26, 2.0, site=7, controls="p"), batch=2)
    out = fleet.observe(np.array([NOON, MORNING]))
    np.testing.assert_array_equal(out, [[1.5, 0.4], [1.0, 1.0]])
    fleet.advance(np.ones((2, 2)), np.array([NOON, MORNING]))
    np.testing.assert_array_equal(fleet.delivered_p_mw, out)
    assert all(e.low <= x <= e.high for e, x in zip(fleet.observation_entries, out[0], strict=True))


@pytest.mark.slow
def test_site_of_a_bus_is_the_same_in_every_process() -> None:
    """`hash` of a string is salted per process; the site must not be."""
    code = "from distgrid.envs.resources import PV; print([PV(b, 1.0).rated_site for b in range(12)])"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = [PV(b, 1.0).rated_site for b in range(12)]
    assert seen == {str(here)}
    assert len(set(here)) > 4  # they do spread over the sites
    assert PV("7", 1.0).rated_site == PV(7, 1.0).rated_site


def test_profiles_are_asked_for() -> None:
    fleet = Fleet([PV(25, 1.0)], FEEDER)
    with pytest.raises(ValueError, match="PV needs profiles"):
        fleet.bind(1, 0.25, None)
    with pytest.raises(ValueError, match="site 24 is not among them"):
        Fleet([PV(25, 1.0, site=24)], FEEDER).bind(1, 0.25, Sun(np.zeros((3, 2))))


def test_the_shared_profile_is_not_copied_and_not_written() -> None:
    """Trap 14: one year of sun in memory, however many environments."""
    sun = sky()
    fleets = [Fleet([PV(25, 1.0)], FEEDER) for _ in range(2)]
    before = sun.pv.copy()
    for fleet in fleets:
        fleet.bind(1, 0.25, sun)
        act(fleet, [1.0], NOON)
        assert np.shares_memory(fleet.programs[0]._profile, sun.pv)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(sun.pv, before)


def test_units_tell_what_a_policy_needs() -> None:
    unit = Fleet([PV(25, 1.0)], FEEDER).units("pv")[0]
    assert (unit.kind, unit.name, unit.bus, unit.node_row) == ("pv", "pv_25", "25", FEEDER.node_index["25"])
    assert (unit.p_mw, unit.s_mva) == (1.0, 1.1)
    np.testing.assert_allclose(unit.q_max_mvar, 0.44 * 1.1)
    assert (unit.action_p, unit.action_q, unit.energy_mwh) == (None, 0, None)
