"""Row 102: trained policies in plain arrays: what the file holds, what it plays, and what it refuses."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines import RunError
from distgrid.baselines.learned.policy_file import (
    Actor,
    PolicyFile,
    from_safetensors,
    parse_policy,
    read_policy,
    to_safetensors,
)
from distgrid.baselines.learned.trained import Actors
from distgrid.baselines.learned.trained_for import fingerprints

ENV = "distgrid/VoltVar-33bw-v1"


def layers(sizes: tuple[int, ...], seed: int = 0) -> tuple[Any, ...]:
    """Weights and biases as a network has them."""
    rng = np.random.default_rng(seed)
    return tuple(
        (rng.normal(size=(n, m)).astype(np.float32) / m**0.5, rng.normal(size=n).astype(np.float32))
        for m, n in itertools.pairwise(sizes)
    )


@pytest.fixture(scope="module")
def env() -> Any:
    return gymnasium.make(ENV, split="test")


@pytest.fixture(scope="module")
def content(env: Any) -> PolicyFile:
    """A network of the right sizes that nobody trained."""
    n_obs, n_act = env.observation_space.shape[0], env.action_space.shape[0]
    rng = np.random.default_rng(1)
    actor = Actor(
        "all", rng.normal(size=n_obs), rng.uniform(0.5, 2.0, n_obs), layers((n_obs, 8, 8, n_act)),
        np.arange(n_obs)[None], np.arange(n_act)[None],
    )  # fmt: skip
    fits = fingerprints(env.unwrapped.scenario)
    return PolicyFile("ppo", ENV, fits, {"steps": 1, "seed": 0}, (actor,), 10.0)


def test_a_file_gives_back_what_was_written(content: PolicyFile, tmp_path: Path) -> None:
    """Every array and text; the same policy has the same bytes; nothing half-written is left beside it."""
    path = tmp_path / "one.safetensors"
    content.write(path)
    found, sha256 = read_policy(path)
    assert found.to_bytes() == path.read_bytes() == content.to_bytes()
    assert len(sha256) == 64
    assert (found.fits, found.training) == (content.fits, content.training)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_numpy_gives_what_torch_gives(content: PolicyFile) -> None:
    """Row 102: inference without the library that trained: to 1e-6 of PyTorch's own numbers."""
    torch = pytest.importorskip("torch")
    actor = content.actors[0]
    obs = np.random.default_rng(2).normal(size=(7, actor.mean.size))
    values = torch.from_numpy(np.clip((obs - actor.mean) / actor.std, -10.0, 10.0))
    for k, (weight, bias) in enumerate(actor.layers):
        values = torch.nn.functional.linear(
            values, torch.from_numpy(weight).double(), torch.from_numpy(bias).double()
        )
        values = values.tanh() if k < 2 else values
    ours = Actors(content, np.zeros(actor.acts.size, np.float32)).networks[0].values(obs)[:, 0]
    np.testing.assert_allclose(ours, values.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("output", ["clip", "tanh"])
def test_a_batch_has_the_bits_of_its_rows(content: PolicyFile, output: str) -> None:
    """Row i of a batch is what the row alone gets, whatever stands beside it."""
    actors = Actors(replace(content, output=output), np.zeros(15, np.float32))
    obs = np.random.default_rng(3).normal(size=(33, content.actors[0].mean.size))
    together = actors.act(obs)
    assert together.dtype == np.float32
    assert np.abs(together).max() <= 1.0
    for row in (0, 16, 32):
        assert actors.act(obs[row : row + 1]).tobytes() == together[row : row + 1].tobytes()


def test_agents_are_gathered_and_spread() -> None:
    """Each agent sees its columns and decides its own; holes are 0, what nobody decides is neutral."""
    identity = ((np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),)
    sees, acts = np.array([[0, 3], [2, -1]]), np.array([[4, -1], [1, 0]])
    own = np.array([[0.0, 0.0], [0.25, 0.5]], np.float32)
    actor = Actor("battery", np.zeros(2), np.ones(2), identity, sees, acts, own)
    content = PolicyFile("ippo", ENV, {}, {}, (actor,), 10.0)
    neutral = np.full(5, -1.0, np.float32)
    found = Actors(parse_policy(content.to_bytes()), neutral).act(np.array([[0.1, 9.0, 0.2, 0.3]]))
    np.testing.assert_allclose(found[0], [0.5, 0.45, -1.0, -1.0, 0.1], atol=1e-7)


def test_a_policy_is_played_from_its_file(content: PolicyFile, env: Any, tmp_path: Path) -> None:
    """`file:PATH` is a policy wherever names are; its own name tells its content."""
    path = tmp_path / "policy.safetensors"
    content.write(path)
    policy = baselines.make(f"file:{path}", env)
    obs, info = env.reset(seed=0)
    policy.reset(obs, info)
    assert env.action_space.contains(policy.act(obs, info))
    result = baselines.rollout(ENV, ["do-nothing", f"file:{path}"], episodes=2, progress=False, report=False)
    assert [row.policy for row in result.summary] == ["do-nothing", policy.name]
    assert policy.name == f"ppo-{str(policy.config()['sha256'])[:8]}"


def test_another_training_under_the_same_name_is_another_run(content: PolicyFile, tmp_path: Path) -> None:
    """TRAPS 39: the folder of a run with other weights in the same file is refused, not taken over."""
    path, out = tmp_path / "policy.safetensors", tmp_path / "run"
    content.write(path)
    keywords: Any = {"episodes": 1, "out": out, "progress": False, "report": False}
    baselines.rollout(ENV, f"file:{path}", **keywords)
    assert baselines.rollout(ENV, f"file:{path}", **keywords).computed == 0
    actor = content.actors[0]
    moved = replace(actor, std=actor.std * 1.01)
    replace(content, actors=(moved,)).write(path)
    with pytest.raises(RunError, match="Choose another --out folder"):
        baselines.rollout(ENV, f"file:{path}", **keywords)


def test_the_same_policy_twice_is_refused(content: PolicyFile, tmp_path: Path) -> None:
    """Two files of one content have one name: their rows could not be told apart."""
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in paths:
        content.write(path)
    with pytest.raises(RunError, match="came twice"):
        baselines.rollout(ENV, [f"file:{path}" for path in paths], episodes=1, progress=False)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        ("distgrid/VoltVar-33bw-v0", "another .*observation"),
        ("distgrid/VoltVar-141-v1", "another feeder"),
    ],
)
def test_another_environment_or_version_is_refused(
    content: PolicyFile, tmp_path: Path, other: str, part: str
) -> None:
    """Issue 16, bad input: the message names the file, what it was trained on and what differs."""
    path = tmp_path / "policy.safetensors"
    content.write(path)
    with pytest.raises(RunError, match=f"policy.safetensors was trained on {ENV}, .*{part}"):
        baselines.make(f"file:{path}", gymnasium.make(other))


def damaged(data: bytes, **changes: Any) -> bytes:
    """The file with other arrays or texts."""
    arrays, told = from_safetensors(data)
    for name, value in changes.items():
        (told if isinstance(value, str) else arrays)[name.replace("__", ".")] = value
    return to_safetensors(arrays, told)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "distgrid policy 99"}, "format is 'distgrid policy 99'"),
        ({"output": "shout"}, "output is 'shout', expected one of clip"),
        ({"all__mean": np.zeros(3)}, r"all.mean has shape \(3,\), expected \(131,\)"),
        ({"all__std": np.zeros(131)}, "std has entries that are not above 0"),
        ({"all__layers.0.bias": np.full(8, np.nan, np.float32)}, "no finite numbers"),
        ({"all__layers.1.weight": np.zeros((8, 9), np.float32)}, r"expected \(n_out, 8\)"),
        ({"all__acts": np.full((1, 15), -2)}, "holds no columns"),
        ({"clip": np.array([0.0])}, "clip is 0.0"),
        ({"fits": "[1]"}, "fits is no mapping"),
    ],
)
def test_a_damaged_file_is_told(
    content: PolicyFile, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """Wrong sizes, numbers and texts: one message that names the file and the entry."""
    path = tmp_path / "policy.safetensors"
    path.write_bytes(damaged(content.to_bytes(), **changes))
    with pytest.raises(RunError, match=f"policy.safetensors is no policy file.*{message}"):
        read_policy(path)


@pytest.mark.parametrize("cut", [0, 5, 8, 200, -1])
def test_a_file_that_is_cut_off_is_told(content: PolicyFile, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(content.to_bytes()[:cut])
    with pytest.raises(RunError, match="is no policy file of distgrid, or is damaged"):
        read_policy(path)


def test_a_network_for_other_columns_is_told(content: PolicyFile, env: Any, tmp_path: Path) -> None:
    """Hashes that fit do not let a network decide columns that there are not."""
    path = tmp_path / "policy.safetensors"
    path.write_bytes(damaged(content.to_bytes(), all__acts=np.arange(15)[None] + 1))
    with pytest.raises(RunError, match=r"'all' decides column 15, this environment has 15"):
        baselines.make(f"file:{path}", env)


@pytest.mark.parametrize(
    ("name", "message"),
    [("file:", "expected file:PATH"), ("file:nowhere.bin", "cannot read the policy file")],
)
def test_a_file_that_is_not_there_is_told(name: str, message: str, env: Any) -> None:
    for ask in (lambda: baselines.make(name, env), lambda: baselines.rollout(ENV, name, episodes=1)):
        with pytest.raises(RunError, match=message):
            ask()


def test_a_large_network_is_no_policy_file(content: PolicyFile) -> None:
    """500 KB are the most: what is shipped and passed around stays small."""
    actor = replace(content.actors[0], layers=layers((131, 900, 15)))
    with pytest.raises(RunError, match="train a smaller network"):
        replace(content, actors=(actor,)).to_bytes()


def test_the_format_is_that_of_safetensors(content: PolicyFile) -> None:
    """Its header: eight bytes of length, JSON with dtype, shape and offsets of each array, texts beside."""
    data = content.to_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert header["__metadata__"]["environment"] == ENV
    entry = header["all.mean"]
    assert (entry["dtype"], entry["shape"]) == ("F64", [131])
    first, last = entry["data_offsets"]
    body = data[8 + size :]
    np.testing.assert_array_equal(np.frombuffer(body[first:last], "<f8"), content.actors[0].mean)


# -- on the actions of rules ---------------------------------------------------------------------------------

MONEY = "distgrid/DERDispatch-33bw-v0"
RULES = ("ev-cheapest", "volt-var-ieee1547")


@pytest.fixture(scope="module")
def money() -> Any:
    return gymnasium.make(MONEY, split="val")


def on_rules(env: Any, scale: float) -> PolicyFile:
    """A network beside rules, with an output of that size."""
    n_obs, n_act = env.observation_space.shape[0], env.action_space.shape[0]
    ((weight, bias),) = layers((n_obs, n_act))
    actor = Actor(
        "all", np.zeros(n_obs), np.full(n_obs, 100.0), ((scale * weight, scale * bias),),
        np.arange(n_obs)[None], np.arange(n_act)[None],
    )  # fmt: skip
    fits = fingerprints(env.unwrapped.scenario)
    return PolicyFile("ppo", MONEY, fits, {}, (actor,), 10.0, rules=RULES)


def test_a_network_that_says_nothing_plays_the_rules(money: Any, tmp_path: Path) -> None:
    """Rules of unlike devices act together, each on its own, with the bits that they have alone."""
    path = tmp_path / "policy.safetensors"
    on_rules(money, 0.0).write(path)
    assert read_policy(path)[0].rules == RULES
    policy, alone = baselines.make(f"file:{path}", money), [baselines.make(name, money) for name in RULES]
    rest = money.unwrapped.scenario.neutral_action
    obs, info = money.reset(seed=0)
    moved = np.zeros((2, rest.size), dtype=np.bool_)
    for one in (policy, *alone):
        one.reset(obs, info)
    for _ in range(40):
        action, single = policy.act(obs, info), [rule.act(obs, info) for rule in alone]
        for k, acted in enumerate(single):
            moved[k] |= acted != rest
            np.testing.assert_array_equal(action[acted != rest], acted[acted != rest])
        obs, _, _, _, info = money.step(action)
    assert moved.any(axis=1).all()
    assert not moved.all(axis=0).any()


def test_a_network_is_added_to_the_rules_row_by_row(money: Any, tmp_path: Path) -> None:
    """Many days side by side and one after the other are the same run, rules with a memory included."""
    path = tmp_path / "policy.safetensors"
    on_rules(money, 0.3).write(path)
    name = f"file:{path}"
    together = baselines.rollout(MONEY, name, episodes=2, split="val", progress=False, report=False)
    policy = baselines.make(name, money)
    for row in together.episodes.to_pylist():
        obs, info = money.reset(seed=row["episode"], options={"day": row["day"]})
        policy.reset(obs, info)
        total, over = 0.0, False
        while not over:
            obs, reward, terminated, truncated, info = money.step(policy.act(obs, info))
            total, over = total + float(reward), terminated or truncated
        assert total == pytest.approx(row["return"], rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rules": "ev-cheapst"}, "unknown rule 'ev-cheapst'; did you mean 'ev-cheapest'"),
        ({"rules": "random"}, "unknown rule 'random'"),
        ({"rules": ""}, "rules is '' in a file of 'distgrid policy 2'"),
        ({"rules": "host-nearest"}, "no HostingSite"),
    ],
)
def test_rules_that_cannot_be_added_to_are_told(
    money: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(damaged(on_rules(money, 0.0).to_bytes(), **changes))
    with pytest.raises(RunError, match=message):
        baselines.make(f"file:{path}", money)
