"""Data centers of asset tables in schedules: the work of the day, moved to cheap hours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from distgrid import cases, envs, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.scheduling.case import ScheduleCase
from distgrid.baselines.optimal.scheduling.from_tables import assets_of_tables
from distgrid.baselines.optimal.scheduling.plan import best_schedule
from distgrid.cases.profiles import MODEL_YEAR, Calendar

pytest.importorskip("clarabel")

CENTER = envs.DataCenter("18", 0.5, dropped_cost_per_mwh=500.0, deadline_h=6.0, name="servers")


def scheduled(center: envs.DataCenter = CENTER) -> ScheduleCase:
    """A day of 33bw at half load in hours; dear before noon, cheap after it."""
    net = physics.compile(cases.load("case33bw"))
    tables, none = envs.assets_of([center]), np.zeros((24, net.n_bus))
    assets = assets_of_tables(tables, Calendar(MODEL_YEAR.start, 1.0, 24), {})
    loads = {"p_mw": none + 0.5 * net.load_p_mw, "q_mvar": none + 0.5 * net.load_q_mvar}
    price = np.where(np.arange(24) < 12, 90.0, 30.0)
    return ScheduleCase(net, assets, loads, price, 1.0, NetworkLimits((0.9, 1.05), None))


def test_all_work_of_a_day_is_done_as_in_the_environment() -> None:
    """Row 41, 47: the energy is that of an environment in which nothing waits, to rounding."""
    env = envs.make_env(envs.EnvOptions("case33bw", [CENTER]))
    env.reset(seed=0, options={"day": 15})
    drawn = 0.0
    for _ in range(96):
        action = np.array(env.scenario.neutral_action, dtype=np.float32)
        drawn -= 0.25 * float(env.step(action)[4]["delivered"]["p_mw"][0])
    found = best_schedule(scheduled())
    assert -found.p_mw.sum() == pytest.approx(drawn, rel=1e-9)


def test_work_waits_for_cheap_hours_as_long_as_it_may() -> None:
    """Row 47: none is late, none is done before it comes, and more of it is done when power is cheap."""
    case = scheduled()
    found, (asset,) = best_schedule(case), case.assets
    assert asset.reservoir is not None
    work = -found.p_mw[:, 0] - asset.reservoir.drained
    came = CENTER.pue * CENTER.capacity_mw * np.array(CENTER.by_hour("deferrable"))  # type: ignore[operator]
    done, arrived = np.cumsum(work), np.cumsum(came)
    assert (done <= arrived + 1e-9).all()
    assert (done[6:] >= arrived[:-6] - 1e-9).all()
    assert done[-1] == pytest.approx(arrived[-1], abs=1e-9)
    assert done[11] == pytest.approx(arrived[5], abs=1e-6)
    assert found.status == "optimal"


def test_cooling_that_follows_the_weather_is_refused() -> None:
    """Bad input: which asset, and what is expected."""
    with pytest.raises(RunError, match="'servers': pue follows the weather"):
        scheduled(replace(CENTER, pue=None))
