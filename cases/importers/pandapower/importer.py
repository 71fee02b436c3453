"""pandapower nets as feeders: from a `.json` file, or a net in memory.

The impedances, ratios and shunts are those that pandapower compiles, see `branches`. Ids are pandapower's
names where they are unique within a table, else kind and index (`bus12`). Rules that need words:

- **Balanced or per-phase.** A net with asymmetric loads or generators in service becomes per-phase, as
  `runpp_3ph` solves it; any other balanced, as `runpp` does.
- **Open ends.** A line or transformer with one open switch ends in a node of its own, and the switch is a
  branch from there to the bus.
- **Three windings** are three branches to an inner node.
- **Generators** hold their voltage (`v_set_pu`), external grids and slack generators are sources.
- **Static generators and storage** are negative loads; shares of constant impedance and current are kept.
- **Shunts** without losses that inject are capacitor banks, others stay with their node.
- **Limits** of buses are the net's, 0.9 and 1.1 pu where it has none; ratings are those of lines and plates.
- **Magnetising currents** stand at the ends of a transformer as shunts of the nodes.
- **Feeders** are the zones of the net, where it has several, else what each external grid feeds.
- **Out of service** lines are open branches; other elements out of service are left out.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ...model.feeder import Feeder
from ..reading import Reading
from ..several import told_apart
from .balanced import Source, read_balanced
from .names import unique_names
from .nets import SUFFIXES as SUFFIXES
from .nets import copied, read_net
from .per_phase import read_per_phase
from .series import profiles_of
from .supported import check_supported, rows_in_service

PHASES = ("balanced", "per-phase")


def import_pandapower(path: str | Path, feeder_id: str | None = None, phases: str | None = None) -> Feeder:
    """Read a pandapower net from a `.json` file.

    Args:
        path: the file.
        feeder_id: id of the feeder; the name of the file by default.
        phases: "balanced" or "per-phase"; None: per-phase where the net has asymmetric loads.

    Raises:
        CaseError: the file cannot be read or holds what no feeder can; names table and row.
    """
    return read_file(path, feeder_id, phases).feeder


def read_file(path: str | Path, feeder_id: str | None = None, phases: str | None = None) -> Reading:
    """A `.json` file with its engine; see `import_pandapower`."""
    path = Path(path)
    net = read_net(path)
    title = str(net.get("name") or "")
    return _marked(
        read(net, Source(str(path), path.stem, feeder_id or path.stem, title), phases), net, feeder_id
    )


def from_pandapower(
    net: Any, name: str | None = None, feeder_id: str | None = None, phases: str | None = None
) -> Feeder:
    """A pandapower net in memory as a feeder; the net is not changed.

    Args:
        net: the net.
        name: name of the feeder; that of the net by default.
        feeder_id: id of the feeder; its name by default.
        phases: "balanced" or "per-phase"; None: per-phase where the net has asymmetric loads.

    Raises:
        CaseError: the net holds what no feeder can; names table and row.
    """
    return read_memory(net, name, feeder_id, phases).feeder


def read_memory(
    net: Any, name: str | None = None, feeder_id: str | None = None, phases: str | None = None
) -> Reading:
    """A net in memory with its engine; see `from_pandapower`."""
    called = name or str(net.get("name") or "") or "pandapower"
    net = copied(net)
    return _marked(read(net, Source("", called, feeder_id or called), phases), net, feeder_id)


def _marked(reading: Reading, net: Any, feeder_id: str | None) -> Reading:
    """With the zones of a net as its feeders, or what its sources feed, unless one id is given for all."""
    if feeder_id is not None:
        return reading
    zones = net.bus.get("zone", {})
    names = unique_names(net, "bus")
    of_node = {
        names[int(bus)]: "" if zone is None or zone != zone else str(zone) for bus, zone in zones.items()
    }
    return dataclasses.replace(reading, feeder=told_apart(reading.feeder, of_node))


def read(net: Any, source: Source, phases: str | None = None) -> Reading:
    """A net that is this function's own; see `from_pandapower`."""
    if phases not in (None, *PHASES):
        raise ValueError(f"phases = {phases!r}; expected {', '.join(map(repr, PHASES))} or None")
    per_phase = phases == "per-phase" if phases else is_per_phase(net)
    check_supported(net, source.file or source.kind, per_phase)
    if per_phase:
        return read_per_phase(net, source)
    reading = read_balanced(net, source)
    make = profiles_of(net, reading.feeder, source.file or source.kind)
    return dataclasses.replace(reading, profiles=make)


def is_per_phase(net: Any) -> bool:
    """Whether a net has asymmetric loads or generators in service."""
    return any(rows_in_service(net, table).any() for table in ("asymmetric_load", "asymmetric_sgen"))
