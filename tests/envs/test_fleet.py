"""The fleet: one order of units, one action vector, rows that do not mix, states that restore exactly."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid import cases
from distgrid.envs.resources import PV, Battery, Fleet
from distgrid.envs.resources.pv import N_SITES

FEEDER = cases.load("case33bw")
SPECS = (
    PV(25, 0.6, controls="pq"),
    Battery(18, 0.2, 0.5, controls="pq", s_mva=0.25),
    PV(18, 0.4, s_mva=0.3, priority="active"),
    Battery(30, 0.3, 0.4, soc_init=(0.1, 0.9), ramp_mw_per_h=0.5),
    PV(33, 0.2, controls="p"),
)


@dataclasses.dataclass(frozen=True)
class Sun:
    """A seeded sky of 40 intervals."""

    pv: NDArray[np.float64]


SKY = Sun(np.random.default_rng(7).uniform(0.0, 1.1, (40, N_SITES)))


def started(batch: int, first_row: int = 0) -> Fleet:
    """The mixed fleet; row i is seeded with first_row + i, as in a batch that begins earlier."""
    fleet = Fleet(SPECS, FEEDER)
    fleet.bind(batch, 0.25, SKY)
    fleet.reset(np.arange(batch), [np.random.default_rng(first_row + row) for row in range(batch)])
    return fleet


def test_units_follow_the_order_of_kinds() -> None:
    """Kinds in order of first appearance, units within in the order given, the same order everywhere."""
    fleet = Fleet(SPECS, FEEDER, obs_offset=10)
    assert fleet.names == ("pv_25", "pv_18", "pv_33", "battery_18", "battery_30")
    assert [u.name for u in fleet.units()] == list(fleet.names)
    assert [u.index for u in fleet.units("battery")] == [3, 4]
    assert [d.name for d in fleet.action_dims] == [
        "pv_25.p", "pv_25.q", "pv_18.q", "pv_33.p", "battery_18.p", "battery_18.q", "battery_30.p",
    ]  # fmt: skip
    assert [d.index for d in fleet.action_dims] == list(range(7))
    assert fleet.neutral_action.tolist() == [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    for unit in fleet.units():
        for column in (unit.action_p, unit.action_q):
            assert column is None or fleet.action_dims[column].resource_name == unit.name
        for quantity, column in unit.observation.items():
            assert fleet.observation_entries[column - 10].name == f"{unit.name}.{quantity}"
    assert list(fleet.observation_blocks) == ["pv.p_avail_mw", "battery.soc", "battery.p_mw"]


def test_every_action_dimension_has_an_effect() -> None:
    """Trap 15: moving any one entry changes what is delivered by exactly that unit."""
    fleet = started(1)
    saved = fleet.state()

    def deliver(action: NDArray[np.float64]) -> NDArray[np.float64]:
        out = []
        for t in range(5):  # where the sun fills the inverter, "active" priority leaves no Q
            fleet.load_state(saved)
            fleet.advance(action[None], np.array([t]))
            out += [fleet.delivered_p_mw[0].copy(), fleet.delivered_q_mvar[0].copy()]
        return np.stack(out)

    base = deliver(fleet.neutral_action)
    units = {u.name: u.index for u in fleet.units()}
    for dim in fleet.action_dims:
        action = fleet.neutral_action.copy()
        action[dim.index] = -0.5
        changed = np.flatnonzero((deliver(action) != base).any(axis=0))
        assert changed.tolist() == [units[dim.resource_name]], dim.name


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_row_of_a_batch_is_that_row_alone(seed: int) -> None:
    """Bit for bit, through resets in between: rows never influence each other."""
    rng = np.random.default_rng(seed)
    batch, fleet, alone = 5, started(5), [started(1, row) for row in range(5)]
    for step in range(6):
        action = rng.uniform(-1.0, 1.0, (batch, fleet.n_actions)).astype(np.float32)
        t = rng.integers(0, 40, batch)
        fleet.advance(action, t)
        if step == 3:
            rows = np.array([1, 4])
            fleet.reset(rows, [np.random.default_rng(100 + int(r)) for r in rows])
        p_node, q_node = np.zeros((batch, FEEDER.n_nodes)), np.zeros((batch, FEEDER.n_nodes))
        fleet.add_injections(p_node, q_node)
        seen = fleet.observe(t)
        for row, single in enumerate(alone):
            single.advance(action[row : row + 1], t[row : row + 1])
            if step == 3 and row in (1, 4):
                single.reset(np.array([0]), [np.random.default_rng(100 + row)])
            p_one, q_one = np.zeros((1, 33)), np.zeros((1, 33))
            single.add_injections(p_one, q_one)
            seen_one = single.observe(t[row : row + 1])
            for many, one in ((p_node, p_one), (q_node, q_one), (seen, seen_one)):
                assert many[row].tobytes() == one[0].tobytes()
            assert fleet.accounts.total("throughput_mwh")[row] == single.accounts.total("throughput_mwh")[0]
            assert fleet.accounts.total("curtailed_mw")[row] == single.accounts.total("curtailed_mw")[0]


@given(st.lists(st.lists(st.floats(-1.0, 1.0), min_size=7, max_size=7), min_size=1, max_size=8))
def test_nothing_observed_or_delivered_leaves_its_bounds(actions: list[list[float]]) -> None:
    """Trap 25a: observations inside their declared bounds, |S| within what the reward bound relies on."""
    fleet = started(1)
    low = np.array([e.low for e in fleet.observation_entries])
    high = np.array([e.high for e in fleet.observation_entries])
    for step, action in enumerate(actions):
        fleet.advance(np.array([action]), np.array([step]))
        seen = fleet.observe(np.array([step + 1]))
        assert (seen >= low).all()
        assert (seen <= high).all()
        s = np.hypot(fleet.delivered_p_mw, fleet.delivered_q_mvar)
        assert (s <= fleet.max_apparent_mva * (1.0 + 1e-12)).all()
        assert fleet.accounts.total("curtailed_mw")[0] >= -1e-15
        assert fleet.costs() == {}


def test_state_restores_exactly_and_is_a_copy() -> None:
    """What follows a restored state has the same bits; a saved state does not change under later steps."""
    rng = np.random.default_rng(1)
    fleet = started(3)
    actions, t = rng.uniform(-1.0, 1.0, (6, 3, fleet.n_actions)), np.array([1, 2, 3])
    fleet.advance(actions[0], t)
    saved = fleet.state()
    frozen = {name: array.copy() for name, array in saved.items()}
    trace = []
    for _ in range(2):
        for action in actions[1:]:
            fleet.advance(action, t)
        trace.append({**fleet.state(), "p": fleet.delivered_p_mw.copy()})
        fleet.load_state(saved)
        assert fleet.delivered_p_mw.tobytes() == fleet_p(saved).tobytes()
    assert all(trace[0][k].tobytes() == trace[1][k].tobytes() for k in trace[0])
    assert all(saved[k].tobytes() == frozen[k].tobytes() for k in frozen)


def fleet_p(state: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Delivered power as a saved state knows it."""
    return np.concatenate([state["pv.current_p_mw"], state["battery.current_p_mw"]], axis=1)


def test_a_state_of_another_fleet_is_refused_whole() -> None:
    fleet = started(2)
    state = fleet.state()
    with pytest.raises(ValueError, match=r"another fleet .*battery.soc_mwh"):
        fleet.load_state({k: v for k, v in state.items() if k != "battery.soc_mwh"})
    with pytest.raises(ValueError, match=r"shape \(3, "):
        fleet.load_state(started(3).state())
    assert all(np.array_equal(fleet.state()[k], state[k]) for k in state)


def test_copies_go_their_own_way() -> None:
    """deepcopy and pickle (worker processes) give working fleets that share nothing that changes."""
    fleet = started(1)
    for twin in (copy.deepcopy(fleet), pickle.loads(pickle.dumps(fleet))):  # noqa: S301 -- our own bytes
        before = fleet.state()
        twin.advance(-np.ones((1, 7)), np.array([3]))
        assert all(np.array_equal(fleet.state()[k], before[k]) for k in before)
        assert twin.delivered_p_mw[0, 3] == -0.2
        assert fleet.delivered_p_mw[0, 3] == 0.0


def test_names() -> None:
    """Default names get #2 where they are taken; given ones must be unique."""
    two = [Battery(18, 0.2, 0.5), Battery(18, 0.2, 0.5), PV(18, 0.1, name="battery_18#2")]
    assert Fleet(two, FEEDER).names == ("battery_18", "battery_18#3", "battery_18#2")
    with pytest.raises(ValueError, match="used more than once: roof"):
        Fleet([PV(18, 0.1, name="roof"), Battery(18, 0.1, 0.1, name="roof")], FEEDER)


def test_unknown_bus_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"battery_180: feeder case33bw has no bus '180'; did you mean 18"):
        Fleet([Battery(180, 0.2, 0.5)], FEEDER)
    with pytest.raises(TypeError, match="resource 0 is dict"):
        Fleet(cast(Any, [{"bus": 18}]), FEEDER)


@dataclasses.dataclass(frozen=True)
class TwoBuses:
    """As much of a feeder as a fleet looks at: bus "b" has phase B only."""

    name: str = "two"
    phases: str = "balanced"
    node_index: Mapping[str, int] = dataclasses.field(default_factory=lambda: {"a": 0, "b": 1})

    def column(self, table: str, name: str) -> NDArray[np.object_]:
        return np.array(["ABC", "B"], dtype=object)


def test_phase_must_exist_at_the_bus() -> None:
    """Capability 110: a resource on a phase that its bus lacks is an error, not a silent no-op."""
    feeder = cast(Any, TwoBuses())
    assert [u.phase for u in Fleet([PV("b", 0.1, phase="B"), PV("a", 0.1)], feeder).units()] == ["B", "ABC"]
    with pytest.raises(ValueError, match="phase ABC needs A, C, but bus b of feeder two has phase B"):
        Fleet([PV("b", 0.1)], feeder)


def test_apparent_power_adds_up_by_node() -> None:
    """What bounds the worst reward: bus 18 carries a 0.25 MVA battery and a 0.3 MVA inverter."""
    total = Fleet(SPECS, FEEDER).s_mva_by_column()
    assert total.shape == (FEEDER.n_nodes,)
    np.testing.assert_allclose(total[FEEDER.node_index["18"]], 0.55)
    np.testing.assert_allclose(total.sum(), 0.66 + 0.25 + 0.3 + 0.3 + 0.22)


def test_an_empty_fleet_is_a_fleet() -> None:
    fleet = Fleet([], FEEDER)
    fleet.bind(2, 0.25, None)
    fleet.reset(np.arange(2), [np.random.default_rng(0)] * 2)
    fleet.advance(np.zeros((2, 0)), np.zeros(2, dtype=np.int64))
    p_node = np.zeros((2, FEEDER.n_nodes))
    fleet.add_injections(p_node, p_node.copy())
    assert not p_node.any()
    assert (fleet.n_actions, fleet.n_observations, fleet.units()) == (0, 0, ())
    assert fleet.accounts.total("throughput_mwh").tolist() == [0.0, 0.0]
