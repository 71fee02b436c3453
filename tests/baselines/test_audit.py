"""The audit on crafted tasks: each verdict can fail, and says why; every action space; the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gymnasium.vector import AutoresetMode

from distgrid import cli
from distgrid.baselines.audit import AuditResult, audit
from distgrid.baselines.audit.against_rest import INFO_KEYS, against_rest
from distgrid.baselines.audit.verdicts import verdicts
from distgrid.baselines.errors import RunError
from distgrid.baselines.learned.potential import potential_of
from distgrid.baselines.rollouts.rows import open_rows
from distgrid.baselines.search.arena import Arena
from distgrid.envs import (
    EV,
    PV,
    Battery,
    DataTask,
    DERDispatch,
    DistGridEnv,
    Duration,
    EVCharging,
    HostingCapacity,
    HostingSite,
    Hybrid,
    LossMinimisation,
    SeriesLoad,
    Term,
    VoltVar,
    sb3_vec_env,
)

from ..envs.world import FEEDER

Registers = Callable[..., str]


def load(scale: float = 1.0) -> SeriesLoad:
    """Three days that resemble each other, of which the last is for tests."""
    p = FEEDER.column("nodes", "load_p_mw") * scale
    day = 1.0 + 0.3 * np.sin(np.arange(288) * 2.0 * np.pi / 96.0)
    return SeriesLoad(FEEDER, day[:, None] * p, splits={"train": [0, 1], "test": [2]})


@pytest.fixture
def register() -> Iterator[Registers]:
    """Registers an environment of case33bw under an id of its own, and forgets it afterwards."""
    made: list[str] = []

    def do(task: Any, resources: Any, kind: type[DistGridEnv] = DistGridEnv, **options: Any) -> str:
        identity = f"Audited/Env{len(made)}-v0"
        options = {"load": load(), **options}

        def create(**more: Any) -> DistGridEnv:
            return kind(FEEDER, resources, task, **{**options, **more})

        gymnasium.register(identity, create)
        made.append(identity)
        return identity

    yield do
    for identity in made:
        del gymnasium.registry[identity]


def audited(identity: str, **options: Any) -> AuditResult:
    return audit(identity, **{"budget": "tiny", "learners": (), **options})


def passes(found: AuditResult) -> dict[str, bool | None]:
    return {row["verdict"]: row["passes"] for row in found.verdicts.to_pylist()}


SIX_HOURS = Duration(hours=6)


def test_a_task_whose_optimum_is_a_constant_is_refused(register: Registers) -> None:
    """Losses of a feeder that lacks reactive power: compensation all day closes nearly all of the gap."""
    task = LossMinimisation(episode=SIX_HOURS)
    found = audited(register(task, [PV(30, 0.8, controls="q"), PV(25, 0.4, controls="q")]))
    assert found.share("best constant") > 0.9
    assert passes(found)["no constant action is good"] is False
    assert not found.accepted
    assert found.share("do-nothing") == 0.0
    assert found.share("random") < found.share("best constant")


@pytest.mark.slow
def test_storage_that_is_free_at_the_end_is_found_out(register: Registers) -> None:
    """A battery that is emptied before the end saves losses for nothing; not so where wear is priced."""
    fleet = [Battery(18, 0.5, 2.0), PV(30, 0.5, controls="q")]
    free = audited(register(VoltVar(episode=SIX_HOURS, wear_weight=0.0), fleet))
    assert passes(free)["storage at the end is worth what it costs"] is False
    priced = audited(register(VoltVar(episode=SIX_HOURS, wear_weight=20.0), fleet))
    assert passes(priced)["storage at the end is worth what it costs"] is True


def test_a_reward_whose_optimum_violates_is_found_out(register: Registers) -> None:
    """Power sold at any voltage: the best that can be done lifts voltages above their limit."""
    task = DataTask(
        blocks=("clock", "v_pu"), rewards=(Term("sold", "slack_mw", -1.0),), costs=("voltage_violation",),
        v_band=(0.95, 1.05), episode=SIX_HOURS,
    )  # fmt: skip
    found = audited(register(task, [Battery(18, 4.0, 40.0)], load=load(0.4)))
    reference = next(row for row in found.scores.to_pylist() if row["kind"] == "reference")
    assert reference["violating_share"] > 0.5
    assert passes(found)["reward and limits agree"] is False


@pytest.mark.slow
def test_a_failure_that_pays_is_found_out(register: Registers) -> None:
    """A failed power flow that takes less than the rest of the day costs would be the way out."""
    fleet = [PV(30, 0.8, controls="q")]
    cheap = audited(register(VoltVar(episode=SIX_HOURS, failure_price=0.001, failure_cost=1.0), fleet))
    assert passes(cheap)["failing never pays"] is False
    dear = audited(register(VoltVar(episode=SIX_HOURS, failure_price=1e6, failure_cost=1.0), fleet))
    assert passes(dear)["failing never pays"] is True
    assert passes(dear)["failing can be survived"] is False


def test_a_normal_day_of_who_connects_nothing_is_that_of_others(register: Registers) -> None:
    """Doing nothing returns 0 where generation is sited; a failure is weighed by what random days bring."""
    sites = [HostingSite(18, p_mw=0.6, step_mw=0.2), HostingSite(24, p_mw=2.0, step_mw=0.5)]
    task = HostingCapacity(episode=SIX_HOURS, failure_price=20.0, failure_cost=20.0)
    found = audited(register(task, sites))
    details = {row["name"]: row["value"] for row in found.details.to_pylist() if row["what"] == "failing"}
    assert details["normal day"] > 0.8  # what random connects; half as much with the days at 0
    assert details["price in normal days"] == pytest.approx(20.0 / details["normal day"])
    assert passes(found)["failing can be survived"] is True


class Drifting(DistGridEnv):
    """Shows its first entry outside of the space; a subclass, whose rows nobody can make."""


@pytest.mark.slow
@pytest.mark.parametrize("space", ["multi-discrete", "discrete", Hybrid(levels={"battery_18.p": 3})])
def test_every_action_space_is_audited(space: object, register: Registers) -> None:
    """Constants are codes: of a discrete space all joint actions are tried."""
    fleet = [Battery(18, 0.5, 2.0), PV(30, 0.5, controls="q")]
    found = audited(register(VoltVar(episode=SIX_HOURS), fleet, action_space=space))
    assert {"best constant", "best affine", "battery_18.p = +1", "random"} <= set(
        found.scores["contender"].to_pylist()
    )
    assert found.share("reference") == 1.0
    assert found.share("best constant") <= 1.0


@pytest.mark.slow
def test_the_same_audit_has_the_same_numbers_on_any_threads(register: Registers) -> None:
    """Every search has its own seed."""
    identity = register(VoltVar(episode=SIX_HOURS), [Battery(18, 0.5, 2.0), PV(30, 0.5, controls="q")])
    one, two = (audited(identity, threads=threads) for threads in (1, 2))
    assert one.episodes.equals(two.episodes)
    assert one.details.equals(two.details)


def test_the_command_writes_tables_and_says_no(
    register: Registers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 3 and a sentence where the task is not accepted; a second time nothing is done again."""
    identity = register(LossMinimisation(episode=SIX_HOURS), [PV(30, 0.8, controls="q")])
    words = ["audit", identity, "--budget", "tiny", "--learners", "none", "--out", str(tmp_path / "out")]
    for shown in ("is not accepted", "complete already"):
        with pytest.raises(SystemExit) as left:
            cli.main(words)
        told = capsys.readouterr()
        assert left.value.code == 3
        assert shown in told.out + told.err
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert report["command"][:3] == ["distgrid", "audit", identity]
    assert (report["seed"], report["env"]) == (0, identity)
    episodes = pq.read_table(tmp_path / "out" / "episodes.parquet")
    assert set(episodes.column_names) >= {"contender", "day", "seed", "return"}
    assert pq.read_table(tmp_path / "out" / "scores.parquet").num_rows == len(report["scores"])


def test_bad_input_is_told(register: Registers, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown environments, learners and options; a class of one's own, which has no rows."""
    with pytest.raises(RunError, match="did you mean 'distgrid/VoltVar-33bw-v"):
        audit("VoltVar-33bx-v1")
    identity = register(VoltVar(), [PV(30, 0.5, controls="q")])
    with pytest.raises(RunError, match="unknown learner 'pppo'; did you mean 'ppo'"):
        audit(identity, learners=("pppo",))
    with pytest.raises(ValueError, match="budget"):
        audit(identity, budget="huge")
    with pytest.raises(SystemExit) as left:
        cli.main(["audit", identity, "--ppo-log-std", "3"])
    assert left.value.code == 2
    assert (
        "--ppo-log-std must be a number of at least -4.0 and at most 1.0, got 3.0" in capsys.readouterr().err
    )
    own = register(VoltVar(), [PV(30, 0.5, controls="q")], kind=Drifting)
    with pytest.raises(RunError, match="Drifting has no vector environment"):
        audited(own)


def rows(**returns: tuple[str, float]) -> pa.Table:
    """Episodes of one day: kind and return by contender."""
    from distgrid.baselines.audit.tables import EPISODES

    found = [
        {"contender": name.replace("_", "-"), "kind": kind, "day": 3, "seed": 3, "return": value,
         "violating_share": 0.0, "failed": False, "steps": 4}
        for name, (kind, value) in returns.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(found, schema=EPISODES)


def judged(details: list[tuple[str, str, float]], **returns: tuple[str, float]) -> dict[str, Any]:
    """Verdicts by name, of made-up returns and details."""
    from distgrid.baselines.audit.tables import DETAILS

    told = [
        {"contender": "", "day": -1, "what": what, "name": name, "value": value}
        for what, name, value in details
    ]
    base = {"do_nothing": ("rest", -10.0), "random": ("random", -20.0), "reference": ("reference", -4.0)}
    constant = rows(**{**base, **returns}).to_pylist()
    constant.append({**constant[0], "contender": "best constant", "kind": "constant", "return": -7.0})
    table = pa.Table.from_pylist(constant, schema=rows(**base).schema)
    return {
        row["verdict"]: row for row in verdicts(table, pa.Table.from_pylist(told, schema=DETAILS)).to_pylist()
    }


def test_the_arithmetic_of_verdicts() -> None:
    """Shares of the gap from -10 to -4, and what PPO and its dimensions are held against."""
    found = judged([])
    assert found["do-nothing leaves a gap"]["value"] == pytest.approx(0.6)
    assert found["no constant action is good"]["value"] == pytest.approx(0.5)
    assert found["random is worse than do-nothing"]["value"] == pytest.approx(-10.0 / 6.0)
    assert "PPO beats the best rule" not in found
    details = [("ablation", "a.q", 0.6), ("ablation", "b.q", 0.1), ("training", "ppo steps", 1e6)]
    both = judged(details, ppo=("learned", -5.5), droop=("rule", -5.0))
    assert both["PPO beats the best rule"]["passes"] is False
    assert both["PPO beats the best rule"]["value"] == pytest.approx(-0.5 / 6.0)
    assert both["no dimension does it all"]["passes"] is False
    lost = judged(details[2:], ppo=("learned", -12.0))
    assert lost["no dimension does it all"]["passes"] is None
    alone = judged(details[:1], ppo=("learned", -4.5), droop=("rule", -5.0))
    assert alone["PPO beats the best rule"]["passes"] is True
    assert alone["no dimension does it all"]["passes"] is True


def test_the_reference_takes_over_what_is_better() -> None:
    """Nobody is better than the reference of a day: the gap ends where the best contender is."""
    found = judged([], ppo=("learned", -1.0), droop=("rule", -5.0))
    assert found["no constant action is good"]["value"] == pytest.approx(3.0 / 9.0)


@pytest.mark.slow
def test_learners_play_and_each_dimension_is_frozen_once(register: Registers) -> None:
    """PPO and SAC of a few hundred steps, the same each time; an ablation for each dimension."""
    identity = register(VoltVar(episode=SIX_HOURS), [Battery(18, 0.5, 2.0), PV(30, 0.5, controls="q")])
    first, again = (audited(identity, learners=("ppo", "sac")) for _ in range(2))
    assert {"ppo", "sac"} <= set(first.scores["contender"].to_pylist())
    assert first.episodes.equals(again.episodes)
    frozen = [row["name"] for row in first.details.to_pylist() if row["what"] == "ablation"]
    assert frozen == ["battery_18.p", "pv_30.q"]
    assert {"PPO beats the best rule", "no dimension does it all"} <= set(passes(first))


@pytest.mark.parametrize("kind", [VoltVar, DERDispatch])
@pytest.mark.parametrize("scale", [1.0, 4.0], ids=["survives", "fails"])
def test_learners_are_paid_for_what_is_better_than_rest(
    kind: type[VoltVar | DERDispatch], scale: float, register: Registers
) -> None:
    """Over an episode: its return less that of doing nothing, and nothing for doing nothing; where the power
    flow fails on the way, until then; also where stored energy counts before it is settled.
    """
    task = kind(failure_price=500.0, episode=SIX_HOURS)
    arena = Arena(
        register(task, [PV(30, 0.8, controls="q"), Battery(18, 0.3, 0.9)], load=load(scale)), "train", 0, 1
    )
    rest = arena.constants(arena.days, arena.neutral[None])
    assert rest.failed.all() == (scale > 1.0)
    for action in (arena.neutral, np.array([1.0, -1.0])):
        played = arena.constants(arena.days, action[None])
        made: Any = open_rows(arena.env, 2, 1, AutoresetMode.SAME_STEP)
        bare = sb3_vec_env(made, info_keys=INFO_KEYS)
        bare.set_options([{"day": int(day)} for day in arena.days])
        rows = against_rest(bare, made, arena)
        rows.reset()
        total, over = np.zeros(2), np.zeros(2, dtype=np.bool_)
        while not over.all():
            _, reward, done, _ = rows.step(np.tile(action.astype(np.float32), (2, 1)))
            total[~over] += reward[~over]
            over |= done
        beside = np.arange(arena.steps) < played.length[:, None]
        expected = played.returns - np.where(beside, rest.reward, 0.0).sum(axis=1)
        np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-4)
        rows.close()
    arena.close()


def test_chance_is_the_same_for_those_that_do_nothing(register: Registers) -> None:
    """Cars are drawn anew for each episode; who does nothing is paid nothing, in this one and the next."""
    park = EV(30, p_mw=0.2, cars=40, undelivered_cost_per_mwh=300.0)
    identity = register(EVCharging(import_fee_usd_mwh=60.0), [park])
    arena = Arena(identity, "train", 0, 1)
    made: Any = open_rows(arena.env, 4, 1, AutoresetMode.SAME_STEP)
    rows = against_rest(sb3_vec_env(made, info_keys=INFO_KEYS), made, arena)
    rows.seed(0)
    rows.reset()
    neutral = np.tile(arena.neutral.astype(np.float32), (4, 1))
    needed = []
    obs: Any
    for _ in range(2 * arena.steps):
        obs, reward, done, infos = rows.step(neutral)
        np.testing.assert_allclose(reward, 0.0, atol=3e-4)  # float32 of rewards above 1000
        assert not any(info["TimeLimit.truncated"] for info in infos if "TimeLimit.truncated" in info)
        needed.append(obs[:, arena.grid.scenario.layout["ev.need_mwh"]].ravel())
    assert done.all()
    assert np.ptp(np.array(needed), axis=1).max() > 0.0, "rows have cars of their own"
    rows.close()
    arena.close()


def test_a_car_is_worth_what_its_cheapest_plan_costs(register: Registers) -> None:
    """The potential before any car has charged is minus the bill of the rule that charges in the cheapest
    intervals, and less where a car can no longer get what it needs.
    """
    night = EV(30, p_mw=0.1, sessions=[(0.0, 6.0, 0.19)], undelivered_cost_per_mwh=500.0, eta_charge=0.95)
    identity = register(EVCharging(episode=SIX_HOURS, import_fee_usd_mwh=60.0), [night], load=load(0.0))
    arena = Arena(identity, "train", 0, 1)
    potential = potential_of(arena.grid.scenario)
    day = int(arena.days[0])
    obs, info = arena.env.reset(options={"day": day})
    price = np.sort(arena.grid.scenario.profiles.price_usd_mwh[day * 96 : day * 96 + 24])
    need, until_h = (arena.grid.scenario.layout[f"ev.{name}"] for name in ("need_mwh", "departure_h"))
    drawn_mwh = float(obs[need][0]) / 0.95
    full, rest = divmod(drawn_mwh / 0.025, 1.0)
    bill = 0.025 * ((price[: int(full)] + 60.0).sum() + rest * (price[int(full)] + 60.0))
    t_index = np.array([info["t_index"]])
    assert potential(obs[None], t_index)[0] == pytest.approx(-bill, rel=1e-5)
    late = obs.copy()
    late[until_h] = 1.0
    first = arena.grid.scenario.profiles.price_usd_mwh[day * 96 : day * 96 + 4] + 60.0
    missing = (drawn_mwh - 0.1) * 0.95 * 500.0
    assert potential(late[None], t_index)[0] == pytest.approx(-0.025 * first.sum() - missing, rel=1e-5)
    arena.close()


@pytest.mark.slow
def test_a_per_phase_environment_is_audited() -> None:
    """Taps, banks and single-phase inverters of a registered id."""
    found = audited("VoltVar3-ieee13-v1", days=1)
    assert found.share("reference") == 1.0
    assert found.share("random") < 0.0
    assert "tap_reg1.tap = +1" in found.scores["contender"].to_pylist()
