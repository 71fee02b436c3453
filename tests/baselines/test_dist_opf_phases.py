"""`distgrid dist opf` on per-phase feeders: limits of every phase after a replay, nothing proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.workflows.dist.opf_tables import SCHEMAS
from distgrid.cli import main

HEADER = "asset_id,bus_id,phase,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar,s_mva\n"
ASSETS = {
    "ieee13": "a,675,ABC,0,0.6,-0.4,0.4,0.7\nb,611,C,0,0.2,-0.2,0.2,\nc,652,,0,0.1,-0.1,0.1,\n",
    "ieee123": "a,83,ABC,0,0.6,-0.4,0.4,0.7\nb,66,C,0,0.2,-0.2,0.2,\nc,114,,0,0.1,-0.1,0.1,\n",
}
BANDS = {"ieee13": (0.97, 1.065), "ieee123": (0.95, 1.045)}


def opf(feeder: str, folder: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and setpoints."""
    limits = folder / "limits.csv"
    limits.write_text(HEADER + ASSETS[feeder])
    with pytest.raises(SystemExit) as left:
        main(["dist", "opf", feeder, "--limits", str(limits), *options, "--out", str(folder / "run")])
    rows: list[dict[str, Any]] = pq.read_table(folder / "run" / "dist_opf.parquet").to_pylist()
    return int(left.value.code or 0), rows


@pytest.mark.slow
@pytest.mark.parametrize("feeder", ASSETS)
def test_every_phase_keeps_its_limits_after_a_replay(feeder: str, tmp_path: Path) -> None:
    """Row 28: a power flow here, of the setpoints in the table; the status says that nothing is proved."""
    low, high = BANDS[feeder]
    code, rows = opf(feeder, tmp_path, "--band", f"[{low},{high}]", "--no-thermal")
    assert code == 0
    net = physics.compile_per_phase(cases.load(feeder))
    p, q = np.zeros((2, net.n_bus, 3))
    for row in rows:
        node = net.feeder.node_index[row["bus_id"]]
        places = [k for k in range(3) if net.present[node, k] and "ABC"[k] in (row["phase"] or "ABC")]
        p[node, places] += row["p_mw"] / len(places)
        q[node, places] += row["q_mvar"] / len(places)
        assert np.hypot(row["p_mw"], row["q_mvar"]) <= (row["s_mva"] or np.inf) + 1e-6
    sol = physics.solve(net, p_inject_mw=p, q_inject_mvar=q, tol=1e-11)
    judged = net.present & net.energised
    judged[[source.node for source in net.sources]] = False
    assert sol.v_pu[judged].min() >= low - 1e-6
    assert sol.v_pu[judged].max() <= high + 1e-6
    tables = {name: pq.read_table(tmp_path / "run" / f"{name}.parquet") for name in SCHEMAS}
    assert all(tables[name].schema.equals(schema) for name, schema in SCHEMAS.items())
    (summary,) = tables["dist_opf_summary"].to_pylist()
    assert (summary["status"], summary["bound"], summary["gap"]) == ("best known", None, None)
    assert summary["p_loss_mw"] == pytest.approx(float(sol.p_loss_mw), abs=1e-9)
    assert summary["p_loss_mw"] <= float(physics.solve(net).p_loss_mw)
    buses = {(row["node_id"], row["phase"]): row["v_pu"] for row in tables["dist_opf_buses"].to_pylist()}
    ids = net.feeder.column("nodes", "node_id")
    for node, phase in np.argwhere(net.present):
        assert buses[ids[node], "ABC"[phase]] == pytest.approx(sol.v_pu[node, phase], abs=1e-9, nan_ok=True)
    lost = [row["p_loss_mw"] for row in tables["dist_opf_branches"].to_pylist()]
    assert np.nansum(np.array(lost, dtype=float)) == pytest.approx(float(sol.p_loss_mw), abs=1e-8)


def test_limits_that_bind_have_multipliers_and_broken_ones_say_by_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 26, 28: duals of a plan that keeps its limits; limit, bus, phase and amount where none does."""
    code, rows = opf("ieee13", tmp_path, "--band", "[0.97,1.065]", "--no-thermal")
    assert code == 0
    binding = pq.read_table(tmp_path / "run" / "dist_opf_binding.parquet").to_pylist()
    assert binding
    assert all(row["role"] == "binding" and row["dual"] > 0.0 for row in binding)
    assert {row["asset_id"] for row in rows if row["binding"]} <= {row["element"] for row in binding}
    (tmp_path / "tight").mkdir()
    code, _ = opf("ieee13", tmp_path / "tight", "--band", "[0.99,1.01]", "--no-thermal")
    assert code == 3
    told = " ".join(capsys.readouterr().err.split())
    broken = pq.read_table(tmp_path / "tight" / "run" / "dist_opf_binding.parquet").to_pylist()
    assert {row["role"] for row in broken} == {"conflict"}
    first = max(broken, key=lambda row: row["excess"])
    assert first["element"].rpartition(".")[2] in "ABC"
    assert f"{first['kind']} at {first['element']} by {first['excess']:.4g} pu" in told


def test_phases_that_a_bus_does_not_have_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input: file, line, field and the letters that there are."""
    limits = tmp_path / "limits.csv"
    for text, message in (
        ("a,611,A,0,0.1,0,0,\n", "limits.csv:2: phase = A: expected letters among C"),
        ("a,675,AA,0,0.1,0,0,\n", "limits.csv:2: phase = AA: expected letters among ABC"),
    ):
        limits.write_text(HEADER + text)
        with pytest.raises(SystemExit) as left:
            main(["dist", "opf", "ieee13", "--limits", str(limits), "--out", str(tmp_path / "none")])
        assert left.value.code == 2
        assert message in capsys.readouterr().err.replace("\n", "")
