"""Training on a Ray cluster: PPO of RLlib's new stack, with a vector environment in every worker.

``distgrid train-rllib ENV --workers 4 --address auto --out DIR`` is this module's `train`. Each worker is a
process, on whatever machine of the cluster has a free core, and advances its environments by compiled
kernels; the learner is in the process of the command.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...envs import EnvOptions, make_env, options_to_dict
from ..errors import RunError
from ..jobs.files import write_atomic
from . import rllib_env

_NAME = f"{rllib_env.__name__}:{rllib_env.ID}"


@dataclass(frozen=True)
class Iteration:
    """One iteration of training.

    Attributes:
        steps: environment steps of all workers since the beginning.
        episode_return: mean return of the last hundred episodes that ended; NaN before the first.
        wall_s: seconds that sampling and learning took together.
    """

    steps: int
    episode_return: float
    wall_s: float


def train(
    options: EnvOptions,
    *,
    out: str | Path,
    workers: int = 1,
    envs_per_worker: int = 32,
    iterations: int = 10,
    address: str | None = None,
    seed: int = 0,
    show: Callable[[str], None] = lambda _: None,
) -> list[Iteration]:
    """Train PPO, and leave its checkpoint in ``out/checkpoint`` and ``out/progress.json``.

    Args:
        options: The environment; it is sent to the workers as plain data.
        out: Folder; made where it is not there. One that holds a training already is refused.
        workers: Processes that sample, each with a core of its own; 0 samples in this process.
        envs_per_worker: Rows of the vector environment of each. An iteration is one episode of every row.
        iterations: How many.
        address: Of a Ray cluster: "auto" for that of this machine, "host:port"; None starts one here, also
            beside another.
        seed: Of everything that is drawn.
        show: Is called with a line for each iteration.

    Returns:
        What each iteration brought.

    Raises:
        RunError: Ray or RLlib are not installed, the folder is taken, or a number is out of its range.
    """
    _check(workers=workers, envs_per_worker=envs_per_worker, iterations=iterations)
    folder = Path(out).absolute()
    if (folder / "progress.json").exists():
        raise RunError(f"{folder} holds a training already: choose another --out folder")
    ray = _ray()
    folder.mkdir(parents=True, exist_ok=True)
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=address or "local", log_to_driver=False, include_dashboard=False)
    try:
        algorithm = ppo_config(options, workers, envs_per_worker, seed).build_algo()
        try:
            found = [_iteration(algorithm, show) for _ in range(iterations)]
            algorithm.save_to_path(str(folder / "checkpoint"))
        finally:
            algorithm.stop()
    finally:
        if started_here:
            ray.shutdown()
    text = json.dumps([asdict(one) for one in found], indent=2) + "\n"
    write_atomic(folder / "progress.json", text.encode())
    return found


def ppo_config(options: EnvOptions, workers: int, envs_per_worker: int, seed: int) -> Any:
    """The `PPOConfig`; change it as RLlib's manual says, and build it yourself, for anything else."""
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.connectors.env_to_module import MeanStdFilter

    steps = make_env(options).scenario.episode_steps
    rows = envs_per_worker * max(workers, 1)
    return (
        PPOConfig()
        .environment(_NAME, env_config={"options": options_to_dict(options)})
        .env_runners(
            num_env_runners=workers,
            num_envs_per_env_runner=envs_per_worker,
            gym_env_vectorize_mode="vector_entry_point",
            rollout_fragment_length=steps + 1,  # the step in which the next episode begins counts
            env_to_module_connector=lambda *_, **__: MeanStdFilter(),
        )
        .training(
            train_batch_size_per_learner=rows * (steps + 1),
            minibatch_size=min(512, rows * steps),
            num_epochs=8,
            lr=3e-4,
            gamma=0.99,
        )
        .rl_module(model_config={"fcnet_hiddens": [64, 64], "vf_share_layers": False})
        .debugging(seed=seed)
    )


def sampling_rate(algorithm: Any) -> float:
    """Environment steps per second of all workers together, sampling alone; one round before is not timed.

    Args:
        algorithm: What `ppo_config` builds.
    """
    for _ in range(2):
        started = time.perf_counter()
        counts = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: sum(len(episode) for episode in runner.sample()),
            local_env_runner=algorithm.config.num_env_runners == 0,
        )
        wall_s = time.perf_counter() - started
    return sum(counts) / wall_s


def _iteration(algorithm: Any, show: Callable[[str], None]) -> Iteration:
    started = time.perf_counter()
    sampled = algorithm.train()["env_runners"]
    one = Iteration(
        steps=int(sampled["num_env_steps_sampled_lifetime"]),
        episode_return=float(sampled.get("episode_return_mean", math.nan)),
        wall_s=time.perf_counter() - started,
    )
    show(f"{one.steps} steps, mean return {one.episode_return:.2f}, {one.wall_s:.1f} s")
    return one


def _check(**counts: int) -> None:
    for name, count in counts.items():
        least = 0 if name == "workers" else 1
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise RunError(f"{name} must be a whole number of at least {least}, got {count!r}")


def _ray() -> Any:
    try:
        import ray
        import ray.rllib
    except ImportError as error:
        raise RunError(
            "training on a cluster needs Ray's RLlib and PyTorch, in an environment of their own: "
            "`make rllib`, see docs/rllib.md"
        ) from error
    return ray
