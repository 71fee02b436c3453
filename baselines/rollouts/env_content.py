"""What of an environment decides a result, beside its feeder, profiles and days: by name, for its hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium

from ..jobs import code_content as code
from ..jobs.files import sha256_of
from ..jobs.identity import Reader, attributes
from ..jobs.manifest import InputRecord

#: Of wrappers: what is inside, what is known elsewhere, and how far an episode is.
_NO_CONTENT = frozenset({
    "env", "_cached_spec", "_metadata", "_action_space", "_observation_space", "_reward_range", "_has_reset",
    "_elapsed_steps", "checked_reset", "checked_step", "checked_render", "close_called",
})  # fmt: skip


@dataclass(frozen=True)
class EnvContent:
    """Task, resources, wrappers, own loads and classes.

    `sha256`: over all of them. `own`: hashes of those that are people's own, by name, so that a message can
    say which differs. `unknown`: what of them has no content that can be seen.
    """

    sha256: str
    own: list[InputRecord]
    unknown: list[str]


def content_of(env: gymnasium.Env[Any, Any]) -> EnvContent:
    """Hashes of what people attach to an environment."""
    reader = Reader(reseeded=True)
    found = [(name, reader.digest(value, name), own) for name, value, own in _content(env)]
    whole = "".join(f"{name} {digest}\n" for name, digest, _ in found)
    own = [InputRecord(name=name, sha256=digest) for name, digest, is_own in found if is_own]
    return EnvContent(sha256_of(whole.encode()), own, reader.unknown)


def _content(env: gymnasium.Env[Any, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Name, value, and whether it is people's own."""
    layer: Any = env
    depth = 0
    while isinstance(layer, gymnasium.Wrapper):
        kept = {name: value for name, value in attributes(layer).items() if name not in _NO_CONTENT}
        depth += 1
        yield f"wrapper {depth}, {type(layer).__name__}", (type(layer), kept), _is_own(layer)
        layer = layer.env
    grid: Any = env.unwrapped
    if _is_own(grid):
        yield f"class {type(grid).__name__}", (type(grid), _own_attributes(grid)), True
    for name, value in grid.options.content():
        yield name, value, name == "loads" or _is_own(value)  # those of the shipped year are no option


def _is_own(value: Any) -> bool:
    return not code.has_address(type(value))


def _own_attributes(grid: Any) -> dict[str, Any]:
    """The attributes that a user's subclass of an environment has beside those of its bases."""
    known: set[str] = set()
    for base in type(grid).__mro__:
        if code.has_address(base):
            known |= code.names_in(base)
    return {name: value for name, value in attributes(grid).items() if name not in known}
