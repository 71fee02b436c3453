"""What the terms of a reward read of the branch flow relaxation, so that no play can undercut it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .affine import Affine
from .branch_flow import MOST_V_PU, BranchFlow, ends_of
from .program import Program
from .reach import Reach


@dataclass(frozen=True, eq=False)
class RelaxedGrid:
    """See `rewards.PlannedGrid`.

    Attributes:
        program: Takes columns and rows.
        flow: The network's columns.
        v_band: Of the task; None: it has none.
        reach: What voltages and flows can be at all; None: not known.
    """

    program: Program
    flow: BranchFlow
    v_band: tuple[float, float] | None
    reach: Reach | None

    @property
    def p_source_mw(self) -> Affine:
        """(steps,)."""
        return self.flow.p_source_mw

    @property
    def loss_mw(self) -> Affine:
        """(steps,)."""
        return self.flow.loss_mw

    def deviation(self, reference_pu: float) -> Affine:
        """(V - r)^2 = v - 2 r sqrt(v) + r^2 in v = V^2, convex, mean over the live nodes."""
        v = self.flow.v
        square = v - 2.0 * reference_pu * self._roots(v) + reference_pu**2
        return square.sum() / self.flow.network.size

    def violation(self) -> Affine:
        """Below the band V <= sqrt(v); beyond it V - h = (v - h^2) / (V + h) is the least where V is most.

        How far V gets at all is what `reach` says: the less room it leaves, the closer the line lies.
        """
        if self.v_band is None:
            return Affine(0.0)
        (low, high), v = self.v_band, self.flow.v.reshape(-1)
        ends = (np.zeros(v.shape), np.full(v.shape, np.inf))
        if self.reach is not None:
            ends = self.reach.v_low.ravel(), self.reach.v_high.ravel()
        under, over = np.flatnonzero(ends[0] < low**2), np.flatnonzero(ends[1] > high**2)
        below = self.program.positive(low - self._roots(v[under]))
        most = np.minimum(np.sqrt(ends[1][over]), MOST_V_PU)
        above = self.program.positive((v[over] - high**2) / (most + high))
        return below.sum() + above.sum()

    def _roots(self, v: Affine) -> Affine:
        """At most the voltages of these squares; at them where more is better."""
        root = self.program.columns(v.shape, MOST_V_PU)
        self.program.rotated(v, Affine(np.ones(v.shape)), root)
        return root

    def overload(self) -> Affine:
        """Only branches that can be loaded beyond their rating at all have rows."""
        network, program, base = self.flow.network, self.program, self.flow.network.base_mva
        rated = np.flatnonzero(np.isfinite(network.rating_mva))
        if not rated.size:
            return Affine(0.0)
        rating = np.broadcast_to(network.rating_mva[rated] / base, (self.flow.v.shape[0], rated.size))
        loaded = np.arange(rating.size)
        if self.reach is not None:
            loaded = np.flatnonzero(self.reach.most_mva(network)[:, rated] / base > rating)
        if not loaded.size:
            return Affine(0.0)
        ends = [(p.reshape(-1)[loaded], q.reshape(-1)[loaded]) for p, q in ends_of(self.flow, rated).values()]
        most = np.maximum(*(program.reach_of(p) + program.reach_of(q) for p, q in ends))
        above = program.columns(most.shape, most)
        program.nonneg(above)
        for p, q in ends:
            program.cone(above + rating.ravel()[loaded], p, q)
        return base * above.sum()
