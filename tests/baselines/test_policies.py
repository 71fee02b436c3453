"""Policies as users meet them: observation in, action out, single or batch, reset between episodes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distgrid import baselines
from distgrid.baselines import registry
from distgrid.baselines.errors import RunError
from distgrid.baselines.scripted.fuzzy import FuzzyVoltVar
from distgrid.baselines.scripted.vde4105 import QMAX_PER_PINST, PowerFactor4105, VoltVar4105
from distgrid.baselines.scripted.volt_var import IEEE1547_A, IEEE1547_B, PiecewiseVoltVar

#: The relays of regulators are tested with their own feeders.
#: Nothing to control here: files of their own.
ELSEWHERE = (
    "local-control", "ev-asap", "ev-valley-filling", "ev-cheapest", "host-nearest", "host-sweep",
    "host-bisection", "battery-price", "peak-shave", "track-setpoint", "optimal", "mpc", "mpc-perfect",
    "regulator-local", "droop-optimised", "vvo-optimal", "vvo-plan", "schedule-optimal", "self-consumption",
)  # fmt: skip
CATALOGUE = [name for name in registry.CATALOGUE if name not in ELSEWHERE]
VOLT_VAR = [n for n in CATALOGUE if n.startswith("volt-var")]
LOCAL = [n for n in CATALOGUE if n not in ("do-nothing", "random")]


def settle(policy: Any, obs: Any) -> Any:
    """The action after the damping has died out, at a constant observation."""
    policy.reset(obs, {})
    for _ in range(60):
        action = policy.act(obs, {})
    return action


@pytest.mark.parametrize("name", CATALOGUE)
def test_action_has_shape_type_and_bounds(name: str, fake_grid: Any) -> None:
    """Contract of `Policy`: float32, in [-1, 1], (n_action,) for one row, (rows, n_action) for a batch."""
    rng = np.random.default_rng(1)
    policy = baselines.make(name, fake_grid)
    for rows in ((), (1,), (5,)):
        obs = fake_grid.observation(rng.uniform(0.8, 1.2, (*rows, 5)), rng.uniform(0.0, 1.0, (*rows, 3)))
        policy.reset(obs, {})
        for _ in range(3):
            action = policy.act(obs, {})
            assert action.shape == (*rows, 4)
            assert action.dtype == np.float32
            assert (np.abs(action) <= 1.0).all()


@pytest.mark.parametrize("name", CATALOGUE)
def test_batch_equals_row_by_row(name: str, fake_grid: Any) -> None:
    """Bit for bit, over several steps: the state of a policy is kept per row."""
    rng = np.random.default_rng(2)
    steps = fake_grid.observation(rng.uniform(0.85, 1.15, (6, 4, 5)), rng.uniform(0.0, 1.0, (6, 4, 3)))
    batch = baselines.make(name, fake_grid)
    batch.seed(7)
    batch.reset(steps[0], {})
    together = np.stack([batch.act(obs, {}) for obs in steps])
    for row in range(4):
        alone = baselines.make(name, fake_grid)
        alone.seed(7 + row)
        alone.reset(steps[0, row], {})
        own = np.stack([alone.act(obs[row], {}) for obs in steps])
        assert own.tobytes() == together[:, row].tobytes()


@pytest.mark.parametrize("name", LOCAL)
def test_reset_forgets_the_last_episode(name: str, fake_grid: Any) -> None:
    """A second episode starts as the first did."""
    obs = fake_grid.observation(np.full(5, 1.09), np.full(3, 0.3))
    policy = baselines.make(name, fake_grid)
    policy.reset(obs, {})
    first = [policy.act(obs, {}) for _ in range(3)]
    policy.reset(obs, {})
    assert np.array_equal(first, [policy.act(obs, {}) for _ in range(3)])


def test_restart_forgets_single_rows(fake_grid: Any) -> None:
    """Rows that a vector environment has reset start anew; the others go on."""
    obs = fake_grid.observation(np.full((3, 5), 1.09), np.full((3, 3), 0.3))
    policy = baselines.make("volt-var-ieee1547", fake_grid)
    policy.reset(obs, {})
    first = policy.act(obs, {})
    second = policy.act(obs, {})
    policy.restart(np.array([False, True, False]))
    third = policy.act(obs, {})
    assert np.array_equal(third[1], first[1])
    assert (third[[0, 2]] < second[[0, 2]]).any()


def test_acting_on_another_number_of_rows_is_an_error(fake_grid: Any) -> None:
    """State per row cannot be guessed."""
    obs = fake_grid.observation(np.ones((3, 5)), np.ones((3, 3)))
    for name in ("random", "volt-var-ieee1547"):
        policy = baselines.make(name, fake_grid)
        policy.reset(obs, {})
        with pytest.raises(RunError, match=r"call reset\(\) first"):
            policy.act(obs[:2], {})


@pytest.mark.parametrize("name", VOLT_VAR)
def test_high_voltage_absorbs_and_low_voltage_injects(name: str, fake_grid: Any) -> None:
    """Sign: negative Q at high voltage; every inverter, none of the other actions."""
    power = np.array([0.6, 0.3, 0.002])
    high = settle(baselines.make(name, fake_grid), fake_grid.observation(np.full(5, 1.09), power))
    low = settle(baselines.make(name, fake_grid), fake_grid.observation(np.full(5, 0.91), power))
    assert (high[1:] < 0.0).all()
    assert (low[1:] > 0.0).all()
    assert high[0] == low[0] == 0.0


@pytest.mark.parametrize("name", VOLT_VAR)
def test_monotone_and_saturating(name: str, fake_grid: Any) -> None:
    """Capability 117, Trap 27: never more Q at a higher voltage; flat, not zero, beyond 0.85 and 1.15."""
    power = np.array([0.6, 0.3, 0.002])
    volts = np.linspace(0.7, 1.3, 121)
    obs = fake_grid.observation(np.repeat(volts[:, None], 5, axis=1), power)
    q = settle(baselines.make(name, fake_grid), obs)[:, 1:]
    assert (np.diff(q, axis=0) <= 1e-7).all()
    assert np.array_equal(q[volts >= 1.15], np.broadcast_to(q[-1], q[volts >= 1.15].shape))
    assert np.array_equal(q[volts <= 0.85], np.broadcast_to(q[0], q[volts <= 0.85].shape))
    assert (q[-1] < -0.1).all()
    assert (q[0] > 0.1).all()


@pytest.mark.parametrize(
    ("name", "curve"), [("volt-var-ieee1547-a", IEEE1547_A), ("volt-var-ieee1547-b", IEEE1547_B)]
)
def test_ieee1547_is_a_fraction_of_the_apparent_power(name: str, curve: Any, fake_grid: Any) -> None:
    """Trap 30: Q = curve * s_mva, cut to what the inverter can do (the third one cannot do 0.44)."""
    for v in (0.90, 0.95, 1.0, 1.04, 1.08, 1.10):
        obs = fake_grid.observation(np.full(5, v), np.zeros(3))
        action = settle(baselines.make(name, fake_grid), obs)[1:]
        wanted = curve(np.float64(np.float32(v))) * np.array([1.1, 0.5, 0.0044])
        limit = np.array([0.44 * 1.1, 0.22, 0.3 * 0.0044])
        assert action * limit == pytest.approx(np.clip(wanted, -limit, limit), rel=1e-6, abs=1e-9)


def test_the_capability_of_the_standard_at_low_sun(fake_grid: Any) -> None:
    """`capability="ieee1547"`: none below 5 % of the rated power, a half at 10 %, all from 20 % on."""
    full, asked = (PiecewiseVoltVar(fake_grid, capability=c) for c in ("full", "ieee1547"))
    for share, part in ((0.0, 0.0), (0.04, 0.0), (0.1, 0.5), (0.2, 1.0), (1.0, 1.0)):
        obs = fake_grid.observation(np.full(5, 1.10), share * full.inverters.p_mw)
        most, q = settle(full, obs)[1:], settle(asked, obs)[1:]
        assert (most < -0.5).all()
        assert q == pytest.approx(part * most, rel=1e-6, abs=1e-9)
    assert (full.config()["capability"], asked.config()["capability"]) == ("full", "ieee1547")
    with pytest.raises(RunError, match="unknown capability 'half'"):
        PiecewiseVoltVar(fake_grid, capability="half")


def test_the_plain_name_is_category_b(fake_grid: Any) -> None:
    """Documented default."""
    obs = fake_grid.observation(np.full(5, 1.07), np.zeros(3))
    plain, b = (
        settle(baselines.make(n, fake_grid), obs) for n in ("volt-var-ieee1547", "volt-var-ieee1547-b")
    )
    assert np.array_equal(plain, b)


def test_each_inverter_looks_at_its_own_bus(fake_grid: Any) -> None:
    """Raising the voltage of one node moves exactly the inverter that stands there."""
    policy = PiecewiseVoltVar(fake_grid, step_response=1.0)
    for node, moved in ((1, 1), (3, 2), (4, 3)):
        v = np.ones(5)
        v[node] = 1.06
        obs = fake_grid.observation(v, np.zeros(3))
        policy.reset(obs, {})
        assert np.flatnonzero(policy.act(obs, {})).tolist() == [moved]


def test_vde_goes_by_the_size_of_each_unit_and_stays_in_the_triangle(fake_grid: Any) -> None:
    """Capability 118: 4.4 kVA is "small", 1.1 MVA is "large"; |Q| <= Qmax P, so nothing at night."""
    q_max = np.array([0.44 * 1.1, 0.22, 0.3 * 0.0044])
    factor = np.array([QMAX_PER_PINST["large"], QMAX_PER_PINST["large"], QMAX_PER_PINST["small"]])
    for share in (0.0, 0.3, 1.0):
        power = share * np.array([1.0, 0.5, 0.004])
        obs = fake_grid.observation(np.full(5, 1.08), power)
        q = settle(VoltVar4105(fake_grid), obs)[1:] * q_max
        assert q == pytest.approx(-np.minimum(factor * power, q_max), rel=1e-5, abs=1e-9)


def test_power_factor_policy_ignores_the_voltage_and_absorbs(fake_grid: Any) -> None:
    """Capability 118: cosphi(P) through the action: 0.9 under-excited at full power, unity at half."""
    power = np.array([1.0, 0.25, 0.002])
    actions = []
    for v in (0.9, 1.1):
        obs = fake_grid.observation(np.full(5, v), power)
        policy = PowerFactor4105(fake_grid)
        policy.reset(obs, {})
        actions.append(policy.act(obs, {}))
    assert np.array_equal(actions[0], actions[1])
    q = actions[0][1] * 0.44 * 1.1
    assert power[0] / np.hypot(power[0], q) == pytest.approx(0.9, abs=1e-3)
    assert q < 0.0
    assert actions[0][2:] == pytest.approx([0.0, 0.0], abs=1e-3)  # the curve is steep beside half power


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.floats(0.5, 1.5), after=st.floats(0.5, 1.5), share=st.floats(0.0, 1.2))
def test_fuzzy_setpoint_is_inside_the_circle_while_power_rises(
    before: float, after: float, share: float, fake_grid: Any
) -> None:
    """Capability 117: the damped setpoint of a dark hour must not stand against full sun."""
    policy = FuzzyVoltVar(fake_grid)
    dark = fake_grid.observation(np.full(5, before), np.zeros(3))
    policy.reset(dark, {})
    for _ in range(4):
        policy.act(dark, {})
    units = policy.inverters
    bright = fake_grid.observation(np.full(5, after), share * units.p_mw)
    q = policy.act(bright, {})[1:].astype(np.float64) * units.q_max_mvar
    p = bright[9:12].astype(np.float64)
    room = np.sqrt(np.maximum(units.s_mva**2 - p**2, 0.0))
    assert (np.abs(q) <= np.minimum(room, units.q_max_mvar) * (1.0 + 1e-6)).all()


def test_fuzzy_with_reactive_priority_uses_all_reactive_power(fake_grid: Any) -> None:
    """At full sun and a very high voltage: what the circle leaves beside P, or everything there is."""
    shares = {}
    for priority in ("active", "reactive"):
        policy = FuzzyVoltVar(fake_grid, priority=priority)
        obs = fake_grid.observation(np.full(5, 1.2), 1.05 * policy.inverters.p_mw)
        shares[priority] = settle(policy, obs)[1:]
        assert policy.config()["priority"] == priority
    assert shares["reactive"] == pytest.approx([-1.0, -1.0, -1.0])
    assert (shares["active"] > -0.9).any()
    with pytest.raises(RunError, match="unknown priority 'both'"):
        FuzzyVoltVar(fake_grid, priority="both")


def test_do_nothing_returns_a_fresh_neutral_action(fake_grid: Any) -> None:
    """Whoever changes the array must not change the policy."""
    policy = baselines.make("do-nothing", fake_grid)
    obs = fake_grid.observation(np.ones(5), np.ones(3))
    policy.reset(obs, {})
    policy.act(obs, {})[:] = 9.0
    assert np.array_equal(policy.act(obs, {}), fake_grid.neutral_action)


def test_damping_settles_where_the_bare_curve_hunts() -> None:
    """Documented in `inverters`: loop gain 2.2 hunts undamped, and settles on the curve with the default."""
    slope, sensitivity = 0.44 / 0.06, 0.3  # Q per pu (of S = 1), pu per Q: gain 2.2

    def play(step_response: float) -> list[float]:
        q, trace = 0.0, []
        for _ in range(40):
            v = 1.05 + sensitivity * q
            q += step_response * (float(IEEE1547_B(np.array(v))) - q)
            trace.append(v)
        return trace

    from distgrid.baselines.scripted.inverters import STEP_RESPONSE

    bare, damped = play(1.0), play(STEP_RESPONSE)
    assert max(bare[-2:]) - min(bare[-2:]) > 0.02
    assert max(damped[-2:]) - min(damped[-2:]) < 1e-6
    rest = 1.02 + 0.03 / (1.0 + slope * sensitivity)
    assert damped[-1] == pytest.approx(rest, abs=1e-6)


_DRAW = """
import gymnasium, numpy as np, hashlib
from distgrid.baselines.scripted.random import Random
class G(gymnasium.Env):
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
for seed in (3, 4):
    p = Random(G()); p.seed(seed); o = np.zeros((3, 2)); p.reset(o, {})
    print(hashlib.sha256(b"".join(p.act(o, {}).tobytes() for _ in range(50))).hexdigest())
"""


@pytest.mark.slow
def test_random_is_the_same_in_two_processes() -> None:
    """Same seed, same bytes; another seed, other bytes."""
    command = [sys.executable, "-c", _DRAW]
    printed = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert printed[0] == printed[1]
    third, fourth = printed[0].split()
    assert third != fourth


def test_random_varies_from_episode_to_episode(fake_grid: Any) -> None:
    """A loop that never seeds must not replay one episode for ever."""
    policy = baselines.make("random", fake_grid)
    obs = fake_grid.observation(np.ones(5), np.ones(3))
    policy.reset(obs, {})
    first = policy.act(obs, {})
    policy.reset(obs, {})
    assert not np.array_equal(policy.act(obs, {}), first)
    with pytest.raises(RunError, match="0 or more"):
        policy.seed(-1)


def test_unknown_name_suggests_the_nearest(fake_grid: Any) -> None:
    """Bad input: unknown policy name."""
    with pytest.raises(RunError, match="did you mean 'volt-var-ieee1547'"):
        baselines.make("voltvar-ieee1547", fake_grid)
    assert isinstance(RunError("x"), ValueError)


def test_a_grid_without_inverters_is_refused(fake_grid: Any) -> None:
    """Trap 23: a policy that could do nothing says so instead of running as a no-op."""
    fake_grid.units = [u for u in fake_grid.units if u.kind == "battery"]
    with pytest.raises(RunError, match="no PV unit"):
        baselines.make("volt-var-fuzzy", fake_grid)


def test_step_response_is_checked(fake_grid: Any) -> None:
    """0 would never move."""
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(RunError, match="step_response"):
            FuzzyVoltVar(fake_grid, step_response=wrong)


def test_names_list_what_the_issue_asks_for() -> None:
    """The names of the design are binding."""
    wanted = {"do-nothing", "random", "volt-var-ieee1547", "volt-var-vde4105", "volt-var-fuzzy"}
    assert wanted <= set(baselines.names())
