"""PSS/E RAW files (versions 30 to 35) as balanced feeders.

Read are buses, loads (constant power, current and admittance), fixed and switched shunts, generators,
branches, switching devices and transformers of two windings. Rules that need words:

- **Ids** are bus numbers, and `1-2.CKT` for branches.
- **Ratios.** The impedance of a transformer lies between its two ideal ratios; both go to the from end.
- **Sources** are the swing buses; generators at buses of type 2 hold their voltage, others inject.
- **Switched shunts** stand at their BINIT, as capacitor banks or reactors.
- **Feeders** are the areas, where there are several, else what each swing bus feeds.
- **Not read**: zones, owners and interchange, which change nothing in a power flow.
- **Refused**: transformers of three windings, DC lines and FACTS devices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaseError
from ...model.edit import node_loads
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from ...schema import table, table_of_rows
from ..reading import EngineVoltages, Reading
from ..several import told_apart
from .elements import Draw, Elements, Joint
from .records import read_raw

SUFFIXES = (".raw",)
_SWING, _HOLDS = 3, 2


def import_psse(path: str | Path, feeder_id: str | None = None) -> Feeder:
    """Read a PSS/E RAW file.

    Raises:
        CaseError: it cannot be read, is cut off, or holds what no feeder can; names line and field.
    """
    return read_file(path, feeder_id).feeder


def read_file(path: str | Path, feeder_id: str | None = None) -> Reading:
    """A RAW file with its engine; see `import_psse`."""
    path = Path(path)
    raw = read_raw(path)
    elements = Elements(raw)
    build = _Build(elements, feeder_id or path.stem)
    feeder = build.feeder(path.stem)
    if feeder_id is None:
        feeder = told_apart(feeder, {str(bus.number): bus.area for bus in build.buses})

    def engine() -> EngineVoltages:
        from .engine import solve_elements

        return solve_elements(elements, [int(node) for node in feeder.column("nodes", "node_id")])

    counts = {name: len(rows) for name, rows in raw.sections.items() if rows}
    told = ("bus", "load", "fixed shunt", "switched shunt", "generator", "branch", "system switching device",
            "transformer")  # fmt: skip
    return Reading(
        feeder, engine, {name: counts[name] for name in told if name in counts},
        {name: count for name, count in counts.items() if name not in told},
    )  # fmt: skip


class _Build:
    """The tables, and the line that each of their rows came from."""

    def __init__(self, elements: Elements, mark: str) -> None:
        self.el, self.mark, self.lines = elements, mark, dict[str, list[int]]()
        self.buses = [bus for bus in elements.buses.values() if bus.number in elements.on]
        self.base = elements.base

    def _table(self, name: str, rows: list[tuple[int, dict[str, Any]]]) -> Any:
        self.lines[name] = [line for line, _ in rows]
        return table_of_rows(name, [row for _, row in rows], self.mark)

    def feeder(self, name: str) -> Feeder:
        """The feeder of the file."""
        loads, sources = self._loads(), self._sources()
        tables = {
            "nodes": node_loads(self._nodes(sources), loads),
            "branches": self._table("branches", [(j.record.line, self._joint(j)) for j in self.el.joints]),
            "loads": loads,
            "capacitors": self._table("capacitors", [
                (s.record.line, {"cap_id": s.name, "node_id": str(s.bus), "phase": "ABC",
                                 "q_mvar": -s.mva.imag, "status": True})
                for s in self.el.shunts if s.switched and s.mva.imag < 0
            ]),
            "regulators": table("regulators", {}),
            "transformers": self._table("transformers", [
                (j.record.line, {"transformer_id": f"t{j.name}", "branch_id": j.name, "s_mva": j.rating_mva,
                                 "hv_kv": max(self._kv(j)), "lv_kv": min(self._kv(j))})
                for j in self.el.joints if j.kind == "transformer"
            ]),
            "switches": self._table("switches", [
                (j.record.line, {"switch_id": f"s{j.name}", "branch_id": j.name,
                                 "type": "sectionaliser" if j.closed else "tie", "normally_closed": j.closed})
                for j in self.el.joints if j.kind == "switch" or not j.closed
            ]),
            "sources": sources,
        }  # fmt: skip
        raw = self.el.raw
        metadata = {"source": f"PSS/E RAW file {Path(raw.file).name}, version {raw.version}"}
        if raw.title:
            metadata["title"] = raw.title

        def place(table_name: str, row: int | None) -> tuple[str, int | None]:
            return raw.file, None if row is None else self.lines[table_name][row]

        return with_layout(
            Feeder(
                name=name, base_mva=self.base, feeder_id=self.mark, metadata=metadata, place=place, **tables
            )
        )

    def _kv(self, joint: Joint) -> tuple[float, float]:
        first, second = (self.el.buses[bus].kv for bus in joint.ends)
        return first, second

    def _nodes(self, sources: Any) -> Any:
        shunt: dict[int, complex] = {}
        for one in self.el.shunts:
            if not (one.switched and one.mva.imag < 0):
                shunt[one.bus] = shunt.get(one.bus, 0j) + one.mva
        for joint in self.el.joints:
            if joint.closed:
                for end, y in zip(joint.ends, joint.y_ends, strict=True):
                    shunt[end] = shunt.get(end, 0j) + np.conj(y) * self.base
        feeds = set(sources.column("node_id").to_pylist())
        loaded, gives = {load.bus for load in self.el.loads}, {unit.bus for unit in self.el.units}
        rows = []
        for bus in self.buses:
            node, drawn = str(bus.number), shunt.get(bus.number, 0j)
            kind = ("source" if node in feeds else "der" if bus.number in gives else
                    "load" if bus.number in loaded else "junction")  # fmt: skip
            rows.append((bus.record.line, {
                "node_id": node, "phase": "ABC", "type": kind, "base_kv": bus.kv, "v_min": bus.v_min,
                "v_max": bus.v_max, "load_p_mw": 0.0, "load_q_mvar": 0.0, "shunt_g_mw": drawn.real,
                "shunt_b_mvar": 0.0 - drawn.imag,
            }))  # fmt: skip
        return self._table("nodes", rows)

    def _joint(self, joint: Joint) -> dict[str, Any]:
        z = joint.z * joint.t2**2
        rated = joint.rating_mva is not None
        return {
            "branch_id": joint.name, "from_node": str(joint.ends[0]), "to_node": str(joint.ends[1]),
            "type": joint.kind, "phase": "ABC", "r": z.real, "x": z.imag, "b": joint.b,
            "tap": joint.t1 / joint.t2, "shift_deg": joint.shift_deg, "status": joint.closed,
            "thermal_limit_mva": joint.rating_mva, "rating_source": "source" if rated else None,
        }  # fmt: skip

    def _loads(self) -> Any:
        rows = [(load.record.line, _shares(load)) for load in self.el.loads if load.s or load.i or load.y]
        for unit in self.el.units:
            kind = self.el.buses[unit.bus].kind
            if kind == _SWING:
                continue
            holds = kind == _HOLDS
            rows.append((unit.record.line, {
                "load_id": unit.name, "node_id": str(unit.bus), "phase": "ABC", "p_mw": -unit.p_mw,
                "q_mvar": 0.0 if holds else -unit.q_mvar,
                **dict.fromkeys(("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"), 0.0),
                "v_set_pu": unit.v_pu if holds else None,
                "q_min_mvar": unit.q_min if holds else None,
                "q_max_mvar": unit.q_max if holds else None,
            }))  # fmt: skip
        return self._table("loads", rows)

    def _sources(self) -> Any:
        rows = []
        for bus in self.buses:
            if bus.kind == _SWING:
                units = [unit.v_pu for unit in self.el.units if unit.bus == bus.number]
                rows.append((bus.record.line, {
                    "source_id": f"source{bus.number}", "node_id": str(bus.number),
                    "v_pu": units[0] if units else bus.vm_pu, "v_deg": bus.va_deg,
                }))  # fmt: skip
        return self._table("sources", rows)


def _shares(load: Draw) -> dict[str, Any]:
    total = load.s + load.i + load.y

    def share(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    row = {
        "load_id": load.name, "node_id": str(load.bus), "phase": "ABC",
        "p_mw": total.real, "q_mvar": total.imag,
        "p_z_frac": share(load.y.real, total.real), "p_i_frac": share(load.i.real, total.real),
        "q_z_frac": share(load.y.imag, total.imag), "q_i_frac": share(load.i.imag, total.imag),
        "v_set_pu": None, "q_min_mvar": None, "q_max_mvar": None,
    }  # fmt: skip
    both = (
        (total.real, (load.s.real, load.i.real, load.y.real), "PL, IP, YP"),
        (total.imag, (load.s.imag, load.i.imag, load.y.imag), "QL, IQ, YQ"),
    )
    for whole, parts, name in both:
        if not whole and any(parts):
            shown, expected = ", ".join(f"{part:g}" for part in parts), "parts that do not cancel at 1 pu"
            raise CaseError([load.record.problem(name, shown, expected)])
    return row
