"""How resources are wired to a feeder: grouped, named, put on their buses, given action columns."""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .base import ActionDim, Entry, Ints, Resource, ResourceSpec, UnitInfo, bus_id, check_phase

if TYPE_CHECKING:
    from ...cases import Feeder


def place(
    resource: ResourceSpec | Resource, bus: str | int | None = None, phase: str | None = None
) -> ResourceSpec | Resource:
    """A copy of `resource` at `bus` and `phase` (None keeps its own); the argument is left as it is.

    ValueError when it holds several units: those get their buses from its constructor.
    """
    if bus is None and phase is None:
        return resource
    if isinstance(resource, ResourceSpec):
        if "bus" not in {field.name for field in dataclasses.fields(cast(Any, resource))}:
            raise ValueError(f"{type(resource).__name__} sits where its device is: leave out bus and phase")
        changes: dict[str, Any] = {} if bus is None else {"bus": bus}
        return cast(
            ResourceSpec,
            dataclasses.replace(cast(Any, resource), **changes, **({"phase": phase} if phase else {})),
        )
    if resource.n_units != 1:
        raise ValueError(
            f"{type(resource).__name__} has {resource.n_units} units; give their buses when you make it"
        )
    placed = copy.deepcopy(resource)
    if bus is not None:
        placed.buses = (bus_id(bus),)
    if phase is not None:
        check_phase(type(resource).__name__, phase)
        placed.phases = (phase,)
    return placed


def group(resources: Sequence[ResourceSpec | Resource]) -> tuple[Resource, ...]:
    """One program per class of specs, in order of first appearance; own instances are copied."""
    groups: dict[object, list[Any]] = {}
    for k, item in enumerate(resources):
        if isinstance(item, ResourceSpec):
            groups.setdefault(type(item), []).append(item)
        elif isinstance(item, Resource):
            groups[k] = [item]
        else:
            raise TypeError(
                f"resource {k} is {type(item).__name__}: expected Battery, PV, another ResourceSpec, "
                "or an instance of your own Resource subclass"
            )
    return tuple(
        key.program(members)
        if isinstance(key, type) and issubclass(key, ResourceSpec)
        else copy.deepcopy(members[0])
        for key, members in groups.items()
    )


def assign_names(programs: Sequence[Resource]) -> None:
    """Given names must be unique; the others are "kind_bus", with #2, #3 where that is taken."""
    asked = Counter(n for p in programs for n in p.requested_names if n)
    twice = sorted(n for n, count in asked.items() if count > 1)
    if twice:
        raise ValueError(
            f"resource name used more than once: {', '.join(twice)}; give each unit its own name"
        )
    taken = set(asked)
    for program in programs:
        names = []
        for wanted, bus in zip(program.requested_names, program.buses, strict=True):
            name = wanted or f"{program.kind}_{bus}"
            count = 1
            while not wanted and name in taken:
                count += 1
                name = f"{program.kind}_{bus}#{count}"
            taken.add(name)
            names.append(name)
        program.names = tuple(names)


def node_rows(programs: Sequence[Resource], feeder: Feeder) -> Ints:
    """(n_units,) rows of feeder.nodes; ValueError for an unknown bus or a phase that the bus lacks."""
    rows: list[int] = []
    node_phase = feeder.column("nodes", "phase")
    for program in programs:
        for name, bus, phase in zip(program.names, program.buses, program.phases, strict=True):
            row = feeder.node_index.get(bus)
            if row is None:
                near = difflib.get_close_matches(bus, list(feeder.node_index), n=3)
                hint = (
                    f"; did you mean {' or '.join(near)}?"
                    if near
                    else f"; it has {len(feeder.node_index)} buses"
                )
                raise ValueError(f"{name}: feeder {feeder.name} has no bus {bus!r}{hint}")
            missing = sorted(set(phase) - set(str(node_phase[row])))
            if missing:
                raise ValueError(
                    f"{name}: phase {phase} needs {', '.join(missing)}, but bus {bus} of feeder "
                    f"{feeder.name} has phase {node_phase[row]}"
                )
            rows.append(row)
    return np.array(rows, dtype=np.int64)


def ports_of(rows: Ints, phases: Sequence[str], feeder: Feeder) -> tuple[tuple[tuple[int, str], ...], Ints]:
    """Where units connect: the distinct (node row, phase) of a per-phase feeder, and each unit's column.

    On a balanced feeder units connect to nodes: no ports, and the columns are the node rows.
    """
    if feeder.phases != "per-phase":
        return (), rows
    pairs = list(zip(rows.tolist(), phases, strict=True))
    ports = tuple(dict.fromkeys(pairs))
    return ports, np.array([ports.index(pair) for pair in pairs], dtype=np.int64)


def program_keys(programs: Sequence[Resource]) -> tuple[str, ...]:
    """One key per program: its kind, with #2, #3 where several programs share it."""
    seen: Counter[str] = Counter()
    keys = []
    for program in programs:
        seen[program.kind] += 1
        keys.append(program.kind if seen[program.kind] == 1 else f"{program.kind}#{seen[program.kind]}")
    return tuple(keys)


def action_dims(programs: Sequence[Resource]) -> tuple[ActionDim, ...]:
    """All action dimensions, program by program; ValueError for a name that is not "unit.quantity"."""
    dims: list[ActionDim] = []
    for program in programs:
        bus_of = dict(zip(program.names, program.buses, strict=True))
        for name, positions in zip(program.action_names, program.action_positions, strict=True):
            unit, _, quantity = name.rpartition(".")
            if unit not in bus_of:
                raise ValueError(
                    f"{type(program).__name__}: action name {name!r} must read 'unit.quantity', "
                    f"with a unit of {', '.join(program.names[:5])}"
                )
            dims.append(ActionDim(len(dims), name, unit, bus_of[unit], quantity, positions))
    return tuple(dims)


def unit_infos(
    programs: Sequence[Resource], rows: Ints, dims: Sequence[ActionDim], entries: Sequence[Entry],
    obs_offset: int,
) -> tuple[UnitInfo, ...]:  # fmt: skip
    """Where every unit sits; observations of the fleet begin at column ``obs_offset``."""
    actions = {(d.resource_name, d.quantity): d.index for d in dims}
    observed: dict[str, dict[str, int]] = {}
    for column, entry in enumerate(entries):
        unit, _, quantity = entry.name.rpartition(".")
        observed.setdefault(unit, {})[quantity] = obs_offset + column
    infos: list[UnitInfo] = []
    for program in programs:
        for k, name in enumerate(program.names):
            energy = float(program.energy_mwh[k])
            infos.append(
                UnitInfo(
                    index=len(infos),
                    kind=program.kind,
                    name=name,
                    bus=program.buses[k],
                    phase=program.phases[k],
                    node_row=int(rows[len(infos)]),
                    p_mw=float(program.rated_p_mw[k]),
                    s_mva=float(program.s_mva[k]),
                    q_max_mvar=float(program.q_max_mvar[k]),
                    energy_mwh=None if np.isnan(energy) else energy,
                    action_p=actions.get((name, "p")),
                    action_q=actions.get((name, "q")),
                    observation=observed.get(name, {}),
                )
            )
    return tuple(infos)


def observation_blocks(keys: Sequence[str], programs: Sequence[Resource]) -> dict[str, slice]:
    """Runs of one quantity of one program, as "battery.soc" -> slice of the fleet's observation."""
    blocks: dict[str, slice] = {}
    column = 0
    for key, program in zip(keys, programs, strict=True):
        for entry in program.observation_spec:
            name = f"{key}.{entry.name.rpartition('.')[2]}"
            run = blocks.get(name)
            if run is not None and run.stop != column:
                raise ValueError(
                    f"{key}: observations must be ordered quantity by quantity ({entry.name} is not)"
                )
            blocks[name] = slice(column if run is None else run.start, column + 1)
            column += 1
    return blocks
