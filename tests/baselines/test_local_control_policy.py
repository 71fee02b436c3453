"""The scripted local control on a small stand-in for the per-phase environment."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.scripted.local_control import LocalControl, Relays
from distgrid.cases.schema import table
from distgrid.envs.core.codecs import BoxCodec
from distgrid.physics.controls.settings import local_controls

from .conftest import fake_layout

#: Where OpenDSS's controls end from neutral taps.
OPENDSS = {
    "ieee13": [9, 6, 9],
    "ieee34": [13, 5, 5, 12, 12, 12],
    "ieee37": [16, 14],
    "ieee123": [6, 0, 2, 0, 10, 4, 6],
}


class PhaseStandIn(gymnasium.Env[Any, Any]):
    """The parts of a per-phase environment that the policy reads: every regulator and bank, constant load.

    Observation: positions of the taps, then states of the banks.
    """

    def __init__(self, name: str, rows: int = 1, tap: int = 0, dt_h: float = 0.25) -> None:
        feeder = cases.load(name)
        self.net = self.network = physics.compile_per_phase(feeder)
        self.n_tap, self.n_cap = self.net.tap.size, self.net.cap_on.size
        self.calendar, self.has_solution = SimpleNamespace(dt_h=dt_h), True
        names = [f"tap_{k}" for k in range(self.n_tap)] + [f"on_{k}" for k in range(self.n_cap)]
        what = [name.split("_")[0] for name in names]
        self.units = [SimpleNamespace(name=n, observation={what[k]: k}) for k, n in enumerate(names)]
        self.action_layout = [
            SimpleNamespace(resource_name=n, quantity=what[k], index=k) for k, n in enumerate(names)
        ]
        low, high = (feeder.column("regulators", c) for c in ("tap_min", "tap_max"))
        taps, caps = names[: self.n_tap], names[self.n_tap :]
        none = np.zeros(self.n_cap)
        kinds = (("tap_changer", taps, low, high), ("capacitor_bank", caps, none, none + 1))
        switched_devices = [
            SimpleNamespace(
                kind=kind, quantity=kind[:3] if kind == "tap_changer" else "on", names=mine,
                rows=np.arange(len(mine)), low=a, high=b,
            )
            for kind, mine, a, b in kinds
        ]  # fmt: skip
        self.fleet = SimpleNamespace(
            switched_devices=switched_devices,
            units=lambda kind: (
                self.units[: self.n_tap] if kind == "tap_changer" else self.units[self.n_tap :]
            ),
            neutral_action=np.zeros(len(names)),
        )
        self.codec, self.layout = BoxCodec(names), fake_layout({"positions": [None] * len(names)})
        self.low, self.high, self.rows = low, high, rows
        self.tap_pos = np.full((rows, self.n_tap), tap)
        self.solved: physics.Solution3
        self.cap_on = np.repeat(self.net.cap_on[None], rows, axis=0)

    @property
    def scenario(self) -> PhaseStandIn:
        """Its own."""
        return self

    @property
    def neutral_action(self) -> Any:
        """That of its fleet."""
        return self.fleet.neutral_action

    def solution(self) -> physics.Solution3:
        """The state that was solved last."""
        return self.solved

    def observe(self) -> Any:
        """Solve and look."""
        ratio = 1.0 + self.tap_pos * self.net.feeder.column("regulators", "tap_step_pu")
        self.solved = physics.solve(self.net, tap=ratio, cap_on=self.cap_on)
        obs = np.concatenate([self.tap_pos, self.cap_on], axis=1).astype(np.float32)
        return obs[0] if self.rows == 1 else obs

    def apply(self, action: Any) -> None:
        """Actions in [-1, 1] to whole positions."""
        both = np.atleast_2d(action).astype(np.float64)
        self.tap_pos = np.rint(self.low + (both[:, : self.n_tap] + 1) / 2 * (self.high - self.low)).astype(
            int
        )
        self.cap_on = (both[:, self.n_tap :] >= 0).astype(float)


def play(env: PhaseStandIn, policy: LocalControl, steps: int) -> list[list[list[int]]]:
    """Positions after each step."""
    obs = env.observe()
    policy.reset(obs, {})
    seen = []
    for _ in range(steps):
        action = policy.act(obs, {})
        assert action.dtype == np.float32
        assert (np.abs(action) <= 1.0).all()
        env.apply(action)
        obs = env.observe()
        seen.append(env.tap_pos.tolist())
    return seen


@pytest.mark.parametrize("name", OPENDSS)
def test_constant_load_leads_to_the_taps_of_opendss(name: str) -> None:
    """Capabilities 8, 106: interval by interval the way of the static control mode, then rest."""
    env = PhaseStandIn(name)
    seen = play(env, LocalControl(env), 12)
    assert seen[-1] == seen[-2] == [OPENDSS[name]]
    run = physics.settle_controls(env.net, tap_pos=0)
    tap = np.zeros(env.n_tap, dtype=int)
    ids = env.net.feeder.column("regulators", "reg_id").tolist()
    for step in range(12):
        for a in run.actions:
            if a.iteration == step + 1:
                tap[ids.index(a.device)] = a.state
        assert seen[step] == [tap.tolist()]


def test_rows_are_alone() -> None:
    """A batch of unequal starts goes as each start alone."""
    env = PhaseStandIn("ieee13", rows=2)
    env.tap_pos[1] = -4
    policy = LocalControl(env)
    both = play(env, policy, 6)
    for row, start in enumerate((0, -4)):
        alone = PhaseStandIn("ieee13", tap=start)
        assert [taps[row] for taps in both] == [taps[0] for taps in play(alone, LocalControl(alone), 6)]
    with pytest.raises(RunError, match=r"call reset\(\) first"):
        policy.act(np.zeros(len(env.codec.names)), {})


def test_delays_longer_than_an_interval_are_waited_for() -> None:
    """Seconds count: intervals of 6 s, a delay of 15 s, 2 s from tap to tap: three intervals, then 2 taps."""
    env = PhaseStandIn("ieee13", dt_h=6.0 / 3600.0)
    seen = play(env, LocalControl(env), 4)
    assert seen[0] == seen[1] == [[0, 0, 0]]
    assert seen[2] == [[2, 2, 2]]  # 3 s late: one tap at once, one after 2 s
    assert seen[3] == seen[2]
    everyone = play(env2 := PhaseStandIn("ieee34", dt_h=1.0), LocalControl(env2, in_order=False), 1)
    assert all(abs(tap) > 3 for tap in everyone[0][0])  # nobody waits for the faster ones


def test_a_bank_waits_for_its_discharge() -> None:
    """Capability 7: after opening it stays open for the dead time, whatever its relay wants."""
    feeder = cases.load("ieee13")
    branch = feeder.branches.to_pylist()[1]
    control = {
        "control_id": "k", "cap_id": feeder.column("capacitors", "cap_id")[0], "type": "voltage",
        "on_setting": 100.0, "off_setting": 200.0, "delay_on_s": 15.0, "delay_off_s": 15.0,
        "dead_time_s": 1800.0, "pt_ratio": 1.0, "ct_ratio": 1.0, "branch_id": branch["branch_id"],
        "end": "from", "monitored_phase": branch["phase"][0], "v_override": False, "feeder_id": "ieee13",
    }  # fmt: skip
    rows = table("cap_controls", {k: [v] for k, v in control.items()})
    feeder = dataclasses.replace(feeder, cap_controls=rows)
    net = physics.compile_per_phase(feeder)
    none = np.zeros(0, dtype=np.int64)
    relays = Relays(local_controls(net).only(none, np.zeros(1, dtype=np.int64)), 1, 0.25)
    flat = np.zeros((1, net.n_branch, 3), dtype=complex)
    tap, states = np.zeros((1, 0), dtype=np.int64), net.cap_on[None] > 0
    on = []
    base_v = relays.controls.meters.base_v[relays.controls.meters.bank_node[0]]
    for v in (300.0, 50.0, 50.0, 50.0, 50.0):
        volts = np.full((1, net.n_bus, 3), v / base_v + 0j)
        _, states = relays.decide((volts, flat, flat), tap, states)
        on.append(bool(states[0, 0]))
    assert on == [False, False, False, True, True]


def test_environments_without_taps_or_without_a_state_are_refused(fake_grid: Any) -> None:
    with pytest.raises(RunError, match="pass measure="):
        LocalControl(fake_grid)
    env = PhaseStandIn("ieee13")
    env.fleet.switched_devices = []
    with pytest.raises(RunError, match="no TapChanger or CapacitorBank"):
        LocalControl(env)
