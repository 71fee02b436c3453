"""All that the rest of a training of stable-baselines3 depends on, as arrays: for checkpoints.

Networks, optimisers, what was played (SAC and DQN), moments of observations and returns, and counters. No
pickle: a checkpoint is read again, and must not be able to run anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..learned.policy_file import Arrays, array_of
from ..learned.torch_parts import adam_state, tensor_of

#: Whole numbers of a model, where it has them.
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls")
_BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_MOMENTS = ("mean", "var", "count")


def arrays_of(model: Any, env: Any) -> dict[str, NDArray[Any]]:
    """Of a model and the `VecNormalize` that it learns in."""
    found: dict[str, NDArray[Any]] = {
        f"model.{name}": np.array([getattr(model, name)], dtype="<i8")
        for name in _COUNTERS
        if hasattr(model, name)
    }
    found["model.exploration"] = np.array([getattr(model, "exploration_rate", 0.0)], dtype="<f8")
    ended = [(episode["r"], episode["l"]) for episode in model.ep_info_buffer or ()]
    found["model.ended"] = np.array([len(ended)], dtype="<i8")
    found["model.episodes"] = np.array(ended, dtype="<f8").reshape(-1, 2)
    for name, tensor in _tensors(model):
        found[name] = tensor.detach().numpy()
    for name, optimiser in _optimisers(model):
        for k, state in optimiser.state_dict()["state"].items():
            found |= {f"{name}.{k}.{key}": value.detach().numpy() for key, value in state.items()}
    for name in ("obs_rms", "ret_rms"):
        for part in _MOMENTS:
            found[f"{name}.{part}"] = np.array(getattr(getattr(env, name), part), dtype="<f8")
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None:
        found["buffer.at"] = np.array([buffer.pos, buffer.full], dtype="<i8")
        for name in _BUFFER:
            found[f"buffer.{name}"] = getattr(buffer, name)[: buffer.size()]
    return found


def take_over(torch: Any, model: Any, env: Any, arrays: Arrays) -> None:
    """Give a new model what `arrays_of` gave. ValueError where it is of another training."""
    with torch.no_grad():
        for name, tensor in _tensors(model):
            tensor.copy_(tensor_of(torch, arrays, name, tuple(tensor.shape)))
    for name, optimiser in _optimisers(model):
        _take_over_optimiser(torch, name, optimiser, arrays)
    for name in _COUNTERS:
        if hasattr(model, name):
            setattr(model, name, int(array_of(arrays, f"model.{name}", (1,))[0]))
    if hasattr(model, "exploration_rate"):
        model.exploration_rate = float(array_of(arrays, "model.exploration", (1,))[0])
    ended = array_of(arrays, "model.episodes", (int(array_of(arrays, "model.ended", (1,))[0]), 2))
    model.ep_info_buffer = deque(({"r": float(r), "l": int(n)} for r, n in ended), maxlen=100)
    model.ep_success_buffer = deque(maxlen=100)
    for name in ("obs_rms", "ret_rms"):
        moments = getattr(env, name)
        moments.mean, moments.var = (
            array_of(arrays, f"{name}.{part}", np.shape(getattr(moments, part))).copy()
            for part in ("mean", "var")
        )
        moments.count = float(array_of(arrays, f"{name}.count", ()))
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None:
        pos, full = array_of(arrays, "buffer.at", (2,))
        buffer.pos, buffer.full = int(pos), bool(full)
        for name in _BUFFER:
            kept = getattr(buffer, name)
            kept[: buffer.size()] = array_of(arrays, f"buffer.{name}", (buffer.size(), *kept.shape[1:]))


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Names and tensors of all networks, and of SAC's temperature."""
    for name, tensor in model.policy.state_dict().items():
        yield f"policy.{name}", tensor
    temperature = getattr(model, "log_ent_coef", None)
    if temperature is not None:
        yield "temperature", temperature


def _optimisers(model: Any) -> Iterator[tuple[str, Any]]:
    """Names and optimisers of a model."""
    for part in ("actor", "critic"):
        if hasattr(getattr(model, part, None), "optimizer"):
            yield f"optimiser.{part}", getattr(model, part).optimizer
    for name, owner, attribute in (
        ("optimiser.policy", model.policy, "optimizer"),
        ("optimiser.temperature", model, "ent_coef_optimizer"),
    ):
        if getattr(owner, attribute, None) is not None:
            yield name, getattr(owner, attribute)


def _take_over_optimiser(torch: Any, name: str, optimiser: Any, arrays: Arrays) -> None:
    """Steps and moments of every parameter that has been moved."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state = {
        k: adam_state(torch, arrays, f"{name}.{k}", tuple(parameter.shape))
        for k, parameter in enumerate(parameters)
        if f"{name}.{k}.step" in arrays
    }
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
