"""Environments on per-phase feeders that are no tree of segments: parallel branches, taps on a delta bank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import Battery, DistGrid3PhaseEnv, TapChanger, cases
from distgrid.envs import DistGrid3PhaseVectorEnv
from distgrid.envs.core.phase_stepper import PhaseStepper
from distgrid.envs.resources import ResourceSpec
from distgrid.physics.unbalanced.topology import SweepTopology

REPORTED = Path(__file__).parents[1] / "reference" / "reported"
KINDS: dict[str, list[ResourceSpec]] = {
    "f16_ltc_on_delta_wye": [TapChanger("s"), Battery("d", 0.3, 1.2, phase="B")],
    "f15b_parallel_lines": [Battery("b", 0.3, 1.2, phase="ABC")],
    "f14a_delta_wye_transformer_one_phase_dead": [Battery("f", 0.01, 0.04, phase="B")],
}


@pytest.mark.parametrize("name", KINDS)
def test_single_and_vector_face_play_the_same_day(name: str) -> None:
    """Capability 93: bit for bit, observations inside the declared space, the solution told whole."""
    feeder = cases.load(REPORTED / name / "m.dss")
    single = DistGrid3PhaseEnv(case=feeder, resources=KINDS[name])
    many = DistGrid3PhaseVectorEnv(feeder, KINDS[name], num_envs=3)
    rng = np.random.default_rng(5)
    observation, info = single.reset(seed=4)
    observations, _ = many.reset(seed=[4, 9, 4])
    topology, stepper = single.grid.net.topology, single.grid.stepper
    assert isinstance(topology, SweepTopology)
    assert isinstance(stepper, PhaseStepper)
    assert topology.irregular
    for _ in range(12):
        assert observation.tobytes() == observations[0].tobytes() == observations[2].tobytes()
        assert single.observation_space.contains(observation)
        action = rng.uniform(-1.0, 1.0, single.action_space.shape).astype(np.float32)
        observation, reward, terminated, _, info = single.step(action)
        observations, rewards, _, _, _ = many.step(np.tile(action, (3, 1)))
        assert info["pf_converged"]
        assert not terminated
        assert reward == rewards[0] == rewards[2]
        solved = stepper.solution()
        assert solved.p_slack_mw[0] == pytest.approx(info["p_slack_MW"], abs=1e-12)
        assert solved.p_loss_mw[0] == pytest.approx(info["p_loss_MW"], abs=1e-12)


def test_a_tap_of_a_delta_wye_bank_moves_the_voltage_behind_it() -> None:
    """Capability 15 of the traps: an action that is said to move a tap moves a voltage."""
    feeder = cases.load(REPORTED / "f16_ltc_on_delta_wye" / "m.dss")
    env = DistGrid3PhaseEnv(case=feeder, resources=[TapChanger("s")])
    levels = []
    for position in (-1.0, 0.0, 1.0):
        env.reset(seed=0)
        _, _, _, _, info = env.step(np.array([position], dtype=np.float32))
        levels.append(info["voltages"][feeder.node_index["d"], 0])
    assert levels[0] < levels[1] - 0.05 < levels[2] - 0.1
