"""A pandapower net as a per-phase feeder, and its voltages by `runpp_3ph`.

`runpp_3ph` solves sequences, a feeder phases; both are the same network where every element has the same
impedances in positive and negative sequence, which lines and transformers have. The external grid holds its
voltage in the positive sequence and has its short-circuit impedance in the others; that is its Thevenin
matrix here. What a transformer draws beside its series impedance (magnetising, and the zero sequence of its
star) is a load of constant impedance at its ends, in star for the zero sequence and in delta for the others.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ...errors import CaseError, Problem
from ...model.edit import node_loads
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from ...schema import table, table_of_rows
from ..quiet import failures, no_solution, quiet
from ..reading import EngineFailedError, EngineVoltages, Reading
from .balanced import Source, bus_columns
from .names import Taken, unique_names
from .sequences import Compiled, Sequences, phase_matrix
from .supported import rows_in_service

SWITCH_OHM = 1e-9  # of a closed switch: the tables want one, and it moves no voltage
# The zero sequence of Yzn depends on sn_mva in pandapower, so it cannot be checked.
GROUPS = {"dyn": "delta-wye"}
_ROTATED = {0: "ABC", 120: "CAB", 240: "BCA"}
_LEGS = (("a", "A", "AB"), ("b", "B", "BC"), ("c", "C", "AC"))
_C = 1.1  # voltage factor of IEC 60909 that pandapower takes for external grids
_FINER = (1e-2, 1.0)
_DRAWS = 1e-13  # pu: less is rounding


def read_per_phase(net: Any, source: Source) -> Reading:
    """The net as a per-phase feeder; it is this function's own and gets columns."""
    build = _Build(net, source)
    feeder = build.feeder()
    ids = {node: bus for bus, node in build.nodes.items()}

    def engine() -> EngineVoltages:
        return solve_per_phase(net, [ids[node] for node in feeder.column("nodes", "node_id")])

    return Reading(feeder, engine, {k: n for k, n in build.counts.items() if n})


class _Build:
    """The tables of one net, row by row."""

    def __init__(self, net: Any, source: Source) -> None:
        self.net, self.source, self.mark = net, source, source.feeder_id
        self.file = source.file or source.kind
        names, active = unique_names(net, "bus", source.ids), rows_in_service(net, "bus")
        self.nodes = {int(k): names[int(k)] for k, on in zip(net.bus.index, active, strict=True) if on}
        self.kv = {int(k): float(v) for k, v in net.bus.vn_kv.items()}
        self.counts: Counter[str] = Counter({"bus": len(self.nodes)})
        self.branches: list[dict[str, Any]] = []
        self.units: list[dict[str, Any]] = []
        self.switches: list[dict[str, Any]] = []
        self.loads: list[dict[str, Any]] = []
        self._branch_id, self._load_id, self._switch_id = Taken(), Taken(), Taken()
        self._switch_names = unique_names(net, "switch", source.ids)
        self._check_data()
        self._compiled = Compiled(net)
        self._lines()
        self._transformers()
        self._bus_switches()
        self._given_loads()

    def _check_data(self) -> None:
        """What a run per phase needs of lines, transformers and grids."""
        needed = {
            "line": ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km"),
            "trafo": (
                "vector_group",
                "vk0_percent",
                "vkr0_percent",
                "mag0_percent",
                "mag0_rx",
                "si0_hv_partial",
            ),
            "ext_grid": ("s_sc_max_mva", "rx_max", "x0x_max", "r0x0_max"),
        }
        problems = []
        for name, columns in needed.items():
            frame = self.net[name][rows_in_service(self.net, name)]
            for column in columns:
                values = frame[column] if column in frame else [None] * len(frame)
                for row, value in zip(frame.index, values, strict=True):
                    if value is None or value != value:
                        expected = "a value, as the net is solved per phase"
                        problems.append(Problem(self.file, None, f"{name} {row}: {column}", "", expected))
        for row, group in self.net.trafo.get("vector_group", {}).items():
            if str(group).lower() not in GROUPS:
                expected = "Dyn"
                problems.append(Problem(self.file, None, f"trafo {row}: vector_group", repr(group), expected))
        if problems:
            raise CaseError(problems)

    # -- branches --------------------------------------------------------------------------------------

    def _switches_of(self, et: str, element: int, buses: list[int]) -> list[int | None]:
        """Row of the open switch at each end of an element, and of a closed one where there is none."""
        frame = self.net.switch
        own = frame[(frame.et == et) & (frame.element == element)]
        found: list[int | None] = []
        for bus in buses:
            at = own.index[(own.bus == bus) & ~own.closed.astype(bool)]
            found.append(int(at[0]) if len(at) else None)
        closed = own.index[own.closed.astype(bool)]
        return [*found, int(closed[0]) if len(closed) else None]

    def _branch(self, name: str, ends: list[int], kind: str, status: bool) -> dict[str, Any]:
        row = {
            "branch_id": self._branch_id(name), "from_node": self.nodes[ends[0]],
            "to_node": self.nodes[ends[1]], "type": kind, "phase": "ABC",
            "r": 0.0, "x": 0.0, "b": 0.0, "tap": 1.0, "shift_deg": 0.0,
            "status": status, "open_ends": "", "thermal_limit_mva": None, "length_km": None,
            "r_ohm": None, "x_ohm": None, "b_us": None,
        }  # fmt: skip
        self.branches.append(row)
        return row

    def _switch(self, row: int | None, branch: dict[str, Any], closed: bool) -> None:
        name = branch["branch_id"] if row is None else self._switch_names[row]
        is_breaker = row is not None and str(self.net.switch.at[row, "type"]) == "CB"
        kind = "breaker" if is_breaker else "sectionaliser" if closed else "tie"
        self.switches.append({
            "switch_id": self._switch_id(name), "branch_id": branch["branch_id"], "type": kind,
            "normally_closed": closed,
        })  # fmt: skip

    def _lines(self) -> None:
        frame, names = self.net.line, unique_names(self.net, "line", self.source.ids)
        active = rows_in_service(self.net, "line")
        for at, (row, values) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
            ends = [int(values["from_bus"]), int(values["to_bus"])]
            if any(bus not in self.nodes for bus in ends):
                continue
            found, branch = (
                self._compiled.of("line", at),
                self._branch(names[int(row)], ends, "line", bool(active[at])),
            )
            self._matrices(branch, found, self.kv[ends[0]])
            branch["length_km"] = float(values["length_km"]) or None
            limit = float(values.get("max_i_ka") or 0.0)
            if 0 < limit < 1e3:
                size = limit * float(values.get("parallel") or 1) * float(values.get("df") or 1.0)
                branch["thermal_limit_mva"] = float(np.sqrt(3.0) * self.kv[ends[0]] * size)
            *opened, closed = self._switches_of("l", int(row), ends)
            if all(at is not None for at in opened) or not active[at]:
                branch["status"] = False
                self._switch(opened[0], branch, False)
            elif any(at is not None for at in opened):
                end = 0 if opened[0] is not None else 1
                branch["open_ends"] = ("from", "to")[end]
                self._switch(opened[end], branch, False)
            elif closed is not None:
                self._switch(closed, branch, True)
            self.counts["line"] += 1

    def _matrices(self, branch: dict[str, Any], found: Sequences, kv: float) -> None:
        """Impedances in ohm, charging in uS; what a line draws in phase goes beside it."""
        z_base = kv**2 / (3.0 * float(self.net.sn_mva))
        z = phase_matrix(found.z0, found.z1, found.z1) * z_base
        b = phase_matrix(2j * found.y0_from.imag, *[2j * found.y1_from.imag] * 2) / z_base
        branch["r_ohm"], branch["x_ohm"] = z.real.ravel().tolist(), z.imag.ravel().tolist()
        branch["b_us"] = (1e6 * b.imag).ravel().tolist()
        for end in ("from_node", "to_node"):
            self._draws(branch, end, found.y1_from.real, found.y0_from.real)

    def _draws(self, branch: dict[str, Any], end: str, y1: complex, y0: complex) -> None:
        """Loads of constant impedance that stand for admittances to ground, in pu on sn_mva per phase."""
        if not branch["status"]:
            return
        base = 3.0 * float(self.net.sn_mva)
        for connection, y in (("wye", y0), ("delta", y1 - y0)):
            s = base * np.conj(complex(y))
            if abs(y) > _DRAWS:
                self._load(f"{branch['branch_id']}:{end[:-5]}:{connection}", branch[end], "ABC", connection,
                           float(s.real), float(s.imag), 1.0)  # fmt: skip

    def _transformers(self) -> None:
        frame, names = self.net.trafo, unique_names(self.net, "trafo", self.source.ids)
        active, base = rows_in_service(self.net, "trafo"), 3.0 * float(self.net.sn_mva)
        for at, (row, values) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
            ends = [int(values["hv_bus"]), int(values["lv_bus"])]
            if any(bus not in self.nodes for bus in ends):
                continue
            *opened, closed = self._switches_of("t", int(row), ends)
            on = bool(active[at]) and all(at is None for at in opened)
            found = self._compiled.of("trafo", at)
            branch = self._branch(names[int(row)], ends, "transformer", on)
            plate = float(values["sn_mva"]) * float(values.get("parallel") or 1)
            branch["thermal_limit_mva"] = plate * float(values.get("df") or 1.0)
            connection = GROUPS[str(values["vector_group"]).lower()]
            lag, to_phase = self._turned(int(row), found.shift_deg)
            self.units.append({
                "transformer_id": branch["branch_id"], "branch_id": branch["branch_id"], "s_mva": plate,
                "hv_kv": self.kv[ends[0]], "lv_kv": self.kv[ends[1]], "connection": connection,
                "from_phase": "ABC", "to_phase": to_phase, "tap_from": found.tap, "tap_to": 1.0,
                "lag_deg": lag,
                "r_pct": 100.0 * found.z1.real * plate / base, "x_pct": 100.0 * found.z1.imag * plate / base,
            })  # fmt: skip
            self._draws(branch, "from_node", found.y1_from, 0j)
            # The star of the tables has the series impedance in zero sequence, too.
            self._draws(branch, "to_node", found.y1_to, found.y0_to - 1.0 / found.z1)
            if not on:
                self._switch(next((at for at in opened if at is not None), None), branch, False)
            elif closed is not None:
                self._switch(closed, branch, True)
            self.counts["trafo"] += 1

    def _turned(self, row: int, shift_deg: float) -> tuple[float, str]:
        """Lag of the windings and order of the phases that together turn by a shift."""
        for lag in (30.0, -30.0):
            rest = (shift_deg - lag) % 360.0
            for turn, phases in _ROTATED.items():
                if min(abs(rest - turn), 360.0 - abs(rest - turn)) < 1e-9:
                    return lag, phases
        field, expected = f"trafo {row}: shift_degree", "a shift that the vector group can have"
        raise CaseError([Problem(self.file, None, field, f"{shift_deg:g}", expected)])

    def _bus_switches(self) -> None:
        frame = self.net.switch
        for row, values in zip(frame.index, frame.to_dict("records"), strict=True):
            ends = [int(values["bus"]), int(values["element"])]
            if values["et"] != "b" or any(bus not in self.nodes for bus in ends):
                continue
            closed = bool(values["closed"])
            branch = self._branch(self._switch_names[int(row)], ends, "switch", closed)
            z = float(values.get("z_ohm") or 0.0)
            x = z / np.sqrt(5.0) if z > 0 else 0.0  # pandapower's ratio of r to x is 2
            r = 2.0 * x if z > 0 else SWITCH_OHM
            branch["r_ohm"], branch["x_ohm"] = (
                (np.eye(3) * r).ravel().tolist(),
                (np.eye(3) * x).ravel().tolist(),
            )
            branch["b_us"] = [0.0] * 9
            self._switch(int(row), branch, closed)
            self.counts["switch"] += 1

    # -- at buses ----------------------------------------------------------------------------------------

    def _load(
        self, name: str, node: str, phase: str, connection: str, p_mw: float, q_mvar: float, z: float = 0.0
    ) -> None:
        self.loads.append({
            "load_id": self._load_id(name), "node_id": node, "phase": phase, "connection": connection,
            "p_mw": p_mw, "q_mvar": q_mvar, "p_z_frac": z, "p_i_frac": 0.0, "q_z_frac": z, "q_i_frac": 0.0,
        })  # fmt: skip

    def _given_loads(self) -> None:
        for name, sign in (("load", 1), ("sgen", -1), ("asymmetric_load", 1), ("asymmetric_sgen", -1)):
            frame, names = self.net[name], unique_names(self.net, name, self.source.ids)
            active = rows_in_service(self.net, name)
            for row, values, on in zip(frame.index, frame.to_dict("records"), active, strict=True):
                if not on or int(values["bus"]) not in self.nodes:
                    continue
                kind = str(values.get("type"))
                if kind not in ("wye", "delta"):
                    field, expected = f"{name} {row}: type", "wye or delta: runpp_3ph leaves others out"
                    raise CaseError([Problem(self.file, None, field, repr(kind), expected)])
                self._phases(names[int(row)], values, sign * float(values.get("scaling", 1.0)), kind)
                self.counts[name] += 1

    def _phases(self, name: str, values: dict[str, Any], size: float, kind: str) -> None:
        node = self.nodes[int(values["bus"])]
        if "p_mw" in values:
            self._load(name, node, "ABC", kind, size * values["p_mw"], size * values["q_mvar"])
            return
        for letter, phase, leg in _LEGS:
            p, q = size * values[f"p_{letter}_mw"], size * values[f"q_{letter}_mvar"]
            if p or q:
                self._load(f"{name}.{letter}", node, leg if kind == "delta" else phase, kind, p, q)

    # -- the feeder ----------------------------------------------------------------------------------------

    def _sources(self) -> Any:
        frame, names = self.net.ext_grid, unique_names(self.net, "ext_grid", self.source.ids)
        on = rows_in_service(self.net, "ext_grid")
        rows = []
        for row, values in zip(frame.index[on], frame[on].to_dict("records"), strict=True):
            bus, rx = int(values["bus"]), float(values["rx_max"])
            x = _C * self.kv[bus] ** 2 / float(values["s_sc_max_mva"]) / np.sqrt(rx**2 + 1.0)
            x0 = float(values["x0x_max"]) * x
            z = phase_matrix(complex(float(values["r0x0_max"]) * x0, x0), 0j, complex(rx * x, x))
            rows.append({
                "source_id": names[int(row)], "node_id": self.nodes[bus], "v_pu": float(values["vm_pu"]),
                "v_deg": float(values.get("va_degree") or 0.0), "r_ohm": z.real.ravel().tolist(),
                "x_ohm": z.imag.ravel().tolist(),
            })  # fmt: skip
        return self._table("sources", rows)

    def _table(self, name: str, rows: list[dict[str, Any]]) -> Any:
        return table_of_rows(name, rows, self.mark)

    def feeder(self) -> Feeder:
        """The feeder of all rows."""
        for row in self.branches:
            row["rating_source"] = None if row["thermal_limit_mva"] is None else "source"
        loads, sources = self._table("loads", self.loads), self._sources()
        shunt = _shunts(self.net)
        columns = bus_columns(
            self.net, self.nodes, set(sources.column("node_id").to_pylist()),
            {row["node_id"]: row["p_mw"] for row in self.loads}, self.mark,
        )  # fmt: skip
        columns["shunt_g_mw"] = [shunt.get(bus, 0j).real for bus in self.nodes]
        columns["shunt_b_mvar"] = [0.0 - shunt.get(bus, 0j).imag for bus in self.nodes]
        metadata = {"source": f"{self.source.kind} {self.source.file}".strip()}
        if self.source.title:
            metadata["title"] = self.source.title
        feeder = Feeder(
            name=self.source.name, base_mva=float(self.net.sn_mva), feeder_id=self.mark, metadata=metadata,
            phases="per-phase", nodes=node_loads(table("nodes", columns), loads), loads=loads,
            sources=sources,
            branches=self._table("branches", self.branches), capacitors=table("capacitors", {}),
            regulators=table("regulators", {}), transformers=self._table("transformers", self.units),
            switches=self._table("switches", self.switches),
            place=lambda name, row: (f"{self.file}: {name}", row),
        )  # fmt: skip
        return with_layout(feeder)


def _shunts(net: Any) -> dict[int, complex]:
    """MVA at 1 pu that the shunts of each bus consume in all phases together."""
    found: dict[int, complex] = {}
    for values, on in zip(net.shunt.to_dict("records"), rows_in_service(net, "shunt"), strict=True):
        if on:
            bus = int(values["bus"])
            ratio = (float(net.bus.vn_kv.at[bus]) / float(values["vn_kv"])) ** 2
            drawn = complex(float(values["p_mw"]), float(values["q_mvar"])) * float(values["step"]) * ratio
            found[bus] = found.get(bus, 0j) + drawn
    return found


def solve_per_phase(net: Any, buses: list[int]) -> EngineVoltages:
    """(buses, 3) voltages by `runpp_3ph`.

    Raises:
        EngineFailedError: pandapower found no solution.
    """
    with quiet():
        import pandapower as pp
        from pandapower.pf import runpp_3ph as module

        base, reason = net.sn_mva, ""
        for finer in _FINER:  # its tolerance is a fixed one, in pu
            net.sn_mva = base * finer
            try:
                module.runpp_3ph(net, numba=False, tolerance_mva=1e-9 * net.sn_mva)
                break
            except failures() as error:
                reason = no_solution(error)
            finally:
                net.sn_mva = base
        else:
            raise EngineFailedError(reason)
        found = net.res_bus_3ph.loc[buses]
        v = [found[f"vm_{k}_pu"] * np.exp(1j * np.deg2rad(found[f"va_{k}_degree"])) for k in "abc"]
        v_pu = np.column_stack([np.asarray(part, dtype=np.complex128) for part in v])
    return EngineVoltages(f"pandapower {pp.__version__}", v_pu, np.ones(v_pu.shape, dtype=bool), 1e-7)
