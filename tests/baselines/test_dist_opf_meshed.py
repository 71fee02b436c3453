"""`distgrid dist opf` on meshed balanced feeders: as IPOPT, and nothing is claimed as proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import cases, physics

from .ipopt import optimum
from .opf_folder import HEADER, METRIC, WIDE, Folder


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def meshed(folder: Folder) -> cases.Feeder:
    """33bw with all five ties closed, in a folder of its own."""
    feeder = cases.load("case33bw")
    for tie in feeder.column("switches", "switch_id"):
        feeder = feeder.with_switch(str(tie), closed=True)
    feeder.save(folder.path / "meshed")
    return feeder


@pytest.mark.parametrize("objective", ["loss", "vvo"])
def test_a_meshed_feeder_is_dispatched_as_ipopt_does_and_nothing_is_proved(
    folder: Folder, objective: str
) -> None:
    """Row 20, 77: loops carry current; no relaxation covers them, so the plan is the best known."""
    boxes = {"18": (0.0, 0.6, -0.5, 0.5), "25": (0.0, 0.9, -0.3, 0.3), "33": (-0.2, 1.5, 0.0, 0.5)}
    feeder = meshed(folder)
    lines = "".join(f"u{bus},{bus},{','.join(map(str, box))}\n" for bus, box in boxes.items())
    limits = folder.file("limits.csv", f"{HEADER}\n{lines}")
    told = folder.opf("--objective", objective, "--limits", limits, *WIDE, feeder=str(folder.path / "meshed"))
    assert told[0] == 0, told
    kind = {"loss": "loss", "vvo": "voltage"}[objective]
    exact = optimum(feeder, list(boxes), list(boxes.values()), kind, (0.9, 1.1))
    assert exact.solved
    row = folder.summary()
    assert (row["status"], row["bound"], row["gap"]) == ("best known", None, None)
    assert row["objective"] == pytest.approx(exact.value, rel=1e-5)
    assert row["objective"] == row[METRIC[objective]]
    assert row["n_violations"] == 0
    ties = set(feeder.column("switches", "branch_id"))
    carried = [r["p_from_mw"] for r in folder.rows("dist_opf_branches") if r["branch_id"] in ties]
    assert len(carried) == 5
    assert np.abs(carried).min() > 0.0


def test_a_meshed_feeder_is_refused_where_only_a_radial_one_will_do(folder: Folder) -> None:
    """Bad input: banks are set by branch and bound on the relaxation; what to open is told."""
    meshed(folder)
    code, _, told = folder.opf("--taps", "all", feeder=str(folder.path / "meshed"))
    assert code == 2
    assert "--taps: feeder 'case33bw' has none" in told
    path = folder.path / "banks"
    cases.load("case33bw").with_switch("s9-15", closed=True).with_new_capacitor("30", 0.6).save(path)
    code, _, told = folder.opf("--banks", "all", feeder=str(path))
    assert code == 2
    assert "is meshed" in told
    assert "open one branch of each loop" in told


def test_a_meshed_feeder_per_phase_is_dispatched_around_its_loop(folder: Folder) -> None:
    """Row 20: a tie of IEEE 123 closed; no unit can go where less is lost, with the loop closed."""
    feeder = cases.load("ieee123").with_switch("sw7", closed=True)
    feeder.save(folder.path / "meshed")
    boxes = {"83": (0.0, 0.4, -0.2, 0.2), "151": (0.0, 0.4, -0.2, 0.2), "48": (0.0, 0.3, -0.1, 0.1)}
    lines = "".join(f"u{bus},{bus},{','.join(map(str, box))}\n" for bus, box in boxes.items())
    limits = folder.file("limits.csv", f"{HEADER}\n{lines}")
    told = folder.opf("--objective", "loss", "--limits", limits, *WIDE, feeder=str(folder.path / "meshed"))
    assert told[0] == 0, told
    row = folder.summary()
    assert (row["status"], row["n_violations"]) == ("best known", 0)
    net = physics.compile_per_phase(feeder, keep_loops=True)
    plan = {r["asset_id"]: np.array([r["p_mw"], r["q_mvar"]]) for r in folder.rows()}
    assert len(plan) == 3

    def losses(moved: dict[str, np.ndarray]) -> float:
        given = np.zeros((2, net.n_bus, 3))
        for bus in boxes:
            given[:, feeder.node_index[bus]] = moved[f"u{bus}"][:, None] / 3.0
        return float(physics.solve(net, p_inject_mw=given[0], q_inject_mvar=given[1], tol=1e-11).p_loss_mw)

    least = losses(plan)
    assert row["objective"] == pytest.approx(least, rel=1e-6)
    for name, (p_min, p_max, q_min, q_max) in zip(plan, boxes.values(), strict=True):
        for step in np.array([[1e-2, 0.0], [-1e-2, 0.0], [0.0, 1e-2], [0.0, -1e-2]]):
            to = plan[name] + step
            if p_min <= to[0] <= p_max and q_min <= to[1] <= q_max:
                assert losses(plan | {name: to}) > least
