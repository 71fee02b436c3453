"""Best positions of taps and banks: published optima, and every combination by another engine."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.switched import best_settings
from distgrid.cases import Feeder
from distgrid.envs import CapacitorBank, TapChanger

from ..physics.oracle import pandapower_net, run_newton

_BANKS = {"18": 0.35, "25": 0.4, "30": 0.9}


@pytest.fixture(scope="module")
def thirteen() -> physics.Network3:
    """IEEE 13."""
    return physics.compile_per_phase(cases.load("ieee13"))


def _with_banks(states: tuple[bool, ...]) -> Feeder:
    feeder = cases.load("case33bw")
    for (bus, q_mvar), on in zip(_BANKS.items(), states, strict=True):
        feeder = CapacitorBank(bus=bus, q_mvar=q_mvar, on=on).equip(feeder)
    return feeder


@pytest.mark.parametrize(
    ("objective", "tap_pos", "loss_kw", "head_kw"),
    [("loss", (15, 7, 16), 105.9578, 3598.739), ("head", (6, -2, 8), 116.154, 3548.6818)],
)
def test_every_setting_of_ieee13_is_solved_and_the_best_is_that_of_opendss(
    thirteen: physics.Network3, objective: str, tap_pos: tuple[int, ...], loss_kw: float, head_kw: float
) -> None:
    """Capability 27, 28: values of an exhaustive search in OpenDSS, band [0.95, 1.05] at load buses."""
    best = best_settings(thirteen, objective=objective)
    assert tuple(best.tap_pos) == tap_pos
    assert best.cap_on.tolist() == [True, True]
    assert best.status == "optimal"
    assert best.n_solved == best.n_settings == 33**3 * 4
    assert 1e3 * best.p_loss_mw == pytest.approx(loss_kw, abs=6e-4)
    assert 1e3 * best.p_slack_mw == pytest.approx(head_kw, abs=6e-4)


def test_a_search_ends_where_every_setting_was_tried(thirteen: physics.Network3) -> None:
    """Of a quarter of the power flows; and it does not call what it found an optimum."""
    found = best_settings(thirteen, most_exhaustive=0, starts=3)
    assert tuple(found.tap_pos) == (15, 7, 16)
    assert found.status == "best known"
    assert found.n_solved < found.n_settings / 4


def test_ganged_taps_move_together(thirteen: physics.Network3) -> None:
    """One position for the three phases costs something, and the taps are alike."""
    gang = np.repeat(np.arange(-16, 17)[:, None], 3, axis=1)
    together = best_settings(thirteen, tap_pos=gang)
    assert len(set(together.tap_pos.tolist())) == 1
    assert together.n_settings == 33 * 4
    assert together.p_loss_mw > 0.1059578
    assert together.violation_pu == 0.0


@pytest.mark.slow
def test_banks_of_a_balanced_feeder_as_pandapower_has_all_combinations() -> None:
    """Every combination of three banks by Newton's method of another engine."""
    best = best_settings(physics.compile(_with_banks((False, False, False))), v_band=(0.9, 1.05))
    losses = {}
    for states in itertools.product((False, True), repeat=3):
        net = pandapower_net(_with_banks(states))
        run_newton(net)
        losses[states] = float(net.res_line.pl_mw.sum())
    states, least = min(losses.items(), key=lambda item: item[1])
    assert tuple(best.cap_on.tolist()) == states
    assert best.p_loss_mw == pytest.approx(least, abs=1e-9)
    assert best.status == "optimal"


@pytest.mark.slow
def test_taps_of_a_balanced_feeder_as_pandapower_has_all_positions() -> None:
    """Every position of a tap changer at the head: least losses within the band, by another engine."""
    feeder = TapChanger(branch="1-2", tap_min=-4, tap_max=12, tap_pos=0).equip(cases.load("case33bw"))
    best = best_settings(physics.compile(feeder), v_band=(0.9, 1.05))
    losses = {}
    for position in range(-4, 13):
        net = pandapower_net(cases.load("case33bw").with_tap("1-2", 1.0 / (1.0 + 0.00625 * position)))
        run_newton(net)
        v_pu = net.res_bus.vm_pu.to_numpy()
        if v_pu[1:].min() >= 0.9 and v_pu[1:].max() <= 1.05:
            losses[position] = float(net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum())
    position, least = min(losses.items(), key=lambda item: item[1])
    assert best.tap_pos.tolist() == [position]
    assert best.p_loss_mw == pytest.approx(least, abs=1e-8)


def test_where_no_setting_keeps_the_band_the_one_that_leaves_it_least_is_told(
    thirteen: physics.Network3,
) -> None:
    """Infeasible is said, with what is left outside."""
    gang = np.repeat(np.arange(-16, 17)[:, None], 3, axis=1)
    best = best_settings(thirteen, v_band=(1.0, 1.001), tap_pos=gang)
    assert best.status == "infeasible"
    assert best.violation_pu > 0.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"objective": "losses"}, "objective 'losses'"),
        ({"v_band": (1.05, 0.95)}, "v_band"),
        ({"buses": ["6710"]}, "bus '6710'"),
        ({"tap_pos": np.array([[0, 0, 17]])}, "position 17 of 'reg3', expected -16 to 16"),
        ({"tap_pos": np.array([[0, 0]])}, r"\(n, 3\)"),
    ],
)
def test_bad_arguments_are_named(thirteen: physics.Network3, arguments: dict[str, Any], said: str) -> None:
    """Unknown words, bands that are none, positions that do not exist."""
    with pytest.raises(RunError, match=said):
        best_settings(thirteen, **arguments)


def test_a_feeder_with_nothing_to_set_is_refused() -> None:
    """Neither taps nor banks."""
    with pytest.raises(RunError, match="neither tap changers nor banks"):
        best_settings(physics.compile(cases.load("case33bw")))
