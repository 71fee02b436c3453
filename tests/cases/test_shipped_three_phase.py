"""The shipped per-phase feeders: complete, honest about their size, and the cases that OpenDSS solves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from distgrid import cases
from distgrid.cases.model.edit import replaced

from .dss_engine import feeder_from_text
from .scripts import OpenDss, tool

nodal = tool("nodal_reference")
tool("shipping")
builder = tool("build_three_phase")

# nodes, node-phases, branches, open, loads, capacitors, regulators, MW, Mvar as published
SIZES = {
    "ieee13": (16, 41, 15, 0, 15, 2, 3, 3.466, 2.102),
    "ieee34": (56, 138, 55, 0, 38, 2, 6, 1.769, 1.044),
    "ieee37": (39, 117, 38, 0, 30, 0, 2, 2.457, 1.201),
    "ieee123": (130, 274, 131, 2, 91, 4, 7, 3.490, 1.920),
    "european_lv": (907, 2721, 906, 0, 55, 0, 0, 0.055, 0.018077625),
}
TAPS = {
    "ieee13": [9, 6, 9],
    "ieee34": [13, 5, 5, 12, 12, 12],
    "ieee37": [16, 14],
    "ieee123": [6, 0, 2, 0, 8, 2, 5],
    "european_lv": [],
}


def test_names() -> None:
    assert cases.names(phases="per-phase") == list(SIZES)
    assert cases.names() == [*cases.names(phases="balanced"), *SIZES]
    with pytest.raises(ValueError, match="'balanced', 'per-phase' or None"):
        cases.names(phases="three")


@pytest.mark.parametrize("name", SIZES)
def test_sizes_loads_and_devices(name: str) -> None:
    """Capability 101: what a name says is what there is."""
    feeder = cases.load(name)
    nodes, places, branches, opened, loads, banks, regulators, p, q = SIZES[name]
    assert (feeder.name, feeder.feeder_id, feeder.phases) == (name, name, "per-phase")
    assert (feeder.n_nodes, feeder.n_branches) == (nodes, branches)
    assert sum(len(phase) for phase in feeder.column("nodes", "phase")) == places
    assert (~feeder.column("branches", "status")).sum() == opened
    assert (feeder.loads.num_rows, feeder.capacitors.num_rows) == (loads, banks)
    assert feeder.column("regulators", "tap_pos").tolist() == TAPS[name]
    assert feeder.regulators.num_rows == regulators
    # Loads rated beside their node's base hold a little more at 1 pu of the base.
    assert feeder.column("loads", "p_mw").sum() == pytest.approx(p, rel=5e-4)
    assert feeder.column("loads", "q_mvar").sum() == pytest.approx(q, rel=5e-4)
    assert feeder.topology().is_radial
    assert [island.energised for island in feeder.topology().islands] == [True]
    assert feeder.describe()


def test_the_ties_of_ieee123() -> None:
    """Trap 10: 151-300 and 54-94 are open ties; closing one makes a loop."""
    feeder = cases.load("ieee123")
    column = feeder.column
    opened = np.flatnonzero(~column("branches", "status"))
    ends = [{column("branches", "from_node")[k], column("branches", "to_node")[k]} for k in opened]
    assert ends == [{"151", "300"}, {"54", "94"}]
    assert [column("branches", "phase")[k] for k in opened] == ["ABC", "A"]
    assert not feeder.with_switch("sw7", closed=True).topology().is_radial


@pytest.mark.parametrize("name", SIZES)
def test_every_rating_is_finite_and_binds(name: str) -> None:
    """Trap 7: every rating is there, and synthetic ones leave room for the nominal load and little more."""
    feeder = cases.load(name)
    solved = nodal.Nodal(feeder).solve()
    rating, closed = feeder.column("branches", "thermal_limit_mva"), feeder.column("branches", "status")
    kv = np.array([solved.nodal.kv[node] for node in feeder.column("branches", "from_node")])
    limit_a = rating / np.sqrt(3) / kv * 1e3
    amps = np.array([max(part.max() for part in solved.amps(k)) for k in range(feeder.n_branches)])
    made = feeder.column("branches", "rating_source") == "synthetic"
    assert np.isfinite(limit_a).all()
    assert (limit_a > 0).all()
    assert (amps <= 0.70 * limit_a + 1e-6)[closed & made].all()
    assert set(feeder.column("branches", "type")[~made]) == {"transformer"}
    assert (amps / limit_a)[closed].max() > 0.5
    assert (limit_a[made] < 2 * max(amps[closed].max(), 50)).all()


@pytest.mark.parametrize("name", SIZES)
def test_coordinates_and_metadata(name: str, repo_root: Path) -> None:
    feeder = cases.load(name)
    assert np.isfinite(feeder.column("nodes", "x")).all()
    assert np.isfinite(feeder.column("nodes", "y")).all()
    drawn = feeder.column("nodes", "coord_source") == "layout"
    assert drawn.all() if name == "ieee37" else drawn.mean() < 0.4
    assert {"title", "source", "licence", "notes", "file"} <= set(feeder.metadata)
    text = (repo_root / "cases" / "data" / "SOURCES.md").read_text()
    assert f"| {name} |" in text
    assert "Battelle Memorial Institute" in text


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", SIZES)
def test_the_builder_reproduces_what_is_shipped(name: str) -> None:
    """From the published figures through OpenDSS's engine to the very tables, but for the last digits."""
    pytest.importorskip("dss")
    built, shipped = builder.build(name), cases.load(name)
    assert built.metadata == shipped.metadata
    for table in cases.TABLES:
        ours, theirs = getattr(built, table), getattr(shipped, table)
        assert ours.num_rows == theirs.num_rows, table
        for column in ours.column_names:
            rows = zip(ours.column(column).to_pylist(), theirs.column(column).to_pylist(), strict=True)
            assert all(_alike(a, b) for a, b in rows), (table, column)


def _alike(a: object, b: object) -> bool:
    if isinstance(a, list | float) and type(a) is type(b):
        return bool(np.allclose(np.array(a), np.array(b), rtol=1e-6, atol=1e-6, equal_nan=True))
    return a == b


@pytest.mark.quick(2)
@pytest.mark.parametrize("band", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_opendss_solves_the_same_feeder(name: str, band: bool) -> None:
    """Capability 92: the tables, solved without OpenDSS, give OpenDSS's voltage at every node."""
    pytest.importorskip("dss")
    with (builder.FACTS / name / "feeder.toml").open("rb") as file:
        script = builder.script(name, builder.tomllib.load(file))
    theirs = OpenDss(script, band=band).volts()
    solved = nodal.Nodal(cases.load(name)).solve(band=band)
    for (node, slot), row in solved.nodal.row.items():
        assert abs(solved.v[row] - theirs[node, slot + 1]) < 5e-8 * solved.nodal.base_v[row], (node, slot)
    assert feeder_from_text(script, "x.dss").n_nodes == cases.load(name).n_nodes


def test_ieee13_is_the_published_case() -> None:
    """Capability 83: with the published taps 10, 8, 11 the published voltages, to 0.5 %."""
    published = {
        ("632", 0): 1.0210, ("632", 1): 1.0420, ("632", 2): 1.0174, ("671", 0): 0.9900, ("671", 1): 1.0529,
        ("671", 2): 0.9778, ("634", 0): 0.9940, ("634", 1): 1.0218, ("634", 2): 0.9960, ("675", 0): 0.9835,
        ("675", 1): 1.0553, ("675", 2): 0.9758, ("611", 2): 0.9738, ("652", 0): 0.9825, ("646", 1): 1.0311,
    }  # fmt: skip
    feeder = cases.load("ieee13")
    moved = replaced(feeder.regulators, "tap_pos", np.array([10, 8, 11]))
    pu = nodal.Nodal(dataclasses.replace(feeder, regulators=moved)).solve().pu
    for key, v in published.items():
        assert abs(pu[key]) == pytest.approx(v, rel=5e-3), key
