"""Policies, and the runner that scores them.

from distgrid import baselines

baselines.names() policy = baselines.make("volt-var-ieee1547", env)      # Policy: reset(obs, info),
act(obs, info) -> action result = baselines.rollout("VoltVar-33bw-v0", ["do-nothing", "volt-var-ieee1547"],
episodes=5, out="runs/first")
"""

from __future__ import annotations

from .errors import RunError, RunWarning
from .policy import Policy
from .registry import make, names
from .runner import RunResult, rollout
from .summary import PolicySummary

__all__ = ["Policy", "PolicySummary", "RunError", "RunResult", "RunWarning", "make", "names", "rollout"]
