"""`distgrid dist featurize`: tables and PyTorch Geometric's JSON say what feeder and power flow are."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.baselines.workflows.dist.featurize import checked_graph
from distgrid.cases.profiles import load_profiles, split_days
from distgrid.cli import main


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `distgrid dist featurize ...`."""
    with pytest.raises(SystemExit) as left:
        main(["dist", "featurize", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def read(folder: Path) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    tables = {
        name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("graphs", "nodes", "edges")
    }
    return tables, json.loads((folder / "pyg.json").read_text())


@pytest.mark.parametrize("case", ["case33bw", "ieee13"])
def test_counts_and_values_are_those_of_feeder_and_power_flow(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Capability 88: node and edge counts and values right; every branch is an edge in both directions."""
    assert command([case, "--out", str(tmp_path / "run")], capsys)[0] == 0
    tables, document = read(tmp_path / "run")
    feeder = cases.load(case)
    closed = [b for b in feeder.branches.to_pylist() if b["status"]]
    assert len(tables["nodes"]) == feeder.n_nodes
    assert [e["branch_id"] for e in tables["edges"]] == [b["branch_id"] for b in closed]
    for edge, branch in zip(tables["edges"], closed, strict=True):
        assert tables["nodes"][edge["from"]]["node_id"] == branch["from_node"]
        assert tables["nodes"][edge["to"]]["node_id"] == branch["to_node"]
        assert edge["r_pu"] == branch["r"]
        assert edge["rating_mva"] == branch["thermal_limit_mva"]
    sol = physics.solve(physics.compile(feeder))
    loads = sum(row["p_mw"] for row in feeder.loads.to_pylist())
    per_phase = case == "ieee13"
    names = [f"p_load_{k}" for k in "abc"] if per_phase else ["p_load"]
    assert sum(row[name] for row in tables["nodes"] for name in names) == pytest.approx(loads)
    (graph,) = document["graphs"]
    checked_graph(graph, document)
    y = np.array(graph["y"], dtype=float)
    wanted = np.hstack([sol.v_pu, sol.v_deg]) if per_phase else np.column_stack([sol.v_pu, sol.v_deg])
    np.testing.assert_allclose(y, wanted, rtol=1e-7)
    links = np.array(graph["edge_index"])
    m = len(closed)
    assert links.shape == (2, 2 * m)
    np.testing.assert_array_equal(links[:, :m], links[::-1, m:])
    assert graph["edge_attr"][:m] == graph["edge_attr"][m:]
    assert tables["graphs"][0]["p_source_mw"] == pytest.approx(float(sol.p_slack_mw))
    if not per_phase:
        at_load = tables["graphs"][0]["p_load_mw"] + tables["graphs"][0]["p_loss_mw"]
        assert at_load == pytest.approx(float(sol.p_slack_mw), abs=1e-6)


def test_a_graph_for_every_step_of_a_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps have their own loads and voltages; pieces make the tables of the whole."""
    day = int(split_days("test")[0])
    options = ["case33bw", "--split", "test", "--days", str(day), "--out", str(tmp_path / "run")]
    code, shown, _ = command(options, capsys)
    assert code == 0
    assert "96 graphs of case33bw: 3168 nodes, 3072 edges" in shown
    tables, document = read(tmp_path / "run")
    assert [row["step"] for row in tables["graphs"]] == list(range(96 * day, 96 * day + 96))
    year, feeder = load_profiles(), cases.load("case33bw")
    p, q = cases.profiles.assignment(feeder).node_series(feeder, year, np.array([96 * day + 40]))
    v = physics.solve(physics.compile(feeder), p, q).v_pu[0]
    np.testing.assert_allclose(np.array(document["graphs"][40]["y"])[:, 0], v, rtol=1e-12)
    mine = [row["p_load"] for row in tables["nodes"] if row["graph_id"] == 40]
    np.testing.assert_allclose(mine, p[0], rtol=1e-12)


def test_loads_as_data_of_pytorch_geometric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Capability 88: `Data` where PyTorch Geometric is installed, and by structure everywhere."""
    assert command(["case33bw", "--out", str(tmp_path / "run")], capsys)[0] == 0
    _, document = read(tmp_path / "run")
    (graph,) = document["graphs"]
    checked_graph(graph, document)
    if importlib.util.find_spec("torch_geometric"):
        torch, module = importlib.import_module("torch"), importlib.import_module("torch_geometric.data")
        fields = {name: torch.tensor(graph[name]) for name in ("x", "edge_index", "edge_attr", "y")}
        data = module.Data(**fields, num_nodes=graph["num_nodes"])
        assert data.validate()
        assert (data.num_nodes, data.num_edges) == (33, 64)
        assert data.num_node_features == len(document["x"])
    for spoiled, message in (
        ({"edge_index": [[0], [33]], "edge_attr": [graph["edge_attr"][0]]}, "edge_index"),
        ({"x": graph["x"][1:]}, "x must be"),
    ):
        with pytest.raises(ValueError, match=message):
            checked_graph({**graph, **spoiled}, document)


def test_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["case33bw", "--days", "3"], "without the split"),
        (["case33bw", "--split", "tst"], "test"),
        (["case33bw", "--load-scale", "nan"], "load scale"),
        (["case99"], "case99"),
    ):
        code, _, told = command([*arguments, "--out", str(tmp_path / "none")], capsys)
        assert code == 2
        assert message in told
    assert command(["case33bw", "--load-scale", "5", "--out", str(tmp_path / "much")], capsys)[0] == 3
