"""What every baseline is: reset at the start of an episode, it then turns observations into actions.

A policy is bound to one environment when it is made (it looks up the columns it reads and writes) and works
on one observation `(n_obs,)` or on a batch `(rows, n_obs)` alike: row *i* of a batch gives the same bits as
that row alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..envs.core.ladder import GRAPH
from ..envs.core.observation_layout import in_units
from ..envs.core.planning import PlannedScenario
from ..envs.core.shown import batch_of, form_of
from .errors import RunError

FloatArray = NDArray[np.float64]

#: What an environment is stepped with: floats (n_action,) or (rows, n_action), or codes of a discrete space.
Action = Any

#: What a policy is made on: a single environment, wrapped or not, or a vector environment.
AnyEnv = gymnasium.Env[Any, Any] | gymnasium.vector.VectorEnv[Any, Any, Any]


class Policy(ABC):
    """Base of all baselines; subclass it to run your own policy through `distgrid.baselines.rollout`.

    Attributes: `name`, shown in tables and written to every row of the results. `transient`: names of
    attributes that an episode writes and `reset` forgets; all others, and the code of the class, are part of
    what a run is (weights, arrays, parameters), and a folder with other ones is another run.
    `plays_batches`: whether row i of a batch gets the bits that this row alone would get, also after `seed`
    and `restart`; runs then play many episodes at a time. A subclass says so itself.
    """

    name: str = "policy"
    transient: tuple[str, ...] = ()
    plays_batches: bool = False

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Constants that decide what the policy does, to be read in run.json.

        They need not be complete: the attributes and the code of the policy are compared on resume, too.
        """
        return {}

    def seed(self, seed: int) -> None:  # noqa: B027 - most policies are deterministic
        """Fix the randomness of the next episode.

        Row *i* of a batch behaves like a single policy seeded `seed + i`.
        """

    def restart(self, rows: NDArray[np.bool_]) -> None:  # noqa: B027
        """Forget the last episode in `rows` (rows,) only: a vector environment has reset them by itself."""

    @abstractmethod
    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Forget the last episode.

        `obs`, `info` are what `env.reset()` returned; obs (n_obs,) or (rows, n_obs).
        """

    @abstractmethod
    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """Return the action for `obs`, an element of the environment's action space; for a batch one a row.

        That is float32, (n_action,) or (rows, n_action), each within [-1, 1], unless the space is discrete.
        """


def plays_batches(policy: Policy) -> bool:
    """Whether `policy` says that it plays batches; a class outside of this package must say so itself."""
    kind = type(policy)
    if kind.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return bool(vars(kind).get("plays_batches", False))
    return bool(kind.plays_batches) and "act" not in vars(policy)


def n_rows(obs: Any) -> int:
    """How many observations `obs` is."""
    rows = batch_of(obs)
    return 1 if rows is None else rows


def as_batch(obs: NDArray[np.floating[Any]]) -> tuple[FloatArray, bool]:
    """Return `obs` as float64 (rows, n_obs), and whether it was one observation.

    ValueError for any other shape.
    """
    array = np.asarray(obs, dtype=np.float64)
    if array.ndim == 1:
        return array[None, :], True
    if array.ndim == 2:
        return array, False
    raise ValueError(f"an observation has shape (n_obs,) or (rows, n_obs), got {array.shape}")


def scenario_of(env: AnyEnv) -> PlannedScenario:
    """`env.scenario`, of an environment as it is or wrapped: all that a policy may know of it.

    RunError for an environment that has none.
    """
    bare: Any = env.unwrapped
    try:
        scenario: PlannedScenario = bare.scenario
    except AttributeError as error:
        raise RunError(
            f"{type(bare).__name__} has no scenario to make a policy for: expected an environment of distgrid"
        ) from error
    return scenario


def neutral_action(env: AnyEnv) -> NDArray[np.float32]:
    """The floats (n_action,) that do nothing on `env`: no dispatch, no curtailment, unity power factor."""
    return np.array(scenario_of(env).neutral_action, dtype=np.float32)


class RuleActions:
    """What rules write: floats in [-1, 1] for each device, handed over in the code of the action space.

    On a discrete environment each action is the code that is nearest to the floats.
    """

    def __init__(self, env: AnyEnv) -> None:
        self.neutral_action = neutral_action(env)
        self._codec = scenario_of(env).codec

    def neutral(self, rows: int) -> NDArray[np.float32]:
        """(rows, n_action) fresh neutral actions, to be written into."""
        return np.repeat(self.neutral_action[None], rows, axis=0)

    def coded(self, action: NDArray[np.float32], single: bool) -> Action:
        """What the environment is stepped with: a code for each of (rows, n_action), or that of one row."""
        codes = self._codec.encode(action)
        return self._codec.one(codes) if single else codes


class RuleObservations:
    """What rules read: flat numbers in their units, at whatever level and in whatever form they are shown."""

    def __init__(self, env: AnyEnv) -> None:
        scenario = scenario_of(env)
        layout = scenario.layout
        self._form = form_of(scenario) if layout.level == GRAPH else None
        self._bounds = layout.bounds() if layout.normalised else None

    def batch(self, obs: Any) -> tuple[FloatArray, bool]:
        """`obs` as (rows, n_obs) in the units of the layout, and whether it was one observation."""
        batch, single = as_batch(obs if self._form is None else self._form.as_array(obs))
        return batch if self._bounds is None else in_units(batch, self._bounds), single
