"""`distgrid dist opf` with taps, banks and switches: optima of all settings, tables, replays, wrong names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.optimal.switched import best_settings
from distgrid.baselines.workflows.dist.opf_settings import with_settings
from distgrid.cases import Feeder
from distgrid.cli import main
from distgrid.envs import CapacitorBank, TapChanger

WIDE = ["--voltage-band", "[0.9,1.05]", "--no-thermal"]
SWITCHES = "7-8,9-10,14-15,s21-8,s9-15,s12-22"


def opf(feeder: str, out: Path, *options: str) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """Exit code, summary and settings."""
    with pytest.raises(SystemExit) as left:
        main(["dist", "opf", feeder, *options, "--out", str(out)])
    found = [pq.read_table(out / f"dist_opf_{name}.parquet").to_pylist() for name in ("summary", "settings")]
    return int(left.value.code or 0), found[0][0], found[1]


def regulated() -> Feeder:
    """33bw with a tap changer and two banks."""
    feeder = cases.load("case33bw")
    for device in (
        TapChanger(branch="6-26", tap_min=-2, tap_max=5),
        CapacitorBank(bus="30", q_mvar=1.2), CapacitorBank(bus="12", q_mvar=0.6, on=True),
    ):  # fmt: skip
        feeder = device.equip(feeder)
    return feeder


def test_switches_are_set_and_the_plan_is_that_of_the_feeder_so_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 9, 26, 27: three sectionalisers and three ties; the table of settings makes the replay."""
    code, summary, settings = opf("case33bw", tmp_path / "out", "--switches", SWITCHES, *WIDE)
    assert code == 0
    assert "Settings that change" in capsys.readouterr().out
    assert (summary["status"], summary["objective_name"]) == ("optimal", "loss")
    assert summary["bound"] <= summary["objective"]
    assert {row["device_id"] for row in settings if row["changed"] and not row["state"]} == {
        "7-8",
        "9-10",
        "14-15",
    }
    feeder = with_settings(cases.load("case33bw"), settings)
    assert feeder.topology().is_radial
    sol = physics.solve(physics.compile(feeder))
    assert summary["objective"] == pytest.approx(float(sol.p_loss_mw), abs=1e-9)
    assert 1e3 * summary["objective"] == pytest.approx(142.1654, abs=1e-4)
    volts = [row["v_pu"] for row in pq.read_table(tmp_path / "out" / "dist_opf_buses.parquet").to_pylist()]
    assert volts == pytest.approx(sol.v_pu.tolist(), abs=1e-9)
    assert (tmp_path / "out" / "dist_opf.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_taps_and_banks_and_then_switches(tmp_path: Path) -> None:
    """Row 27: the optimum of all combinations; switches make it better, and nothing bounds all together."""
    feeder = regulated()
    folder = str(feeder.save(tmp_path / "feeder"))
    buses = [str(name) for name in feeder.column("nodes", "node_id")[1:]]
    every = best_settings(physics.compile(feeder), v_band=(0.9, 1.05), buses=buses)
    some = ["--taps", "tap_6-26", "--banks", "all"]
    code, summary, settings = opf(folder, tmp_path / "out", *some, *WIDE)
    assert (code, summary["status"]) == (0, "optimal")
    assert summary["objective"] == pytest.approx(every.p_loss_mw, abs=1e-9)
    assert [row["state"] for row in settings] == [*every.tap_pos.tolist(), *every.cap_on.tolist()]
    code, both, settings = opf(folder, tmp_path / "all", *some, "--switches", "s12-22,9-10,10-11", *WIDE)
    assert (code, both["status"], both["bound"]) == (0, "best known", None)
    assert both["objective"] < summary["objective"]
    sol = physics.solve(physics.compile(with_settings(feeder, settings)))
    assert both["objective"] == pytest.approx(float(sol.p_loss_mw), abs=1e-9)
    held, _, _ = opf(folder, tmp_path / "held", "--banks", "bank_12", *WIDE)
    assert held == 0
    assert pq.read_table(tmp_path / "held" / "dist_opf_settings.parquet")["device_id"].to_pylist() == [
        "bank_12"
    ]


@pytest.mark.slow
def test_ieee13_has_its_exhaustive_optimum(tmp_path: Path) -> None:
    """Row 27, 28: 105.9578 kW at taps 15, 7, 16 with both banks on, the band at buses with loads."""
    code, summary, settings = opf(
        "ieee13", tmp_path / "out", "--taps", "all", "--banks", "all", "--band", "[0.95,1.05]", "--band-at",
        "loads", "--no-thermal",
    )  # fmt: skip
    assert (code, summary["status"]) == (0, "optimal")
    assert 1e3 * summary["p_loss_mw"] == pytest.approx(105.9578, abs=6e-4)
    assert [row["state"] for row in settings] == [15, 7, 16, 1, 1]


def test_units_and_taps_of_a_phase_feeder_take_turns(tmp_path: Path) -> None:
    """Row 28: never worse than with the taps as they are stored, and never called optimal."""
    limits = tmp_path / "limits.csv"
    limits.write_text(
        "asset_id,bus_id,phase,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar\na,675,ABC,0,0.3,-0.2,0.2\n"
    )
    options = ["--limits", str(limits), "--band", "[0.95,1.1]", "--no-thermal"]
    _, stored, none = opf("ieee13", tmp_path / "stored", *options)
    code, summary, settings = opf("ieee13", tmp_path / "out", *options, "--taps", "reg1,reg3")
    assert none == []
    assert [row["device_id"] for row in settings] == ["reg1", "reg3"]
    assert (code, summary["status"], summary["bound"]) == (0, "best known", None)
    assert summary["objective"] < stored["objective"]


@pytest.mark.parametrize(
    ("feeder", "options", "said"),
    [
        ("ieee13", ["--taps", "reg9"], "--taps: reg_id 'reg9'"),
        ("ieee13", ["--banks", "cap9"], "--banks: cap_id 'cap9'"),
        ("case33bw", ["--switches", "s99"], "--switches: switch or branch 's99'"),
        ("case33bw", ["--taps", "all"], "--taps: feeder 'case33bw' has none in its table of regulators"),
        ("case69", ["--switches", "all"], "--switches: feeder 'case69' has no switches"),
        ("case33bw", ["--switches", "7-8,s21-8", "--objective", "host"], "--switches is for the objectives"),
        ("case33bw", ["--switches", "1-2,s21-8"], "leaves one radial topology alone"),
        ("case33bw", ["--switches", "branches", "--band-at", "nodes"], "--band-at 'nodes'"),
        ("case33bw", [], "nothing to dispatch: --limits or --ders must name at least one asset, or --taps"),
    ],
)
def test_what_cannot_be_set_is_one_message(
    feeder: str, options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input: unknown names, none of a kind, an objective that switches do not serve."""
    with pytest.raises(SystemExit) as left:
        main(["dist", "opf", feeder, *options, "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_settings_that_keep_no_limits_end_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input: a band that no topology keeps; the summary says so."""
    options = ["--switches", "7-8,s21-8", "--band", "[0.99,1.05]", "--no-thermal"]
    code, summary, _ = opf("case33bw", tmp_path / "out", *options)
    assert (code, summary["status"]) == (3, "infeasible")
    assert "no radial topology keeps the limits" in " ".join(capsys.readouterr().err.split())
