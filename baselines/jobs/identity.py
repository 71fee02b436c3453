"""What decides a result, as hashes: of arrays, weights, parameters, and the code that uses them.

Two runs are the same run only if all of these are equal. The names of things say little: a policy that was
trained on keeps its class and its name. So values are followed down to their bytes, objects to the attributes
of the instance and the code of their class, functions to their compiled code, their defaults, what they
close over and what they refer to outside (see `code`). Comments and the places of lines do not count.

Some values have no content that could be seen: open files, objects of compiled libraries that cannot be
pickled, generators of random numbers that nothing sets. They are listed in words, as what is `unknown`, and
nothing that depends on them is ever taken for the same.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import pickle
import random
import sys
import types
import weakref
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa

from ..policy import Policy
from . import code_content as code

Inside = Callable[[Any, str], bytes]
Parts = list[bytes | str]

_ATOMS = (str, int, float, complex, bool, bytes, type(None), type(Ellipsis), type(NotImplemented))
_PLAIN = (decimal.Decimal, fractions.Fraction, datetime.date, datetime.time, datetime.timedelta, range, slice,
          np.dtype, PurePath, pa.DataType, pa.Schema)  # fmt: skip
_MAX_DEPTH, _MAX_SETS = 80, 5
_DIGITS = 16  # of a hash that is shown and compared


class Reader:
    """Reads values into a hash, and notes what cannot be read.

    Attributes:
        unknown: what has no content that can be seen, with the way to it.
    """

    def __init__(self, reseeded: bool = False) -> None:
        """`reseeded`: generators of random numbers are set at the start of each episode."""
        self.unknown: list[str] = []
        self._reseeded = reseeded
        self._open: dict[int, int] = {}  # what is being read, and how deep it stands
        self._done: dict[int, bytes] = {}
        self._numbers: dict[int, int] = {}  # of functions and classes, in the order in which they are met
        self._queue: list[tuple[Any, str]] = []
        self._sets = 0  # that it stands in
        self._kept: list[Any] = []  # else an address may be used again for another object

    def digest(self, value: Any, way: str) -> str:
        """Hexadecimal SHA-256 of `value`; `way` names it in `unknown`."""
        self._open, self._done, self._numbers, self._kept, self._queue = {}, {}, {}, [], []
        whole = hashlib.sha256(self._hash(value, way, 0))
        while self._queue:  # not one inside the other: functions lead far
            item, item_way = self._queue.pop(0)
            whole.update(self._hash(item, item_way, 0))
        return whole.hexdigest()

    def _hash(self, value: Any, way: str, depth: int) -> bytes:
        if type(value) in _ATOMS:
            shown = value if isinstance(value, bytes) else repr(value)
            return _joined(["atom", type(value).__name__, shown])
        if depth > _MAX_DEPTH:
            self._doubt(way, "is nested too deeply")
            return b""
        if id(value) in self._done:
            return self._done[id(value)]
        if id(value) in self._open:  # a circle; by its length, as no two processes share addresses
            return _joined(["again", str(depth - self._open[id(value)])])
        self._open[id(value)] = depth
        self._kept.append(value)
        self._done[id(value)] = found = self._content(value, way, depth)
        del self._open[id(value)]
        return found

    def _content(self, value: Any, way: str, depth: int) -> bytes:
        def inside(item: Any, name: str) -> bytes:
            if isinstance(item, type) or code.is_function(item):
                return self._queued(item, f"{way}{name}")
            return self._hash(item, f"{way}{name}", depth + 1)

        for parts in (self._of_code, self._of_numbers, self._of_containers, self._of_libraries):
            found = parts(value, way, inside)
            if found is not None:
                return _joined(found)
        return _joined(["object", *self._of_object(value, way, inside)])

    def _queued(self, value: Any, way: str) -> bytes:
        """The number of a function or class, which is read later."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._numbers)
            self._kept.append(value)
            self._queue.append((value, way))
        return f"code {self._numbers[id(value)]}".encode()

    def _of_code(self, value: Any, _way: str, inside: Inside) -> Parts | None:
        if isinstance(value, type):
            return ["class", *code.class_parts(value, inside)]
        if code.is_function(value):
            return ["function", *code.function_parts(value, inside)]
        if isinstance(value, types.ModuleType):
            return ["module", *code.module_parts(value)]
        if isinstance(value, functools.partial):
            called = inside(value.func, ".func")
            return ["partial", called, inside(value.args, ".args"), inside(value.keywords, ".keywords")]
        if isinstance(value, types.MethodType):
            return ["method", inside(value.__func__, ""), inside(value.__self__, ".__self__")]
        return None

    def _of_numbers(self, value: Any, way: str, inside: Inside) -> Parts | None:
        if isinstance(value, np.ndarray):
            return ["array", *_array_parts(value, inside)]
        if isinstance(value, np.generic):
            return ["number", value.dtype.str, value.tobytes()]
        if isinstance(value, enum.Enum):
            return ["enum", inside(type(value), ""), value.name]
        if isinstance(value, _PLAIN):
            return ["plain", type(value).__qualname__, repr(value)]
        if isinstance(value, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray):
            return ["arrow", _arrow_hash(value)]
        if isinstance(value, np.random.Generator | np.random.RandomState | random.Random):
            if not self._reseeded:
                self._doubt(way, f"is a {type(value).__qualname__} that no seed() sets")
            return ["generator", type(value).__qualname__]
        return None

    def _of_containers(self, value: Any, way: str, inside: Inside) -> Parts | None:
        head: Parts = [inside(type(value), "")]
        if isinstance(value, list | tuple | collections.deque):
            head += ["list", *(inside(item, f"[{at}]") for at, item in enumerate(value))]
        elif isinstance(value, set | frozenset):
            head += ["set", *sorted(self._alone(item, f"{way}{{}}") for item in value)]
        elif isinstance(value, dict | types.MappingProxyType):
            head.append("mapping")
            for key, item in value.items():
                head += [inside(key, ".keys"), inside(item, f"[{_named(key)}]")]
        else:
            return None
        own = sorted(getattr(value, "__dict__", {}).items())  # of somebody's subclass
        return [*head, *(part for name, item in own for part in (name, inside(item, f".{name}")))]

    def _of_libraries(self, value: Any, way: str, inside: Inside) -> Parts | None:
        if _is_of(value, "torch", "Tensor"):
            return ["tensor", inside(type(value), ""), *self._tensor_parts(value, way)]
        if _is_of(value, "torch.optim", "Optimizer"):
            return ["optimizer"]  # moves weights, does not act
        if _is_of(value, "stable_baselines3.common", "BaseAlgorithm"):
            return [
                "algorithm", inside(type(value), ""), inside(value.policy, ".policy"),
                *_normalisation(value.get_vec_normalize_env(), inside),
            ]  # fmt: skip
        if isinstance(value, gymnasium.Env | gymnasium.vector.VectorEnv):
            return ["environment", *_environment_parts(value, inside)]
        if isinstance(value, gymnasium.spaces.Space):  # without its generator
            kept = [(name, item) for name, item in attributes(value).items() if name != "_np_random"]
            named = (part for name, item in kept for part in (name, inside(item, f".{name}")))
            return ["space", inside(type(value), ""), *named]
        if isinstance(value, weakref.ref):
            return ["reference"]
        return None

    def _alone(self, value: Any, way: str) -> str:
        """The hash of an element of a set, whose place says nothing."""
        other = Reader(self._reseeded)
        other._sets = self._sets + 1
        if other._sets > _MAX_SETS:  # a circle through a set
            self._doubt(way, "is nested too deeply")
            return ""
        found = other.digest(value, way)
        self.unknown += other.unknown
        return found

    def _of_object(self, value: Any, way: str, inside: Inside) -> Parts:
        """Class and attributes; or what pickling would save, where the class says how."""
        kind = type(value)
        parts: Parts = [inside(kind, "")]
        try:
            if _says_how_to_pickle(kind):
                return parts + _pickled(value, inside)
            object.__reduce_ex__(value, 4)  # fails where there is more to it than attributes
        except (TypeError, ValueError, AttributeError, RuntimeError, pickle.PicklingError) as error:
            name = f"{kind.__module__}.{kind.__qualname__}"
            self._doubt(way, f"is a {name}, which cannot be seen into ({error})")
            return parts
        for name, item in attributes(value).items():
            parts += [name, inside(item, f".{name}")]
        return parts

    def _tensor_parts(self, value: Any, way: str) -> Parts:
        torch: Any = sys.modules["torch"]
        if value.layout != torch.strided or value.is_quantized:
            self._doubt(way, "is a tensor that is sparse or quantised")
            return []
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return [str(value.dtype), str(tuple(value.shape)), flat.numpy().tobytes()]

    def _doubt(self, way: str, why: str) -> None:
        text = f"{way} {why}"
        if text not in self.unknown:
            self.unknown.append(text)


def _joined(parts: Parts) -> bytes:
    """One hash of all parts; none can be taken for another by running into its neighbour."""
    out = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        out.update(len(data).to_bytes(8, "little"))
        out.update(data)
    return out.digest()


def _pickled(value: Any, inside: Inside) -> Parts:
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return ["global", reduced]
    made_by, *rest = reduced
    rest = [list(part) if hasattr(part, "__next__") else part for part in rest]
    return [inside(made_by, ".__reduce__"), *(inside(part, f".state{at}") for at, part in enumerate(rest))]


def _normalisation(value: Any, inside: Inside) -> Parts:
    """What a model of stable-baselines3 does to its observations."""
    names = () if value is None else ("obs_rms", "clip_obs", "epsilon", "norm_obs", "norm_obs_keys")
    return [inside(getattr(value, name, None), f".{name}") for name in names]


def _says_how_to_pickle(kind: type) -> bool:
    names = ("__reduce__", "__reduce_ex__", "__getstate__")
    return any(getattr(kind, name, None) is not getattr(object, name, None) for name in names)


def attributes(value: Any) -> dict[str, Any]:
    """The attributes of an instance by name, without those that an episode writes."""
    state = getattr(value, "__dict__", None)
    slots = [
        name
        for base in type(value).__mro__
        for name in _slots(base)
        if name not in ("__dict__", "__weakref__") and hasattr(value, name)
    ]
    found = dict(state or {})
    found |= {name: getattr(value, name) for name in slots}
    left_out = set(getattr(value, "transient", ())) if isinstance(value, Policy) else set()
    if dataclasses.is_dataclass(value):  # what is computed from the fields, and kept
        cached = {n for n in found if isinstance(getattr(type(value), n, None), functools.cached_property)}
        left_out |= cached
    return {name: found[name] for name in sorted(found) if name not in left_out}


def _slots(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(
        f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
        for name in names
    )


def parts_of(policy: Policy) -> tuple[dict[str, str], list[str]]:
    """Hashes of the class of a policy and of each of its attributes, and what is unknown of them."""
    reader = Reader(reseeded=type(policy).seed is not Policy.seed)
    way = f"policy {policy.name}"
    found = {"class": reader.digest(type(policy), way)}
    names = attributes(policy)
    for name, value in names.items():
        found[name] = reader.digest(value, f"{way}: {name}")
    return {name: digits[:_DIGITS] for name, digits in found.items()}, reader.unknown


def _environment_parts(env: Any, inside: Inside) -> Parts:
    """An environment that something refers to: its id and arguments, not its state."""
    spec = getattr(env, "spec", None)
    parts: Parts = [type(env).__qualname__, type(getattr(env, "unwrapped", env)).__qualname__]
    if spec is not None:
        parts += [str(spec.id), inside(dict(spec.kwargs), ".spec.kwargs")]
    return parts


def _array_parts(value: np.ndarray, inside: Inside) -> Parts:
    head: Parts = [value.dtype.str, str(value.shape), str(value.dtype.descr)]
    if value.dtype.hasobject:
        return [*head, inside(value.tolist(), "")]
    head = [*head, np.ascontiguousarray(value).tobytes()]
    if np.ma.isMaskedArray(value):
        head.append(inside(np.ma.getmaskarray(value), ".mask"))
    return head


def _arrow_hash(value: Any) -> bytes:
    table = value
    if isinstance(value, pa.RecordBatch):
        table = pa.Table.from_batches([value])
    elif not isinstance(value, pa.Table):
        table = pa.table({"": value})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).digest()


def _is_of(value: Any, module: str, name: str) -> bool:
    """Whether `value` is of a class of a library that need not be installed."""
    return any(
        base.__name__ == name and (base.__module__ == module or base.__module__.startswith(f"{module}."))
        for base in type(value).__mro__
    )


def _named(key: Any) -> str:
    return repr(key) if isinstance(key, str | int) else type(key).__name__
