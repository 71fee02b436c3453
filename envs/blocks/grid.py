"""Blocks of the solved grid and of its loads: columns of arrays that exist anyway."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...physics.row_results import P_LOSS, P_SLACK, Q_SLACK
from ..resources.times import COMING
from .base import ArrayBlock
from .view import BlockContext, IntArray

_SOME = 1e-3  # a box needs room even where a node has no load


class Voltage(ArrayBlock):
    """Voltage magnitudes."""

    name, unit, per, source = "v_pu", "pu", "node", "v_pu"
    meaning = "voltage magnitude at every node"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """From nothing to the most that a solved state can have."""
        return 0.0, np.nan_to_num(context.v_high_pu, nan=1.0)


class VoltageAngle(ArrayBlock):
    """Voltage angles."""

    name, unit, per, source, part = "v_deg", "deg", "node", "v", "degrees"
    meaning = "voltage angle at every node"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Half a turn either way."""
        return -180.0, 180.0


class _Load(ArrayBlock):
    per, time = "load", COMING

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """The largest load of each point either way."""
        top = np.maximum(context.s_load_mva, _SOME)
        return -top, top


class ActiveLoad(_Load):
    """Active power of loads."""

    name, unit, source = "load_p_mw", "MW", "load_p_mw"
    meaning = "active load at every node"


class ReactiveLoad(_Load):
    """Reactive power of loads."""

    name, unit, source = "load_q_mvar", "MVAr", "load_q_mvar"
    meaning = "reactive load at every node"


class _Flow(ArrayBlock):
    per, source = "branch", "s_from"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """The most that each branch can carry, either way."""
        return -context.s_branch_mva, context.s_branch_mva


class ActiveFlow(_Flow):
    """Active power into branches."""

    name, unit, part = "p_from_mw", "MW", "real"
    meaning = "active power into every branch at its from side"


class ReactiveFlow(_Flow):
    """Reactive power into branches."""

    name, unit, part = "q_from_mvar", "MVAr", "imag"
    meaning = "reactive power into every branch at its from side"


class Current(ArrayBlock):
    """Currents of branches."""

    name, unit, per, source = "i_ka", "kA", "branch", "i_ka"
    meaning = "current of every branch"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """A current that carries the most that can flow at the lowest voltage."""
        return 0.0, context.i_branch_ka


class Loading(ArrayBlock):
    """Apparent power over rating."""

    name, unit, per, source = "loading", "1", "branch", "loading"
    meaning = "apparent power over rating of every branch"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """The most that can flow over the rating; a branch without one has loading 0."""
        rating = np.nan_to_num(context.rating_mva, nan=np.inf)
        return 0.0, np.maximum(context.s_branch_mva / rating, _SOME)


class Unbalance(ArrayBlock):
    """Voltage unbalance factor."""

    name, unit, per, source = "vuf_pct", "%", "unbalance", "vuf_pct"
    meaning = "negative over positive sequence voltage at every node with three phases"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Per cent."""
        return 0.0, 100.0


class _Total(ArrayBlock):
    """A quantity of the whole feeder: column ``at`` of what a step measures."""

    source = "measured"
    at: int

    def columns(self, context: BlockContext) -> IntArray:
        """One column."""
        return np.array([self.at])

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Four times all that loads and devices can take."""
        return -4.0 * context.s_total_mva, 4.0 * context.s_total_mva


class SourceActive(_Total):
    """Active power of the source."""

    name, unit, at = "p_slack_mw", "MW", P_SLACK
    meaning = "active power taken from the substation"


class SourceReactive(_Total):
    """Reactive power of the source."""

    name, unit, at = "q_slack_mvar", "MVAr", Q_SLACK
    meaning = "reactive power taken from the substation"


class Losses(_Total):
    """Active losses."""

    name, unit, at = "p_loss_mw", "MW", P_LOSS
    meaning = "active losses"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """From nothing up."""
        return 0.0, 4.0 * context.s_total_mva


#: Shipped blocks of the grid.
GRID = (
    Voltage(), VoltageAngle(), ActiveLoad(), ReactiveLoad(), ActiveFlow(), ReactiveFlow(), Current(),
    Loading(), SourceActive(), SourceReactive(), Losses(), Unbalance(),
)  # fmt: skip
