"""Where an entry of the observation stands: bus, branch and phase of a column by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ...cases import Feeder


class Place(NamedTuple):
    """Bus or branch, and phases: "ABC" for all of them; None where there is none."""

    bus: str | None = None
    branch: str | None = None
    phase: str | None = None


def located(per: str | None, name: str | None, feeder: Feeder) -> Place:
    """The place of a column of nodes, load points, branches or three-phase nodes: "18", "671.A", "701.AB"."""
    if per is None or name is None:
        return Place()
    known = feeder.branch_index if per == "branch" else feeder.node_index
    thing, phase = name, "ABC"
    if name not in known:
        thing, _, phase = name.rpartition(".")
    return Place(branch=thing, phase=phase) if per == "branch" else Place(bus=thing, phase=phase)
