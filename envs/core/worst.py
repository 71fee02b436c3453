"""How bad a solved interval can get: what the bound of every term is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..resources.accounts import ACCOUNTS
from ..tasks import WorstCase

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...physics import StateBounds
    from ...physics.solved_grid import SolvedGrid
    from ..resources import Fleet
    from ..tasks.signal import DispatchSignal
    from .load_source import LoadSource
    from .unserved import Unserved

_V2_TOP = 4.0  # loads at a source draw at most this much of their nominal power: 2 pu, squared


def worst_case(
    stepper: SolvedGrid, state: StateBounds, fleet: Fleet, load: LoadSource, lost: Unserved, feeder: Feeder,
    dt_h: float, price_usd_mwh: tuple[float, float], signal: DispatchSignal | None,
) -> WorstCase:  # fmt: skip
    """Bounds of an interval of ``dt_h`` hours, given those of its power flow."""
    s_mva = float(fleet.max_apparent_mva.sum())
    return WorstCase(
        state, *stepper.v_limits_pu, stepper.rating_mva, storage_mwh_per_step=s_mva * dt_h,
        curtailable_mw=s_mva, resource_cost=float(fleet.max_cost_per_step),
        switched_per_step=fleet.most_of("switchings", dt_h),
        vuf_violation_pct=stepper.vuf_violation_max_pct,
        unserved_mw=lost.most_mw(load.s_max_mva, fleet, dt_h),
        slack_mw=_slack_mw(stepper, state, fleet, load, feeder),
        accounts={name: fleet.most_of(name, dt_h) for name in ACCOUNTS}, dt_h=dt_h,
        price_usd_mwh=price_usd_mwh,
        signal_mw=0.0 if signal is None else float(
            (load.s_max_mva.sum() + s_mva) * (1.0 + signal.loss_share) + signal.swing_mw
        ),
    )  # fmt: skip


def _slack_mw(
    stepper: SolvedGrid, state: StateBounds, fleet: Fleet, load: LoadSource, feeder: Feeder
) -> float:
    """What sources can give or take: the flow into the branches at their nodes, and what stands there."""
    sources = {str(node) for node in feeder.column("sources", "node_id")}
    ends = (feeder.column("branches", name).astype(str) for name in ("branch_id", "from_node", "to_node"))
    near = {branch for branch, *nodes in zip(*ends, strict=True) if sources.intersection(nodes)}
    phased = feeder.phases == "per-phase"
    owner = [name.rpartition(".")[0] if phased else name for name in stepper.names.branch]
    flows = float(np.nansum(state.s_branch_mva[[branch in near for branch in owner]]))
    owner = [name.rpartition(".")[0] if phased else name for name in stepper.names.load]
    loads = float(load.s_max_mva[[node in sources for node in owner]].sum())
    at = np.isin(fleet.node_rows, [feeder.node_index[node] for node in sources])
    return flows + _V2_TOP * loads + float(fleet.max_apparent_mva[at].sum())
