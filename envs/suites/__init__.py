"""The registered environments: one module a family, each a table of ids.

A new family is a module with its ``ENTRIES`` and its line here. What can move the scores of an id never
changes: a new version does.
"""

from __future__ import annotations

from . import (
    bare,
    der_dispatch,
    ev_charging,
    hosting_capacity,
    marl_ders_benchmark,
    peak_shaving,
    setpoint_tracking,
    volt_var,
    volt_var3,
)
from .entry import RegisteredEnv
from .variants import variant

__all__ = ["ENTRIES", "RegisteredEnv", "variant"]

#: All ids, in the order in which they are registered and documented.
ENTRIES: tuple[RegisteredEnv, ...] = (
    *bare.ENTRIES,
    *volt_var.ENTRIES,
    *bare.ENTRIES3,
    *volt_var3.ENTRIES,
    *der_dispatch.ENTRIES,
    *peak_shaving.ENTRIES,
    *setpoint_tracking.ENTRIES,
    *hosting_capacity.ENTRIES,
    *ev_charging.ENTRIES,
    *marl_ders_benchmark.ENTRIES,
)
