"""Energy at its price, the peak, settlement of storage and dispatch signals: what an episode is charged."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest

from distgrid.cases.profiles import Duration, load_profiles
from distgrid.envs import (
    PV,
    Battery,
    DataTask,
    DERDispatch,
    DispatchSignal,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    EnergyBalance,
    EpisodeLeft,
    MoneyTask,
    PeakImport,
    Quantity,
    Setpoint,
    SetpointTracking,
    SettlementPrices,
    Term,
    VoltVar,
)
from distgrid.envs.tasks import PeakShaving, Task
from distgrid.envs.tasks.base import task_of

from .world import WORLDS, make

EVERY = DataTask(
    blocks=("clock", PeakImport(), EnergyBalance(), SettlementPrices(), EpisodeLeft()),
    rewards=(
        Term("energy", "energy_cost_usd", -1.0),
        Term("demand", "peak_rise_mw", -100.0),
        Term("bought", "imported_mwh", -3.0),
        Term("sold", "exported_mwh", -2.0),
        Term("lost", "loss_mwh", -1.0),
        Term("curtailed", "curtailed_mwh", -1.0),
        Term("deficit", "energy_deficit_usd", -1.25),
        Term("surplus", "energy_surplus_usd", 0.8),
        Term("handed_back", "energy_deficit_mwh", -3.0),
    ),
)
PRICES = np.asarray(load_profiles().price_usd_mwh, dtype=np.float64)


def played(env: DistGridEnv, day: int, seed: int = 3) -> tuple[list[dict[str, Any]], list[Any]]:
    """Infos and observations of a day of held random actions."""
    obs, _ = env.reset(seed=seed, options={"day": day})
    infos, seen, rng = [], [obs], np.random.default_rng(seed)
    action = env.action_space.sample()
    over = False
    while not over:
        if rng.random() < 0.2:
            action = rng.uniform(-1.0, 1.0, action.shape).astype(np.float32)
        obs, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        infos.append(info)
        seen.append(obs)
    return infos, seen


@pytest.mark.parametrize("world", WORLDS)
def test_a_day_is_charged_as_its_numbers_say(world: str) -> None:
    """Price times energy in each interval; rises of the peak add up to it; storage against its beginning."""
    env = WORLDS[world](task=EVERY)
    infos, seen = played(env, 40)
    price = PRICES[40 * 96 : 41 * 96]
    head = np.array([info["p_slack_MW"] for info in infos])
    terms = {name: np.array([info["rewards"][name] for info in infos]) for name in infos[0]["rewards"]}
    np.testing.assert_allclose(terms["energy"], -price * head * 0.25, rtol=1e-12)
    np.testing.assert_allclose(terms["bought"], -3.0 * np.maximum(head, 0.0) * 0.25, rtol=1e-12)
    np.testing.assert_allclose(terms["sold"], -2.0 * np.maximum(-head, 0.0) * 0.25, rtol=1e-12)
    np.testing.assert_allclose(terms["lost"], [-0.25 * info["p_loss_MW"] for info in infos], rtol=1e-12)
    assert terms["demand"].sum() == pytest.approx(-100.0 * max(head.max(), 0.0), rel=1e-12)
    assert terms["curtailed"].sum() < 0.0
    assert not terms["deficit"][:-1].any()
    assert not terms["surplus"][:-1].any()
    assert not terms["handed_back"][:-1].any()
    stored = env.fleet.accounts.total("stored_mwh")[0] - 0.4
    owed = 1.25 * min(stored, 0.0) * price.max() + 0.8 * max(stored, 0.0) * price.min()
    assert terms["deficit"][-1] + terms["surplus"][-1] == pytest.approx(owed, rel=1e-9)
    assert terms["handed_back"][-1] == pytest.approx(3.0 * min(stored, 0.0), rel=1e-9)
    at = env.layout
    last = seen[-1]
    assert last[at["peak_import_mw"]][0] == pytest.approx(head.max(), rel=1e-6)
    assert last[at["energy_balance_mwh"]][0] == pytest.approx(stored, abs=1e-6)
    np.testing.assert_allclose(last[at["settlement_price_usd_mwh"]], [price.max(), price.min()], rtol=1e-6)
    assert [float(obs[at["episode_left"]][0]) for obs in (seen[0], seen[48], last)] == [1.0, 0.5, 0.0]


TASKS: dict[str, Task] = {
    "every": EVERY,
    "peak": PeakShaving(),
    "signal": SetpointTracking(dispatch=DispatchSignal(0.3)),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("world", WORLDS)
def test_what_is_remembered_is_restored_and_the_same_in_every_face(world: str, task: Task) -> None:
    """Peak, settlement and signal go on from `get_state`; rows of a batch have the bits of single ones."""
    env = WORLDS[world](task=task)
    many: Any = {"balanced": DistGridVectorEnv, "per-phase": DistGrid3PhaseVectorEnv}[world](
        case=env.feeder, resources=env.resources, task=task, num_envs=3, threads=2
    )
    obs, _ = env.reset(seed=7)
    rows, _ = many.reset(seed=[5, 7, 9])
    np.testing.assert_array_equal(rows[1], obs)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (96, 3, 3)).astype(np.float32)
    state: Any = None
    rewards, after = [], []
    for step in range(96):
        if step == 60:
            state = copy.deepcopy(env.get_state())
        obs, reward, *_ = env.step(actions[step, 1])
        rows, several, *_ = many.step(actions[step])
        np.testing.assert_array_equal(rows[1], obs)
        assert several[1] == reward
        rewards.append(reward)
    env.reset(seed=1)
    env.set_state(state)
    after = [env.step(actions[step, 1])[1] for step in range(60, 96)]
    assert after == rewards[60:]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_no_term_leaves_its_bounds(task: Task) -> None:
    """The price of a failed power flow rests on them, and so does the vector of rewards."""
    env = make(task=task)
    infos, _ = played(env, 200)
    for term in task.reward_terms:
        least, most = term.range(env.grid.worst)
        values = [info["rewards"][term.name] for info in infos]
        assert least <= min(values)
        assert max(values) <= most
        assert np.isfinite([least, most]).all()


def test_storage_at_the_end_is_worth_what_it_costs() -> None:
    """Capability 91: at every price level of the year's evenings, emptying or filling a battery in the last
    hours earns nothing.
    """
    fleet = [Battery(18, 0.3, 0.9), Battery(33, 0.3, 0.9)]
    task = dataclasses.replace(
        DERDispatch(), episode=Duration(hours=3), wear_usd_mwh=0.0, voltage_usd_pu=0.0, overload_usd_mva=0.0
    )
    starts = np.arange(365) * 96 + 84  # the last three hours of every day but the last, the storm included
    env = DistGridVectorEnv("case33bw", fleet, task, num_envs=starts.size, days=range(366))

    def returns(power: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        env.reset(seed=0, options={"start": starts})
        total = np.zeros(starts.size)
        for share in power:
            total += env.step(np.full((starts.size, 2), share, dtype=np.float32))[1]
        return total

    rest = returns(np.zeros(12))
    assert PRICES[starts].max() > 1000.0, "the storm is among them"
    for last in (1, 4, 12):
        for share in (-1.0, -0.3, 0.3, 1.0):
            power = np.zeros(12)
            power[-last:] = share
            assert (returns(power) < rest).all(), (last, share)
    back = np.concatenate([np.full(6, 0.5), np.full(6, -0.5 / 0.95**2)])
    assert np.abs(returns(back) / rest - 1.0).max() < 0.2, "who brings it back pays for losses alone"


def test_voltage_control_hands_its_storage_back() -> None:
    """`deficit_weight` is charged in the last interval, for what is missing; the balance is observed."""
    task = VoltVar(deficit_weight=2.0)
    env = make(task=task, resources=[Battery(18, 0.3, 0.9), Battery(33, 0.3, 0.9)])
    for power, missing in ((1.0, True), (-1.0, False)):
        obs, _ = env.reset(seed=1, options={"day": 40})
        first = env.fleet.accounts.total("stored_mwh")[0]
        charged = []
        for _ in range(96):
            obs, *_, info = env.step(np.full(2, power, dtype=np.float32))
            charged.append(info["rewards"]["energy_deficit"])
        more = env.fleet.accounts.total("stored_mwh")[0] - first
        assert (more < 0.0) == missing
        assert not any(charged[:-1])
        assert charged[-1] == pytest.approx(2.0 * min(more, 0.0), rel=1e-9)
        assert obs[env.layout["energy_balance_mwh"]][0] == pytest.approx(more, abs=1e-6)
        assert obs[env.layout["episode_left"]][0] == 0.0
    assert "energy_balance_mwh" not in make(task=VoltVar()).layout


def test_a_signal_is_a_forecast_and_a_wish() -> None:
    """The wish never exceeds its swing, differs between episodes, and is no faster than it may be; the
    forecast is near to what the head draws with the fleet left alone.
    """
    fleet = [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3)]
    plain, asked = (SetpointTracking(dispatch=DispatchSignal(swing, shortest_h=2.0)) for swing in (0.0, 0.4))
    signals = []
    for task in (plain, asked):
        env = DistGridVectorEnv("case33bw", fleet, task, num_envs=4)
        env.reset(seed=[1, 2, 3, 3], options={"day": 10})
        signals.append(env.shards.grid.ledger.signal.copy())  # type: ignore[union-attr]
    forecast, wish = signals[0], signals[1] - signals[0]
    assert (np.abs(wish) <= 0.4).all()
    assert np.abs(wish).max() > 0.1
    np.testing.assert_array_equal(wish[2], wish[3])
    assert np.abs(wish[0] - wish[1]).max() > 0.1
    assert np.abs(np.diff(wish, axis=1)).max() <= 0.4 * 2.0 * np.pi * 0.25 / 2.0
    one = make(task=plain, resources=fleet)
    one.reset(seed=1, options={"day": 10})
    head = np.array([one.step(one.neutral_action)[4]["p_slack_MW"] for _ in range(96)])
    assert np.abs(head - forecast[0]).mean() < 0.1 * head.mean()


def test_setpoints_are_observed_ahead() -> None:
    env = make(task=SetpointTracking(dispatch=DispatchSignal(0.3), lead_steps=2))
    obs, _ = env.reset(seed=3)
    at = env.layout["setpoint_mw"]
    for _ in range(5):
        before = obs[at]
        obs, _, _, _, info = env.step(env.neutral_action)
        np.testing.assert_array_equal(before[1:], obs[at][:2])
        off = abs(info["p_slack_MW"] - float(before[0]))
        assert info["rewards"]["setpoint_deviation"] == pytest.approx(-50.0 * off, rel=1e-5)


def test_own_quantities_read_the_price_of_their_interval() -> None:
    """Also in costs, which are read after the clocks went on."""
    price = Quantity("price", "USD/MWh", "price", lambda view: view.price_usd_mwh, lambda _: (0.0, 1e4))
    task = DataTask(rewards=(Term("price", price, 1.0),), costs=(Term("price", price, 1.0),))
    env = make(task=task)
    _, info = env.reset(seed=0)
    for _ in range(3):
        wanted = PRICES[info["t_index"]]
        _, reward, _, _, info = env.step(env.neutral_action)
        assert reward == info["cost"] == wanted


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (MoneyTask, "voltage_usd_pu", -1.0),
        (MoneyTask, "settlement_spread", float("nan")),
        (PeakShaving, "demand_usd_mw", "much"),
        (SetpointTracking, "deviation_usd_mw", -2.0),
        (SetpointTracking, "lead_steps", 1.5),
        (DispatchSignal, "longest_h", 0.5),
        (DispatchSignal, "tones", 0),
    ],
)
def test_bad_numbers_are_refused_by_name(kind: Any, field: str, value: object) -> None:
    given = {field: value} | ({"swing_mw": 1.0} if kind is DispatchSignal else {})
    with pytest.raises(ValueError, match=field if field != "lead_steps" else "lead"):
        kind(**given)


def test_limits_cost_as_much_an_hour_whatever_the_step() -> None:
    """A day of idle batteries at limits that are passed: in steps of an hour, about the same sum."""
    task = SetpointTracking(v_band=(0.98, 1.02), dispatch=DispatchSignal(0.4))
    sums = []
    for steps_h, own in ((0.25, task), (1.0, task.of_steps(4.0))):
        env = make(task=own, profiles=load_profiles().resampled(steps_h))
        env.reset(seed=2, options={"day": 40})
        days = [env.step(env.neutral_action)[4]["rewards"]["voltage"] for _ in range(round(24 / steps_h))]
        sums.append(sum(days))
    assert sums[0] < 0.0
    assert sums[1] == pytest.approx(sums[0], rel=0.05)
    assert task.of_steps(4.0).deviation_usd_mw == 4.0 * task.deviation_usd_mw


@pytest.mark.parametrize("task", [DERDispatch(), PeakShaving(), SetpointTracking()], ids=type)
def test_tasks_come_back_from_json(task: Task) -> None:
    fields = dataclasses.asdict(task)
    assert task_of(fields) == task


def test_a_block_of_the_ledger_is_enough_to_keep_one() -> None:
    """Whatever else the task reads; a signal is shown only where there is one."""
    task = DataTask(blocks=("clock", PeakImport()), rewards=(Term("loss", "loss_mw", -1.0),))
    env = make(task=task)
    env.reset(seed=0)
    obs, _, _, _, info = env.step(env.neutral_action)
    assert obs[env.layout["peak_import_mw"]][0] == pytest.approx(info["p_slack_MW"], rel=1e-6)
    with pytest.raises(ValueError, match="no dispatch signal"):
        make(task=DataTask(blocks=(Setpoint(),), rewards=task.rewards)).reset(seed=0)
