"""OpenDSS scripts written for these tests, the independent nodal solver of tools/, and OpenDSS itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]

# A feeder with one of everything that the importer converts; every figure is made up.
EVERYTHING = """
clear
set defaultbasefrequency=60   ! comment
new circuit.all basekv=69 pu=1.02 angle=10 mvasc3=900 mvasc1=700   // another
/* a block
   comment */
new transformer.sub phases=3 windings=2 xhl=(7 1.1 *) %noloadloss=0.2 %imag=0.6
~ wdg=1 bus=sourcebus conn=delta kv=69 kva=9000 %r=.4
~ wdg=2 bus=head conn=wye kv=12.47 kva=9000 %r=.5 tap=1.0125
new linecode.three nphases=3 units=mi normamps=400
~ rmatrix=(0.35 | 0.15 0.34 | 0.16 0.155 0.345) xmatrix=[1.02|.5 1.05|.42 .38 1.03]
~ cmatrix={15 | -5 16 | -3 -2.5 14}
new linecode.two nphases=2 rmatrix="1.3 | .2 1.33" xmatrix='1.35|.45 1.34' units=mi
new linecode.one nphases=1 r1=.7 x1=.9 r0=1 x0=2 c1=12 c0=8 units=km
new linecode.four nphases=4 units=kft rmatrix=(.1|.02 .1|.02 .02 .1|.02 .02 .02 .3)
~ xmatrix=(.2|.05 .2|.05 .05 .2|.05 .05 .05 .4) cmatrix=(3|-.5 3|-.5 -.5 3|-.2 -.2 -.2 2)
~ kron=y
new transformer.va phases=1 bank=vreg buses=[head.1 mid.1] kvs=[7.2 7.2] kvas=[4000 4000]
~ xhl=.05 %loadloss=.02
new transformer.vb like=va buses=[head.2 mid.2]
new transformer.vc like=va buses=[head.3 mid.3]
new regcontrol.va transformer=va winding=2 vreg=124 band=2 ptratio=60 ctprim=300 r=2 x=4 delay=30 tapnum=5
new regcontrol.vb like=va transformer=vb tapnum=-3
new regcontrol.vc like=va transformer=vc tapnum=8 reversible=y revvreg=121
new line.a bus1=mid bus2=n1 linecode=three length=2500 units=ft
new line.b bus1=n1.3.1 bus2=n2.3.1 phases=2 linecode=two length=.4 units=km
new line.c bus1=n2.1 bus2=n3.1 phases=1 linecode=one length=300 units=m
new line.d bus1=n1 bus2=n4 linecode=four length=2 units=kft
new line.e bus1=n4 bus2=n5 switch=yes
new line.f bus1=n5 bus2=n6 r1=.02 x1=.05 r0=.06 x0=.1 c1=0 c0=0 length=3
new line.tie bus1=n3.1 bus2=n6.1 phases=1 switch=y
open line.tie 2
new reactor.limit bus1=n5 bus2=n7 r=.1 x=.4
new line.p1 bus1=n7.1 bus2=n8.1 phases=1 linecode=one length=1 units=kft
new line.p2 bus1=n8.3 bus2=n7.3 phases=1 linecode=one length=1.2 units=kft
new transformer.dd phases=3 xhl=3 buses=[n4 low] conns=[delta delta] kvs=[12.47 .48] kvas=[750 750]
~ %rs=[.5 .6]
new transformer.yd phases=3 xhl=4 buses=[n5 float] conns=[wye delta] kvs=[12.47 .48] kvas=[500 500]
new transformer.eu phases=3 xhl=4 buses=[n6 euro] conns=[delta wye] kvs=[12.47 .4] kvas=[500 500] leadlag=lead
new xfmrcode.ct phases=1 windings=3 kvs=[7.2 .12 .12] kvas=[50 50 50] %rs=[.6 1.2 1.2] %imag=.5 %noloadloss=.2
~ xhl=2.1 xht=2.2 xlt=1.4
new transformer.house xfmrcode=ct buses=[n2.3 home.1.0 home.0.2]
new linecode.triplex nphases=2 units=kft rmatrix=[.05|.02 .05] xmatrix=[.03|.007 .03] cmatrix=[3|-2.4 3]
new line.drop bus1=home.1.2 bus2=yard.1.2 phases=2 linecode=triplex length=90 units=ft
new transformer.o1 phases=1 buses=[n4.1 open.1.2] conns=[wye delta] kvs=[7.2 .208] kvas=[100 100] xhl=2.5
new transformer.o2 phases=1 buses=[n4.2 open.2.3] conns=[wye delta] kvs=[7.2 .208] kvas=[100 100] xhl=2.5
new load.pq bus1=n1.2 phases=1 kv=7.2 kw=180 kvar=90
new load.z bus1=n3.1 phases=1 kv=7 kw=90 kvar=-40 model=2
new load.i bus1=n4 kv=12.47 kw=300 pf=.9 model=5
new load.cvr bus1=n2.1 phases=1 kv=7.2 kw=50 pf=-.95 model=4 cvrwatts=.8 cvrvars=3
new load.motor bus1=n5 kv=12 kw=120 kvar=60 model=3
new load.zip bus1=n6.3 phases=1 kv=7.1 kva=70 pf=.92 model=8 zipv=[.2 .3 .5 .5 .3 .2 0]
new load.delta bus1=n4 conn=delta kv=12.47 kw=210 kvar=80
new load.leg bus1=n1.3.1 phases=1 conn=delta kv=12 kw=66 kvar=33 model=5
new load.two bus1=n2.1.3 phases=2 kv=12.47 kw=40 kvar=10
new load.ghost bus1=n1.1 phases=1 conn=delta kv=12.47 kw=45 kvar=15 model=2
new load.low bus1=low conn=delta kv=.48 kw=90 kvar=30
new load.fl bus1=float.1.2 phases=1 kv=.48 kw=30 kvar=5
new load.eu bus1=euro.2 phases=1 kv=.23 kw=20 kvar=4
new load.h1 bus1=yard.1 phases=1 kv=.12 kw=3 kvar=1
new load.h12 bus1=yard.1.2 phases=2 kv=.208 kw=5 pf=.97
new load.h240 bus1=yard.1.2 phases=1 conn=delta kv=.24 kw=6 kvar=2 model=2
new load.od bus1=open.1.3 phases=1 conn=delta kv=.208 kw=20 kvar=5
new load.p8 bus1=n8.3 phases=1 kv=7.2 kw=25 kvar=8
new capacitor.c1 bus1=n4 phases=3 kvar=300 kv=12.4
new capacitor.c2 bus1=n1.3 phases=1 kvar=100 kv=7.2
new capacitor.c3 bus1=n5 conn=delta kvar=150 kv=12.47 states=[0]
new capcontrol.cc capacitor=c1 element=line.d terminal=1 type=kvar ptratio=1 ctratio=1 onsetting=150
~ offsetting=-100 voltoverride=y vmin=7000 vmax=7600 delay=20 delayoff=25
load.pq.vminpu=.85 vmaxpu=1.2
new energymeter.m element=line.a terminal=1
set voltagebases="69, 12.47, .48 .4 .208"
calcvoltagebases
solve
"""


def tool(name: str) -> ModuleType:
    """A script of tools/ as a module."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class OpenDss:
    """The engine with one circuit, its controls off."""

    def __init__(self, script: str, *more: str, band: bool = False) -> None:
        from dss import dss

        self.dss: Any = dss
        self.command("clear")
        self.command("set defaultbasefrequency=60")
        inside = False
        for line in script.splitlines():
            inside |= line.strip().startswith("/*")
            if line.strip() and not inside and line != "solve":  # before its controls are off
                self.command(line)
            inside &= "*/" not in line
        if not band:
            self.command("batchedit load..* vminpu=0.01 vmaxpu=9")
        for line in more:
            self.command(line)
        for line in (
            "set controlmode=off",
            "set tolerance=1e-9",
            "set maxiterations=500",
            "solve mode=snap",
        ):
            self.command(line)
        assert dss.ActiveCircuit.Solution.Converged

    def command(self, text: str) -> None:
        """Run one line."""
        self.dss.Text.Command = text

    def element(self, name: str) -> Any:
        """A circuit element, made active."""
        assert self.dss.ActiveCircuit.SetActiveElement(name) >= 0, name
        return self.dss.ActiveCircuit.ActiveCktElement

    def yprim(self, name: str) -> np.ndarray:
        """Primitive admittances of an element, by its conductors."""
        flat = np.asarray(self.element(name).Yprim)
        flat = (flat if np.iscomplexobj(flat) else flat.view(complex)).ravel()
        order = round(len(flat) ** 0.5)
        return flat.reshape(order, order).T

    def nodes(self, name: str) -> list[tuple[str, int]]:
        """(bus, node) of each conductor of an element."""
        element = self.element(name)
        buses = [str(bus).lower().split(".")[0] for bus in element.BusNames]
        order = [int(node) for node in element.NodeOrder]
        size = len(order) // len(buses)
        return [(buses[k // size], node) for k, node in enumerate(order)]

    def volts(self) -> dict[tuple[str, int], complex]:
        """Voltages to ground by (bus, node)."""
        circuit = self.dss.ActiveCircuit
        flat = np.asarray(circuit.AllBusVolts)
        flat = (flat if np.iscomplexobj(flat) else flat.view(complex)).ravel()
        names = [str(name).lower().rpartition(".") for name in circuit.AllNodeNames]
        return {(bus, int(node)): v for (bus, _, node), v in zip(names, flat.tolist(), strict=True)}


def embedded(engine: OpenDss, names: list[str], ends: tuple[str, str]) -> np.ndarray:
    """(6, 6) admittances of elements between the phases of two buses, grounded conductors dropped."""
    total = np.zeros((6, 6), dtype=complex)
    for name in names:
        y, nodes = engine.yprim(name), engine.nodes(name)
        at = [3 * ends.index(bus) + node - 1 if node else -1 for bus, node in nodes]
        for i, row in enumerate(at):
            for j, column in enumerate(at):
                if row >= 0 and column >= 0:
                    total[row, column] += y[i, j]
    return total
