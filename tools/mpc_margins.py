"""How far `mpc` should keep within the band: train days of DERDispatch-33bw with several margins.

Call: python tools/mpc_margins.py [DAYS]. Prints a row a margin for docs/baselines.md: mean return, and what
voltages outside the band cost. Days are drawn with seed 0 from the train split.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import gymnasium
import numpy as np

from distgrid.baselines.optimal.mpc import OnForecasts
from distgrid.baselines.optimal.rolling.caution import EXPECTED

_ENV, _LEVEL = "distgrid/DERDispatch-33bw-v0", "global"
_DEVIATIONS = (0.0, 0.75, 1.5, 3.0)


def main(n_days: int) -> None:
    """Every margin on the same days with the same seeds."""
    env = gymnasium.make(_ENV, split="train", observation=_LEVEL, disable_env_checker=True)
    days = np.random.default_rng(0).choice(env.unwrapped.days, n_days, replace=False)  # type: ignore[attr-defined]
    print("days", sorted(days.tolist()))
    for deviations in _DEVIATIONS:
        played = []
        for day in days.tolist():
            policy = OnForecasts(env, errors=replace(EXPECTED, deviations=deviations))
            obs, info = env.reset(seed=0, options={"day": day})
            policy.reset(obs, info)
            total, voltage, over = 0.0, 0.0, False
            while not over:
                obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
                total, over = total + float(reward), terminated or truncated
                voltage += float(info["rewards"]["voltage"])
            played.append((total, voltage))
        mean = np.mean(played, axis=0)
        print(f"| {deviations:g} | {mean[0]:,.1f} | {mean[1]:,.1f} |".replace("-", "−"), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
