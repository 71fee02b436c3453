"""Row 102: `distgrid train`: what learners compute, what a training leaves, how it is taken up again."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import baselines
from distgrid.baselines import RunError
from distgrid.baselines.jobs.runner import prepared, run_job
from distgrid.baselines.learned.learner import Settings
from distgrid.baselines.learned.policy_file import from_safetensors, read_policy, to_safetensors
from distgrid.baselines.learned.potential import agent_potential_of, potential_of
from distgrid.baselines.learned.torch_parts import Moments, advantages, against_twins, returns_to_go, run
from distgrid.baselines.learned.trained import Actors
from distgrid.baselines.policy import scenario_of
from distgrid.baselines.rollouts.env_source import make_source
from distgrid.baselines.training.config import TrainConfig
from distgrid.baselines.training.evaluation import Days
from distgrid.baselines.training.event_file import crc32c, event_file
from distgrid.baselines.training.job import TrainJob
from distgrid.baselines.training.learners import open_learner, policy_of
from distgrid.cli import main
from distgrid.envs import parallel_vec

ENV = "VoltVar-33bw-v1"
SMALL = Settings(steps=1500, rows=8, twins=4, batch=128, hidden=8)


# -- arithmetic ----------------------------------------------------------------------------------------------


def test_advantages_are_those_of_the_definition() -> None:
    """Generalised advantages as the sum over all later errors; nothing crosses the end of an episode."""
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, 6, 1))
    gamma, lam = 0.9, 0.8
    goes_on = np.array([True, True, False, True, True, False])[:, None]
    after = np.append(values[1:, 0], 0.0)
    errors = rewards[:, 0] + gamma * goes_on[:, 0] * after - values[:, 0]
    wanted = [
        sum((gamma * lam) ** (k - t) * errors[k] for k in range(t, 3 if t < 3 else 6)) for t in range(6)
    ]
    np.testing.assert_allclose(advantages(rewards, values, goes_on, gamma, lam)[:, 0], wanted)


def test_twins_share_their_day_and_no_action() -> None:
    """What a day brings to all its rows alike is gone; what a row does itself is left as it is."""
    rng = np.random.default_rng(1)
    day, own = rng.normal(size=(5, 3)), rng.normal(size=(5, 12))
    found = against_twins(np.repeat(day, 4, axis=1) + own, 4)
    np.testing.assert_allclose(found, against_twins(own, 4), atol=1e-12)
    moved = own.copy()
    moved[:, 0] += 1.0
    np.testing.assert_allclose((against_twins(moved, 4) - against_twins(own, 4))[:, 0], 1.0)
    assert against_twins(own, 1) is own


def test_returns_are_discounted_sums() -> None:
    np.testing.assert_allclose(returns_to_go(np.array([[1.0], [2.0], [4.0]]), 0.5)[:, 0], [3.0, 4.0, 4.0])


def test_moments_are_those_of_everything_at_once() -> None:
    """Piece by piece or at once; a column that never moves is shown as 0."""
    values = np.random.default_rng(2).normal(3.0, 2.0, size=(50, 3))
    values[:, 2] = 7.0
    moments = Moments(3)
    for piece in np.split(values, [10, 15]):
        moments.update(piece)
    np.testing.assert_allclose(moments.mean, values.mean(axis=0))
    np.testing.assert_allclose(moments.var, values.var(axis=0), atol=1e-12)
    assert np.abs(moments.normalise(values)[:, 2]).max() == 0.0


def test_event_files_are_records_that_tensorboard_reads() -> None:
    """CRC-32C has the check value of RFC 3720; lengths and checksums of every record are right."""
    assert crc32c(b"123456789") == 0xE3069283
    table = pa.table({"seed": [3], "steps": [300], "train_return": [-1.5], "val_return": [float("nan")]})
    data, found = event_file(table), []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        found.append(data[12 : 12 + size])
        for content, kept in ((data[:8], data[8:12]), (found[-1], data[12 + size : 16 + size])):
            crc = crc32c(content)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.pack("<I", masked) == kept
        data = data[16 + size :]
    assert len(found) == 2
    assert b"brain.Event:2" in found[0]
    assert b"train_return/seed-3" in found[1]
    assert struct.pack("<f", -1.5) in found[1]


# -- learners ------------------------------------------------------------------------------------------------


def learner(algo: str, env: str = ENV, settings: Settings = SMALL) -> Any:
    pytest.importorskip("torch")
    return open_learner(make_source(env, "train"), algo, settings, 0)


def file_of(one: Any, algo: str, settings: Settings = SMALL) -> bytes:
    return policy_of(one, algo, ENV, settings, 0).to_bytes()


@pytest.mark.parametrize("algo", ["ppo", "mappo"])
def test_a_training_that_was_interrupted_ends_with_the_same_bytes(algo: str) -> None:
    """Weights, moments, and the optimiser go into a checkpoint; everything else is drawn anew."""
    whole, first, second = (learner(algo) for _ in range(3))
    while whole.iterations_done < whole.iterations:
        whole.iterate()
    first.iterate()
    assert second.go_on(first.checkpoint("note")) == "note"
    while second.iterations_done < second.iterations:
        second.iterate()
    assert second.iterations_done == whole.iterations == 2
    assert file_of(second, algo) == file_of(whole, algo)


@pytest.mark.parametrize("algo", ["ppo", "ippo"])
def test_a_training_begins_with_what_its_rules_do(algo: str) -> None:
    """Before anything is learned, returns of val days are those of the rule, and not of nothing."""
    env = "EVCharging-33bw-v0"
    settings = Settings(steps=1, rows=2, twins=2, hidden=4, std=1e-3, rules="ev-cheapest")
    one = learner(algo, env, settings)
    days = Days(make_source(env, "val"), 2)
    rule = baselines.rollout(env, "ev-cheapest", episodes=2, split="val", progress=False, report=False)
    wanted = rule.episodes["return"].to_numpy()
    found = days.returns(policy_of(one, algo, f"distgrid/{env}", settings, 0))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert np.abs(days.do_nothing - wanted).max() > 100.0
    one.iterate()
    assert one.steps == 2 * one.episode_steps


@pytest.mark.parametrize(
    ("algo", "settings", "message"),
    [
        ("ppo", Settings(rules="volt-var"), "unknown rule 'volt-var'"),
        ("ippo", Settings(rows=8, reward="all"), "reward must be .* or a share from 0 to 1, got .all."),
    ],
)
def test_settings_that_there_are_not_are_told(algo: str, settings: Settings, message: str) -> None:
    with pytest.raises(RunError, match=message):
        learner(algo, settings=settings)


def test_what_units_hold_is_what_all_hold_together() -> None:
    """The potentials of batteries and cars add up to that of the environment where nothing else owes."""
    vec = parallel_vec("EVCharging-33bw-v0", 3, split="train")
    scenario = scenario_of(vec.unwrapped)
    agents, whole = agent_potential_of(scenario, vec.table), potential_of(scenario)
    _, infos = vec.reset(seed=0)
    seen = []
    for _ in range(60):
        obs = vec.state()
        seen.append(whole(obs, infos["t_index"]))
        np.testing.assert_allclose(agents(obs, infos["t_index"]).sum(axis=1), seen[-1], rtol=1e-4, atol=1e-3)
        *_, infos = vec.step(np.ones((3, vec.num_agents, vec.action_width)))
    assert np.abs(seen).max() > 1.0


def test_a_checkpoint_of_another_training_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter"):
        learner("ppo").go_on(learner("ppo", settings=Settings(rows=8, twins=4, hidden=4)).checkpoint())


def test_what_ippo_learned_is_played_on_the_whole_environment() -> None:
    """Row 102: agents of many kinds, out of a file, do together what they do in the batched form."""
    torch = pytest.importorskip("torch")
    one = learner("ippo", "DERDispatch-33bw-v0", Settings(steps=1, rows=2, twins=2, hidden=8))
    one.iterate()
    obs, _ = one.envs.reset(seed=[5, 6])
    acted = np.repeat(one.envs.table.neutral[None], 2, axis=0)
    with torch.no_grad():
        for kind in one.kinds:
            action = run(kind.actor, kind.normalised(torch, obs), kind.own).clamp(-1.0, 1.0).numpy()
            real = kind.acts >= 0
            acted[:, kind.acts[real]] = action[:, real]
    content = policy_of(one, "ippo", "distgrid/DERDispatch-33bw-v0", SMALL, 0)
    played = Actors(content, one.envs.table.neutral).act(one.envs.state().astype(np.float64))
    np.testing.assert_allclose(played, acted, atol=2e-6)
    assert len(content.actors) == len({name.rpartition("_")[0] for name in one.envs.possible_agents})


def test_sac_is_played_as_its_library_plays_it() -> None:
    """The mean action of stable-baselines3's own network, normalised observations included."""
    pytest.importorskip("stable_baselines3")
    settings = Settings(steps=200, rows=4, twins=1, epochs=1, batch=16, hidden=8)
    one = learner("sac", settings=settings)
    one.iterate()
    content = policy_of(one, "sac", ENV, settings, 0)
    obs = one._env.get_original_obs()
    wanted, _ = one._model.predict(one._env.normalize_obs(obs), deterministic=True)
    found = Actors(content, np.zeros(15, np.float32)).act(obs.astype(np.float64))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("algo", "env", "message"),
    [
        ("dqn", ENV, "dqn acts on Discrete actions, this environment has Box"),
        ("ppo", "VoltVar3-ieee13-discrete-v1", "ppo acts on continuous actions, .* has MultiDiscrete"),
    ],
)
def test_algorithms_say_which_actions_they_have(algo: str, env: str, message: str) -> None:
    pytest.importorskip("stable_baselines3")
    with pytest.raises(RunError, match=message):
        learner(algo, env)


# -- the job -------------------------------------------------------------------------------------------------

TINY: dict[str, Any] = {
    "env": ENV, "steps": 1500, "rows": 8, "twins": 4, "hidden": 8, "evaluations": 2, "val_days": 2,
}  # fmt: skip


class Killed(BaseException):
    """As Ctrl-C comes: whatever catches exceptions does not catch it."""


def train(out: Path, dies_after: int = 0, **config: Any) -> Any:
    """A training; it dies when it has told of its progress so often."""
    job = TrainJob(TrainConfig(**TINY, **config))
    told: list[str] = []

    def tell(words: str) -> None:
        told.append(words)
        if len(told) == dies_after:
            raise Killed

    with prepared(job) as context:
        type(job).tell = staticmethod(tell)
        try:
            return run_job(job, context, out, engine="processes")
        finally:
            del type(job).tell


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing happened to."""
    pytest.importorskip("torch")
    out = tmp_path_factory.mktemp("train") / "out"
    train(out)
    return out


def test_a_training_leaves_curve_scores_picture_and_policy(folder: Path) -> None:
    """Row 102: curve of val days, scores of test days, and a policy that plays what the table says."""
    curve = pq.read_table(folder / "curve.parquet").to_pylist()
    assert [row["steps"] for row in curve] == [768, 1536]
    episodes = pq.read_table(folder / "episodes.parquet").to_pylist()
    assert [row["split"] for row in episodes].count("val") == 2
    assert curve[-1]["val_return"] == pytest.approx(
        np.mean([row["return"] for row in episodes if row["split"] == "val"])
    )
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert not list((folder / "parts").glob("checkpoint*"))
    path = folder / "policy-0.safetensors"
    assert read_policy(path)[0].training["seed"] == 0
    played = baselines.rollout(ENV, f"file:{path}", episodes=2, progress=False, report=False).episodes
    test = [row for row in episodes if row["split"] == "test"][:2]
    assert played["day"].to_pylist() == [row["day"] for row in test]
    assert played["return"].to_pylist() == pytest.approx([row["return"] for row in test], rel=1e-12)
    assert played["normalised_score"].to_pylist() == pytest.approx([r["normalised_score"] for r in test])


def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path
) -> None:
    """Killed in its second iteration, it goes on behind the first; all files are the same at the end."""
    with pytest.raises(Killed):
        train(tmp_path / "out", dies_after=2)
    assert (tmp_path / "out" / "parts" / "checkpoint-0.safetensors").exists()
    outcome = train(tmp_path / "out", dies_after=2)  # only one iteration is left to be told of
    assert outcome.computed == 1
    for record in outcome.manifest.outputs:
        assert (tmp_path / "out" / record.path).read_bytes() == (folder / record.path).read_bytes(), (
            record.path
        )
    assert not list((tmp_path / "out" / "parts").glob("checkpoint*"))
    assert train(tmp_path / "out").complete


def test_a_damaged_checkpoint_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    """Of one that lacks its last entry, nothing that was read before is in what is trained anew."""
    with pytest.raises(Killed):
        train(tmp_path / "out", dies_after=2)
    path = tmp_path / "out" / "parts" / "checkpoint-0.safetensors"
    arrays, texts = from_safetensors(path.read_bytes())
    del arrays[max(name for name in arrays if name.startswith("parameter."))]
    path.write_bytes(to_safetensors(arrays, texts))
    train(tmp_path / "out")
    trained = (tmp_path / "out" / "policy-0.safetensors").read_bytes()
    assert trained == (folder / "policy-0.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "8", "--twins", "3"], "rows must be a multiple of twins, got 8 rows in groups of 3"),
        (["--algo", "ppp"], "--algo"),
        (["--steps", "0"], "--steps"),
        (["--algo", "sac", "--rules", "volt-var-ieee1547"], "sac adds to no rules"),
    ],
)
def test_wrong_options_are_told(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["train", ENV, "--out", str(tmp_path / "out"), *options])
    assert left.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_machine_without_torch_is_told_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained policies need no PyTorch, training does; nothing is written."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as left:
        main(["train", ENV, "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    assert "training needs PyTorch: pip install 'distgrid[rl]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ppo_learns_volt_var_on_test_days() -> None:
    """Row 102: after 50,000 steps PPO has a quarter of what is possible on days that it never saw."""
    pytest.importorskip("torch")
    settings = Settings(steps=50_000, rows=64, gamma=0.9, std=0.6)
    one = learner("ppo", settings=settings)
    while one.iterations_done < one.iterations:
        one.iterate()
    days = Days(make_source(ENV, "test"), 8)
    scores = [score for score in days.scores(days.returns(policy_of(one, "ppo", ENV, settings, 0))) if score]
    assert len(scores) == 8
    assert np.mean(scores) > 0.25
