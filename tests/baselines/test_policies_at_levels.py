"""Rules at every level of observation: they find what they read by bus and phase, in its units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.envs import EV, PV, Battery, DistGrid3PhaseEnv, DistGridEnv, DistGridVectorEnv, Meter
from distgrid.envs.core.ladder import LEVELS

FLEET = [
    Battery(18, 0.2, 0.8), PV(25, 0.5), PV(30, 0.3, q_max_frac=0.3),
    EV(33, 0.02, sessions=[(0.0, 5.0, 0.05)]),
]  # fmt: skip
RULES = (
    "volt-var-ieee1547",
    "volt-var-fuzzy",
    "volt-var-vde4105",
    "ev-valley-filling",
    "do-nothing",
    "random",
)


def played(env: Any, name: str, steps: int = 3) -> list[Any]:
    """Actions of a rule from noon of a day on."""
    policy = baselines.make(name, env)
    policy.seed(3)
    obs, info = env.reset(seed=2, options={"day": 170})
    policy.reset(obs, info)
    actions = []
    for _ in range(steps):
        action = policy.act(obs, info)
        actions.append(action)
        obs, *_, info = env.step(action)
    return actions


@pytest.mark.quick(12)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", RULES)
def test_rules_read_any_level_and_undo_the_scaling(name: str, level: str) -> None:
    """The same actions from scaled observations but for float32, and the same bits in a vector."""
    plain = played(DistGridEnv("case33bw", FLEET, observation=level), name)
    scaled = played(DistGridEnv("case33bw", FLEET, observation=level, normalise=True), name)
    assert np.array(scaled) == pytest.approx(np.array(plain), abs=2e-4)
    rows = played(DistGridVectorEnv("case33bw", FLEET, num_envs=2, observation=level), name)
    assert [one.tobytes() for one in plain] == [both[0].tobytes() for both in rows]


def test_rules_see_the_same_voltages_at_levels_without_noise() -> None:
    """What a rule reads of voltages does not depend on which other nodes are shown."""
    of = {
        level: played(DistGridEnv("case33bw", FLEET, observation=level), "volt-var-ieee1547")
        for level in LEVELS
    }
    for level in ("oracle", "local", "local+forecast", "graph"):
        assert np.array(of[level]).tobytes() == np.array(of["global"]).tobytes()


def test_what_a_level_does_not_show_is_told_with_the_levels_that_do() -> None:
    """A meter at other buses only: no neighbour's voltage is read in its place."""
    env = DistGridEnv("case33bw", [PV(25, 0.5)], meters=[Meter("v_pu", columns=["18", "26"])])
    with pytest.raises(
        RunError, match=r"reads v_pu at bus 25, phase ABC.*observation= one of 'global', 'graph'"
    ):
        baselines.make("volt-var-ieee1547", env)


def test_rules_read_the_phase_of_each_unit() -> None:
    """Per phase: a unit's own phase, the mean of three, the leg of a delta."""
    units = [PV("675", 0.2, phase="A"), PV("671", 0.3), PV("646", 0.1, phase="BC")]
    env = DistGrid3PhaseEnv("ieee13", units, observation="local")
    policy: Any = baselines.make("volt-var-ieee1547", env)
    rows = env.layout.describe()
    seen = [[(rows[c].bus, rows[c].phase) for c in columns] for columns in policy.inverters.v_columns]
    assert seen == [
        [("675", "A")],
        [("671", "A"), ("671", "B"), ("671", "C")],
        [("646", "B"), ("646", "C")],
    ]
    assert len(played(env, "volt-var-ieee1547")) == 3
