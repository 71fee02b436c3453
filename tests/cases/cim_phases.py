"""A small model of IEC 61968 with single phases, and the same grid as an OpenDSS script by hand."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

#: Class, mRID, and fields; a value that begins with "#" is a reference, one that begins with "Kind." an
#: enumeration.
Object = tuple[str, str, dict[str, str]]
CIM = "http://iec.ch/TC57/CIM100#"


def node(name: str) -> Object:
    return ("ConnectivityNode", f"node {name}", {"IdentifiedObject.name": name})


def ends(equipment: str, *nodes: str) -> list[Object]:
    return [
        ("Terminal", f"{equipment} T{k}", {
            "Terminal.ConductingEquipment": f"#{equipment}", "Terminal.ConnectivityNode": f"#node {name}",
            "ACDCTerminal.sequenceNumber": str(k),
        })
        for k, name in enumerate(nodes, 1)
    ]  # fmt: skip


def line(mrid: str, start: str, end: str, length_m: float, impedance: str, phases: str) -> list[Object]:
    fields = {"Conductor.length": str(length_m), "ACLineSegment.PerLengthImpedance": f"#{impedance}"}
    conductors: list[Object] = [
        ("ACLineSegmentPhase", f"{mrid} {phase}", {
            "ACLineSegmentPhase.ACLineSegment": f"#{mrid}", "ACLineSegmentPhase.phase": f"Kind.{phase}",
            "ACLineSegmentPhase.sequenceNumber": str(k),
        })
        for k, phase in enumerate(phases.split(), 1)
    ]  # fmt: skip
    return [("ACLineSegment", mrid, fields), *conductors, *ends(mrid, start, end)]


def matrix(mrid: str, size: int, entries: list[tuple[int, int, float, float, float]]) -> list[Object]:
    return [("PerLengthPhaseImpedance", mrid, {"PerLengthPhaseImpedance.conductorCount": str(size)})] + [
        ("PhaseImpedanceData", f"{mrid} {i}{j}", {
            "PhaseImpedanceData.PhaseImpedance": f"#{mrid}", "PhaseImpedanceData.row": str(i),
            "PhaseImpedanceData.column": str(j), "PhaseImpedanceData.r": str(r),
            "PhaseImpedanceData.x": str(x), "PhaseImpedanceData.b": str(b),
        })
        for i, j, r, x, b in entries
    ]  # fmt: skip


def load(
    mrid: str, at: str, base: str, kind: str, powers: dict[str, tuple[float, float]], response: str = ""
) -> list[Object]:
    """A load; `powers` by phase in W and var, "" for three phases that take the same."""
    p, q = (sum(each[k] for each in powers.values()) for k in (0, 1))
    fields = {
        "ConductingEquipment.BaseVoltage": f"#{base}", "EnergyConsumer.p": str(p), "EnergyConsumer.q": str(q),
        "EnergyConsumer.phaseConnection": f"Kind.{kind}",
        "EnergyConsumer.grounded": "False" if kind == "D" else "True",
    } | ({"EnergyConsumer.LoadResponse": f"#{response}"} if response else {})  # fmt: skip
    parts: list[Object] = [
        ("EnergyConsumerPhase", f"{mrid} {phase}", {
            "EnergyConsumerPhase.EnergyConsumer": f"#{mrid}", "EnergyConsumerPhase.phase": f"Kind.{phase}",
            "EnergyConsumerPhase.p": str(each[0]), "EnergyConsumerPhase.q": str(each[1]),
        })
        for phase, each in powers.items() if phase
    ]  # fmt: skip
    return [("EnergyConsumer", mrid, fields), *parts, *ends(mrid, at)]


def tank(mrid: str, transformer: str, info: str, windings: list[tuple[str, str]]) -> list[Object]:
    """A tank with windings by bus and ordered phases."""
    found: list[Object] = [
        ("TransformerTank", mrid, {
            "TransformerTank.PowerTransformer": f"#{transformer}",
            "TransformerTank.TransformerTankInfo": f"#{info}",
        })
    ]  # fmt: skip
    for k, (at, phases) in enumerate(windings, 1):
        found += ends(f"{mrid} E{k}", at)
        found.append(
            ("TransformerTankEnd", f"{mrid} E{k}", {
                "TransformerTankEnd.TransformerTank": f"#{mrid}", "TransformerEnd.grounded": "True",
                "TransformerTankEnd.orderedPhases": f"Kind.{phases}", "TransformerEnd.endNumber": str(k),
                "TransformerEnd.Terminal": f"#{mrid} E{k} T1",
            })
        )  # fmt: skip
    return found


def tank_info(
    mrid: str, windings: list[tuple[float, float, float]], tests: list[tuple[int, int, float]],
    no_load: tuple[float, float] = (0.0, 0.0),
) -> list[Object]:  # fmt: skip
    """A type of tank: V, VA and ohm of each winding, ohm between two, exciting current in %, loss in kW."""
    found: list[Object] = [("TransformerTankInfo", mrid, {})]
    for k, (volts, size, r) in enumerate(windings, 1):
        found.append(
            ("TransformerEndInfo", f"{mrid} {k}", {
                "TransformerEndInfo.TransformerTankInfo": f"#{mrid}", "TransformerEndInfo.endNumber": str(k),
                "TransformerEndInfo.connectionKind": "Kind.I", "TransformerEndInfo.ratedU": str(volts),
                "TransformerEndInfo.ratedS": str(size), "TransformerEndInfo.r": str(r),
            })
        )  # fmt: skip
    for i, j, z in tests:
        found.append(
            ("ShortCircuitTest", f"{mrid} {i}{j}", {
                "ShortCircuitTest.EnergisedEnd": f"#{mrid} {i}",
                "ShortCircuitTest.GroundedEnds": f"#{mrid} {j}",
                "ShortCircuitTest.leakageImpedance": str(z),
            })
        )  # fmt: skip
    found.append(
        ("NoLoadTest", f"{mrid} core", {
            "NoLoadTest.EnergisedEnd": f"#{mrid} 1", "NoLoadTest.excitingCurrent": str(no_load[0]),
            "NoLoadTest.loss": str(no_load[1]),
        })
    )  # fmt: skip
    return found


def taps(mrid: str, end: str, step: int, control: dict[str, str] | None = None) -> list[Object]:
    fields = {
        "RatioTapChanger.TransformerEnd": f"#{end}", "RatioTapChanger.stepVoltageIncrement": "0.625",
        "TapChanger.step": str(step), "TapChanger.ptRatio": "20.0", "TapChanger.ctRating": "700.0",
    }  # fmt: skip
    if control is None:
        return [("RatioTapChanger", mrid, fields)]
    return [
        ("RatioTapChanger", mrid, fields | {"TapChanger.TapChangerControl": f"#{mrid} control"}),
        ("TapChangerControl", f"{mrid} control", control),
    ]


def model() -> list[Object]:
    """All objects."""
    three = [
        (1, 1, 2.2e-4, 6.4e-4, 3.9e-9), (2, 1, 1.0e-4, 2.4e-4, -1.1e-9), (2, 2, 2.1e-4, 6.5e-4, 3.8e-9),
        (3, 1, 9.9e-5, 2.6e-4, -6.0e-10), (3, 2, 9.7e-5, 3.1e-4, -7.0e-10), (3, 3, 2.15e-4, 6.45e-4, 3.7e-9),
    ]  # fmt: skip
    two = [(1, 1, 8.2e-4, 8.4e-4, 2.9e-9), (1, 2, 1.3e-4, 2.9e-4, -5.0e-10), (2, 2, 8.3e-4, 8.35e-4, 2.8e-9)]
    share = "LoadResponseCharacteristic."
    return [
        *map(node, ("source", "head", "out", "mid", "far", "lateral", "spur", "house", "village")),
        ("BaseVoltage", "base high", {"BaseVoltage.nominalVoltage": "115000.0"}),
        ("BaseVoltage", "base", {"BaseVoltage.nominalVoltage": "4160.0"}),
        ("BaseVoltage", "base low", {"BaseVoltage.nominalVoltage": "208.0"}),
        ("BaseVoltage", "base village", {"BaseVoltage.nominalVoltage": "480.0"}),
        ("EnergySource", "grid", {
            "EnergySource.nominalVoltage": "115000.0", "EnergySource.voltageMagnitude": "116150.0",
            "EnergySource.voltageAngle": "0.5235987755982988", "EnergySource.r": "0.2",
            "EnergySource.x": "0.7", "EnergySource.r0": "0.25", "EnergySource.x0": "0.6",
        }),
        *ends("grid", "source"),
        # a substation in delta and wye, whose star point is grounded through a reactance
        ("PowerTransformer", "sub", {}), *ends("sub", "source", "head"),
        ("PowerTransformerEnd", "sub E1", {
            "PowerTransformerEnd.PowerTransformer": "#sub", "TransformerEnd.Terminal": "#sub T1",
            "TransformerEnd.endNumber": "1", "PowerTransformerEnd.connectionKind": "Kind.D",
            "PowerTransformerEnd.ratedU": "115000.0", "PowerTransformerEnd.ratedS": "5000000.0",
            "PowerTransformerEnd.r": "13.225",
        }),
        ("PowerTransformerEnd", "sub E2", {
            "PowerTransformerEnd.PowerTransformer": "#sub", "TransformerEnd.Terminal": "#sub T2",
            "TransformerEnd.endNumber": "2", "PowerTransformerEnd.connectionKind": "Kind.Yn",
            "PowerTransformerEnd.ratedU": "4160.0", "PowerTransformerEnd.ratedS": "5000000.0",
            "PowerTransformerEnd.r": "0.0173056", "PowerTransformerEnd.phaseAngleClock": "1",
            "TransformerEnd.grounded": "true", "TransformerEnd.xground": "0.4",
        }),
        ("TransformerMeshImpedance", "sub Z", {
            "TransformerMeshImpedance.FromTransformerEnd": "#sub E1",
            "TransformerMeshImpedance.ToTransformerEnd": "#sub E2", "TransformerMeshImpedance.r": "26.45",
            "TransformerMeshImpedance.x": "211.6",
        }),
        # a bank of three regulators
        ("PowerTransformer", "reg", {}),
        *tank_info("reg type", [(2400.0, 1.666e6, 1.7286915e-4)] * 2, [(1, 2, 4.8894779e-4)]),
        *(part for phase in "ABC" for part in
          tank(f"reg {phase}", "reg", "reg type", [("head", f"{phase}N"), ("out", f"{phase}N")])),
        *taps("tap A", "reg A E2", 9), *taps("tap B", "reg B E2", 7),
        *taps("tap C", "reg C E2", 11, {
            "RegulatingControl.targetValue": "122.0", "RegulatingControl.targetDeadband": "2.0",
            "RegulatingControl.Terminal": "#reg C E2 T1", "TapChangerControl.lineDropCompensation": "true",
            "TapChangerControl.lineDropR": "3.0", "TapChangerControl.lineDropX": "9.0",
        }),
        *matrix("three", 3, three), *matrix("two", 2, two),
        ("PerLengthSequenceImpedance", "sequences", {
            "PerLengthSequenceImpedance.r": "3.0e-4", "PerLengthSequenceImpedance.x": "4.0e-4",
            "PerLengthSequenceImpedance.bch": "4.0e-9", "PerLengthSequenceImpedance.r0": "7.0e-4",
            "PerLengthSequenceImpedance.x0": "1.3e-3", "PerLengthSequenceImpedance.b0ch": "2.0e-9",
        }),
        *line("trunk", "out", "mid", 610.0, "three", "A B C"),
        *line("branch", "mid", "far", 250.0, "sequences", "A B C"),
        *line("lateral", "mid", "lateral", 150.0, "two", "C B"),
        # a switch of one pole to a spur
        ("LoadBreakSwitch", "pole", {"Switch.open": "false"}), *ends("pole", "lateral", "spur"),
        ("SwitchPhase", "pole C", {
            "SwitchPhase.Switch": "#pole", "SwitchPhase.closed": "true",
            "SwitchPhase.phaseSide1": "Kind.C", "SwitchPhase.phaseSide2": "Kind.C",
        }),
        # a village behind a transformer of three phases, a house behind a centre tap
        ("PowerTransformer", "village", {}), *ends("village", "far", "village"),
        *(("PowerTransformerEnd", f"village E{k}", {
            "PowerTransformerEnd.PowerTransformer": "#village", "TransformerEnd.Terminal": f"#village T{k}",
            "TransformerEnd.endNumber": str(k), "PowerTransformerEnd.connectionKind": "Kind.Y",
            "PowerTransformerEnd.ratedU": volts, "PowerTransformerEnd.ratedS": "500000.0",
            "PowerTransformerEnd.r": r, "TransformerEnd.grounded": "True",
        }) for k, volts, r in ((1, "4160.0", "0.1903616"), (2, "480.0", "0.0025344"))),
        ("TransformerMeshImpedance", "village Z", {
            "TransformerMeshImpedance.FromTransformerEnd": "#village E1",
            "TransformerMeshImpedance.ToTransformerEnd": "#village E2",
            "TransformerMeshImpedance.r": "0.3807232", "TransformerMeshImpedance.x": "0.692224",
        }),
        ("PowerTransformer", "pot", {}),
        *tank_info("pot type", [(2400.0, 25e3, 1.3824), (120.0, 25e3, 6.912e-3), (120.0, 25e3, 6.912e-3)],
                   [(1, 2, 5.2), (1, 3, 5.2), (2, 3, 0.0158)], (0.5, 0.05)),
        *tank("pot 1", "pot", "pot type", [("far", "BN"), ("house", "s1N"), ("house", "Ns2")]),
        # loads
        ("LoadResponseCharacteristic", "currents", {
            f"{share}pConstantCurrent": "100.0", f"{share}qConstantCurrent": "60.0",
            f"{share}qConstantImpedance": "40.0",
        }),
        ("LoadResponseCharacteristic", "cvr", {
            f"{share}exponentModel": "true", f"{share}pVoltageExponent": "0.8",
            f"{share}qVoltageExponent": "2.0",
        }),
        *load("all", "mid", "base", "D", {"": (420e3, 210e3)}),
        *load("leg", "mid", "base", "D", {"C": (90e3, 40e3)}, "cvr"),
        *load("uneven", "far", "base", "Y",
              {"A": (85e3, 40e3), "B": (20e3, 5e3), "C": (60e3, 30e3)}, "currents"),
        *load("end", "spur", "base", "Y", {"C": (70e3, 20e3)}),
        *load("house", "house", "base low", "Y", {"s1": (5e3, 1e3), "s2": (3e3, 2e3)}),
        *load("village load", "village", "base village", "Y", {"": (150e3, 60e3)}),
        # banks
        ("LinearShuntCompensator", "bank", {
            "LinearShuntCompensator.bPerSection": "0.02", "ShuntCompensator.nomU": "4160.0",
            "ShuntCompensator.sections": "1.0", "ConductingEquipment.BaseVoltage": "#base",
        }), *ends("bank", "mid"),
        ("LinearShuntCompensator", "spur bank", {
            "LinearShuntCompensator.bPerSection": "0.01", "ShuntCompensator.nomU": "2400.0",
            "ShuntCompensator.sections": "1.0", "ConductingEquipment.BaseVoltage": "#base",
        }), *ends("spur bank", "spur"),
        ("LinearShuntCompensatorPhase", "spur bank C", {
            "ShuntCompensatorPhase.ShuntCompensator": "#spur bank", "ShuntCompensatorPhase.phase": "Kind.C",
            "LinearShuntCompensatorPhase.bPerSection": "0.01", "ShuntCompensatorPhase.sections": "1.0",
        }),
        # panels and a battery in the village, as their powers are given
        ("PowerElectronicsConnection", "sun", {
            "PowerElectronicsConnection.p": "40000.0", "PowerElectronicsConnection.q": "5000.0",
            "PowerElectronicsConnection.ratedS": "60000.0", "PowerElectronicsConnection.ratedU": "480.0",
        }), *ends("sun", "village"),
        ("PhotovoltaicUnit", "panels", {
            "PowerElectronicsUnit.PowerElectronicsConnection": "#sun", "PowerElectronicsUnit.maxP": "50000.0",
        }),
        ("PowerElectronicsConnection", "store", {
            "PowerElectronicsConnection.p": "-20000.0", "PowerElectronicsConnection.q": "0.0",
            "PowerElectronicsConnection.ratedS": "30000.0", "PowerElectronicsConnection.ratedU": "480.0",
        }), *ends("store", "village"),
        ("BatteryUnit", "cells", {
            "PowerElectronicsUnit.PowerElectronicsConnection": "#store", "BatteryUnit.ratedE": "80000.0",
            "BatteryUnit.storedE": "30000.0", "BatteryUnit.batteryState": "Kind.charging",
        }),
    ]  # fmt: skip


def written(path: Path, objects: list[Object]) -> Path:
    """The objects as one document whose objects all stand in rdf:about."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<rdf:RDF xmlns:cim="{CIM}" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
    ]
    for kind, mrid, fields in objects:
        lines.append(f'<cim:{kind} rdf:about="{escape(mrid)}">')
        for name, value in fields.items():
            if value.startswith("#"):
                lines.append(f'  <cim:{name} rdf:resource="{escape(value)}"/>')
            elif value.startswith("Kind."):
                lines.append(f'  <cim:{name} rdf:resource="{CIM}Some{value}"/>')
            else:
                lines.append(f"  <cim:{name}>{escape(value)}</cim:{name}>")
        lines.append(f"</cim:{kind}>")
    path.write_text("\n".join([*lines, "</rdf:RDF>\n"]), encoding="utf-8")
    return path


#: The same grid, written by hand.
SCRIPT = """
clear
new circuit.hand bus1=source basekv=115 pu=1.01 angle=30 z1=[.2, .7] z0=[.25, .6]
new transformer.sub windings=2 xhl=8 %rs=[.5 .5] buses=[source head.1.2.3.4] conns=[delta wye] kvs=[115 4.16]
~ kvas=[5000 5000] wdg=2 rneut=0 xneut=.4
new transformer.a phases=1 xhl=.01 %rs=[.005 .005] kvs=[2.4 2.4] kvas=[1666 1666] buses=[head.1 out.1]
new transformer.b phases=1 xhl=.01 %rs=[.005 .005] kvs=[2.4 2.4] kvas=[1666 1666] buses=[head.2 out.2]
new transformer.c phases=1 xhl=.01 %rs=[.005 .005] kvs=[2.4 2.4] kvas=[1666 1666] buses=[head.3 out.3]
transformer.a.taps=[1 1.05625]
transformer.b.taps=[1 1.04375]
transformer.c.taps=[1 1.06875]
new linecode.three nphases=3 units=m rmatrix=[2.2e-4 | 1e-4 2.1e-4 | 9.9e-5 9.7e-5 2.15e-4]
~ xmatrix=[6.4e-4 | 2.4e-4 6.5e-4 | 2.6e-4 3.1e-4 6.45e-4]
~ cmatrix=[0.0103450713 | -0.00291784062 0.0100798131 | -0.00159154943 -0.00185680767 0.00981455482]
new linecode.two nphases=2 units=m rmatrix=[8.2e-4 | 1.3e-4 8.3e-4] xmatrix=[8.4e-4 | 2.9e-4 8.35e-4]
~ cmatrix=[0.00769248892 | -0.00132629119 0.00742723068]
new linecode.seq nphases=3 units=m r1=3e-4 x1=4e-4 c1=0.0106103295 r0=7e-4 x0=1.3e-3 c0=0.00530516477
new line.trunk bus1=out bus2=mid linecode=three length=610 units=m
new line.branch bus1=mid bus2=far linecode=seq length=250 units=m
new line.lateral bus1=mid.3.2 bus2=lateral.3.2 phases=2 linecode=two length=150 units=m
new line.pole bus1=lateral.3 bus2=spur.3 phases=1 switch=y r1=1e-4 x1=0 c1=0 r0=1e-4 x0=0 c0=0
new transformer.village windings=2 xhl=2 %rs=[.55 .55] buses=[far village] conns=[wye wye]
~ kvs=[4.16 .48] kvas=[500 500]
new transformer.pot phases=1 windings=3 xhl=1.36154259 xht=1.36154259 xlt=1.3282898
~ %rs=[.6 1.2 1.2] %imag=.5 %noloadloss=.2
~ buses=[far.2 house.1.0 house.0.2] kvs=[2.4 .12 .12] kvas=[25 25 25]
new load.all bus1=mid conn=delta kv=4.16 kw=420 kvar=210 vminpu=.5 vmaxpu=2
new load.leg bus1=mid.3.1 phases=1 conn=delta kv=4.16 kw=90 kvar=40 model=4 cvrwatts=.8 cvrvars=2
~ vminpu=.5 vmaxpu=2
new load.ua bus1=far.1 phases=1 kv=2.40177712 kw=85 kvar=40 model=8 zipv=[0 1 0 .4 .6 0 0] vminpu=.5 vmaxpu=2
new load.ub bus1=far.2 phases=1 kv=2.40177712 kw=20 kvar=5 model=8 zipv=[0 1 0 .4 .6 0 0] vminpu=.5 vmaxpu=2
new load.uc bus1=far.3 phases=1 kv=2.40177712 kw=60 kvar=30 model=8 zipv=[0 1 0 .4 .6 0 0] vminpu=.5 vmaxpu=2
new load.end bus1=spur.3 phases=1 kv=2.4 kw=70 kvar=20 vminpu=.5 vmaxpu=2
new load.h1 bus1=house.1 phases=1 kv=.12 kw=5 kvar=1 vminpu=.5 vmaxpu=2
new load.h2 bus1=house.2 phases=1 kv=.12 kw=3 kvar=2 vminpu=.5 vmaxpu=2
new load.village bus1=village kv=.48 kw=150 kvar=60 vminpu=.5 vmaxpu=2
new load.sun bus1=village kv=.48 kw=-40 kvar=-5 vminpu=.5 vmaxpu=2
new load.store bus1=village kv=.48 kw=20 kvar=0 vminpu=.5 vmaxpu=2
new capacitor.bank bus1=mid kv=4.16 kvar=346.112
new capacitor.spur bus1=spur.3 phases=1 kv=2.4 kvar=57.6
set voltagebases=[115 4.16 .48 .208]
calcvoltagebases
set controlmode=off tolerance=1e-9
solve
"""
