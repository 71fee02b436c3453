"""The per-phase environment, one feeder at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from ..cases import Feeder
from ..physics import Network3, PhaseIndex
from .core.face import takes_options
from .core.fixed import Fixed
from .core.options import EnvOptions, OptionKeywords
from .dist import DistGridEnv
from .resources.base import Resource, ResourceSpec
from .tasks import Task


@takes_options
class DistGrid3PhaseEnv(DistGridEnv):
    """One unbalanced feeder, phase by phase, 15-minute steps, solved by three-phase AC power flow.

    ## Description
    A feeder with loads that follow real shapes, each on its own phases, and resources (single-phase
    batteries, PV inverters and charging stations, tap changers, capacitor banks, your own) that the agent
    drives. Every step solves the three-phase AC power flow of the whole feeder, with coupled phases, delta
    and wye loads, voltage-dependent loads, regulators and capacitors, equal to OpenDSS's solution node by
    node. By default an episode is one day, from midnight. Everything that `DistGridEnv` does, this
    environment does, phase by phase.

    A resource's ``phase`` is "A", "B" or "C" (to ground), "AB", "BC" or "CA" (between two phases), or "ABC"
    (a third to each phase). Phases that a node does not have are an error. At nodes that no winding ties to
    ground (IEEE 37) only the connections between phases exist, and "ABC" is a third to each of them.

    ## Timeline of a step
    At decision time *t* the observation shows the grid state solved at the end of interval *t - 1*, and what
    is known of interval *t*: clock, prices, cars that are there. Loads and sun are those of interval *t*
    where ``observation`` is None or "oracle"; at the other levels they are those of *t - 1*, and forecasts.
    The action acts during interval *t*; the reward is for interval *t*.

    ## Action Space
    ``Box(-1, 1, (n,), float32)``, one entry per controlled quantity of each resource, see
    ``env.unwrapped.action_layout``. A battery's ``p``: +1 discharges at rated power, -1 charges. A PV
    unit's ``q``: +1 injects, -1 absorbs ``q_max_mvar``; its ``p``: +1 is all available power, -1 none. A
    charging station's ``p``: -1 charges at its power, +1 discharges at ``v2g_mw`` (rests where that is 0). A
    tap changer's ``tap``: -1 is the lowest, +1 the highest position, the nearest whole one between. A
    bank's ``on``: from 0 up on, below off. ``info["delivered"]`` tells what flowed and where taps and banks
    stand. NaN, a wrong shape or a value outside [-1, 1] by more than 1e-6 raises ValueError naming the
    dimension. ``action_space=`` makes it ``MultiDiscrete`` (one level for each position of taps and banks),
    ``Discrete`` or a ``Dict`` of both kinds, with ``action_masks()``.

    ## Observation Space
    A flat float32 ``Box`` with finite bounds; blocks and units in ``env.unwrapped.layout``. Blocks of the
    grid have one entry for each phase that exists ("671.A"), node by node in the order A, B, C; absent
    phases have none. Loads between two phases are entries such as "671.AB". At nodes without ground the
    voltages are those between phases ("701.AB"), 1 pu being the rated line voltage. Unbalance is observed
    at nodes with three phases.

    ## Rewards
    The task's weighted terms, in ``info["rewards"]``; they add up to the reward. The bare task: ``-0.1 *
    p_loss_MW``.

    ## Costs
    ``info["costs"]`` by name, ``info["cost"]`` their sum: pu outside the voltage band summed over nodes and
    phases; MVA above a third of the rating summed over branches and phases; percent of unbalance (|V2| /
    |V1|) above the limit summed over nodes with three phases, where 100 % counts for more than that;
    resource costs. All are >= 0, and 0 exactly when the limit holds.

    ## Episode End
    1. Termination: the power flow failed (``is_diverged`` or ``voltage_collapse``). The reward of that step
       is ``-failure_price`` of the task, its cost ``failure_cost``: stated numbers that are above all that a
       day brought in a search for the worst, so that failing never pays. With ``"bound"``, the default of
       tasks of your own, it is the worst that the rest of the episode could bring by a proof, which is many
       times more. Resources have still stepped; ``info`` holds the last iterate as diagnostics.
    2. Termination: the task ends the episode (``Task.ends``), as ``HostingCapacity`` does at the first
       violation; that has no price beside the terms of the reward.
    3. Truncation: the time of the task's episode is over.

    ## Arguments
    - every field of ``EnvOptions``, or ``options=EnvOptions(...)``
    - ``render_mode``: ``"rgb_array"``, ``"human"`` or None.

    ``reset(options={"day": 200})`` starts on a given day of the data.

    ## Version History
    - v0: first release.
    """

    net = Fixed[Network3]("make another with case=")

    def __init__(
        self,
        case: str | Path | Feeder = "ieee13",
        resources: Sequence[ResourceSpec | Resource] = (),
        task: Task | None = None,
        split: str | None = None,
        *,
        render_mode: str | None = None,
        options: EnvOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        given = EnvOptions(case, resources, task, split, **keywords) if options is None else options
        super().__init__(render_mode=render_mode, options=given)

    @staticmethod
    def _check_phases(feeder: Feeder) -> None:
        if feeder.phases != "per-phase":
            raise ValueError(f"feeder {feeder.name!r} is balanced: make it with DistGridEnv")

    @property
    def topo3ph(self) -> PhaseIndex:
        """Which row of a node-major matrix stands for which (node, phase), in the order A, B, C.

        It is the order of the entries of ``v_pu`` in the observation, too.
        """
        return self.net.topo3ph
