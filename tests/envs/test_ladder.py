"""The ladder of observation: what each level shows, that none but "oracle" knows the coming interval."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from distgrid.cases import Feeder
from distgrid.cases.profiles import Profiles, load_profiles
from distgrid.envs import (
    EV,
    PV,
    Battery,
    Block,
    BlockView,
    Calendar,
    CapacitorBank,
    DataCenter,
    DataTask,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    EnvOptions,
    FlexibleLoad,
    Forecaster,
    Generator,
    GraphObservation,
    HeatPump,
    LossMinimisation,
    Meter,
    PriceForecast,
    SeriesLoad,
    SoftOpenPoint,
    TapChanger,
    Term,
    TimeSeries,
    Wind,
)
from distgrid.envs.blocks import GRID_BLOCKS, BlockContext, PriceAhead
from distgrid.envs.core.columns import load_points
from distgrid.envs.core.ladder import FORECAST_STEPS, LEVELS

from .world import FEEDER, FEEDER3, WORLDS, make

Floats = NDArray[np.float64]
HONEST = [level for level in LEVELS if level != "oracle"]
VECTORS: dict[str, Callable[..., Any]] = {"balanced": DistGridVectorEnv, "per-phase": DistGrid3PhaseVectorEnv}
FEEDERS = {"balanced": FEEDER, "per-phase": FEEDER3}
FLEETS: dict[str, list[Any]] = {
    "balanced": [
        Battery(18, 0.2, 0.8, ramp_mw_per_h=0.1), PV(25, 0.5, controls="pq"), Wind(22, 0.4),
        HeatPump(14, 0.05, heat_loss_mw_per_k=0.002, t_init_c=21.0), FlexibleLoad(24, 0.005, 0.0, 90.0),
        Generator(31, 0.1, 100.0), DataCenter(6, 0.1, 50.0), SoftOpenPoint(18, 33, 0.1),
        EV(30, 0.02, sessions=[(1.0, 5.0, 0.05)]),
    ],
    "per-phase": [
        TapChanger("reg1"), CapacitorBank("cap1"), PV("675", 0.5, phase="A"), PV("671", 0.3),
        EV("634", 0.02, sessions=[(1.0, 5.0, 0.05)], phase="B"), Wind("680", 0.2),
    ],
}  # fmt: skip
TIME = re.compile(
    r"last( -[\d.]+ h)?|now|coming \((exact|known)\)|forecast \+[\d.]+ h|\+\d+ h \(as announced\)"
)
DAYS = 2  # of the user's own series
NOON = [172, 173]  # of the shipped year


@dataclass(frozen=True)
class Sees(LossMinimisation):
    """The bare task that observes what it is told."""

    seen: tuple[Any, ...] = ("v_pu", "load_p_mw", "price_usd_mwh")

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        return self.seen


def series(feeder: Feeder, changed_from: int) -> SeriesLoad:
    """Two days of loads, other ones from an interval on; the largest stands first in both."""
    top = 0.02 * np.ones(len(load_points(feeder).names))
    p = np.random.default_rng(1).uniform(0.2, 1.0, (96 * DAYS, top.size)) * top
    p[changed_from:] = np.random.default_rng(2).uniform(0.2, 1.0, p[changed_from:].shape) * top
    p[0] = top
    return SeriesLoad(feeder, p, 0.3 * p)


def weather(changed_from: int) -> Profiles:
    """The same of sun, at night, too, of wind and of temperatures."""
    year = load_profiles()
    calendar = Calendar(year.calendar.start, 0.25, 96 * DAYS)

    def changed(columns: tuple[int, ...], low: float, high: float) -> TimeSeries:
        values = np.random.default_rng(3).uniform(low, high, (96 * DAYS, *columns))
        later = values[changed_from:].shape
        values[changed_from:] = np.random.default_rng(4).uniform(low, high, later)
        return TimeSeries(values, calendar)

    sun, wind = (changed(table.shape[1:], 0.2, 0.9) for table in (year.pv, year.wind))
    return year.with_series(pv=sun, wind=wind, outdoor_c=changed((), -5.0, 10.0))


def shown(env: Any, steps: int) -> tuple[Any, NDArray[np.float32]]:
    """The environment after some steps, and its flat observation."""
    env.reset(seed=5, options={"day": 0})
    for _ in range(steps):
        env.step(env.neutral_action)
    return env, env.grid.observe()[0]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("world", WORLDS)
def test_nothing_of_the_coming_interval_leaks(world: str, level: str) -> None:
    """Other loads and weather from the decided interval on: the same bits, but for what is forecast."""
    feeder, steps = FEEDERS[world], 7
    (env, one), (_, other) = (
        shown(
            WORLDS[world](
                resources=FLEETS[world], task=Sees(), load=series(feeder, t), profiles=weather(t),
                observation=level,
            ),
            steps,
        )
        for t in (96 * DAYS, steps)
    )  # fmt: skip
    rows = env.layout.describe()
    foretold = np.array([row.time.startswith("forecast") for row in rows])
    moved = one != other
    if level == "oracle":
        assert moved[env.layout["load_p_mw"]].all()
        for name in ("pv.p_avail_mw", "wind.p_avail_mw", "heat_pump.outdoor_c"):
            assert name not in env.layout or moved[env.layout[name]].all()
    else:
        assert one[~foretold].tobytes() == other[~foretold].tobytes()
        assert moved[foretold].all()
        assert {row.time for row in rows} & {"coming (exact)"} == set()


def test_the_last_loads_and_sun_are_those_of_the_interval_before() -> None:
    """What was solved with is what is observed as measured, also at the very first decision."""
    env = make(task=Sees(), observation="global", days=NOON)
    env.reset(seed=3, options={"start": 172 * 96 + 40})
    for _ in range(3):
        before = int(env.grid.t_index[0]) - 1
        p, _q = env.grid.loads(np.array([before]), 0)
        observation = env.obs()
        assert observation[env.layout["load_p_mw"]] == pytest.approx(p[0], rel=1e-6)
        sun = min(0.5 * env.profiles.pv[before, 3], 0.55)
        assert observation[env.layout["pv.p_avail_mw"]] == pytest.approx([sun], rel=1e-6)
        env.step(env.neutral_action)


@pytest.mark.parametrize("world", WORLDS)
def test_forecasts_of_the_coming_interval_are_those_of_a_planner_and_err_by_one_step(world: str) -> None:
    """The decided interval has the error of one step's lead, and a window of the planning door the same."""
    envs = VECTORS[world](
        FEEDERS[world], FLEETS[world], Sees(), num_envs=400, observation="global", days=NOON
    )
    envs.reset(seed=1, options={"start": 172 * 96 + 48})
    flat, at = envs.obs(), envs.layout
    load = flat[:, at["total_load_forecast_mw"]]
    sun = flat[:, at["pv_forecast_mw"]]
    assert load.shape == (400, FORECAST_STEPS)
    window, truth = (
        envs.scenario.forecast(FORECAST_STEPS, row=3),
        envs.scenario.window(horizon=FORECAST_STEPS),
    )
    assert window.load_p_mw.sum(axis=1) == pytest.approx(load[3], rel=1e-5)
    plants = [unit for unit in envs.units if unit.kind == "pv"]
    program = next(program for program in envs.fleet.programs if program.kind == "pv")
    offered = np.minimum(window.pv[:, program.site] * program.rated_p_mw, program.s_mva).sum(axis=1)
    assert len(plants) == program.n_units
    assert offered == pytest.approx(sun[3], rel=1e-5)
    errors = load / truth.load_p_mw.sum(axis=1) - 1.0
    steps_h = 0.25 * np.arange(1, FORECAST_STEPS + 1)
    assert errors.std(axis=0) == pytest.approx(0.08 * np.sqrt(1.0 - np.exp(-2.0 * steps_h / 6.0)), rel=0.15)


def test_forecasts_with_errors_of_places_are_those_of_the_general_way() -> None:
    """One compiled call knows the sum over plants whose errors differ; a subclass goes the general way."""

    class Own(Forecaster):
        """The same, but not known to be."""

    def sun(forecaster: Forecaster) -> NDArray[np.float32]:
        env = make(
            resources=[PV(18, 0.3), PV(25, 0.5)], observation="global", forecaster=forecaster, days=NOON
        )
        env.reset(seed=3, options={"start": 172 * 96 + 46})
        env.step(env.neutral_action)
        at = env.layout
        return np.concatenate([env.obs()[at[name]] for name in ("pv_forecast_mw", "total_load_forecast_mw")])

    assert sun(Forecaster()) == pytest.approx(sun(Own()), rel=1e-5)


@pytest.mark.quick(5)
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("level", HONEST)
@pytest.mark.parametrize("world", WORLDS)
def test_bits_are_those_of_a_row_and_inside_the_space(world: str, level: str, normalise: bool) -> None:
    """A vector and a single environment, through a restart and a restored state; 1000 random steps inside."""
    given: dict[str, Any] = {"observation": level, "normalise": normalise}
    one = WORLDS[world](resources=FLEETS[world], **given)
    envs = VECTORS[world](FEEDERS[world], FLEETS[world], num_envs=8, **given)
    seeds = [4, 9, 1, 2, 3, 5, 6, 7]
    envs.reset(seed=seeds)
    one.reset(seed=9)
    rng, state = np.random.default_rng(0), None
    box = envs.layout.space()
    for k in range(125):
        flat = np.concatenate([shard.grid.observe() for shard in envs.shards.shards])
        assert (flat >= box.low).all()
        assert (flat <= box.high).all()
        if k < 40:
            assert one.grid.observe()[0].tobytes() == flat[1].tobytes()
        action = rng.uniform(-1.0, 1.0, (8, len(one.action_layout))).astype(np.float32)
        if k == 20:
            state = one.get_state()
            one.reset(seed=77)
            one.set_state(state)
        if k < 40:
            one.step(action[1])
        seen, *_ = envs.step(action)
        assert envs.observation_space.contains(seen)
    assert one.observation_space.contains(one.obs())


@pytest.mark.parametrize("world", WORLDS)
def test_graphs_hold_the_level_global_on_both_faces(world: str) -> None:
    """The same numbers, nodes and edges; a vector environment has them batch first."""
    flat, graph = (WORLDS[world](observation=level, normalise=True) for level in ("global", "graph"))
    envs = VECTORS[world](FEEDERS[world], flat.resources, num_envs=3, observation="graph", normalise=True)
    plain, _ = flat.reset(seed=4)
    seen: Any = graph.reset(seed=4)[0]
    many, _ = envs.reset(seed=[1, 4, 2])
    assert isinstance(graph.observation_space, spaces.Graph)
    assert graph.observation_space.contains(seen)
    assert isinstance(envs.single_observation_space, spaces.Dict)
    assert many["nodes"].shape == (3, flat.feeder.n_nodes, seen.nodes.shape[1])
    assert many["nodes"][1].tobytes() == seen.nodes.tobytes()
    assert many["edges"][1].tobytes() == seen.edges.tobytes()
    assert graph.scenario.physical(seen) == pytest.approx(flat.layout.physical(plain))
    assert envs.scenario.physical(many)[1].tobytes() == graph.scenario.physical(seen).tobytes()
    *_, infos = envs.step(envs.action_space.sample())
    assert envs.rows()[0].obs()["nodes"].shape == many["nodes"][0].shape
    assert infos["p_loss_MW"].shape == (3,)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("world", WORLDS)
def test_every_entry_says_what_when_and_where_it_is(world: str, level: str) -> None:
    """Machine-readable: name, unit, time, bus or branch, phase and bounds of every kind of block."""
    blocks = (*GRID_BLOCKS, PriceAhead(), PriceForecast(2))
    env = WORLDS[world](resources=FLEETS[world], task=Sees(seen=blocks), observation=level)
    rows = env.layout.describe()
    phases = {"ABC"} if world == "balanced" else {"ABC", "A", "B", "C", "AB", "BC", "CA"}
    for name, block in env.layout.blocks.items():
        for row in rows[env.layout[name]]:
            assert TIME.fullmatch(row.time), row
            assert row.low < row.high or row.unit
            located = [row.bus, row.branch].count(None)
            if block.per is None:
                device = [unit for unit in env.units if row.name.rpartition(".")[0] == unit.name]
                assert (row.bus, row.phase) == ((device[0].bus, device[0].phase) if device else (None, None))
            else:
                assert located == 1
                assert row.phase in phases
                place = row.branch if block.per == "branch" else row.bus
                assert place in (env.feeder.branch_index if block.per == "branch" else env.feeder.node_index)
                assert f"[{place}" in row.name
    known = {row.name: row.time for row in rows}
    assert known["clock.day_sin"] == "coming (known)"
    if level == "oracle":
        assert {row.time for row in rows[env.layout["load_p_mw"]]} == {"coming (exact)"}
    if level == "measured":
        assert {row.time for row in rows[env.layout["meter_load_p_mw"]]} == {"last -0.25 h"}


def test_local_levels_show_the_buses_of_devices_and_nothing_else_of_the_grid() -> None:
    """Voltages and loads where devices are; forecasts where the level has them."""
    for level, ahead in (("local", False), ("local+forecast", True)):
        env = make(task=Sees(seen=("clock", "loading", "price_usd_mwh", "p_slack_mw")), observation=level)
        names = set(env.layout)
        assert {"clock", "v_pu", "load_p_mw", "load_q_mvar", "price_usd_mwh"} <= names
        assert not {"loading", "p_slack_mw"} & names
        assert ("total_load_forecast_mw" in names) == ahead
        assert ("price_ahead_usd_mwh" in names) == ahead
        grid = [row.bus for row in env.layout.describe() if row.name.startswith(("v_pu", "load"))]
        assert set(grid) == {"18", "25"}


def test_meters_of_the_level_measured_are_as_good_as_they_say() -> None:
    """Smart meters at every other bus with a load, late and with gaps; the head within one per cent."""
    envs = DistGridVectorEnv(FEEDER, make().resources, num_envs=300, observation="measured")
    envs.reset(seed=[7] * 300, options={"day": 30})
    keys = np.arange(300, dtype=np.uint64)
    for shard in envs.shards.shards:
        shard.grid.row_key[:] = keys[shard.rows]
    for _ in range(3):
        *_, infos = envs.step(envs.neutral_action)
    flat, at = envs.obs(), envs.layout
    head = flat[:, at["p_slack_mw"]][:, 0] / infos["p_slack_MW"] - 1.0
    assert head.std() == pytest.approx(0.01, rel=0.15)
    own = flat[:, at["v_pu"]] / infos["voltages"][:, [17, 24]] - 1.0
    assert own.std() == pytest.approx(0.005 / 3.0, rel=0.1)
    buses = [row.bus for row in envs.layout.describe()[at["meter_v_pu"]]]
    loaded = [n for n, s in zip(envs.load.point_names, envs.load.s_max_mva, strict=True) if s > 0.0]  # type: ignore[attr-defined]
    assert buses == loaded[::2]
    assert envs.layout.blocks["meter_v_pu"].meter.dropout == 0.02  # type: ignore[attr-defined]


def test_a_meter_of_ones_own_takes_the_place_of_the_levels() -> None:
    """By the name of the block; at other levels meters are the user's alone."""
    env = make(observation="measured", meters=[Meter("p_slack_mw", std=0.5)])
    assert env.layout.blocks["p_slack_mw"].meter.std == 0.5  # type: ignore[attr-defined]
    assert env.layout.blocks["q_slack_mvar"].meter.relative_std == pytest.approx(0.01)  # type: ignore[attr-defined]
    assert not hasattr(make(observation="global").layout.blocks["p_slack_mw"], "meter")


def test_prices_ahead_are_known_once_a_day_ahead_market_has_told_them() -> None:
    """At 13:00 those of tomorrow: until then the price of the same time a day earlier stands there."""
    price = np.arange(96.0 * 3)
    calendar = Calendar(load_profiles().calendar.start, 0.25, price.size)
    year = load_profiles().with_series(price_usd_mwh=TimeSeries(price, calendar))
    context = make(profiles=year).grid.observer.context
    table = PriceAhead().series(context)
    before, after = table[12 * 4], table[13 * 4]
    assert before[:11].tolist() == [48.0 + 4 * k for k in range(1, 12)]
    assert before[11:].tolist() == [48.0 + 4 * k - 96 for k in range(12, 24)]
    assert after.tolist() == [52.0 + 4 * k for k in range(1, 24)]
    assert table[-1, 0] == price[-1] + 4 - 96


def test_normalised_observations_are_scaled_by_their_bounds_and_back() -> None:
    """To [-1, 1]; what cannot vary is 0, and the units come back within float32."""
    task = DataTask(blocks=("clock", "v_pu", Fixed(), "p_slack_mw"), rewards=(Term("loss", "loss_mw", -1.0),))
    plain, scaled = make(task=task), make(task=task, normalise=True)
    raw, _ = plain.reset(seed=2)
    seen, _ = scaled.reset(seed=2)
    assert scaled.observation_space == spaces.Box(-1.0, 1.0, raw.shape, np.float32)
    low, high = plain.observation_space.low, plain.observation_space.high  # type: ignore[attr-defined]
    vary = high > low
    assert seen[vary] == pytest.approx(2.0 * (raw - low)[vary] / (high - low)[vary] - 1.0, abs=1e-6)
    assert (seen[~vary] == 0.0).all()
    assert (~vary).sum() == 1
    back = scaled.layout.physical(seen)
    assert np.abs(back - raw).max() <= 1e-6 * (high - low).max()
    assert back[~vary] == [2.5]
    assert plain.layout.physical(raw).tobytes() == raw.astype(np.float64).tobytes()
    with pytest.raises(ValueError, match="has 41 entries, got an array of shape"):
        scaled.layout.physical(seen[:-1])


class Fixed(Block):
    """An entry that cannot vary."""

    name, unit, meaning = "fixed", "1", "a constant"

    def bounds(self, context: BlockContext) -> tuple[float, float]:
        return 2.5, 2.5

    def fill(self, view: BlockView, out: Floats) -> None:
        out[:] = 2.5


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"observation": "everything"}, ValueError, "observation 'everything' is unknown; expected one of"),
        ({"observation": 3}, TypeError, "observation must be one of oracle, global"),
        ({"normalise": "yes"}, TypeError, "normalise must be True or False"),
    ],
)
def test_what_is_no_level_is_told(given: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        EnvOptions(**given)


def test_a_wrapper_of_graphs_is_told_that_there_are_graphs() -> None:
    with pytest.raises(ValueError, match="shows graphs already"):
        GraphObservation(DistGridEnv("case33bw", observation="graph"))
