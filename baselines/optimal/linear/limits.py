"""Limits of a network as a linear dispatch reads them: one excess for every node, branch end and the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ...errors import RunError
from ..affine import FloatArray
from ..branch_flow import NetworkLimits
from .controls import AnyNetwork

KINDS = ("v_max", "v_min", "thermal_from", "thermal_to", "import", "export")
UNITS = {
    "v_max": "pu",
    "v_min": "pu",
    "thermal_from": "MVA",
    "thermal_to": "MVA",
    "import": "MW",
    "export": "MW",
}


@dataclass(frozen=True, eq=False)
class FlatLimits:
    """Limits in the order of flattened results, phase by phase.

    Attributes:
        v_least, v_most: (nodes,) pu; -inf and inf: none. rating: (2, branches) MVA at either end.
        most_import, most_export: MW. nodes, branches: Names, with their phase where there are phases.
    """

    v_least: FloatArray
    v_most: FloatArray
    rating: FloatArray
    most_import: float
    most_export: float
    nodes: NDArray[np.object_]
    branches: NDArray[np.object_]

    @classmethod
    def of(cls, net: AnyNetwork, limits: NetworkLimits) -> FlatLimits:
        """RunError for a bus that does not exist, a band or margin outside the physical."""
        feeder = net.feeder
        limits.check(feeder)
        names = np.array([str(n) for n in feeder.column("nodes", "node_id")], dtype=object)
        branches = np.array([str(n) for n in feeder.column("branches", "branch_id")], dtype=object)
        held = limits.judges(names)
        phases = isinstance(net, physics.Network3)
        if isinstance(net, physics.Network3):
            held[[source.node for source in net.sources]] = False
            rating = net.phase_rating_mva.reshape(2, -1)
        else:
            held[net.source_node] = False
            rating = np.stack([net.rating_mva, net.rating_mva])
        if phases:
            held = np.repeat(held, 3)
            names, branches = _with_phases(names), _with_phases(branches)
        band, margin = limits.v_band, limits.thermal_margin
        if margin is not None and not 0.0 <= margin < 1.0:
            raise RunError(f"thermal_margin must be at least 0 and below 1, got {margin!r}")
        low, high = (-np.inf, np.inf) if band is None else band
        rated = np.isfinite(rating) & (margin is not None)
        most = np.where(rated, np.where(rated, rating, 0.0) * (1.0 - (margin or 0.0)), np.inf)
        return cls(
            np.where(held, low, -np.inf), np.where(held, high, np.inf), most, limits.most_import_mw,
            limits.most_export_mw, names, branches,
        )  # fmt: skip

    def excess(self, v2: FloatArray, flow: FloatArray, head: float) -> dict[str, FloatArray]:
        """By kind, how far each element is beyond its limit (below 0: inside), in the unit of the limit."""
        v = np.sqrt(np.maximum(np.nan_to_num(v2, nan=1.0), 0.0))
        none = ~np.isfinite(v2)
        size = np.hypot(flow[:, 0], flow[:, 1])
        return {
            "v_max": np.where(none, -np.inf, v - self.v_most),
            "v_min": np.where(none, -np.inf, self.v_least - v),
            "thermal_from": size[0] - self.rating[0], "thermal_to": size[1] - self.rating[1],
            "import": np.array([head - self.most_import]), "export": np.array([-head - self.most_export]),
        }  # fmt: skip

    def worst(self, v2: FloatArray, flow: FloatArray, head: float) -> float:
        """The largest excess, at least 0."""
        return max(float(part.max(initial=0.0)) for part in self.excess(v2, flow, head).values())

    def element(self, kind: str, k: int) -> str:
        """Name of the element."""
        if kind in ("import", "export"):
            return "head"
        return str((self.nodes if kind.startswith("v_") else self.branches)[k])

    def limit(self, kind: str, k: int) -> float:
        """Its limit."""
        if kind in ("import", "export"):
            return float(self.most_import if kind == "import" else self.most_export)
        return float({
            "v_max": self.v_most, "v_min": self.v_least, "thermal_from": self.rating[0],
            "thermal_to": self.rating[1],
        }[kind][k])  # fmt: skip


def _with_phases(names: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.array([f"{name}.{phase}" for name in names for phase in "abc"], dtype=object)
