"""Domain randomisation: what each episode draws beside its day, and that it is what is played."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from distgrid import cases
from distgrid.envs import (
    PV,
    Battery,
    DataTask,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    EnvOptions,
    PriceForecast,
    Randomisation,
    RandomisedFactors,
    SettlementPrices,
    SwitchStates,
    Term,
    VoltVar,
    options_from_dict,
    options_to_dict,
)
from distgrid.envs.core.network_variants import network_variants

from .world import FEEDER, FEEDER3, flat_load


def _network(env: Any) -> int:
    """The place of the network that the episode drew."""
    return int(env.grid.stepper.network[0])


FLEET = (Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="pq"))
FLEET3 = (Battery("671", 0.2, 0.8, phase="B"), PV("675", 0.5, site=3, controls="pq", phase="A"))
#: The tie 9-15 takes over what 9-10 fed.
OTHER = SwitchStates(close=["s9-15"], open=["9-10"])
LINES = Randomisation(line_r=(0.7, 1.3), line_x=(0.8, 1.2), line_length=(0.9, 1.1), networks=3, seed=5)
ALL = Randomisation(
    load_growth=(0.8, 1.3), line_r=(0.7, 1.3), networks=3, topologies=[SwitchStates(), OTHER],
    price_scale=(0.5, 2.0), price_shift_usd_mwh=(-5.0, 5.0),
)  # fmt: skip
TASK = DataTask(
    blocks=("clock", "v_pu", "price_usd_mwh", PriceForecast(2), SettlementPrices(), RandomisedFactors()),
    rewards=(Term("energy", "energy_cost_usd", -1.0), Term("loss", "loss_mw", -1.0)),
)
WORLDS: dict[str, tuple[Any, Any, EnvOptions]] = {
    "balanced": (DistGridEnv, DistGridVectorEnv, EnvOptions(FEEDER, FLEET, TASK, randomise=ALL)),
    "per phase": (
        DistGrid3PhaseEnv,
        DistGrid3PhaseVectorEnv,
        EnvOptions(
            FEEDER3, FLEET3, TASK,
            randomise=Randomisation(load_growth=(0.9, 1.1), line_r=(0.8, 1.2), price_scale=(0.9, 1.1)),
        ),
    ),
}  # fmt: skip


def steps(env: Any, n: int = 3, seed: int = 1) -> list[tuple[bytes, Any]]:
    """Observation and reward of some random steps, the reset first."""
    found: list[tuple[bytes, Any]] = []
    rng = np.random.default_rng(seed)
    for _ in range(n):
        observation, reward, *_ = env.step(rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32))
        found.append((observation.tobytes(), reward))
    return found


@pytest.mark.parametrize("world", WORLDS)
def test_a_row_is_the_single_environment_of_its_seed(world: str) -> None:
    """Issue: seeded, the same bits single and vector; more rows than a network is solved for at once."""
    single, vector, options = WORLDS[world]
    many = vector(options=options, num_envs=4, threads=2)
    observations, _ = many.reset(seed=20)
    ones = [single(options=options) for _ in range(4)]
    for row, env in enumerate(ones):
        assert env.reset(seed=20 + row)[0].tobytes() == observations[row].tobytes()
    rng = np.random.default_rng(0)
    for _ in range(2):
        action = rng.uniform(-1.0, 1.0, (4, 3)).astype(np.float32)
        observations, rewards, *_ = many.step(action)
        for row, env in enumerate(ones):
            observation, reward, *_ = env.step(action[row])
            assert observation.tobytes() == observations[row].tobytes()
            assert reward == rewards[row]
    drawn = observations[:, many.layout["drawn"]]
    assert len(np.unique(drawn[:, 0])) == 4, "each episode draws its own growth"


@pytest.mark.quick(1)
@pytest.mark.parametrize("world", WORLDS)
def test_states_bring_the_draws_back(world: str) -> None:
    """`get_state` and `set_state`, copies and pickles: network, growth and prices go with them."""
    single, vector, options = WORLDS[world]
    env, other = single(options=options), single(options=options)
    env.reset(seed=3)
    other.reset(seed=4)
    kept = env.get_state()
    expected = steps(env)
    other.set_state(kept)
    assert steps(other) == expected
    rows = vector(options=options, num_envs=2)
    rows.reset(seed=9)
    rows.set_state(kept)
    np.testing.assert_array_equal(rows.obs()[0], rows.obs()[1])
    env.set_state(kept)
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]  # noqa: S301 - our own bytes
    assert [steps(one) for one in copies] == [expected, expected]


def test_a_topology_is_the_feeder_with_its_switches() -> None:
    """Bit for bit what an environment on the changed feeder plays; one of `open` and `close` from a list."""
    changed = FEEDER.with_switch("s9-15", closed=True).with_switch("9-10", closed=False)
    plain = DistGridEnv(changed, FLEET, VoltVar(), load=flat_load())
    spec = Randomisation(topologies=[OTHER])
    drawn = DistGridEnv(FEEDER, FLEET, VoltVar(), load=flat_load(), randomise=spec)
    first, second = plain.reset(seed=1, options={"day": 0}), drawn.reset(seed=1, options={"day": 0})
    np.testing.assert_array_equal(first[1]["voltages"], second[1]["voltages"])
    action = np.full(3, 0.5, dtype=np.float32)
    one, two = plain.step(action), drawn.step(action)
    np.testing.assert_array_equal(one[4]["voltages"], two[4]["voltages"])
    np.testing.assert_array_equal(one[4]["branch_loading"], two[4]["branch_loading"])
    assert one[1] == two[1]
    base = DistGridEnv(FEEDER, FLEET, VoltVar(), load=flat_load())
    assert not np.array_equal(base.reset(options={"day": 0})[1]["voltages"], first[1]["voltages"])


@pytest.mark.parametrize("feeder", [FEEDER, FEEDER3], ids=["balanced", "per phase"])
def test_lines_have_the_factors_that_were_drawn(feeder: Any) -> None:
    """Lines alone, inside their ranges, the same for a seed; a row plays the network that it drew."""
    variants = network_variants(feeder, LINES)
    assert len(variants) == 3
    lines = feeder.column("branches", "type") == "line"
    for variant in variants:
        column = variant.net.feeder.column
        r = column("branches", "r")[lines] / feeder.column("branches", "r")[lines]
        assert (r >= 0.7 * 0.9 - 1e-9).all()
        assert (r <= 1.3 * 1.1 + 1e-9).all()
        assert np.ptp(r) > 0.1
        assert variant.line_r == pytest.approx(r.mean())
        np.testing.assert_array_equal(column("branches", "x")[~lines], feeder.column("branches", "x")[~lines])
    for one, two in zip(variants, network_variants(feeder, LINES), strict=True):
        assert one.net.feeder.equals(two.net.feeder)
    face, fleet = (DistGridEnv, FLEET) if feeder is FEEDER else (DistGrid3PhaseEnv, FLEET3)
    env = face(feeder, fleet, VoltVar(), randomise=LINES)
    action = np.full(3, 0.5, dtype=np.float32)
    for seed in range(4):
        env.reset(seed=seed)
        mine = variants[_network(env)].net.feeder
        plain = face(mine, fleet, VoltVar())
        plain.reset(seed=seed, options={"day": env.day})
        assert env.step(action)[1] == plain.step(action)[1]


def test_growth_is_a_factor_of_every_load() -> None:
    """Of a load of one's own, too; forecasts and planners are told what the episode will bring."""
    env = DistGridEnv(FEEDER, (), load=flat_load(), randomise=Randomisation(load_growth=(1.1, 1.3)))
    env.reset(seed=2)
    window = env.scenario.window(horizon=4)
    growth = window.load_p_mw[0, 1] / FEEDER.column("nodes", "load_p_mw")[1]
    assert 1.1 < growth < 1.3
    for name in ("p_mw", "q_mvar"):
        nominal = FEEDER.column("nodes", f"load_{name}") * growth
        np.testing.assert_allclose(getattr(window, f"load_{name}"), np.tile(nominal, (4, 1)), rtol=1e-12)
    foretold = env.scenario.window(horizon=4, forecast=env.scenario.forecasts)
    np.testing.assert_array_equal(foretold.load_p_mw, window.load_p_mw)
    assert env.observation_space.contains(env.obs())


def test_prices_are_those_of_the_row() -> None:
    """Observed, foretold, charged and settled alike: scale times the price of the profiles, plus a shift."""
    spec = Randomisation(price_scale=(1.5, 2.5), price_shift_usd_mwh=(1.0, 9.0))
    env = DistGridEnv(FEEDER, FLEET, TASK, randomise=spec)
    obs, _ = env.reset(seed=8)
    scale, shift = obs[env.layout["drawn"]]
    assert 1.5 < scale < 2.5
    start = int(env.grid.t_index[0])
    truth = env.profiles.price_usd_mwh[start : start + 3] * np.float64(env.grid.draws.scale[0])
    truth = truth + env.grid.draws.shift_usd_mwh[0]
    assert obs[env.layout["price_usd_mwh"]] == pytest.approx(truth[:1], rel=1e-6)
    assert obs[env.layout["price_forecast_usd_mwh"]] == pytest.approx(truth[1:], rel=1e-6)
    np.testing.assert_allclose(env.scenario.window(horizon=3).price_usd_mwh, truth)
    info = env.step(np.zeros(3, dtype=np.float32))[4]
    energy_mwh = info["p_slack_MW"] * env.profiles.dt_h
    assert info["rewards"]["energy"] == pytest.approx(-truth[0] * energy_mwh, rel=1e-9)
    day = env.profiles.price_usd_mwh[start : start + 96] * env.grid.draws.scale[0]
    settled = obs[env.layout["settlement_price_usd_mwh"]]
    assert settled[0] == pytest.approx(max(day.max() + env.grid.draws.shift_usd_mwh[0], 0.0), rel=1e-6)
    assert shift == pytest.approx(env.grid.draws.shift_usd_mwh[0], rel=1e-6)


def test_agents_see_the_draws_only_where_a_task_lists_the_block() -> None:
    """Hidden by default: the same columns with and without; the block needs something that is drawn."""
    hidden = DistGridEnv(FEEDER, FLEET, VoltVar(), randomise=ALL)
    assert list(hidden.layout) == list(DistGridEnv(FEEDER, FLEET, VoltVar()).layout)
    shown = DistGridEnv(FEEDER, FLEET, TASK, randomise=ALL)
    names = [row.name for row in shown.layout.describe()[shown.layout["drawn"]]]
    assert names == [
        "drawn.load_growth", "drawn.price_scale", "drawn.price_shift_usd_mwh", "drawn.topology[0]",
        "drawn.topology[1]", "drawn.line_r", "drawn.line_x",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="RandomisedFactors: the environment has nothing that is drawn"):
        DistGridEnv(FEEDER, FLEET, TASK)


def test_bounds_hold_on_every_network_and_failing_never_pays() -> None:
    """Observations stay in their space and rewards above the bound, whatever was drawn."""
    spec = Randomisation(load_growth=(0.5, 2.5), line_length=(0.5, 2.0), networks=4)
    env = DistGridVectorEnv(FEEDER, FLEET, VoltVar(), randomise=spec, num_envs=8, threads=1)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(10):
        observations, rewards, terminated, *_ = env.step(env.action_space.sample())
        assert env.observation_space.contains(observations)
        assert (rewards[~terminated] >= env.shards.grid.worst_reward).all()
    plain = DistGridEnv(FEEDER, FLEET, VoltVar())
    assert env.shards.grid.worst_reward < plain.grid.worst_reward


def test_an_episode_draws_anew_and_the_seed_fixes_it() -> None:
    """Each reset draws; the same seed draws the same; a registered id takes the option."""
    env = gym.make("distgrid/VoltVar-33bw-v0", randomise=Randomisation(load_growth=(0.5, 1.5))).unwrapped
    assert isinstance(env, DistGridEnv)
    seen = []
    for seed in (5, None, None, 5, None):
        env.reset(seed=seed)
        seen.append(float(env.grid.observer.random_load[0, 0]))
    assert len(set(seen[:3])) == 3
    assert seen[3:] == seen[:2]
    assert env.task.failure_price == "bound", "the stated price was searched without randomisation"


def test_it_is_written_and_read() -> None:
    """As YAML has it; mappings become what they were."""
    options = EnvOptions("case33bw", FLEET, VoltVar(), randomise=ALL)
    assert options_from_dict(options_to_dict(options)) == options
    given: Any = {"load_growth": [0.9, 1.1], "topologies": [{"close": ["s9-15"], "open": ["9-10"]}]}
    made = EnvOptions("case33bw", randomise=given).randomise
    assert made == Randomisation(load_growth=(0.9, 1.1), topologies=[OTHER])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"load_growth": (0.0, 1.0)}, r"load_growth must be in \[0.001, 1000\], got 0"),
        ({"load_growth": (-1.0, 1.0)}, "load_growth must be in"),
        ({"line_r": (1.2, 0.8)}, r"line_r must be \(low, high\) with low at most high"),
        ({"line_x": 1.1}, r"line_x must be \(low, high\), got 1.1"),
        ({"price_scale": (0.5, float("nan"))}, "price_scale must be a finite number, got nan"),
        ({"networks": 0}, "networks must be a whole number of at least 1, got 0"),
        ({"networks": 300, "line_r": (0.9, 1.1)}, "300 networks would be compiled, at most 256"),
        ({"topologies": []}, "topologies is empty"),
        ({"topologies": ["s9-15"]}, "topologies must be SwitchStates, one of them is 's9-15'"),
        ({"topologies": [SwitchStates(close=["s9-16"])]}, r"\[0\] \(close s9-16\): .*did you mean s9-15"),
        ({"topologies": [SwitchStates(), SwitchStates(close=["s9-15"])]},
         r"topologies\[1\] \(close s9-15\) has a loop: branches .*9-10.*; open one of them"),
        ({"topologies": [SwitchStates(open=["17-18"])]}, r"\(open 17-18\) leaves nodes 18 without a source"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    """Issue, bad input: factors of 0 and less, loops and islands by their branches and nodes."""
    with pytest.raises(ValueError, match=message):
        DistGridEnv(FEEDER, randomise=Randomisation(**fields))


def test_switches_are_listed_once_and_by_id() -> None:
    with pytest.raises(ValueError, match="SwitchStates: 'a' is listed twice"):
        SwitchStates(close=["a"], open=["a"])
    with pytest.raises(ValueError, match="close must be a list of ids, got 'a'"):
        SwitchStates(close="a")
    with pytest.raises(TypeError, match="randomise must be a Randomisation or None, got int"):
        EnvOptions(randomise=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="randomise has no field 'growth'"):
        EnvOptions(randomise={"growth": [1, 2]})  # type: ignore[arg-type]


def test_a_topology_of_phases() -> None:
    """IEEE 123: the switch between 18 and 135 opens, the tie between 151 and 300 closes."""
    feeder = cases.load("ieee123")
    spec = Randomisation(topologies=[SwitchStates(), SwitchStates(close=["sw7"], open=["sw3"])])
    env = DistGrid3PhaseEnv(feeder, (), randomise=spec)
    loads = {}
    for seed in range(6):
        env.reset(seed=seed, options={"day": 10})
        loads[_network(env)] = env.step(np.zeros(0, dtype=np.float32))[4]["p_loss_MW"]
    assert set(loads) == {0, 1}
    assert loads[0] != loads[1]
