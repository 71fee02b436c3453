"""What each agent is shown: columns of the environment's flat observation, chosen by scope.

Agents of a kind have the same block in the same columns, so that one network can serve them all; where one
has fewer entries of a block than another of its kind, it has holes, which are shown as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .partitions import Partition

if TYPE_CHECKING:
    from ...cases import Feeder
    from ..core.observation_layout import Layout
    from ..resources.base import UnitInfo

IntArray = NDArray[np.int64]
_Sections = dict[str, list[int]]  # columns by section: a block, seen from somewhere
#: What an agent is shown, beside buses of one's own choice.
SCOPES = ("own", "zone", "global")


class Views:
    """The table of all agents' observations.

    An agent is shown, in this order: what everybody knows (clock, prices, forecasts); what its own devices
    observe; what is measured at their buses and phases; and by scope more of the state of the grid: voltages
    and loadings of a neighbourhood, or the whole observation. The loads of other buses, and what other
    devices know of themselves, are theirs, but for the scope "global".

    Attributes:
        columns: (agents, width) columns of the flat observation; -1 where there is none.
        sizes: (agents,) entries of each agent's space: as many for all agents of a kind, holes included.
    """

    def __init__(
        self, parts: Partition, layout: Layout, feeder: Feeder, near: Sequence[frozenset[str]] | None
    ) -> None:
        """``near``: of each agent the buses that it sees beside its own; None: it sees everything."""
        book = _Book(layout, feeder)
        whole = list(range(layout.size))
        around: dict[frozenset[str], list[tuple[str, int]]] = {}
        sections: list[_Sections] = []
        for k, units in enumerate(parts.units):
            found = book.public() | book.own(units)
            if near is None:
                found["everything"] = whole
            else:
                if near[k] not in around:
                    around[near[k]] = book.around(near[k])
                seen = {column for columns in found.values() for column in columns}
                for block, column in around[near[k]]:
                    if column not in seen:
                        found.setdefault(f"around:{block}", []).append(column)
            sections.append(found)
        rows: list[list[int]] = [[] for _ in sections]
        for kind in dict.fromkeys(parts.kinds):
            members = [k for k, other in enumerate(parts.kinds) if other == kind]
            room = _room([sections[k] for k in members])
            for k in members:
                rows[k] = _laid(sections[k], room)
        self.sizes: IntArray = np.array([len(row) for row in rows], dtype=np.int64)
        self.columns: IntArray = np.full((len(rows), int(self.sizes.max())), -1, dtype=np.int64)
        for k, row in enumerate(rows):
            self.columns[k, : len(row)] = row


def neighbourhoods(
    observe: str | Mapping[str, Sequence[str]], parts: Partition, feeder: Feeder, zone_of_node: Sequence[str]
) -> list[frozenset[str]] | None:
    """Of each agent the buses that it sees beside its own; None: it sees everything.

    Args:
        observe: a scope out of `SCOPES`, or buses by name of the agent.
        parts: the agents.
        feeder: its buses.
        zone_of_node: zone of each row of ``feeder.nodes``.

    Raises:
        ValueError: another scope; a mapping that names an agent or bus that there is not, or leaves an agent
            out.
    """
    if isinstance(observe, Mapping):
        return _given(observe, parts, feeder)
    if observe == "global":
        return None
    if observe == "own":
        return [frozenset()] * len(parts.agents)
    if observe != "zone":
        raise ValueError(
            f"observe {observe!r} is no neighbourhood: expected one of {', '.join(SCOPES)}, or buses by agent"
        )
    inside: dict[str, set[str]] = {}
    for bus, row in feeder.node_index.items():
        inside.setdefault(zone_of_node[row], set()).add(bus)
    known: dict[tuple[str, ...], frozenset[str]] = {}
    for zones in parts.zones:
        if zones not in known:
            known[zones] = frozenset().union(*(inside[zone] for zone in zones))
    return [known[zones] for zones in parts.zones]


def _given(observe: Mapping[str, Sequence[str]], parts: Partition, feeder: Feeder) -> list[frozenset[str]]:
    for agent, buses in observe.items():
        if agent not in parts.agents:
            raise ValueError(
                f"observe names agent {agent!r}, which there is not; there are {', '.join(parts.agents[:8])}"
            )
        for bus in buses:
            if str(bus) not in feeder.node_index:
                raise ValueError(
                    f"observe: agent {agent!r} is to see bus {bus!r}, which feeder {feeder.name!r} has not"
                )
    if left := [agent for agent in parts.agents if agent not in observe]:
        raise ValueError(f"observe leaves out agent {left[0]!r}: give each agent its buses, [] for none")
    return [frozenset(map(str, observe[agent])) for agent in parts.agents]


class _Book:
    """Entries of a flat observation by whom or where they are of."""

    def __init__(self, layout: Layout, feeder: Feeder) -> None:
        columns = (feeder.column("branches", c) for c in ("branch_id", "from_node", "to_node"))
        joined = {branch: frozenset((str(a), str(b))) for branch, a, b in zip(*columns, strict=True)}
        described = layout.describe()
        self._public: _Sections = {}
        self._of_unit: dict[str, list[tuple[str, int]]] = {}
        self._at_bus: dict[str, list[tuple[str, int, str]]] = {}
        self._measured: list[tuple[str, int, frozenset[str]]] = []
        for name, part in layout.items():
            for entry in described[part]:
                device = entry.name.rpartition(".")[0]
                if "." in name and device:
                    self._of_unit.setdefault(device, []).append((name, entry.index))
                elif entry.bus is not None:
                    self._at_bus.setdefault(entry.bus, []).append((name, entry.index, entry.phase or "ABC"))
                    if layout.blocks[name].per == "load":
                        continue
                    self._measured.append((name, entry.index, frozenset((entry.bus,))))
                elif entry.branch is not None:
                    self._measured.append((name, entry.index, joined[entry.branch]))
                elif layout.blocks[name].public:
                    self._public.setdefault(name, []).append(entry.index)

    def public(self) -> _Sections:
        """What everybody knows."""
        return {name: list(columns) for name, columns in self._public.items()}

    def own(self, units: Sequence[UnitInfo]) -> _Sections:
        """What devices observe, and what is measured where they are connected."""
        found: _Sections = {}
        for unit in units:
            for block, column in self._of_unit.get(unit.name, ()):
                found.setdefault(f"own:{block}", []).append(column)
        for unit in units:
            for block, column, phase in self._at_bus.get(unit.bus, ()):
                mine = found.setdefault(f"at:{block}", [])
                if set(phase) & set(unit.phase) and column not in mine:
                    mine.append(column)
        return found

    def around(self, buses: frozenset[str]) -> list[tuple[str, int]]:
        """The state of the grid at these buses, and on branches between them: block and column."""
        return [(block, column) for block, column, where in self._measured if where <= buses]


def _room(sections: Sequence[_Sections]) -> dict[str, int]:
    """The most columns that any of them has in each section, in the order of what an agent is shown."""
    room: dict[str, int] = {}
    for one in sections:
        for name, columns in one.items():
            room[name] = max(room.get(name, 0), len(columns))
    rank = {"own": 1, "at": 2, "around": 3, "everything": 4}
    return dict(sorted(room.items(), key=lambda item: rank.get(item[0].partition(":")[0], 0)))


def _laid(sections: _Sections, room: Mapping[str, int]) -> list[int]:
    """Columns section by section, with holes where others of the kind have more."""
    row: list[int] = []
    for name, most in room.items():
        mine = sections.get(name, [])
        row += [*mine, *[-1] * (most - len(mine))]
    return row
