"""DistGrid3PhaseEnv: phases in the observation, in the limits, in what resources do."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.cases import profiles
from distgrid.envs import (
    PV,
    Battery,
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGridEnv,
    Fleet,
    LossMinimisation,
    ProfileLoad,
    ResourceSpec,
    SeriesLoad,
    TapChanger,
    VoltVar3,
)
from distgrid.envs.core.columns import load_points
from distgrid.envs.core.grid import Grid
from distgrid.envs.core.load_source import nominal
from distgrid.envs.core.phase_stepper import PhaseStepper
from distgrid.envs.tasks import GRID_BLOCKS

from .world import FEEDER, FEEDER3, make3

IEEE13 = cases.load("ieee13")
NODES = [str(n) for n in IEEE13.column("nodes", "node_id")]
TAPS = [TapChanger(name) for name in ("reg1", "reg2", "reg3")]
BANKS = [CapacitorBank("cap1"), CapacitorBank("cap2")]


@dataclass(frozen=True)
class SeesAll(LossMinimisation):
    """The bare task with every block of the grid in its observation."""

    @property
    def blocks(self) -> tuple[str, ...]:
        return GRID_BLOCKS


def still(scale: float = 1.0, feeder: cases.Feeder = IEEE13, **by_point: float) -> SeriesLoad:
    """One day of nominal loads times ``scale``; the points named ("671.A" is n671A) times their own."""
    points = load_points(feeder)
    p, q = nominal(feeder, points)
    factor = np.full(p.size, scale)
    for name, own in by_point.items():
        factor[points.names.index(f"{name[1:-1]}.{name[-1]}")] = own
    return SeriesLoad(feeder, np.tile(p * factor, (96, 1)), np.tile(q * factor, (96, 1)))


def test_a_step_is_the_three_phase_power_flow() -> None:
    """Capabilities 92, 103, 110: every block of the observation and of info equals `physics.solve`."""
    units = [
        Battery("671", 0.3, 1.2, phase="ABC"), Battery("675", 0.1, 0.4, phase="B"),
        PV("692", 0.3, site=3, phase="CA", controls="pq"), PV("652", 0.2, site=4, phase="A"),
    ]  # fmt: skip
    env = DistGrid3PhaseEnv(IEEE13, units, task=SeesAll(), load=still(0.8))
    env.reset(options={"day": 0})
    observation, _, _, _, info = env.step([0.6, -0.5, 0.2, 0.7, -0.4])
    p, q = (info["delivered"][key] for key in ("p_mw", "q_mvar"))
    wye, leg = np.zeros((2, env.feeder.n_nodes, 3)), np.zeros((2, env.feeder.n_nodes, 3))
    rows = [unit.node_row for unit in env.units]
    wye[:, rows[0], :] += np.array([p[0], q[0]])[:, None] / 3.0
    wye[:, rows[1], 1] += p[1], q[1]
    leg[:, rows[2], 2] += p[2], q[2]
    wye[:, rows[3], 0] += p[3], q[3]
    net = env.net
    s = physics.solve(
        net, 0.8 * net.load_p_mw, 0.8 * net.load_q_mvar, p_delta_mw=0.8 * net.delta_p_mw,
        q_delta_mvar=0.8 * net.delta_q_mvar, p_inject_mw=wye[0], q_inject_mvar=wye[1],
        p_delta_inject_mw=leg[0], q_delta_inject_mvar=leg[1],
    )  # fmt: skip
    np.testing.assert_allclose(info["voltages"].filled(np.nan), s.v_pu, atol=1e-12)
    np.testing.assert_allclose(info["vuf_pct"].filled(np.nan), s.vuf_pct, atol=1e-9)
    np.testing.assert_allclose(info["branch_loading"].filled(np.nan), s.loading, atol=1e-12)
    assert info["p_slack_MW"] == pytest.approx(s.p_slack_mw, abs=1e-12)
    assert info["p_loss_MW"] == pytest.approx(s.p_loss_mw, abs=1e-12)
    present, lines = np.isfinite(s.v_pu), np.isfinite(info["branch_loading"].data)
    near: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(observation[env.layout["v_pu"]], s.v_pu[present], **near)
    np.testing.assert_allclose(observation[env.layout["v_deg"]], s.v_deg[present], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(observation[env.layout["vuf_pct"]], s.vuf_pct[np.isfinite(s.vuf_pct)], **near)
    wires = env.feeder.column("branches", "phase")
    has = np.array([[letter in str(phase) for letter in "ABC"] for phase in wires])
    assert (has | ~lines).all()
    for block, value in (("p_from_mw", s.p_from_mw), ("q_from_mvar", s.q_from_mvar), ("i_ka", s.i_ka)):
        np.testing.assert_allclose(observation[env.layout[block]], value[has], **near, err_msg=block)


def test_absent_phases_are_nowhere() -> None:
    """Capability 107, Trap 3: NaN and masked in info; no entry of the observation; not in the unbalance."""
    env = make3()
    _, info = env.reset(seed=0)
    at = NODES.index("645")  # phases B and C
    assert np.isnan(info["voltages"].data[at]).tolist() == [True, False, False]
    assert info["voltages"].mask[at].tolist() == [True, False, False]
    assert np.isnan(info["vuf_pct"].data[at])
    names = {row.name for row in env.layout.describe()}
    assert "v_pu[645.B]" in names
    assert "v_pu[645.A]" not in names


def test_topo3ph_is_the_order_of_the_observation() -> None:
    """Capability 104: node-major ABC order, there and back."""
    env = make3()
    rows = env.layout.describe()[env.layout["v_pu"]]
    assert len(rows) == len(env.topo3ph)
    for k, row in enumerate(rows):
        node, phase = env.topo3ph.at(k)
        assert row.name == f"v_pu[{node}.{phase}]"
        assert env.topo3ph[node, phase] == k


@pytest.mark.parametrize(
    ("load", "key"),
    [
        (still(1.3, n652A=6.0), "voltage"),
        (still(1.0, n675A=2.0), "vuf"),
        (still(1.0, n634B=4.0), "thermal"),
    ],
)
def test_limits_are_judged_phase_by_phase(load: SeriesLoad, key: str) -> None:
    """Capabilities 99, 103, 109: a crafted unbalance trips each limit; the cost is its size."""
    env = DistGrid3PhaseEnv(IEEE13, load=load, task=LossMinimisation(vuf_max_pct=1.0))
    env.reset(seed=0)
    *_, info = env.step([])
    low, high = env.v_limits_pu
    v = info["voltages"].filled(np.nan)
    outside = np.fmax(np.fmax(low[:, None] - v, v - high[:, None]), 0.0)
    above = np.fmax(info["vuf_pct"].filled(np.nan) - 1.0, 0.0)
    share = info["branch_loading"].filled(np.nan)
    rating = env.feeder.column("branches", "thermal_limit_mva")[:, None] / 3.0
    over = np.fmax(share - 1.0, 0.0) * rating
    for name, count, size in (
        ("cost_voltage_violation", "n_voltage_violations", outside),
        ("cost_vuf_violation", "n_vuf_violations", above),
        ("cost_thermal_overload", "n_thermal_overloads", over),
    ):
        assert info[name] == pytest.approx(np.nansum(size), rel=1e-9, abs=1e-12)
        assert info[count] == int((size > 1e-12).sum())
        if key in name:
            assert info[count] > 0
    assert info["cost"] == pytest.approx(sum(info["costs"].values()))
    assert info["costs"]["vuf_violation"] == info["cost_vuf_violation"]


def test_phases_of_resources() -> None:
    """Capabilities 94, 110: ABC is split equally, a phase must exist, a delta has no ground."""
    env = make3(resources=[Battery("671", 0.3, 1.2)], load=still(0.8, FEEDER3))
    three = make3(resources=[Battery("671", 0.1, 0.4, phase=p) for p in "ABC"], load=still(0.8, FEEDER3))
    env.reset(seed=0)
    three.reset(seed=0)
    one, many = env.step([1.0])[4], three.step([1.0, 1.0, 1.0])[4]
    np.testing.assert_allclose(one["voltages"], many["voltages"], atol=1e-12)
    with pytest.raises(ValueError, match=r"phase A needs A, but bus 645"):
        env.register_resource(PV("645", 0.1, phase="A"))
    with pytest.raises(ValueError, match=r"'728'.*phase A.*expected phase AB"):
        DistGrid3PhaseEnv("ieee37", [PV("728", 0.1, phase="A")])
    with pytest.raises(ValueError, match="DistGridEnv"):
        DistGrid3PhaseEnv("case33bw")
    with pytest.raises(ValueError, match="DistGrid3PhaseEnv"):
        DistGridEnv("ieee13")


def test_a_delta_feeder_is_judged_by_its_line_voltages() -> None:
    """Trap 10: IEEE 37 has no ground; limits and observation are those of AB, BC and CA."""
    env = DistGrid3PhaseEnv("ieee37", [PV("728", 0.2, phase="AB", site=1)])
    env.reset(options={"day": 172})
    for _ in range(50):
        *_, info = env.step([0.5])
    assert isinstance(env.grid.stepper, PhaseStepper)
    v = env.grid.stepper.solution().v[0]
    line = np.abs(v - np.roll(v, -1, axis=1)) / np.sqrt(3.0)
    delta = env.grid.stepper.delta_node
    assert delta.sum() > 30
    np.testing.assert_allclose(info["voltages"][delta], line[delta], atol=1e-12)
    assert "v_pu[728.AB]" in {row.name for row in env.layout.describe()}


def test_taps_and_banks_move_what_they_say() -> None:
    """Capability 106 through the environment: positions told, counted, paid for, and solved with."""
    taps = [TapChanger("reg1", max_steps=3, cost_per_step=0.5), *TAPS[1:]]
    env = DistGrid3PhaseEnv(IEEE13, [*taps, *BANKS], task=VoltVar3(switching_weight=0.01), load=still(0.7))
    env.reset(options={"day": 0})
    np.testing.assert_allclose(env.neutral_action, [9 / 16, 6 / 16, 9 / 16, 1.0, 1.0])
    observation, _, _, _, info = env.step([-1.0, 0.5, 0.52, -0.1, 0.0])
    assert info["delivered"]["tap_pos"].tolist() == [6.0, 8.0, 8.0], "three steps at most for reg1"
    assert info["delivered"]["cap_on"].tolist() == [0.0, 1.0]
    np.testing.assert_array_equal(observation[env.layout["tap_changer.tap"]], [6.0, 8.0, 8.0])
    assert info["rewards"]["switching"] == pytest.approx(-0.01 * (3 + 2 + 1 + 1))
    assert info["cost_resource"] == pytest.approx(1.5) == info["costs"]["tap_changer.wear"]
    net = env.net
    s = physics.solve(
        net, 0.7 * net.load_p_mw, 0.7 * net.load_q_mvar, p_delta_mw=0.7 * net.delta_p_mw,
        q_delta_mvar=0.7 * net.delta_q_mvar, tap=1.0 + np.array([6, 8, 8]) * 0.00625, cap_on=[False, True],
    )  # fmt: skip
    np.testing.assert_allclose(info["voltages"].filled(np.nan), s.v_pu, atol=1e-12)
    saved = env.get_state()
    ahead = env.step([0.1, 0.1, 0.1, 1.0, -1.0])
    env.set_state(saved)
    again = env.step([0.1, 0.1, 0.1, 1.0, -1.0])
    assert ahead[0].tobytes() == again[0].tobytes()
    env.reset(seed=0)
    *_, info = env.step(env.neutral_action)
    assert info["delivered"]["tap_pos"].tolist() == [9.0, 6.0, 9.0]
    assert info["rewards"]["switching"] == 0.0


def test_wrong_devices_are_named() -> None:
    with pytest.raises(ValueError, match=r"no reg_id 'reg9'; expected one of reg1"):
        DistGrid3PhaseEnv(IEEE13, [TapChanger("reg9")])
    with pytest.raises(ValueError, match=r"no cap_id .cap1.; its table of capacitors is empty: attach one"):
        DistGridEnv(FEEDER, [CapacitorBank("cap1")])
    with pytest.raises(ValueError, match="twice"):
        DistGrid3PhaseEnv(IEEE13, [TapChanger("reg1"), TapChanger("reg1", name="other")])
    with pytest.raises(ValueError, match="leave out bus"):
        make3().register_resource(TapChanger("reg1"), bus="671")


def test_a_copy_plays_its_own_episode() -> None:
    env = make3(case=IEEE13, resources=[*TAPS, PV("675", 0.5, site=3, phase="A")])
    env.reset(seed=8)
    env.step([0.3, 0.2, 0.1, 0.5])
    twin, before = copy.deepcopy(env), env.obs()
    ahead = [twin.step([0.1 * k, 0.2, 0.3, -0.4]) for k in range(4)]
    np.testing.assert_array_equal(env.obs(), before)
    behind = [env.step([0.1 * k, 0.2, 0.3, -0.4]) for k in range(4)]
    for a, b in zip(ahead, behind, strict=True):
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1] == b[1]


@pytest.mark.parametrize("factor", [6.0, 60.0])
def test_a_failed_power_flow_ends_the_episode_at_its_price(factor: float) -> None:
    """Capabilities 100, 108, Trap 19: resources have stepped, and failing never pays."""
    points = load_points(FEEDER3)
    p, q = (np.tile(x, (96, 1)) for x in nominal(FEEDER3, points))
    p[5:] *= factor
    q[5:] *= factor
    env = make3(load=SeriesLoad(FEEDER3, p, q), task=VoltVar3())
    env.reset(options={"day": 0})
    rewards = [env.step([0.5, 1.0, 0.0])[1] for _ in range(5)]
    stored = float(env.grid.fleet.programs[0].state()["soc_mwh"][0, 0])
    observation, reward, terminated, _, info = env.step([0.5, 1.0, 0.0])
    assert terminated
    assert info["is_diverged"] or info["voltage_collapse"]
    assert not info["pf_converged"]
    assert env.grid.fleet.programs[0].state()["soc_mwh"][0, 0] < stored
    assert env.observation_space.contains(observation)
    assert info["rewards"]["power_flow_failure"] == reward < 91 * min(rewards)
    assert info["cost"] == info["costs"]["power_flow_failure"] > 0


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_no_solved_state_leaves_its_bounds(name: str) -> None:
    """Trap 19: random loads and taps: what is solved stays inside what failures are priced by."""
    feeder = cases.load(name)
    devices: list[ResourceSpec] = [TapChanger(str(r)) for r in feeder.column("regulators", "reg_id")]
    devices += [CapacitorBank(str(c)) for c in feeder.column("capacitors", "cap_id")]
    points = load_points(feeder)
    rng = np.random.default_rng(1)
    growth = rng.uniform(-0.5, 2.5, (96, len(points.names)))
    p, q = nominal(feeder, points)
    env = DistGrid3PhaseEnv(feeder, devices, load=SeriesLoad(feeder, p * growth, q * growth), task=VoltVar3())
    grid, solved = env.grid, 0
    env.reset(options={"day": 0})
    for _ in range(96):
        _, reward, terminated, _, info = env.step(rng.uniform(-1, 1, len(env.neutral_action)))
        if terminated:
            break
        solved += 1
        state, stepper = grid.worst.state, grid.stepper
        assert (stepper.v_pu[0] <= state.v_high_pu + 1e-9).all()
        assert isinstance(stepper, PhaseStepper)
        flow = np.hypot(*(getattr(stepper.solution(), name)[0] for name in ("p_from_mw", "q_from_mvar")))
        assert (flow.ravel()[stepper.columns.branch] <= state.s_branch_mva + 1e-9).all()
        assert info["p_loss_MW"] <= state.p_loss_mw
        assert reward >= grid.worst_reward
        assert info["cost"] <= grid.worst_cost
    assert solved > 5


def test_a_row_of_a_batch_is_that_row_alone() -> None:
    """Bit for bit, through a reset of one row."""
    specs = [*TAPS, BANKS[0], Battery("671", 0.2, 0.8, phase="BC"), PV("675", 0.5, site=3, phase="A")]
    net, year = physics.compile(IEEE13), profiles.load_profiles()
    load = ProfileLoad(IEEE13, profiles.assignment(IEEE13), year)

    def world(batch: int) -> Grid:
        return Grid(net, Fleet(specs, IEEE13), load, VoltVar3(), year, batch)

    together, alone = world(3), [world(1) for _ in range(3)]
    rows, days, first = np.arange(3), np.array([3, 170, 300]), np.zeros(1, dtype=np.int64)
    rng = np.random.default_rng(4)
    together.reset(rows, 96 * days, [np.random.default_rng(k) for k in rows])
    for k, grid in enumerate(alone):
        grid.reset(first, 96 * days[k : k + 1], [np.random.default_rng(k)])
    for step in range(12):
        action = rng.uniform(-1, 1, (3, together.fleet.n_actions))
        outcome = together.step(action)
        for k, grid in enumerate(alone):
            own = grid.step(action[k : k + 1])
            assert own.reward[0] == outcome.reward[k], (step, k)
            assert own.cost[0] == outcome.cost[k]
            assert grid.observe()[0].tobytes() == together.observe()[k].tobytes()
        if step == 5:
            together.reset(rows[1:2], 96 * days[:1], [np.random.default_rng(9)])
            alone[1].reset(first, 96 * days[:1], [np.random.default_rng(9)])


def test_the_picture_shows_three_phases() -> None:
    """A strip of voltages for each phase, filled as the day goes."""
    env = make3(render_mode="rgb_array", case=IEEE13, resources=[*TAPS, PV("675", 0.5, site=3, phase="A")])
    env.reset(options={"day": 172})
    first = env.render()
    for _ in range(40):
        env.step(env.neutral_action)
    later = env.render()
    assert first is not None
    assert later is not None
    strips = np.abs(first.astype(int) - later.astype(int)).max(axis=2)[:420, 660:] > 50
    rows = np.flatnonzero(strips.sum(axis=1) > 20)
    gaps = np.flatnonzero(np.diff(rows) > 15)
    assert len(gaps) >= 2, "three strips changed, with room between them"
