"""Radial topologies: published optima, every one of them, bounds that hold, per phase, wrong input."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.dispatch import optimal_dispatch
from distgrid.baselines.optimal.topology.candidates import Candidates
from distgrid.baselines.optimal.topology.reconfigure import best_topology
from distgrid.baselines.optimal.units import Unit
from distgrid.cases import Feeder

WIDE = NetworkLimits((0.9, 1.05), None)
SOME = ("12-22", "21-8", "7-8", "9-10", "8-9", "14-15", "9-15", "13-14", "11-12")


@pytest.fixture(scope="module")
def plain() -> physics.Network:
    """33bw."""
    return physics.compile(cases.load("case33bw"))


def is_tree(feeder: Feeder, states: dict[str, bool]) -> bool:
    """Whether closed branches, with other states of some, join all buses without a loop."""
    label = {str(node): k for k, node in enumerate(feeder.column("nodes", "node_id"))}
    for row in feeder.branches.to_pylist():
        if states.get(row["branch_id"], row["status"]):
            a, b = label[row["from_node"]], label[row["to_node"]]
            if a == b:
                return False
            label = {node: a if one == b else one for node, one in label.items()}
    return len(set(label.values())) == 1


def radial(feeder: Feeder, branches: tuple[str, ...]) -> list[Feeder]:
    """Every feeder without a loop and without a dead bus that states of some branches leave."""
    found = []
    for states in itertools.product((False, True), repeat=len(branches)):
        if is_tree(feeder, dict(zip(branches, states, strict=True))):
            one = feeder
            for name, closed in zip(branches, states, strict=True):
                one = one.with_switch(name, closed)
            found.append(one)
    return found


@pytest.fixture(scope="module")
def every() -> list[Feeder]:
    """Of 33bw with nine branches that open and close."""
    return radial(cases.load("case33bw"), SOME)


def opened(feeder: Feeder) -> set[str]:
    return {row["branch_id"] for row in feeder.branches.to_pylist() if not row["status"]}


@pytest.mark.slow
def test_the_best_of_nine_switches_is_that_of_all_states(plain: physics.Network, every: list[Feeder]) -> None:
    """Row 9, 27: each of 512 states through the power flow where it is radial; none below the bound."""
    losses = [float(physics.solve(physics.compile(one)).p_loss_mw) for one in every]
    found = best_topology(plain, switches=SOME, limits=WIDE)
    assert found.status == "optimal"
    assert found.n_topologies == len(every)
    assert found.value == pytest.approx(min(losses), abs=1e-9)
    assert (
        opened(found.feeder)
        == opened(every[int(np.argmin(losses))])
        == {*found.open_branches, "18-33", "25-29"}
    )
    assert found.bound <= min(losses)
    assert found.gap <= 1e-5 * found.value
    before = opened(cases.load("case33bw"))
    assert opened(found.feeder) == (before - set(found.closed)) | set(found.opened)


def test_every_topology_is_counted_and_listed_once(every: list[Feeder]) -> None:
    """Kirchhoff's theorem, the enumeration, and brute force agree; 33bw has 50,751 as others count it."""
    some = Candidates.of(cases.load("case33bw"), SOME)
    listed = {state.tobytes() for state in some.everything()}
    assert len(listed) == some.n_topologies == len(every)
    assert Candidates.of(cases.load("case33bw")).n_topologies == 50_751


@pytest.mark.slow
def test_33bw_has_its_published_optimum_with_a_proof(plain: physics.Network) -> None:
    """Row 9, 27: 139.5513 kW, no. 7, 9, 14, 32 and 37 open, as exhaustive search and SCIP have it."""
    found = best_topology(plain, limits=WIDE)
    assert found.status == "optimal"
    assert 1e3 * found.value == pytest.approx(139.5513, abs=5e-5)
    assert set(found.open_branches) == {"7-8", "9-10", "14-15", "32-33", "25-29"}
    assert found.bound <= found.value <= found.bound * (1.0 + 1e-5)


@pytest.mark.slow
def test_exchanges_reach_published_values_where_no_proof_is_in_reach() -> None:
    """Row 9: 136 nodes, 280.1932 kW; where the bound does not prove it, it is called best known."""
    net = physics.compile(cases.load("case136ma"))
    found = best_topology(net, limits=WIDE, most_nodes=1)
    assert found.status == "best known"
    assert 1e3 * found.value == pytest.approx(280.1932, abs=5e-5)
    assert 0.2 < found.bound < found.value
    assert float(physics.solve(physics.compile(found.feeder)).p_loss_mw) == pytest.approx(
        found.value, abs=1e-9
    )


@pytest.mark.parametrize("objective", ["loss", "cost", "voltage"])
def test_units_are_dispatched_in_the_best_topology(plain: physics.Network, objective: str) -> None:
    """Row 20, 27: the best dispatch of all topologies of four switches, each by itself."""
    switches = ("12-22", "9-10", "10-11", "9-15")
    units = [Unit("a", "18", 0.0, 0.5, -0.2, 0.2, cost=(2.0, 45.0, 0.0)), Unit("b", "12", 0.0, 0.3, 0.0, 0.1)]
    asked: dict[str, Any] = {"objective": objective, "limits": WIDE, "head_usd_mwh": 50.0}
    each = [
        optimal_dispatch(physics.compile(one), units, **asked)
        for one in radial(cases.load("case33bw"), switches)
    ]
    best = min((one for one in each if one.replay.violation <= 1e-6), key=lambda one: one.replay.objective)
    found = best_topology(plain, units, switches=switches, **asked)
    assert found.value == pytest.approx(best.replay.objective, rel=1e-6)
    assert found.p_mw == pytest.approx(best.p_mw, abs=1e-4)
    assert found.bound <= min(one.bound for one in each) + 1e-6 * abs(found.value)


def test_no_topology_passes_the_bound(plain: physics.Network) -> None:
    """Random topologies of 33bw, through the power flow; the tree was cut short."""
    found = best_topology(plain, limits=WIDE, most_nodes=1, kicks=0)
    assert found.status == "best known"
    everything = Candidates.of(cases.load("case33bw")).everything()
    some = np.array(list(itertools.islice(everything, 0, 400)))
    of = Candidates.of(cases.load("case33bw"))
    sol = physics.solve(of.net, closed=some)
    kept = sol.converged & (sol.v_pu.min(axis=1) >= 0.9)
    assert kept.sum() > 20
    assert sol.p_loss_mw[kept].min() > found.bound


@pytest.mark.slow
def test_switches_of_ieee123_as_all_states_have_them() -> None:
    """Row 9, 28: per phase, nine topologies of its eight switches, each compiled by itself."""
    feeder = cases.load("ieee123")
    switches = tuple(f"sw{k}" for k in range(1, 9))
    names = tuple(str(branch) for branch in feeder.column("switches", "branch_id"))
    fed = np.isfinite(physics.solve(physics.compile_per_phase(feeder)).v_pu)
    losses, n = [], 0
    for one in radial(feeder, names):
        n += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", physics.IslandWarning)  # sw8 has one phase
            sol = physics.solve(physics.compile_per_phase(one, allow_mesh_pruning=False))
        if np.isfinite(sol.v_pu[fed]).all():
            losses.append(float(sol.p_loss_mw))
    found = best_topology(
        physics.compile_per_phase(feeder), switches=switches, limits=NetworkLimits(None, None)
    )
    assert found.status == "optimal"
    assert found.n_topologies == n > len(losses) > 1
    assert found.value == pytest.approx(min(losses), abs=1e-9)
    assert np.isnan(found.bound)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"switches": ["s1-99"]}, "switch or branch 's1-99'"),
        ({"switches": ["1-2", "s12-22"]}, "leaves one radial topology alone"),
        ({"switches": ["s12-22", "9-10"], "objective": "host"}, "objective 'host'"),
        (
            {"switches": ["s12-22", "9-10"], "limits": NetworkLimits((0.99, 1.05), None)},
            "no radial topology keeps",
        ),
        ({"switches": ["s12-22", "9-10"], "limits": NetworkLimits(band_at=("99",))}, "band_at: bus '99'"),
    ],
)
def test_what_cannot_be_chosen_is_named(plain: physics.Network, asked: dict[str, Any], said: str) -> None:
    """Unknown ids, no loop to choose on, an objective without losses, a band that no topology keeps."""
    with pytest.raises(RunError, match=said):
        best_topology(plain, **asked)


def test_a_loop_that_no_switch_opens_is_named() -> None:
    """Two ties closed for good: the branch that closes a loop."""
    feeder = cases.load("case33bw").with_switch("s12-22", True)
    with pytest.raises(RunError, match="closes a loop"):
        Candidates.of(feeder, ["s18-33", "17-18"])
    opened_first = Candidates.of(feeder, ["s12-22", "9-10", "11-12"])
    assert opened_first.feeder.topology().is_radial
