"""A solved feeder as tables, and how its power flow ended, in words."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from .... import cases, physics


@dataclass(frozen=True)
class PowerFlow:
    """One solved feeder. Each column of the tables carries its unit in the schema."""

    feeder: cases.Feeder
    solution: physics.Solution | physics.Solution3
    method: str
    buses: pa.Table
    branches: pa.Table
    losses: pa.Table  # the last row is the total
    violations: pa.Table  # empty if and only if it converged and every limit is kept everywhere
    notes: tuple[str, ...]  # what was left out or not supplied, in words

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Every table by the name of its file."""
        return {name: getattr(self, name) for name in ("buses", "branches", "losses", "violations")}

    @property
    def usable(self) -> bool:
        """A true solution, with every voltage above the collapse voltage of 0.5 pu."""
        return bool(self.solution.converged) and not bool(self.solution.collapsed)

    @property
    def verdict(self) -> str:
        """How the power flow ended, in a sentence."""
        sol, iterations = self.solution, int(self.solution.iterations)
        ended = f"{self.method}: "
        if not bool(sol.converged):
            low = " Voltages fell below 0.5 pu on the way." if bool(sol.collapsed) else ""
            return (
                f"{ended}did NOT converge in {iterations} iterations: the tables hold the last iterate, "
                f"which is not a solution.{low} {_advice(self.method)}"
            )
        ended += f"converged in {iterations} iterations, last voltage change {float(sol.v_update_pu):.1e} pu"
        if bool(sol.collapsed):
            total = self.losses.slice(self.losses.num_rows - 1).to_pylist()[0]
            return (
                f"{ended}, but the voltage at node {total['v_lowest_node']!r} is {total['v_lowest_pu']:.3f} "
                "pu: this is the edge of collapse, not an operating point. Reduce the load or raise the "
                "voltage."
            )
        return ended + "."


@dataclass(frozen=True)
class PhasePowerFlow(PowerFlow):
    """One solved per-phase feeder: `buses` and `branches` sum over phases, these two do not."""

    voltages: pa.Table
    flows: pa.Table

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Every table by the name of its file."""
        return super().tables | {"voltages": self.voltages, "flows": self.flows}


def _advice(method: str) -> str:
    if method == "fast-decoupled":
        return "It assumes small R/X ratios; try --method newton or backward-forward."
    return "The load may be more than the feeder can carry: reduce it, raise the voltage or --max-iter."
