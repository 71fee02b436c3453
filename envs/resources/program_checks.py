"""What programs must have done when they are bound, and what their costs must be."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .accounts import ACCOUNTS
from .base import Floats, Resource


def charges(program: Resource) -> bool:
    """Whether it may have costs: in money of its accounts, or by its own code."""
    return type(program).costs is not Resource.costs or any(ACCOUNTS[n].cost for n in program.writes)


def check_bound(program: Resource, batch: int) -> None:
    """ValueError unless ``bind`` has left what the fleet reads."""
    wanted = {
        "current_p_mw": (batch, program.n_units),
        "current_q_mvar": (batch, program.n_units),
    }
    for name, shape in wanted.items():
        array = getattr(program, name, None)
        if not isinstance(array, np.ndarray) or array.shape != shape:
            raise ValueError(
                f"{type(program).__name__}.bind must leave {name} of shape {shape}; "
                "call super().bind(ctx) in it"
            )
    if not hasattr(program, "accounts"):
        raise ValueError(
            f"{type(program).__name__}.bind must call super().bind(ctx), which takes its accounts"
        )


def check_costs(program: Resource, costs: Mapping[str, Floats]) -> None:
    """A negative or unbounded cost would make a collapse pay; only resources that have costs come here."""
    total = np.zeros(len(program.current_p_mw))
    for name, value in costs.items():
        if np.shape(value) != total.shape or not (value >= 0.0).all():
            raise ValueError(
                f"{type(program).__name__}: cost {name!r} must be (batch,) numbers >= 0, got {value}"
            )
        total += value
    if (total > program.max_cost_per_step * (1.0 + 1e-9)).any():
        raise ValueError(
            f"{type(program).__name__}: costs reach {total.max():g} in one interval, above its "
            f"max_cost_per_step {program.max_cost_per_step:g}; set that to a true bound"
        )
