"""Soft open points: what one bus gives the other gets, but for losses; Q at each end; circles at both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid.envs import Battery, DistGrid3PhaseEnv, DistGridEnv, SoftOpenPoint
from distgrid.envs.resources import Fleet, place

from .faces import check_faces, refuses
from .world import FEEDER, FEEDER3, flat_load


def started(*specs: SoftOpenPoint) -> Fleet:
    """A fleet of one row, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(1, 0.25, None)
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    return fleet


def act(fleet: Fleet, *action: float) -> tuple[list[float], list[float]]:
    """One interval; P and Q of every end."""
    fleet.advance(np.array([action]), np.zeros(1, dtype=np.int64))
    return fleet.delivered_p_mw[0].tolist(), fleet.delivered_q_mvar[0].tolist()


unit = st.floats(-1.0, 1.0)


@settings(max_examples=200)
@given(unit, unit, unit, st.floats(0.0, 0.2), st.floats(0.01, 5.0))
def test_powers_and_losses_add_up_to_nothing(p: float, q1: float, q2: float, loss: float, s: float) -> None:
    """Capability 57, Trap 21: P1 + P2 + losses = 0 to 1e-9, and both ends inside their circles."""
    (p1, p2), (r1, r2) = act(started(SoftOpenPoint(12, 22, s, loss=loss)), p, q1, q2)
    s1, s2 = math.hypot(p1, r1), math.hypot(p2, r2)
    assert p1 + p2 + loss * (s1 + s2) == pytest.approx(0.0, abs=1e-9)
    assert max(s1, s2) <= s * (1.0 + 1e-9)
    assert abs(r1) <= abs(q1) * s + 1e-12
    assert r1 * q1 >= 0.0 <= r2 * q2


def test_every_action_means_one_thing() -> None:
    """Trap 16: p from the second bus to the first, as far as the ratings go; q at each end; 0 is rest."""
    fleet = started(SoftOpenPoint(12, 22, 0.5, loss=0.02, name="link"))
    assert [d.name for d in fleet.action_dims] == ["link_1.p", "link_1.q", "link_2.q"]
    assert fleet.buses == ("12", "22")
    assert act(fleet, 0.0, 0.0, 0.0) == ([0.0, 0.0], [0.0, 0.0])
    (p1, p2), _ = act(fleet, 1.0, 0.0, 0.0)
    assert [p1, p2] == pytest.approx([0.5 * 0.98 / 1.02, -0.5])
    assert fleet.units()[0].p_mw == pytest.approx(p1)
    (p1, p2), _ = act(fleet, -0.5, 0.0, 0.0)
    assert [p1, p2] == pytest.approx([-0.25, 0.25 * 0.98 / 1.02])
    (p1, p2), (q1, q2) = act(fleet, 0.0, 0.6, -0.4)
    assert (q1, q2) == (0.3, -0.2)
    assert p1 < p2 < 0.0, "each bus supplies the losses of its own converter"
    _, (q1, q2) = act(fleet, 1.0, 1.0, 1.0)
    assert q2 == pytest.approx(0.0, abs=1e-6), "the end that takes is at its rating"
    assert q1 == pytest.approx(math.sqrt(0.25 - 0.48**2))


def test_it_lifts_a_weak_end_by_what_a_strong_one_gives() -> None:
    """On the feeder: bus 18 rises, 22 falls, and the source pays for the losses of the converters."""
    env = DistGridEnv(FEEDER, [SoftOpenPoint(18, 22, 0.4)], load=flat_load())
    env.reset(seed=0)
    before = env.step(env.neutral_action)[-1]
    after = env.step([1.0, 0.0, 0.0])[-1]
    rise = after["voltages"] - before["voltages"]
    rows = [env.feeder.node_index[bus] for bus in ("18", "22")]
    assert rise[rows[0]] > 0.02
    assert rise[rows[1]] < -0.001
    extra = after["p_slack_MW"] - after["p_loss_MW"] - (before["p_slack_MW"] - before["p_loss_MW"])
    assert extra == pytest.approx(-after["delivered"]["p_mw"].sum(), abs=1e-9)
    assert extra > 0.0


def test_rows_of_every_face_are_alike() -> None:
    """Trap 25b: balanced and per phase, beside a device that observes; alone it observes nothing."""
    check_faces([SoftOpenPoint(12, 22, 0.5), Battery(18, 0.2, 0.8), SoftOpenPoint(25, 29, 0.2, loss=0.0)])
    own = [SoftOpenPoint("675", "611", 0.1, phase="C"), SoftOpenPoint("671", "633", 0.2)]
    check_faces(own, case=FEEDER3, phased=True, steps=15)
    assert Fleet(own, FEEDER3).n_observations == 0


def test_a_planner_is_told_how_the_ends_hang_together() -> None:
    env = DistGridEnv(FEEDER, [SoftOpenPoint(12, 22, 0.5)], load=flat_load())
    env.reset(seed=0)
    told = env.scenario.window(horizon=3).outlooks["soft_open_point"]
    assert told.links is not None
    assert (told.links.s_mva.tolist(), told.links.loss.tolist()) == ([0.5], [0.02])
    p = env.step([1.0, 0.0, 0.0])[-1]["delivered"]["p_mw"]
    assert (p <= told.p_max_mw[0] + 1e-12).all()
    assert (p >= told.p_min_mw[0] - 1e-12).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bus_2": "12"}, "bus_2 must be another bus than bus_1, got '12' for both"),
        ({"s_mva": 0.0}, "s_mva must be greater than 0, got 0.0"),
        ({"s_mva": math.inf}, "s_mva must be a finite number, got inf"),
        ({"loss": 0.5}, r"loss must be in \[0, 0.2\], got 0.5"),
        ({"phase": "D"}, "phase 'D' is unknown; expected one of ABC"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"bus_1": 12, "bus_2": 22, "s_mva": 0.5}
    refuses(SoftOpenPoint, good, change, f"SoftOpenPoint between 12 and .*{message}|{message}")


def test_both_buses_must_be_there_and_have_the_phase() -> None:
    """The error names the end."""
    with pytest.raises(ValueError, match=r"sop_12_99_2: feeder case33bw has no bus '99'"):
        started(SoftOpenPoint(12, 99, 0.5))
    with pytest.raises(ValueError, match="sop_675_611_2: phase A needs A, but bus 611"):
        DistGrid3PhaseEnv(FEEDER3, [SoftOpenPoint("675", "611", 0.1, phase="A")])
    with pytest.raises(ValueError, match="SoftOpenPoint sits where its device is: leave out bus and phase"):
        place(SoftOpenPoint(12, 22, 0.5), bus=3)
