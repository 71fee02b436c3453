"""Policies of environments in stress tests: what they meet, what is taken from them, the verb. Row 53."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import baselines
from distgrid.baselines.optimal.scheduling.case import ScheduleCase
from distgrid.baselines.optimal.scheduling.rolling import RollingSettings
from distgrid.baselines.optimal.scheduling.stress import StressTest
from distgrid.baselines.optimal.scheduling.worlds import Event
from distgrid.baselines.workflows.derms.schedule_config import ScheduleConfig
from distgrid.baselines.workflows.derms.schedule_session import environment_options, schedule_session
from distgrid.baselines.workflows.derms.stress_env import EnvironmentPlayer
from distgrid.cli import main
from distgrid.envs import EnvOptions, make_env

pytest.importorskip("clarabel")

ID = "DERDispatch-33bw-v0"
POLICY = "battery-price"


class Day:
    """A test day of DERDispatch-33bw in steps of a quarter hour."""

    def __init__(self) -> None:
        session = schedule_session(ScheduleConfig(feeder=ID, dt_h=0.25))
        self.day: int = session.days[0]
        self.case: ScheduleCase = session.case(self.day)
        self.options: EnvOptions = environment_options(session)
        self.player = EnvironmentPlayer(POLICY, self.options, self.day, self.case)
        self.test = StressTest(self.case, "cost", (np.empty(0), np.empty(0)), {POLICY: self.player})
        self.names = [asset.name for asset in self.case.assets]

    def power(self, *events: Event) -> np.ndarray:
        """(96, n_assets) MW in a world."""
        return self.test.outcome(POLICY, events, RollingSettings()).schedule.p_mw


@pytest.fixture(scope="module")
def day() -> Day:
    """Made once."""
    return Day()


def test_batteries_do_what_they_do_in_the_environment(day: Day) -> None:
    """Row 53: on the day as it was thought to be, the schedule is what a rollout of the policy delivers.

    But for the last step: a schedule ends with the energy that it began with, an environment prices it.
    """
    env = make_env(day.options)
    policy = baselines.make(POLICY, env)
    policy.seed(0)
    obs, info = env.reset(seed=0, options={"day": day.day})
    policy.reset(obs, info)
    units = {unit.name: unit.index for unit in env.scenario.units}
    batteries = [k for k, asset in enumerate(day.case.assets) if asset.kind == "battery"]
    at, played = [units[day.names[k]] for k in batteries], []
    for _ in range(96):
        obs, _, _, _, info = env.step(policy.act(obs, info))
        played.append(info["delivered"]["p_mw"][at])
    found = day.power()[:, batteries]
    np.testing.assert_allclose(found[:-1], played[:-1], atol=1e-9)
    assert np.abs(found).max() > 0.1


def test_the_environment_of_a_scenario_has_its_loads_prices_and_sun(day: Day) -> None:
    """Row 53: factors between two hours, no load behind a line that is out, nothing on other days."""
    events = (
        Event("price", "", 6.0, 12.0, 2.0), Event("load", "", 0.0, 12.0, 1.2),
        Event("line-outage", "6-26", 18.0, 24.0, 0.0), Event("sun", "", 0.0, 24.0, 0.5),
    )  # fmt: skip
    envs = [make_env(options) for options in (day.options, day.player.options_in(day.case, events))]
    windows = []
    for env in envs:
        env.reset(seed=0, options={"day": day.day})
        windows.append(env.scenario.window(horizon=96))
    was, now = windows
    price, load = np.ones(96), np.ones((96, 33))
    price[24:48], load[:48] = 2.0, 1.2
    load[72:, [day.case.net.feeder.node_index[str(bus)] for bus in range(26, 34)]] = 0.0
    np.testing.assert_allclose(now.price_usd_mwh, price * was.price_usd_mwh)
    np.testing.assert_allclose(now.load_p_mw, load * was.load_p_mw)
    np.testing.assert_allclose(now.load_q_mvar, load * was.load_q_mvar)
    first = 96 * day.day
    sun = [env.scenario.profiles.pv[first - 96 : first + 192] for env in envs]
    np.testing.assert_array_equal(sun[1][:96], sun[0][:96])
    np.testing.assert_allclose(sun[1][96:192], 0.5 * sun[0][96:192])
    np.testing.assert_array_equal(sun[1][192:], sun[0][192:])


def test_a_battery_that_is_out_rests_and_one_that_hears_nothing_goes_on(day: Day) -> None:
    """Row 53: no power during the outage; silent, the last setpoint; others as they were before it."""
    free = day.power()
    name = next(asset.name for asset in day.case.assets if asset.kind == "battery")
    k = day.names.index(name)
    busy = int(np.flatnonzero(np.abs(free[:, k]) > 0.05)[1])
    hours = (busy * 0.25, busy * 0.25 + 2.0)
    out = day.power(Event("asset-outage", name, *hours, 0.0))
    np.testing.assert_array_equal(out[busy : busy + 8, k], 0.0)
    np.testing.assert_allclose(out[:busy], free[:busy], atol=1e-9)
    silent = day.power(Event("communication-loss", name, *hours, 0.0))
    np.testing.assert_allclose(silent[busy : busy + 8, k], free[busy - 1, k], atol=1e-9)


@pytest.mark.slow
def test_a_policy_of_the_environment_stands_beside_the_others(tmp_path: Path) -> None:
    """Row 53, 77: the same scenarios for all; the asset set of a feeder is an environment in money."""
    for out in ("one", "two"):
        with pytest.raises(SystemExit) as left:
            main([
                "derms", "stress-test", "case33bw", "--scenarios", "2", "--dt-h", "3", "--policies",
                "idle,battery-price,random", "--out", str(tmp_path / out),
            ])  # fmt: skip
        assert not left.value.code
    tables = [pq.read_table(tmp_path / out / "stress_results.parquet") for out in ("one", "two")]
    assert tables[0].equals(tables[1])
    rows = tables[0].to_pylist()
    assert [row["policy"] for row in rows] == 2 * ["idle", "battery-price", "random"]
    for k in (0, 3):
        assert len({row["unserved_mwh"] for row in rows[k : k + 3]}) == 1
        assert len({row["cost_usd"] for row in rows[k : k + 3]}) == 3
