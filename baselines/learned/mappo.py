"""Multi-agent PPO (Yu et al., 2022): `ippo` with one critic that sees the state of the whole environment.

Actors see what their agents see, so that what was learned is played without the critic's knowledge. The
critic gives a value for each agent, as each earns for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ippo import IPPO, Played
from .torch_parts import Moments, perceptron, run


class MAPPO(IPPO):
    """A training that is going on; see `ippo.IPPO`."""

    def make_critics(self) -> list[Any]:
        """One critic, from the state to a value for each agent."""
        n_state, width = self.envs.state_width, self.settings.hidden
        self.state_seen = self.moments["state"] = Moments(n_state)
        self.critic = perceptron(self.torch, (n_state, 2 * width, 2 * width, self.envs.num_agents), 1.0)
        return [*self.critic.parameters()]

    def values(self, seen: list[Any], states: Any) -> Any:
        """(steps, agents) of states (steps, n_state)."""
        return run(self.critic, states)

    def first_look(self, obs: NDArray[np.float32]) -> None:
        """Moments of the first observations and states of a training."""
        super().first_look(obs)
        if not self.state_seen.count:
            self.state_seen.update(self.envs.state())

    def normalised_states(self, states: NDArray[np.float32]) -> Any:
        """(steps, rows, n_state) as the critic sees them."""
        return self.torch.from_numpy(self.state_seen.normalise(states))

    def _look(self, played: Played) -> None:
        super()._look(played)
        self.state_seen.update(played.states[played.valid])
