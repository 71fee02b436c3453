"""A resource of the user's own, in plain NumPy, does everything that the built-in ones do."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases
from distgrid.envs.resources import Battery, BindContext, Entry, Exogenous, Fleet, Resource, place

FEEDER = cases.load("case33bw")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class ShuntLoad(Resource):
    """A constant-impedance load with a dimmer, and a counter of the energy it has drawn."""

    kind = "shunt"
    max_cost_per_step = 1.0

    def __init__(self, buses: list[int], p_mw: float) -> None:
        super().__init__(
            buses, s_mva=p_mw * 1.3, actions=("dim",), observations=(Entry("drawn_mwh", "MWh", 0.0, 1e4),)
        )
        self.p_mw = p_mw

    def bind(self, ctx: BindContext) -> None:
        super().bind(ctx)
        self.drawn_mwh = np.zeros((ctx.batch, self.n_units))

    def reset(self, rows: Ints, rngs: object) -> None:
        super().reset(rows, [])
        self.drawn_mwh[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.current_p_mw[:] = -self.p_mw * 0.5 * (action + 1.0) * exo.v_pu**2
        self.drawn_mwh -= self.current_p_mw * exo.dt_h

    def observe(self, t_index: Ints, out: NDArray[np.floating]) -> None:
        out[:] = self.drawn_mwh

    def costs(self) -> dict[str, Floats]:
        return {"discomfort": 1.0 + self.current_p_mw.sum(axis=1) / (self.p_mw * self.n_units * 1.3)}

    def state(self) -> dict[str, Floats]:
        return {**super().state(), "drawn_mwh": self.drawn_mwh}


def started(*resources: Resource | Battery, batch: int = 1) -> Fleet:
    fleet = Fleet(resources, FEEDER)
    fleet.bind(batch, 0.25, None)
    fleet.reset(np.arange(batch), [np.random.default_rng(row) for row in range(batch)])
    return fleet


def test_an_own_resource_works_beside_the_built_in_ones() -> None:
    """Capability 94: actions, observations, voltages, costs, injections and names of a NumPy subclass."""
    fleet = started(Battery(18, 0.2, 0.8), ShuntLoad([7, 30], p_mw=0.1), batch=2)
    assert [d.name for d in fleet.action_dims] == ["battery_18.p", "shunt_7.dim", "shunt_30.dim"]
    assert fleet.observation_blocks == {"battery.soc": slice(0, 1), "shunt.drawn_mwh": slice(1, 3)}
    v = np.ones((2, FEEDER.n_nodes))
    v[1, FEEDER.node_index["30"]] = 0.9
    fleet.advance(np.array([[0.5, 1.0, 0.0], [0.5, -1.0, 1.0]]), np.zeros(2, dtype=np.int64), v)
    np.testing.assert_allclose(fleet.delivered_p_mw, [[0.1, -0.1, -0.05], [0.1, 0.0, -0.081]])
    out = fleet.observe(np.zeros(2, dtype=np.int64))
    np.testing.assert_allclose(out[:, 1:], [[0.025, 0.0125], [0.0, 0.02025]])
    p_node, q_node = np.zeros((2, FEEDER.n_nodes)), np.zeros((2, FEEDER.n_nodes))
    fleet.add_injections(p_node, q_node)
    np.testing.assert_allclose(p_node.sum(axis=1), fleet.delivered_p_mw.sum(axis=1))
    np.testing.assert_allclose(p_node[1, FEEDER.node_index["30"]], -0.081)
    np.testing.assert_allclose(fleet.costs()["shunt.discomfort"], [1 - 0.15 / 0.26, 1 - 0.081 / 0.26])
    assert fleet.max_cost_per_step == 1.0
    assert [u.s_mva for u in fleet.units("shunt")] == [0.13, 0.13]


def test_an_own_resource_saves_and_restores() -> None:
    fleet = started(ShuntLoad([7], p_mw=0.1))
    v, t = np.ones((1, FEEDER.n_nodes)), np.zeros(1, dtype=np.int64)
    fleet.advance(np.ones((1, 1)), t, v)
    saved = fleet.state()
    fleet.advance(np.ones((1, 1)), t, v)
    later = fleet.state()
    fleet.load_state(saved)
    assert fleet.state()["shunt.drawn_mwh"].tolist() == saved["shunt.drawn_mwh"].tolist()
    fleet.advance(np.ones((1, 1)), t, v)
    assert all(np.array_equal(fleet.state()[k], later[k]) for k in later)


def test_one_instance_serves_many_environments() -> None:
    """Trap 25a: no state is shared between environments that were given the same object."""
    mine = ShuntLoad([7], p_mw=0.1)
    first, second = started(mine), started(mine)
    first.advance(np.ones((1, 1)), np.zeros(1, dtype=np.int64), np.ones((1, FEEDER.n_nodes)))
    assert first.state()["shunt.drawn_mwh"][0, 0] > 0.0
    assert second.state()["shunt.drawn_mwh"][0, 0] == 0.0


def test_voltages_are_asked_for_when_they_are_read() -> None:
    fleet = started(ShuntLoad([7], p_mw=0.1))
    with pytest.raises(ValueError, match="shunt_7 reads voltages"):
        fleet.advance(np.ones((1, 1)), np.zeros(1, dtype=np.int64))


class Assigns(ShuntLoad):
    """Puts new arrays in place of those it was given."""

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.current_p_mw = -self.p_mw * 0.5 * (action + 1.0)
        self.current_q_mvar = 0.1 * self.current_p_mw


@pytest.mark.parametrize("kind", [ShuntLoad, Assigns])
def test_what_a_resource_says_flows_is_what_is_delivered(kind: type[ShuntLoad]) -> None:
    """Whether it fills the arrays or assigns new ones, in a copy of the fleet and after a reset too."""
    original = started(Battery(18, 0.2, 0.8), kind([7, 30], p_mw=0.1), batch=2)
    t, v = np.zeros(2, dtype=np.int64), np.ones((2, FEEDER.n_nodes))
    for fleet in (original, copy.deepcopy(original)):
        for action in ([[0.5, 1.0, 0.0], [0.5, -1.0, 1.0]], [[-1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]):
            fleet.advance(np.array(action), t, v)
            p, q = (np.concatenate(parts, axis=1) for parts in _flows(fleet))
            np.testing.assert_array_equal(fleet.delivered_p_mw, p)
            np.testing.assert_array_equal(fleet.delivered_q_mvar, q)
            assert (np.abs(p).sum(axis=1) > 0.0).all()
        fleet.reset(np.array([0]), [np.random.default_rng(0)])
        np.testing.assert_array_equal(fleet.delivered_p_mw, [[0.0] * 3, p[1]])


def _flows(fleet: Fleet) -> tuple[list[Floats], list[Floats]]:
    return [x.current_p_mw for x in fleet.programs], [x.current_q_mvar for x in fleet.programs]


class Greedy(ShuntLoad):
    """Costs without a bound that holds."""

    max_cost_per_step = 0.1


class Pays(ShuntLoad):
    """A negative cost."""

    def costs(self) -> dict[str, Floats]:
        return {"gift": -np.ones(1)}


class Forgot(Resource):
    """No arrays."""

    def bind(self, ctx: BindContext) -> None:
        pass

    def advance(self, action: Floats, exo: Exogenous) -> None:
        pass


class Misnamed(ShuntLoad):
    """An action that belongs to no unit."""

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("knob",)


def test_mistakes_of_a_subclass_are_explained() -> None:
    """Trap 20: costs are non-negative and bounded; a missing super().bind is found before the first step."""
    t, v = np.zeros(1, dtype=np.int64), np.ones((1, FEEDER.n_nodes))
    fleet = started(Greedy([7], p_mw=0.1))
    fleet.advance(-np.ones((1, 1)), t, v)
    with pytest.raises(ValueError, match=r"above its max_cost_per_step 0\.1"):
        fleet.costs()
    with pytest.raises(ValueError, match="'gift' must be"):
        started(Pays([7], p_mw=0.1)).costs()
    with pytest.raises(ValueError, match=r"call super\(\)\.bind"):
        started(Forgot([7], s_mva=1.0))
    with pytest.raises(ValueError, match=r"'knob' must read 'unit\.quantity'"):
        Fleet([Misnamed([7], p_mw=0.1)], FEEDER)


def test_arguments_of_the_base_class_are_checked() -> None:
    with pytest.raises(ValueError, match="has no units"):
        Forgot([], s_mva=1.0)
    with pytest.raises(ValueError, match="1 names for 2 buses"):
        Forgot([7, 8], s_mva=1.0, names=["a"])
    with pytest.raises(ValueError, match="s_mva must be positive and finite"):
        Forgot([7], s_mva=float("inf"))


def test_place_moves_a_copy() -> None:
    """What `register_resource(resource, bus=…)` stands on."""
    battery, load = Battery(18, 0.2, 0.8), ShuntLoad([7], p_mw=0.1)
    moved = place(battery, bus=25)
    assert isinstance(moved, Battery)
    assert (moved.bus, battery.bus) == ("25", "18")
    assert place(battery) is battery
    other = place(load, bus=30, phase="ABC")
    assert isinstance(other, ShuntLoad)
    assert (other.buses, load.buses) == (("30",), ("7",))
    assert started(other).names == ("shunt_30",)
    with pytest.raises(ValueError, match="has 2 units"):
        place(ShuntLoad([7, 30], p_mw=0.1), bus=8)
