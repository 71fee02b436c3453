"""A policy that a test can kill, and the environment that it plays; scripts of the tests import it, too."""

from __future__ import annotations

import functools
import os
import signal
from typing import Any

import numpy as np

from distgrid import baselines
from distgrid.cases.profiles import Duration
from distgrid.envs import PV, DistGridEnv, VoltVar

make_env = functools.partial(
    DistGridEnv, "case33bw", (PV(18, 1.0),), VoltVar(episode=Duration(hours=6 / 4)), "test"
)


class Mortal(baselines.Policy):
    """Does nothing; the process dies in the episode that the environment variable names."""

    name = "mortal"
    transient = ("resets",)

    def __init__(self) -> None:
        self.resets = 0

    def reset(self, obs: Any, info: Any) -> None:
        self.resets += 1

    def act(self, obs: Any, info: Any) -> Any:
        if os.environ.get("DIES_IN_EPISODE") == str(self.resets):
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros(1, dtype=np.float32)
