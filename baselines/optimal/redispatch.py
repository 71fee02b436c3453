"""The dispatch of one feeder again and again: matrices are put together once, numbers change in place."""

from __future__ import annotations

from collections.abc import Sequence

from ... import physics
from .affine import FloatArray
from .branch_flow import NetworkLimits
from .dispatch import Dispatch, made_real
from .dispatch_program import Case, DispatchProgram, demand_of
from .radial import radial_network
from .units import Unit


class Redispatch:
    """`optimal_dispatch` for one feeder, many times.

    Each `solve` gives what `optimal_dispatch` gives for the same numbers. Loads, source voltages, limits of
    units and the head's price change in place; where that cannot be (loads that depend on the voltage, units
    with other costs) the matrices are put together anew.

    Args:
        net: Compiled, balanced and radial.
        units: What is dispatched.
        objective: As `optimal_dispatch` has it.
        limits: Of the network.
        head_usd_mwh: Price of what the head delivers.
        gap_tolerance: Relative gap up to which a plan is called optimal.

    Raises:
        RunError: as `optimal_dispatch`.
    """

    def __init__(
        self, net: physics.Network, units: Sequence[Unit], *, objective: str = "loss",
        limits: NetworkLimits | None = None, head_usd_mwh: float = 0.0, gap_tolerance: float = 1e-5,
    ) -> None:  # fmt: skip
        self.net, self.units, self.objective = net, tuple(units), objective
        self.limits = NetworkLimits() if limits is None else limits
        self.head_usd_mwh, self.gap_tolerance = head_usd_mwh, gap_tolerance
        self._network = radial_network(net)
        demand = demand_of(net, self._network, None, None, None)
        self._program = DispatchProgram(self._network, self._case(None, None), demand, self.limits)

    def solve(
        self, *, p_mw: FloatArray | None = None, q_mvar: FloatArray | None = None,
        v_source_pu: float | None = None, units: Sequence[Unit] | None = None,
        head_usd_mwh: float | None = None,
    ) -> Dispatch:  # fmt: skip
        """The best setpoints for these numbers; what is left out is as it was at the start.

        Args:
            p_mw: (n_bus,) loads; None: the nominal ones.
            q_mvar: With ``p_mw``.
            v_source_pu: Of all sources; None: as stored.
            units: Those of the start with other limits.
            head_usd_mwh: Price of what the head delivers.

        Raises:
            RunError: limits that no setpoints can keep, loads that are none, an unknown bus.
        """
        case = self._case(units, head_usd_mwh)
        demand = demand_of(self.net, self._network, p_mw, q_mvar, v_source_pu)
        if not self._program.update(case, demand):
            self._program = DispatchProgram(self._network, case, demand, self.limits)
        return made_real(self._program, self.gap_tolerance)

    def _case(self, units: Sequence[Unit] | None, head_usd_mwh: float | None) -> Case:
        price = self.head_usd_mwh if head_usd_mwh is None else head_usd_mwh
        return Case.of(
            self.net, self.units if units is None else units, self.objective, self.limits, price
        )  # fmt: skip
