"""Devices that control by voltage come to rest within a step: on their curves, row by row, or flagged."""

from __future__ import annotations

import copy
import functools
import math
import warnings
from typing import Any, ClassVar

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

from distgrid.cases import Feeder, profiles
from distgrid.cases.profiles import Calendar, TimeSeries
from distgrid.envs import (
    PV,
    Battery,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Duration,
    Exogenous,
    InverterFunctions,
    LossMinimisation,
    SeriesLoad,
    SettlingResource,
    VoltVar,
    VoltVarCurve,
)
from distgrid.envs.core.settling import ROUNDS, TOLERANCE
from distgrid.physics import IslandWarning

from ..physics.grids import Grid
from .test_vector import play_both, same
from .world import FEEDER, FEEDER3, flat_load

Floats = NDArray[np.float64]
DAY = Calendar("2023-06-01", 1.0, 24)
#: Many plants at the ends of the feeder, every function among them, one that an agent curtails.
FLEET: list[Any] = [
    PV(18, 2.0, site=0, functions="volt-var-b"), PV(17, 1.5, site=1, functions="volt-var+volt-watt-b"),
    PV(33, 1.5, site=2, functions="volt-watt-a", controls="p"), PV(25, 1.0, site=3, controls="pq"),
    PV(22, 1.0, site=4, functions="watt-var-b"), Battery(30, 0.5, 1.0, controls="pq"),
    PV(14, 1.0, site=5, functions=InverterFunctions(power_factor=0.95), priority="active"),
]  # fmt: skip
FLEET3: list[Any] = [
    PV("675", 1.5, site=0, functions="volt-var-b"), PV("671", 0.6, phase="A", functions="volt-var-b"),
    PV("611", 0.5, phase="C", functions="volt-var+volt-watt-b"), Battery("671", 0.2, 0.8, phase="B"),
    PV("646", 0.4, phase="BC", functions="volt-watt-b"),
]  # fmt: skip


def sunny(feeder: Feeder, resources: list[Any], load: SeriesLoad, sun: Any = 1.0) -> dict[str, Any]:
    """Arguments of an environment with a sun of its own: one number, or one for each hour of a day."""
    hours = np.broadcast_to(np.asarray(sun, dtype=np.float64).reshape(-1, 1), (24, 25)).copy()
    year = profiles.series_profiles(price_usd_mwh=TimeSeries(np.ones(24), DAY), pv=TimeSeries(hours, DAY))
    task = LossMinimisation()
    return {"case": feeder, "resources": resources, "load": load, "profiles": year, "task": task}


def no_load(feeder: Feeder) -> SeriesLoad:
    return SeriesLoad(feeder, np.zeros((24, feeder.nodes.num_rows)), calendar=DAY)


def two_buses(r: float = 0.05, x: float = 0.06) -> Feeder:
    """A source of 1 pu, a line of r + jx pu of 1 MVA, and a bus without load."""
    grid = Grid(base_mva=1.0)
    grid.node("a")
    grid.node("b")
    grid.source("a")
    grid.branch("a", "b", r, x)
    grid.load("b", 0.1, 0.05)
    return grid.feeder()


def voltage(p: float, q: float, r: float = 0.05, x: float = 0.06) -> float:
    """Exact magnitude at the far bus that injects p and q: the upper root of its quadratic in V^2."""
    b = 1.0 + 2.0 * (r * p + x * q)
    return math.sqrt(0.5 * (b + math.sqrt(b * b - 4.0 * (r * r + x * x) * (p * p + q * q))))


def bisected(mismatch: Any, low: float, high: float) -> float:
    """Where a falling function is 0."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if mismatch(middle) > 0.0 else (low, middle)
    return low


def test_one_inverter_rests_where_the_hand_says() -> None:
    """Two buses, solved by bisection on V = V(P(V), Q(V)): volt-var with reactive priority, volt-watt."""

    def volt_var(v: float) -> tuple[float, float]:
        q = -0.44 * min(max((v - 1.02) / 0.06, 0.0), 1.0)
        return min(1.0, math.sqrt(1.0 - q * q)), q

    def volt_watt(v: float) -> tuple[float, float]:
        return min(max((1.10 - v) / 0.04, 0.0), 1.0) * 1.5, 0.0

    feeder = two_buses()
    for name, power, answer in (("volt-var-b", 1.0, volt_var), ("volt-watt-b", 1.5, volt_watt)):
        env = DistGridEnv(**sunny(feeder, [PV("b", power, s_mva=power, functions=name)], no_load(feeder)))
        env.reset(seed=0)
        *_, info = env.step(np.zeros(0))
        v = bisected(lambda v, answer=answer: voltage(*answer(v)) - v, 1.0, 1.1)
        p, q = answer(v)
        found = info["delivered"]
        np.testing.assert_allclose(info["voltages"][1], v, atol=1e-8)
        np.testing.assert_allclose([*found["p_mw"], *found["q_mvar"]], [p, q], atol=1e-6)
        assert found["unsettled"].tolist() == [0.0]
        np.testing.assert_allclose(env.fleet.accounts["curtailed_mw"], [[power - p]], atol=1e-6)
        assert abs(q) > 0.1 or power - p > 0.1


def answers(env: DistGridEnv, info: dict[str, Any]) -> tuple[Floats, Floats]:
    """What every plant with functions would give at the voltages found, in the order of units."""
    state, ports = env.fleet.state(), env.grid.stepper.port_v_pu[0]
    p, q = info["delivered"]["p_mw"].copy(), info["delivered"]["q_mvar"].copy()
    for unit, column in zip(env.fleet.units("pv"), env.fleet.columns, strict=False):
        spec = next(s for s in env.resources if isinstance(s, PV) and str(s.bus) == unit.bus)
        if isinstance(spec.functions, InverterFunctions):
            offered = state["pv.offered_mw"][0, unit.index]
            p[unit.index], q[unit.index] = spec.functions.response(
                ports[column], offered, p_mw=unit.p_mw, s_mva=unit.s_mva, priority=spec.priority
            )
    return p, q


@pytest.mark.parametrize("phased", [False, True])
def test_every_unit_is_on_its_curve(phased: bool) -> None:
    """All functions at once for a sunny day: P and Q of the curves at the voltages found, to 1e-6 of S."""
    kind: Any = DistGrid3PhaseEnv if phased else DistGridEnv
    env = kind(FEEDER3 if phased else FEEDER, FLEET3 if phased else FLEET, LossMinimisation())
    env.reset(seed=0, options={"day": 170})
    rng = np.random.default_rng(0)
    s, moved = env.fleet.max_apparent_mva, 0
    for _ in range(96):
        *_, info = env.step(rng.uniform(-1.0, 1.0, env.action_space.shape))
        if env.fleet.state()["pv.ceased"].any():
            continue  # those stay off below their limit
        found = info["delivered"]
        p, q = answers(env, info)
        np.testing.assert_allclose(found["p_mw"] / s, p / s, atol=1e-6)
        np.testing.assert_allclose(found["q_mvar"] / s, q / s, atol=1e-6)
        assert (found["p_mw"] ** 2 + found["q_mvar"] ** 2 <= s * s * (1.0 + 1e-12)).all()
        assert not found["unsettled"].any()
        moved += bool(np.abs(found["q_mvar"]).max() > 0.05)
    assert moved > 30


def test_a_phase_sees_its_own_voltage() -> None:
    """One plant on each phase of an unbalanced bus: three different Q at three different voltages."""
    plants = [PV("675", 0.8, s_mva=0.8, site=0, phase=p, functions="volt-var-b") for p in "ABC"]
    calm = DistGrid3PhaseEnv(FEEDER3, plants, LossMinimisation())
    calm.reset(seed=0, options={"start": 170 * 96 + 48})
    *_, info = calm.step(np.zeros(0))
    node = FEEDER3.node_index["675"]
    v, q = info["voltages"][node], info["delivered"]["q_mvar"]
    expected = -0.8 * np.interp(v, [0.92, 0.98, 1.02, 1.08], [-0.44, 0.0, 0.0, 0.44])
    np.testing.assert_allclose(q, expected, atol=1e-6)
    assert np.unique(np.round(q, 3)).size == 3


@pytest.mark.slow
def test_rows_are_single_environments() -> None:
    """Trap 25b: rows that settle after different rounds, and restarts of some: the bits of each alone."""
    worlds: list[Any] = [
        (DistGridEnv, DistGridVectorEnv, FEEDER, FLEET),
        (DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, FEEDER3, FLEET3),
    ]
    task = LossMinimisation(episode=Duration(hours=9 / 4))
    for single, vector, feeder, fleet in worlds:
        apart = SyncVectorEnv([functools.partial(single, feeder, fleet, task)] * 5)
        assert play_both(vector(feeder, fleet, task, num_envs=5), apart, steps=30) == 0


def test_a_reset_shows_the_grid_at_rest() -> None:
    """The voltages that open an episode are those after a step of the same interval; other rows stay."""
    env = DistGridEnv(FEEDER, FLEET[:2], LossMinimisation())
    noon = 170 * 96 + 50
    env.reset(seed=0, options={"start": noon - 1})
    *_, info = env.step(np.zeros(0))
    _, opened = env.reset(seed=0, options={"start": noon})
    np.testing.assert_allclose(opened["voltages"], info["voltages"], atol=1e-7)
    many = DistGridVectorEnv(FEEDER, FLEET[:2], LossMinimisation(), num_envs=70)
    _, infos = many.reset(seed=0, options={"start": [noon] * 70})
    np.testing.assert_array_equal(infos["voltages"], np.tile(opened["voltages"], (70, 1)))
    before = many.get_state(list(range(1, 70)))
    many.reset(options={"reset_mask": np.arange(70) == 0, "start": [noon - 40] * 70})
    same(many.get_state(list(range(1, 70)))["grid"], before["grid"])


def test_a_state_goes_on_to_the_same_bits() -> None:
    """Saved and restored in the middle of a sunny day, and copied."""
    env = DistGridEnv(FEEDER, FLEET, VoltVar())
    env.reset(seed=0, options={"start": 170 * 96 + 40})
    action = np.full(env.fleet.n_actions, 0.3)
    env.step(action)
    state = env.get_state()
    first = env.step(action)
    env.set_state(state)
    for again in (env, copy.deepcopy(env)):
        same(again.step(action), first)


def test_above_its_limit_an_inverter_ceases_for_the_interval() -> None:
    """Too much sun for the line: nothing flows, and it does not come back at the voltage that is left."""
    feeder = two_buses(r=0.08)
    plants = [PV("b", 3.0, s_mva=3.0, functions="volt-var-b"), PV("b", 0.5, functions="volt-var-b", name="x")]
    hours = np.where(np.arange(24) < 12, 1.0, 0.2)
    env = DistGridEnv(**sunny(feeder, plants, no_load(feeder), hours))
    env.reset(seed=0)
    *_, info = env.step(np.zeros(0))
    assert info["delivered"]["p_mw"].tolist() == [0.0, 0.0]
    assert info["voltages"][1] == pytest.approx(1.0)
    assert not info["delivered"]["unsettled"].any()
    assert env.fleet.accounts.total("curtailed_mw")[0] == 3.5
    for _ in range(11):
        env.step(np.zeros(0))
    *_, info = env.step(np.zeros(0))
    np.testing.assert_allclose(info["delivered"]["p_mw"], [0.6, 0.1])
    endless = PV(
        "b", 3.0, s_mva=3.0, functions=InverterFunctions(VoltVarCurve.category_a(), cease_above_pu=None)
    )
    env = DistGridEnv(**sunny(feeder, [endless], no_load(feeder)))
    env.reset(seed=0)
    *_, info = env.step(np.zeros(0))
    assert info["voltages"][1] > 1.10


class Restless(SettlingResource):
    """Feeds in while the voltage is low, and so has no place to rest."""

    kind = "restless"
    asked: ClassVar[list[float]] = []

    def __init__(self, bus: str) -> None:
        super().__init__([bus], s_mva=0.5)

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.current_p_mw[:] = 0.0

    def respond(self, v_pu: Floats, p_mw: Floats, q_mvar: Floats) -> None:
        self.asked.append(float(v_pu[0, 0]))
        p_mw[:] = np.where(v_pu < 1.01, 0.5, 0.0)


def test_what_does_not_settle_is_told() -> None:
    """A device without a resting point is flagged in every face, the others are not, and the step ends."""
    feeder = two_buses()
    fleet = [Restless("b"), PV("b", 0.1, functions="unity-b")]
    env = DistGridEnv(**sunny(feeder, fleet, no_load(feeder)))
    _, info = env.reset(seed=0)
    assert info["delivered"]["unsettled"].tolist() == [1.0, 0.0]
    Restless.asked.clear()
    *_, info = env.step(np.zeros(0))
    assert info["delivered"]["unsettled"].tolist() == [1.0, 0.0]
    assert info["pf_converged"]
    assert len(Restless.asked) == ROUNDS + 1
    many = DistGridVectorEnv(**sunny(feeder, fleet, no_load(feeder)), num_envs=2)
    many.reset(seed=0)
    *_, infos = many.step(np.zeros((2, 0)))
    assert infos["delivered"]["unsettled"].tolist() == [[1.0, 0.0]] * 2
    assert env.fleet.most_of("unsettled", 1.0) == 2.0


class Droop(SettlingResource):
    """A device of one's own: absorbs in proportion to the voltage above 1 pu."""

    kind = "droop"

    def __init__(self, bus: str) -> None:
        super().__init__([bus], s_mva=1.0)

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.current_p_mw[:], self.current_q_mvar[:] = 0.8, 0.0

    def respond(self, v_pu: Floats, p_mw: Floats, q_mvar: Floats) -> None:
        q_mvar[:] = -8.0 * (v_pu - 1.0)


def test_a_device_of_ones_own_settles() -> None:
    """A line of NumPy; the power that it does not answer for stays."""
    feeder = two_buses()
    env = DistGridEnv(**sunny(feeder, [Droop("b")], no_load(feeder)))
    env.reset(seed=0)
    *_, info = env.step(np.zeros(0))
    q = bisected(lambda v: voltage(0.8, -8.0 * (v - 1.0)) - v, 1.0, 1.1)
    np.testing.assert_allclose(info["delivered"]["q_mvar"], -8.0 * (q - 1.0), atol=10.0 * TOLERANCE)
    assert info["delivered"]["p_mw"].tolist() == [0.8]


def test_fleets_without_such_devices_have_nothing_to_do_with_it() -> None:
    env = DistGridEnv(FEEDER, [PV(25, 0.5), Battery(18, 0.2, 0.8)], load=flat_load())
    assert env.grid.aside.settling is None
    _, info = env.reset(seed=0)
    assert "unsettled" not in info["delivered"]


def test_a_plant_that_nothing_feeds_gives_nothing() -> None:
    """Dead terminals have no voltage: no power, and no failure of the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IslandWarning)
        env = DistGridEnv(FEEDER.with_switch("2-19", closed=False), FLEET[:5], LossMinimisation())
        env.reset(seed=0, options={"start": 170 * 96 + 50})
    *_, terminated, _, info = env.step(np.ones(env.action_space.shape))
    assert not terminated
    p, unit = info["delivered"]["p_mw"], {u.bus: u.index for u in env.fleet.units()}
    assert p[unit["22"]] == 0.0
    assert p[unit["18"]] > 0.5
    assert not info["delivered"]["unsettled"].any()
