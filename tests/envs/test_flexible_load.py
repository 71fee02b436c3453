"""Flexible load: every MWh that is taken away comes back in time, and never is more taken than is there."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid.envs import Battery, DistGrid3PhaseEnv, DistGridEnv, Exogenous, FlexibleLoad, Resource
from distgrid.envs.resources import Fleet

from .faces import check_faces, refuses
from .world import FEEDER, FEEDER3, NODES, flat_load

Floats = NDArray[np.float64]
GRID: Any = SimpleNamespace(names=SimpleNamespace(load=tuple(NODES)))


def started(*specs: FlexibleLoad, dt_h: float = 0.25) -> Fleet:
    """A fleet of one row, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(1, dt_h, None, GRID)
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    return fleet


def act(fleet: Fleet, action: Any, t: int, load_mw: float = 1.0) -> float:
    """One interval under a load of so much at every node; the power that was delivered by the first unit."""
    load = np.full((1, len(NODES)), load_mw)
    fleet.advance(np.atleast_2d(np.asarray(action, dtype=np.float64)), np.array([t]), None, load)
    return float(fleet.delivered_p_mw[0, 0])


windows = st.sampled_from([{"window_h": 6.0}, {"window_h": 1.0}, {"return_h": 3.0}, {"return_h": 0.6}])


@settings(max_examples=60)
@given(
    windows, st.floats(0.01, 0.2), st.floats(0.01, 0.3), st.floats(0.0, 0.1), st.floats(0.1, 1.0),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.05, 0.4)), min_size=1, max_size=60),
    st.integers(0, 95),
)  # fmt: skip
def test_what_is_taken_is_returned_in_its_window(
    window: dict[str, Any], shift: float, back: float, curtail: float, share: float,
    plan: list[tuple[float, float, float]], start: int,
) -> None:  # fmt: skip
    """Capability 57, Trap 21: to 1e-9 in every interval, within ratings and the load that is there."""
    priced: dict[str, Any] = {"curtail_cost_per_mwh": 400.0} if curtail else {}
    spec = FlexibleLoad(
        18, curtail, shift, return_mw=back, share=share, shift_cost_per_mwh=7.0, **priced, **window
    )
    fleet = started(spec)
    rolling, steps = "return_h" in window, math.floor(spec.hours / 0.25 + 1e-9)
    owed, opened = 0.0, -1
    for k, (a, c, load) in enumerate(plan):
        t = start + k
        p = act(fleet, [a, c] if curtail else [a], t, load)
        account = {name: fleet.accounts.total(name)[0] for name in fleet.accounts.written}
        taken, cut, after = account["shifted_mwh"], account["load_curtailed_mw"], account["owed_mwh"]
        returned = taken + 0.25 * cut - 0.25 * p
        assert after - owed == pytest.approx(taken - returned, abs=1e-9)
        assert taken + 0.25 * cut <= 0.25 * share * max(load, 0.0) + 1e-12
        assert taken <= 0.25 * shift + 1e-12
        assert 0.0 <= cut <= curtail
        assert -1e-12 <= returned <= 0.25 * back * (1.0 + 1e-12)
        assert 0.0 <= after <= spec.most_owed_mwh + 1e-12
        assert account["discomfort_cost"] == pytest.approx(7.0 * taken)
        assert account["curtailment_cost"] == pytest.approx(100.0 * cut)
        if rolling and owed == 0.0 < after:
            opened = k
        closes = k == opened + steps - 1 if rolling else (t + 1) % steps == 0
        if closes:
            assert after == 0.0, "nothing is owed when the window closes"
        owed = after


def test_a_request_is_cut_to_what_can_be_returned() -> None:
    """Trap 17: two of four hours at full power can be returned in the rest; that is forced, at the rating."""
    fleet = started(FlexibleLoad(18, shift_mw=0.1, window_h=4.0))
    powers = [act(fleet, [1.0], t) for t in range(16)]
    np.testing.assert_allclose(powers, [0.1] * 8 + [-0.1] * 8, atol=1e-9)
    assert fleet.accounts.total("owed_mwh")[0] == 0.0
    slow = started(FlexibleLoad(18, shift_mw=0.1, return_mw=0.02, return_h=3.0))
    powers = [act(slow, [1.0], t) for t in range(7, 19)]
    np.testing.assert_allclose(powers, [0.1, 0.1, *[-0.02] * 10], atol=1e-9)
    assert act(slow, [1.0], 19) == pytest.approx(0.1), "returned in full: the next window opens"


def test_a_rolling_window_closes_early_when_all_is_returned() -> None:
    """Observed: what is owed, and the hours until it must be back."""
    fleet = started(FlexibleLoad(18, shift_mw=0.1, return_h=2.0))
    seen: list[Any] = []
    for t, a in enumerate([0.5, 0.0, -1.0, 0.0, 0.5]):
        seen.append(fleet.observe(np.array([t]))[0].tolist())
        act(fleet, [a], t)
    np.testing.assert_allclose(
        seen, np.array([[0, 0], [0.0125, 1.75], [0.0125, 1.5], [0, 0], [0, 0]]), atol=1e-12
    )
    fixed = started(FlexibleLoad(18, shift_mw=0.1, window_h=6.0))
    assert [fixed.observe(np.array([t]))[0, 1] for t in (0, 1, 23, 24, 95)] == [6.0, 5.75, 0.25, 6.0, 0.25]


def test_curtailed_load_is_charged_once() -> None:
    """Trap 18: at its own price, not as load that a task has not served; Q goes along."""
    env = DistGridEnv(
        FEEDER, [FlexibleLoad(18, 0.05, curtail_cost_per_mwh=300.0, power_factor=0.8)], load=flat_load()
    )
    env.reset(seed=0)
    *_, info = env.step([0.0])
    assert info["delivered"]["p_mw"].tolist() == [0.025]
    assert info["delivered"]["q_mvar"] == pytest.approx([0.025 * 0.75])
    assert info["costs"]["flexible_load.curtailment"] == pytest.approx(0.025 * 0.25 * 300.0)
    assert (
        info["costs"]["flexible_load.discomfort"] == info["costs"]["unserved"] == info["unserved_MW"] == 0.0
    )


def test_doing_nothing_changes_nothing() -> None:
    """The neutral action leaves the grid as it is without the device."""
    device = FlexibleLoad(18, 0.05, 0.05, curtail_cost_per_mwh=300.0, return_h=2.0)
    env, bare = DistGridEnv(FEEDER, [device]), DistGridEnv(FEEDER, [Battery(18, 0.1, 0.1)])
    for each in (env, bare):
        each.reset(seed=0, options={"day": 9})
    for _ in range(5):
        info, other = env.step(env.neutral_action)[-1], bare.step(bare.neutral_action)[-1]
        np.testing.assert_array_equal(info["voltages"], other["voltages"])


def test_each_phase_gives_alike() -> None:
    """On ABC three times the least load of the phases; a leg gives what stands on it, a phase its own."""
    loads = {"A": 0.1, "B": 0.2, "C": 0.4, "AB": 0.3, "BC": 0.3, "CA": 0.5}
    names = tuple(f"671.{phase}" for phase in loads)
    specs = [
        FlexibleLoad("671", 9.0, curtail_cost_per_mwh=1.0, phase=phase, share=0.5, name=phase)
        for phase in ("ABC", "A", "BC")
    ]
    fleet = Fleet(specs, FEEDER3)
    fleet.bind(1, 0.25, None, SimpleNamespace(names=SimpleNamespace(load=names)))
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    fleet.advance(np.ones((1, 3)), np.zeros(1, dtype=np.int64), None, np.array([list(loads.values())]))
    np.testing.assert_allclose(fleet.delivered_p_mw, [[0.5 * (0.3 + 0.9), 0.05, 0.15]], rtol=1e-15)


def test_rows_of_every_face_are_alike() -> None:
    """Trap 25b: balanced and per phase, with states that are restored and bounds that hold."""
    fixed = FlexibleLoad(25, 0.1, 0.2, curtail_cost_per_mwh=90.0, window_h=6.0, share=0.4)
    check_faces([FlexibleLoad(18, shift_mw=0.03, return_h=2.0, shift_cost_per_mwh=5.0), fixed])
    at_phase = FlexibleLoad("645", 0.1, 0.02, curtail_cost_per_mwh=90.0, window_h=2.0, phase="B")
    check_faces(
        [FlexibleLoad("671", shift_mw=0.3, return_h=1.5), at_phase], case=FEEDER3, phased=True, steps=15
    )


def test_a_planner_is_told_when_the_window_closes() -> None:
    """Of the open rolling window, of fixed ones, and where the load stands that bounds both."""
    env = DistGridEnv(
        FEEDER, [FlexibleLoad(18, shift_mw=0.05, return_h=1.0), FlexibleLoad(25, shift_mw=0.05, window_h=2.0)]
    )
    env.reset(seed=0)
    env.step([1.0, 1.0])
    told = env.scenario.window(horizon=8).outlooks["flexible_load"].flexibility
    assert told is not None
    assert np.argwhere(told.closes).tolist() == [[2, 0], [6, 1]]
    assert [int(group[0]) for (group,) in told.columns] == [NODES.index("18"), NODES.index("25")]
    np.testing.assert_array_equal(told.owed_mwh, env.fleet.accounts["owed_mwh"][0])
    for _ in range(3):
        env.step([1.0, 1.0])
    assert env.fleet.accounts["owed_mwh"][0, 0] == 0.0


class Mirror(Resource):
    """Supplies the load at its bus."""

    kind = "mirror"
    uses_voltage = False
    uses_load: ClassVar[bool] = True

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.current_p_mw[:] = exo.load_mw


@pytest.mark.parametrize("phased", [False, True])
def test_a_device_of_ones_own_reads_the_load(phased: bool) -> None:
    """That of the interval it acts in, also of the one before the first: slack power falls by it."""
    feeder, bus, phase = (FEEDER3, "611", "C") if phased else (FEEDER, "18", "ABC")
    face = DistGrid3PhaseEnv if phased else DistGridEnv
    env = face(feeder, [Mirror([bus], s_mva=1.0, phases=phase, actions=("none",))])
    column = env.scenario.fleet._slots[0].load
    env.reset(seed=0, options={"day": 20})
    assert column is not None
    for _ in range(3):
        load = env.scenario.window(horizon=1).load_p_mw[0, column.columns[0][0]]
        assert load > 0.0
        *_, info = env.step(np.zeros(1, dtype=np.float32))
        assert info["delivered"]["p_mw"].tolist() == [load]
    before = env.reset(seed=0, options={"day": 20})[1]["delivered"]["p_mw"]
    assert before.tolist() == [0.0], "it has not acted yet"
    opened = env.grid.stepper.inject_p_mw.sum()
    earlier = env.scenario.window(start=96 * 20 - 1, horizon=1).load_p_mw[0, column.columns[0][0]]
    assert opened == earlier


GOOD = {"bus": 18, "curtail_mw": 0.1, "curtail_cost_per_mwh": 9.0, "shift_mw": 0.1, "return_h": 2.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curtail_mw": -1.0}, "curtail_mw must be at least 0, got -1.0"),
        ({"shift_mw": math.nan}, "shift_mw must be a finite number, got nan"),
        ({"curtail_mw": 0.0, "shift_mw": 0.0, "return_h": None}, "both 0; one must be greater than 0"),
        ({"curtail_cost_per_mwh": None}, "curtail_cost_per_mwh must be greater than 0, got None"),
        ({"curtail_cost_per_mwh": 0.0}, "curtail_cost_per_mwh must be greater than 0, got 0.0"),
        ({"shift_cost_per_mwh": -0.1}, "shift_cost_per_mwh must be at least 0"),
        ({"return_h": None}, "give one of window_h and return_h, got neither: .* would never close"),
        ({"window_h": 6.0}, "give one of window_h and return_h, got both"),
        ({"return_h": math.inf}, "return_h must be a finite number, got inf"),
        ({"return_h": None, "window_h": 5.0}, "window_h must divide the 24 hours of a day, got 5.0"),
        ({"return_h": None, "window_h": 48.0}, "window_h must divide the 24 hours of a day, got 48.0"),
        ({"shift_mw": 0.0}, "return_h is for load that is shifted, but shift_mw is 0"),
        ({"return_mw": 0.0}, "return_mw must be greater than 0"),
        ({"share": 1.5}, r"share must be in \(0, 1\], got 1.5"),
        ({"power_factor": 0.0}, r"power_factor must be in \(0, 1\], got 0.0"),
        ({"phase": "X"}, "phase 'X' is unknown; expected one of ABC"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    """Name, value and what was expected; a window that never closes among them."""
    refuses(FlexibleLoad, GOOD, change, f"FlexibleLoad at bus 18: .*{message}|{message}")


def test_places_and_steps_that_cannot_be_are_refused() -> None:
    """A phase without load, a phase that the bus lacks, more than all of a load, windows of one interval."""

    def attached(*devices: FlexibleLoad) -> None:
        DistGrid3PhaseEnv(FEEDER3, devices)

    with pytest.raises(
        ValueError, match="flexible_load_633: bus 633 of feeder ieee13 has no load on phase A"
    ):
        attached(FlexibleLoad("633", shift_mw=0.1, return_h=2.0, phase="A"))
    with pytest.raises(ValueError, match="phase A needs A, but bus 611"):
        attached(FlexibleLoad("611", shift_mw=0.1, return_h=2.0, phase="A"))
    with pytest.raises(
        ValueError, match=r"bus 671: the shares of the units on phase AB there add up to 1\.5"
    ):
        attached(
            FlexibleLoad("671", shift_mw=0.1, return_h=2.0, share=0.5),
            FlexibleLoad("671", shift_mw=0.1, return_h=2.0, phase="AB"),
        )
    with pytest.raises(ValueError, match=r"return_h must be two intervals of 0\.25 h or more, .* got 0\.25"):
        started(FlexibleLoad(18, shift_mw=0.1, return_h=0.25))
    with pytest.raises(ValueError, match="window_h must be a whole number of intervals"):
        started(FlexibleLoad(18, shift_mw=0.1, window_h=0.6))
    fleet = started(FlexibleLoad(18, shift_mw=0.1, return_h=1.0))
    with pytest.raises(ValueError, match="flexible_load_18 reads the load: pass load_p_mw"):
        fleet.advance(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))
    with pytest.raises(ValueError, match="reads the load at its bus: bind it with a grid"):
        Fleet([FlexibleLoad(18, shift_mw=0.1, return_h=1.0)], FEEDER).bind(1, 0.25, None)
