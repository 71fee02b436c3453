"""The IEEE test feeders that are shipped, node by node against OpenDSS."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from distgrid import cases, physics
from distgrid.cases.model.feeder import Feeder

FIGURES = Path(__file__).parents[1] / "reference" / "opendss"
FEEDERS = ("ieee13", "ieee34", "ieee37", "ieee123", "european_lv")


def phase_to_phase(v: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """(n_bus, 3) voltages AB, BC, CA."""
    return np.asarray(v - np.roll(v, -1, axis=1))


def constant_power(feeder: Feeder) -> Feeder:
    """Every load at its rated power, whatever the voltage."""
    loads = feeder.loads.to_pylist()
    for load in loads:
        rated = load["v_rated_pu"] or 1.0
        for power, z, i, cvr in (
            ("p_mw", "p_z_frac", "p_i_frac", "cvr_p"),
            ("q_mvar", "q_z_frac", "q_i_frac", "cvr_q"),
        ):
            share = load[z] * rated**2 + load[i] * rated + 1.0 - load[z] - load[i]
            load[power] *= share if load[cvr] is None else rated ** load[cvr]
            load[z], load[i], load[cvr] = 0.0, 0.0, None
    table = pa.Table.from_pylist(loads, schema=feeder.loads.schema)
    sums = {name: np.zeros(feeder.n_nodes) for name in ("load_p_mw", "load_q_mvar")}
    for load in loads:
        row = feeder.node_index[load["node_id"]]
        sums["load_p_mw"][row] += load["p_mw"]
        sums["load_q_mvar"][row] += load["q_mvar"]
    nodes = feeder.nodes
    for name, values in sums.items():
        place = nodes.column_names.index(name)
        nodes = nodes.set_column(place, nodes.schema.field(name), pa.array(values))
    return dataclasses.replace(feeder, loads=table, nodes=nodes)


def solved(name: str, variant: str) -> tuple[Feeder, physics.Solution3, dict[str, Any]]:
    """Our solution of a variant, and OpenDSS's totals."""
    totals = json.loads((FIGURES / f"{name}.json").read_text())[variant]
    feeder = cases.load(name)
    if variant == "cp":
        feeder = constant_power(feeder)
    net = physics.compile_per_phase(feeder, voltage_bands=variant == "pub")
    units = feeder.column("regulators", "transformer_id")
    tap = np.ones(net.tap.size)
    for k, unit in enumerate(units):
        tap[k] += 0.00625 * totals["taps"].get(str(unit), 0)
    return feeder, physics.solve(net, tap=tap, tol=1e-10), totals


@pytest.mark.parametrize(("variant", "tolerance"), [("cp", 1e-6), ("std", 1e-5), ("pub", 1e-5)])
@pytest.mark.parametrize("name", ["ieee13", "ieee123"])
def test_figures_of_opendss(name: str, variant: str, tolerance: float) -> None:
    """Capabilities 8, 106: complex voltage of every node and phase, losses to 0.01 %."""
    feeder, sol, totals = solved(name, variant)
    assert sol.converged
    assert sol.p_loss_mw * 1e3 == pytest.approx(totals["loss_kw"], rel=1e-4)
    assert sol.q_loss_mvar * 1e3 == pytest.approx(totals["loss_kvar"], rel=1e-4)
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3)
    reference = np.full(sol.v.shape, np.nan + 0j)
    with (FIGURES / f"{name}_{variant}.csv").open() as file:
        for row in csv.DictReader(file):
            node = feeder.node_index.get(row["bus"])
            if node is not None:
                volts = complex(float(row["v_re_volt"]), float(row["v_im_volt"]))
                reference[node, int(row["phase"]) - 1] = volts / base[node]
    assert np.array_equal(np.isnan(reference), np.isnan(sol.v))
    floating = physics.compile_per_phase(feeder).topology.layout.floating.any(axis=1)
    assert np.nanmax(np.abs(sol.v - reference)[~floating]) < tolerance
    assert np.nanmax(np.abs(phase_to_phase(sol.v) - phase_to_phase(reference))) < tolerance


@pytest.mark.parametrize("bands", [False, True], ids=["models", "bands"])
@pytest.mark.parametrize("name", FEEDERS)
def test_tables_of_shipped_feeders(name: str, bands: bool) -> None:
    """Capabilities 6, 8, 106: each table row written for OpenDSS; also where a delta winding floats (IEEE
    37).
    """
    pytest.importorskip("dss", reason="the extra `oracle` brings OpenDSS")
    from . import dss_oracle

    feeder = cases.load(name)
    net = physics.compile_per_phase(feeder, voltage_bands=bands)
    sol = physics.solve(net, tol=1e-10)
    ref = dss_oracle.solve(feeder, bands=bands)
    assert sol.converged
    assert np.array_equal(np.isnan(sol.v), np.isnan(ref.v))
    assert np.nanmax(np.abs(sol.v - ref.v)) < 1e-7
    assert sol.p_loss_mw == pytest.approx(ref.loss_mva.real, rel=1e-6)
    assert sol.p_slack_mw == pytest.approx(ref.source_mva.real, rel=1e-6)


def test_unbalance_only_where_three_phases_are() -> None:
    """Capability 103, trap 3: never at a one-phase node."""
    feeder = cases.load("ieee123")
    sol = physics.solve(physics.compile_per_phase(feeder))
    three = feeder.column("nodes", "phase") == "ABC"
    assert np.isfinite(sol.vuf_pct).tolist() == three.tolist()
    assert 0.1 < sol.vuf_pct[three].max() < 5.0
