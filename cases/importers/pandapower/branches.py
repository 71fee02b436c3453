"""Branches of a pandapower net with the impedances, ratios and shunts that pandapower itself compiles.

Tap tables, tap-dependent impedances, transformers of three windings, parallel units and the T model are thus
read as the engine has them. An open switch at one end of a line or transformer leads to a node of its own
there, and the switch is a branch from it to the bus, so that the element charges from its other end and the
switch can be closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..quiet import quiet
from .matrices import branch_matrices
from .names import Taken, unique_names
from .supported import rows_in_service

# Of pandapower's branch matrix: the columns of MATPOWER, then those that MATPOWER has not.
R, X, B, TAP, SHIFT = 2, 3, 4, 8, 9
UNLIMITED_KA = 1e3
_SWITCH_TABLE = {"l": "line", "t": "trafo", "t3": "trafo3w"}
_SIDES = {"line": ("from_bus", "to_bus"), "trafo": ("hv_bus", "lv_bus")}


@dataclass
class Branch:
    """One branch, with what its ends draw to ground, in pu on the net's sn_mva."""

    branch_id: str
    from_node: str
    to_node: str
    kind: str
    r: float = 0.0
    x: float = 0.0
    b: float = 0.0
    y_from: complex = 0j
    y_to: complex = 0j
    tap: float = 1.0
    shift_deg: float = 0.0
    status: bool = True
    rating_mva: float | None = None
    length_km: float | None = None
    s_mva: float | None = None
    switch: tuple[str, str, bool] | None = None  # id, type, closed


@dataclass(frozen=True)
class Aux:
    """A node that is no bus of the net: the open end of an element, the inner node of a transformer."""

    node_id: str
    base_kv: float
    beside: str  # node whose place in a drawing it takes


class Branches:
    """All branches of a net, and the nodes that they need besides its buses."""

    def __init__(self, net: Any, node_ids: dict[int, str], by: str | None) -> None:
        self.net, self.nodes, self.by = net, node_ids, by
        self.kv = {int(k): float(v) for k, v in net.bus.vn_kv.items()}
        self.aux: list[Aux] = []
        self.rows: list[Branch] = []
        self._node = Taken(node_ids.values())
        self._id = Taken()
        self._open, self._closed = _switches(net)
        self._matrix, self._extra, self._place = _compiled(net)
        self._switch_names = unique_names(net, "switch", by)
        self._switch_id = Taken()
        for table in ("line", "trafo"):
            self._two_ended(table)
        self._three_windings()
        self._impedances()
        self._extended_wards()
        self._bus_switches()

    # -- elements ------------------------------------------------------------------------------------

    def _two_ended(self, table: str) -> None:
        names, active = unique_names(self.net, table, self.by), rows_in_service(self.net, table)
        frame = self.net[table]
        for at, (row, values) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
            buses = [int(values[side]) for side in _SIDES[table]]
            dead = [bus not in self.nodes for bus in buses]
            if all(dead) or (any(dead) and table == "trafo"):
                continue
            branch = self._electrical(table, at, names[int(row)])
            branch.status = bool(active[at])
            self._plate(branch, table, values)
            nodes = [self.nodes.get(bus, "") for bus in buses]
            open_at = [self._open.get((table, int(row), bus)) for bus in buses]
            branch.from_node, branch.to_node = nodes
            for end in range(2):
                if dead[end]:  # pandapower lets a line charge towards a bus that is out of service
                    self._end(branch, end, self._new_node(branch, end, self.kv[buses[end]], nodes[1 - end]))
            self._open_ends(branch, buses, open_at)
            if branch.switch is None:
                found = [self._closed.get((table, int(row), bus)) for bus in buses]
                branch.switch = next((self._switch(at) for at in found if at is not None), None)
            self.rows.append(branch)

    def _open_ends(self, branch: Branch, buses: list[int], open_at: list[int | None]) -> None:
        """Open switches: the whole branch where nothing charges it, else a node at the open end."""
        if all(at is None for at in open_at):
            return
        draws = branch.b != 0 or branch.y_from != 0 or branch.y_to != 0
        if all(at is not None for at in open_at) or not draws or not branch.status:
            branch.status = False
            branch.switch = self._switch(next(at for at in open_at if at is not None))
            return
        end = 0 if open_at[0] is not None else 1
        at = open_at[end]
        assert at is not None
        bus = (branch.from_node, branch.to_node)[end]
        node = self._new_node(branch, end, self.kv[buses[end]], bus)
        self._end(branch, end, node)
        self.rows.append(self._gap(node, bus, at))

    def _gap(self, node: str, bus: str, at: int) -> Branch:
        switch = self._switch(at)
        return Branch(self._id(switch[0]), node, bus, "switch", status=False, switch=switch)

    def _three_windings(self) -> None:
        """Three branches to an inner node, as pandapower has it."""
        frame, net = self.net.trafo3w, self.net
        names, active = unique_names(net, "trafo3w", self.by), rows_in_service(net, "trafo3w")
        for at, (row, values) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
            buses = {side: int(values[f"{side}_bus"]) for side in ("hv", "mv", "lv")}
            if any(bus not in self.nodes for bus in buses.values()):
                continue
            inner = self._node(f"{names[int(row)]}:star")
            self.aux.append(Aux(inner, self.kv[buses["hv"]], self.nodes[buses["hv"]]))
            for turn, (side, bus) in enumerate(buses.items()):
                place = turn * len(frame) + at
                branch = self._electrical("trafo3w", place, f"{names[int(row)]}:{side}")
                ends = [self.nodes[bus], inner]
                branch.from_node, branch.to_node = ends if side == "hv" else ends[::-1]
                branch.status = bool(active[at])
                branch.s_mva = branch.rating_mva = _positive(values.get(f"sn_{side}_mva"))
                gap = self._open.get(("trafo3w", int(row), bus))
                if gap is not None:
                    end = 0 if side == "hv" else 1
                    node = self._new_node(branch, end, self.kv[bus], self.nodes[bus])
                    self._end(branch, end, node)
                    self.rows.append(self._gap(node, self.nodes[bus], gap))
                self.rows.append(branch)

    def _impedances(self) -> None:
        net, frame = self.net, self.net.impedance
        names, active = unique_names(net, "impedance", self.by), rows_in_service(net, "impedance")
        for at, (row, values) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
            ends = [int(values["from_bus"]), int(values["to_bus"])]
            if all(bus in self.nodes for bus in ends):
                branch = self._electrical("impedance", at, names[int(row)])
                branch.from_node, branch.to_node = (self.nodes[bus] for bus in ends)
                branch.status = bool(active[at])
                if self.kv[ends[0]] != self.kv[ends[1]]:
                    branch.kind = "transformer"
                self.rows.append(branch)

    def _extended_wards(self) -> None:
        """The impedance of an extended ward, to an inner node that holds its voltage (see `loads`)."""
        net, active = self.net, rows_in_service(self.net, "xward")
        names = unique_names(net, "xward", self.by)
        for at, (row, bus) in enumerate(zip(net.xward.index, net.xward.bus, strict=True)):
            if int(bus) in self.nodes and active[at]:
                branch = self._electrical("xward", at, names[int(row)])
                inner = self._node(f"{names[int(row)]}:inner")
                self.aux.append(Aux(inner, self.kv[int(bus)], self.nodes[int(bus)]))
                branch.from_node, branch.to_node = self.nodes[int(bus)], inner
                self.rows.append(branch)

    def _bus_switches(self) -> None:
        frame = self.net.switch
        ratio = 2.0  # r to x of a switch with an impedance: pandapower's default
        for at, values in enumerate(frame.to_dict("records")):
            if values["et"] != "b":
                continue
            ends = [int(values["bus"]), int(values["element"])]
            if any(bus not in self.nodes for bus in ends) or ends[0] == ends[1]:
                continue
            switch = self._switch(at)
            z_pu = float(values.get("z_ohm") or 0.0) / (self.kv[ends[0]] ** 2 / float(self.net.sn_mva))
            z_pu = z_pu if z_pu == z_pu else 0.0
            x = z_pu / np.hypot(1.0, ratio)
            start, end = (self.nodes[bus] for bus in ends)
            row = Branch(self._id(switch[0]), start, end, "switch", r=ratio * x, x=x, status=switch[2])
            row.switch = switch
            limit_ka = _positive(values.get("in_ka"))
            row.rating_mva = limit_ka and np.sqrt(3.0) * self.kv[ends[0]] * limit_ka
            self.rows.append(row)

    # -- parts ---------------------------------------------------------------------------------------

    def _electrical(self, table: str, at: int, name: str) -> Branch:
        """What pandapower compiled for one row of a table."""
        place = self._place[table] + at
        row = self._matrix[place]
        g, g_more, b_more = self._extra[place]
        kind = "line" if table in ("line", "impedance", "xward") else "transformer"
        tap = float(row[TAP]) or 1.0
        branch = Branch(self._id(name), "", "", kind, float(row[R]), float(row[X]), tap=tap)
        branch.shift_deg = float(row[SHIFT])
        b = float(row[B])
        if g == 0 and g_more == 0 and b_more == 0:
            branch.b = b
        else:  # beside the branch, at its ends: behind the ratio at the from end
            branch.y_from = 0.5 * (g + 1j * b) / tap**2
            branch.y_to = 0.5 * (g + g_more + 1j * (b + b_more))
            if kind == "line" and g_more == 0 and b_more == 0:
                branch.b, branch.y_from, branch.y_to = b, 0.5 * g + 0j, 0.5 * g + 0j
        return branch

    def _plate(self, branch: Branch, table: str, values: dict[str, Any]) -> None:
        parallel, derating = float(values.get("parallel") or 1), float(values.get("df") or 1.0)
        if table == "line":
            branch.length_km = _positive(values["length_km"])
            limit_ka = _positive(values.get("max_i_ka"))
            if limit_ka is not None and limit_ka < UNLIMITED_KA:
                kv = self.kv[int(values["from_bus"])]
                branch.rating_mva = float(np.sqrt(3.0) * kv * limit_ka * parallel * derating)
        else:
            size = _positive(values["sn_mva"])
            branch.s_mva = branch.rating_mva = size and size * parallel * derating

    def _new_node(self, branch: Branch, end: int, kv: float, beside: str) -> str:
        node = self._node(f"{branch.branch_id}:{('from', 'to')[end]}")
        self.aux.append(Aux(node, kv, beside))
        return node

    def _end(self, branch: Branch, end: int, node: str) -> None:
        if end:
            branch.to_node = node
        else:
            branch.from_node = node

    def _switch(self, at: int) -> tuple[str, str, bool]:
        row = self.net.switch.iloc[at]
        closed = bool(row["closed"])
        kind = "breaker" if str(row.get("type")) == "CB" else ("sectionaliser" if closed else "tie")
        return self._switch_id(self._switch_names[int(self.net.switch.index[at])]), kind, closed


def _positive(value: Any) -> float | None:
    """A number above 0, or None."""
    if value is None or not np.isfinite(value) or value <= 0:
        return None
    return float(value)


def _switches(net: Any) -> Iterator[dict[tuple[str, int, int], int]]:
    """Row of the open and of the closed switch at each end of an element."""
    opened: dict[tuple[str, int, int], int] = {}
    closed: dict[tuple[str, int, int], int] = {}
    frame = net.switch
    for at, values in enumerate(frame.to_dict("records")):
        if values["et"] in _SWITCH_TABLE:
            key = (_SWITCH_TABLE[values["et"]], int(values["element"]), int(values["bus"]))
            (closed if values["closed"] else opened).setdefault(key, at)
    return iter((opened, closed))


def _compiled(net: Any) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """pandapower's branch matrix, (rows, 3) of what MATPOWER has not, and the first row of each table."""
    with quiet():
        from pandapower.pypower.idx_brch import BR_B_ASYM, BR_G, BR_G_ASYM, BR_R_ASYM, BR_X_ASYM

    (complex_matrix,), place = branch_matrices(net, "pf", check_connectivity=False)
    matrix = np.real(complex_matrix)
    uneven = np.flatnonzero((matrix[:, BR_R_ASYM] != 0) | (matrix[:, BR_X_ASYM] != 0))
    if len(uneven):
        first = place.get("impedance", 0)
        raise UnevenImpedanceError(int(uneven[0]) - first)
    return matrix, matrix[:, [BR_G, BR_G_ASYM, BR_B_ASYM]], place


class UnevenImpedanceError(Exception):
    """An impedance that is another one in the other direction; `args[0]` is its row."""
