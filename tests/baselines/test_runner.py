"""The runner: what it records, that it is reproducible, and that the tables add up."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs.manifest import Manifest
from distgrid.baselines.rollouts.env_source import episode_day
from distgrid.cases import profiles
from distgrid.cases.profiles import Duration
from distgrid.envs import PV, Battery, DistGridEnv, VoltVar

STEPS = 12
RESOURCES = (PV(18, 1.0, site=0), PV(33, 1.2, site=1), Battery(25, 0.3, 0.6))
make_env = functools.partial(
    DistGridEnv, "case33bw", RESOURCES, VoltVar(episode=Duration(hours=STEPS / 4)), "test"
)
PAIR = ("do-nothing", "volt-var-ieee1547")
TABLES = ("steps.parquet", "nodes.parquet", "branches.parquet", "episodes.parquet")


def run(
    out: Path | None = None, policy: Any = PAIR, episodes: int = 5, **options: Any
) -> baselines.RunResult:
    options = {"progress": False, "report": False, **options}
    return baselines.rollout(make_env, policy, episodes, out=out, **options)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


class Breaks(baselines.Policy):
    """Neutral, but it raises in the third episode as long as the world is broken."""

    name = "breaks"
    transient = ("resets",)

    def __init__(self) -> None:
        self.resets = 0

    def reset(self, obs: Any, info: Mapping[str, Any]) -> None:
        self.resets += 1

    def act(self, obs: Any, info: Mapping[str, Any]) -> Any:
        if os.environ.get("BROKEN") and self.resets == 3:
            raise ZeroDivisionError("the policy is broken")
        return np.zeros(3, dtype=np.float32)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> baselines.RunResult:
    """A run of two policies over five days, in a folder."""
    return run(tmp_path_factory.mktemp("run") / "out")


@pytest.mark.slow
def test_results_do_not_depend_on_chunks_engine_or_folder(
    finished: baselines.RunResult, tmp_path: Path
) -> None:
    """Capability 78: one process, all cores, any cut: the same bytes."""
    assert finished.out is not None
    expected = bytes_of(finished.out)
    run(tmp_path / "one", chunk_episodes=1)
    run(tmp_path / "all", chunk_episodes=32)
    run(tmp_path / "processes", engine="processes", chunk_episodes=2)
    for name in ("one", "all", "processes"):
        assert bytes_of(tmp_path / name) == expected, name
    in_memory = run(None, engine="processes")
    assert in_memory.steps.equals(finished.steps)
    assert in_memory.out is None


def test_an_episode_is_what_the_environment_says(finished: baselines.RunResult) -> None:
    """Replayed by hand: day, seed, rewards, slack power, voltages; t_index is the interval of the reward."""
    env = make_env()
    policy = baselines.make("volt-var-ieee1547", env)
    day = episode_day(profiles.split_days("test"), 3)
    obs, info = env.reset(seed=3, options={"day": day})
    policy.reset(obs, info)
    rows = finished.steps.filter(
        (np.array(finished.steps["policy"].to_pylist()) == "volt-var-ieee1547")
        & (finished.steps["episode"].to_numpy() == 3)
    )
    assert rows.num_rows == STEPS
    for k, row in enumerate(rows.to_pylist()):
        obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
        assert (row["day"], row["step"], row["t_index"]) == (day, k, day * 96 + k)
        assert (row["reward"], row["cost"]) == (reward, info["cost"])
        assert row["p_slack_mw"] == info["p_slack_MW"]
        assert row["q_slack_mvar"] == info["q_slack_MVAr"]
        assert row["n_voltage_violations"] == info["n_voltage_violations"]
        assert row["reward_loss"] == info["rewards"]["loss"]
        assert row["cost_voltage_violation"] == info["costs"]["voltage_violation"]
        assert (row["v_min_pu"], row["v_max_pu"]) == (info["voltages"].min(), info["voltages"].max())
        assert row["v_median_pu"] == np.median(info["voltages"])
        assert row["loading_max"] == np.nanmax(info["branch_loading"])
        assert (row["terminated"], row["truncated"]) == (terminated, truncated)


def test_episodes_and_summary_equal_a_recomputation_from_the_steps(finished: baselines.RunResult) -> None:
    """Trap 23: the scores printed are those of the rows written, recomputed here in plain Python."""
    assert finished.out is not None
    steps = pq.read_table(finished.out / "steps.parquet").to_pylist()
    episodes = pq.read_table(finished.out / "episodes.parquet").to_pylist()
    assert [(e["policy"], e["episode"]) for e in episodes] == [(p, k) for p in PAIR for k in range(5)]
    for episode in episodes:
        own = [s for s in steps if (s["policy"], s["episode"]) == (episode["policy"], episode["episode"])]
        assert episode["n_steps"] == len(own) == STEPS
        assert episode["return"] == pytest.approx(sum(s["reward"] for s in own), rel=1e-12)
        assert episode["loss_mwh"] == pytest.approx(sum(s["p_loss_mw"] for s in own) * 0.25, rel=1e-12)
        assert episode["cost_voltage_violation"] == pytest.approx(
            sum(s["cost_voltage_violation"] for s in own), rel=1e-12, abs=1e-15
        )
        assert episode["n_violating_steps"] == sum(s["n_voltage_violations"] > 0 for s in own)
        assert episode["n_failed_power_flows"] == sum(not s["pf_converged"] for s in own)
        assert episode["v_min_pu"] == min(s["v_min_pu"] for s in own)
        assert episode["v_max_pu"] == max(s["v_max_pu"] for s in own)
        assert episode["seed"] == episode["episode"]
    for summary in finished.summary:
        own_episodes = [e for e in episodes if e["policy"] == summary.policy]
        returns = [e["return"] for e in own_episodes]
        assert summary.return_mean == pytest.approx(np.mean(returns))
        assert summary.return_std == pytest.approx(np.std(returns))
        days = 5 * STEPS / 96
        assert summary.loss_mwh_per_day == pytest.approx(sum(e["loss_mwh"] for e in own_episodes) / days)
        assert summary.n_steps == 5 * STEPS
        assert summary.steps_per_s > 0.0


def test_nodes_and_branches_hold_the_extremes_of_every_node_and_branch(finished: baselines.RunResult) -> None:
    """What the feeder in the report is coloured by."""
    nodes, steps = finished.nodes.to_pylist(), finished.steps.to_pylist()
    assert len(nodes) == 2 * 5 * 33
    for policy in PAIR:
        for episode in range(5):
            key = (policy, episode)
            low = min(n["v_min_pu"] for n in nodes if (n["policy"], n["episode"]) == key)
            own = [s for s in steps if (s["policy"], s["episode"]) == key]
            assert low == min(s["v_min_pu"] for s in own)
            loading = [
                b["loading_max"]
                for b in finished.branches.to_pylist()
                if (b["policy"], b["episode"]) == key and b["loading_max"] is not None
            ]
            assert max(loading) == max(s["loading_max"] for s in own)


def test_run_json_round_trip_and_hashes(finished: baselines.RunResult) -> None:
    """Design 7: the manifest says what was read and written, and its hashes are true."""
    import hashlib

    assert finished.out is not None
    text = (finished.out / "run.json").read_text()
    run_json = Manifest.model_validate_json(text)
    assert run_json.model_dump_json(indent=2) + "\n" == text
    assert run_json.status == "done"
    assert run_json.timings.finished_at is not None
    assert all(chunk.status == "done" for chunk in run_json.chunks)
    records = [*run_json.outputs, *(f for chunk in run_json.chunks for f in chunk.files)]
    assert len(records) == 5 + 4 * len(run_json.chunks)
    for record in records:
        data = (finished.out / record.path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (record.sha256, record.size_bytes)
    hashes = {record.name: record.sha256 for record in run_json.inputs}
    assert hashes["split test"] == profiles.split_hash("test")
    assert {"feeder case33bw", "profiles", "environment"} <= hashes.keys()
    with pytest.raises(ValueError, match="extra"):
        Manifest.model_validate_json(text.replace('"seed"', '"sead"', 1))


def test_the_inputs_tell_runs_apart() -> None:
    """Another feeder, other resources, another task: another run, even under the same name."""

    def inputs(*args: Any) -> dict[str, str]:
        env = functools.partial(DistGridEnv, *args)
        result = baselines.rollout(env, "do-nothing", 1, progress=False)
        return {record.name: record.sha256 for record in result.manifest.inputs}

    task = VoltVar(episode=Duration(hours=2 / 4))
    base = inputs("case33bw", RESOURCES, task, "test")
    assert inputs("case33bw", RESOURCES, task, "test") == base
    site = inputs("case33bw", (PV(18, 1.0, site=7), *RESOURCES[1:]), task, "test")
    assert {k for k in base if base[k] != site[k]} == {"environment"}
    dearer = inputs("case33bw", RESOURCES, VoltVar(episode=Duration(hours=2 / 4), loss_weight=2.0), "test")
    assert {k for k in base if base[k] != dearer[k]} == {"environment"}


def test_days_stride_through_the_split_without_repetition() -> None:
    """A handful of episodes sees all seasons; every day comes once before any comes twice."""
    days = profiles.split_days("test")
    order = [episode_day(days, k) for k in range(2 * len(days))]
    assert sorted(order[: len(days)]) == days.tolist()
    assert order[len(days) :] == order[: len(days)]
    assert len({int(np.searchsorted([91, 182, 274], d)) for d in order[:5]}) >= 3
    assert episode_day(np.array([42]), 5) == 42


def test_a_failing_policy_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 23: the exception comes through, run.json says so, and what was repaired goes on from there."""
    policy = Breaks()
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(ZeroDivisionError, match="the policy is broken"):
        run(tmp_path / "out", policy, chunk_episodes=1)
    failed = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (failed["status"], failed["error"]) == ("failed", "ZeroDivisionError: the policy is broken")
    assert [c["status"] for c in failed["chunks"]] == ["done", "done", "pending", "pending", "pending"]
    monkeypatch.delenv("BROKEN")
    repaired = run(tmp_path / "out", policy, chunk_episodes=1)
    assert (repaired.skipped, repaired.computed) == (2, 3)
    assert repaired.manifest.status == "done"
    assert repaired.manifest.error is None


class NotesSeeds(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps what reset was given."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.given: list[tuple[int | None, Any]] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.given.append((seed, options))
        return self.env.reset(seed=seed, options=options)


def test_every_episode_has_its_seed_and_day() -> None:
    """Episode k: seed + k, and its own day, for every policy alike."""
    env = NotesSeeds(make_env())
    baselines.rollout(env, PAIR, 3, seed=40, chunk_episodes=2, progress=False)
    days = [episode_day(profiles.split_days("test"), k) for k in range(3)]
    assert env.given == 2 * [(40 + k, {"day": days[k]}) for k in range(3)]


class IgnoresTheDay(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Drops the options of reset."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.env.reset(seed=seed)


def test_an_environment_that_ignores_the_day_is_refused() -> None:
    """Otherwise every policy would be scored on other days than the table says."""
    with pytest.raises(RunError, match="started on day"):
        baselines.rollout(IgnoresTheDay(make_env()), "do-nothing", 3, progress=False)


def test_an_environment_that_was_handed_in_stays_open() -> None:
    """Its owner closes it; other processes cannot have it."""
    env = make_env()
    result = baselines.rollout(env, "random", 2, progress=False)
    assert result.episodes.num_rows == 2
    env.reset()
    with pytest.raises(RunError, match="id of the environment or a function"):
        baselines.rollout(env, "random", 2, engine="processes")


def test_failed_power_flows_are_counted_and_kept_out_of_energies() -> None:
    """A collapse is a row of its own: counted, violating, and no diagnostic gets into losses or voltages."""
    env = functools.partial(
        DistGridEnv, "case33bw", (Battery(18, 60.0, 600.0, soc_init=0.5), PV(33, 0.5)), VoltVar(), "test"
    )

    class Drains(baselines.Policy):
        name = "drains"

        def reset(self, obs: Any, info: Mapping[str, Any]) -> None:
            self.step = 0

        def act(self, obs: Any, info: Mapping[str, Any]) -> Any:
            self.step += 1
            return np.array([-1.0 if self.step > 4 else 0.0, 0.0], dtype=np.float32)

    result = baselines.rollout(env, Drains(), 2, progress=False)
    for episode in result.episodes.to_pylist():
        assert (episode["n_steps"], episode["n_failed_power_flows"], episode["terminated"]) == (5, 1, True)
        own = [s for s in result.steps.to_pylist() if s["episode"] == episode["episode"]]
        assert episode["loss_mwh"] == pytest.approx(sum(s["p_loss_mw"] for s in own[:4]) * 0.25)
        assert episode["v_min_pu"] == min(s["v_min_pu"] for s in own[:4])
        assert episode["n_violating_steps"] >= 1
    assert result.summary[0].n_failed_power_flows == 2


class Fails(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Passes a last iterate off as the state of every odd step."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        if info["step"] % 2 == 0:
            info["pf_converged"] = False
            info["voltages"] = np.full(33, 0.01)
            info["branch_loading"] = np.full_like(info["branch_loading"], 99.0)
        return obs, reward, terminated, truncated, info


def test_last_iterates_are_in_no_envelope() -> None:
    """Nodes, branches and episodes hold states of the grid only; the steps table holds the diagnostics."""
    result = baselines.rollout(Fails(make_env()), "do-nothing", 1, progress=False)
    assert min(result.steps["v_min_pu"].to_pylist()) == 0.01
    assert min(result.nodes["v_min_pu"].to_pylist()) > 0.8
    assert max(x for x in result.branches["loading_max"].to_pylist() if x is not None) < 99.0
    episode = result.episodes.to_pylist()[0]
    assert episode["v_min_pu"] > 0.8
    assert episode["n_failed_power_flows"] == STEPS // 2
    assert result.summary[0].violating_steps_pct >= 50.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episodes": 0}, "episodes must be a whole number of at least 1"),
        ({"episodes": 2.5}, "episodes must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"chunk_episodes": 0}, "chunk_episodes must be"),
        ({"engine": "proceses"}, "did you mean 'processes'"),
        ({"split": "tset"}, "did you mean 'test'"),
        ({"policy": "do-nothin"}, "did you mean 'do-nothing'"),
        ({"policy": ()}, "no policy given"),
        ({"policy": ("random", "random")}, "random came twice"),
        ({"split": "train"}, "plays split 'test', the run was asked for 'train'"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    """Bad input: each says what is wrong; names suggest the nearest."""
    with pytest.raises(RunError, match=message):
        run(None, **change)


def test_wrong_types() -> None:
    """What is no environment and no policy is told so."""
    with pytest.raises(TypeError, match="subclass Policy"):
        run(None, policy=[lambda obs: obs])
    with pytest.raises(TypeError, match="expected an environment"):
        baselines.rollout(3, "random", 1)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="unknown environment 'distgrid/VoltVar-34bw-v0'"):
        baselines.rollout("VoltVar-34bw-v0", "random", 1)
    with pytest.raises(RunError, match="no distgrid environment"):
        baselines.rollout(gymnasium.make("CartPole-v1"), "random", 1)
