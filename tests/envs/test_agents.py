"""Many agents: who decides what, who sees what, who is paid for what; the batched form."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from distgrid import cases
from distgrid.envs import (
    EV,
    PV,
    Battery,
    DERDispatch,
    DistGridVectorEnv,
    Duration,
    InverterFunctions,
    ParallelVec,
    VoltVarCurve,
    parallel_vec,
)
from distgrid.envs.agents import Cut, ElectricalTree, zones_of

from .world import FEEDER, flat_load

MONEY, PHASES = "DERDispatch-33bw-v0", "DERDispatch-ieee123-v0"


def played(env: ParallelVec, steps: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """What random actions bring; the same for the same shape."""
    rng, found = np.random.default_rng(seed), []
    env.reset(seed=1)
    for _ in range(steps):
        size = (env.num_envs, env.num_agents, env.action_width)
        found.append(env.step(rng.uniform(-1, 1, size).astype(np.float32)))
    return found


@pytest.mark.parametrize("name", [MONEY, PHASES, "VoltVar-33bw-v1", "EVCharging-33bw-v0"])
@pytest.mark.parametrize("agents", ["resource", "zone"])
def test_rewards_of_ones_own_add_up_to_that_of_the_environment(name: str, agents: str) -> None:
    """Row 102: nothing is paid twice and nothing is lost, from the first interval to the settlement."""
    env = parallel_vec(name, 2, agents=agents)
    for _, rewards, _, _, infos in played(env, env.unwrapped.task.episode.steps(0.25)):
        total = sum(value for key, value in infos["rewards"].items() if not key.startswith("_"))
        np.testing.assert_allclose(rewards.sum(axis=1), total, rtol=1e-9, atol=1e-9)
    assert (rewards != 0.0).all()


@pytest.mark.parametrize("name", [MONEY, PHASES])
def test_the_batched_form_is_the_vector_environment_seen_by_agents(name: str) -> None:
    """Bit for bit: actions go to their columns, observations come from theirs."""
    env = parallel_vec(name, 3, reward="team", observe="global", split="val")
    plain: Any = gym.make_vec(f"distgrid/{name}", 3, vectorization_mode="vector_entry_point", split="val")
    flat, _ = plain.reset(seed=5)
    shown, _ = env.reset(seed=5)
    rng = np.random.default_rng(2)
    for _ in range(5):
        np.testing.assert_array_equal(env.state(), flat)
        for agent in range(env.num_agents):
            columns = env.table.observation[agent]
            np.testing.assert_array_equal(shown[:, agent, columns >= 0], flat[:, columns[columns >= 0]])
            assert not shown[:, agent, columns < 0].any()
        action = rng.uniform(-1, 1, (3, plain.single_action_space.shape[0])).astype(np.float32)
        asked = np.zeros((3, env.num_agents, env.action_width), dtype=np.float32)
        for agent in range(env.num_agents):
            own = env.table.parts.actions[agent]
            asked[:, agent, : len(own)] = action[:, own]
        flat, reward, *_ = plain.step(action)
        shown, rewards, *_ = env.step(asked)
        np.testing.assert_array_equal(rewards, np.repeat(reward[:, None], env.num_agents, axis=1))


def test_rows_do_not_depend_on_how_many_there_are() -> None:
    """The second of three environments has what it has alone, rewards of agents included."""
    three, one = parallel_vec(MONEY, 3), parallel_vec(MONEY, 1)
    three.reset(seed=4)
    one.reset(seed=5)
    rng = np.random.default_rng(0)
    for _ in range(4):
        actions = rng.uniform(-1, 1, (3, three.num_agents, three.action_width)).astype(np.float32)
        many, alone = three.step(actions), one.step(actions[1:2])
        np.testing.assert_array_equal(many[0][1], alone[0][0])
        np.testing.assert_array_equal(many[1][1], alone[1][0])


def test_a_battery_pays_its_own_energy_wear_and_settlement() -> None:
    """Row 57: by hand, and alone in its feeder the settlement of one is that of all."""
    hours, n = 2.0, 8
    vector = DistGridVectorEnv(
        FEEDER, [Battery(18, 0.2, 0.8, name="store"), PV(25, 0.5, controls="pq")],
        DERDispatch(episode=Duration(hours=hours), wear_usd_mwh=7.0), load=flat_load(0.5), num_envs=2,
    )  # fmt: skip
    env = ParallelVec(vector, Cut(reward=0.0))
    env.reset(seed=3)
    store = env.possible_agents.index("battery_0")
    actions = np.zeros((2, 2, env.action_width), dtype=np.float32)
    for k, action in enumerate([0.9, 0.5, -0.3, 1.0, 0.0, 0.7, 0.2, 0.4]):
        actions[:, store, 0] = [action, -action]
        _, rewards, _, _, infos = env.step(actions)
        p_mw = infos["delivered"]["p_mw"][:, 0]
        ledger = vector.shards.grid.ledger
        assert ledger is not None
        price = ledger.entries[:, 0]
        by_hand = 0.25 * price * p_mw - 7.0 * 0.25 * np.abs(p_mw)
        if k == n - 1:
            by_hand = by_hand + infos["rewards"]["energy_deficit"] + infos["rewards"]["energy_surplus"]
            assert infos["rewards"]["energy_deficit"][0] < 0.0
        np.testing.assert_allclose(rewards[:, store], by_hand, rtol=1e-9)


def test_a_share_adds_so_much_of_what_is_nobodys_own() -> None:
    """Linear in the share, from one's own accounts alone on."""
    none, half, whole = (played(parallel_vec(MONEY, 2, reward=s), 6) for s in (0.0, 0.5, 1.0))
    for a, b, c in zip(none, half, whole, strict=True):
        np.testing.assert_allclose(b[1], 0.5 * (a[1] + c[1]), rtol=1e-9, atol=1e-12)
        assert (np.abs(c[1] - a[1]) > 0.0).all()


def test_a_failed_power_flow_takes_its_whole_price_from_every_agent() -> None:
    """Row 48: whatever the share, ending early pays for nobody."""
    task = DERDispatch(failure_price=1234.0)
    for reward in ("own", "team", 0.0, 0.3):
        vector = DistGridVectorEnv(
            FEEDER, [Battery(18, 40.0, 90.0), Battery(33, 40.0, 90.0)], task, load=flat_load(), num_envs=1
        )
        env = ParallelVec(vector, Cut(reward=reward))
        env.reset(seed=0)
        _, rewards, ended, _, infos = env.step(np.full((1, 2, 1), -1.0))
        assert ended.all()
        assert not infos["pf_converged"].any()
        np.testing.assert_array_equal(rewards, [[-1234.0, -1234.0]])


def test_scopes_nest_and_what_devices_know_stays_theirs() -> None:
    """own < zone < global; nobody sees another's state of charge but with "global"."""
    own, zone, everything = (parallel_vec(MONEY, observe=scope) for scope in ("own", "zone", "global"))
    described = own.unwrapped.layout.describe()
    theirs = {unit.name for unit in own.unwrapped.units}
    for agent, units in enumerate(own.table.parts.units):
        seen = [set(env.table.observation[agent].tolist()) - {-1} for env in (own, zone, everything)]
        assert seen[0] < seen[1] < seen[2] == set(range(own.state_width))
        mine = {unit.name for unit in units}
        of_devices = {described[k].name.rpartition(".")[0] for k in seen[1]} & theirs
        assert of_devices <= mine
        buses = {described[k].bus for k in seen[0]} - {None}
        assert buses == {unit.bus for unit in units}


def test_agents_of_a_kind_have_a_block_in_the_same_columns() -> None:
    """One network serves all of them: names of entries differ by their place alone."""
    env = parallel_vec(PHASES)
    names = [entry.name.partition("[")[0] for entry in env.unwrapped.layout.describe()]
    for kind in set(env.table.parts.kinds):
        members = [k for k, other in enumerate(env.table.parts.kinds) if other == kind]
        assert len(set(env.observation_sizes[members].tolist())) == 1
        for column in env.table.observation[members].T:
            blocks = {names[k].rpartition(".")[2] for k in column.tolist() if k >= 0}
            assert len(blocks) <= 1


def test_an_agent_without_its_car_stays_and_is_not_active() -> None:
    """A station's agent is active exactly while a car is there; the others always; episodes go on."""
    vector = DistGridVectorEnv(
        FEEDER, [EV(30, 0.1, sessions=[(1.0, 2.0, 0.05), (3.0, 4.0, 0.05)]), Battery(18, 0.2, 0.8)],
        DERDispatch(), load=flat_load(), num_envs=2,
    )  # fmt: skip
    env = ParallelVec(vector, Cut())
    car = env.possible_agents.index("ev_0")
    env.reset(seed=0)
    seen = [env.active[0].copy()]
    for _ in range(20):
        _, _, ended, cut, _ = env.step(np.zeros((2, 2, 1)))
        assert not ended.any()
        assert not cut.any()
        seen.append(env.active[0].copy())
    hours = np.arange(21) * 0.25
    there = ((hours >= 1.0) & (hours < 2.0)) | ((hours >= 3.0) & (hours < 4.0))
    np.testing.assert_array_equal([now[car] for now in seen], there)
    assert all(now[1 - car] for now in seen)


def test_an_episode_that_begins_in_the_same_step_keeps_its_last_observations() -> None:
    """`final_obs` are those of agents, and rewards are those of the interval that ended."""
    same, next_step = (
        parallel_vec(MONEY, 2, autoreset_mode=mode, max_episode_steps=3) for mode in ("SameStep", "NextStep")
    )
    a, b = played(same, 3)[-1], played(next_step, 3)[-1]
    assert a[3].all()
    assert b[3].all()
    np.testing.assert_array_equal(a[1], b[1])
    np.testing.assert_array_equal(np.stack(a[4]["final_obs"]), b[0])
    idle = next_step.step(np.zeros((2, next_step.num_agents, next_step.action_width)))
    assert not idle[1].any()


# -- neighbourhoods ------------------------------------------------------------------------------------------


def widths(feeder: cases.Feeder, zones: Any) -> list[float]:
    """The largest distance between two nodes within each zone, by another engine on its graph alone."""
    tree = ElectricalTree(feeder)
    inside = np.flatnonzero(tree.parent >= 0)
    found = []
    for zone in dict.fromkeys(zones):
        mine = np.flatnonzero([z == zone for z in zones])
        kept = [k for k in inside if k in mine and tree.parent[k] in mine]
        graph = coo_array((tree.z_pu[kept], (kept, tree.parent[kept])), shape=(feeder.n_nodes,) * 2)
        apart = dijkstra(graph.tocsr(), directed=False)[np.ix_(mine, mine)]
        found.append(float(apart.max()))
    return found


@pytest.mark.parametrize("name", ["case33bw", "ieee123"])
def test_zones_are_connected_and_narrower_the_more_there_are(name: str) -> None:
    """Inside a zone every node is reached without leaving it; those of an environment are of like size."""
    feeder = cases.load(name)
    tree, last = ElectricalTree(feeder), np.inf
    for count in (1, 3, 6, 12):
        zones = tree.zones(count).tolist()
        assert len(set(zones)) <= count
        most = max(widths(feeder, zones))
        assert most <= last
        last = most
        even = zones_of(feeder, count)
        assert len(set(even)) <= count
        assert np.isfinite(widths(feeder, even)).all()
        assert max(Counter(even).values()) <= 3.0 * feeder.n_nodes / count


def test_zones_have_the_least_diameter_that_so_many_can_have() -> None:
    """By trying all cuts of the tree of a small feeder."""
    feeder = cases.load("ieee13")
    tree = ElectricalTree(feeder)
    steps = np.flatnonzero(tree.parent >= 0).tolist()
    best = np.inf
    for cut in itertools.combinations(steps, 2):
        zones = np.zeros(feeder.n_nodes, dtype=int)
        for k in tree.order.tolist():
            zones[k] = k + 1 if k in cut else (0 if tree.parent[k] < 0 else zones[tree.parent[k]])
        best = min(best, max(widths(feeder, zones.tolist())))
    assert max(widths(feeder, tree.zones(3).tolist())) == pytest.approx(best, rel=1e-9)


def test_electrical_distance_is_that_along_the_tree() -> None:
    """Against shortest paths on the same tree."""
    tree = ElectricalTree(FEEDER)
    rows = np.flatnonzero(tree.parent >= 0)
    graph = coo_array((tree.z_pu[rows], (rows, tree.parent[rows])), shape=(FEEDER.n_nodes,) * 2)
    for node in (0, 17, 32):
        np.testing.assert_allclose(
            tree.distance_pu(node), dijkstra(graph.tocsr(), directed=False, indices=node), atol=1e-12
        )


# -- bad input -----------------------------------------------------------------------------------------------

NAMES = [unit.name for unit in gym.make(f"distgrid/{MONEY}").unwrapped.units]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"agents": {"a": NAMES, "b": NAMES[:1]}}, "'a' and 'b' share device 'battery_3'"),
        ({"agents": {"a": NAMES[1:]}}, "leaves out 1 devices with actions: battery_3"),
        ({"agents": {"a": [*NAMES, "battery_99"]}}, "names device 'battery_99', which there is not"),
        ({"agents": {"a": NAMES, "b": []}}, "agent 'b' needs a list of devices"),
        ({"agents": "house"}, "agents 'house' is unknown"),
        ({"observe": "street"}, "observe 'street' is no neighbourhood"),
        ({"observe": {"battery_0": ["99"]}}, "bus '99', which feeder"),
        ({"observe": {"nobody": []}}, "agent 'nobody', which there is not"),
        ({"observe": {"battery_0": ["2"]}}, "leaves out agent 'battery_1'"),
        ({"zones": 0}, "zones must be a whole number"),
        ({"zones": {"north": ["1"]}}, "zones leave out bus '2'"),
        ({"zones": {"north": ["1"], "south": ["1"]}}, "bus '1' is in two zones"),
        ({"reward": 1.5}, "reward must be 'own', 'team' or a share"),
        ({"reward": "mine"}, "reward must be 'own', 'team' or a share"),
        ({"observation": "graph"}, "agents see parts of a flat observation"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parallel_vec(MONEY, **options)


def test_devices_without_actions_are_no_agents() -> None:
    """They stand by; alone there is nothing to decide, and an agent of them alone is an error."""
    idle = PV(25, 0.5, functions=InverterFunctions(volt_var=VoltVarCurve()), name="roof")
    store = Battery(18, 0.2, 0.8, name="store")

    def cut(resources: list[Any], agents: Any) -> ParallelVec:
        return ParallelVec(DistGridVectorEnv(FEEDER, resources, load=flat_load()), Cut(agents))

    assert cut([idle, store], "resource").possible_agents == ("battery_0",)
    assert cut([idle, store], {"home": ["roof", "store"]}).possible_agents == ("home",)
    with pytest.raises(ValueError, match="no device of this environment has an action"):
        cut([idle], "resource")
    with pytest.raises(ValueError, match="agent 'sun' has only devices without actions"):
        cut([idle, store], {"sun": ["roof"], "home": ["store"]})


def test_actions_of_a_wrong_shape_or_size_are_refused() -> None:
    env = parallel_vec(MONEY, 2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="expected \\(environments, "):
        env.step(np.zeros((2, env.num_agents)))
    with pytest.raises(ValueError, match="actions are for 1 environments, there are 2"):
        env.step(np.zeros((1, env.num_agents, env.action_width)))
    with pytest.raises(ValueError, match=r"battery_3\.p"):
        env.step(np.full((2, env.num_agents, env.action_width), 2.0))
    with pytest.raises(ValueError, match="no environment 'distgrid/Nothing-v0'"):
        parallel_vec("Nothing-v0")
