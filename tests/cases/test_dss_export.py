"""What the OpenDSS exporter writes, element by element, run in forks of this process."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distgrid import physics
from distgrid.cases import Feeder
from distgrid.cases.exporters.opendss.names import names_of
from distgrid.cases.exporters.opendss.script import bus_names, opendss_text
from distgrid.cases.importers.opendss.voltages import engine_voltages
from distgrid.cases.schema import TABLES, table

from ..physics.phase_grids import Grid3, random_feeder
from ..physics.phase_kinds import random_kinds
from .dss_engine import read_text


def _difference(feeder: Feeder) -> float:
    """Largest distance in pu of the engine's voltages from ours; the same phases are dead."""
    back, report = read_text(opendss_text(feeder))
    theirs = engine_voltages(back, report).v_pu
    options = {"keep_loops": True} if feeder.phases == "balanced" else {"voltage_bands": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = physics.solve(physics.compile(feeder, **options), tol=1e-11, max_iter=2000).v
    at = [back.node_index[name] for name in bus_names(feeder)]
    theirs = theirs[at] * (back.column("nodes", "base_kv")[at] / feeder.column("nodes", "base_kv"))[:, None]
    if ours.ndim == 1:
        ours = ours[:, None] * np.exp(-2j * np.pi / 3.0 * np.arange(3))
    assert (np.isnan(ours) == np.isnan(theirs)).all()
    return float(np.nanmax(np.abs(ours - theirs)))


@given(st.lists(st.text(max_size=6), unique=True, max_size=30))
def test_no_two_ids_share_a_name(ids: list[str]) -> None:
    """Row 4: names are of small letters, digits, _ and -, each one's own; an id that is one keeps it."""
    found = names_of(ids)
    assert list(found) == ids
    assert len(set(found.values())) == len(ids)
    for one, name in found.items():
        assert name
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
        if set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789_") and one:
            assert name == one


@pytest.mark.parametrize("seed", range(3))
def test_random_feeders_are_what_opendss_solves(seed: int) -> None:
    """Rows 5 to 9, 105 to 107: loads of every kind, regulators, banks, laterals, dead and split phases."""
    assert _difference(random_feeder(seed).feeder()) < 1e-7
    assert _difference(random_kinds(seed).feeder()) < 1e-7


@pytest.mark.parametrize(
    ("connection", "lag", "kv"),
    [
        ("wye-wye", 0.0, 0.48), ("delta-delta", 0.0, 24.9), ("wye-delta", 30.0, 0.48),
        ("wye-delta", -30.0, 24.9), ("delta-wye", 30.0, 24.9), ("delta-wye", -30.0, 0.48),
        ("floating-delta", 30.0, 0.48), ("delta-floating", -30.0, 24.9),
    ],
)  # fmt: skip
def test_transformers_of_every_connection(connection: str, lag: float, kv: float) -> None:
    """Row 5: step-down and step-up, both ways of a shift, taps on both windings, core losses."""
    grid = Grid3()
    grid.node("a")
    grid.node("b", kv=kv)
    grid.source("a", z=(0.01 + 0.05j, 0.002 + 0.01j))
    unit = {"connection": connection, "lag_deg": lag, "lv_kv": kv, "taps": 3, "tap_from": 0.975,
            "noload_pct": 0.3, "imag_pct": 0.5, "antifloat_ppm": 1.0}  # fmt: skip
    grid.bank("a", "b", [unit])
    grid.load("b", "ABC", 0.2, 0.1, connection="delta")
    grid.load("b", "AB", 0.05, 0.02, connection="delta", z=0.5, i=0.2)
    assert _difference(grid.feeder()) < 1e-7


@pytest.mark.parametrize("shift", [30.0, -30.0, 90.0, 150.0, -120.0])
@pytest.mark.parametrize("turned", [False, True])
def test_phase_shifts_of_balanced_feeders(shift: float, turned: bool) -> None:
    """Rows 5 and 122: windings and terminals make the angle, from whichever end the branch is written."""
    feeder = _balanced(shift, turned)
    assert _difference(feeder) < 1e-8
    at = feeder.node_index["low"]
    lag = -np.angle(physics.solve(physics.compile(feeder)).v[at], deg=True)
    assert abs((lag - (-shift if turned else shift) + 180.0) % 360.0 - 180.0) < 5.0


def _balanced(shift: float, turned: bool) -> Feeder:
    """A transformer with charging, tap and regulator, a tie without impedance, shunts, loads of all kinds."""
    nodes = {
        "node_id": ["src", "low", "end"], "phase": ["ABC"] * 3, "type": ["source", "load", "load"],
        "base_kv": [12.47, 0.4, 0.4], "v_min": [0.9] * 3, "v_max": [1.1] * 3,
        "load_p_mw": [0.0, 0.12, 0.05], "load_q_mvar": [0.0, 0.05, 0.01], "shunt_g_mw": [0.0, 0.01, 0.0],
        "shunt_b_mvar": [0.0, -0.02, 0.03],
    }  # fmt: skip
    ends = ["low", "src"] if turned else ["src", "low"]
    branches = {
        "branch_id": ["t", "tie"], "from_node": [ends[0], "low"], "to_node": [ends[1], "end"],
        "type": ["transformer", "switch"], "phase": ["ABC"] * 2, "r": [0.01, 0.0], "x": [0.05, 0.0],
        "b": [0.02, 0.0], "tap": [0.975, 1.0], "shift_deg": [shift, 0.0], "status": [True, True],
    }  # fmt: skip
    loads = {
        "load_id": ["p", "zip", "cvr"], "node_id": ["low", "low", "end"], "phase": ["ABC"] * 3,
        "p_mw": [0.07, 0.05, 0.05], "q_mvar": [0.03, 0.02, 0.01], "p_z_frac": [0.0, 0.3, 0.0],
        "p_i_frac": [0.0, 0.2, 0.0], "q_z_frac": [0.0, 1.0, 0.0], "q_i_frac": [0.0, 0.0, 0.0],
        "cvr_p": [None, None, 0.8], "cvr_q": [None, None, 2.0],
    }  # fmt: skip
    switches = {"switch_id": ["tie"], "branch_id": ["tie"], "type": ["tie"], "normally_closed": [False]}
    sources = {"source_id": ["s"], "node_id": ["src"], "v_pu": [1.02], "v_deg": [0.0]}
    tables: dict[str, dict[str, Any]] = {
        "nodes": nodes, "branches": branches, "loads": loads, "switches": switches, "sources": sources,
    }  # fmt: skip
    made = {
        name: table(name, one | {"feeder_id": ["f"] * len(next(iter(one.values())))})
        for name, one in tables.items()
    }
    made |= {name: table(name, {}) for name in set(TABLES) - set(made)}
    feeder = Feeder("f", 1.0, "f", **made)
    return feeder.with_new_regulator("t", tap_pos=-4).with_new_capacitor("end", 0.02, on=True)
