"""IEC 61970 classes as typed models: what a power flow needs of each, checked at the border.

Names, units and meaning are those of the Common Information Model (CGMES 2.4.15 and 3.0): kV, ohm, S, MW,
Mvar, degrees. A field that is missing, is no number or is physically impossible is told by class, mRID and
field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import KEPT_PROBLEMS, CaseError, Problem
from .documents import Item

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class CimObject(BaseModel):
    """What every object has."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    mrid: str
    name: str = Field("", alias="IdentifiedObject.name")


class BaseVoltage(CimObject):
    """A nominal voltage."""

    nominal_kv: Positive = Field(alias="BaseVoltage.nominalVoltage")


class VoltageLevel(CimObject):
    """Equipment of one voltage."""

    base_voltage: str = Field(alias="VoltageLevel.BaseVoltage")


class ConnectivityNode(CimObject):
    """Where terminals meet, in models with switches."""

    container: str = Field(alias="ConnectivityNode.ConnectivityNodeContainer")


class TopologicalNode(CimObject):
    """Where terminals meet once switches are processed."""

    base_voltage: str = Field(alias="TopologicalNode.BaseVoltage")


class Terminal(CimObject):
    """One end of a piece of equipment."""

    equipment: str = Field(alias="Terminal.ConductingEquipment")
    connectivity_node: str = Field("", alias="Terminal.ConnectivityNode")
    topological_node: str = Field("", alias="Terminal.TopologicalNode")
    sequence: int = Field(1, alias="ACDCTerminal.sequenceNumber", ge=1, le=3)
    connected: bool = Field(True, alias="ACDCTerminal.connected")


class ACLineSegment(CimObject):
    """A line: totals of its length."""

    r_ohm: NotNegative = Field(alias="ACLineSegment.r")
    x_ohm: Finite = Field(alias="ACLineSegment.x")
    b_s: Finite = Field(0.0, alias="ACLineSegment.bch")
    g_s: Finite = Field(0.0, alias="ACLineSegment.gch")
    length_km: Positive | None = Field(None, alias="Conductor.length")


class SwitchObject(CimObject):
    """A switch, breaker, disconnector or load break switch."""

    is_open: bool = Field(False, alias="Switch.open")
    normally_open: bool = Field(False, alias="Switch.normalOpen")


class PowerTransformer(CimObject):
    """A transformer; what it is stands in its ends."""


class PowerTransformerEnd(CimObject):
    """One winding; impedances at its own voltage."""

    transformer: str = Field(alias="PowerTransformerEnd.PowerTransformer")
    terminal: str = Field(alias="TransformerEnd.Terminal")
    number: int = Field(alias="TransformerEnd.endNumber", ge=1, le=3)
    rated_kv: Positive = Field(alias="PowerTransformerEnd.ratedU")
    rated_mva: Positive | None = Field(None, alias="PowerTransformerEnd.ratedS")
    r_ohm: NotNegative = Field(0.0, alias="PowerTransformerEnd.r")
    x_ohm: Finite = Field(0.0, alias="PowerTransformerEnd.x")
    b_s: Finite = Field(0.0, alias="PowerTransformerEnd.b")
    g_s: Finite = Field(0.0, alias="PowerTransformerEnd.g")
    clock: int = Field(0, alias="PowerTransformerEnd.phaseAngleClock", ge=0, le=11)


class RatioTapChanger(CimObject):
    """Taps of a winding, in steps of percent of its rated voltage."""

    end: str = Field(alias="RatioTapChanger.TransformerEnd")
    neutral: int = Field(0, alias="TapChanger.neutralStep")
    step: Finite = Field(0.0, alias="TapChanger.step")
    step_pct: Finite = Field(alias="RatioTapChanger.stepVoltageIncrement")
    table: str = Field("", alias="RatioTapChanger.RatioTapChangerTable")


class RatioTapChangerTable(CimObject):
    """The table of a tap changer; what it is stands in its points."""


class RatioTapChangerTablePoint(CimObject):
    """One step of a table: the ratio, and deviations in percent of the winding's values."""

    table: str = Field(alias="RatioTapChangerTablePoint.RatioTapChangerTable")
    step: int = Field(alias="TapChangerTablePoint.step")
    ratio: Finite = Field(1.0, alias="TapChangerTablePoint.ratio")
    r_pct: Finite = Field(0.0, alias="TapChangerTablePoint.r")
    x_pct: Finite = Field(0.0, alias="TapChangerTablePoint.x")
    g_pct: Finite = Field(0.0, alias="TapChangerTablePoint.g")
    b_pct: Finite = Field(0.0, alias="TapChangerTablePoint.b")


class EnergyConsumer(CimObject):
    """A load."""

    p_mw: Finite = Field(0.0, alias="EnergyConsumer.p")
    q_mvar: Finite = Field(0.0, alias="EnergyConsumer.q")
    response: str = Field("", alias="EnergyConsumer.LoadResponse")


class LoadResponseCharacteristic(CimObject):
    """How a load depends on its voltage."""

    exponents: bool = Field(False, alias="LoadResponseCharacteristic.exponentModel")
    p_exponent: Finite = Field(0.0, alias="LoadResponseCharacteristic.pVoltageExponent")
    q_exponent: Finite = Field(0.0, alias="LoadResponseCharacteristic.qVoltageExponent")
    p_z: Finite = Field(0.0, alias="LoadResponseCharacteristic.pConstantImpedance")
    p_i: Finite = Field(0.0, alias="LoadResponseCharacteristic.pConstantCurrent")
    q_z: Finite = Field(0.0, alias="LoadResponseCharacteristic.qConstantImpedance")
    q_i: Finite = Field(0.0, alias="LoadResponseCharacteristic.qConstantCurrent")


class Regulating(CimObject):
    """Equipment that may hold a voltage."""

    control: str = Field("", alias="RegulatingCondEq.RegulatingControl")
    controlled: bool = Field(True, alias="RegulatingCondEq.controlEnabled")


class SynchronousMachine(Regulating):
    """A generator; p and q are consumed, as in SSH."""

    p_mw: Finite = Field(0.0, alias="RotatingMachine.p")
    q_mvar: Finite = Field(0.0, alias="RotatingMachine.q")
    q_min_mvar: Finite | None = Field(None, alias="SynchronousMachine.minQ")
    q_max_mvar: Finite | None = Field(None, alias="SynchronousMachine.maxQ")
    priority: int = Field(0, alias="SynchronousMachine.referencePriority")


class EnergySource(CimObject):
    """A source of voltage."""

    kv: Positive | None = Field(None, alias="EnergySource.voltageMagnitude")
    angle_rad: Finite = Field(0.0, alias="EnergySource.voltageAngle")


class ExternalNetworkInjection(Regulating):
    """The grid above, at the voltage of its regulating control."""


class RegulatingControl(CimObject):
    """The voltage that is held, and where."""

    target_kv: Positive | None = Field(None, alias="RegulatingControl.targetValue")
    mode: str = Field("voltage", alias="RegulatingControl.mode")
    enabled: bool = Field(True, alias="RegulatingControl.enabled")
    terminal: str = Field("", alias="RegulatingControl.Terminal")


class TopologicalIsland(CimObject):
    """What a solution belongs to; its angles count from a node."""

    reference_node: str = Field("", alias="TopologicalIsland.AngleRefTopologicalNode")


class LinearShuntCompensator(CimObject):
    """A bank of capacitors or reactors."""

    b_s: Finite = Field(alias="LinearShuntCompensator.bPerSection")
    g_s: Finite = Field(0.0, alias="LinearShuntCompensator.gPerSection")
    sections: NotNegative = Field(1.0, alias="ShuntCompensator.sections")


class SvVoltage(CimObject):
    """A solved voltage."""

    kv: Finite = Field(alias="SvVoltage.v")
    angle_deg: Finite = Field(0.0, alias="SvVoltage.angle")
    node: str = Field(alias="SvVoltage.TopologicalNode")


MODELS: dict[str, type[CimObject]] = {
    one.__name__: one
    for one in (
        BaseVoltage, VoltageLevel, ConnectivityNode, TopologicalNode, Terminal, ACLineSegment,
        PowerTransformer, PowerTransformerEnd, RatioTapChanger, RatioTapChangerTable,
        RatioTapChangerTablePoint, EnergyConsumer, LoadResponseCharacteristic, SynchronousMachine,
        TopologicalIsland,
        EnergySource, ExternalNetworkInjection, RegulatingControl, LinearShuntCompensator, SvVoltage,
    )
} | {
    **dict.fromkeys(("Switch", "Breaker", "Disconnector", "LoadBreakSwitch", "Fuse"), SwitchObject),
    **dict.fromkeys(("ConformLoad", "NonConformLoad"), EnergyConsumer),
}  # fmt: skip
#: Equipment that carries power and is not read.
REFUSED = (
    "SeriesCompensator", "EquivalentBranch", "EquivalentInjection", "EquivalentShunt", "StaticVarCompensator",
    "AsynchronousMachine", "NonlinearShuntCompensator", "PowerElectronicsConnection", "CsConverter",
    "VsConverter", "DCLineSegment", "StationSupply", "PhaseTapChangerLinear", "PhaseTapChangerSymmetrical",
    "PhaseTapChangerAsymmetrical", "PhaseTapChangerTabular",
)  # fmt: skip
_CONTAINED = ("Equipment.EquipmentContainer", "ConnectivityNode.ConnectivityNodeContainer")
_T = TypeVar("_T", bound=CimObject)


def grouped(objects: Iterable[_T], of: Callable[[_T], str]) -> dict[str, list[_T]]:
    """Objects by what they belong to."""
    found: dict[str, list[_T]] = {}
    for one in objects:
        found.setdefault(of(one), []).append(one)
    return found


class Model:
    """The typed objects of a model, by class and mRID, with every reference known to lead somewhere."""

    def __init__(
        self,
        items: dict[str, Item],
        file: str,
        models: Mapping[str, type[CimObject]] = MappingProxyType(MODELS),
        refused: Sequence[str] = REFUSED,
    ) -> None:
        self.file, self.kinds = file, {item.mrid: item.kind for item in items.values()}
        self._models = models
        self.objects: dict[str, CimObject] = {}
        self._container = {
            item.mrid: next((item.links[key] for key in _CONTAINED if key in item.links), "")
            for item in items.values()
        }
        self._feeders = {
            item.mrid: item.values.get("IdentifiedObject.name", "").strip() or item.mrid
            for item in items.values() if item.kind == "Feeder"
        }  # fmt: skip
        problems = []
        for item in items.values():
            if item.kind in refused:
                problems.append(self._problem(item, "", "", "no equipment of this class"))
            elif item.kind in models:
                problems += self._typed(item)
            elif not item.kind and any(key.partition(".")[0] in models for key in item.values | item.links):
                problems.append(Problem(file, None, "rdf:about", item.mrid, "an object of the EQ profile"))
        known = set(items)
        for item in items.values():
            if item.kind in models:
                used = {part.alias for part in models[item.kind].model_fields.values()}
                problems += [
                    self._problem(item, key, target, "an object of this model, which it refers to")
                    for key, target in item.links.items()
                    if key in used and (target not in known or not self.kinds.get(target))
                ]
        if problems:
            raise CaseError(problems[:KEPT_PROBLEMS])

    def feeder_of(self, mrid: str) -> str:
        """Name of the feeder that contains equipment or a node; "" where none does."""
        return self._feeders.get(self._container.get(mrid, ""), "")

    def _problem(self, item: Item, key: str, value: str, expected: str) -> Problem:
        return Problem(
            item.file or self.file, None, f"{item.kind} {item.mrid} {key}".strip(), value, expected
        )

    def _typed(self, item: Item) -> list[Problem]:
        try:
            self.objects[item.mrid] = self._models[item.kind](mrid=item.mrid, **item.values, **item.links)
        except ValidationError as error:
            return [
                self._problem(
                    item, str(part["loc"][0]), "" if part["type"] == "missing" else str(part["input"])[:80],
                    part["msg"][0].lower() + part["msg"][1:],
                )
                for part in error.errors()
            ]  # fmt: skip
        return []

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Objects that are read and objects that are not, by class."""
        read = Counter(kind for mrid, kind in self.kinds.items() if mrid in self.objects)
        left = Counter(kind for mrid, kind in self.kinds.items() if kind and mrid not in self.objects)
        return dict(read), dict(left)

    def of(self, kind: type[_T]) -> Iterator[_T]:
        """All objects of a class, in the order of the files."""
        return (one for one in self.objects.values() if isinstance(one, kind))

    def get(self, kind: type[_T], mrid: str) -> _T:
        """One object; CaseError where it is absent or of another class."""
        found = self.objects.get(mrid)
        if not isinstance(found, kind):
            raise CaseError([Problem(self.file, None, kind.__name__, mrid, "an object of this class")])
        return found
