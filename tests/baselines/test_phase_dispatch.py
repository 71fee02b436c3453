"""Dispatch per phase: the best of a grid, limits of every phase after replay, settings, bad input."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.local import LocalOptimum
from distgrid.baselines.optimal.phase_dispatch import (
    PhaseUnit,
    injections,
    phase_optimum,
    tuned_phase_optimum,
)

WIDE = NetworkLimits((0.9, 1.1), None)


@cache
def network(name: str) -> physics.Network3:
    """Compiled."""
    return physics.compile_per_phase(cases.load(name))


def spread(name: str, every: int) -> list[PhaseUnit]:
    """An inverter on all phases of each so many-th bus."""
    net = network(name)
    there = net.present & net.topology.energised
    units = []
    for k in range(4, net.n_bus, every):
        bus = str(net.feeder.column("nodes", "node_id")[k])
        phase = "".join(letter for letter, has in zip("ABC", there[k], strict=True) if has)
        size = 0.1 * len(phase)
        units.append(PhaseUnit(bus, bus, 0.0, size, -size, size, s_mva=1.3 * size, phase=phase))
    return units


def test_reactive_power_of_one_phase_is_the_best_of_a_grid() -> None:
    """Row 28: 2,001 power flows of IEEE 13, one setpoint."""
    net = network("ieee13")
    found = phase_optimum(net, [PhaseUnit("a", "675", 0.0, 0.0, -1.0, 1.0, phase="A")], limits=WIDE)
    assert (found.status, np.isnan(found.bound)) == ("local", True)
    tried = np.linspace(-1.0, 1.0, 2001)
    q = np.zeros((tried.size, net.n_bus, 3))
    q[:, net.feeder.node_index["675"], 0] = tried
    loss = physics.solve(net, p_inject_mw=np.zeros_like(q), q_inject_mvar=q).p_loss_mw
    assert found.objective <= loss.min() + 1e-10
    assert found.objective == pytest.approx(float(loss.min()), abs=1e-7)
    assert found.q_mvar[0] == pytest.approx(float(tried[loss.argmin()]), abs=1e-3)


def test_every_phase_of_ieee_123_is_in_its_band_after_replay() -> None:
    """Row 28: a power flow of its own, with the setpoints alone; the band binds, and nothing is worse off."""
    net, units = network("ieee123"), spread("ieee123", 20)
    limits = NetworkLimits((0.95, 1.045), 0.0)
    found = phase_optimum(net, units, limits=limits)
    assert found.status == "local"
    p, q = injections(net, units, found)
    sol = physics.solve(net, p_inject_mw=p, q_inject_mvar=q)
    v = sol.v_pu[net.present]
    assert v.min() >= 0.95 - 1e-7
    assert v.max() == pytest.approx(1.045, abs=1e-6)
    assert np.nanmax(sol.loading) <= 1.0 + 1e-7
    highest = net.feeder.column("nodes", "node_id")[np.nanmax(sol.v_pu, axis=1).argmax()]
    assert f"{highest}." in " ".join(one.element for one in found.binding if one.kind == "v_max")
    assert float(sol.p_loss_mw) == pytest.approx(found.objective, rel=1e-8)
    assert float(sol.p_loss_mw) < float(physics.solve(net).p_loss_mw)
    rng = np.random.default_rng(0)
    near = np.clip(found.q_mvar + 0.02 * rng.normal(size=(30, len(units))), -0.3, 0.3)
    for q_other in near:
        other = phase_values(net, units, found.p_mw, q_other)
        assert other[0] >= found.objective - 1e-7 or other[1] > 1.045 + 1e-7


def phase_values(net: physics.Network3, units: list[PhaseUnit], p: Any, q: Any) -> tuple[float, float]:
    """Losses and the highest voltage."""
    at = [net.feeder.node_index[unit.bus] for unit in units]
    p_in, q_in = np.zeros((net.n_bus, 3)), np.zeros((net.n_bus, 3))
    for k, unit in enumerate(units):
        places = ["ABC".index(letter) for letter in unit.phase]
        p_in[at[k], places], q_in[at[k], places] = p[k] / len(places), q[k] / len(places)
    sol = physics.solve(net, p_inject_mw=p_in, q_inject_mvar=q_in)
    return float(sol.p_loss_mw), float(np.nanmax(sol.v_pu))


def test_taps_and_units_together_bring_ieee_13_into_the_band() -> None:
    """Row 28: as stored its regulator stands at 1.056 pu, which no unit can mend; taps can."""
    net, units = network("ieee13"), spread("ieee13", 4)
    limits = NetworkLimits((0.95, 1.05), None)
    alone = phase_optimum(net, units, limits=limits)
    assert alone.status == "infeasible"
    found = tuned_phase_optimum(net, units, limits=limits)
    assert found.dispatch.status == "local"
    assert found.rounds >= 1
    p, q = injections(net, units, found.dispatch)
    step = net.feeder.regulators.column("tap_step_pu").to_numpy()
    sol = physics.solve(
        net, p_inject_mw=p, q_inject_mvar=q, tap=1.0 + found.tap_pos * step, cap_on=found.cap_on
    )
    away = net.present.copy()
    away[[source.node for source in net.sources]] = False
    assert sol.v_pu[away].min() >= 0.95 - 1e-7
    assert sol.v_pu[away].max() <= 1.05 + 1e-7
    assert float(sol.p_loss_mw) == pytest.approx(found.dispatch.objective, rel=1e-8)


def test_steps_of_a_batch_are_those_solved_alone() -> None:
    """Loads of three hours."""
    net, units = network("ieee13"), spread("ieee13", 6)
    scale = np.array([0.6, 0.8, 1.0])[:, None, None]
    loads: dict[str, Any] = {"p_mw": scale * net.load_p_mw, "q_mvar": scale * net.load_q_mvar}
    together = phase_optimum(net, units, limits=WIDE, **loads)
    for k in range(3):
        alone = phase_optimum(net, units, limits=WIDE, **{name: a[k] for name, a in loads.items()})
        assert (together.status[k], alone.status) == ("local", "local")
        assert together.objective[k] == pytest.approx(alone.objective, rel=1e-8)


def test_host_feeds_in_all_there_is_and_cost_pays_for_the_head() -> None:
    """Capability 29: each objective is what it says."""
    net, units = network("ieee13"), spread("ieee13", 6)
    host = phase_optimum(net, units, objective="host", limits=WIDE)
    assert host.objective == pytest.approx(sum(unit.p_max_mw for unit in units), rel=1e-6)
    cost = phase_optimum(net, units, objective="cost", limits=WIDE, head_usd_mwh=50.0)
    sol = cost.solution
    assert cost.objective == pytest.approx(50.0 * float(sol.p_slack_mw[0]), rel=1e-9)
    assert cost.objective < 50.0 * float(physics.solve(net).p_slack_mw)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"units": [PhaseUnit("a", "99")]}, "unit 'a': bus '99'"),
    ({"units": [PhaseUnit("a", "611", 0.0, 0.1, phase="A")]}, "phase 'A' is not at bus '611', which has C"),
    ({"objective": "losses"}, "objective 'losses'"),
    ({"p_mw": np.zeros(16)}, "p_mw must have shape"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_named(arguments: dict[str, Any], said: str) -> None:
    """Which unit, which phase, which shape."""
    given = {"units": [PhaseUnit("a", "671", 0.0, 0.1)], **arguments}
    with pytest.raises(RunError, match=said):
        phase_optimum(network("ieee13"), given.pop("units"), **given)


def test_phases_that_are_none_a_balanced_feeder_and_other_objectives_are_refused() -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match="phase must be of the letters A, B and C"):
        PhaseUnit("a", "671", phase="AD")
    with pytest.raises(RunError, match="needs a per-phase feeder"):
        phase_optimum(cast(Any, physics.compile(cases.load("case33bw"))), [PhaseUnit("a", "6")])
    with pytest.raises(RunError, match="objective 'host'"):
        tuned_phase_optimum(network("ieee13"), [PhaseUnit("a", "671", 0.0, 0.1)], objective="host")


def test_the_dual_of_a_phase_rating_is_what_it_is_worth() -> None:
    """Row 26, 28: the difference of the optimum where all ratings give way by a ten-thousandth."""
    net = network("ieee13")
    units = [
        PhaseUnit("a", "675", 0.0, 5.0, -0.4, 0.4, cost=(0.0, 40.0, 0.0), phase="A"),
        PhaseUnit("b", "611", 0.0, 0.4, -0.2, 0.2, cost=(0.0, 60.0, 0.0), phase="C"),
    ]
    loads: dict[str, Any] = {
        "p_mw": 0.6 * net.load_p_mw, "q_mvar": 0.6 * net.load_q_mvar,
        "p_delta_mw": 0.6 * net.delta_p_mw, "q_delta_mvar": 0.6 * net.delta_q_mvar,
    }  # fmt: skip

    def at(margin: float) -> LocalOptimum:
        limits = NetworkLimits((0.8, 1.2), margin)
        return phase_optimum(net, units, objective="cost", head_usd_mwh=50.0, limits=limits, **loads)

    ids, rating = list(net.feeder.column("branches", "branch_id")), np.array(net.phase_rating_mva)
    worth, n = 0.0, 0
    for one in at(0.05).binding:
        if one.kind.startswith("thermal"):
            branch, _, letter = one.element.rpartition(".")
            end = ("thermal_from", "thermal_to").index(one.kind)
            worth += one.dual * rating[end, ids.index(branch), "ABC".index(letter)]
            n += 1
    assert n
    assert (at(0.0501).objective - at(0.0499).objective) / 2e-4 == pytest.approx(worth, rel=1e-4)
