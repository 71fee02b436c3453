"""Many per-phase environments at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from gymnasium.vector import AutoresetMode

from ..cases import Feeder
from .core.face import takes_options
from .core.options import EnvOptions, OptionKeywords
from .resources.base import Resource, ResourceSpec
from .tasks import Task
from .vector import DistGridVectorEnv


@takes_options
class DistGrid3PhaseVectorEnv(DistGridVectorEnv):
    """``num_envs`` independent :class:`DistGrid3PhaseEnv`, advanced together by compiled kernels.

    Every environment gives the numbers that a single ``DistGrid3PhaseEnv`` with its seed and actions gives,
    to the last bit, whatever ``num_envs`` and ``threads`` are. All that :class:`DistGridVectorEnv` does and
    takes, this one does and takes, phase by phase.

    ## Arguments
    Those of ``DistGrid3PhaseEnv``, except pictures, and those of ``DistGridVectorEnv``:

    - every field of ``EnvOptions``, or ``options=EnvOptions(...)``
    - ``num_envs``, ``autoreset_mode``, ``threads``, ``copy``, ``max_episode_steps``: as there.

    ## Infos
    The keys of ``DistGrid3PhaseEnv``, each an array over the environments with a mask ``_key`` beside it.
    ``voltages`` (num_envs, n_nodes, 3), ``branch_loading`` (num_envs, n_branches, 3) and ``vuf_pct``
    (num_envs, n_nodes) are masked arrays like those of the single environment: NaN, and masked, where there
    is no such phase, rating or unbalance. That mask says what the feeder has: it is one for all environments,
    shared and read-only. Which environments have the key is in ``_key``, as ever; the others have zeros.
    ``delivered`` tells positions of taps and banks, too.
    """

    def __init__(
        self,
        case: str | Path | Feeder = "ieee13",
        resources: Sequence[ResourceSpec | Resource] = (),
        task: Task | None = None,
        split: str | None = None,
        *,
        num_envs: int = 1,
        render_mode: None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
        copy: bool = True,
        max_episode_steps: int | None = None,
        options: EnvOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        given = EnvOptions(case, resources, task, split, **keywords) if options is None else options
        super().__init__(
            num_envs=num_envs, render_mode=render_mode, autoreset_mode=autoreset_mode, threads=threads,
            copy=copy, max_episode_steps=max_episode_steps, options=given,
        )  # fmt: skip

    @staticmethod
    def _check_phases(feeder: Feeder) -> None:
        if feeder.phases != "per-phase":
            raise ValueError(f"feeder {feeder.name!r} is balanced: make it with DistGridVectorEnv")
