"""Constraint rows of devices: what each kind can do in the intervals of a window, as the planner sees it.

Every row holds for all that a device can really do, so that a relaxation built of them bounds the truth.
"""

from __future__ import annotations

from .fleet import check_kinds, planned_fleet
from .planned import Box, Decided, Planned

__all__ = ["Box", "Decided", "Planned", "check_kinds", "planned_fleet"]
