"""Where the equipment of a model is connected, and what a script calls its objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ....errors import CaseError, Problem
from ..models import CimObject, Model, grouped
from .models import NODES, BaseVoltage, Equipment, Terminal

_FIRST_STAR = 4
_PREFIX = "cim-"
_TOKEN = re.compile(rf"{_PREFIX}(\d+)-")


class Names:
    """Names for a script that takes letters, digits and `-`; mRIDs are anything."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._mrids: list[str] = []

    def of(self, mrid: str) -> str:
        """The name of an object."""
        number = self._number.setdefault(mrid, len(self._mrids))
        if number == len(self._mrids):
            self._mrids.append(mrid)
        return f"{_PREFIX}{number}-"

    def restored(self, text: str) -> str:
        """A text with the mRIDs of all objects in place of their names."""
        return _TOKEN.sub(lambda found: self._mrids[int(found[1])], text)


class Network:
    """Terminals, nodes and voltages of a model.

    Attributes:
        model: the typed objects.
        names: what a script calls them.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.names = model, Names()
        self._stars: dict[str, list[str]] = {}
        in_order = sorted(model.of(Terminal), key=lambda one: one.sequence)
        self._terminals = grouped(in_order, lambda one: one.equipment)

    def refuse(self, one: CimObject, expected: str, value: str = "") -> CaseError:
        """The error that names one object."""
        return CaseError(
            [Problem(self.model.file, None, f"{type(one).__name__} {one.mrid}", value, expected)]
        )

    def terminals(self, one: CimObject, count: int) -> list[Terminal]:
        """The terminals of a piece of equipment, in their order."""
        found = self._terminals.get(one.mrid, [])
        if len(found) != count:
            raise self.refuse(one, f"{count} terminal{'s' if count > 1 else ''}", f"{len(found)} terminals")
        return found

    def bus(self, terminal: Terminal, nodes: Iterable[int]) -> str:
        """Bus of a terminal with the numbers of its nodes; 0 is ground."""
        return ".".join((self.names.of(terminal.connectivity_node), *map(str, nodes)))

    def star(self, owner: str, terminal: Terminal) -> int:
        """Node of a star point that is not at ground: each owner at a bus has one of its own."""
        owners = self._stars.setdefault(terminal.connectivity_node, [])
        if owner not in owners:
            owners.append(owner)
        return _FIRST_STAR + owners.index(owner)

    def nominal_v(self, one: Equipment) -> float:
        """The nominal voltage of a piece of equipment, between phases."""
        own = getattr(one, "rated_v", None)
        if own is not None and not one.base_voltage:
            return float(own)
        found = self.model.objects.get(one.base_voltage)
        if not isinstance(found, BaseVoltage):
            raise self.refuse(one, "ConductingEquipment.BaseVoltage of this model", one.base_voltage)
        return found.nominal_v

    def node(self, one: CimObject, phase: str) -> int:
        """The number of a phase's node."""
        if phase not in NODES:
            raise self.refuse(one, f"a phase among {', '.join(NODES)}", phase)
        return NODES[phase]

    def nodes(self, one: CimObject, phases: Sequence[str]) -> list[int]:
        """The numbers of several phases; the three of a balanced one where none is named."""
        found = [self.node(one, phase) for phase in phases] or [1, 2, 3]
        if len(set(found)) < len(found):
            raise self.refuse(one, "each phase once", ", ".join(phases))
        return found
