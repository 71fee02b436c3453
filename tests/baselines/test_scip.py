"""Taps and banks of 33bw by a mixed-integer conic program, by every combination, and by the package."""

from __future__ import annotations

import pytest

from distgrid import cases, physics
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.integers import optimal_settings
from distgrid.baselines.optimal.switched import best_settings
from distgrid.cases import Feeder
from distgrid.envs import CapacitorBank, TapChanger

pytest.importorskip("pyscipopt", reason="the extra oracle is not installed")

_BANKS = (("30", 1.2), ("12", 0.6), ("24", 0.9))
_BAND = (0.9, 1.05)


@pytest.mark.slow
def test_misocp_and_exhaustive_search_and_branch_and_bound_are_one() -> None:
    """Row 27: a tap changer at the head of 33bw and three banks, each by its own way to the optimum."""
    from .scip import least_losses

    plain: Feeder = cases.load("case33bw")
    feeder = TapChanger(branch="1-2", tap_min=-8, tap_max=8).equip(plain)
    for bus, q_mvar in _BANKS:
        feeder = CapacitorBank(bus=bus, q_mvar=q_mvar).equip(feeder)
    net = physics.compile(feeder)
    buses = [str(name) for name in feeder.column("nodes", "node_id")[1:]]
    every = best_settings(net, v_band=_BAND, buses=buses)
    assert every.status == "optimal"
    assert every.n_solved == 17 * 8
    ours = optimal_settings(net, limits=NetworkLimits(_BAND, None))
    assert ours.status == "optimal"
    assert list(ours.tap_pos.values()) == every.tap_pos.tolist()
    assert list(ours.cap_on.values()) == every.cap_on.tolist()
    assert ours.value == pytest.approx(every.p_loss_mw, abs=1e-9)
    scip = least_losses(plain, range(-8, 9), 0.00625, _BANKS, _BAND)
    assert [scip.tap_pos] == every.tap_pos.tolist()
    assert list(scip.cap_on) == every.cap_on.tolist()
    assert scip.value_mw == pytest.approx(every.p_loss_mw, rel=1e-5)
    assert scip.bound_mw <= every.p_loss_mw * (1.0 + 1e-6)
