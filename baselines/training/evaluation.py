"""Days of a split played side by side by the networks of a policy file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..learned.policy_file import PolicyFile
from ..learned.rules import Rules
from ..learned.trained import Actors
from ..policy import scenario_of
from ..rollouts.env_content import content_of
from ..rollouts.env_source import EnvSource, episode_day, input_records
from ..rollouts.rows import open_rows
from ..scoring.certificates import scored

FloatArray = NDArray[np.float64]
#: Observations (n, n_obs) and infos to actions.
Act = Callable[[FloatArray, Mapping[str, Any]], Any]


class Days:
    """The days of a split as `distgrid run` plays them: episode k on its k-th day, with seed k.

    Args:
        source: The environment, of the split that is played.
        count: Days; 0: all.

    Attributes: `days` and `seeds` (n,); `do_nothing` (n,) returns of the neutral action.
    """

    def __init__(self, source: EnvSource, count: int = 0) -> None:
        self.source = source
        self.env = source.open()
        grid: Any = self.env.unwrapped
        n_days = min(count, len(grid.days)) or len(grid.days)
        self.days = np.array([episode_day(grid.days, k) for k in range(n_days)])
        self.seeds = np.arange(n_days)
        self._rows: Any = open_rows(self.env, n_days)
        self._neutral = scenario_of(self.env).neutral_action
        codes = scenario_of(self.env).codec.encode(np.repeat(self._neutral[None], n_days, axis=0))
        self.do_nothing = self._play(lambda _obs, _infos: codes)

    def returns(self, content: PolicyFile) -> FloatArray:
        """(n,) of the policy."""
        actors = Actors(content, self._neutral)
        if not content.rules:
            return self._play(lambda obs, _infos: actors.act(obs))
        rules = Rules(content.rules, self._rows)
        return self._play(lambda obs, infos: actors.act(obs, rules.act(obs, infos)), rules.reset)

    def scores(self, returns: FloatArray) -> list[float | None]:
        """(n,) normalised scores of returns; None where no certificate is of that day."""
        attached = content_of(self.env)
        inputs = input_records(self.env, self.source.split, attached.sha256)
        known = {record.name: record.sha256 for record in (*inputs, *attached.own)}
        return scored(
            self.source.name, known, self.days.tolist(), self.seeds.tolist(), returns.tolist()
        )  # fmt: skip

    def close(self) -> None:
        """What was opened."""
        self._rows.close()
        self.source.close(self.env)

    def _play(
        self, act: Act, begin: Callable[[FloatArray, Mapping[str, Any]], None] | None = None
    ) -> FloatArray:
        obs, infos = self._rows.reset(seed=self.seeds.tolist(), options={"day": self.days})
        total, playing = np.zeros(len(self.days)), np.ones(len(self.days), dtype=np.bool_)
        if begin is not None:
            begin(np.asarray(obs, dtype=np.float64), infos)
        while playing.any():
            action = act(np.asarray(obs, dtype=np.float64), infos)
            obs, reward, terminated, truncated, infos = self._rows.step(action)
            total += np.where(playing, reward, 0.0)
            playing = playing & ~(terminated | truncated)
        return total
