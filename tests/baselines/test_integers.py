"""Whole positions by branch and bound: published optima, every combination, and bounds that hold."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.choices import Sites
from distgrid.baselines.optimal.dispatch import optimal_dispatch
from distgrid.baselines.optimal.integers import optimal_settings
from distgrid.baselines.optimal.switched import best_settings
from distgrid.baselines.optimal.units import Unit
from distgrid.cases import Feeder
from distgrid.envs import CapacitorBank, TapChanger

_WIDE = NetworkLimits((0.9, 1.05), None)


@pytest.fixture(scope="module")
def plain() -> physics.Network:
    """33bw, with nothing to set."""
    return physics.compile(cases.load("case33bw"))


def _regulated() -> Feeder:
    """Taps at the head and within the feeder, two banks."""
    feeder = cases.load("case33bw")
    for device in (
        TapChanger(branch="1-2", tap_min=-4, tap_max=6), TapChanger(branch="6-26", tap_min=-2, tap_max=5),
        CapacitorBank(bus="30", q_mvar=1.2), CapacitorBank(bus="12", q_mvar=0.6, on=True),
    ):  # fmt: skip
        feeder = device.equip(feeder)
    return feeder


@pytest.fixture(scope="module")
def regulated() -> physics.Network:
    """Compiled."""
    return physics.compile(_regulated())


@pytest.mark.parametrize(
    ("most", "loss_kw", "banks"),
    [
        (1, 143.6017, {"30": 1252.7}),
        (2, 135.7532, {"12": 468.9, "30": 1057.8}),
        pytest.param(3, 132.1726, {"13": 378.7, "24": 544.2, "30": 1036.7}, marks=pytest.mark.slow),
    ],
)
def test_the_best_sites_and_sizes_of_capacitors(
    plain: physics.Network, most: int, loss_kw: float, banks: dict[str, float]
) -> None:
    """Row 27: optima of 33bw by a search on the AC power flow of another program, to 0.1 kvar and 0.1 W."""
    found = optimal_settings(plain, sites=Sites(most, 1e-4, 2.0), limits=_WIDE)
    assert found.status == "optimal"
    assert found.exhausted
    assert 1e3 * found.value == pytest.approx(loss_kw, abs=1e-4)
    assert found.bound <= found.value <= found.bound * (1.0 + 1e-6)
    assert {bus: round(1e3 * q_mvar, 1) for bus, q_mvar in found.placed} == pytest.approx(banks, abs=0.5)
    assert found.n_nodes < 1000 < found.n_settings


def test_coarse_sizes_are_those_of_every_combination(plain: physics.Network) -> None:
    """Two banks of whole 300 kvar at six buses: all 735 settings through the power flow."""
    buses, steps = ("6", "10", "14", "24", "30", "32"), range(5)
    found = optimal_settings(plain, sites=Sites(2, 0.3, 1.2, buses), limits=_WIDE)
    rows = [
        (*pair, *sizes)
        for pair in itertools.combinations(buses, 2)
        for sizes in itertools.product(steps, steps)
    ]
    q_mvar = np.zeros((len(rows), plain.n_bus))
    for k, (a, b, size_a, size_b) in enumerate(rows):
        q_mvar[k, plain.feeder.node_index[a]] = 0.3 * size_a
        q_mvar[k, plain.feeder.node_index[b]] = 0.3 * size_b
    sol = physics.solve(plain, p_inject_mw=np.zeros_like(q_mvar), q_inject_mvar=q_mvar, tol=1e-11)
    best = int(sol.p_loss_mw.argmin())
    a, b, size_a, size_b = rows[best]
    assert found.status == "optimal"
    assert found.value == pytest.approx(float(sol.p_loss_mw[best]), abs=1e-9)
    assert dict(found.placed) == pytest.approx({a: 0.3 * size_a, b: 0.3 * size_b})


def test_taps_and_banks_are_those_of_every_combination(regulated: physics.Network) -> None:
    """Row 71: 352 settings on the AC power flow, and a tree that is closed."""
    buses = [str(name) for name in regulated.feeder.column("nodes", "node_id")[1:]]
    every = best_settings(regulated, v_band=(0.9, 1.05), buses=buses)
    found = optimal_settings(regulated, limits=_WIDE)
    assert every.status == found.status == "optimal"
    assert found.n_settings == every.n_settings == 11 * 8 * 4
    assert list(found.tap_pos.values()) == every.tap_pos.tolist()
    assert list(found.cap_on.values()) == every.cap_on.tolist()
    assert found.value == pytest.approx(every.p_loss_mw, abs=1e-9)
    assert found.replay.v_error_pu < 1e-6


def _held(feeder: Feeder, units: list[Unit], objective: str) -> list[float]:
    """What a dispatch of the units brings with the tap held at each position."""
    return [
        optimal_dispatch(
            physics.compile(feeder.with_regulator("tap_1-2", position)), units, objective=objective,
            limits=_WIDE, head_usd_mwh=50.0,
        ).replay.objective
        for position in range(-3, 4)
    ]  # fmt: skip


@pytest.mark.parametrize("objective", ["loss", "cost", "voltage"])
def test_units_are_set_together_with_taps(objective: str) -> None:
    """The best of seven dispatches; where the relaxation is not exact, nothing is called an optimum."""
    feeder = TapChanger(branch="1-2", tap_min=-3, tap_max=3).equip(cases.load("case33bw"))
    units = [Unit("sun", "18", 0.0, 0.4, -0.2, 0.2, s_mva=0.45, cost=(5.0, 40.0, 0.0))]
    held = _held(feeder, units, objective)
    net = physics.compile(feeder)
    found = optimal_settings(net, units, objective=objective, limits=_WIDE, head_usd_mwh=50.0)
    assert found.bound <= min(held) * (1.0 + 1e-9)
    assert found.tap_pos == {"tap_1-2": int(np.argmin(held)) - 3}
    assert found.exhausted
    if objective == "voltage":
        assert found.replay.v_error_pu > 1e-4
        assert found.status == "best known"
    else:
        assert found.status == "optimal"
        assert found.value == pytest.approx(min(held), rel=1e-6)


def test_a_tap_on_a_cable_is_what_the_power_flow_has() -> None:
    """Charging at the near end stands behind the ratio: plan and replay agree, every setting is solved."""
    feeder = cases.load("case33bw")
    charged = feeder.branches.set_column(
        feeder.branches.schema.get_field_index("b"), "b", pc.add(feeder.branches["b"], pa.scalar(0.002))
    )
    feeder = TapChanger(branch="6-26", tap_min=-3, tap_max=4, tap_pos=2).equip(
        replace(feeder, branches=charged)
    )
    net = physics.compile(feeder)
    buses = [str(name) for name in feeder.column("nodes", "node_id")[1:]]
    every = best_settings(net, v_band=(0.85, 1.05), buses=buses)
    found = optimal_settings(net, limits=NetworkLimits((0.85, 1.05), 0.0))
    assert every.status == found.status == "optimal"
    assert list(found.tap_pos.values()) == every.tap_pos.tolist()
    assert found.value == pytest.approx(every.p_loss_mw, abs=1e-9)
    assert found.replay.v_error_pu < 1e-6


def test_a_tree_that_is_cut_short_says_best_known(plain: physics.Network, regulated: physics.Network) -> None:
    """Its bound is below the optimum, its value above; on taps and banks the search on AC goes on."""
    short = optimal_settings(plain, sites=Sites(2, 1e-4, 2.0), limits=_WIDE, most_nodes=4)
    assert short.status == "best known"
    assert not short.exhausted
    assert short.bound < 0.1357532 <= short.value + 1e-7
    full = optimal_settings(regulated, limits=_WIDE)
    searched = optimal_settings(regulated, limits=_WIDE, most_nodes=1)
    assert searched.status == "best known"
    assert searched.bound < full.value + 1e-9
    assert searched.value == pytest.approx(full.value, abs=1e-9)


def test_no_setting_passes_the_bound(plain: physics.Network) -> None:
    """Random sites and sizes of three banks."""
    found = optimal_settings(plain, sites=Sites(3, 1e-4, 2.0), limits=_WIDE, most_nodes=10)
    rng = np.random.default_rng(0)
    q_mvar = np.zeros((300, plain.n_bus))
    for row in q_mvar:
        row[rng.choice(np.arange(1, plain.n_bus), 3, replace=False)] = rng.uniform(0.0, 1.2, 3)
    sol = physics.solve(plain, p_inject_mw=np.zeros_like(q_mvar), q_inject_mvar=q_mvar)
    assert (sol.p_loss_mw > found.bound).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"taps": ["reg1"]}, "reg_id 'reg1'"),
        ({"banks": ["cap9"]}, "cap_id 'cap9'"),
        ({"sites": Sites(1, 0.1, 1.0, ("99",))}, "Sites: bus '99'"),
        ({"sites": Sites(3, 0.1, 1.0, ("6", "7"))}, "3 banks need as many buses; there are 2"),
        ({"taps": [], "banks": []}, "neither tap changers nor banks nor sites"),
        ({"limits": NetworkLimits((1.04, 1.05), None)}, "no setting keeps the limits"),
        ({"objective": "losses"}, "objective 'losses'"),
    ],
)
def test_what_cannot_be_set_is_named(
    regulated: physics.Network, arguments: dict[str, Any], said: str
) -> None:
    """Unknown ids, buses and objectives, nothing to set, a band that no setting keeps."""
    with pytest.raises(RunError, match=said):
        optimal_settings(regulated, **arguments)


@pytest.mark.parametrize(
    ("most", "step", "size"), [(0, 0.1, 1.0), (1, 0.0, 1.0), (1, 0.5, 0.3), (1, 0.1, np.inf)]
)
def test_sites_that_leave_nothing_to_choose_are_refused(most: int, step: float, size: float) -> None:
    """No bank, steps of nothing, steps beyond the size."""
    with pytest.raises(ValueError, match="Sites: "):
        Sites(most, step, size)
