"""Plans of whole days on per-phase feeders: their model is the environment, and no rule reaches them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.phase_day.network import PhaseNetwork, Setpoints
from distgrid.baselines.optimal.phase_day.plan import PhaseDayPlan, check_phase_day, plan_phase_day
from distgrid.baselines.optimal.phase_day.taps import Walk, best_walk
from distgrid.baselines.optimal.phase_day.terms import Look, NetworkTerms
from distgrid.baselines.policy import scenario_of
from distgrid.cases.profiles import Duration

ID, DAY = "distgrid/VoltVar3-ieee13-v1", 160


@pytest.fixture(scope="module")
def env() -> Any:
    """Three hours of the day with the registered fleet, tap changers and banks."""
    task = scenario_of(gymnasium.make(ID, disable_env_checker=True)).task
    task = dataclasses.replace(task, episode=Duration(hours=3))
    return gymnasium.make(ID, split="test", task=task, disable_env_checker=True)


@pytest.fixture(scope="module")
def plan(env: Any) -> PhaseDayPlan:
    """Of the day."""
    env.reset(seed=0, options={"day": DAY})
    return plan_phase_day(scenario_of(env))


def played(env: Any, actions: Any) -> float:
    """The return of a sequence of actions."""
    env.reset(seed=0, options={"day": DAY})
    return sum(float(env.step(action.astype(np.float32))[1]) for action in actions)


def random_play(env: Any, seed: int) -> tuple[Setpoints, list[dict[str, float]]]:
    """What a random policy's devices did, and what it earned by term."""
    scenario, rng = scenario_of(env), np.random.default_rng(seed)
    env.reset(seed=0, options={"day": DAY})
    p, q, position, earned, over = [], [], [], [], False
    while not over:
        neutral = scenario.neutral_action
        action = np.clip(neutral + rng.normal(0.0, 0.3, neutral.size), -1.0, 1.0)
        _, _, terminated, over, info = env.step(action.astype(np.float32))
        assert not terminated
        did = info["delivered"]
        p.append(did["p_mw"])
        q.append(did["q_mvar"])
        position.append(np.concatenate([did["tap_pos"], did["cap_on"]]))
        earned.append(info["rewards"])
    return Setpoints(np.array(p), np.array(q), np.array(position)), earned


def test_the_model_of_the_network_is_the_environment(env: Any) -> None:
    """Losses, voltages, unbalance and limits of random play cost what the environment charges."""
    env.reset(seed=0, options={"day": DAY})
    scenario = scenario_of(env)
    network = PhaseNetwork(scenario, scenario.window())
    at, earned = random_play(env, 3)
    cost = NetworkTerms(scenario.task.rewards).cost(
        Look(network, network.solve(at), np.arange(network.steps))
    )
    of_network = ("loss", "voltage", "violation", "unbalance", "vuf_violation")
    wanted = [-sum(terms[name] for name in of_network) for terms in earned]
    np.testing.assert_allclose(cost, wanted, rtol=1e-5, atol=1e-6)


def test_slopes_are_differences_of_the_cost(env: Any) -> None:
    """Of the smooth terms and of the worst node of every limit, by an inverter's reactive power."""
    env.reset(seed=0, options={"day": DAY})
    scenario = scenario_of(env)
    network, steps = PhaseNetwork(scenario, scenario.window()), np.arange(12)
    at, _ = random_play(env, 5)
    smooth = NetworkTerms(
        [
            t
            for t in scenario.task.rewards
            if t.of.name in ("loss_mw", "voltage_deviation", "unbalance_square")
        ]
    )
    terms = NetworkTerms(scenario.task.rewards)

    def look(change: float) -> Look:
        q = at.q_mvar.copy()
        q[:, unit] += change
        return Look(network, network.solve(Setpoints(at.p_mw, q, at.position)), steps)

    step = 1e-5
    for unit in (6, 13):
        here, sides = look(0.0), (look(step), look(-step))
        _, slope = network.by_setpoints(here.sol, smooth.smooth_seeds(here))
        apart = (smooth.cost(sides[0]) - smooth.cost(sides[1])) / (2.0 * step)
        np.testing.assert_allclose(slope[:, unit], apart, rtol=1e-5, atol=1e-8)
        for k, hinges in enumerate(terms.hinges(here)):
            worst = hinges.excess.argmax(axis=1)
            factor = np.zeros(hinges.excess.shape)
            factor[steps, worst] = 1.0
            _, slope = network.by_setpoints(here.sol, hinges.seeds(factor))
            after, before = (terms.hinges(side)[k].excess[steps, worst] for side in sides)
            np.testing.assert_allclose(slope[:, unit], (after - before) / (2.0 * step), rtol=1e-5, atol=1e-7)


def test_what_the_plan_promises_is_what_the_environment_pays(env: Any, plan: PhaseDayPlan) -> None:
    """The value of the search is the return of its actions."""
    assert plan.actions.shape == (12, 15)
    assert np.abs(plan.actions).max() <= 1.0
    assert played(env, plan.actions) == pytest.approx(plan.value, abs=2e-4)


@pytest.mark.parametrize("name", ["do-nothing", "volt-var-ieee1547", "volt-var-fuzzy", "local-control"])
def test_no_rule_reaches_the_plan(env: Any, plan: PhaseDayPlan, name: str) -> None:
    """On the same hours, with the same seed."""
    policy = baselines.make(name, env)
    obs, info = env.reset(seed=0, options={"day": DAY})
    policy.reset(obs, info)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
        total, over = total + float(reward), terminated or truncated
    assert total < played(env, plan.actions)


def test_no_small_change_of_q_in_one_interval_helps_much(env: Any, plan: PhaseDayPlan) -> None:
    """The plan is near a local optimum: with a little more or less Q it is hardly better."""
    best, rng = played(env, plan.actions), np.random.default_rng(0)
    for _ in range(12):
        near = plan.actions.copy()
        t, k = rng.integers(len(near)), rng.integers(5, 15)
        near[t, k] = np.clip(near[t, k] + rng.choice([-0.1, 0.1]), -1.0, 1.0)
        assert played(env, near) <= best + 1e-3 * abs(best)


def test_the_same_day_gives_the_same_plan(env: Any, plan: PhaseDayPlan) -> None:
    """To the last bit."""
    env.reset(seed=0, options={"day": DAY})
    again = plan_phase_day(scenario_of(env))
    np.testing.assert_array_equal(again.actions, plan.actions)


@pytest.mark.parametrize("budget", [np.inf, 2.0])
def test_the_best_walk_is_the_best_of_all_walks(budget: float) -> None:
    """Every walk over three positions in six intervals is tried; the third interval begins a day."""
    rng = np.random.default_rng(int(min(budget, 9)))
    for _ in range(5):
        cost, begins = rng.uniform(0.0, 1.0, (6, 3)), np.array([True, False, False, True, False, False])
        walk, costs = Walk(0.1, begins), {}
        for path in itertools.product(range(3), repeat=6):
            moves = np.abs(np.diff([1, *path]))
            used = (moves[:3].sum(), moves[3:].sum())
            if max(used) <= budget and moves.max() <= 1:
                costs[path] = sum(cost[t, p] for t, p in enumerate(path)) + 0.1 * moves.sum()
        found = best_walk(cost, 0, 1, 1.0, budget, budget, walk)
        assert tuple(found.tolist()) == min(costs, key=lambda path: costs[path])


def test_a_balanced_feeder_is_refused() -> None:
    """With what was expected."""
    env = gymnasium.make("distgrid/VoltVar-33bw-v1", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(RunError, match="balanced: expected one with phases"):
        check_phase_day(scenario_of(env))


def test_a_term_that_is_not_covered_is_named() -> None:
    """With those that are."""
    env = gymnasium.make("distgrid/PeakShaving-33bw-v0", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(RunError, match="is not covered on per-phase feeders; these are"):
        plan_phase_day(scenario_of(env))
