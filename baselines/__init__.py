"""Policies, and the runner that scores them.

>>> import gymnasium
>>> from distgrid import baselines
>>> env = gymnasium.make("distgrid/VoltVar-33bw-v0", split="test")
>>> policy = baselines.make("volt-var-ieee1547", env)  # one of baselines.names()
>>> obs, info = env.reset(seed=0)
>>> policy.reset(obs, info)
>>> obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))

The runner plays whole days and keeps the score; with ``out="runs/first"`` it leaves its tables there.

>>> rivals = ["do-nothing", "volt-var-ieee1547"]
>>> result = baselines.rollout("VoltVar-33bw-v0", rivals, episodes=1, progress=False)
>>> [(each.policy, each.n_steps) for each in result.summary]
[('do-nothing', 96), ('volt-var-ieee1547', 96)]

`import_feeder` reads a file of another program and verifies it by the engine of its format, and
`export_feeder` writes one.
"""

from __future__ import annotations

from .errors import RunError, RunWarning
from .policy import Policy
from .registry import make, names
from .rollouts.play import RunResult, rollout
from .scoring.certificates import normalised_score
from .scoring.summary import PolicySummary
from .workflows.importing.exporting import export_feeder
from .workflows.importing.importing import Imported, import_feeder, import_with_series

__all__ = [
    "Imported", "Policy", "PolicySummary", "RunError", "RunResult", "RunWarning", "export_feeder",
    "import_feeder", "import_with_series", "make", "names", "normalised_score", "rollout",
]  # fmt: skip
