"""PettingZoo's faces: thin on the batched form, and as that library's own tests want them."""

from __future__ import annotations

import itertools
import warnings
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest

from distgrid.envs import aec_env, parallel_env, parallel_vec, register_agents
from distgrid.envs.suites import ENTRIES

with warnings.catch_warnings():  # it imports games of its own in a way that it has deprecated itself
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import (
        api_test,
        max_cycles_test,
        parallel_api_test,
        parallel_seed_test,
        render_test,
        seed_test,
    )

#: The smallest id of each family.
FAMILIES = sorted(
    {entry.name.partition("-")[0]: entry.id for entry in reversed(ENTRIES) if entry.dt_h == 0.25}.values()
)
EVS = "EVCharging-33bw-v0"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_passes_what_pettingzoo_asks_of_parallel_environments(name: str) -> None:
    """Row 102: `parallel_api_test` and `parallel_seed_test`, for every family."""
    parallel_api_test(parallel_env(name, max_cycles=4), num_cycles=9)
    parallel_seed_test(lambda: parallel_env(name, max_cycles=3), num_cycles=3)


@pytest.mark.quick(3)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_passes_what_pettingzoo_asks_of_turns(name: str) -> None:
    """`api_test`, `seed_test` and `max_cycles_test` of the AEC form."""
    with warnings.catch_warnings():  # what it notes of boxes: far bounds, large observations
        warnings.simplefilter("ignore", UserWarning)
        api_test(aec_env(name, max_cycles=3), num_cycles=40)
    seed_test(lambda: aec_env(name, max_cycles=3), num_cycles=3)
    both = SimpleNamespace(
        parallel_env=lambda **options: drawing_the_same(parallel_env(name, **options)),
        env=lambda **options: drawing_the_same(aec_env(name, **options)),
    )
    max_cycles_test(both)


def drawing_the_same(env: Any) -> Any:
    """Days and actions from seeds: some random actions end an episode before its last cycle."""
    env.reset(seed=0)
    for number, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(number)
    return env


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_passes_what_pettingzoo_asks_of_pictures(name: str) -> None:
    """`render_test`."""
    render_test(lambda **options: aec_env(name, agents="zone", **options))


@pytest.mark.parametrize("options", [{}, {"discrete": 3}, {"agents": "bus", "observe": "global"}])
def test_both_faces_are_the_batched_form_bit_for_bit(options: dict[str, Any]) -> None:
    """Row 102: the same seed and actions bring the same numbers in all three."""
    vec, one, turns = parallel_vec(EVS, 1, **options), parallel_env(EVS, **options), aec_env(EVS, **options)
    shown, _ = vec.reset(seed=7)
    named, _ = one.reset(seed=7)
    turns.reset(seed=7)
    sizes = dict(zip(vec.possible_agents, vec.observation_sizes.tolist(), strict=True))
    assert tuple(one.possible_agents) == tuple(turns.possible_agents) == vec.possible_agents
    rng = np.random.default_rng(1)
    for _ in range(4):
        actions: dict[str, Any] = {}
        given = np.zeros(shown.shape[:2], dtype=np.int64)
        if "discrete" not in options:
            given = np.zeros((1, vec.num_agents, vec.action_width), dtype=np.float32)
        for k, agent in enumerate(vec.possible_agents):
            space = one.action_space(agent)
            space.seed(int(rng.integers(1000)))
            actions[agent] = space.sample()
            given[0, k] = actions[agent] if "discrete" in options else 0.0
            if "discrete" not in options:
                given[0, k, : actions[agent].size] = actions[agent]
        np.testing.assert_array_equal(one.state(), vec.state()[0])
        for k, agent in enumerate(vec.possible_agents):
            np.testing.assert_array_equal(named[agent], shown[0, k, : sizes[agent]])
            np.testing.assert_array_equal(turns.observe(agent), named[agent])
            turns.step(actions[agent])
        shown, rewards, *_ = vec.step(given)
        named, paid, ended, cut, _ = one.step(actions)
        assert list(paid.values()) == rewards[0].tolist() == list(turns.rewards.values())
        assert not any([*ended.values(), *cut.values()])


def test_cars_leave_and_return_and_nobodys_episode_ends() -> None:
    """All agents live from reset to the end; who has no car is not active, and may be left out."""
    env = parallel_env(EVS, discrete=3)
    _, infos = env.reset(seed=2)
    seen, steps = {agent: [info["active"]] for agent, info in infos.items()}, 0
    while env.agents:
        assert env.agents == env.possible_agents
        actions = {}
        for agent, info in infos.items():
            mask = info["action_mask"]
            assert (mask.sum() == 1) if not info["active"] else (mask.sum() == mask.size)
            if info["active"]:
                actions[agent] = int(mask.argmax())
        observations, _, ended, _, infos = env.step(actions)
        assert observations.keys() == set(env.possible_agents)
        assert not any(ended.values())
        for agent, info in infos.items():
            seen[agent].append(info["active"])
        steps += 1
    assert steps == gymnasium.spec(f"distgrid/{EVS}").max_episode_steps
    comings = [sum(now and not before for before, now in itertools.pairwise(a)) for a in seen.values()]
    assert max(comings) > 1
    env.close()


def test_masks_allow_what_taps_can_follow() -> None:
    """A tap changer's agent has the mask that the environment has for its dimension."""
    name = "VoltVar3-ieee13-v1"
    env = parallel_env(name, discrete=3)
    _, infos = env.reset(seed=0)
    table: Any = gymnasium.make(f"distgrid/{name}", action_space=_levels(3))
    table.reset(seed=0)
    whole, first = table.unwrapped.action_masks(), 0
    columns = dict(zip(env.possible_agents, env.vec.table.parts.actions, strict=True))
    for count, agent in zip(table.action_space.nvec, columns, strict=True):
        np.testing.assert_array_equal(infos[agent]["action_mask"], whole[first : first + count])
        first += count
    assert not whole.all()


def _levels(n: int) -> Any:
    from distgrid.envs import MultiDiscrete

    return MultiDiscrete(n)


def test_the_registry_of_pettingzoo_has_all_ids() -> None:
    """For both forms, where it is asked for; importing the package is enough where PettingZoo was before."""
    register_agents()
    register_agents()
    for entry in ENTRIES:
        assert entry.id in pettingzoo.parallel_registry
        assert entry.id in pettingzoo.aec_registry
    made: Any = pettingzoo.make("parallel", f"distgrid/{EVS}", max_cycles=2, agents="zone", reward="team")
    observations, _ = made.reset(seed=1)
    assert set(observations) == set(made.possible_agents)
    turns: Any = pettingzoo.make("aec", f"distgrid/{EVS}", max_cycles=2)
    turns.reset(seed=1)
    assert turns.unwrapped.possible_agents[0] == "ev_0"


def test_spaces_are_one_object_and_agents_of_a_kind_share_it() -> None:
    """Libraries that group agents by the name before the number find one space in each group."""
    env = parallel_env("DERDispatch-118zh-v0")
    for agent in env.possible_agents:
        first = env.possible_agents[[a.rpartition("_")[0] for a in env.possible_agents].index(agent[:-2])]
        assert env.observation_space(agent) is env.observation_space(first)
        assert env.action_space(agent) is env.action_space(first)
    observations, _ = env.reset(seed=0)
    assert env.state_space.contains(env.state())
    assert all(env.observation_space(agent).contains(seen) for agent, seen in observations.items())


def test_the_graph_says_where_agents_stand_and_who_is_near() -> None:
    """Distances are symmetric, 0 at the same bus, and along the tree: the farthest is not next door."""
    env = parallel_env("DERDispatch-33bw-v0")
    graph = env.unwrapped.graph
    apart = graph.distance_pu
    np.testing.assert_allclose(apart, apart.T, atol=1e-12)
    assert not np.diag(apart).any()
    agent = graph.agents[0]
    near = graph.neighbours(agent, 3)
    listed = [apart[0, graph.agents.index(other)] for other in near]
    assert listed == sorted(listed)
    assert len(set(near) - {agent}) == 3
    assert graph.edge_links.shape == (env.vec.unwrapped.feeder.n_branches, 2)
    with pytest.raises(ValueError, match="no agent 'nobody'"):
        graph.neighbours("nobody", 1)
    whole = parallel_env("DERDispatch-33bw-v0", agents="zone").graph
    assert whole.distance_pu.shape == (len(whole.agents),) * 2


def test_what_is_wrong_with_named_actions_is_said() -> None:
    env = parallel_env(EVS)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step({})
    env.reset(seed=0)
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    here = next(agent for agent, info in env.reset(seed=0)[1].items() if info["active"])
    with pytest.raises(ValueError, match=f"agent '{here}' has a device present and no action"):
        env.step({agent: action for agent, action in actions.items() if agent != here})
    with pytest.raises(ValueError, match="actions name agent 'nobody'"):
        env.step({**actions, "nobody": np.zeros(1)})
    with pytest.raises(ValueError, match="needs an action of 1 numbers"):
        env.step({**actions, "ev_0": np.zeros(2)})
    with pytest.raises(ValueError, match="nothing to render"):
        env.render()
    with pytest.raises(ValueError, match="render_mode 'film'"):
        parallel_env(EVS, render_mode="film")
    coded = parallel_env(EVS, discrete=3)
    coded.reset(seed=0)
    with pytest.raises(ValueError, match="actions 0 to 2, got 3"):
        coded.step(dict.fromkeys(coded.agents, 3))
    with pytest.raises(ValueError, match="one whole number"):
        coded.step(dict.fromkeys(coded.agents, 0.5))
    with pytest.raises(ValueError, match=r"'zone_0' has \d+ joint actions"):
        parallel_env("DERDispatch-118zh-v0", agents="zone", zones=1, discrete=5)
