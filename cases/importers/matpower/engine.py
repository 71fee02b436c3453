"""A MATPOWER file solved by pandapower, from the numbers of the file.

Nothing of this package's tables is used: buses, generators and branches go through pandapower's own converter
(`from_ppc`) and Newton method, per-phase files per phase. Branches without impedance become closed switches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..quiet import failures, no_solution, quiet
from ..reading import EngineFailedError, EngineVoltages
from . import tables as col
from .evaluator import CaseData

UNRATED = 250.0  # MATPOWER's columns rateB and rateC, which pandapower wants


def solve_case(case: CaseData, node_ids: list[str]) -> EngineVoltages:
    """Voltages of these buses by pandapower.

    Raises:
        EngineFailedError: no solution, or a case that pandapower's converter refuses.
    """
    with quiet():
        import pandapower as pp

        try:
            v = _solved(pp, case)
        except failures() as error:
            raise EngineFailedError(no_solution(error)) from error
        v_pu = np.array([v.get(name, np.nan + 0j) for name in node_ids])
    return EngineVoltages(f"pandapower {pp.__version__}", v_pu, np.ones(len(node_ids), dtype=bool))


def _solved(pp: Any, case: CaseData) -> dict[str, complex]:
    from pandapower.converter.pypower.from_ppc import from_ppc

    bus, gen, branch = (np.array(case.fields[name], dtype=float) for name in ("bus", "gen", "branch"))
    bus, gen, branch = bus[:, :13], gen[:, :10], branch[:, :13]
    branch = np.hstack([branch, np.zeros((len(branch), max(0, 13 - branch.shape[1])))])
    bus[bus[:, col.KV] == 0, col.KV] = 1.0
    gen = np.hstack([gen, np.zeros((len(gen), max(0, 10 - gen.shape[1])))])
    solid = (branch[:, col.R] == 0) & (branch[:, col.X] == 0)
    joined = branch[solid]
    branch = branch[~solid]
    branch[branch[:, col.RATE] == 0, col.RATE] = UNRATED
    ppc = {"version": "2", "baseMVA": float(case.fields["baseMVA"]), "bus": bus, "gen": gen, "branch": branch}
    net = from_ppc(ppc, f_hz=50)
    place = dict(zip(bus[:, col.BUS_I].astype(int).tolist(), net.bus.index.tolist(), strict=True))
    for row in joined:
        start, end = (place[int(row[c])] for c in (col.FROM, col.TO))
        pp.create_switch(net, start, end, et="b", closed=bool(row[col.STATUS] == 1))
    options = {"calculate_voltage_angles": True, "trafo_model": "pi", "numba": False, "max_iteration": 50}
    attempts = [(1e-11, "dc"), (1e-11, "flat"), (1e-9, "dc"), (1e-9, "flat")]
    for attempt, (tolerance, init) in enumerate(attempts):
        try:
            pp.runpp(net, init=init, tolerance_mva=tolerance, **options)
            break
        except pp.LoadflowNotConverged:
            if attempt == len(attempts) - 1:
                raise
    found = net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))
    return {str(number): complex(found.at[at]) for number, at in place.items()}
