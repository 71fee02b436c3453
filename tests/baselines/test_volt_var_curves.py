"""Slopes of volt-var curves as settings: where inverters rest, the best slope, plans and plays with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.optimal.volt_var.curves import STEEPEST, CurveStudy
from distgrid.baselines.optimal.volt_var.inverters import Inverter, spread_over_loads
from distgrid.baselines.optimal.volt_var.settings import best_held
from distgrid.baselines.optimal.volt_var.study import Setting
from distgrid.cli import main

DAY = str(cases.profiles.split_days("test")[2])
BANKS = "cap_id,bus_id,q_mvar\nc30,30,0.6\n"


def at_slopes(study: CurveStudy, slopes: np.ndarray) -> Setting:
    """Rows of settings, all inverters at the slope of a row."""
    stored, rows = study.stored, len(slopes)
    share = np.repeat(slopes[:, None] / STEEPEST, len(study.inverters), axis=1)
    return Setting(np.repeat(stored.tap_pos[None], rows, 0), np.repeat(stored.cap_on[None], rows, 0), share)


@pytest.mark.parametrize("name", ["case33bw", pytest.param("ieee13", marks=pytest.mark.slow)])
def test_inverters_rest_on_their_curves(name: str) -> None:
    """Row 67: at the voltages of the AC power flow each gives what its curve says, or all that it has; low
    voltages are raised, and the more the steeper the curve.
    """
    feeder = cases.load(name)
    study = CurveStudy(feeder, spread_over_loads(feeder, 0.5))
    moment, slopes = study.nominal(1.0, 0.5), np.array([0.0, 2.0, 8.0, 22.0])
    setting = at_slopes(study, slopes)
    q = study.reactive(setting, moment.loads, np.asarray(0.5))
    shown = study.flow(setting.tap_pos, setting.cap_on, q, moment.loads, np.full(4, 0.5))
    v = study.inverters.voltage(shown.solution.v_pu)
    most = study.inverters.capability_mvar(np.full(len(study.inverters), 0.5))
    curve = slopes[:, None] * study.inverters.s_mva * (1.0 - v)
    np.testing.assert_allclose(q, np.clip(curve, -most, most), atol=1e-6)
    assert (np.diff(np.abs(v - 1.0).sum(axis=1)) < 0.0).all()
    assert (q[0] == 0.0).all()


@pytest.mark.slow
def test_the_best_slope_is_that_of_a_scan() -> None:
    """Row 67: one slope for both inverters, held over two moments: all 21 by the power flow alone, solved by
    iteration of the curve.
    """
    feeder = cases.load("case33bw")
    units = [Inverter("a", "18", 0.5, 0.55, 0.242), Inverter("b", "33", 0.5, 0.55, 0.242)]
    study = CurveStudy(feeder, units, v_band=(0.9, 1.1))
    moments = [study.nominal(1.0, 0.2), study.nominal(0.5, 1.0)]
    net, rows = physics.compile(feeder), [feeder.node_index["18"], feeder.node_index["33"]]
    loss = np.zeros(21)
    for k in range(21):
        for moment in moments:
            q, most = np.zeros(2), study.inverters.capability_mvar(np.full(2, moment.sun))
            for _ in range(400):
                inject = np.zeros((2, net.n_bus))
                inject[0, rows], inject[1, rows] = 0.5 * moment.sun, q
                given: dict[str, Any] = {**moment.loads, "p_inject_mw": inject[0], "q_inject_mvar": inject[1]}
                sol = physics.solve(net, **given)
                wanted = np.clip(STEEPEST * k / 20 * 0.55 * (1.0 - sol.v_pu[rows]), -most, most)
                q = q + 0.2 * (wanted - q)
            loss[k] += float(sol.p_loss_mw)
    judged = study.judge(moments)(np.arange(21)[:, None])[1]
    np.testing.assert_allclose(judged, loss, atol=1e-7)
    found = best_held(study, moments)
    assert found.objective <= loss.min() + 1e-7
    assert found.status in ("optimal", "best known")


@pytest.mark.slow
def test_a_plan_of_curves_is_played_as_power_flows(tmp_path: Path) -> None:
    """Row 67, 68, 70: slopes in the table; losses fall in the band; capacity with the plan is no less."""
    (tmp_path / "banks.csv").write_text(BANKS)
    with pytest.raises(SystemExit) as left:
        main([
            "adms", "vvo-plan", "case33bw", "--load-levels", "0.3,0.9", "--pv-levels", "0,1", "--moments",
            "3", "--days", DAY, "--starts", "1", "--inverter-settings", "curve", "--banks",
            str(tmp_path / "banks.csv"), "--hosting", "--out", str(tmp_path / "plan"),
        ])  # fmt: skip
    assert not left.value.code
    found = {p.stem: pq.read_table(p).to_pylist() for p in (tmp_path / "plan").glob("*.parquet")}
    curves = [row for row in found["vvo_settings"] if row["kind"] == "inverter curve"]
    slopes = np.array([row["setting"] for row in curves])
    assert slopes.min() >= 0.0
    assert 0.0 < slopes.max() <= STEEPEST
    assert all(row["q_mvar"] is None for row in curves)
    total = {row["strategy"]: row for row in found["vvo_performance"] if row["day"] is None}
    assert total["vvo-plan"]["loss_mwh"] < total["do-nothing"]["loss_mwh"]
    assert total["vvo-plan"]["intervals_outside"] == 0
    assert all(row["with_plan_mw"] >= row["as_stored_mw"] for row in found["vvo_hosting"])


def test_other_settings_of_inverters_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input: what there is."""
    with pytest.raises(SystemExit) as left:
        main([
            "adms", "vvo-plan", "case33bw", "--inverter-settings", "curves", "--out", str(tmp_path / "no"),
        ])  # fmt: skip
    assert left.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "--inverter-settings: setting 'curves'" in told
    assert "curve" in told
