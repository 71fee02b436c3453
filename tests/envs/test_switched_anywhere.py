"""Tap changers and capacitor banks on feeders whose tables have none: attached, moved, told, charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.cases import Feeder
from distgrid.envs import (
    PV,
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Resource,
    ResourceSpec,
    TapChanger,
)
from distgrid.envs.resources import Exogenous

#: A substation's first branch, one further out, and buses without a bank.
PLACES = {
    "case33bw": ("1-2", "6-7", 18, 30),
    "case118zh": ("1-2", "2-4", 35, 77),
    "case141": ("1-2", "6-7", 52, 80),
}


def devices(case: str) -> list[ResourceSpec]:
    """Two tap changers, one of which moves a few steps at a time, and two banks, beside an inverter."""
    first, second, here, there = PLACES[case]
    return [
        TapChanger(branch=first, cost_per_step=0.5), PV(bus=here, p_mw=0.2),
        CapacitorBank(bus=here, q_mvar=0.2, cost_per_step=2.0),
        TapChanger(branch=second, max_steps=2, tap_pos=1, name="line regulator"),
        CapacitorBank(bus=there, q_mvar=0.3, on=True),
    ]  # fmt: skip


def edited(env: DistGridEnv, info: dict[str, Any]) -> Feeder:
    """The feeder with positions and states as an info tells them, its ratios in the branches alone."""
    feeder = env.feeder
    regulators, banks = feeder.regulators.to_pylist(), feeder.capacitors.to_pylist()
    plain = cases.load(feeder.name)
    for row, position in zip(regulators, info["delivered"]["tap_pos"], strict=True):
        plain = plain.with_tap(row["branch_id"], tap=1.0 / (1.0 + position * row["tap_step_pu"]))
    for row, on in zip(banks, info["delivered"]["cap_on"], strict=True):
        plain = plain.with_new_capacitor(row["node_id"], row["q_mvar"], on=bool(on))
    return plain


@pytest.mark.parametrize("case", PLACES)
def test_single_and_vector_faces_play_the_same(case: str) -> None:
    """Bit for bit: observations, rewards, costs, positions, for actions of every row."""
    rng = np.random.default_rng(5)
    vector = DistGridVectorEnv(case, devices(case), num_envs=3)
    singles = [DistGridEnv(case, devices(case)) for _ in range(3)]
    seeds = [1, 2, 3]
    seen, _ = vector.reset(seed=seeds)
    for k, env in enumerate(singles):
        np.testing.assert_array_equal(env.reset(seed=seeds[k])[0], seen[k])
    for _ in range(4):
        action = rng.uniform(-1, 1, vector.action_space.shape).astype(np.float32)
        seen, reward, _, _, info = vector.step(action)
        for k, env in enumerate(singles):
            one, mine, _, _, told = env.step(action[k])
            np.testing.assert_array_equal(one, seen[k])
            assert mine == reward[k]
            np.testing.assert_array_equal(told["voltages"], info["voltages"][k])
            assert told["cost"] == info["cost"][k]
            for name in ("tap_pos", "cap_on"):
                np.testing.assert_array_equal(told["delivered"][name], info["delivered"][name][k])


@pytest.mark.parametrize("case", PLACES)
def test_voltages_equal_the_feeder_edited_by_hand(case: str) -> None:
    """Positions that an info tells, written into the case: the same power flow, by Newton's method."""
    env = DistGridEnv(case, devices(case))
    env.reset(seed=3)
    action = np.array([0.4, 1.0, -1.0, 1.0, -1.0], dtype=np.float32)
    info = env.step(action)[4]
    stepper = env.grid.stepper
    net = DistGridEnv(edited(env, info)).net
    stepper.solve()  # once more, with the loads of the next interval, which stand there by now
    theirs = physics.solve(
        net, stepper.load_p_mw[0], stepper.load_q_mvar[0], p_inject_mw=stepper.inject_p_mw[0],
        q_inject_mvar=stepper.inject_q_mvar[0], method="newton",
    )  # fmt: skip
    assert np.abs(stepper.v_pu[0] - theirs.v_pu).max() < 1e-8
    assert np.ptp(stepper.v_pu[0]) > 0.01


@pytest.mark.parametrize("case", PLACES)
def test_every_dimension_moves_the_voltages(case: str) -> None:
    """Trap 15: from the neutral action, each device by itself is felt."""
    env = DistGridEnv(case, devices(case))
    moved = []
    for k in range(len(env.action_layout)):
        voltages = []
        for end in (-1.0, 1.0):
            env.reset(seed=1, options={"day": 170})
            for _ in range(50):  # to noon, for the inverter
                action = env.neutral_action.copy()
                action[k] = end
                info = env.step(action)[4]
            voltages.append(info["voltages"])
        moved.append(np.abs(voltages[1] - voltages[0]).max())
    assert (np.array(moved) > 1e-5).all(), dict(zip([d.name for d in env.action_layout], moved, strict=True))


def test_a_day_begins_where_the_devices_stand_and_each_step_is_charged() -> None:
    """Positions at reset, the limit of steps, and what switching costs, as on per-phase feeders."""
    env = DistGridEnv("case33bw", devices("case33bw"))
    env.reset(seed=0)
    names = [d.name for d in env.action_layout]
    assert names == ["tap_1-2.tap", "line regulator.tap", "pv_18.q", "bank_18.on", "bank_30.on"]
    np.testing.assert_array_equal(env.grid.stepper.tap[0], [1.0, 1.00625])
    np.testing.assert_array_equal(env.grid.stepper.cap_on[0], [0.0, 1.0])
    quiet = env.step(env.neutral_action)[4]
    assert quiet["cost_resource"] == 0.0
    info = env.step(np.array([1.0, -1.0, 0.0, 1.0, 1.0], dtype=np.float32))[4]
    np.testing.assert_array_equal(info["delivered"]["tap_pos"], [16.0, -1.0])
    np.testing.assert_array_equal(info["delivered"]["cap_on"], [1.0, 1.0])
    assert info["cost_resource"] == pytest.approx(16 * 0.5 + 2.0)
    np.testing.assert_array_equal(env.grid.fleet.accounts.total("switchings"), [16 + 2 + 1])


def test_days_begin_at_a_position_of_ones_own() -> None:
    """A regulator of the feeder's table stands where it is told, at reset and where nothing is done."""
    taps = [TapChanger("reg1", tap_pos=3), TapChanger("reg2"), TapChanger("reg3", tap_pos=-16)]
    env = DistGrid3PhaseEnv("ieee13", taps)
    table = cases.load("ieee13").regulators["tap_pos"].to_pylist()
    expected = [3.0, table[1], -16.0]
    assert table[0] != 3
    for _ in range(2):
        env.reset(seed=0)
        np.testing.assert_allclose(env.grid.stepper.tap[0], 1.0 + 0.00625 * np.array(expected), rtol=1e-12)
        assert env.step(env.neutral_action)[4]["delivered"]["tap_pos"].tolist() == expected
        env.step(np.ones(3, dtype=np.float32))


def test_a_state_is_restored_with_the_positions() -> None:
    """`set_state` and a step give what they gave, with devices elsewhere in between."""
    env = DistGridEnv("case33bw", devices("case33bw"))
    env.reset(seed=0)
    env.step(np.ones(5, dtype=np.float32))
    kept, action = env.get_state(), np.full(5, 0.3, dtype=np.float32)
    first = env.step(action)
    env.step(-np.ones(5, dtype=np.float32))
    env.set_state(kept)
    again = env.step(action)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]


@pytest.mark.slow
def test_devices_are_attached_to_per_phase_feeders_too() -> None:
    """The transformer of a feeder without regulators gets taps, and a bus a bank on one phase."""
    feeder = cases.load("european_lv")
    bus = str(feeder.column("nodes", "node_id")[50])
    env = DistGrid3PhaseEnv(
        "european_lv", [TapChanger(branch="tr1"), CapacitorBank(bus=bus, q_mvar=0.02, phase="B")]
    )
    env.reset(seed=0)
    low, high = (env.step(np.array([a, -1.0], dtype=np.float32))[4]["voltages"][50] for a in (-1.0, 1.0))
    assert (high - low > 0.15).all()
    off, on = (env.step(np.array([0.0, a], dtype=np.float32))[4]["voltages"][50] for a in (-1.0, 1.0))
    assert np.argmax(np.abs(on - off)) == 1
    assert (on - off)[1] > 3e-3


def test_one_more_device_by_register_resource() -> None:
    """It joins those that are there; the feeder that the environment shows has it."""
    env = DistGridEnv("case33bw", [TapChanger(branch="1-2")])
    env.register_resource(CapacitorBank(bus=18, q_mvar=0.3))
    env.reset(seed=0)
    assert env.feeder.regulators.num_rows == env.feeder.capacitors.num_rows == 1
    assert env.net.feeder is env.feeder
    before = env.step(np.array([0.0, -1.0], dtype=np.float32))[4]["voltages"][17]
    assert env.step(np.array([0.0, 1.0], dtype=np.float32))[4]["voltages"][17] > before + 1e-3


BAD: list[tuple[Any, str]] = [
    (lambda: TapChanger(), "give regulator=, of the feeder's table, or branch=, to attach one"),
    (lambda: TapChanger("r", branch="1-2"), "give regulator=, of the feeder's table, or branch="),
    (lambda: TapChanger(branch="1-2", tap_min=4, tap_max=4), "tap_max must be above tap_min 4, got 4"),
    (lambda: TapChanger(branch="1-2", tap_pos=17), r"tap_pos must be in \[-16, 16\], got 17"),
    (lambda: TapChanger(branch="1-2", tap_step_pu=0.0), r"tap_step_pu must be in \(0, 0.1\], got 0.0"),
    (lambda: TapChanger(branch="1-2", tap_max=cast(Any, 1.5)), "tap_max must be a whole number, got 1.5"),
    (lambda: TapChanger(branch="1-2", tap_min=-160), r"tap_min \* tap_step_pu must be above -1"),
    (lambda: TapChanger("r", tap_max=8), "tap_max is that of the feeder's table; leave it out, got 8"),
    (lambda: TapChanger("r", tap_step_pu=0.01), "tap_step_pu is that of the feeder's table"),
    (lambda: TapChanger("r", tap_pos=cast(Any, 0.5)), "tap_pos must be a whole number, got 0.5"),
    (
        lambda: DistGrid3PhaseEnv("ieee13", [TapChanger("reg1", tap_pos=17)]),
        r"TapChanger reg1: tap_pos must be in \[-16, 16\], got 17",
    ),
    (lambda: CapacitorBank(), "give capacitor=, of the feeder's table, or bus= and q_mvar="),
    (lambda: CapacitorBank(bus=18), "q_mvar must be the size of the bank in MVAr, got None"),
    (lambda: CapacitorBank(bus=18, q_mvar=0.0), "q_mvar must be greater than 0, got 0.0"),
    (
        lambda: CapacitorBank(bus=18, q_mvar=-0.3),
        "q_mvar must be greater than 0, got -0.3",
    ),
    (lambda: CapacitorBank("c", q_mvar=0.3), "q_mvar, phase and on are those of the feeder's table"),
    (lambda: CapacitorBank(bus=18, q_mvar=0.3, phase="Q"), "phase 'Q' is unknown"),
]


@pytest.mark.parametrize(("make", "said"), BAD)
def test_specs_say_what_is_wrong(make: Any, said: str) -> None:
    """Sizes, ranges, and which of the two ways is meant."""
    with pytest.raises(ValueError, match=said):
        make()


MISPLACED: list[tuple[list[ResourceSpec], str]] = [
    ([TapChanger(branch="1-3")], "case33bw has no branch '1-3'; did you mean"),
    ([TapChanger("reg1")], "has no reg_id 'reg1'; its table of regulators is empty: attach one: TapChanger"),
    (
        [TapChanger(branch="1-2"), TapChanger(branch="1-2", tap_max=8, name="b")],
        "has the regulator 'tap_1-2' already",
    ),
    ([CapacitorBank(bus=99, q_mvar=0.1)], "case33bw has no bus '99'"),
    (
        [CapacitorBank("c1")],
        r"has no cap_id 'c1'; its table of capacitors is empty: attach one: CapacitorBank",
    ),
    ([CapacitorBank(bus=18, q_mvar=0.1), CapacitorBank(bus=18, q_mvar=0.2)], "give this one another name="),
]


@pytest.mark.parametrize(("resources", "said"), MISPLACED)
def test_a_feeder_says_what_it_lacks(resources: Sequence[ResourceSpec], said: str) -> None:
    """Unknown branches and buses, and devices that are there already."""
    with pytest.raises(ValueError, match=said):
        DistGridEnv("case33bw", resources)


def test_a_per_phase_line_has_no_taps() -> None:
    """There a tap changer is a transformer's winding."""
    with pytest.raises(ValueError, match="a branch with one transformer, whose winding has the taps"):
        DistGrid3PhaseEnv(
            "ieee13", [TapChanger(branch=str(cases.load("ieee13").column("branches", "branch_id")[0]))]
        )


@dataclass(frozen=True)
class Lifter(ResourceSpec):
    """A device of the user's own that moves something: all regulators go together. One class, one method."""

    kind: ClassVar[str] = "lifter"

    @staticmethod
    def program(specs: Sequence[Lifter]) -> Resource:
        """The array program."""
        return LifterProgram(len(specs))

    def equip(self, feeder: Feeder) -> Feeder:
        """Brings a regulator where there is none."""
        return feeder if feeder.regulators.num_rows else feeder.with_new_regulator("1-2")


class LifterProgram(Resource):
    """Every regulator at the same ratio."""

    injects: ClassVar[bool] = False
    uses_voltage: ClassVar[bool] = False

    def __init__(self, n: int) -> None:
        super().__init__(["2"] * n, s_mva=0.0, actions=("lift",))

    def advance(self, action: np.ndarray, exo: Exogenous) -> None:
        """Keep what is wanted."""
        self.wanted = action[:, 0].copy()

    def apply(self, grid: Any) -> None:
        """One ratio for all."""
        grid.tap[:] = (1.0 + 0.05 * self.wanted)[:, None]


def test_a_device_that_moves_something_is_one_class_with_apply() -> None:
    """Of the user's own, in a test file: no other file knows of it, in single and vector faces."""
    env, vector = DistGridEnv("case33bw", [Lifter()]), DistGridVectorEnv("case33bw", [Lifter()], num_envs=2)
    env.reset(seed=0)
    vector.reset(seed=[0, 0])
    told = vector.step(np.array([[-1.0], [1.0]], dtype=np.float32))[4]["voltages"]
    alone = env.step(np.array([1.0], dtype=np.float32))[4]["voltages"]
    np.testing.assert_array_equal(told[1], alone)
    assert (told[1] - told[0])[1:].min() > 0.08
