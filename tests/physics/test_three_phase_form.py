"""A balanced feeder written phase by phase, and what loads and shunts draw at each phase."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics

from .grids import Features, Grid, chain, random_tree
from .phase_grids import Grid3, random_feeder

TURN = np.exp(2j * np.pi / 3)


def tree_that_has_a_form(seed: int) -> cases.Feeder:
    """Charging, shunts, capacitors, taps, ZIP loads and exponents; no phase shifts, no charging at taps."""
    features = Features(**{f.name: f.name not in ("shift", "shifts") for f in dataclasses.fields(Features)})
    grid = random_tree(seed, 30, features, drop=0.08)
    for row in grid.rows["branches"]:
        if row["tap"] != 1.0:
            row["b"] = 0.0
    return grid.feeder()


@pytest.mark.parametrize("seed", range(4))
def test_three_phases_have_the_balanced_power_flow(seed: int) -> None:
    """Capability 18, 122: voltages, flows at both ends and loading of every phase; a third of the power."""
    feeder = tree_that_has_a_form(seed)
    three = cases.three_phase(feeder)
    assert three.phases == "per-phase"
    one = physics.solve(physics.compile(feeder), tol=1e-12)
    all3 = physics.solve(physics.compile_per_phase(three), tol=1e-12)
    for k in range(3):
        np.testing.assert_allclose(all3.v[:, k] * TURN**k, one.v, rtol=0, atol=1e-9)
        for name in ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar"):
            np.testing.assert_allclose(3 * getattr(all3, name)[:, k], getattr(one, name), rtol=0, atol=1e-9)
        np.testing.assert_allclose(all3.loading[:, k], one.loading, rtol=0, atol=1e-9)


@pytest.mark.quick(4)
@pytest.mark.parametrize("name", cases.names(phases="balanced"))
def test_shipped_feeders_have_the_form(name: str) -> None:
    """Capability 18: every one, transformers of case533mt included."""
    feeder = cases.load(name)
    one = physics.solve(physics.compile(feeder), tol=1e-11)
    three = physics.solve(physics.compile_per_phase(cases.three_phase(feeder)), tol=1e-11)
    assert np.abs(three.v_pu - one.v_pu[:, None]).max() < 1e-9
    assert three.p_loss_mw == pytest.approx(one.p_loss_mw, abs=1e-9)


def with_branch(**values: float) -> Grid:
    grid = chain(3)
    grid.rows["branches"][1] |= values
    return grid


@pytest.mark.parametrize(
    ("grid", "field"),
    [
        (with_branch(shift_deg=30.0), "shift_deg"),
        (with_branch(tap=1.02, b=0.1), "b"),
        (with_branch(r=0.0, x=0.0), "x"),
    ],
)
def test_what_three_equal_phases_cannot_say_is_refused(grid: Grid, field: str) -> None:
    """Capability 18: named with branch and value, never dropped."""
    feeder = grid.feeder()
    branch = feeder.column("branches", "branch_id")[1]
    with pytest.raises(cases.CaseError, match="cannot be written phase by phase") as caught:
        cases.three_phase(feeder)
    assert [(p.row, p.field) for p in caught.value.problems] == [(1, field)]
    assert str(branch) in str(caught.value)


def test_a_per_phase_feeder_is_its_own_form() -> None:
    feeder = cases.load("ieee13")
    assert cases.three_phase(feeder) is feeder


@pytest.mark.parametrize("seed", range(4))
def test_branches_bring_what_loads_and_shunts_draw(seed: int) -> None:
    """Capability 6, 96: at every node and phase, with delta loads, ZIP shares, exponents, banks, shunts."""
    grid = random_feeder(seed)
    grid.node("d", "ABC", 4.16, g=0.02, b=0.03)
    grid.line("0", "d")
    grid.cap("d", "ABC", 0.05, connection="delta")
    grid.load("d", "ABC", 0.02, 0.01, z=0.5, connection="delta")
    net = physics.compile_per_phase(grid.feeder())
    sol = physics.solve(net, tol=1e-12)
    power = physics.consumption(net, sol)
    total = power.load + power.shunt
    for node, end in ((net.from_row, "from"), (net.to_row, "to")):
        np.add.at(total, node, getattr(sol, f"p_{end}_mw") + 1j * getattr(sol, f"q_{end}_mvar"))
    given = complex(sol.p_slack_mw, sol.q_slack_mvar)
    source = net.sources[0].node
    assert total[source].sum() == pytest.approx(given, abs=1e-9)
    total[source] = 0.0
    assert np.abs(total).max() < 1e-9


def test_a_load_draws_by_its_exponent_and_its_band() -> None:
    """Capability 6: by hand at a node whose voltage is known."""
    loads = dict.fromkeys(["z", "i", "p"], 0.0)
    options: dict[str, Any]
    for name, options in (("z", {"z": 1.0}), ("i", {"i": 1.0}), ("p", {"band": (0.95, 1.05)})):
        net = physics.compile_per_phase(_single(options), voltage_bands=True)
        sol = physics.solve(net, v_source_pu=1.1, tol=1e-12)
        loads[name] = float(physics.consumption(net, sol).load[0, 1].real)
    assert loads["z"] == pytest.approx(0.1 * 1.1**2, rel=1e-12)
    assert loads["i"] == pytest.approx(0.1 * 1.1, rel=1e-12)
    assert loads["p"] == pytest.approx(0.1 * (1.1 / 1.05) ** 2, rel=1e-12)  # an impedance above its band


def _single(options: dict[str, Any]) -> cases.Feeder:
    grid = Grid3()
    grid.node("0")
    grid.source("0")
    grid.load("0", "B", 0.1, 0.0, **options)
    return grid.feeder()


def test_dead_phases_draw_nothing() -> None:
    """Capability 107."""
    feeder = cases.load("ieee13").with_switch("671692", closed=False)
    with pytest.warns(physics.IslandWarning):
        net = physics.compile_per_phase(feeder)
    power = physics.consumption(net, physics.solve(net))
    dead = net.present & ~net.energised
    assert dead.any()
    assert (power.load[dead] == 0).all()
    assert (power.shunt[dead] == 0).all()
