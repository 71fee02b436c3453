"""Policies know an environment by its observation, its info and `env.scenario`: nobody digs in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.policy import scenario_of

ROOT = Path(baselines.__file__).parent
#: Where policies live, as far as there are any.
ROOMS = ("scripted", "optimal", "learned")
#: Methods of every named tuple: no secrets, for all their underscore.
OF_TUPLES = {"_replace", "_asdict", "_fields"}
INSIDE = {"unwrapped", "grid", "shards", "stepper", "get_wrapper_attr"}


def dug(path: Path, allowed: str = "") -> Iterator[str]:
    """Every place of a module that reaches into an object; ``allowed``: the one function that may."""
    for top in ast.parse(path.read_text()).body:
        for node in ast.walk(top):
            if isinstance(node, ast.FunctionDef) and node.name == allowed:
                break
            if isinstance(node, ast.Name) and node.id in ("getattr", "hasattr"):
                yield f"{path.name}:{node.lineno} {node.id}"
            if isinstance(node, ast.Attribute):
                of = node.value.func if isinstance(node.value, ast.Call) else node.value
                own = isinstance(of, ast.Name) and of.id in ("self", "cls", "super")
                secret = node.attr.startswith("_") and not node.attr.startswith("__")
                hidden = secret and not own and node.attr not in OF_TUPLES
                if node.attr in INSIDE or hidden:
                    yield f"{path.name}:{node.lineno} .{node.attr}"


def test_no_policy_digs_in_an_environment() -> None:
    """No getattr, no `.unwrapped`, no grids, no private attribute of another object, in any policy."""
    modules = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(modules) > 6
    assert [place for path in modules for place in dug(path)] == []
    assert list(dug(ROOT / "policy.py", allowed="scenario_of")) == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    """A module that digs in each of these ways is found out."""
    path = tmp_path / "own.py"
    path.write_text("a = getattr(env, 'x')\nb = env.unwrapped.fleet\nc = env._scenario\nd = self._own\n")
    assert [place.split()[1] for place in dug(path)] == ["getattr", ".unwrapped", "._scenario"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_door_is_found_through_wrappers(wrapped: bool) -> None:
    """The scenario of an environment as `gymnasium.make` gives it, and of one within wrappers."""
    env = gymnasium.make("distgrid/VoltVar-33bw-v0")
    outer = gymnasium.wrappers.ClipReward(env, -1.0, 1.0) if wrapped else env
    assert scenario_of(outer).fleet is env.unwrapped.fleet  # type: ignore[attr-defined]


class Elsewhere(gymnasium.Env[np.ndarray, np.ndarray]):
    """An environment of somebody else."""


def test_an_environment_without_the_door_is_refused() -> None:
    """A policy that cannot be made says what was expected."""
    with pytest.raises(RunError, match="Elsewhere has no scenario to make a policy for"):
        baselines.make("do-nothing", Elsewhere())
