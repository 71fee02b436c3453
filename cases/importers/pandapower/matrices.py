"""The branch matrices that pandapower compiles of a net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..quiet import quiet


def branch_matrices(
    net: Any, mode: str, *, check_connectivity: bool, sequences: Sequence[int | None] = (None,)
) -> tuple[list[np.ndarray], dict[str, int]]:
    """The branch matrix of each sequence (None: of a balanced net), and the first row of each table in them.

    Args:
        net: the net, which gets columns and options of pandapower's.
        mode: "pf" or "pf_3ph", what pandapower is asked to solve.
        check_connectivity: whether parts without a source are left out.
        sequences: 0 zero, 1 positive; they are compiled in this order.
    """
    with quiet():
        from pandapower.auxiliary import _add_ppc_options
        from pandapower.pd2ppc import _pd2ppc

        net["_options"] = {}
        _add_ppc_options(
            net, calculate_voltage_angles=True, trafo_model="t", check_connectivity=check_connectivity,
            mode=mode, switch_rx_ratio=2.0, init_vm_pu="flat", init_va_degree="flat", enforce_q_lims=False,
            enforce_p_lims=False, recycle=None, voltage_depend_loads=False,
        )  # fmt: skip
        found = [_pd2ppc(net, sequence)[0]["branch"] for sequence in sequences]
    return found, {table: first for table, (first, _) in net._pd2ppc_lookups["branch"].items()}
