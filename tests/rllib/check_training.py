"""RLlib on a Ray cluster: collected by `make rllib` alone, as RLlib pins a Gymnasium of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.rllib.algorithms.ppo import PPO

from distgrid.baselines import RunError
from distgrid.baselines.learned.rllib import ppo_config, sampling_rate, train
from distgrid.cli import main
from distgrid.envs import DistGridVectorEnv, read_options

TEXT = """\
case: case33bw
resources:
- {kind: Battery, bus: 18, p_mw: 0.2, energy_mwh: 0.8}
task: {kind: VoltVar, episode: {hours: 2}}
randomise: {load_growth: [0.9, 1.1]}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of one core each: two machines, as far as Ray can tell."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.add_node(num_cpus=1)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return path


def test_the_documented_command_trains_on_a_cluster(
    cluster: Cluster, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Issue, beyond one machine: one command; an environment of one's own goes to the workers as data."""
    out = tmp_path / "run"
    words = ["train-rllib", str(file), "--workers", "2", "--envs-per-worker", "4", "--iterations", "2"]
    with pytest.raises(SystemExit) as left:
        main([*words, "--address", cluster.address, "--out", str(out)])
    assert not left.value.code
    assert "mean return" in capsys.readouterr().out
    told = json.loads((out / "progress.json").read_text())
    assert [one["steps"] for one in told] == [2 * 4 * 9, 2 * 2 * 4 * 9]
    assert all(math.isfinite(one["episode_return"]) and one["episode_return"] < 0.0 for one in told)
    ray.init(address=cluster.address, log_to_driver=False)
    restored = PPO.from_checkpoint(str(out / "checkpoint"))
    assert restored.training_iteration == 2
    restored.stop()


def test_each_worker_is_on_a_node_of_its_own_with_a_vector_environment(cluster: Cluster, file: Path) -> None:
    """A core a worker: two workers are on both nodes, and both sample rows of compiled kernels."""
    if not ray.is_initialized():
        ray.init(address=cluster.address, log_to_driver=False)

    def place(runner: Any) -> tuple[str, str, int]:  # in here, so that workers get its code
        env = runner.env.unwrapped
        return ray.get_runtime_context().get_node_id(), type(env).__name__, int(env.num_envs)

    algorithm = ppo_config(read_options(file), 2, 4, 0).build_algo()
    try:
        places = algorithm.env_runner_group.foreach_env_runner(place, local_env_runner=False)
        assert len({node for node, _, _ in places}) == 2
        assert {(kind, rows) for _, kind, rows in places} == {(DistGridVectorEnv.__name__, 4)}
        assert sampling_rate(algorithm) > 0.0
    finally:
        algorithm.stop()


def test_a_folder_with_a_training_is_not_written_over(file: Path, tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text("[]")
    with pytest.raises(RunError, match="holds a training already"):
        train(read_options(file), out=tmp_path)
