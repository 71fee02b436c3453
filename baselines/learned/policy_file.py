"""A trained policy as one small file of plain arrays, in the safetensors format.

The format is a header of JSON and the arrays one after the other (little-endian): no code is in it, any
language reads it, the same policy has the same bytes. Its metadata say what it was trained on and how; what
an environment has to be for the policy to be played on it stands there as hashes, part by part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.storage.regular_files import read_regular
from ..errors import RunError, printable
from ..jobs.files import sha256_of, write_atomic

FORMAT = "distgrid policy 1"
FORMAT_ON_RULES = "distgrid policy 2"  # the output is added to the actions of rules
MOST_BYTES = 500_000  # of a file: a policy is a small thing
SUFFIX = ".safetensors"
#: What the last layer's numbers are: actions that are clipped, actions before tanh, values of the codes.
OUTPUTS = ("clip", "tanh", "argmax")
ACTIVATIONS = ("tanh", "relu")
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_TOLD = ("format", "algorithm", "environment", "output", "activation", "fits", "training")

Arrays = Mapping[str, NDArray[Any]]
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Actor:
    """A network, and which agents it acts for.

    Attributes:
        name: Of the kind of agents, such as "battery"; "all" where one agent decides everything.
        mean, std: (n_in,) what an agent sees is taken as (seen - mean) / std.
        layers: Weights (n_out, n_in) and biases (n_out,), from what is seen to the output.
        sees: (agents, n_in) columns of the flat observation; -1 where an agent sees nothing, shown as 0.
        acts: (agents, n_out) columns of the action; -1 where an agent has none. Of codes (1, 1).
        own: (agents, first layer's n_out) what is added to the first layer for each agent; None: nothing.
    """

    name: str
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    layers: tuple[Layer, ...]
    sees: NDArray[np.int64]
    acts: NDArray[np.int64]
    own: NDArray[np.float32] | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by the names of a file."""
        found: dict[str, NDArray[Any]] = {
            "mean": self.mean.astype("<f8"), "std": self.std.astype("<f8"),
            "sees": self.sees.astype("<i8"), "acts": self.acts.astype("<i8"),
        }  # fmt: skip
        for k, (weight, bias) in enumerate(self.layers):
            found |= {f"layers.{k}.weight": weight.astype("<f4"), f"layers.{k}.bias": bias.astype("<f4")}
        if self.own is not None:
            found["own"] = self.own.astype("<f4")
        return {f"{self.name}.{name}": array for name, array in found.items()}


@dataclass(frozen=True, eq=False)
class PolicyFile:
    """What a policy file holds.

    Attributes:
        algorithm: That trained it, such as "ppo".
        environment: Id that it was trained on.
        fits: What an environment has to be, see `trained_for.fingerprints`: hashes by part.
        training: Settings of the training, and its seed.
        actors: Networks; one for each kind of agents.
        clip: What is seen is clipped there, in standard deviations.
        activation: Between the layers, of `ACTIVATIONS`.
        output: Of `OUTPUTS`.
        rules: Names of scripted rules to whose actions the output is added; none: it is the action.
    """

    algorithm: str
    environment: str
    fits: Mapping[str, str]
    training: Mapping[str, Any]
    actors: tuple[Actor, ...]
    clip: float
    activation: str = "tanh"
    output: str = "clip"
    rules: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The file. RunError where it would be larger than `MOST_BYTES`."""
        arrays: dict[str, NDArray[Any]] = {"clip": np.array([self.clip], dtype="<f8")}
        for actor in self.actors:
            arrays |= actor.arrays()
        told = {
            "format": FORMAT, "algorithm": self.algorithm, "environment": self.environment,
            "output": self.output, "activation": self.activation,
            "fits": json.dumps(dict(self.fits), sort_keys=True),
            "training": json.dumps(dict(self.training), sort_keys=True),
        }  # fmt: skip
        if self.rules:
            told |= {"format": FORMAT_ON_RULES, "rules": ",".join(self.rules)}
        data = to_safetensors(arrays, told)
        if len(data) > MOST_BYTES:
            raise RunError(
                f"the policy has {len(data)} bytes, more than the {MOST_BYTES} of a policy file: "
                "train a smaller network"
            )
        return data

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_atomic(path, self.to_bytes())


def read_policy(path: str | Path) -> tuple[PolicyFile, str]:
    """A policy file, and the SHA-256 of its content.

    Raises:
        RunError: There is no such file, it is no policy file, or it is damaged: the text says what.
    """
    try:
        data = read_regular(Path(path), MOST_BYTES)
    except OSError as error:
        raise RunError(f"cannot read the policy file {path}: {error.strerror or error}") from error
    try:
        return parse_policy(data), sha256_of(data)
    except ValueError as error:
        raise RunError(f"{path} is no policy file of distgrid, or is damaged: {error}") from error


def parse_policy(data: bytes) -> PolicyFile:
    """What the bytes of a policy file hold. ValueError where they hold anything else; says what."""
    arrays, told = from_safetensors(data)
    missing = [name for name in _TOLD if not isinstance(told.get(name), str)]
    if missing:
        raise ValueError(f"its metadata lack {missing[0]!r}")
    if told["format"] not in (FORMAT, FORMAT_ON_RULES):
        raise ValueError(f"its format is {printable(told['format'])!r}, expected {FORMAT!r}")
    rules = names_of(str(told.get("rules", "")))
    if bool(rules) != (told["format"] == FORMAT_ON_RULES):
        raise ValueError(f"rules is {printable(told.get('rules', ''))!r} in a file of {told['format']!r}")
    for name, known in (("output", OUTPUTS), ("activation", ACTIVATIONS)):
        if told[name] not in known:
            raise ValueError(f"{name} is {printable(told[name])!r}, expected one of {', '.join(known)}")
    clip = float(_array(arrays, "clip", (1,))[0])
    if clip <= 0.0:
        raise ValueError(f"clip is {clip}, expected more than 0")
    names = sorted({name.partition(".")[0] for name in arrays} - {"clip"})
    if not names:
        raise ValueError("it has no network")
    return PolicyFile(
        algorithm=told["algorithm"], environment=told["environment"], fits=_object(told, "fits"),
        training=_object(told, "training"), actors=tuple(_actor(arrays, name) for name in names), clip=clip,
        activation=told["activation"], output=told["output"], rules=rules,
    )  # fmt: skip


def names_of(asked: str) -> tuple[str, ...]:
    """The rules in "ev-cheapest,volt-var-ieee1547"; none in ""."""
    return tuple(name.strip() for name in asked.split(",") if name.strip())


def _actor(arrays: Arrays, name: str) -> Actor:
    """The network of that name. ValueError where its arrays do not fit each other."""
    layers = _layers(arrays, f"{name}.layers")
    n_in, n_out = layers[0][0].shape[1], layers[-1][0].shape[0]
    std = _array(arrays, f"{name}.std", (n_in,))
    if not (std > 0.0).all():
        raise ValueError(f"{name}.std has entries that are not above 0")
    agents = arrays.get(f"{name}.sees", np.zeros((0, 0))).shape[0]
    sees = _columns(arrays, f"{name}.sees", (agents, n_in))
    acts = arrays.get(f"{name}.acts", np.zeros((0, 0)))
    acts = _columns(arrays, f"{name}.acts", (agents, 1 if acts.shape == (1, 1) else n_out))
    own = f"{name}.own"
    extra = _array(arrays, own, (agents, layers[0][0].shape[0])) if own in arrays else None
    return Actor(name, _array(arrays, f"{name}.mean", (n_in,)), std, layers, sees, acts, extra)


def _columns(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    found = _array(arrays, name, shape)
    if found.dtype.kind != "i" or (found < -1).any():
        raise ValueError(f"{name} holds no columns")
    return found


def _object(told: Mapping[str, str], name: str) -> dict[str, Any]:
    found = json.loads(told[name])
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no mapping")
    return found


def _array(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array of finite numbers of that name and shape."""
    if name not in arrays:
        raise ValueError(f"it has no array {name!r}")
    found = arrays[name]
    if found.shape != shape:
        raise ValueError(f"{name} has shape {found.shape}, expected {shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has entries that are no finite numbers")
    return found


def _layers(arrays: Arrays, prefix: str) -> tuple[Layer, ...]:
    """From the first on; each takes what the one before gives."""
    found: list[Layer] = []
    while (name := f"{prefix}.{len(found)}.weight") in arrays:
        weight = arrays[name]
        if weight.ndim != 2 or (found and weight.shape[1] != found[-1][0].shape[0]):
            wanted = "(n_out, n_in)" if not found else f"(n_out, {found[-1][0].shape[0]})"
            raise ValueError(f"{name} has shape {weight.shape}, expected {wanted}")
        weight = _array(arrays, name, weight.shape)
        found.append((weight, _array(arrays, f"{prefix}.{len(found)}.bias", weight.shape[:1])))
    if not found:
        raise ValueError(f"it has no array '{prefix}.0.weight'")
    return tuple(found)


# -- the format ----------------------------------------------------------------------------------------------


def to_safetensors(arrays: Arrays, told: Mapping[str, str]) -> bytes:
    """Arrays of little-endian floats or whole numbers, and texts about them, in one file."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(told.items()))}
    at, parts = 0, []
    for name, array in sorted(arrays.items()):
        content = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [at, at + len(content)],
        }  # fmt: skip
        at += len(content)
        parts.append(content)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + b"".join(parts)


def from_safetensors(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays and texts of a file. ValueError where it is none; says what is wrong."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise ValueError("it is cut off, or not in the safetensors format")
    try:
        header = json.loads(data[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is no JSON") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    told = header.pop("__metadata__", {})
    body = memoryview(data)[8 + size :]
    arrays = {name: _entry(name, entry, body) for name, entry in header.items()}
    held = sum(array.nbytes for array in arrays.values())
    if held != len(body):
        raise ValueError(f"its arrays have {held} bytes, and {len(body)} are there")
    if not isinstance(told, dict):
        raise ValueError("its metadata are no mapping")
    return arrays, told


def array_of(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """One of `from_safetensors`. ValueError where it is not there, or of another shape."""
    found = arrays.get(name)
    if found is None or found.shape != shape:
        raise ValueError(f"it has no {name} of shape {shape}")
    return found


def _entry(name: str, entry: Any, body: memoryview) -> NDArray[Any]:
    try:
        dtype = _DTYPES[entry["dtype"]]
        shape = tuple(entry["shape"])
        first, last = entry["data_offsets"]
        counts = all(type(n) is int and n >= 0 for n in (*shape, first, last))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the entry {printable(name)!r} of its header cannot be read") from error
    if not counts or last > len(body) or last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"the entry {printable(name)!r} of its header does not fit the file")
    return np.frombuffer(body[first:last], dtype=dtype).reshape(shape)
