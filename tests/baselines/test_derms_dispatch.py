"""`distgrid derms dispatch`: a setpoint of the substation met by assets, at once and through aggregators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from distgrid.baselines.jobs.table_schemas import check_table
from distgrid.baselines.workflows.derms.dispatch_job import SCHEMAS
from distgrid.cli import main

pytest.importorskip("clarabel")


def dispatched(
    out: Path, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, list[dict[str, Any]]], str]:
    """Exit code, tables, stderr."""
    with pytest.raises(SystemExit) as left:
        main(["derms", "dispatch", "case33bw", *arguments, "--dt-h", "1", "--out", str(out)])
    error = capsys.readouterr().err
    found = {}
    for name, of in SCHEMAS.items():
        if (out / f"{name}.parquet").exists():
            table = pq.read_table(out / f"{name}.parquet")
            check_table(table, of, name)
            found[name] = table.to_pylist()
    return int(left.value.code or 0), found, error


@pytest.mark.quick(1)
@pytest.mark.parametrize("way", [[], ["--aggregators"]], ids=["direct", "aggregators"])
def test_the_head_follows_its_setpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], way: list[str]
) -> None:
    """Row 56, 80: within 1 % by the AC power flow; assets add up to their groups, inside what these offer."""
    code, found, _ = dispatched(tmp_path / "out", capsys, "--p-mw", "1.3", *way)
    assert code == 0
    (head,) = found["der_dispatch_head"]
    assert head["error_pct"] < 1.0
    assert head["n_violations"] == 0
    assert head["p_rest_mw"] > head["p_mw"] + 0.1
    for group in found["der_dispatch_groups"]:
        mine = [row for row in found["der_dispatch"] if row["agg_id"] == group["agg_id"]]
        assert group["p_mw"] == pytest.approx(sum(row["p_mw"] for row in mine), abs=1e-9)
        assert group["p_lowest_mw"] - 1e-6 <= group["p_mw"] <= group["p_highest_mw"] + 1e-6
        assert group["q_lowest_mvar"] - 1e-6 <= group["q_mvar"] <= group["q_highest_mvar"] + 1e-6
    for row in found["der_dispatch"]:
        assert row["p_min_mw"] - 1e-6 <= row["p_mw"] <= row["p_max_mw"] + 1e-6
    assert (tmp_path / "out" / "der_dispatch.png").stat().st_size > 0


def test_what_cannot_be_met_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3 with the nearest that there is; wrong hours and numbers exit 2."""
    code, found, error = dispatched(tmp_path / "far", capsys, "--p-mw", "-9")
    assert code == 3
    assert "cannot bring the head to -9 MW" in error
    assert found["der_dispatch_head"][0]["error_pct"] > 1.0
    for words, message in (
        (["--p-mw", "1", "--hour", "24"], "expected an hour from 0 to below 24"),
        (["--p-mw", "nan"], "expected finite numbers"),
        (["--p-mw", "1", "--day", "3"], "day 3 is not one of split 'test'"),
    ):
        code, _, error = dispatched(tmp_path / "wrong", capsys, *words)
        assert code == 2
        assert message in error
