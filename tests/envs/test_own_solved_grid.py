"""A power flow of one's own in an environment: LinDistFlow in NumPy, which the package does not know."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import physics
from distgrid.envs import PV, Battery, DistGridEnv, DistGridVectorEnv, VoltVar
from distgrid.envs.core.balanced_stepper import NodeColumns
from distgrid.physics.flags import CONVERGED
from distgrid.physics.row_results import (
    N_OVERLOAD,
    N_VOLTAGE,
    OVERLOAD,
    P_LOSS,
    P_SLACK,
    Q_SLACK,
    STATUS,
    VOLTAGE_VIOLATION,
)

from .test_vector import same
from .world import FEEDER

Floats = NDArray[np.float64]


class LinDistFlow(NodeColumns, physics.SolvedArrays):
    """Lossless branch flow (Baran and Wu 1989): flows are sums of loads, squared voltages fall linearly."""

    def __init__(
        self, net: physics.Network, batch: int, setup: physics.SolveSetup, _like: Any = None
    ) -> None:
        super().__init__(batch, net.n_bus, net.n_bus, net.n_bus, net.n_branch)
        self.net, self.v_min, self.v_max = net, setup.v_min, setup.v_max
        feeder = net.feeder
        self._fed = fed_by(feeder)  # (n_branch, n_bus)
        self._r, self._x = (feeder.column("branches", c) / feeder.base_mva for c in ("r", "x"))

    def solve(self, *, lo: int = 0, hi: int | None = None) -> None:
        rows = slice(lo, hi)
        p = (self.load_p_mw - self.inject_p_mw)[rows]
        q = (self.load_q_mvar - self.inject_q_mvar)[rows]
        p_branch, q_branch = p @ self._fed.T, q @ self._fed.T
        squared = 1.0 - 2.0 * (self._r * p_branch + self._x * q_branch) @ self._fed
        self.v_pu[rows] = v = np.sqrt(squared)
        self.v[rows], self.s_from[rows] = v, p_branch + 1j * q_branch
        s = np.abs(self.s_from[rows])
        self.loading[rows] = s / self.net.rating_mva
        outside = np.maximum(np.maximum(v - self.v_max, self.v_min - v), 0.0)
        over = np.maximum(s - self.net.rating_mva, 0.0)
        measured, ended = self.measured[rows], self.ended[rows]
        measured[:, VOLTAGE_VIOLATION], ended[:, N_VOLTAGE] = outside.sum(axis=1), (outside > 0).sum(axis=1)
        measured[:, OVERLOAD], ended[:, N_OVERLOAD] = over.sum(axis=1), (over > 0).sum(axis=1)
        measured[:, P_LOSS] = (self._r * s * s).sum(axis=1)
        measured[:, P_SLACK], measured[:, Q_SLACK] = p.sum(axis=1), q.sum(axis=1)
        ended[:, STATUS] = CONVERGED


def fed_by(feeder: Any) -> Floats:
    """(n_branch, n_bus) 1 where a closed branch is on the way from the source to a node."""
    ends = [(feeder.node_index[str(a)], feeder.node_index[str(b)]) for a, b in zip(
        feeder.column("branches", "from_node"), feeder.column("branches", "to_node"), strict=True
    )]  # fmt: skip
    fed = np.zeros((len(ends), feeder.n_nodes))
    reached = {feeder.node_index[str(feeder.column("sources", "node_id")[0])]}
    open_ = {k for k, on in enumerate(feeder.column("branches", "status")) if on}
    while open_:
        k = next(k for k in sorted(open_) if len(reached & set(ends[k])) == 1)
        open_.remove(k)
        parent, child = sorted(ends[k], key=lambda node: node not in reached)
        fed[:, child] = fed[:, parent]
        fed[k, child] = 1.0
        reached.add(child)
    return fed


def arguments(**options: Any) -> dict[str, Any]:
    fleet = [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="pq")]
    return {"case": FEEDER, "resources": fleet, "task": VoltVar(), "power_flow": LinDistFlow, **options}


@pytest.fixture
def single() -> DistGridEnv:
    env = DistGridEnv(**arguments())
    env.reset(seed=3)
    return env


def test_a_third_power_flow_plays_a_single_environment(single: DistGridEnv) -> None:
    """Rewards, costs and infos of VoltVar come from the user's own equations."""
    assert type(single.grid.stepper) is LinDistFlow
    obs, reward, terminated, _, info = single.step(np.zeros(3, dtype=np.float32))
    lossless = info["p_slack_MW"]
    assert lossless == pytest.approx(single.grid.stepper.s_from[0, 0].real, abs=1e-12)
    assert info["pf_converged"]
    assert not terminated
    assert info["vuf_pct"] == info["cost_vuf_violation"] == 0.0
    np.testing.assert_array_equal(info["voltages"], single.grid.stepper.v_pu[0])
    assert reward == pytest.approx(sum(info["rewards"].values()))
    low, high = single.v_limits_pu
    v = info["voltages"]
    assert info["cost_voltage_violation"] == np.maximum(np.maximum(v - high, low - v), 0.0).sum()
    assert single.observation_space.contains(obs)


def test_it_is_not_the_ac_power_flow_but_near_it(single: DistGridEnv) -> None:
    """The same day solved by AC power flow has the same voltages to 0.01 pu, and lower ones."""
    exact = DistGridEnv(**arguments(power_flow=None))
    exact.reset(seed=3)
    neutral = single.neutral_action
    linear_v, exact_v = (env.step(neutral)[4]["voltages"] for env in (single, exact))
    assert 0.0 < np.abs(linear_v - exact_v).max() < 0.01
    assert (exact_v <= linear_v + 1e-12).all()


def test_a_vector_of_it_is_so_many_single_ones() -> None:
    """Observations, rewards and infos row by row, and the state that is saved and loaded."""
    env = DistGridVectorEnv(**arguments(), num_envs=3, threads=2)
    singles = [DistGridEnv(**arguments()) for _ in range(3)]
    env.reset(seed=5)
    for k, one in enumerate(singles):
        one.reset(seed=5 + k)
    rng = np.random.default_rng(0)
    for _ in range(4):
        action = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
        obs, reward, _, _, infos = env.step(action)
        for k, one in enumerate(singles):
            o, r, _, _, info = one.step(action[k])
            np.testing.assert_allclose(obs[k], o, rtol=1e-6)
            assert reward[k] == pytest.approx(r, rel=1e-12)
            assert {key for key in infos if not key.startswith("_")} == set(info)
            assert infos["p_loss_MW"][k] == pytest.approx(info["p_loss_MW"], rel=1e-12)
            np.testing.assert_allclose(infos["voltages"][k], info["voltages"], rtol=1e-12)
    saved, action = env.get_state(), np.zeros((3, 3), dtype=np.float32)
    first = env.step(action)
    env.set_state(saved)
    same(env.step(action), first)


def test_a_copy_plays_on_by_itself(single: DistGridEnv) -> None:
    """A deep copy goes the same way, and what it does leaves the original alone."""
    twin = copy.deepcopy(single)
    action = np.array([1.0, -1.0, 0.5], dtype=np.float32)
    other = twin.step(action)
    before = single.obs()
    twin.step(-action)
    np.testing.assert_array_equal(single.obs(), before)
    same(single.step(action), other)


def test_it_is_drawn() -> None:
    """The picture shows its voltages and loading."""
    env = DistGridEnv(**arguments(render_mode="rgb_array"))
    env.reset(seed=0)
    env.step(env.neutral_action)
    frame = env.render()
    assert frame is not None
    assert frame.ndim == 3
    assert frame.std() > 0
    env.close()


def test_what_makes_no_power_flow_is_refused() -> None:
    """Anything that cannot be called is named before an environment is made."""
    with pytest.raises(TypeError, match="power_flow must be a class, or a function"):
        DistGridEnv(**arguments(power_flow="lindistflow"))
