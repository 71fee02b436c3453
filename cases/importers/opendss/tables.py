"""Tables of a per-phase feeder from the parts of an OpenDSS circuit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...model.edit import node_loads
from ...model.feeder import Feeder
from ...schema import table_of_rows
from .branches import ROOT3, Span, base_of, buses, check_split, spans
from .parts import Feed, Parts, Place, Shunt, Unit, Wire, listed
from .rows import Frame, Row, bank_control_row, capacitor_row, dead_phases, load_row, regulator_row, unit_row
from .ungrounded_windings import antifloat_shunts

BASE_MVA = 1.0


class Tables:
    """Builds the tables and remembers the place that each of their rows came from."""

    def __init__(self, parts: Parts, file: str) -> None:
        self.parts, self.file = parts, file
        self.places: dict[str, list[Place]] = {}
        self.notes = list(parts.notes)
        self.sources = parts.sources
        self.source = parts.sources[0]
        self.controls = parts.tap_controls
        tapped = {control.unit.name: control.unit for control in self.controls}
        self.units = [tapped.get(unit.name, unit) for unit in parts.units]
        self.spans = self._with_ties(spans(self._wires(), self.units, self.controls))
        self.buses = buses(self.spans, self.sources, [*parts.loads, *parts.capacitors])
        check_split(self.spans, self.buses)
        self.base = {
            name: base_of(bus.kv or self.source.base_kv, parts.kv_bases) for name, bus in self.buses.items()
        }
        self.frame = Frame(self.buses, self.base)
        self.span_of_unit = {unit.name: span for span in self.spans for unit in span.units}
        self.span_of_wire = {wire.name: span for span in self.spans for wire in span.wires}

    def _wires(self) -> list[Wire]:
        """All wires but the disabled ones that are no switches and not the only ones to a bus with a load."""
        every, off = self.parts.wires, self.parts.off
        live = {bus for wire in every if wire.name not in off for bus in wire.buses}
        live |= {source.bus for source in self.sources}
        live |= {bus for unit in self.units for bus in unit.buses}
        served = {shunt.bus for shunt in (*self.parts.loads, *self.parts.capacitors)} - live
        self.needed = {wire.name for wire in every if wire.name in off and served & set(wire.buses)}
        found = []
        for wire in every:
            if wire.name not in off or wire.is_switch or wire.name in self.needed:
                found.append(wire)
            else:
                self.notes.append(f"line {wire.name} is disabled and was left out")
        return found

    def _with_ties(self, found: list[Span]) -> list[Span]:
        """Without disabled switches that lead to a bus or phase which is not there."""
        live: dict[str, set[int]] = {}
        for span in found:
            if span.units or span.closed or self._enabled(span):
                for end, bus in enumerate(span.buses):
                    nodes = {node for wire in span.wires for node in wire.nodes}
                    nodes |= {node for unit in span.units for node in unit.terminals[end]}
                    live.setdefault(bus, set()).update(nodes)
        kept = []
        for span in found:
            nodes = {node for wire in span.wires for node in wire.nodes}
            there = all(nodes <= live.get(bus, set()) for bus in span.buses)
            needed = any(wire.name in self.needed for wire in span.wires)
            if span.units or span.closed or self._enabled(span) or there or needed:
                kept.append(span)
            else:
                self.notes.append(f"switch {span.name} is disabled, leads nowhere, and was left out")
        return kept

    def _enabled(self, span: Span) -> bool:
        return any(wire.name not in self.parts.off for wire in span.wires)

    # -- the feeder ------------------------------------------------------------------------------------

    def feeder(self, feeder_id: str | None) -> Feeder:
        """The feeder; raises CaseError with files and lines."""
        self.feeder_id = feeder_id or self.parts.name
        shunts, banks = self.parts.loads, self.parts.capacitors
        feeding = [source.bus for source in self.sources]
        banks = [*banks, *antifloat_shunts(self.spans, feeding, [*shunts, *banks])]
        self._add_dead_phases([*shunts, *banks])
        load_table = self._table(
            "loads", [load_row(self.frame, shunt) for shunt in shunts], [shunt.place for shunt in shunts]
        )
        loaded = {shunt.bus for shunt in shunts}
        tables = {
            "nodes": node_loads(self._nodes(loaded), load_table),
            "branches": self._table(
                "branches", map(self._branch, self.spans), [_place(s) for s in self.spans]
            ),
            "loads": load_table,
            "capacitors": self._table(
                "capacitors",
                [capacitor_row(self.frame, bank) for bank in banks],
                [bank.place for bank in banks],
            ),
            "regulators": self._regulators(),
            "transformers": self._transformers(),
            "switches": self._switches(),
            "sources": self._table(
                "sources", map(self._source, self.sources), [source.place for source in self.sources]
            ),
            "cap_controls": self._cap_controls(),
        }
        self._note_disabled()
        metadata = {"source": f"OpenDSS script {Path(self.file).name}"}
        if self.notes:
            metadata["notes"] = "; ".join(self.notes)
        return Feeder(
            name=self.parts.name,
            base_mva=BASE_MVA,
            feeder_id=self.feeder_id,
            metadata=metadata,
            phases="per-phase",
            place=self._place,
            **tables,
        )

    def _add_dead_phases(self, shunts: Sequence[Shunt]) -> None:
        """Phases of buses that only loads and capacitors have: they get no source, as the notes say."""
        for name, nodes in dead_phases(self.buses, shunts).items():
            self.buses[name].nodes |= nodes
            letters = ", ".join(self.frame.phases(name, sorted(nodes)))
            self.notes.append(f"no line or transformer brings phase {letters} to bus {name}: no source")

    def _note_disabled(self) -> None:
        """What is disabled stands in no table (lines: see `_wires`), but in the notes, by class."""
        for kind, names in self.parts.disabled.items():
            self.notes.append(f"disabled and left out: {kind} {listed(names)}")

    def _place(self, table_name: str, row: int | None) -> tuple[str, int | None]:
        places = self.places.get(table_name, [])
        if row is None or row >= len(places):
            return self.file, None
        return places[row].file, places[row].line

    def _table(self, name: str, rows: Iterable[Row], places: Sequence[Place]) -> pa.Table:
        """Arrow table from rows; every row gets the feeder's id."""
        self.places[name] = list(places)
        return table_of_rows(name, list(rows), self.feeder_id)

    # -- nodes -----------------------------------------------------------------------------------------

    def _nodes(self, loaded: set[str]) -> pa.Table:
        positions = self._positions()
        rows, places = [], []
        feeding = {source.bus for source in self.sources}
        at: dict[str, Place] = {}
        for span in self.spans:
            for end in span.buses:
                at.setdefault(end, _place(span))
        for name, bus in self.buses.items():
            kind = "source" if name in feeding else "load" if name in loaded else "junction"
            x, y, origin = positions.get(name, (None, None, None))
            rows.append(
                {
                    "node_id": name,
                    "phase": self.frame.phases(name, sorted(bus.nodes)),
                    "type": kind,
                    "base_kv": self.base[name],
                    "v_min": self.parts.v_min,
                    "v_max": self.parts.v_max,
                    **dict.fromkeys(("load_p_mw", "load_q_mvar", "shunt_g_mw", "shunt_b_mvar"), 0.0),
                    "x": x,
                    "y": y,
                    "coord_source": origin,
                }
            )
            places.append(at.get(name, self.source.place))
        return self._table("nodes", rows, places)

    def _positions(self) -> dict[str, tuple[float, float, str]]:
        """Coordinates by bus: the file's, and for buses that it leaves out those of the nearest neighbour."""
        given = self.parts.coordinates
        known = {bus: (*given[bus], "source") for bus in self.buses if bus in given}
        if not known:
            return {}
        links: dict[str, list[str]] = {bus: [] for bus in self.buses}
        for span in self.spans:
            links[span.buses[0]].append(span.buses[1])
            links[span.buses[1]].append(span.buses[0])
        queue = list(known)
        for bus in queue:  # grows while it is read
            for other in links[bus]:
                if other not in known:
                    known[other] = (known[bus][0], known[bus][1], "layout")
                    queue.append(other)
        return known

    # -- branches --------------------------------------------------------------------------------------

    def _branch(self, span: Span) -> Row:
        start, end = span.buses
        kv = self.base[start]
        z, b = _matrices(span.wires, self.parts.hz)
        nodes = {node for wire in span.wires for node in wire.nodes}
        nodes |= {node for unit in span.units for node in unit.terminals[0]}
        r, x, tap = self._equivalent(span, z)
        km = [wire.length_km for wire in span.wires if wire.length_km is not None]
        limit = self._limit(span, kv)
        wired = bool(span.wires)
        return {
            "branch_id": span.name,
            "from_node": start,
            "to_node": end,
            "type": span.kind,
            "phase": self.frame.phases(start, sorted(nodes)),
            "r": r,
            "x": x,
            "b": 0.0 if span.units else _positive(b, nodes).real * 1e-6 * kv**2 / BASE_MVA,
            "tap": tap,
            "shift_deg": span.units[0].lag_deg if span.units else 0.0,
            "status": span.closed,
            "thermal_limit_mva": limit,
            "rating_source": "source" if limit else None,
            "length_km": max(km) if km and not span.units else None,
            "r_ohm": z.real.ravel().tolist() if wired else None,
            "x_ohm": z.imag.ravel().tolist() if wired else None,
            "b_us": b.ravel().tolist() if wired else None,
            "open_ends": span.open_ends,
        }

    def _equivalent(self, span: Span, z: np.ndarray) -> tuple[float, float, float]:
        """Positive-sequence r and x in pu at the from end, and the off-nominal ratio."""
        kv = self.base[span.buses[0]]
        if not span.units:
            nodes = {node for wire in span.wires for node in wire.nodes}
            value = _positive(z, nodes) * BASE_MVA / kv**2
            return max(value.real, 0.0), value.imag, 1.0
        unit = span.units[0]
        three = unit.phases == 3
        first = unit.kv[0] * (ROOT3 if not three and len(unit.terminals[0]) == 1 else 1.0)
        last = unit.kv[1] * (
            ROOT3 if not three and (len(unit.terminals[1]) == 1 or unit.connection == "centre-tap") else 1.0
        )
        rating = unit.kva / 1000.0 * (1.0 if three else 3.0)
        scale = BASE_MVA / rating * (first * unit.taps[0] / kv) ** 2 / 100.0
        tap = 1.0
        if span.kind == "transformer":
            tap = first * unit.taps[0] / kv / (last * unit.taps[1] / self.base[span.buses[1]])
        return sum(unit.r_pct[:2]) * scale, unit.x_pct[0] * scale, tap

    def _limit(self, span: Span, kv: float) -> float | None:
        """sqrt(3) kV A of the most loaded phase, from what the script gives."""
        if span.units:
            unit = span.units[0]
            if unit.phases == 3:
                return unit.kva / 1000.0
            return ROOT3 * kv * unit.kva / 1000.0 / unit.kv[0]
        amps = [wire.amps for wire in span.wires]
        if any(value is None for value in amps):
            return None
        return ROOT3 * kv * min(value for value in amps if value is not None) / 1000.0

    def _switches(self) -> pa.Table:
        found = [span for span in self.spans if span.kind == "switch" or not span.closed or span.open_ends]
        rows = [
            {
                "switch_id": span.name,
                "branch_id": span.name,
                "type": "sectionaliser" if span.closed and not span.open_ends else "tie",
                "normally_closed": span.closed and not span.open_ends,
            }
            for span in found
        ]
        return self._table("switches", rows, [_place(span) for span in found])

    # -- transformers and their controls ---------------------------------------------------------------

    def _transformers(self) -> pa.Table:
        found = [(span, unit) for span in self.spans for unit in span.units]
        frame, taken = self.frame, {control.unit.name for control in self.controls}
        rows = [unit_row(frame, span, unit, unit.name in taken) for span, unit in found]
        return self._table("transformers", rows, [unit.place for _, unit in found])

    def _regulators(self) -> pa.Table:
        taken: set[str] = set()
        for control in self.controls:
            if control.unit.name in taken:
                expected = "one control per transformer"
                raise control.place.error(
                    f"regcontrol.{control.name} transformer", control.unit.name, expected
                )
            taken.add(control.unit.name)
        rows = [
            regulator_row(self.frame, at, control, self.span_of_unit[control.unit.name])
            for at, control in enumerate(self.controls)
        ]
        return self._table("regulators", rows, [control.place for control in self.controls])

    # -- loads, capacitors, source ---------------------------------------------------------------------

    def _source(self, source: Feed) -> Row:
        return {
            "source_id": source.name,
            "node_id": source.bus,
            "v_pu": source.v_pu * source.base_kv / self.base[source.bus],
            "v_deg": source.v_deg,
            "r_ohm": source.z_ohm.real.ravel().tolist(),
            "x_ohm": source.z_ohm.imag.ravel().tolist(),
        }

    def _cap_controls(self) -> pa.Table:
        controls = self.parts.bank_controls
        rows = [
            bank_control_row(self.frame, control, self.span_of_wire.get(control.line)) for control in controls
        ]
        return self._table("cap_controls", rows, [control.place for control in controls])


def _place(span: Span) -> Place:
    first: Wire | Unit = span.units[0] if span.units else span.wires[0]
    return first.place


def _matrices(parts: Iterable[Wire], hz: float) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) ohm and microsiemens of wires side by side, in A, B, C order."""
    z, b = np.zeros((3, 3), dtype=complex), np.zeros((3, 3))
    for wire in parts:
        at = np.array(wire.nodes) - 1
        z[at[:, None], at] = wire.z_ohm
        b[at[:, None], at] = wire.c_nf * 2.0 * np.pi * hz * 1e-3
    return z, b


def _positive(matrix: np.ndarray, nodes: Iterable[int]) -> complex:
    """Mean of the diagonal minus mean of the rest, over the phases present."""
    at = np.array(sorted(nodes)) - 1
    part = matrix[at[:, None], at]
    own, n = np.trace(part) / len(at), len(at)
    return complex(own - (part.sum() - np.trace(part)) / (n * (n - 1)) if n > 1 else own)
