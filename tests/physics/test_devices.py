"""Device kernels: energy is conserved, limits bind exactly, rows of a batch do not mix."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid.envs.kernels.battery import battery_advance
from distgrid.envs.kernels.devices import scatter_add
from distgrid.envs.kernels.plants import available_power, pv_advance

Floats = NDArray[np.float64]
SUN = np.array([[0.0, 0.4], [0.8, 1.1]])  # (steps, sites)


@dataclass
class Cell:
    """Arguments of `battery_advance` for one row of `n` equal batteries, 0.2 MW and 0.4 MWh unless told."""

    n: int = 1
    p_max: float = 0.2
    s_max: float = 0.25
    ramp: float = math.inf
    e_min: float = 0.04
    e_max: float = 0.4
    eta_c: float = 0.95
    eta_d: float = 0.9
    dt_h: float = 0.25
    energy: Floats = field(default_factory=lambda: np.array([[0.2]]))
    p: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    q: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    throughput: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    stored: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    kept: float = 1.0
    worth_h: float | None = None  # None: all of the interval

    def advance(self, p_action: float, q_action: float = 0.0) -> None:
        """One interval with the action (p, q)."""
        battery_advance(
            np.array([[p_action, q_action]]),
            np.array([0]),
            np.array([1]),
            np.array([self.p_max]),
            np.array([self.s_max]),
            np.array([self.ramp]),
            np.array([self.e_min]),
            np.array([self.e_max]),
            np.array([self.eta_c]),
            np.array([self.eta_d]),
            np.array([self.kept]),
            np.array([self.dt_h if self.worth_h is None else self.worth_h]),
            self.dt_h,
            self.energy,
            self.p,
            self.q,
            self.throughput,
            self.stored,
        )


units = st.floats(-1.0, 1.0)
share = st.floats(0.0, 1.0)
efficiency = st.floats(0.05, 1.0)
cells = st.builds(
    lambda p_max, headroom, e_max, low, fill, eta_c, eta_d, dt_h: Cell(
        p_max=p_max,
        s_max=p_max * headroom,
        e_min=low * 0.9 * e_max,
        e_max=e_max,
        eta_c=eta_c,
        eta_d=eta_d,
        dt_h=dt_h,
        energy=np.array(
            [[min(max(low * 0.9 * e_max + fill * e_max * (1 - low * 0.9), low * 0.9 * e_max), e_max)]]
        ),
    ),
    st.floats(1e-3, 50.0),
    st.floats(1.0, 2.0),
    st.floats(1e-3, 100.0),
    share,
    share,
    efficiency,
    efficiency,
    st.sampled_from([1 / 60, 0.25, 1.0]),
)


@given(cells, st.lists(st.tuples(units, units), min_size=1, max_size=30))
def test_battery_keeps_its_bounds_and_its_energy(cell: Cell, actions: list[tuple[float, float]]) -> None:
    """Capability 48, Trap 21: the state of charge stays inside, and every MWh is accounted for to 1e-9."""
    for a, b in actions:
        before = float(cell.energy[0, 0])
        cell.advance(a, b)
        after, p, q = float(cell.energy[0, 0]), float(cell.p[0, 0]), float(cell.q[0, 0])
        assert cell.e_min <= after <= cell.e_max
        charge, discharge = max(-p, 0.0), max(p, 0.0)
        moved = (cell.eta_c * charge - discharge / cell.eta_d) * cell.dt_h
        assert abs(after - before - moved) <= 1e-9
        assert abs(p) <= cell.p_max
        assert p * a >= 0.0  # never the other way round
        assert p * p + q * q <= cell.s_max**2 * (1.0 + 1e-12)
        assert cell.throughput[0, 0] == abs(p) * cell.dt_h


@given(cells, units, units)
def test_asking_for_more_discharge_never_delivers_less(cell: Cell, a: float, b: float) -> None:
    """Trap 16: the map from request to power is monotone, and it is the identity until a limit binds."""
    low, high = sorted((a, b))
    start, power = cell.energy.copy(), []
    for action in (low, high):
        cell.energy, cell.p = start.copy(), np.zeros((1, 1))
        cell.advance(action)
        power.append(float(cell.p[0, 0]))
        if cell.e_min < cell.energy[0, 0] < cell.e_max:
            assert power[-1] == action * cell.p_max
    assert power[0] <= power[1]


def test_each_battery_limit_binds() -> None:
    """Capability 48: rating, ramp, energy at both ends, each in a case made for it."""
    rated = Cell()
    rated.advance(1.0)
    assert rated.p[0, 0] == 0.2
    assert rated.energy[0, 0] == 0.2 - 0.2 * 0.25 / 0.9

    ramped = Cell(ramp=0.05)
    ramped.advance(-1.0)
    assert ramped.p[0, 0] == -0.05
    ramped.advance(1.0)
    assert ramped.p[0, 0] == 0.0

    empty = Cell(energy=np.array([[0.06]]))
    empty.advance(1.0)
    assert empty.energy[0, 0] == empty.e_min
    np.testing.assert_allclose(empty.p, (0.06 - 0.04) * 0.9 / 0.25, rtol=1e-14)
    empty.advance(1.0)
    assert empty.p[0, 0] == 0.0

    full = Cell(energy=np.array([[0.38]]))
    full.advance(-1.0)
    assert full.energy[0, 0] == full.e_max
    np.testing.assert_allclose(full.p, -0.02 / (0.95 * 0.25), rtol=1e-14)


def test_battery_reactive_power_yields_to_active() -> None:
    """A 0.25 MVA inverter that discharges 0.2 MW has 0.15 MVAr left, whatever is asked."""
    cell = Cell()
    cell.advance(1.0, -1.0)
    np.testing.assert_allclose([cell.p[0, 0], cell.q[0, 0]], [0.2, -0.15], rtol=1e-14)
    cell.advance(0.0, 0.6)
    np.testing.assert_allclose([cell.p[0, 0], cell.q[0, 0]], [0.0, 0.15], rtol=1e-14)


def run_pv(
    action: list[float], step: int, *, reactive_first: bool, s_max: float = 1.0
) -> tuple[float, float, float]:
    """(P, Q, curtailed) of a 1 MW plant on site 1 with Q up to 0.44 MVAr."""
    available, p, q, curtailed = (np.zeros((1, 1)) for _ in range(4))
    pv_advance(
        np.array([action]),
        SUN,
        np.array([step]),
        np.array([1]),
        np.array([1.0]),
        np.array([0]),
        np.array([1]),
        np.array([s_max]),
        np.array([0.44]),
        np.array([reactive_first]),
        available,
        p,
        q,
        curtailed,
    )
    return float(p[0, 0]), float(q[0, 0]), float(curtailed[0, 0])


@given(units, units, st.sampled_from([0, 1]), st.booleans(), st.floats(0.44, 1.5))
def test_pv_stays_inside_its_circle(
    a: float, b: float, step: int, reactive_first: bool, s_max: float
) -> None:
    """P and Q never leave the circle, and what is not fed in is counted as curtailed."""
    p, q, curtailed = run_pv([a, b], step, reactive_first=reactive_first, s_max=s_max)
    offered = min(SUN[step, 1], s_max)
    assert p * p + q * q <= s_max**2 * (1.0 + 1e-12)
    assert 0.0 <= p <= offered
    assert curtailed == offered - p


def test_pv_curtails_the_right_way_round() -> None:
    """Trap 16: +1 passes everything, -1 nothing, 0 half; Q follows its action, at night too."""
    assert run_pv([1.0, 0.0], 0, reactive_first=True) == (0.4, 0.0, 0.0)
    assert run_pv([-1.0, 0.0], 0, reactive_first=True) == (0.0, 0.0, 0.4)
    assert run_pv([0.0, 0.5], 0, reactive_first=True) == (0.2, 0.22, 0.2)
    assert run_pv([-1.0, -1.0], 0, reactive_first=False) == (0.0, -0.44, 0.4)


def test_priority_decides_who_yields() -> None:
    """At full sun on a 1 MVA inverter either P gives way to Q = 0.44 or Q has nothing left."""
    p, q, curtailed = run_pv([1.0, 1.0], 1, reactive_first=True)
    np.testing.assert_allclose([p, q], [math.sqrt(1 - 0.44**2), 0.44], rtol=1e-14)
    np.testing.assert_allclose(curtailed, 1.0 - p, rtol=1e-14)
    assert run_pv([1.0, 1.0], 1, reactive_first=False) == (1.0, 0.0, 0.0)


def test_available_power_is_capped_by_the_inverter() -> None:
    """The panel may be larger than the inverter: 1.1 pu of sun on 1 MW passes 1.05 MVA."""
    out = np.empty((2, 2))
    sites, rating = np.array([0, 1]), np.array([1.0, 1.0])
    available_power(SUN, np.array([0, 1]), sites, rating, np.array([1.05, 1.05]), out)
    np.testing.assert_array_equal(out, [[0.0, 0.4], [0.8, 1.05]])


def test_actions_beyond_one_change_nothing() -> None:
    """Trap 16: no action, however large, drives a device past its rating."""
    cell = Cell()
    cell.advance(5.0, 0.0)
    assert cell.p[0, 0] == 0.2
    assert run_pv([9.0, 0.0], 0, reactive_first=True)[0] == 0.4


def test_scatter_adds_units_that_share_a_node() -> None:
    """Capability 94: the sum of the resources is what appears at the bus."""
    p, q = np.array([[1.0, 2.0, 4.0]]), np.array([[0.5, 0.25, -1.0]])
    p_node, q_node = np.ones((1, 4)), np.zeros((1, 4))
    scatter_add(p, q, np.array([2, 0, 2]), p_node, q_node)
    np.testing.assert_array_equal(p_node, [[3.0, 1.0, 6.0, 1.0]])
    np.testing.assert_array_equal(q_node, [[0.25, 0.0, -0.5, 0.0]])
