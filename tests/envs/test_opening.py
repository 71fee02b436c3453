"""How episodes open: rows that begin anew leave the others alone, and work for as many as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid.envs import PV, Battery, DistGridEnv, DistGridVectorEnv, TapChanger, VoltVar
from distgrid.envs.core.opening import FEW_ROWS
from distgrid.envs.resources import Entry, Exogenous, Resource
from distgrid.envs.resources.base import BindContext

from .world import FEEDER, make3

Floats = NDArray[np.float64]


class Hidden(Resource):
    """A device that heats up, whose state is not listed, and that remembers what was asked of it."""

    kind = "hidden"
    worked: list[int]

    def __init__(self) -> None:
        super().__init__([18], s_mva=0.2, actions=("p",), observations=(Entry("heat", "1", 0.0, 1e3),))
        self.worked = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Hidden:
        """Copies in environments note down in one list how many rows they advanced."""
        twin = Hidden()
        twin.worked = self.worked
        return twin

    def bind(self, ctx: BindContext) -> None:
        super().bind(ctx)
        self.heat = np.zeros((ctx.batch, 1))

    def reset(self, rows: NDArray[np.int64], rngs: Any) -> None:
        super().reset(rows, rngs)
        self.heat[rows, 0] = [rng.uniform() for rng in rngs]

    def advance(self, action: Floats, exo: Exogenous) -> None:
        self.worked.append(len(action))
        self.heat += 1.0
        self.current_p_mw[:] = -0.001 * self.heat.clip(0.0, 100.0)

    def observe(self, t_index: NDArray[np.int64], out: Floats) -> None:
        out[:] = self.heat


def heats(env: DistGridVectorEnv) -> NDArray[np.float32]:
    """What each environment observes of its device."""
    return np.array(env.call("obs"))[:, env.layout["hidden.heat"]][:, 0]


@pytest.mark.parametrize("num_envs", [4, 70])
def test_resetting_a_row_leaves_devices_of_the_others_alone(num_envs: int) -> None:
    """Whatever their state consists of, listed or not."""
    env = DistGridVectorEnv(FEEDER, [Hidden()], num_envs=num_envs, autoreset_mode="Disabled")
    env.reset(seed=0)
    for _ in range(3):
        env.step(env.neutral_action)
    before = heats(env)
    mask = np.zeros(num_envs, dtype=bool)
    mask[2] = True
    for _ in range(5):
        env.reset(options={"reset_mask": mask})
    after = heats(env)
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert 0.0 <= after[2] < 1.0, "as it was drawn: it has not worked yet"


def test_a_device_has_not_worked_when_its_day_begins() -> None:
    """The interval before the first is played by another: what is not listed does not drift there either."""
    env = DistGridEnv(FEEDER, [Hidden()])
    heat = env.layout["hidden.heat"]
    first = env.reset(seed=3)[0][heat]
    assert 0.0 <= first[0] < 1.0
    assert env.step([0.0])[0][heat][0] == pytest.approx(first[0] + 1.0)


def test_the_work_of_a_reset_is_that_of_its_rows() -> None:
    """Rows that devices advance: a few for one environment of five hundred, all for all."""
    device = Hidden()
    env = DistGridVectorEnv(FEEDER, [device], num_envs=512, autoreset_mode="Disabled", threads=1)
    env.reset(seed=0)
    mask = np.zeros(512, dtype=bool)
    mask[300] = True
    device.worked.clear()
    env.reset(options={"reset_mask": mask})
    assert sum(device.worked) <= FEW_ROWS
    device.worked.clear()
    env.reset(options={"reset_mask": np.ones(512, dtype=bool)})
    assert sum(device.worked) == 512


@pytest.mark.parametrize("chosen", [[1], [0, 3, 4, 5, 69], list(range(70))])
def test_what_begins_in_company_begins_as_it_does_alone(chosen: list[int]) -> None:
    """Bit for bit: draws of devices of every kind, more rows than are opened at a time."""
    fleet = [Battery(18, 0.2, 0.8, soc_init=(0.2, 0.8)), PV(25, 0.5, site=3, controls="pq"), Hidden()]
    options: dict[str, Any] = {"case": FEEDER, "resources": fleet, "task": VoltVar()}
    env = DistGridVectorEnv(**options, num_envs=70, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step(env.neutral_action)
    mask = np.zeros(70, dtype=bool)
    mask[chosen] = True
    seeds = [100 + row if row in chosen else None for row in range(70)]
    observation, infos = env.reset(seed=seeds, options={"reset_mask": mask})
    alone = DistGridEnv(**options)
    for row in chosen[:5]:
        wanted, info = alone.reset(seed=100 + row)
        np.testing.assert_array_equal(observation[row], wanted)
        np.testing.assert_array_equal(infos["voltages"][row], info["voltages"])


def test_taps_stand_where_the_tables_have_them_before_the_first_interval() -> None:
    """Settings of the power flow that rows had in the episode before do not reach into the next."""
    env = make3(resources=[TapChanger("reg1"), TapChanger("reg2"), TapChanger("reg3")])
    first = env.reset(options={"day": 20})[1]["voltages"]
    for _ in range(4):
        env.step([1.0, 1.0, 1.0])
    again = env.reset(options={"day": 20})[1]["voltages"]
    np.testing.assert_array_equal(again.filled(0.0), first.filled(0.0))


def test_a_resource_that_its_owner_changes_later_is_the_one_that_was_given() -> None:
    class Sized(Hidden):
        size = 0.001

        def __deepcopy__(self, memo: dict[int, Any]) -> Sized:
            twin = Sized()
            twin.size = self.size
            return twin

        def advance(self, action: Floats, exo: Exogenous) -> None:
            self.current_p_mw[:] = -self.size

    mine = Sized()
    env = DistGridEnv(FEEDER, [mine])
    before = env.reset(seed=0, options={"day": 3})[1]["p_slack_MW"]
    fresh = DistGridEnv(FEEDER, [mine])
    mine.size = 0.15
    assert fresh.reset(seed=0, options={"day": 3})[1]["p_slack_MW"] == before
