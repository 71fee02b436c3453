"""Time series of SimBench's nets: what pandapower solves at a step is what the series have there."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from typer.testing import CliRunner

from distgrid import cases, physics
from distgrid.baselines.cli.case import app
from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.baselines.workflows.importing.series import series_of, write_series
from distgrid.baselines.workflows.importing.verification import verify
from distgrid.cases import CaseError
from distgrid.cases.importers.pandapower.importer import read_memory
from distgrid.cases.importers.quiet import quiet

from .pandapower_nets import SMALL


def with_profiles(n_steps: int = 96) -> Any:
    """A net with loads, a generator and storage whose elements name columns of tables beside it."""
    net = SMALL["taps"]()
    pp.create_sgen(net, 2, 0.3, 0.05, scaling=0.5)
    pp.create_sgen(net, 3, 0.1, 0.0)
    net.load["profile"] = ["H0-A", "G1-B", None, "H0-A", "G1-B"]
    net.sgen["profile"] = ["PV1", None]
    rng = np.random.default_rng(5)
    first = datetime.datetime(2016, 6, 30)
    times = [f"{first + k * datetime.timedelta(minutes=15):%d.%m.%Y %H:%M}" for k in range(n_steps)]
    names = [f"{name}_{part}load" for name in ("H0-A", "G1-B") for part in "pq"]
    load = pd.DataFrame({"time": times} | {name: rng.uniform(0.1, 1.0, n_steps) for name in names})
    renewables = pd.DataFrame({"time": times, "PV1": rng.uniform(0.0, 1.0, n_steps)})
    net["profiles"] = {"load": load, "renewables": renewables}
    return net


def at_step(net: Any, step: int) -> Any:
    """The net with every element at its profile's share of one step."""
    tables = net.profiles
    for row, name in net.load.profile.items():
        if isinstance(name, str):
            net.load.loc[row, "p_mw"] *= tables["load"][f"{name}_pload"][step]
            net.load.loc[row, "q_mvar"] *= tables["load"][f"{name}_qload"][step]
    for row, name in net.sgen.profile.items():
        if isinstance(name, str):
            net.sgen.loc[row, "p_mw"] *= tables["renewables"][name][step]
    return net


def same_at(net: Any, step: int) -> None:
    """Voltages of the feeder with its series' row are those of `runpp` at that step."""
    reading = read_memory(net, "net")
    assert reading.profiles is not None
    series = series_of(reading.feeder, reading.profiles())
    q_mvar = series.reactive_mvar
    assert q_mvar is not None
    ours = physics.solve(
        physics.compile(reading.feeder, keep_loops=True), series.active_mw[step], q_mvar[step]
    )
    with quiet():
        pp.runpp(at_step(net, step), numba=False, trafo_model="t", calculate_voltage_angles=True)
        theirs = net.res_bus.vm_pu.dropna()
    names = net.bus.name if net.bus.name.is_unique and net.bus.name.notna().all() else None
    at = [reading.feeder.node_index[f"bus{k}" if names is None else str(names[k])] for k in theirs.index]
    np.testing.assert_allclose(np.abs(ours.v)[at], theirs, atol=1e-7)


def test_a_step_of_the_series_is_that_of_the_net() -> None:
    """Row 6: loads and generators at their shares, what has no profile as it stands."""
    same_at(with_profiles(), 37)


def test_series_are_written_for_commands_and_environments(tmp_path: Path) -> None:
    """Row 51: `--profiles` writes the table that environments read, in local standard time."""
    net = with_profiles()
    path, out = tmp_path / "net.json", tmp_path / "out"
    pp.to_json(net, str(path))
    done = CliRunner().invoke(app, ["import", str(path), "-o", str(out), "--profiles"])
    assert done.exit_code == 0, done.output
    assert "series written to" in done.output
    table = cases.assets.read_loads(tmp_path / "out.loads.parquet")
    assert table.calendar.start == datetime.datetime(2016, 6, 30)
    assert table.calendar.n_steps == 96
    feeder = cases.load(out)
    assert set(table.buses) == set(feeder.column("loads", "node_id"))
    reading = read_memory(net, "net")
    assert reading.profiles is not None
    series = series_of(feeder, reading.profiles())
    ours = dict(zip(feeder.column("nodes", "node_id"), series.active_mw.T, strict=True))
    for bus, p_mw in zip(table.buses, table.p_mw.T, strict=True):
        np.testing.assert_allclose(ours[bus], p_mw, atol=1e-15)
    part = feeder.filter(feeder.feeder_id)
    assert write_series(part, reading.profiles(), tmp_path / "part").is_file()


def _unknown(net: Any) -> None:
    net.load.loc[0, "profile"] = "H0-X"


def _gap(net: Any) -> None:
    net.profiles["load"].loc[5, "time"] = "01.07.2016 05:00"


def _no_time(net: Any) -> None:
    net.profiles["load"].loc[5, "time"] = "noon"


def _nan(net: Any) -> None:
    net.profiles["load"].loc[5, "H0-A_pload"] = np.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_unknown, r"load 0: profile = 'H0-X': expected a column of the profiles; did you mean H0-A"),
        (_gap, r"row 5: profiles load: time = 01.07.2016 05:00: expected 2016-06-30 01:15:00"),
        (_no_time, r"row 5: profiles load: time = 'noon': expected a time such as 01.01.2016"),
        (_nan, "profiles load = H0-A_pload: expected 96 finite numbers"),
    ],
)
def test_series_that_are_none_are_told(damage: Any, message: str) -> None:
    """Unknown names, gaps, texts, holes: one line; the feeder itself is read all the same."""
    net = with_profiles()
    damage(net)
    reading = read_memory(net, "net")
    assert reading.profiles is not None
    with pytest.raises(CaseError, match=message):
        reading.profiles()


def test_a_change_of_clocks_is_no_gap() -> None:
    """Row 51: SimBench's labels jump in spring while its rows go on."""
    net = with_profiles()
    jumped = [f"30.06.2016 {k // 4 + 1:02d}:{15 * (k % 4):02d}" for k in range(40, 80)]
    net.profiles["load"].loc[40:79, "time"] = jumped
    reading = read_memory(net, "net")
    assert reading.profiles is not None
    assert reading.profiles().dt_h == 0.25
    assert reading.profiles().start == "2016-06-30T00:00:00"


def test_a_source_without_series_says_so(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    pp.to_json(SMALL["ring"](), str(path))
    with pytest.raises(RunError, match="the source has no time series; leave out --profiles"):
        import_feeder(path, verified=False).series()


@pytest.mark.slow
@pytest.mark.parametrize("code", ["1-LV-rural1--0-no_sw", "1-LV-urban6--1-sw", "1-MV-rural--0-sw"])
def test_nets_of_simbench_verify_with_their_series(code: str) -> None:
    """Rows 5-9 and 51: LV and MV nets, every bus, and one quarter of an hour of the year."""
    simbench = pytest.importorskip("simbench", reason="SimBench's nets are in its own package (oracle)")
    with quiet():
        net = simbench.get_simbench_net(code)
    found = verify(read_memory(net, code))
    assert found.largest_pu < 1e-8
    assert found.compared >= net.bus.in_service.sum()
    same_at(net, 18_000)
