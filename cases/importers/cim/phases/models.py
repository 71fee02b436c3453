"""IEC 61968/61970 classes of models with single phases: what a power flow needs of each.

Such models (CIM100 as GridAPPS-D and CIMHub write it) are in SI units without multipliers: V, VA, W, var, m,
ohm and S; only the losses of tests are in kW. Names and meaning are those of the Common Information Model;
a field that is missing, is no number or is physically impossible is told as in `..models`.
"""

from __future__ import annotations

from pydantic import Field

from ..models import CimObject, Finite, NotNegative, Positive, PowerTransformer

#: Names of PhaseCode, OrderedPhaseCodeKind and SinglePhaseKind that stand for conductors with a node.
NODES = {"A": 1, "B": 2, "C": 3, "s1": 1, "s2": 2}


class BaseVoltage(CimObject):
    """A nominal voltage between phases."""

    nominal_v: Positive = Field(alias="BaseVoltage.nominalVoltage")


class ConnectivityNode(CimObject):
    """Where terminals meet."""


class Terminal(CimObject):
    """One end of a piece of equipment."""

    equipment: str = Field(alias="Terminal.ConductingEquipment")
    connectivity_node: str = Field(alias="Terminal.ConnectivityNode")
    sequence: int = Field(1, alias="ACDCTerminal.sequenceNumber", ge=1)
    connected: bool = Field(True, alias="ACDCTerminal.connected")


class Equipment(CimObject):
    """What has terminals and a nominal voltage."""

    base_voltage: str = Field("", alias="ConductingEquipment.BaseVoltage")


class EnergySource(Equipment):
    """A source of voltage behind an impedance."""

    nominal_v: Positive = Field(alias="EnergySource.nominalVoltage")
    v: Positive = Field(alias="EnergySource.voltageMagnitude")
    angle_rad: Finite = Field(0.0, alias="EnergySource.voltageAngle")
    r_ohm: NotNegative = Field(0.0, alias="EnergySource.r")
    x_ohm: Finite = Field(0.0, alias="EnergySource.x")
    r0_ohm: NotNegative = Field(0.0, alias="EnergySource.r0")
    x0_ohm: Finite = Field(0.0, alias="EnergySource.x0")


class ACLineSegment(Equipment):
    """A line, by an impedance per length or by totals."""

    length_m: Positive | None = Field(None, alias="Conductor.length")
    per_length: str = Field("", alias="ACLineSegment.PerLengthImpedance")
    r_ohm: NotNegative | None = Field(None, alias="ACLineSegment.r")
    x_ohm: Finite | None = Field(None, alias="ACLineSegment.x")
    b_s: Finite = Field(0.0, alias="ACLineSegment.bch")
    r0_ohm: NotNegative | None = Field(None, alias="ACLineSegment.r0")
    x0_ohm: Finite | None = Field(None, alias="ACLineSegment.x0")
    b0_s: Finite = Field(0.0, alias="ACLineSegment.b0ch")


class ACLineSegmentPhase(CimObject):
    """One conductor of a line; its place in the matrices."""

    line: str = Field(alias="ACLineSegmentPhase.ACLineSegment")
    phase: str = Field(alias="ACLineSegmentPhase.phase")
    sequence: int = Field(0, alias="ACLineSegmentPhase.sequenceNumber", ge=0)


class PerLengthSequenceImpedance(CimObject):
    """Impedances of a line per m, by sequences."""

    r_ohm: NotNegative = Field(alias="PerLengthSequenceImpedance.r")
    x_ohm: Finite = Field(alias="PerLengthSequenceImpedance.x")
    b_s: Finite = Field(0.0, alias="PerLengthSequenceImpedance.bch")
    r0_ohm: NotNegative = Field(alias="PerLengthSequenceImpedance.r0")
    x0_ohm: Finite = Field(alias="PerLengthSequenceImpedance.x0")
    b0_s: Finite = Field(0.0, alias="PerLengthSequenceImpedance.b0ch")


class PerLengthPhaseImpedance(CimObject):
    """Impedances of a line per m, by conductors; its entries are objects of their own."""

    conductors: int = Field(alias="PerLengthPhaseImpedance.conductorCount", ge=1, le=4)


class PhaseImpedanceData(CimObject):
    """One entry of the symmetric matrices per m."""

    matrix: str = Field(alias="PhaseImpedanceData.PhaseImpedance")
    row: int = Field(alias="PhaseImpedanceData.row", ge=1, le=4)
    column: int = Field(alias="PhaseImpedanceData.column", ge=1, le=4)
    r_ohm: Finite = Field(alias="PhaseImpedanceData.r")
    x_ohm: Finite = Field(alias="PhaseImpedanceData.x")
    b_s: Finite = Field(0.0, alias="PhaseImpedanceData.b")


class SwitchObject(Equipment):
    """A switch, breaker, recloser, sectionaliser, fuse, disconnector or load break switch."""

    is_open: bool = Field(False, alias="Switch.open")


class SwitchPhase(CimObject):
    """One pole of a switch."""

    switch: str = Field(alias="SwitchPhase.Switch")
    side1: str = Field(alias="SwitchPhase.phaseSide1")
    side2: str = Field(alias="SwitchPhase.phaseSide2")
    closed: bool = Field(True, alias="SwitchPhase.closed")


class TransformerEnd(CimObject):
    """What windings have in common."""

    terminal: str = Field(alias="TransformerEnd.Terminal")
    number: int = Field(alias="TransformerEnd.endNumber", ge=1, le=3)
    grounded: bool | None = Field(None, alias="TransformerEnd.grounded")
    r_ground_ohm: NotNegative = Field(0.0, alias="TransformerEnd.rground")
    x_ground_ohm: Finite = Field(0.0, alias="TransformerEnd.xground")

    @property
    def owner(self) -> str:
        """The transformer or tank that it is a winding of."""
        raise NotImplementedError


class PowerTransformerEnd(TransformerEnd):
    """A winding of three phases."""

    transformer: str = Field(alias="PowerTransformerEnd.PowerTransformer")
    connection: str = Field(alias="PowerTransformerEnd.connectionKind")
    rated_v: Positive = Field(alias="PowerTransformerEnd.ratedU")
    rated_va: Positive = Field(alias="PowerTransformerEnd.ratedS")
    r_ohm: NotNegative | None = Field(None, alias="PowerTransformerEnd.r")
    clock: int = Field(0, alias="PowerTransformerEnd.phaseAngleClock", ge=0, le=11)
    core: str = Field("", alias="TransformerEnd.CoreAdmittance")

    @property
    def owner(self) -> str:
        """The transformer."""
        return self.transformer


class TransformerMeshImpedance(CimObject):
    """The impedance between two windings, at the voltage of the first."""

    start: str = Field(alias="TransformerMeshImpedance.FromTransformerEnd")
    end: str = Field(alias="TransformerMeshImpedance.ToTransformerEnd")
    r_ohm: NotNegative | None = Field(None, alias="TransformerMeshImpedance.r")
    x_ohm: Finite = Field(alias="TransformerMeshImpedance.x")


class TransformerCoreAdmittance(CimObject):
    """What a core draws, at the voltage of its winding."""

    g_s: NotNegative = Field(0.0, alias="TransformerCoreAdmittance.g")
    b_s: Finite = Field(0.0, alias="TransformerCoreAdmittance.b")


class TransformerTank(CimObject):
    """One of the tanks of a transformer."""

    transformer: str = Field(alias="TransformerTank.PowerTransformer")
    info: str = Field("", alias="TransformerTank.TransformerTankInfo")


class TransformerTankEnd(TransformerEnd):
    """A winding of a tank, and the conductors that it is connected to."""

    tank: str = Field(alias="TransformerTankEnd.TransformerTank")
    ordered: str = Field("", alias="TransformerTankEnd.orderedPhases")
    phases: str = Field("", alias="TransformerTankEnd.phases")

    @property
    def owner(self) -> str:
        """The tank."""
        return self.tank


class TransformerTankInfo(CimObject):
    """A type of tank; what it is stands in its ends."""


class TransformerEndInfo(CimObject):
    """A winding of a type of tank."""

    info: str = Field(alias="TransformerEndInfo.TransformerTankInfo")
    number: int = Field(alias="TransformerEndInfo.endNumber", ge=1, le=3)
    connection: str = Field(alias="TransformerEndInfo.connectionKind")
    rated_v: Positive = Field(alias="TransformerEndInfo.ratedU")
    rated_va: Positive = Field(alias="TransformerEndInfo.ratedS")
    r_ohm: NotNegative | None = Field(None, alias="TransformerEndInfo.r")
    clock: int = Field(0, alias="TransformerEndInfo.phaseAngleClock", ge=0, le=11)


class ShortCircuitTest(CimObject):
    """The impedance between two windings, at the voltage of the energised one."""

    energised: str = Field(alias="ShortCircuitTest.EnergisedEnd")
    grounded: str = Field(alias="ShortCircuitTest.GroundedEnds")
    z_ohm: NotNegative = Field(alias="ShortCircuitTest.leakageImpedance")
    loss_kw: NotNegative | None = Field(None, alias="ShortCircuitTest.loss")


class NoLoadTest(CimObject):
    """What the core of a type of tank draws."""

    energised: str = Field(alias="NoLoadTest.EnergisedEnd")
    exciting_pct: NotNegative = Field(0.0, alias="NoLoadTest.excitingCurrent")
    loss_kw: NotNegative = Field(0.0, alias="NoLoadTest.loss")


class RatioTapChanger(CimObject):
    """Taps of a winding."""

    end: str = Field(alias="RatioTapChanger.TransformerEnd")
    step_pct: Finite = Field(alias="RatioTapChanger.stepVoltageIncrement")
    step: Finite = Field(0.0, alias="TapChanger.step")
    neutral: int = Field(0, alias="TapChanger.neutralStep")
    low: int = Field(-16, alias="TapChanger.lowStep")
    high: int = Field(16, alias="TapChanger.highStep")
    control: str = Field("", alias="TapChanger.TapChangerControl")
    pt_ratio: NotNegative = Field(0.0, alias="TapChanger.ptRatio")
    ct_rating_a: NotNegative = Field(0.0, alias="TapChanger.ctRating")
    delay_s: NotNegative = Field(15.0, alias="TapChanger.initialDelay")


class TapChangerControl(CimObject):
    """The voltage that a tap changer keeps, in V of its voltage transformer."""

    target_v: NotNegative = Field(0.0, alias="RegulatingControl.targetValue")
    band_v: NotNegative = Field(0.0, alias="RegulatingControl.targetDeadband")
    enabled: bool = Field(True, alias="RegulatingControl.enabled")
    terminal: str = Field("", alias="RegulatingControl.Terminal")
    compensates: bool = Field(False, alias="TapChangerControl.lineDropCompensation")
    r_v: Finite = Field(0.0, alias="TapChangerControl.lineDropR")
    x_v: Finite = Field(0.0, alias="TapChangerControl.lineDropX")


class EnergyConsumer(Equipment):
    """A load."""

    p_w: Finite | None = Field(None, alias="EnergyConsumer.p")
    q_var: Finite | None = Field(None, alias="EnergyConsumer.q")
    p_fixed_w: Finite | None = Field(None, alias="EnergyConsumer.pfixed")
    q_fixed_var: Finite | None = Field(None, alias="EnergyConsumer.qfixed")
    connection: str = Field("Y", alias="EnergyConsumer.phaseConnection")
    grounded: bool = Field(True, alias="EnergyConsumer.grounded")
    response: str = Field("", alias="EnergyConsumer.LoadResponse")


class EnergyConsumerPhase(CimObject):
    """One phase of a load."""

    owner: str = Field(alias="EnergyConsumerPhase.EnergyConsumer")
    phase: str = Field(alias="EnergyConsumerPhase.phase")
    p_w: Finite | None = Field(None, alias="EnergyConsumerPhase.p")
    q_var: Finite | None = Field(None, alias="EnergyConsumerPhase.q")
    p_fixed_w: Finite | None = Field(None, alias="EnergyConsumerPhase.pfixed")
    q_fixed_var: Finite | None = Field(None, alias="EnergyConsumerPhase.qfixed")


class LoadResponseCharacteristic(CimObject):
    """How a load depends on its voltage: exponents, or shares that need not add up to 1."""

    exponents: bool = Field(False, alias="LoadResponseCharacteristic.exponentModel")
    p_exponent: Finite = Field(0.0, alias="LoadResponseCharacteristic.pVoltageExponent")
    q_exponent: Finite = Field(0.0, alias="LoadResponseCharacteristic.qVoltageExponent")
    p_z: NotNegative = Field(0.0, alias="LoadResponseCharacteristic.pConstantImpedance")
    p_i: NotNegative = Field(0.0, alias="LoadResponseCharacteristic.pConstantCurrent")
    p_p: NotNegative = Field(0.0, alias="LoadResponseCharacteristic.pConstantPower")
    q_z: NotNegative = Field(0.0, alias="LoadResponseCharacteristic.qConstantImpedance")
    q_i: NotNegative = Field(0.0, alias="LoadResponseCharacteristic.qConstantCurrent")
    q_p: NotNegative = Field(0.0, alias="LoadResponseCharacteristic.qConstantPower")


class LinearShuntCompensator(Equipment):
    """A bank of capacitors."""

    b_s: Finite = Field(alias="LinearShuntCompensator.bPerSection")
    nominal_v: Positive = Field(alias="ShuntCompensator.nomU")
    sections: NotNegative = Field(1.0, alias="ShuntCompensator.sections")
    most: NotNegative = Field(1.0, alias="ShuntCompensator.maximumSections")
    connection: str = Field("Y", alias="ShuntCompensator.phaseConnection")
    grounded: bool = Field(True, alias="ShuntCompensator.grounded")


class LinearShuntCompensatorPhase(CimObject):
    """One phase of a bank."""

    owner: str = Field(alias="ShuntCompensatorPhase.ShuntCompensator")
    phase: str = Field(alias="ShuntCompensatorPhase.phase")
    b_s: Finite = Field(alias="LinearShuntCompensatorPhase.bPerSection")
    sections: NotNegative = Field(1.0, alias="ShuntCompensatorPhase.sections")
    most: NotNegative = Field(1.0, alias="ShuntCompensatorPhase.maximumSections")


class PowerElectronicsConnection(Equipment):
    """An inverter.

    IEC 61970 counts p and q as consumed; OpenDSS and CIMHub, which write most models, as given.
    """

    p_w: Finite | None = Field(None, alias="PowerElectronicsConnection.p")
    q_var: Finite | None = Field(None, alias="PowerElectronicsConnection.q")
    rated_va: Positive = Field(alias="PowerElectronicsConnection.ratedS")
    rated_v: Positive | None = Field(None, alias="PowerElectronicsConnection.ratedU")


class PowerElectronicsConnectionPhase(CimObject):
    """One phase of an inverter."""

    owner: str = Field(alias="PowerElectronicsConnectionPhase.PowerElectronicsConnection")
    phase: str = Field(alias="PowerElectronicsConnectionPhase.phase")
    p_w: Finite | None = Field(None, alias="PowerElectronicsConnectionPhase.p")
    q_var: Finite | None = Field(None, alias="PowerElectronicsConnectionPhase.q")


class PowerElectronicsUnit(CimObject):
    """What is behind an inverter."""

    connection: str = Field(alias="PowerElectronicsUnit.PowerElectronicsConnection")
    most_w: Finite | None = Field(None, alias="PowerElectronicsUnit.maxP")


class PhotovoltaicUnit(PowerElectronicsUnit):
    """Panels."""


class BatteryUnit(PowerElectronicsUnit):
    """A battery; energies in Wh."""

    rated_wh: Positive = Field(alias="BatteryUnit.ratedE")
    stored_wh: NotNegative | None = Field(None, alias="BatteryUnit.storedE")
    state: str = Field("", alias="BatteryUnit.batteryState")


class RotatingMachine(Equipment):
    """A generator; for the sense of its powers see inverters."""

    p_w: Finite = Field(0.0, alias="RotatingMachine.p")
    q_var: Finite = Field(0.0, alias="RotatingMachine.q")
    rated_va: Positive | None = Field(None, alias="RotatingMachine.ratedS")


MODELS: dict[str, type[CimObject]] = {
    one.__name__: one
    for one in (
        BaseVoltage, ConnectivityNode, Terminal, EnergySource, ACLineSegment, ACLineSegmentPhase,
        PerLengthSequenceImpedance, PerLengthPhaseImpedance, PhaseImpedanceData, SwitchPhase,
        PowerTransformer, PowerTransformerEnd, TransformerMeshImpedance, TransformerCoreAdmittance,
        TransformerTank, TransformerTankEnd, TransformerTankInfo, TransformerEndInfo, ShortCircuitTest,
        NoLoadTest, RatioTapChanger, TapChangerControl, EnergyConsumer, EnergyConsumerPhase,
        LoadResponseCharacteristic, LinearShuntCompensator, LinearShuntCompensatorPhase,
        PowerElectronicsConnection, PowerElectronicsConnectionPhase, PhotovoltaicUnit, BatteryUnit,
    )
} | {
    **dict.fromkeys(("Switch", "Breaker", "Recloser", "Sectionaliser", "Fuse"), SwitchObject),
    **dict.fromkeys(("Disconnector", "LoadBreakSwitch", "Jumper", "Cut"), SwitchObject),
    **dict.fromkeys(("ConformLoad", "NonConformLoad"), EnergyConsumer),
    "SynchronousMachine": RotatingMachine,
}  # fmt: skip
#: Equipment that carries power and is not read.
REFUSED = (
    "SeriesCompensator", "EquivalentBranch", "EquivalentInjection", "EquivalentShunt", "StaticVarCompensator",
    "NonlinearShuntCompensator", "AsynchronousMachine", "CsConverter", "VsConverter", "DCLineSegment",
    "StationSupply", "ExternalNetworkInjection", "EnergySourcePhase", "PhaseTapChangerLinear",
    "PhaseTapChangerSymmetrical", "PhaseTapChangerAsymmetrical", "PhaseTapChangerTabular",
    "PerLengthLineParameter",
)  # fmt: skip
#: Classes that only models with single phases have.
PHASES = frozenset({
    "ACLineSegmentPhase", "PhaseImpedanceData", "EnergyConsumerPhase", "SwitchPhase", "TransformerTank",
    "LinearShuntCompensatorPhase", "PowerElectronicsConnectionPhase",
})  # fmt: skip
