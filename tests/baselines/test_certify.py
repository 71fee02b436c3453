"""Certificates: the verb, the shipped tables, the scores on their scale."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import baselines, cli
from distgrid.baselines.certify.best_known import certificate
from distgrid.baselines.certify.session import CertifySession
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.bracket import bracket, played
from distgrid.baselines.policy import scenario_of
from distgrid.baselines.scoring.certificates import certificates, shipped

ID = "VoltVar-33bw-v1"
#: Tasks on balanced feeders whose days all have a bound.
PROVED = (
    ID, "VoltVar-118zh-v0", "VoltVar-141-v1", "DERDispatch-33bw-v0", "DERDispatch-118zh-v0",
    "DERDispatch-141-v0", "DERDispatch-33bw-hourly-v0", "VoltVar-33bw-v0", "VoltVar-141-v0",
    "DistGrid-33bw-v0", "DistGrid-118zh-v0", "DistGrid-141-v0", "DistGrid-533mt_hi-v0",
    "DERDispatch-33bw-week-v0", "VoltVar-33bw-week-v1",
    "PeakShaving-33bw-v0", "PeakShaving-141-v0", "SetpointTracking-33bw-v0", "EVCharging-33bw-v0",
)  # fmt: skip


def certify(out: Path, *more: str) -> int:
    """Exit status of the command."""
    with pytest.raises(SystemExit) as left:
        cli.main(["certify", ID, "--days", "2", "--out", str(out), "--no-progress", *more])
    code = left.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.slow
def test_the_verb_writes_brackets_and_goes_on_to_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Capability 77: a folder that lost a finished day ends with the bytes that it had."""
    out = tmp_path / "one"
    assert certify(out) == 0
    assert "within 1% of what there is to gain on 100% of 2 days" in capsys.readouterr().out
    table = pq.read_table(out / "certificates.parquet")
    for row in table.to_pylist():
        assert row["do_nothing"] < row["best_rule_return"] < row["best_known"] <= row["bound"] + 1e-6
        assert row["gap"] < 0.01
    plans = pq.read_table(out / "plans.parquet")
    assert np.abs(plans["action"].to_numpy()).max() <= 1.0
    before = {p.name: p.read_bytes() for p in out.glob("*.parquet")}
    assert (out / "certify.png").read_bytes()[:4] == b"\x89PNG"
    again = tmp_path / "two"
    assert certify(again, "--engine", "processes") == 0
    assert {p.name: p.read_bytes() for p in again.glob("*.parquet")} == before


def test_an_unknown_environment_is_an_error_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, one message, no folder."""
    with pytest.raises(SystemExit) as left:
        cli.main(["certify", "VoltVar-33bw-v9", "--out", str(tmp_path / "out"), "--no-progress"])
    assert left.value.code == 2
    assert "VoltVar-33bw" in capsys.readouterr().err
    assert not (tmp_path / "out" / "certificates.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("env", ["VoltVar3-ieee13-discrete-v1", "HostingCapacity-33bw-v0"])
def test_without_a_relaxation_there_is_a_best_known_and_no_bound(
    env: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three phases, discrete actions, applications that are drawn: the plan plays to what the table says."""
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as left:
        cli.main(
            ["certify", env, "--days", "1", "--search", "6000", "--out", str(out), "--no-progress"]
        )  # fmt: skip
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "no bound is proved" in said
    assert "optimal" not in said
    row = pq.read_table(out / "certificates.parquet").to_pylist()[0]
    assert row["bound"] is None
    assert row["gap"] is None
    assert row["do_nothing"] < row["best_rule_return"] < row["best_known"]
    made = gymnasium.make(f"distgrid/{env}", split="test", disable_env_checker=True)
    n = len(scenario_of(made).action_layout)
    actions = pq.read_table(out / "plans.parquet")["action"].to_numpy().reshape(-1, n)
    seed = 0 if row["seed"] is None else row["seed"]
    assert played(made, actions, row["day"], seed) == pytest.approx(row["best_known"], abs=1e-9)
    assert json.loads((out / "run.json").read_text())["parameters"]["search"] == 6_000


@pytest.mark.slow
def test_days_per_phase_are_planned_on_their_power_flow() -> None:
    """Better than every rule, and than the reference of the audit's page, -5.486; nothing is proved."""
    session = CertifySession("VoltVar3-ieee13-v1", "test", 0, search_steps=0)
    found = certificate(session, 264)
    session.close()
    assert found.found_by == "plan per phase"
    assert found.best_rule_return is not None
    assert found.best_known > max(found.best_rule_return, -5.486)
    assert found.bound is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [ID, "PeakShaving-33bw-v0"])
def test_shipped_certificates_are_those_of_the_environment_as_it_is(name: str) -> None:
    """Days recomputed: what was shipped belongs to this code and these data."""
    assert name in shipped()
    table = certificates(name)
    assert set(json.loads(table.schema.metadata[b"inputs"])) >= {"environment", "feeder case33bw", "profiles"}
    env = gymnasium.make(f"distgrid/{name}", split="test", disable_env_checker=True)
    rows = table.to_pylist()
    assert len(rows) == 49
    for row in (rows[2], rows[-1]):
        found = bracket(env, row["day"])
        assert found.do_nothing == pytest.approx(row["do_nothing"], abs=1e-9)
        gain = row["best_known"] - row["do_nothing"]
        assert found.best_known == pytest.approx(row["best_known"], abs=1e-3 * gain)
        assert found.bound == pytest.approx(row["bound"], abs=1e-3 * gain)


@pytest.mark.parametrize("name", PROVED)
def test_bound_and_value_are_close_on_nine_tenths_of_the_days(name: str) -> None:
    """Within 1 % of what there is to gain."""
    gap = certificates(name)["gap"].to_numpy()
    assert (gap <= 0.01).mean() >= 0.9
    assert (gap >= -1e-9).all()


def test_overvoltage_beyond_control_leaves_brackets_narrow() -> None:
    """Inverters that control themselves pass the band: what that costs is in the bound, to a few per cent.

    With V + 1.05 at the most that the relaxation allows, 2.55, these brackets were 11 % and 129 %.
    """
    rows = {row["day"]: row for row in certificates("EVCharging-33bw-v0").to_pylist()}
    assert rows[161]["gap"] < 0.01
    assert rows[204]["gap"] < 0.03


@pytest.mark.parametrize("name", shipped())
def test_no_shipped_value_is_above_its_bound_or_below_a_rule(name: str) -> None:
    """Whoever found it: rules and rest are reached, too; a gap is there where a bound is."""
    for row in certificates(name).to_pylist():
        assert row["best_known"] >= row["do_nothing"]
        assert row["best_rule_return"] is None or row["best_known"] >= row["best_rule_return"]
        assert (row["bound"] is None) == (row["gap"] is None)
        assert row["bound"] is None or row["best_known"] <= row["bound"] + 1e-6 * abs(row["bound"])


def test_the_page_has_what_is_shipped() -> None:
    """Every table with its means; bounds where they are proved."""
    page = (Path(baselines.__file__).parents[1] / "docs" / "certificates.md").read_text()
    for name in shipped():
        table = certificates(name)
        line = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        best = float(np.mean(table["best_known"].to_numpy()))
        written = float(cells[3].replace("−", "-").replace(",", ""))
        assert written == pytest.approx(best, abs=0.0051 if abs(best) >= 0.1 else 0.05 * abs(best))
        assert (cells[4] == "–") == (table["bound"].null_count == table.num_rows)


@pytest.mark.parametrize(
    "name", ["VoltVar3-ieee123-v1", "HostingCapacity-141-v0", "SetpointTracking-ieee123-v0"]
)
def test_doing_nothing_brings_what_shipped_certificates_say(name: str) -> None:
    """Recomputed on the environment as it is, with the seed of the certificate."""
    env = gymnasium.make(f"distgrid/{name}", split="test", disable_env_checker=True)
    scenario = scenario_of(env)
    rest = np.repeat(scenario.neutral_action[None].astype(float), scenario.episode_steps, axis=0)
    for row in certificates(name).to_pylist()[::20]:
        found = played(env, rest, row["day"], 0 if row["seed"] is None else row["seed"])
        assert found == pytest.approx(row["do_nothing"], rel=1e-12)


def test_scores_are_0_at_rest_and_1_at_the_best_known() -> None:
    """And in between, in proportion."""
    row = certificates(ID).to_pylist()[0]
    rest, best, day = row["do_nothing"], row["best_known"], row["day"]
    assert baselines.normalised_score(ID, day, rest) == 0.0
    assert baselines.normalised_score(f"distgrid/{ID}", day, best) == 1.0
    assert baselines.normalised_score(ID, day, 0.5 * (rest + best)) == pytest.approx(0.5)


def test_scores_without_a_certificate_are_refused() -> None:
    """Another environment, a day of another split."""
    with pytest.raises(RunError, match="environment with certificates 'VoltVar-33bw-v9'"):
        baselines.normalised_score("distgrid/VoltVar-33bw-v9", 15, -20.0)
    with pytest.raises(RunError, match="day 0 is no day of the split 'test'"):
        baselines.normalised_score(ID, 0, -20.0)
