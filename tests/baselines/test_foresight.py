"""Forecasts of rolling schedules: those of environments, and errors of tables."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.scheduling.assets import Asset
from distgrid.baselines.optimal.scheduling.case import ScheduleCase
from distgrid.baselines.optimal.scheduling.foresight import Foresight, key_of, relative_errors
from distgrid.baselines.workflows.derms.schedule_config import ScheduleConfig
from distgrid.baselines.workflows.derms.schedule_session import schedule_session
from distgrid.envs import make_env
from distgrid.envs.configuration.making import options_of_env


def _window(case: ScheduleCase, first: int, stop: int) -> ScheduleCase:
    assets = [asset.window(first, stop, start_mwh=0.0, before_mw=None) for asset in case.assets]
    return case.window(first, stop, assets=tuple(assets))


def test_mpc_is_foretold_what_the_environment_shows() -> None:
    """Row 55: loads, prices and sun of the environment's episode as its forecaster has them, when it begins
    and five hours later.
    """
    session = schedule_session(ScheduleConfig(feeder="DERDispatch-33bw-v0", dt_h=0.25, seed=5))
    case, foresight = session.case(session.days[0]), session.foresight(session.days[0])
    env = make_env(options_of_env("DERDispatch-33bw-v0"))
    env.reset(seed=5, options={"day": session.days[0]})
    sun = [k for k, asset in enumerate(case.assets) if asset.kind == "pv"]
    for begins in (0, 20):
        for _ in range(begins):
            env.step(np.array(env.scenario.neutral_action, dtype=np.float32))
        shown = env.scenario.window(horizon=48, forecast=env.scenario.forecasts)
        part = slice(begins, begins + 48)
        told = foresight.foretold(_window(case, begins, begins + 48), begins)
        np.testing.assert_allclose(told.loads["p_mw"], shown.load_p_mw, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(told.price_usd_mwh, shown.price_usd_mwh, rtol=1e-12)
        available = shown.outlooks["pv"].available_mw
        assert available is not None
        offers = np.transpose([told.assets[k].p_max_mw for k in sun])
        np.testing.assert_allclose(offers, available, rtol=1e-9, atol=1e-12)
        truth = np.transpose([case.assets[k].p_max_mw[part] for k in sun])
        assert np.abs(offers - truth).max() > 0.01


def test_errors_of_tables_are_a_forecasters_and_shrink_as_time_goes_on() -> None:
    """Row 55: of the size that is asked for a day ahead; a later forecast of the same hours is nearer."""
    price = np.full(48, 50.0)
    made = relative_errors(0.2, price)
    assert made.load.std_at(24.0) == pytest.approx(0.2, rel=0.01)
    assert made.price_usd_mwh.std_at(24.0) == pytest.approx(10.0, rel=0.01)
    net = physics.compile(cases.load("case33bw"))
    loads = {"p_mw": np.tile(net.load_p_mw, (48, 1)), "q_mvar": np.tile(net.load_q_mvar, (48, 1))}
    none = np.zeros(48)
    rest = Asset("rest", "2", none, none, none, none)
    case = ScheduleCase(net, (rest,), loads, price, 1.0, NetworkLimits(None, None))
    off: dict[int, list[float]] = {0: [], 20: []}
    for seed in range(40):
        foresight = Foresight(made, key=key_of(seed, 0))
        for begins, found in off.items():
            told = foresight.foretold(_window(case, begins, 48), begins)
            assert told.price_usd_mwh[0] == 50.0
            found.append(float(told.price_usd_mwh[24 - begins] - 50.0))
    assert np.std(off[0]) == pytest.approx(10.0, rel=0.35)
    assert np.std(off[20]) < 0.85 * np.std(off[0])
