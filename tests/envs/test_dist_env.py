"""DistGridEnv: power, timeline, reward, costs, failure, state."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from distgrid import physics
from distgrid.cases import profiles
from distgrid.envs import (
    Battery,
    DistGrid3PhaseEnv,
    DistGridEnv,
    LossMinimisation,
    SeriesLoad,
    VoltVar,
)

from .world import FEEDER, WORLDS, flat_load, make


@pytest.fixture(scope="module", params=WORLDS)
def shared(request: pytest.FixtureRequest) -> DistGridEnv:
    """Both kinds of environment: one contract."""
    return WORLDS[request.param](split="test")


@pytest.fixture(scope="module")
def balanced() -> DistGridEnv:
    return make(split="test")


def test_slack_covers_load_less_injection_plus_loss(shared: DistGridEnv) -> None:
    """Capabilities 10, 94, 96: the sum of the resources appears in the balance, active and reactive."""
    observation, _ = shared.reset(seed=1)
    for action in ([1.0, 0.2, -0.7], [-1.0, 1.0, 1.0], [0.3, -1.0, 0.0]):
        load_p = observation[shared.layout["load_p_mw"]].sum(dtype=np.float64)
        load_q = observation[shared.layout["load_q_mvar"]].sum(dtype=np.float64)
        observation, _, _, _, info = shared.step(np.array(action))
        delivered = info["delivered"]
        assert info["p_slack_MW"] == pytest.approx(
            load_p - delivered["p_mw"].sum() + info["p_loss_MW"], abs=1e-6
        )
        assert info["q_slack_MVAr"] == pytest.approx(
            load_q - delivered["q_mvar"].sum() + info["q_loss_MVAr"], abs=1e-6
        )


def test_a_discharging_battery_lowers_the_slack(shared: DistGridEnv) -> None:
    """Capability 95: loads positive, injections negative."""
    slack = {}
    for a in (-1.0, 0.0, 1.0):
        shared.reset(seed=4)
        slack[a] = shared.step(np.array([a, 1.0, 0.0]))[4]["p_slack_MW"]
    assert slack[1.0] < slack[0.0] - 0.19
    assert slack[-1.0] > slack[0.0] + 0.19


def test_physics_of_a_step_is_the_power_flow(balanced: DistGridEnv) -> None:
    """Capability 93: the environment adds nothing to `physics.solve`."""
    balanced.reset(seed=2)
    t = balanced.grid.t_index.copy()
    *_, info = balanced.step(np.array([0.5, 0.5, 0.5]))
    p, q = profiles.assignment(FEEDER).node_series(FEEDER, balanced.profiles, t)
    inject_p, inject_q = np.zeros(33), np.zeros(33)
    for unit, dp, dq in zip(
        balanced.units, info["delivered"]["p_mw"], info["delivered"]["q_mvar"], strict=True
    ):
        inject_p[unit.node_row] += dp
        inject_q[unit.node_row] += dq
    solution = physics.solve(balanced.net, p[0], q[0], p_inject_mw=inject_p, q_inject_mvar=inject_q)
    np.testing.assert_allclose(info["voltages"], solution.v_pu, atol=1e-12)
    np.testing.assert_allclose(info["branch_loading"], solution.loading, atol=1e-12)
    assert info["p_loss_MW"] == pytest.approx(solution.p_loss_mw, abs=1e-12)
    assert info["p_slack_MW"] == pytest.approx(solution.p_slack_mw, abs=1e-12)


def test_timeline_of_a_step(balanced: DistGridEnv) -> None:
    """Observation at t: loads and PV of interval t, voltages solved at the end of interval t - 1."""
    day = int(balanced.days[0])
    observation, info = balanced.reset(seed=0, options={"day": day})
    p, _ = profiles.assignment(FEEDER).node_series(FEEDER, balanced.profiles, slice(96 * day, 96 * day + 97))
    for step in range(40):
        assert info["t_index"] == 96 * day + step
        np.testing.assert_allclose(observation[balanced.layout["load_p_mw"]], p[step], atol=1e-6)
        sun = 0.5 * balanced.profiles.pv[96 * day + step, 3]
        assert observation[balanced.layout["pv.p_avail_mw"]][0] == pytest.approx(sun, abs=1e-6)
        np.testing.assert_allclose(observation[balanced.layout["v_pu"]], info["voltages"], atol=1e-6)
        observation, _, _, _, info = balanced.step(np.array([0.0, 1.0, 0.0]))
        assert info["delivered"]["p_mw"][1] == pytest.approx(sun, abs=1e-9), (
            "the action acts during interval t"
        )


def test_the_first_observation_shows_the_interval_before(balanced: DistGridEnv) -> None:
    day = int(balanced.days[1])
    _, info = balanced.reset(options={"day": day})
    p, q = profiles.assignment(FEEDER).node_series(FEEDER, balanced.profiles, np.array([96 * day - 1]))
    sun = np.zeros(33)
    sun[24] = 0.5 * balanced.profiles.pv[96 * day - 1, 3]
    solution = physics.solve(balanced.net, p[0], q[0], p_inject_mw=sun)
    np.testing.assert_allclose(info["voltages"], solution.v_pu, atol=1e-12)
    assert balanced.grid.fleet.programs[0].state()["soc_mwh"][0, 0] == pytest.approx(0.4), (
        "resources start fresh"
    )


def test_the_reward_is_a_tenth_of_the_loss(shared: DistGridEnv) -> None:
    """Capability 99: default reward -0.1 p_loss_MW; soft penalties are opt-in."""
    shared.reset(seed=7)
    for _ in range(5):
        _, reward, _, _, info = shared.step(shared.neutral_action)
        assert reward == pytest.approx(-0.1 * info["p_loss_MW"], abs=1e-15)
        assert reward == pytest.approx(sum(info["rewards"].values()), abs=1e-15)
    penal = make(
        task=LossMinimisation(voltage_penalty_weight=2.0, thermal_penalty_weight=3.0), load=flat_load(1.2)
    )
    penal.reset(seed=0)
    _, reward, _, _, info = penal.step(penal.neutral_action)
    assert info["cost_voltage_violation"] > 0
    expected = (
        -0.1 * info["p_loss_MW"] - 2 * info["cost_voltage_violation"] - 3 * info["cost_thermal_overload"]
    )
    assert reward == pytest.approx(expected, abs=1e-12)


def test_costs_are_magnitudes_and_vanish_inside_the_limits() -> None:
    """Trap 20: "sum of pu" documented, a count returned. Capability 14: empty if and only if in band."""
    env = make(task=VoltVar(v_band=(0.95, 1.05)), load=flat_load(1.0))
    env.reset(seed=0)
    *_, info = env.step(env.neutral_action)
    v = info["voltages"][1:]  # the source is not judged
    below = np.maximum(0.95 - v, 0.0)
    assert info["cost_voltage_violation"] == pytest.approx(below.sum(), abs=1e-12)
    assert info["n_voltage_violations"] == int((below > 0).sum()) > 10
    assert info["cost"] == pytest.approx(sum(info["costs"].values()))
    calm = make(task=VoltVar(v_band=(0.5, 1.5)), load=flat_load(1.0))
    calm.reset(seed=0)
    *_, info = calm.step(calm.neutral_action)
    assert info["cost"] == info["cost_voltage_violation"] == 0.0
    assert info["n_voltage_violations"] == 0


def test_thermal_overload_counts_mva_above_rating() -> None:
    """Trap 7: limits that can never bind. Capability 13 beside it: loss is slack less load."""
    env = make(resources=[Battery(18, 0.2, 0.8)], load=flat_load(1.9))
    env.reset(seed=0)
    *_, info = env.step(env.neutral_action)
    solution = physics.solve(
        env.net, *(1.9 * FEEDER.column("nodes", c) for c in ("load_p_mw", "load_q_mvar"))
    )
    s = np.maximum(
        np.hypot(solution.p_from_mw, solution.q_from_mvar), np.hypot(solution.p_to_mw, solution.q_to_mvar)
    )
    above = np.maximum(s - FEEDER.column("branches", "thermal_limit_mva"), 0.0)
    assert info["n_thermal_overloads"] == int((above > 0).sum()) > 0
    assert info["cost_thermal_overload"] == pytest.approx(above.sum(), rel=1e-9)
    assert info["p_loss_MW"] == pytest.approx(info["p_slack_MW"] - 1.9 * 3.715, abs=1e-9)


def test_reactive_series_overrides_else_power_factor_is_kept() -> None:
    """Capability 98: Q equals the series; else Q_i / P_i is constant, and P = 0 means Q = 0."""
    p = np.tile(FEEDER.column("nodes", "load_p_mw"), (96, 1)) * np.linspace(0.2, 1.0, 96)[:, None]
    p[10:20, 5] = 0.0
    kept = make(load=SeriesLoad(FEEDER, p))
    assert kept.load.reactive_mvar is None
    observation, _ = kept.reset(options={"day": 0})
    for t in range(30):
        q_seen, p_seen = observation[kept.layout["load_q_mvar"]], observation[kept.layout["load_p_mw"]]
        ratio = FEEDER.column("nodes", "load_q_mvar")[1:] / FEEDER.column("nodes", "load_p_mw")[1:]
        np.testing.assert_allclose(q_seen[1:], p_seen[1:] * ratio, atol=1e-6)
        assert (q_seen[p_seen == 0.0] == 0.0).all(), t
        observation, *_ = kept.step(kept.neutral_action)
    q = np.full((96, 33), 0.01)
    given = make(load=SeriesLoad(FEEDER, p, q))
    assert given.load.reactive_mvar is not None
    observation, _ = given.reset(options={"day": 0})
    np.testing.assert_allclose(observation[given.layout["load_q_mvar"]], 0.01, atol=1e-7)


@pytest.mark.parametrize("factor", [4.0, 8.0, 60.0])
def test_a_failed_power_flow_is_flagged_priced_and_ends_the_episode(factor: float) -> None:
    """Capabilities 100 and 108, Traps 8 and 19: collapse is told apart, never scored, and never pays."""
    series = np.tile(FEEDER.column("nodes", "load_p_mw"), (96, 1))
    reactive = np.tile(FEEDER.column("nodes", "load_q_mvar"), (96, 1))
    series[5:] *= factor
    reactive[5:] *= factor
    env = make(load=SeriesLoad(FEEDER, series, reactive), task=VoltVar())
    env.reset(options={"day": 0})
    stored = env.grid.fleet.programs[0].state()["soc_mwh"]
    rewards = []
    for _ in range(5):
        _, reward, terminated, _, info = env.step(np.array([0.5, 1.0, 0.0]))
        assert not terminated
        rewards.append(reward)
    before = stored[0, 0]
    observation, reward, terminated, truncated, info = env.step(np.array([0.5, 1.0, 0.0]))
    assert terminated
    assert not truncated
    assert not info["pf_converged"]
    assert info["is_diverged"] or info["voltage_collapse"]
    assert stored[0, 0] < before, "resources still step"
    assert np.isfinite(observation).all()
    assert env.observation_space.contains(observation)
    assert np.isfinite([info["p_slack_MW"], info["p_loss_MW"], info["cost_voltage_violation"]]).all()
    assert info["rewards"]["power_flow_failure"] == reward < 91 * min(rewards)
    assert info["cost"] == info["costs"]["power_flow_failure"] > 0
    with pytest.raises(RuntimeError, match="reset"):
        env.step(env.neutral_action)


def test_no_solved_step_can_be_worse_than_the_failure_price() -> None:
    """Trap 19: the price bounds every reward and cost, also under loads far beyond nominal."""
    env = make(load=flat_load(2.9), task=VoltVar(v_band=(0.99, 1.01)))
    env.reset(options={"day": 0})
    for action in ([-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]):
        _, reward, terminated, _, info = env.step(np.array(action))
        assert not terminated
        assert reward > env.grid.worst_reward
        assert info["cost"] < env.grid.worst_cost


def test_state_restores_exactly(shared: DistGridEnv) -> None:
    """Planning: get_state, play, set_state, play again: the same bytes, the next reset included."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (96, 3))
    shared.reset(seed=9)
    for action in actions[:30]:
        shared.step(action)
    saved = shared.get_state()
    frozen = pickle.dumps(saved)

    def play() -> list[bytes]:
        out = [shared.obs().tobytes()]
        for action in actions[30:]:
            observation, reward, *_ = shared.step(action)
            out += [observation.tobytes(), np.float64(reward).tobytes()]
        observation, info = shared.reset()
        return [*out, observation.tobytes(), str(info["day"]).encode()]

    first = play()
    shared.set_state(saved)
    assert play() == first
    assert pickle.dumps(saved) == frozen, "the saved state is not touched"
    twin = WORLDS["per-phase" if isinstance(shared, DistGrid3PhaseEnv) else "balanced"](split="test")
    twin.reset(seed=0)
    twin.set_state(saved)
    assert twin.obs().tobytes() == first[0]
    with pytest.raises(ValueError, match="another"):
        make(resources=[Battery(18, 0.2, 0.8)]).set_state(saved)


def test_what_was_returned_never_changes(shared: DistGridEnv) -> None:
    """Trap 25a: an array returned to the user and later changed in place corrupts replay buffers."""
    kept = []
    observation, info = shared.reset(seed=3)
    for _ in range(6):
        kept.append((observation, copy.deepcopy(observation), info, copy.deepcopy(info)))
        observation, _, _, _, info = shared.step(shared.action_space.sample())
    for obs, obs_then, told, told_then in kept:
        np.testing.assert_array_equal(obs, obs_then)
        np.testing.assert_equal(told, told_then)


def test_actions_are_not_modified_and_not_reused(shared: DistGridEnv) -> None:
    shared.reset(seed=3)
    action = np.array([1.0 + 5e-7, 0.0, 0.0])  # rounding of a float32 policy: clipped
    shared.step(action)
    assert action[0] == 1.0 + 5e-7
