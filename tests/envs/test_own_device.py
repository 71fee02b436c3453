"""A device kind of one's own in one file: what people write, what runs, accounts, observation and outlook.

A boiler with a tank: the action is its power, the tank loses heat to a draw of hot water, cold water is
discomfort in money. Nothing of distgrid is changed, and every face plays it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import baselines
from distgrid.envs import (
    DataTask,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Entry,
    Exogenous,
    Resource,
    ResourceSpec,
    Term,
)
from distgrid.envs.resources import BindContext
from distgrid.envs.resources.base import resource_of
from distgrid.envs.resources.outlook import Outlook

Floats = NDArray[np.float64]
DRAW_MW = 0.025  # hot water that is taken, as power
COLD_PER_MWH = 40.0


@dataclass(frozen=True)
class Boiler(ResourceSpec):
    """Heats a tank of ``energy_mwh`` with up to ``p_mw``; action -1: all of it, +1: nothing."""

    kind: ClassVar[str] = "boiler"

    bus: str | int = ""
    p_mw: float = 0.03
    energy_mwh: float = 0.06
    phase: str = "ABC"
    name: str | None = None

    @staticmethod
    def program(specs: Sequence[Any]) -> Resource:
        return BoilerProgram(specs)


class BoilerProgram(Resource):
    """Boilers as columns of arrays."""

    kind = "boiler"
    uses_voltage = False
    writes = ("shifted_mwh", "discomfort_cost")

    def __init__(self, specs: Sequence[Boiler]) -> None:
        p_mw = np.array([s.p_mw for s in specs])
        super().__init__(
            [s.bus for s in specs], s_mva=p_mw, actions=("p",), observations=(Entry("heat", "1", 0.0, 1.0),),
            phases=[s.phase for s in specs], names=[s.name for s in specs],
        )  # fmt: skip
        self.p_mw, self.tank = p_mw, np.array([s.energy_mwh for s in specs])
        self.max_cost_per_step = COLD_PER_MWH * DRAW_MW * len(specs)

    def bind(self, ctx: BindContext) -> None:
        super().bind(ctx)
        self.heat_mwh = np.zeros((ctx.batch, self.n_units))

    def reset(self, rows: NDArray[np.int64], rngs: Sequence[np.random.Generator]) -> None:
        super().reset(rows, rngs)
        for row, rng in zip(rows, rngs, strict=True):
            self.heat_mwh[row] = self.tank * rng.uniform(0.3, 0.7, self.n_units)

    def advance(self, action: Floats, exo: Exogenous) -> None:
        room = (self.tank - self.heat_mwh) / exo.dt_h + DRAW_MW
        power = np.minimum(self.p_mw * 0.5 * (1.0 - action), room)
        after = self.heat_mwh + (power - DRAW_MW) * exo.dt_h
        self.accounts["discomfort_cost"][:] = COLD_PER_MWH * np.maximum(-after, 0.0)
        self.accounts["shifted_mwh"][:] = np.abs(power - DRAW_MW) * exo.dt_h
        self.heat_mwh[:] = np.clip(after, 0.0, self.tank)
        self.current_p_mw[:] = -power

    def observe(self, t_index: NDArray[np.int64], out: Floats) -> None:
        out[:] = self.heat_mwh / self.tank

    def outlook(self, t_index: NDArray[np.int64], row: int, now: int, sun: Floats | None = None) -> Outlook:
        least = np.broadcast_to(-self.p_mw, (t_index.size, self.n_units))
        return Outlook(self.names, least, np.zeros_like(least), self.s_mva, self.q_max_mvar)

    def state(self) -> dict[str, Floats]:
        return super().state() | {"heat_mwh": self.heat_mwh}


COMFORT = DataTask(
    rewards=(
        Term("loss", "loss_mw", -1.0),
        Term("cold", "resource_cost", -1.0),
        Term("moved", "shifted_mwh", -0.1),
    ),
    costs=("voltage_violation", "resource"),
    blocks=("clock", "v_pu", "price_usd_mwh"),
)
BOILERS = [Boiler(18), Boiler(25, p_mw=0.05, energy_mwh=0.02)]


def actions(steps: int, rows: int, n: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(4).uniform(-1.0, 1.0, (steps, rows, n)).astype(np.float32)


def test_single_and_vector_faces_play_it_alike() -> None:
    """Bit for bit: observations, rewards, costs by name, what was delivered."""
    vector = DistGridVectorEnv("case33bw", BOILERS, COMFORT, num_envs=3)
    seen, _ = vector.reset(seed=[5, 6, 7], options={"day": 40})
    singles = [DistGridEnv("case33bw", BOILERS, COMFORT) for _ in range(3)]
    for k, env in enumerate(singles):
        np.testing.assert_array_equal(env.reset(seed=5 + k, options={"day": 40})[0], seen[k])
    cold = 0.0
    for action in actions(60, 3):
        observations, reward, *_, infos = vector.step(action)
        for k, env in enumerate(singles):
            obs, earned, *_, info = env.step(action[k])
            np.testing.assert_array_equal(obs, observations[k])
            assert earned == reward[k]
            assert info["costs"]["boiler.discomfort"] == infos["costs"]["boiler.discomfort"][k]
            np.testing.assert_array_equal(info["delivered"]["p_mw"], infos["delivered"]["p_mw"][k])
            cold += info["costs"]["boiler.discomfort"]
    assert cold > 0.0


def test_heat_is_conserved() -> None:
    """What the tank holds is what came in less what was drawn, but for water that stayed cold."""
    env = DistGridEnv("case33bw", BOILERS, COMFORT)
    env.reset(seed=1)
    for action in actions(96, 1):
        before = env.fleet.state()["boiler.heat_mwh"][0]
        *_, info = env.step(action[0])
        after = env.fleet.state()["boiler.heat_mwh"][0]
        bought = -0.25 * info["delivered"]["p_mw"]
        cold_mwh = info["costs"]["boiler.discomfort"] / COLD_PER_MWH
        assert (after - before - bought + 0.25 * DRAW_MW).sum() == pytest.approx(cold_mwh, abs=1e-12)


def test_a_state_is_restored_and_the_outlook_told() -> None:
    env = DistGridEnv("case33bw", BOILERS, COMFORT)
    env.reset(seed=2)
    env.step(actions(1, 1)[0, 0])
    saved = env.get_state()
    first = [env.step(a[0])[1] for a in actions(5, 1)]
    env.set_state(saved)
    assert [env.step(a[0])[1] for a in actions(5, 1)] == first
    window = env.scenario.window(horizon=4)
    assert window.outlooks["boiler"].p_min_mw.tolist() == [[-0.03, -0.05]] * 4


def test_a_per_phase_feeder_an_id_and_a_run_take_it(tmp_path: Any) -> None:
    """Also with the fields that JSON keeps, and played by a rule."""
    env = DistGrid3PhaseEnv("ieee13", [Boiler("671", phase="A")], COMFORT)
    env.reset(seed=0)
    assert env.step(np.array([-1.0], dtype=np.float32))[-1]["delivered"]["p_mw"] <= 0.0
    made = gymnasium.make("distgrid/VoltVar-33bw-v0", resources=BOILERS, task=COMFORT)
    assert made.unwrapped.units[1].bus == "25"  # type: ignore[attr-defined]
    fields = {"class_name": Boiler.class_name, "bus": 18, "p_mw": 0.03}
    assert resource_of(fields) == BOILERS[0]
    result = baselines.rollout(
        DistGridEnv("case33bw", BOILERS, COMFORT, split="test"), "do-nothing", episodes=1, progress=False
    )
    assert result.summary[0].n_steps == 96
