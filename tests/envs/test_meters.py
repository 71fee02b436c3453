"""Meters and forecasts: drawn by counter, alike in every face, restorable, and as uncertain as they say."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid.envs import (
    Battery,
    Block,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Duration,
    EnvOptions,
    Forecaster,
    ForecastError,
    Forecasts,
    LoadForecast,
    LossMinimisation,
    Meter,
    PriceForecast,
    PVForecast,
)
from distgrid.envs.core.chance import draws
from distgrid.envs.kernels.chance import philox_words

from .world import FEEDER, FEEDER3, WORLDS, flat_load, make

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sees(LossMinimisation):
    """The bare task that observes what it is told."""

    seen: tuple[Any, ...] = ("v_pu", "load_p_mw", "p_slack_mw")

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        return self.seen


AHEAD = (LoadForecast(6), LoadForecast(2, of="point"), PriceForecast(5), PVForecast(4))
METERS = [
    Meter("v_pu", std=0.004, dropout=0.2, missing="mask"),
    Meter("load_p_mw", relative_std=0.05, delay_steps=3, dropout=0.1),
    Meter("battery.soc", std=0.02),
]
KNOWN: dict[str, Any] = {"meters": METERS, "forecaster": Forecaster()}
VECTORS: dict[str, Callable[..., Any]] = {"balanced": DistGridVectorEnv, "per-phase": DistGrid3PhaseVectorEnv}
FEEDERS = {"balanced": FEEDER, "per-phase": FEEDER3}
UNSURE = Sees(seen=("clock", "v_pu", "load_p_mw", "price_usd_mwh", AHEAD[0], AHEAD[2], AHEAD[3]))


def test_the_generator_is_the_published_one() -> None:
    """Philox4x32-10: the three known answers that come with Random123."""
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0]
    given = np.array([[0] * 6, [0xFFFFFFFF] * 6, pi], dtype=np.uint64)
    out = np.zeros((3, 4), dtype=np.uint64)
    philox_words(given[:, :4].copy(), given[:, 4:].copy(), out)
    assert [[f"{word:08x}" for word in words] for words in out.tolist()] == [
        ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"],
        ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"],
        ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"],
    ]


def test_draws_are_normal_uniform_and_apart() -> None:
    """Moments of 200 000 numbers; no correlation between rows, times, columns, streams, or the two kinds."""
    keys = np.random.default_rng(0).integers(2**63, size=400).astype(np.uint64)
    columns = np.arange(500)
    normal, uniform = draws(keys, np.arange(400) % 96, 7, columns)
    assert abs(normal.mean()) < 0.01
    assert normal.std() == pytest.approx(1.0, abs=0.01)
    assert (normal**4).mean() == pytest.approx(3.0, abs=0.1)
    assert uniform.mean() == pytest.approx(0.5, abs=0.005)
    assert uniform.std() == pytest.approx(12**-0.5, abs=0.005)
    others = [
        draws(keys, np.arange(400) % 96, 8, columns)[0],
        draws(keys, np.arange(400) % 96 + 1, 7, columns)[0],
        draws(keys[::-1].copy(), np.arange(400) % 96, 7, columns)[0],
        draws(keys, np.arange(400) % 96, 7, columns[::-1].copy())[0],
        uniform,
    ]
    for other in others:
        assert abs(np.corrcoef(normal.ravel(), other.ravel())[0, 1]) < 0.01


def test_a_draw_depends_on_its_own_row_time_and_column() -> None:
    """Whoever else draws, and in what order."""
    keys, t_index = np.array([5, 6, 2**62 + 9], dtype=np.uint64), np.array([3, 700, 35_000])
    whole = draws(keys, t_index, 1, np.arange(9))
    for row in range(3):
        alone = draws(keys[row : row + 1], t_index[row : row + 1], 1, np.array([4]))
        assert [a[0, 0] for a in alone] == [w[row, 4] for w in whole]


@pytest.mark.parametrize("world", WORLDS)
def test_noise_and_forecasts_are_the_same_in_both_faces(world: str) -> None:
    """Trial of the seam: bit for bit through episodes that end, whatever the batch."""
    task = dataclasses.replace(UNSURE, episode=Duration(hours=1.75))
    single = WORLDS[world](task=task, **KNOWN)
    envs = VECTORS[world](FEEDERS[world], single.resources, task, num_envs=5, **KNOWN)
    seeds = [9, 21, 9, 4, 33]
    many, _ = envs.reset(seed=seeds)
    assert many[0].tobytes() == many[2].tobytes() != many[1].tobytes()
    for row in (0, 3):
        rng = np.random.default_rng(1)
        observations, _ = envs.reset(seed=seeds)
        observation, _ = single.reset(seed=seeds[row])
        for _ in range(20):
            assert observation.tobytes() == observations[row].tobytes()
            assert single.observation_space.contains(observation)
            action = rng.uniform(-1.0, 1.0, (5, 3)).astype(np.float32)
            observations, _, terminated, truncated, _ = envs.step(action)
            if ended := not single._ready:  # vector environments reset in the next step
                observation, _ = single.reset()
            else:
                observation, *_ = single.step(action[row])
            assert not ended or not (terminated[row] or truncated[row])


@pytest.mark.parametrize("num_envs", [1, 3])
def test_set_state_restores_noise_and_forecasts(num_envs: int) -> None:
    """What has been held, what is on its way, and the key of the draws."""
    envs = DistGridVectorEnv(FEEDER, make().resources, UNSURE, num_envs=num_envs, **KNOWN)
    single = make(task=UNSURE, **KNOWN)
    for env, action in ((envs, np.full((num_envs, 3), 0.3)), (single, np.full(3, 0.3))):
        env.reset(seed=5)
        for _ in range(6):
            env.step(action)
        state = env.get_state()
        ahead = [env.step(action)[0].tobytes() for _ in range(8)]
        env.reset(seed=77)
        env.step(action)
        env.set_state(state)
        assert [env.step(action)[0].tobytes() for _ in range(8)] == ahead


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_a_copy_measures_its_own(copied: Callable[[DistGridEnv], DistGridEnv]) -> None:
    env = make(task=UNSURE, **KNOWN)
    env.reset(seed=3)
    twin, before = copied(env), env.obs()
    ahead = [twin.step([0.2, 0.1, 0.1])[0].tobytes() for _ in range(5)]
    assert env.obs().tobytes() == before.tobytes()
    assert [env.step([0.2, 0.1, 0.1])[0].tobytes() for _ in range(5)] == ahead


def test_observing_twice_measures_once() -> None:
    """Readings belong to the step, not to the look."""
    env = make(task=UNSURE, **KNOWN)
    env.reset(seed=3)
    for _ in range(4):
        observation, *_ = env.step([0.0, 0.0, 1.0])
        assert env.obs().tobytes() == env.obs().tobytes() == observation.tobytes()


def played(
    meters: list[Meter], block: str = "v_pu", steps: int = 95, **options: Any
) -> tuple[Floats, Floats]:
    """(steps, columns) of what meters show and of the truth, on the same day with the same actions."""
    shown = []
    for given in (meters, []):
        env = make(task=Sees(), meters=given, **options)
        rows = [env.reset(seed=2, options={"day": 180})[0]]
        for step in range(steps):
            rows.append(env.step([np.sin(step), 0.5, 1.0])[0])
        shown.append(np.array(rows, dtype=np.float64)[:, env.layout[block]])
    return shown[0], shown[1]


def test_noise_is_as_large_as_it_says() -> None:
    """Mean and standard deviation of 33 * 96 readings, absolute and relative; fixed seeds."""
    shown, truth = played([Meter("v_pu", std=0.004)])
    noise = (shown - truth)[:, 1:] / 0.004
    assert abs(noise.mean()) < 0.06
    assert noise.std() == pytest.approx(1.0, abs=0.04)
    steps, nodes = noise[1:], noise[:-1]
    assert abs(np.corrcoef(steps.ravel(), nodes.ravel())[0, 1]) < 0.06
    shown, truth = played([Meter("load_p_mw", relative_std=0.05)], "load_p_mw")
    some = truth[0] > 0.01
    noise = (shown / np.where(truth, truth, 1.0) - 1.0)[:, some] / 0.05
    assert abs(noise.mean()) < 0.06
    assert noise.std() == pytest.approx(1.0, abs=0.04)


def test_a_delayed_reading_is_that_of_then() -> None:
    """Three steps old; at the beginning, the reading of the beginning. Noise is that of the measurement."""
    shown, truth = played([Meter("v_pu", delay_steps=3)])
    np.testing.assert_array_equal(shown[3:], truth[:-3])
    np.testing.assert_array_equal(shown[:3], truth[[0, 0, 0]])
    late, _ = played([Meter("v_pu", std=0.004, delay_steps=2)])
    now, _ = played([Meter("v_pu", std=0.004)])
    np.testing.assert_array_equal(late[2:], now[:-2])


def test_a_missing_reading_is_the_last_one_and_a_mask_says_so() -> None:
    """A fifth is missing; held values are the last that came, without NaN; masked or not, the same."""
    shown, truth = played([Meter("v_pu", dropout=0.2, missing="mask")])
    values, present = shown[:, :33], shown[:, 33:]
    assert set(np.unique(present)) == {0.0, 1.0}
    assert (present[0] == 1.0).all()
    assert 1.0 - present[1:].mean() == pytest.approx(0.2, abs=0.02)
    held = truth[0].copy()
    for step in range(1, len(truth)):
        held = np.where(present[step] == 1.0, truth[step], held)
        np.testing.assert_array_equal(values[step], held)
    np.testing.assert_array_equal(played([Meter("v_pu", dropout=0.2)])[0], values)


def test_a_meter_may_see_some_columns_and_noise_does_not_change() -> None:
    """The block shrinks, names stay, and what is read at a node does not depend on where else meters are."""
    some = Meter("v_pu", std=0.004, columns=["18", "v_pu[33]", 2])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"no column 'v_pu\[99\]'; the first are 1, 2"):
        make(task=Sees(), meters=[Meter("v_pu", columns=["v_pu[99]"])])
    env = make(task=Sees(), meters=[some])
    names = [row.name for row in env.layout.describe()[env.layout["v_pu"]]]
    assert names == ["v_pu[18]", "v_pu[33]", "v_pu[2]"]
    assert env.units[0].observation["soc"] == env.layout["battery.soc"].start
    few, _ = played([some], steps=10)
    every, _ = played([Meter("v_pu", std=0.004)], steps=10)
    np.testing.assert_array_equal(few, every[:, [17, 32, 1]])


def test_bounds_have_room_for_noise_and_meaning_says_it() -> None:
    env = make(task=Sees(), meters=[Meter("p_slack_mw", std=0.5, delay_steps=1, dropout=0.1)])
    bare = make(task=Sees())
    at = env.layout["p_slack_mw"].start
    assert env.layout.bounds()[1][at] == pytest.approx(bare.layout.bounds()[1][at] + 2.5)
    assert env.layout.blocks["p_slack_mw"].meaning == (
        "active power taken from the substation; measured, with noise, 1 steps old, the last reading "
        "where one is missing"
    )


def test_only_what_is_random_draws_a_key() -> None:
    """Days, sessions and starts of environments without noise come from the draws that they always had."""
    states = []
    for options in ({}, {"meters": [Meter("v_pu", delay_steps=1)]}, KNOWN):
        env = make(task=Sees(), **options)
        _, info = env.reset(seed=6)
        states.append((info["day"], env.np_random.bit_generator.state["state"]["state"]))
        assert (env.grid.row_key[0] != 0) == (options is KNOWN)
    assert states[0] == states[1] != states[2]
    assert states[0][0] == states[2][0], "the key is drawn last"


YEAR = make().profiles
LOADS = flat_load(days=2)


def relative_errors(lead: int, model: ForecastError, keys: int = 2000) -> Floats:
    """(keys, points) errors of loads that are the same all day, ``lead`` steps ahead."""
    forecasts = Forecasts(LOADS, YEAR, Forecaster(load=model))
    who = np.random.default_rng(3).integers(2**63, size=keys).astype(np.uint64)
    p, q = forecasts.load(who, np.full(keys, 20), lead + 1)
    truth = LOADS.active_mw[0, 1:]
    some = p[:, lead, 1:] / truth - 1.0
    kept = LOADS.reactive_mvar[0, 1:] if LOADS.reactive_mvar is not None else truth
    np.testing.assert_allclose(q[:, lead, 1:], kept * (1.0 + some), rtol=1e-9)
    return np.asarray(some)


def test_forecast_errors_grow_with_lead_time_as_they_say() -> None:
    """Mean 0, std * sqrt(1 - exp(-2 h / hours)): 2000 episodes and 32 points, fixed seed; none at lead 0."""
    model = ForecastError(0.08, hours=6.0)
    assert (relative_errors(0, model) == 0.0).all()
    spreads = []
    for lead in (1, 4, 16, 64):
        error = relative_errors(lead, model)
        assert abs(error.mean()) < 0.001
        assert error.std() == pytest.approx(0.08 * np.sqrt(1.0 - np.exp(-lead / 12.0)), rel=0.02)
        assert error.std() == pytest.approx(model.std_at(lead / 4), rel=0.02)
        spreads.append(error.std())
    assert spreads == sorted(spreads)


def test_errors_of_columns_are_as_alike_as_they_say() -> None:
    """Correlation between two points: 0 alone, ``shared`` together."""
    for shared in (0.0, 0.7):
        error = relative_errors(8, ForecastError(0.1, 6.0, shared))
        assert np.corrcoef(error[:, 3], error[:, 20])[0, 1] == pytest.approx(shared, abs=0.05)


def test_a_later_forecast_refines_the_earlier_one() -> None:
    """What changes between two forecasts of an interval is the shock between, faded; at lead 0 it is true."""
    forecasts = Forecasts(make().load, YEAR, Forecaster())
    early, late = (forecasts.window(987654321, t, 24) for t in (5000, 5001))
    assert early.t_index[1:].tolist() == late.t_index[:-1].tolist()
    changed = early.price_usd_mwh[1:] - late.price_usd_mwh[:-1]
    assert changed[0] != 0.0
    fade = np.exp(-0.25 / 12.0)
    np.testing.assert_allclose(changed, changed[0] * fade ** np.arange(23), rtol=1e-6)
    assert late.price_usd_mwh[0] == YEAR.price_usd_mwh[5001]
    apart = abs(early.price_usd_mwh - YEAR.price_usd_mwh[early.t_index])
    assert apart[12:].mean() > apart[:4].mean()


def test_a_window_is_what_the_agent_observes() -> None:
    """The same forecasts for an observation and for a planner, asked for in any order, across midnight."""
    env = make(task=Sees(seen=AHEAD), forecaster=Forecaster())
    env.reset(seed=8, options={"day": 90})
    for _ in range(93):
        observation, *_, info = env.step([0.0, 0.0, 1.0])
    forecasts = Forecasts(env.load, env.profiles, env.forecaster)
    forecasts.window(4, 5, 6)
    window = forecasts.window(int(env.grid.row_key[0]), info["t_index"], 7)
    near: dict[str, Any] = {"rtol": 2e-7, "atol": 1e-7}
    np.testing.assert_allclose(
        observation[env.layout["total_load_forecast_mw"]], window.load_p_mw.sum(axis=1)[1:], **near
    )
    np.testing.assert_allclose(
        observation[env.layout["price_forecast_usd_mwh"]], window.price_usd_mwh[1:6], **near
    )
    np.testing.assert_allclose(observation[env.layout["pv_forecast_mw"]], 0.5 * window.pv[1:5, 3], **near)
    names = [row.name for row in env.layout.describe()[env.layout["price_forecast_usd_mwh"]]]
    assert names == [f"price_forecast_usd_mwh[+{k}]" for k in range(1, 6)]


def test_forecasts_by_point_add_up_and_without_a_forecaster_are_true() -> None:
    """Point by point in the order of the loads, lead by lead within."""
    task = Sees(seen=(LoadForecast(3, of="point"), "load_p_mw", "price_usd_mwh", PriceForecast(1)))
    env = make(task=task)
    first, _ = env.reset(seed=8, options={"day": 90})
    assert env.grid.row_key[0] == 0
    second, *_ = env.step([0.0, 0.0, 1.0])
    ahead = first[env.layout["load_forecast_mw"]].reshape(33, 3)
    np.testing.assert_array_equal(ahead[:, 0], second[env.layout["load_p_mw"]])
    assert first[env.layout["price_forecast_usd_mwh"]] == second[env.layout["price_usd_mwh"]]
    assert env.layout.describe()[4].name == "load_forecast_mw[2,+2]"


def test_a_forecaster_of_ones_own() -> None:
    """One method: here, tomorrow is as today."""

    class Persistence(Forecaster):
        random = False

        def disturbed(self, quantity: str, truth: Floats, keys: Any, t_index: Any, dt_h: float) -> Floats:
            return np.repeat(truth[:, :1], truth.shape[1], axis=1)

    env = make(task=Sees(seen=(PriceForecast(8), "price_usd_mwh")), forecaster=Persistence())
    observation, _ = env.reset(seed=0)
    assert (observation[:8] == observation[8]).all()


def test_options_come_back_from_json() -> None:
    """Meters and forecasters as mappings of their fields make the same environment."""
    plain = EnvOptions(
        meters=[dataclasses.asdict(meter) for meter in METERS],  # type: ignore[misc]
        forecaster=dataclasses.asdict(Forecaster()),  # type: ignore[arg-type]
    )
    assert plain.meters == tuple(METERS)
    assert plain.forecaster == Forecaster()
    assert {"meter 1, Meter", "forecaster"} < {name for name, _ in plain.content()}


HALF: dict[str, Any] = {"delay_steps": 1.5}
WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: Meter("v_pu", std=-1.0), ValueError, "Meter of v_pu: std must be at least 0"),
    (lambda: Meter("v_pu", dropout=1.5), ValueError, r"dropout must be in \[0, 1\]"),
    (lambda: Meter("v_pu", **HALF), ValueError, "delay_steps must be a whole number"),
    (lambda: Meter("v_pu", missing="nan"), ValueError, "expected one of hold, mask"),
    (lambda: Meter("v_pu", columns="18"), ValueError, "columns must be a list of names"),
    (lambda: Meter("v_pu", columns=["1", "1"]), ValueError, "name each column once"),
    (lambda: ForecastError(0.1, hours=0.0), ValueError, "hours must be greater than 0"),
    (lambda: LoadForecast(0), ValueError, "LoadForecast: horizon must be in"),
    (lambda: LoadForecast(of="bus"), ValueError, "expected one of feeder, point"),
    (lambda: make(meters=Meter("v_pu")), TypeError, r"a list such as \[Meter"),
    (lambda: make(meters=["v_pu"]), TypeError, "one of them is str"),
    (lambda: make(meters=[Meter("v_pu"), Meter("v_pu", 0.1)]), ValueError, "two meters of 'v_pu'"),
    (lambda: make(meters=[Meter("loading")]), ValueError, "there is no block 'loading' to measure"),
    (lambda: make(meters=[Meter("clock")]), ValueError, "it is known without measuring"),
    (lambda: make(meters=[Meter("battery.soc", missing="mask")]), ValueError, "entries by position"),
    (lambda: make(forecaster=0.1), TypeError, "must be a Forecaster or None, got float"),
    (
        lambda: DistGridEnv(FEEDER, [Battery(18, 0.2, 0.8)], Sees(seen=(PVForecast(2),))),
        ValueError,
        "no PV plant to forecast",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make_it", "error", "message"), WRONG)
def test_what_cannot_be_measured_or_forecast_is_told(
    make_it: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_it()
