"""How a fleet keeps its programs."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Exogenous, Floats, Ints, Resource, ResourceSpec
from .present_load import PresentLoad


@dataclass(slots=True)
class Slot:
    """One program with its share of the fleet's columns."""

    key: str  # "battery", "battery#2": prefix in blocks, costs, state
    program: Resource
    units: slice
    actions: slice
    observations: slice
    exo: Exogenous
    action: Floats  # (batch, n_action of the program), of the fleet's own
    p_mw: Floats  # (batch, n_units of the program), of what the fleet delivers
    q_mvar: Floats
    observed: Floats  # (batch, n_observation of the program), of what the fleet observes
    coming: Ints  # columns of it that show the interval that is decided
    charged: tuple[str, ...] | None = None  # names of its costs, the same in every step
    load: PresentLoad | None = None  # of a program that uses it


class Kept(tuple[ResourceSpec | Resource, ...]):
    """Resources that nobody else holds."""
