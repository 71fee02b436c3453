"""What holds a voltage in a CIM model: its sources, and machines under voltage control.

Sources are external network injections at the voltage of their regulating control, and energy sources. A
model without either is fed by the machine that CGMES makes the reference of angles: the one with the lowest
`referencePriority` above 0, else the one at the reference node of the solved topological island.
"""

from __future__ import annotations

from ...errors import CaseError, Problem
from . import models as cim

_VOLTAGE = "voltage"


class HeldVoltages:
    """The voltages that sources and machines hold.

    Attributes:
        reference: mRID of the machine that is the source; "" where the model has other sources.
    """

    def __init__(self, model: cim.Model, place: dict[str, str], topological: dict[str, str]) -> None:
        """`place`: equipment to node; `topological`: node to topological node."""
        self._model, self._place, self._topological = model, place, topological
        self._terminal = {one.mrid: one for one in model.of(cim.Terminal)}
        fed = any(model.of(cim.ExternalNetworkInjection)) or any(model.of(cim.EnergySource))
        self.reference = "" if fed else self._reference()

    def _reference(self) -> str:
        machines = [one for one in self._model.of(cim.SynchronousMachine) if one.mrid in self._place]
        ranked = sorted((one for one in machines if one.priority > 0), key=lambda one: one.priority)
        if ranked:
            return ranked[0].mrid
        nodes = {one.reference_node for one in self._model.of(cim.TopologicalIsland)}
        for one in machines:
            node = self._place[one.mrid]
            if one.controlled and self._topological.get(node, node) in nodes:
                return one.mrid
        expected = (
            "an ExternalNetworkInjection or EnergySource, which feeds the network, or a SynchronousMachine "
            "with a referencePriority above 0"
        )
        raise CaseError([Problem(self._model.file, None, "", "", expected)])

    def source_pu(self, one: cim.Regulating, base_kv: float) -> float:
        """The voltage of a source: the target of its control, enabled or not; 1 pu without one."""
        if not one.control:
            return 1.0
        target = self._model.get(cim.RegulatingControl, one.control).target_kv
        return 1.0 if target is None else target / base_kv

    def target_pu(self, one: cim.Regulating, base_kv: float) -> float | None:
        """The voltage that equipment holds at its own node; None where it holds none.

        Raises:
            CaseError: it holds the voltage of another node.
        """
        if not one.control or not one.controlled:
            return None
        control = self._model.get(cim.RegulatingControl, one.control)
        if control.mode != _VOLTAGE or not control.enabled or control.target_kv is None:
            return None
        terminal = self._terminal.get(control.terminal)
        if terminal is not None and not self._beside(one.mrid, terminal):
            field = f"{type(one).__name__} {one.mrid} RegulatingControl.Terminal"
            expected = "a terminal at the node of the equipment"
            raise CaseError([Problem(self._model.file, None, field, control.terminal, expected)])
        return control.target_kv / base_kv

    def _beside(self, mrid: str, terminal: cim.Terminal) -> bool:
        own = self._place[mrid]
        there = (terminal.connectivity_node, terminal.topological_node)
        return own in there or self._topological.get(own, own) in there
