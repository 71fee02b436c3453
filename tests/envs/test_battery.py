"""The battery as people write it: validation, the meaning of an action, resets, what is observed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid import cases
from distgrid.envs.resources import Battery, Fleet

FEEDER = cases.load("case33bw")


def started(*specs: Battery, batch: int = 1, seed: int = 0) -> Fleet:
    """A fleet of batteries, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(batch, 0.25, None)
    fleet.reset(np.arange(batch), [np.random.default_rng([seed, row]) for row in range(batch)])
    return fleet


def _at(fleet: Fleet) -> NDArray[np.int64]:
    """The first interval of the profiles, in every row."""
    return np.zeros(fleet.batch, dtype=np.int64)


def act(fleet: Fleet, action: Any) -> None:
    """One interval with the same action in every row."""
    fleet.advance(
        np.broadcast_to(np.asarray(action, dtype=np.float64), (fleet.batch, fleet.n_actions)), _at(fleet)
    )


def soc(fleet: Fleet) -> NDArray[np.float64]:
    """The observation: shares of the capacity."""
    return fleet.observe(_at(fleet)).copy()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": 0.0}, "p_mw must be greater than 0"),
        ({"p_mw": math.nan}, "p_mw must be a finite number"),
        ({"p_mw": "big"}, "p_mw must be a finite number"),
        ({"energy_mwh": -1.0}, "energy_mwh must be greater than 0"),
        ({"soc_min": -0.1}, r"soc_min must be in \[0, 1\]"),
        ({"soc_max": 1.1}, r"soc_max must be in \[0, 1\]"),
        ({"soc_min": 0.6, "soc_max": 0.6}, "soc_min 0.6 must be below soc_max 0.6"),
        ({"soc_init": 0.95, "soc_max": 0.9}, r"soc_init must be in \[0, 0.9\]"),
        ({"soc_init": (0.8, 0.2)}, "low <= high"),
        ({"soc_init": (0.1, 0.2, 0.3)}, r"soc_init must be x or \(low, high\)"),
        ({"eta_charge": 0.0}, r"eta_charge must be in \(0, 1\]"),
        ({"eta_discharge": 1.01}, r"eta_discharge must be in \(0, 1\]"),
        ({"s_mva": 0.1}, "s_mva must be at least 0.2"),
        ({"ramp_mw_per_h": 0.0}, "ramp_mw_per_h must be greater than 0"),
        ({"controls": "pqr"}, "controls 'pqr' is unknown; expected one of p, pq"),
        ({"phase": "AD"}, "phase 'AD' is unknown; expected one of ABC"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Battery at bus 18: .*{message}|{message}"):
        Battery(**{"bus": 18, "p_mw": 0.2, "energy_mwh": 0.8, **change})


@pytest.mark.parametrize("bus", [None, 1.5, True, ""])
def test_a_bus_is_an_id(bus: Any) -> None:
    with pytest.raises(TypeError, match="bus must be a node id"):
        Battery(bus, 0.2, 0.8)


def test_specs_are_values() -> None:
    """Frozen, and 18 names the same bus as "18"."""
    spec = Battery(18, 0.2, 0.8)
    assert spec == Battery("18", 0.2, 0.8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.p_mw = 1.0  # type: ignore[misc]


def test_action_is_a_share_of_the_rating() -> None:
    """Trap 16, Capability 95: a = 0.1 on a 0.1 MW battery moves 0.01 MW, not 0.1; +1 injects, -1 draws."""
    fleet = started(Battery(18, 0.1, 0.4))
    delivered = []
    for a in (0.1, 0.5, 1.0, -1.0):
        act(fleet, [a])
        delivered.append(float(fleet.delivered_p_mw[0, 0]))
    np.testing.assert_allclose(delivered, [0.01, 0.05, 0.1, -0.1], rtol=1e-15)


def test_delivered_is_what_flowed_not_what_was_asked() -> None:
    """Trap 17: an empty battery that is told to discharge delivers nothing and wears nothing."""
    fleet = started(Battery(18, 0.2, 0.8, soc_init=0.1, soc_min=0.1))
    act(fleet, [1.0])
    assert fleet.delivered_p_mw[0, 0] == 0.0
    assert fleet.accounts.total("throughput_mwh")[0] == 0.0
    act(fleet, [-1.0])
    assert fleet.delivered_p_mw[0, 0] == -0.2
    np.testing.assert_allclose(fleet.accounts.total("throughput_mwh"), 0.05)


def test_what_is_stored_is_an_account() -> None:
    """At reset the energy at the start, after a step that at its end, for each row and unit."""
    fleet = started(Battery(18, 0.2, 0.8, soc_init=(0.3, 0.6)), Battery(22, 0.3, 1.2), batch=3)
    stored, capacity = fleet.accounts["stored_mwh"], np.array([0.8, 1.2])
    np.testing.assert_array_equal(stored, fleet.state()["battery.soc_mwh"])
    assert np.unique(stored[:, 0]).size == 3
    act(fleet, [1.0, -0.5])
    np.testing.assert_allclose(stored, soc(fleet) * capacity, rtol=1e-15)
    act(fleet, [-1.0, 1.0])
    np.testing.assert_array_equal(stored, fleet.state()["battery.soc_mwh"])
    assert fleet.most_of("stored_mwh", 0.25) == 2.0


def test_round_trip_loses_what_the_efficiencies_say() -> None:
    """Trap 21: a full charge and a full discharge return eta_charge * eta_discharge of what was taken."""
    fleet = started(Battery(18, 0.2, 0.8, soc_init=0.0, eta_charge=0.9, eta_discharge=0.8))
    taken = given_back = 0.0
    for a in [-1.0] * 30 + [1.0] * 30:
        act(fleet, [a])
        flow = float(fleet.delivered_p_mw[0, 0]) * 0.25
        taken, given_back = taken - min(flow, 0.0), given_back + max(flow, 0.0)
    assert soc(fleet)[0, 0] == 0.0
    np.testing.assert_allclose([taken, given_back], [0.8 / 0.9, 0.8 * 0.8], atol=1e-9)


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=60), st.floats(0.2, 0.8))
def test_state_of_charge_never_leaves_its_band(actions: list[float], start: float) -> None:
    """Capability 48: at any time of any schedule, in what is observed as well."""
    fleet = started(Battery(18, 0.5, 0.4, soc_init=start, soc_min=0.2, soc_max=0.8))
    stored = fleet.state()["battery.soc_mwh"]
    for a in actions:
        act(fleet, [a])
        after = fleet.state()["battery.soc_mwh"]
        p = fleet.delivered_p_mw
        change = 0.25 * (0.95 * np.maximum(-p, 0.0) - np.maximum(p, 0.0) / 0.95)
        np.testing.assert_allclose(after - stored, change, rtol=0.0, atol=1e-9)
        assert 0.4 * 0.2 <= after[0, 0] <= 0.4 * 0.8
        assert 0.2 - 1e-12 <= soc(fleet)[0, 0] <= 0.8 + 1e-12
        stored = after


def test_random_start_follows_the_rows_generator() -> None:
    """A range for soc_init: rows differ, the same seed starts the same, other batteries draw nothing."""
    specs = (Battery(18, 0.2, 0.8), Battery(25, 0.2, 0.8, soc_init=(0.3, 0.7)))
    first, again = soc(started(*specs, batch=3)), soc(started(*specs, batch=3))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, 0], 0.5)
    assert len(set(first[:, 1])) == 3
    assert ((first[:, 1] >= 0.3) & (first[:, 1] <= 0.7)).all()
    assert not np.array_equal(first, soc(started(*specs, batch=3, seed=1)))


def test_reset_touches_only_its_rows() -> None:
    """A new episode in one row leaves the others in the middle of theirs."""
    fleet = started(Battery(18, 0.2, 0.8), batch=3)
    act(fleet, [1.0])
    before = fleet.state()
    fleet.reset(np.array([1]), [np.random.default_rng(0)])
    after = fleet.state()
    for name, array in after.items():
        np.testing.assert_array_equal(array[[0, 2]], before[name][[0, 2]])
    assert after["battery.soc_mwh"][1, 0] == 0.4
    assert fleet.delivered_p_mw[1, 0] == 0.0


def test_reactive_control_is_a_second_action() -> None:
    """controls="pq": unit by unit, p then q, each with an effect (Trap 15)."""
    fleet = started(Battery(18, 0.2, 0.8, s_mva=0.25, controls="pq"), Battery(25, 0.2, 0.8))
    assert [d.name for d in fleet.action_dims] == ["battery_18.p", "battery_18.q", "battery_25.p"]
    act(fleet, [0.0, 0.5, 0.0])
    np.testing.assert_array_equal(fleet.delivered_q_mvar, [[0.125, 0.0]])
    act(fleet, [1.0, 1.0, 0.0])
    np.testing.assert_allclose(fleet.delivered_q_mvar, [[0.15, 0.0]], rtol=1e-14)


def test_ramp_limit_binds_and_is_observed() -> None:
    """Capability 48: 0.2 MW/h is 0.05 MW a quarter hour; the present power is then observed."""
    fleet = started(Battery(18, 0.2, 0.8, ramp_mw_per_h=0.2), Battery(25, 0.2, 0.8))
    assert list(fleet.observation_blocks) == ["battery.soc", "battery.p_mw"]
    act(fleet, [1.0, 1.0])
    np.testing.assert_array_equal(fleet.delivered_p_mw, [[0.05, 0.2]])
    np.testing.assert_array_equal(soc(fleet)[:, 2:], [[0.05, 0.2]])
    act(fleet, [-1.0, -1.0])
    np.testing.assert_array_equal(fleet.delivered_p_mw, [[0.0, -0.2]])


def test_units_tell_what_a_policy_needs() -> None:
    unit = Fleet(
        [Battery(18, 0.2, 0.8, s_mva=0.3, controls="pq", phase="ABC")], FEEDER, obs_offset=100
    ).units()[0]
    assert (unit.p_mw, unit.s_mva, unit.q_max_mvar, unit.energy_mwh) == (0.2, 0.3, 0.3, 0.8)
    assert (unit.action_p, unit.action_q, unit.observation) == (0, 1, {"soc": 100})
