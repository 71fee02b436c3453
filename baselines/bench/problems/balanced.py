"""A feeder as the plain arrays that any power flow program takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....cases import Feeder

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class BalancedProblem:
    """A radial feeder of series impedances and constant-power loads, one source, per unit on ``base_mva``.

    Programs that want ohm and volt get them on one base voltage, ``KV``: per unit nothing changes by that.
    """

    KV = 10.0

    net: physics.Network
    base_mva: float
    from_row: IntArray  # (m,) closed branches only
    to_row: IntArray
    r_pu: FloatArray
    x_pu: FloatArray
    p_mw: FloatArray  # (n,)
    q_mvar: FloatArray
    source: int
    v_source_pu: float

    @property
    def n_bus(self) -> int:
        """Number of nodes."""
        return int(self.p_mw.size)

    @property
    def ohm_per_pu(self) -> float:
        """Base impedance at ``KV``."""
        return self.KV**2 / self.base_mva


def problem(feeder: Feeder) -> BalancedProblem:
    """The arrays of ``feeder``. ValueError where it has what not every peer models the same way."""
    net = physics.compile(feeder, allow_mesh_pruning=False)
    on = net.closed
    odd = {
        "ratios or phase shifts": bool((net.tap[on] != 1.0).any() or net.shift_deg[on].any()),
        "line charging": bool(net.b_pu[on].any()),
        "shunts or capacitors": bool(net.shunt_g_mw.any() or net.shunt_b_mvar.any() or net.cap_on.any()),
        "voltage-dependent loads": bool(net.zip_node.size),
        "nodes without a source": not bool(net.energised.all()),
        "several sources, or a source angle": net.source_node.size != 1 or bool(net.source_deg.any()),
    }
    found = [name for name, is_there in odd.items() if is_there]
    if found:
        raise ValueError(
            f"feeder {feeder.name!r} has {found[0]}: the benchmark compares programs on series impedances "
            "and constant-power loads only; choose another feeder"
        )
    return BalancedProblem(
        net=net, base_mva=net.base_mva, from_row=net.from_row[on], to_row=net.to_row[on],
        r_pu=net.r_pu[on], x_pu=net.x_pu[on], p_mw=net.load_p_mw, q_mvar=net.load_q_mvar,
        source=int(net.source_node[0]), v_source_pu=float(net.source_v_pu[0]),
    )  # fmt: skip
