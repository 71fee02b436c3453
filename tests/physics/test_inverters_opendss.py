"""Inverters at rest against OpenDSS's InvControl, on three phases and on one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases
from distgrid.cases import Feeder, profiles
from distgrid.envs import PV, DistGrid3PhaseEnv, LossMinimisation, SeriesLoad
from distgrid.envs.core.columns import load_points

pytest.importorskip("dss", reason="the extra `oracle` brings OpenDSS")

from . import dss_oracle

Floats = NDArray[np.float64]
FEEDER = cases.load("ieee13")
SUN = profiles.load_profiles().pv[:96, 0]
NOON = int(SUN.argmax())


def dss_at_rest(feeder: Feeder, plants: list[tuple[str, str, float, float]]) -> Floats:
    """(n, 3) kW, kvar and mean voltage of PVSystems (bus, phases, kW, kVA) with category B's volt-var.

    The voltage base of a PVSystem is its own kv, which therefore is the bus's to all digits; its curve is in
    units of kvarmax.
    """
    from dss import dss

    kv = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True))
    lines = dss_oracle.script(feeder)
    lines.append("new xycurve.vv npts=6 xarray=[0.5 0.92 0.98 1.02 1.08 1.5] yarray=[1 1 0 0 -1 -1]")
    for k, (bus, phases, kw, kva) in enumerate(plants):
        base = kv[bus] if len(phases) == 3 else kv[bus] / np.sqrt(3.0)
        terminals = ".".join(str("ABC".index(x) + 1) for x in phases)
        lines.append(
            f"new pvsystem.p{k} phases={len(phases)} bus1=b_{bus}.{terminals} "
            f"kv={base:.17g} kva={kva:.17g} pmpp={kw:.17g} irradiance=1 pf=1 %cutin=0 %cutout=0 "
            f"kvarmax={0.44 * kva:.17g} kvarmaxabs={0.44 * kva:.17g} wattpriority=no vminpu=0.5 vmaxpu=1.5"
        )
    lines.append(
        "new invcontrol.c mode=voltvar voltage_curvex_ref=rated vvc_curve1=vv refreactivepower=varmax "
        "deltaq_factor=0.2 varchangetolerance=1e-6 voltagechangetolerance=1e-7"
    )
    lines += ["set controlmode=static", "set maxcontroliter=1000", "solve"]
    for line in lines:
        dss.Text.Command = line
    assert dss.ActiveCircuit.Solution.Converged
    found = []
    for k, (bus, phases, _, _) in enumerate(plants):
        dss.ActiveCircuit.SetActiveElement(f"pvsystem.p{k}")
        element = dss.ActiveCircuit.ActiveCktElement
        power = -np.array(element.Powers).reshape(-1, 2).sum(axis=0)
        volts = np.abs(np.array(element.Voltages).view(np.complex128))[: len(phases)]
        found.append((*power, volts.mean() / (kv[bus] * 1e3 / np.sqrt(3.0))))
    return np.array(found)


def at_rest(plants: list[tuple[str, str, float, float]]) -> Floats:
    """The same of ours: at the sunniest interval of the first day, whose sun the ratings undo."""
    points = load_points(FEEDER)
    p, q = np.zeros(len(points.names)), np.zeros(len(points.names))
    np.add.at(p, points.point, points.share * FEEDER.column("loads", "p_mw")[points.row])
    np.add.at(q, points.point, points.share * FEEDER.column("loads", "q_mvar")[points.row])
    load = SeriesLoad(FEEDER, np.tile(p, (96, 1)), np.tile(q, (96, 1)))
    fleet = [
        PV(bus, kw / 1e3 / SUN[NOON], s_mva=kva / 1e3, phase=phases, site=0, functions="volt-var-b")
        for bus, phases, kw, kva in plants
    ]
    env = DistGrid3PhaseEnv(FEEDER, fleet, LossMinimisation(), load=load)
    env.reset(seed=0, options={"day": 0})
    for _ in range(NOON + 1):
        *_, info = env.step(np.zeros(0))
    assert not info["delivered"]["unsettled"].any()
    v = env.grid.stepper.port_v_pu[0, env.fleet.columns]
    power = 1e3 * np.stack([info["delivered"]["p_mw"], info["delivered"]["q_mvar"]])
    return np.column_stack([*power, v])


@pytest.mark.parametrize(
    "plants",
    [
        [("675", "ABC", 3900.0, 4000.0)],
        [("675", "ABC", 4000.0, 4000.0)],
        [("675", "ABC", 1500.0, 1500.0), ("671", "A", 400.0, 400.0), ("646", "B", 500.0, 500.0)],
        [("675", "A", 900.0, 900.0), ("675", "B", 900.0, 900.0), ("611", "C", 300.0, 330.0)],
    ],
    ids=["inside", "circle", "mixed", "by phase"],
)
def test_inverters_rest_where_opendss_has_them(plants: list[tuple[str, str, float, float]]) -> None:
    """P, Q and V of InvControl's end state: on three phases and on one, inside the circle and on it."""
    ours, ref = at_rest(plants), dss_at_rest(FEEDER, plants)
    np.testing.assert_allclose(ours[:, 2], ref[:, 2], atol=1e-6)
    rated = np.array([kva for *_, kva in plants])
    np.testing.assert_allclose(ours[:, :2] / rated[:, None], ref[:, :2] / rated[:, None], atol=2e-6)
    np.testing.assert_allclose(  # and both are on the curve
        ours[:, 1] / rated,
        -np.interp(ours[:, 2], [0.92, 0.98, 1.02, 1.08], [-0.44, 0.0, 0.0, 0.44]),
        atol=1e-6,
    )
    assert (ours[:, 1] < -1.0).any()
