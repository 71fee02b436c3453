"""Who decides what: a partition maps agents to devices, buses, and columns of actions and observations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..resources.base import ActionDim, UnitInfo

IntArray = NDArray[np.int64]
#: Ways of cutting a fleet into agents, beside a mapping of one's own.
CUTS = ("resource", "bus", "zone")


@dataclass(frozen=True)
class Partition:
    """Which devices each agent has. Every device with actions has exactly one agent.

    Attributes:
        agents: names, in the order of all arrays over agents.
        kinds: what stands before the number in a name ("battery" of "battery_0"), or the name itself.
        units: of each agent, in the order of the fleet.
        zones: of each agent, in the order of its units.
        actions: columns of the action vector of each agent.
    """

    agents: tuple[str, ...]
    kinds: tuple[str, ...]
    units: tuple[tuple[UnitInfo, ...], ...]
    zones: tuple[tuple[str, ...], ...]
    actions: tuple[tuple[int, ...], ...]

    def agent_of_unit(self, n_units: int) -> IntArray:
        """(n_units,) number of the agent that has each unit; -1 where nobody has it."""
        out = np.full(n_units, -1, dtype=np.int64)
        for k, units in enumerate(self.units):
            out[[unit.index for unit in units]] = k
        return out

    def buses(self, agent: int) -> tuple[str, ...]:
        """Where the units of an agent stand, each bus once."""
        return tuple(dict.fromkeys(unit.bus for unit in self.units[agent]))


def partition(
    agents: str | Mapping[str, Sequence[str]],
    units: Sequence[UnitInfo],
    dims: Sequence[ActionDim],
    zone_of_node: Sequence[str],
) -> Partition:
    """Cut a fleet into agents.

    Args:
        agents: "resource" (one for each device: "battery_0"), "bus" (one for all devices at a bus), "zone"
            (one for all devices in a zone), or devices by name of the agent.
        units: of the fleet.
        dims: what each entry of an action drives.
        zone_of_node: zone of each row of ``feeder.nodes``.

    Raises:
        ValueError: no device has an action; a mapping lets agents share a device, leaves one out, names one
            that there is not, or an agent that has nothing to decide; an unknown cut.
    """
    columns: dict[str, list[int]] = {}
    for dim in dims:
        columns.setdefault(dim.resource_name, []).append(dim.index)
    acting = [unit for unit in units if unit.name in columns]
    if not acting:
        raise ValueError("no device of this environment has an action: there is nothing for agents to decide")
    if isinstance(agents, Mapping):
        named = _by_mapping(agents, {unit.name: unit for unit in units}, acting)
        kinds = list(named)
    elif agents == "resource":
        kinds = _kinds(acting, dims)
        named = dict(zip(_numbered(kinds), ([unit] for unit in acting), strict=True))
    elif agents in CUTS:
        by: dict[str, list[UnitInfo]] = {}
        for unit in acting:
            by.setdefault(unit.bus if agents == "bus" else zone_of_node[unit.node_row], []).append(unit)
        kinds = [agents] * len(by)
        named = dict(zip(_numbered(kinds), by.values(), strict=True))
    else:
        raise ValueError(
            f"agents {agents!r} is unknown: expected one of {', '.join(CUTS)}, or devices by name of agents"
        )
    return Partition(
        tuple(named),
        tuple(kinds),
        tuple(tuple(own) for own in named.values()),
        tuple(tuple(dict.fromkeys(zone_of_node[u.node_row] for u in own)) for own in named.values()),
        tuple(tuple(c for unit in own for c in columns.get(unit.name, ())) for own in named.values()),
    )


def _numbered(kinds: Sequence[str]) -> list[str]:
    """Names: "battery_0", "battery_1", "pv_0" ..."""
    count: Counter[str] = Counter()
    names = []
    for kind in kinds:
        names.append(f"{kind}_{count[kind]}")
        count[kind] += 1
    return names


def _kinds(acting: Sequence[UnitInfo], dims: Sequence[ActionDim]) -> list[str]:
    """Their kinds; where devices of a kind differ in what they decide, with that: "pv_q", "pv_pq"."""
    decides: dict[str, str] = {}
    for dim in dims:
        decides[dim.resource_name] = decides.get(dim.resource_name, "") + dim.quantity
    ways: dict[str, set[str]] = {}
    for unit in acting:
        ways.setdefault(unit.kind, set()).add(decides[unit.name])
    return [u.kind if len(ways[u.kind]) == 1 else f"{u.kind}_{decides[u.name]}" for u in acting]


def _by_mapping(
    agents: Mapping[str, Sequence[str]], known: Mapping[str, UnitInfo], acting: Sequence[UnitInfo]
) -> dict[str, list[UnitInfo]]:
    owner: dict[str, str] = {}
    able = {unit.name for unit in acting}
    for agent, devices in agents.items():
        if isinstance(devices, str) or not devices:
            raise ValueError(f"agent {agent!r} needs a list of devices, got {devices!r}")
        for device in devices:
            if device not in known:
                raise ValueError(
                    f"agent {agent!r} names device {device!r}, which there is not; there are "
                    f"{', '.join(list(known)[:8])}{', ...' if len(known) > 8 else ''}"
                )
            if device in owner:
                raise ValueError(
                    f"agents {owner[device]!r} and {agent!r} share device {device!r}: give it to one of them"
                )
            owner[device] = agent
        if not able.intersection(devices):
            raise ValueError(
                f"agent {agent!r} has only devices without actions ({', '.join(devices)}): it has nothing to "
                "decide"
            )
    if left := [unit.name for unit in acting if unit.name not in owner]:
        raise ValueError(
            f"the mapping leaves out {len(left)} devices with actions: {', '.join(left[:8])}; give each one"
            " an agent"
        )
    return {str(agent): [u for u in known.values() if owner.get(u.name) == agent] for agent in agents}
