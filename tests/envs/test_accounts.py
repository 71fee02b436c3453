"""Accounts per unit: what each unit did, missed or cost, and the sums that tasks and costs are made of."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases
from distgrid.envs import (
    EV,
    PV,
    Battery,
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Exogenous,
    Resource,
    TapChanger,
    VoltVar,
)
from distgrid.envs.resources.accounts import ACCOUNTS, Accounts

from .world import FEEDER, FEEDER3, flat_load

Floats = NDArray[np.float64]
FLEET: list[Any] = [
    PV(25, 0.5, controls="pq", site=3), Battery(18, 0.2, 0.8), Battery(22, 0.3, 1.2), PV(30, 0.4, site=4),
    EV(8, 0.02, sessions=[(9.0, 12.5, 0.3)]),
]  # fmt: skip


def played(steps: int = 60, **options: Any) -> DistGridEnv:
    env = DistGridEnv(FEEDER, FLEET, VoltVar(), **options)
    env.reset(seed=0, options={"day": 170})
    rng = np.random.default_rng(1)
    for _ in range(steps):
        env.step(rng.uniform(-1.0, 1.0, env.action_space.shape))
    return env


def test_every_account_has_a_unit_in_its_name_and_a_meaning() -> None:
    """The one list: MW, MWh or money by the end of the name, counts by a plain word."""
    units = {"mw": "MW", "mwh": "MWh", "cost": "money"}
    for name, account in ACCOUNTS.items():
        assert account.name == name
        assert account.unit == units.get(name.rpartition("_")[2], "1")
        assert account.meaning
        assert (account.cost is not None) == (account.unit == "money")
    assert len({account.cost for account in ACCOUNTS.values() if account.cost}) == 7


def test_units_write_what_they_delivered() -> None:
    """Energy through a battery is its power times the interval; what the sun offered and was not used."""
    env = played()
    p, units, accounts = env.fleet.delivered_p_mw[0], env.units, env.fleet.accounts
    kinds = np.array([unit.kind for unit in units])
    through = accounts["throughput_mwh"][0]
    batteries = kinds == "battery"
    np.testing.assert_allclose(through[batteries], 0.25 * np.abs(p[batteries]), rtol=1e-15)
    assert (np.abs(p[batteries]) > 0.0).all()
    assert not through[kinds == "pv"].any()
    offered = env.fleet.state()["pv.p_avail_mw"][0]
    np.testing.assert_array_equal(accounts["curtailed_mw"][0][kinds == "pv"], offered - p[kinds == "pv"])
    assert offered.min() > 0.0
    assert accounts["curtailed_mw"].sum() > 0.0


def test_the_wear_of_a_task_is_the_sum_over_units() -> None:
    env = played()
    before = env.get_state()
    *_, info = env.step(np.ones(env.action_space.shape))
    total = env.fleet.accounts.total("throughput_mwh")[0]
    assert info["rewards"]["wear"] == -VoltVar().wear_weight * total
    assert total == pytest.approx(env.fleet.accounts["throughput_mwh"].sum())
    env.set_state(before)
    again = env.fleet.accounts.total("throughput_mwh")[0]
    assert again != total, "the accounts are those of the state that was restored"
    env.step(np.ones(env.action_space.shape))
    assert env.fleet.accounts.total("throughput_mwh")[0] == total


def test_a_sum_is_of_programs_and_of_units_in_their_order() -> None:
    """Not NumPy's pairwise sum: the same bits for a row alone and among others, and as released."""
    rng = np.random.default_rng(0)
    accounts = Accounts(3, [5, 40], [("throughput_mwh",), ("throughput_mwh", "curtailed_mw")])
    values = accounts["throughput_mwh"]
    values[:] = rng.random((3, 45)) * 10.0 ** rng.integers(-9, 9, (3, 45))
    expected = []
    for row in values.tolist():
        parts = [0.0, 0.0]
        for unit, value in enumerate(row):
            parts[unit >= 5] += value
        expected.append(parts[0] + parts[1])
    assert accounts.total("throughput_mwh").tolist() == expected
    assert np.shares_memory(accounts.of(1)["throughput_mwh"], values)


def test_an_account_that_nobody_writes_is_zero() -> None:
    """Readable under its name all the same, and not to be written; another name is an error that lists."""
    accounts = played(1).fleet.accounts
    assert accounts["shifted_mwh"].shape == (1, 5)
    assert not accounts["shifted_mwh"].any()
    assert accounts.total("shifted_mwh").tolist() == [0.0]
    with pytest.raises(ValueError, match="read-only"):
        accounts["shifted_mwh"][0] = 1.0
    with pytest.raises(KeyError, match=r"no account 'wear'; there are throughput_mwh, curtailed_mw"):
        accounts["wear"]


def test_cars_and_switchings_are_by_unit() -> None:
    """Which car lacked how much, and what each tap changer and bank has moved and cost."""
    cars = [EV(8, 0.02, sessions=[(0.0, 0.5, 0.009)]), EV(9, 0.02, sessions=[(0.0, 0.5, 0.005)])]
    env = DistGridEnv(FEEDER, cars, load=flat_load())
    env.reset(seed=0)
    env.step([1.0, -1.0])
    *_, info = env.step([1.0, -1.0])
    np.testing.assert_allclose(env.fleet.accounts["undelivered_mwh"], [[0.009, 0.0]], atol=1e-12)
    np.testing.assert_allclose(env.fleet.accounts["undelivered_cost"], [[0.009, 0.0]], atol=1e-12)
    assert info["costs"]["ev.undelivered"] == pytest.approx(0.009)
    devices = [TapChanger("reg1", max_steps=3, cost_per_step=0.5), CapacitorBank("cap1", cost_per_step=2.0)]
    phased = DistGrid3PhaseEnv(FEEDER3, devices)
    phased.reset(seed=0)
    *_, info = phased.step([-1.0, 0.5])
    accounts = phased.fleet.accounts
    assert accounts["switchings"].tolist() == [[3.0, 1.0]]
    assert accounts["wear_cost"].tolist() == [[1.5, 2.0]]
    assert info["costs"]["tap_changer.wear"] == 1.5
    assert info["costs"]["capacitor_bank.wear"] == 2.0


def test_rows_of_a_batch_have_the_accounts_of_single_environments() -> None:
    vector = DistGridVectorEnv(FEEDER, FLEET, VoltVar(), num_envs=3)
    vector.reset(seed=0, options={"day": [170, 171, 172]})
    rng = np.random.default_rng(1)
    actions = rng.uniform(-1.0, 1.0, (50, 3, len(vector.action_layout)))
    for action in actions:
        vector.step(action)
    for row, day in enumerate((170, 171, 172)):
        env = DistGridEnv(FEEDER, FLEET, VoltVar())
        env.reset(seed=row, options={"day": day})
        for step in range(len(actions)):
            env.step(actions[step, row])
        for name in ACCOUNTS:
            np.testing.assert_array_equal(vector.fleet.accounts[name][row], env.fleet.accounts[name][0])


def test_a_copy_has_accounts_of_its_own() -> None:
    env = played(20)
    other = copy.deepcopy(env)
    kept = env.fleet.accounts["throughput_mwh"].copy()
    other.step(np.ones(env.action_space.shape))
    np.testing.assert_array_equal(env.fleet.accounts["throughput_mwh"], kept)
    moved = 0.25 * np.abs(other.fleet.delivered_p_mw[0])
    np.testing.assert_allclose(other.fleet.accounts["throughput_mwh"][0][2:4], moved[2:4], rtol=1e-15)


# -- a resource of the user's own ------------------------------------------------------------------------


class Heater(Resource):
    """Sheds load as the action says, and charges for rooms that get cold."""

    kind = "heater"
    uses_voltage = False
    max_cost_per_step = 1.0
    writes: ClassVar[tuple[str, ...]] = ("unserved_mw", "discomfort_cost")
    assigns: ClassVar[bool] = False
    bias: ClassVar[float] = 0.0

    def __init__(self, buses: list[int]) -> None:
        super().__init__(buses, s_mva=0.1, actions=("p",))

    def advance(self, action: Floats, exo: Exogenous) -> None:
        shed = 0.05 * (action + 1.0) + self.bias
        self.current_p_mw[:] = shed - 0.1
        self.accounts["discomfort_cost"][:] = 5.0 * shed
        if self.assigns:
            self.accounts = {**self.accounts, "unserved_mw": shed}
        else:
            self.accounts["unserved_mw"][:] = shed


class Assigning(Heater):
    """Puts another array in place of the one that it was given."""

    assigns: ClassVar[bool] = True


@pytest.mark.parametrize("kind", [Heater, Assigning])
def test_an_own_resource_writes_accounts(kind: type[Heater]) -> None:
    """Its money is its costs by name; amounts are there for the task; saved and restored with the rest."""
    env = DistGridEnv(FEEDER, [Battery(18, 0.2, 0.8), kind([7, 30])], load=flat_load())
    env.reset(seed=0)
    *_, info = env.step([0.5, 0.0, -1.0])
    np.testing.assert_allclose(env.fleet.accounts["unserved_mw"], [[0.0, 0.05, 0.0]])
    assert info["costs"]["heater.discomfort"] == pytest.approx(0.25)
    saved = env.get_state()
    env.step([0.5, 1.0, 1.0])
    assert env.fleet.accounts.total("unserved_mw")[0] == pytest.approx(0.2)
    env.set_state(saved)
    assert env.fleet.state()["heater.unserved_mw"].sum() == pytest.approx(0.05)


def test_wrong_accounts_are_refused() -> None:
    """A name that there is not; an amount below 0, or above the bound that prices a failed power flow."""

    class Misnamed(Heater):
        writes: ClassVar[tuple[str, ...]] = ("comfort",)

    class Negative(Heater):
        bias: ClassVar[float] = -0.2

    class TooMuch(Heater):
        bias: ClassVar[float] = 0.2

    with pytest.raises(ValueError, match="Misnamed: account 'comfort' is unknown; expected some of through"):
        Misnamed([7])
    for kind, message in (
        (Negative, "'unserved_mw' must hold numbers >= 0"),
        (TooMuch, r"bound 0\.1; write"),
    ):
        env = DistGridEnv(FEEDER, [kind([7])], load=flat_load())
        with pytest.raises(ValueError, match=message):
            env.reset(seed=0)  # the interval before the first is played, too


def test_bounds_of_accounts_hold() -> None:
    """What prices a failed power flow: no interval of random actions writes more than `most_of` says."""
    env = DistGridEnv(cases.load("case33bw"), FLEET)
    most = {name: env.fleet.most_of(name, 0.25) for name in ACCOUNTS}
    rng = np.random.default_rng(3)
    seen = dict.fromkeys(ACCOUNTS, 0.0)
    env.reset(seed=0, options={"day": 170})
    for _ in range(96):
        env.step(rng.choice([-1.0, 1.0], env.action_space.shape))
        for name in ACCOUNTS:
            seen[name] = max(seen[name], float(env.fleet.accounts.total(name)[0]))
    for name in ACCOUNTS:
        assert seen[name] <= most[name] * (1.0 + 1e-12), name
    assert min(seen["throughput_mwh"], seen["curtailed_mw"], seen["undelivered_mwh"]) > 0.0
