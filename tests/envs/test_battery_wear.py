"""Batteries that lose energy by standing and wear by use: balances, prices, rainflow counting, bounds."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid.envs import Battery, CycleAgeing, DistGridEnv, DistGridVectorEnv, LossMinimisation
from distgrid.envs.kernels.battery import MOST_TURNS
from distgrid.envs.resources import Fleet

from .test_vector import same
from .world import FEEDER, flat_load

Floats = NDArray[np.float64]
shares = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=80)


def started(*specs: Battery, dt_h: float = 0.25, batch: int = 1) -> Fleet:
    fleet = Fleet(specs, FEEDER)
    fleet.bind(batch, dt_h, None)
    fleet.reset(np.arange(batch), [np.random.default_rng(row) for row in range(batch)])
    return fleet


def act(fleet: Fleet, action: Any) -> None:
    wide = np.broadcast_to(np.asarray(action, dtype=np.float64), (fleet.batch, fleet.n_actions))
    fleet.advance(wide, np.zeros(fleet.batch, dtype=np.int64))


def test_a_battery_at_rest_loses_its_share() -> None:
    """1 % an hour: 0.99 of it after an hour, in four steps or in one; below soc_min, too."""
    for dt_h, steps in ((0.25, 4), (1.0, 1)):
        fleet = started(Battery(18, 0.2, 0.8, standing_loss_per_h=0.01, soc_min=0.5), dt_h=dt_h)
        for _ in range(steps):
            act(fleet, [0.0])
        np.testing.assert_allclose(fleet.accounts["stored_mwh"], 0.4 * 0.99, rtol=1e-14)
        act(fleet, [1.0])
        assert fleet.delivered_p_mw[0, 0] == 0.0


def test_losses_are_those_of_the_course_of_the_interval() -> None:
    """dE/dt = -k E + u, integrated in a million small steps, charging and discharging."""
    battery = Battery(18, 0.2, 0.8, standing_loss_per_h=0.2, eta_charge=0.9, eta_discharge=0.8)
    for action, into in ((-1.0, 0.2 * 0.9), (0.5, -0.1 / 0.8)):
        fleet = started(battery, dt_h=1.0)
        act(fleet, [action])
        rate, n, energy, lost = -math.log(0.8), 200_000, 0.4, 0.0
        for _ in range(n):
            middle = energy + (into - rate * energy) * 0.5 / n
            lost += rate * middle / n
            energy += (into - rate * middle) / n
        np.testing.assert_allclose(fleet.accounts["stored_mwh"], energy, rtol=1e-9)
        np.testing.assert_allclose(fleet.accounts["standing_loss_mwh"], lost, rtol=1e-8)


@given(shares, st.floats(0.0, 0.9), st.floats(0.3, 1.0), st.floats(0.3, 1.0), st.floats(0.1, 5.0))
def test_every_mwh_is_accounted_for(
    actions: list[float], loss: float, eta_c: float, eta_d: float, p_mw: float
) -> None:
    """Capability 48: change = eta * charged - discharged / eta - standing loss, to 1e-9; never above full."""
    fleet = started(
        Battery(
            18, p_mw, 1.0, eta_charge=eta_c, eta_discharge=eta_d, standing_loss_per_h=loss, soc_max=0.9,
            wear_cost_per_mwh=1.0,
        )
    )  # fmt: skip
    stored = float(fleet.accounts["stored_mwh"][0, 0])
    for action in actions:
        act(fleet, [action])
        p = float(fleet.delivered_p_mw[0, 0])
        lost = float(fleet.accounts["standing_loss_mwh"][0, 0])
        now = float(fleet.accounts["stored_mwh"][0, 0])
        moved = (max(-p, 0.0) * eta_c - max(p, 0.0) / eta_d) * 0.25
        assert abs(now - stored - moved + lost) <= 1e-9
        assert 0.0 <= now <= 0.9
        assert 0.0 <= lost <= stored + max(moved, 0.0)
        assert p * action >= 0.0
        stored = now


def test_use_has_a_price() -> None:
    """Money for each MWh at the terminals, as the cost of the kind; zero at rest."""
    priced = [Battery(18, 0.2, 0.8, wear_cost_per_mwh=20.0), Battery(22, 0.1, 0.8, wear_cost_per_mwh=5.0)]
    env = DistGridEnv(FEEDER, priced, LossMinimisation(), load=flat_load())
    env.reset(seed=0)
    *_, info = env.step([1.0, -0.5])
    assert info["costs"]["battery.wear"] == pytest.approx(20.0 * 0.05 + 5.0 * 0.0125)
    assert info["cost_resource"] == info["costs"]["battery.wear"]
    *_, info = env.step([0.0, 0.0])
    assert info["costs"]["battery.wear"] == 0.0
    assert env.fleet.max_cost_per_step == pytest.approx(20.0 * 0.05 + 5.0 * 0.025)


def rainflow(course: list[float], exponent: float) -> float:
    """Sum of depth ** exponent over half cycles, a full one counting twice: ASTM E1049-85, section 5.4.4."""
    turns: list[float] = []
    for value in course:
        if len(turns) > 1 and (turns[-1] - turns[-2]) * (value - turns[-1]) >= 0.0:
            turns[-1] = value
        elif not turns or value != turns[-1]:
            turns.append(value)
    total, stack = 0.0, []
    for value in turns:
        stack.append(value)
        while len(stack) > 2 and abs(stack[-1] - stack[-2]) >= abs(stack[-2] - stack[-3]):
            depth = abs(stack[-2] - stack[-3])
            if len(stack) == 3:
                total += depth**exponent
                stack.pop(0)
            else:
                total += 2.0 * depth**exponent
                del stack[-3:-1]
    return total + sum(abs(b - a) ** exponent for a, b in itertools.pairwise(stack))


@given(shares)
def test_ageing_adds_up_to_rainflow_counting(actions: list[float]) -> None:
    """What all intervals cost is what the whole course costs, counted afterwards; no interval pays back."""
    ageing = CycleAgeing(300_000.0)
    fleet = started(Battery(18, 1.0, 1.0, eta_charge=1.0, eta_discharge=1.0, ageing=ageing))
    course, total = [0.5], 0.0
    for action in actions:
        act(fleet, [action])
        course.append(float(fleet.accounts["stored_mwh"][0, 0]))
        cost = float(fleet.accounts["wear_cost"][0, 0])
        assert 0.0 <= cost <= fleet.max_cost_per_step * (1.0 + 1e-12)
        total += cost
    expected = 0.5 * 300_000.0 * 5.24e-4 * rainflow(course, 2.03)
    assert total == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_small_turns_do_not_make_deep_cycles_cheap() -> None:
    """Trembling on the way down costs more than going down, not less: the deep half cycle is resumed."""
    costs = []
    for actions in ([0.5] * 16, [0.5, -0.1, 0.1] * 15 + [0.5]):
        fleet = started(Battery(18, 1.0, 2.5, soc_init=1.0, ageing=CycleAgeing(300_000.0)))
        total = 0.0
        for action in actions:
            act(fleet, [action])
            total += float(fleet.accounts["wear_cost"][0, 0])
        costs.append(total)
    assert costs[1] > costs[0] > 50.0


def test_many_cycles_within_each_other_are_forgotten_at_last() -> None:
    """Narrower and narrower, more often than turns are kept: it still runs, and pays for each half cycle."""
    fleet = started(Battery(18, 2.0, 1.0, eta_charge=1.0, eta_discharge=1.0, ageing=CycleAgeing(1e6)))
    total, course = 0.0, [0.5]
    for k in range(2 * MOST_TURNS):
        act(fleet, [(-1.0) ** k * 0.9**k])
        course.append(float(fleet.accounts["stored_mwh"][0, 0]))
        total += float(fleet.accounts["wear_cost"][0, 0])
    assert total == pytest.approx(0.5e6 * 5.24e-4 * rainflow(course, 2.03), rel=1e-9)


def test_the_turn_is_observed_and_saved() -> None:
    """What the next interval costs depends on where the half cycle began: it is seen, and restored."""
    fleet = [Battery(18, 1.0, 2.0, ageing=CycleAgeing(3e5), ramp_mw_per_h=9.0), Battery(22, 0.5, 1.0)]
    env = DistGridEnv(FEEDER, fleet, LossMinimisation(), load=flat_load())
    names = [entry.name for entry in env.fleet.observation_entries]
    assert names[-2:] == ["battery_18.turn_soc", "battery_22.turn_soc"]
    env.reset(seed=0)
    for action in (0.4, 0.4, -0.2):
        env.step([action, action])
    turn = env.fleet.observe(np.zeros(1, dtype=np.int64))[0, -2:]
    stored = 0.5 - np.array([2 * 0.4, 2 * 0.2]) * 0.25 / 0.95 / np.array([2.0, 1.0])
    np.testing.assert_allclose(turn, [stored[0], 0.5])  # the second does not age, and keeps no count
    state = env.get_state()
    first = env.step([0.9, 0.0])
    env.set_state(state)
    same(env.step([0.9, 0.0]), first)


def test_rows_are_single_batteries() -> None:
    """Bit for bit, and old batteries are as before beside new ones."""
    specs = [
        Battery(18, 0.5, 1.0, soc_init=(0.2, 0.8), ageing=CycleAgeing(3e5), standing_loss_per_h=0.01),
        Battery(22, 0.5, 1.0, wear_cost_per_mwh=3.0, controls="pq"), Battery(25, 0.5, 1.0),
    ]  # fmt: skip
    many = DistGridVectorEnv(FEEDER, specs, LossMinimisation(), num_envs=3, load=flat_load())
    many.reset(seed=0)
    singles = [DistGridEnv(FEEDER, specs, LossMinimisation(), load=flat_load()) for _ in range(3)]
    plain = DistGridEnv(FEEDER, [Battery(25, 0.5, 1.0)], LossMinimisation(), load=flat_load())
    for row, env in enumerate((*singles, plain)):
        env.reset(seed=row)
    rng = np.random.default_rng(1)
    for _ in range(40):
        actions = rng.uniform(-1.0, 1.0, (3, 4))
        many.step(actions)
        for row, env in enumerate(singles):
            env.step(actions[row])
            for name in ("stored_mwh", "standing_loss_mwh", "wear_cost", "throughput_mwh"):
                np.testing.assert_array_equal(
                    many.fleet.accounts[name][row], env.fleet.accounts[name][0], err_msg=name
                )
        plain.step(actions[0, 3:])
        assert plain.fleet.delivered_p_mw[0, 0] == singles[0].fleet.delivered_p_mw[0, 2]
        assert plain.fleet.accounts["stored_mwh"][0, 0] == singles[0].fleet.accounts["stored_mwh"][0, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"standing_loss_per_h": -0.1}, r"standing_loss_per_h must be in \[0, 1\], got -0.1"),
        ({"standing_loss_per_h": 1.0}, "standing_loss_per_h must be below 1"),
        ({"wear_cost_per_mwh": -1.0}, "wear_cost_per_mwh must be at least 0, got -1.0"),
        ({"wear_cost_per_mwh": math.inf}, "wear_cost_per_mwh must be a finite number"),
        ({"ageing": {"price": 1.0}}, "ageing has no field 'price'"),
        ({"ageing": {"replacement_cost_per_mwh": -1.0}}, "replacement_cost_per_mwh must be at least 0"),
        ({"ageing": {"replacement_cost_per_mwh": 1.0, "exponent": 0.5}}, r"exponent must be in \[1, 10\]"),
        ({"ageing": {"replacement_cost_per_mwh": 1.0, "factor": 2.0}}, r"factor must be in \[0, 1\]"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Battery(18, 0.2, 0.8, **change)


def test_ageing_is_a_value_that_survives_json() -> None:
    spec = Battery(18, 0.2, 0.8, ageing=CycleAgeing(2e5))
    fields = json.loads(json.dumps(dataclasses.asdict(spec)))
    fields.pop("class_name")
    assert Battery(**fields) == spec
    with pytest.raises(TypeError, match="ageing must be a CycleAgeing, got 5"):
        Battery(18, 0.2, 0.8, ageing=5)  # type: ignore[arg-type]
