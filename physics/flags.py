"""How a power flow ends: bits of a row's status and what people read of them; what compiling warns of."""

from __future__ import annotations

from typing import NamedTuple

#: Bits of a status; see :class:`distgrid.physics.Solution` for what they mean.
CONVERGED, DIVERGED, COLLAPSED = 1, 2, 4
#: A row that per-phase sweeps leave to Newton's method.
UNSETTLED = 8


class Flags(NamedTuple):
    """How a power flow ended; see :class:`distgrid.physics.Solution`."""

    converged: bool
    diverged: bool
    collapsed: bool


class MeshWarning(UserWarning):
    """Closed branches that form loops were left out of the power flow."""


class IslandWarning(UserWarning):
    """Part of the feeder has no source: its voltages are NaN and its load is not served."""


class ModelWarning(UserWarning):
    """What the source of a feeder says is not all in the model: see the notes in the message."""
