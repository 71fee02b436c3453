"""Meshed transmission cases: what is called converged is the operable solution, generators hold."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases, physics
from distgrid.cases.importers.matpower.importer import feeder_from_text

COLUMNS = {"bus": 13, "gen": 10, "branch": 11}


def with_answer(name: str, flat: bool = False) -> tuple[cases.Feeder, NDArray[np.complex128]]:
    """One of pandapower's networks as a case file, and pandapower's own voltages for it.

    ``flat``: buses of type 2 become type 1, so that generators inject what the file says.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp
        import pandapower.networks
        from pandapower.converter.pypower.to_ppc import to_ppc

        net = getattr(pandapower.networks, name)()
        pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9, trafo_model="pi", numba=False)
        bus = net._ppc["bus"].copy()
        ppc = to_ppc(net, calculate_voltage_angles=True, trafo_model="pi", init="flat")
    if flat:
        ppc["bus"][ppc["bus"][:, 1] == 2, 1] = 1
    return feeder_from_text(_text(ppc), f"{name}.m", name), bus[:, 7] * np.exp(1j * np.deg2rad(bus[:, 8]))


def _text(ppc: dict[str, Any]) -> str:
    lines = ["function mpc = case", "mpc.version = '2';", f"mpc.baseMVA = {float(ppc['baseMVA'])!r};"]
    for name, columns in COLUMNS.items():
        rows = np.asarray(ppc[name]).real[:, :columns].copy()
        rows[:, : 2 if name == "branch" else 1] += 1  # buses from 1
        lines.append(f"mpc.{name} = [")
        lines += [" ".join(repr(float(x)).replace("inf", "Inf") for x in row) + ";" for row in rows]
        lines.append("];")
    return "\n".join(lines)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["case4gs", "case9", "case14", "case30", "case39", "case57", "case118"])
def test_meshed_cases_equal_pandapower(name: str) -> None:
    """Capability 19, 20: every bus, with all loops and generators, by the sweep's solver and by Newton."""
    feeder, theirs = with_answer(name)
    net = physics.compile(feeder, keep_loops=True)
    for method in ("backward-forward", "newton"):
        sol = physics.solve(net, method=method)
        assert sol.converged
        turned = theirs * (sol.v[net.source_node[0]] / theirs[net.source_node[0]])
        assert np.abs(sol.v - turned).max() < 1e-8
        assert np.abs(sol.v_pu[net.held_node] - net.held_v_pu).max() < 1e-9


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["case9", "case39", "case57", "case118"])
def test_only_the_operable_branch_is_called_converged(name: str) -> None:
    """Trap 33: generators that hold nothing leave solutions that no operator reaches, 0.57 to 2.30 pu."""
    feeder, _ = with_answer(name, flat=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", physics.ModelWarning)
        net = physics.compile(feeder, keep_loops=True)
    for method in ("backward-forward", "newton"):
        sol = physics.solve(net, method=method)
        if sol.converged:
            assert (sol.v_pu > 0.7).all()
            assert (sol.v_pu < 1.2).all()
            share = physics.solve(net, 0.999 * net.load_p_mw, 0.999 * net.load_q_mvar)
            assert np.abs(share.v - sol.v).max() < 0.01  # the neighbour of a branch that leads to no load
    assert bool(sol.converged) == (name == "case9")
