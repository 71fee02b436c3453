"""The tables of a CIM model from its typed objects; the rules are those of `importer`."""

from __future__ import annotations

import cmath
import math
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaseError, Problem
from ...model.edit import node_loads
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from ...schema import table, table_of_rows
from ..reading import EngineMissingError, EngineVoltages, Reading
from ..several import told_apart
from . import models as cim
from .documents import Item
from .tap_ratios import TapRatios
from .voltages import HeldVoltages
from .windings import BASE_MVA, Series, Winding, pair, to_star, winding

_NO_LIMIT_MVAR = 1e6


def read(items: dict[str, Item], path: str | Path, feeder_id: str | None = None) -> Reading:
    """A CIM model with the voltages of its SV profile; see `importer.import_cim`."""
    path = Path(path)
    model = cim.Model(items, str(path))
    build = _Build(model, feeder_id or path.stem)
    feeder = build.feeder(path.stem)
    if feeder_id is None:
        feeder = told_apart(feeder, build.feeder_of_node())

    def engine() -> EngineVoltages:
        return build.solved(feeder)

    return Reading(feeder, engine, *model.counts())


class _Build:
    """Rows of all tables."""

    def __init__(self, model: cim.Model, mark: str) -> None:
        self.model, self.mark = model, mark
        self.kv: dict[str, float] = {}
        self.names: dict[str, str] = {}
        self.terminals: dict[str, list[cim.Terminal]] = {}
        self.place: dict[str, str] = {}  # terminal to node
        self.topological: dict[str, str] = {}  # node to topological node
        self.shunt: dict[str, complex] = {}
        self.branches: list[dict[str, Any]] = []
        self.units: list[dict[str, Any]] = []
        self._find_nodes()
        placed = {
            name: self.place[found[0].mrid]
            for name, found in self.terminals.items()
            if len(found) == 1 and found[0].connected
        }
        self.held = HeldVoltages(model, placed, self.topological)

    def refuse(self, kind: str, mrid: str, expected: str, value: str = "") -> CaseError:
        """The error that names one object."""
        return CaseError([Problem(self.model.file, None, f"{kind} {mrid}", value, expected)])

    def _find_nodes(self) -> None:
        nominal = {one.mrid: one.nominal_kv for one in self.model.of(cim.BaseVoltage)}
        for terminal in sorted(self.model.of(cim.Terminal), key=lambda one: (one.equipment, one.sequence)):
            node = terminal.connectivity_node or terminal.topological_node
            if not node:
                raise self.refuse("Terminal", terminal.mrid, "a ConnectivityNode or TopologicalNode")
            self.terminals.setdefault(terminal.equipment, []).append(terminal)
            self.place[terminal.mrid] = node
            if terminal.topological_node:
                self.topological[node] = terminal.topological_node
        for node in dict.fromkeys(self.place.values()):
            found = self.model.objects.get(node)
            if isinstance(found, cim.TopologicalNode):
                base = found.base_voltage
            else:
                inner = self.model.get(cim.ConnectivityNode, node)
                base = self._base_of(inner)
            if base not in nominal:
                raise self.refuse("BaseVoltage", base, "a base voltage of this model")
            self.kv[node] = nominal[base]
            self.names[node] = "" if found is None else found.name

    def _base_of(self, node: cim.ConnectivityNode) -> str:
        level = self.model.objects.get(node.container)
        if isinstance(level, cim.VoltageLevel):
            return level.base_voltage
        topological = self.topological.get(node.mrid, "")
        if topological:
            return self.model.get(cim.TopologicalNode, topological).base_voltage
        raise self.refuse(
            "ConnectivityNode", node.mrid, "a container that is a VoltageLevel, or a TopologicalNode"
        )

    def at(self, one: cim.CimObject) -> str:
        """The node of equipment with one terminal; "" where that is not connected."""
        found = self.terminals.get(one.mrid, [])
        if len(found) != 1:
            raise self.refuse(type(one).__name__, one.mrid, "one terminal", f"{len(found)} terminals")
        return self.place[found[0].mrid] if found[0].connected else ""

    def ends(self, one: cim.CimObject) -> tuple[str, str, bool]:
        """Nodes of equipment with two terminals, and whether both are connected."""
        found = self.terminals.get(one.mrid, [])
        if len(found) != 2:
            raise self.refuse(type(one).__name__, one.mrid, "two terminals", f"{len(found)} terminals")
        first, second = (self.place[terminal.mrid] for terminal in found)
        return first, second, all(terminal.connected for terminal in found)

    # -- branches --------------------------------------------------------------------------------------

    def _branch(self, one: cim.CimObject, ends: tuple[str, str], kind: str, status: bool) -> dict[str, Any]:
        row = {
            "branch_id": one.mrid, "from_node": ends[0], "to_node": ends[1], "type": kind, "phase": "ABC",
            "r": 0.0, "x": 0.0, "b": 0.0, "tap": 1.0, "shift_deg": 0.0, "status": status,
            "thermal_limit_mva": None, "rating_source": None, "length_km": None,
        }  # fmt: skip
        self.branches.append(row)
        return row

    def _draw(self, node: str, s_pu: complex) -> None:
        self.shunt[node] = self.shunt.get(node, 0j) + s_pu * BASE_MVA

    def lines(self) -> None:
        """Line segments."""
        for line in self.model.of(cim.ACLineSegment):
            start, end, on = self.ends(line)
            ohm = self.kv[start] ** 2 / BASE_MVA
            row = self._branch(line, (start, end), "line", on)
            row |= {
                "r": line.r_ohm / ohm,
                "x": line.x_ohm / ohm,
                "b": line.b_s * ohm,
                "length_km": line.length_km,
            }
            for node in (start, end) if line.g_s and on else ():
                self._draw(node, complex(0.5 * line.g_s * ohm))

    def switches(self) -> None:
        """Switches, which have no impedance."""
        for switch in self.model.of(cim.SwitchObject):
            start, end, on = self.ends(switch)
            self._branch(switch, (start, end), "switch", on and not switch.is_open)

    def transformers(self) -> None:
        """Transformers of two windings, and of three around an inner node that has their mRID."""
        in_order = sorted(self.model.of(cim.PowerTransformerEnd), key=lambda one: one.number)
        ends = cim.grouped(in_order, lambda one: one.transformer)
        taps = TapRatios(self.model)
        for transformer in self.model.of(cim.PowerTransformer):
            own = ends.get(transformer.mrid, [])
            if [end.number for end in own] not in ([1, 2], [1, 2, 3]):
                expected = "two ends, numbered 1 and 2, or three, numbered 1 to 3"
                raise self.refuse("PowerTransformer", transformer.mrid, expected, f"{len(own)} ends")
            on = {one.mrid: one.connected for one in self.terminals.get(transformer.mrid, [])}
            if sorted(on) != sorted(end.terminal for end in own):
                expected = "ends at the terminals of the transformer"
                raise self.refuse("PowerTransformer", transformer.mrid, expected)
            nodes = [self.place[end.terminal] for end in own]
            wound = [winding(end, node, self.kv[node], taps) for end, node in zip(own, nodes, strict=True)]
            if len(wound) == 2:
                live = all(on.values())
                self._unit(transformer, wound[0], nodes[1], pair(*wound), live)
                drawing = [live, live]
            else:
                self.kv[transformer.mrid], self.names[transformer.mrid] = self.kv[nodes[0]], transformer.name
                drawing = [on[end.terminal] for end in own]
                for one, live in zip(wound, drawing, strict=True):
                    self._unit(one.end, one, transformer.mrid, to_star(one, wound[0]), live)
            for one, live in zip(wound, drawing, strict=True):
                if live:
                    self._draw(one.node, one.y.conjugate())

    def _unit(self, who: cim.CimObject, first: Winding, to_node: str, series: Series, status: bool) -> None:
        """A branch of a transformer."""
        size = first.end.rated_mva
        row = self._branch(who, (first.node, to_node), "transformer", status)
        row |= {
            "r": series.z.real, "x": series.z.imag, "tap": series.tap, "shift_deg": series.shift_deg,
            "thermal_limit_mva": size, "rating_source": "source" if size else None,
        }  # fmt: skip
        kv = self.kv[first.node], self.kv[to_node]
        self.units.append({
            "transformer_id": who.mrid, "branch_id": who.mrid, "s_mva": size,
            "hv_kv": max(kv), "lv_kv": min(kv),
        })  # fmt: skip

    # -- at nodes ----------------------------------------------------------------------------------------

    def loads(self) -> list[dict[str, Any]]:
        """Loads, and machines as negative loads."""
        rows = []
        for load in self.model.of(cim.EnergyConsumer):
            row = self._load(load, load.p_mw, load.q_mvar)
            if load.response and row:
                how = self.model.get(cim.LoadResponseCharacteristic, load.response)
                if how.exponents:
                    row |= {"cvr_p": how.p_exponent, "cvr_q": how.q_exponent}
                else:
                    row |= {
                        "p_z_frac": how.p_z,
                        "p_i_frac": how.p_i,
                        "q_z_frac": how.q_z,
                        "q_i_frac": how.q_i,
                    }
            rows.append(row)
        rows += [self._machine(one) for one in self.model.of(cim.SynchronousMachine)]
        return [row for row in rows if row]

    def _machine(self, one: cim.SynchronousMachine) -> dict[str, Any]:
        """A machine as a negative load that may hold its voltage; none where it is the source."""
        row = self._load(one, one.p_mw, one.q_mvar)
        if not row or one.mrid == self.held.reference:
            return {}
        held = self.held.target_pu(one, self.kv[row["node_id"]])
        if held is not None:
            limits = (one.q_min_mvar, one.q_max_mvar)
            low, high = (None if q is None or abs(q) > _NO_LIMIT_MVAR else q for q in limits)
            row |= {"q_mvar": 0.0, "v_set_pu": held, "q_min_mvar": low, "q_max_mvar": high}
        return row

    def _load(self, one: cim.CimObject, p_mw: float, q_mvar: float) -> dict[str, Any]:
        node = self.at(one)
        if not node:
            return {}
        return {
            "load_id": one.mrid, "node_id": node, "phase": "ABC", "p_mw": p_mw, "q_mvar": q_mvar,
            "p_z_frac": 0.0, "p_i_frac": 0.0, "q_z_frac": 0.0, "q_i_frac": 0.0, "cvr_p": None, "cvr_q": None,
            "v_set_pu": None, "q_min_mvar": None, "q_max_mvar": None,
        }  # fmt: skip

    def banks(self) -> list[dict[str, Any]]:
        """Capacitor banks; reactors and losses stay with their nodes."""
        rows = []
        for one in self.model.of(cim.LinearShuntCompensator):
            node = self.at(one)
            if not node:
                continue
            y = complex(one.g_s, one.b_s) * one.sections * self.kv[node] ** 2
            if y.real == 0 and one.b_s > 0:
                full = one.b_s * max(one.sections, 1.0) * self.kv[node] ** 2
                rows.append({"cap_id": one.mrid, "node_id": node, "phase": "ABC", "q_mvar": full,
                             "status": one.sections > 0})  # fmt: skip
            else:
                self._draw(node, y.conjugate() / BASE_MVA)
        return rows

    def sources(self) -> list[dict[str, Any]]:
        """External network injections and energy sources, or the machine that is the reference of angles."""
        rows = []
        machines = (one for one in self.model.of(cim.SynchronousMachine) if one.mrid == self.held.reference)
        for grid in (*self.model.of(cim.ExternalNetworkInjection), *machines):
            node = self.at(grid)
            if not node:
                continue
            rows.append({"source_id": grid.mrid, "node_id": node, "v_deg": self._angle(node),
                         "v_pu": self.held.source_pu(grid, self.kv[node])})  # fmt: skip
        for source in self.model.of(cim.EnergySource):
            node = self.at(source)
            if node:
                rows.append({"source_id": source.mrid, "node_id": node,
                             "v_pu": (source.kv or self.kv[node]) / self.kv[node],
                             "v_deg": math.degrees(source.angle_rad)})  # fmt: skip
        if not rows:
            expected = "an ExternalNetworkInjection or EnergySource that is connected"
            raise CaseError([Problem(self.model.file, None, "", "", expected)])
        return rows

    def _angle(self, node: str) -> float:
        """An external network has no angle of its own: it is that of the solution, or 0."""
        solved = self._state().get(self.topological.get(node, node))
        return 0.0 if solved is None else solved.angle_deg

    def _state(self) -> dict[str, cim.SvVoltage]:
        return {one.node: one for one in self.model.of(cim.SvVoltage)}

    # -- the feeder ----------------------------------------------------------------------------------------

    def _table(self, name: str, rows: list[dict[str, Any]]) -> Any:
        return table_of_rows(name, rows, self.mark)

    def feeder(self, name: str) -> Feeder:
        """The feeder of the model."""
        self.lines()
        self.switches()
        self.transformers()
        loads, sources, banks = self._table("loads", self.loads()), self.sources(), self.banks()
        feeds, loaded = {row["node_id"] for row in sources}, set(loads.column("node_id").to_pylist())
        nodes = [
            {
                "node_id": node, "phase": "ABC", "base_kv": kv, "v_min": 0.9, "v_max": 1.1, "load_p_mw": 0.0,
                "load_q_mvar": 0.0, "shunt_g_mw": self.shunt.get(node, 0j).real,
                "shunt_b_mvar": 0.0 - self.shunt.get(node, 0j).imag,
                "type": "source" if node in feeds else "load" if node in loaded else "junction",
            }
            for node, kv in self.kv.items()
        ]  # fmt: skip
        normal = {one.mrid: not one.normally_open for one in self.model.of(cim.SwitchObject)}
        switches = [
            {"switch_id": row["branch_id"], "branch_id": row["branch_id"],
             "type": "sectionaliser" if normal.get(row["branch_id"], row["status"]) else "tie",
             "normally_closed": normal.get(row["branch_id"], row["status"])}
            for row in self.branches if row["branch_id"] in normal or not row["status"]
        ]  # fmt: skip
        return with_layout(Feeder(
            name=name, base_mva=BASE_MVA, feeder_id=self.mark,
            metadata={"source": f"CIM model {Path(self.model.file).name}"},
            nodes=node_loads(self._table("nodes", nodes), loads), loads=loads,
            branches=self._table("branches", self.branches), capacitors=self._table("capacitors", banks),
            regulators=table("regulators", {}), transformers=self._table("transformers", self.units),
            switches=self._table("switches", switches), sources=self._table("sources", sources),
            place=lambda name, row: (f"{self.model.file}: {name}", row),
        ))  # fmt: skip

    def feeder_of_node(self) -> dict[str, str]:
        """Feeder of each node: of its container, or of all equipment at it that is in one; else the model.

        Nothing where the model has no feeders.
        """
        found: dict[str, set[str]] = {node: set() for node in self.kv}
        for equipment, terminals in self.terminals.items():
            for terminal in terminals:
                found[self.place[terminal.mrid]].add(self.model.feeder_of(equipment))
        of_node = {}
        for node, names in found.items():
            inside = names - {""}
            shared = next(iter(inside)) if len(inside) == 1 else ""
            of_node[node] = self.model.feeder_of(node) or shared or self.mark
        return {} if set(of_node.values()) == {self.mark} else of_node

    def solved(self, feeder: Feeder) -> EngineVoltages:
        """The voltages of the SV profile.

        Raises:
            EngineMissingError: the model has none.
        """
        state = self._state()
        if not state:
            raise EngineMissingError("the model has no SV profile, whose voltages would verify it")
        v_pu = np.full(feeder.n_nodes, np.nan + 0j)
        known = np.zeros(feeder.n_nodes, dtype=bool)
        for row, node in enumerate(feeder.column("nodes", "node_id")):
            found = state.get(self.topological.get(str(node), str(node)))
            if found is not None:
                known[row] = True
                v = cmath.rect(found.kv / self.kv[str(node)], math.radians(found.angle_deg))
                v_pu[row] = v if found.kv else np.nan
        return EngineVoltages("the voltages of the SV profile", v_pu, known)
