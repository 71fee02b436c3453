"""What draws and injects at the buses of a pandapower net: loads, generators, shunts, wards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .names import Taken, unique_names
from .supported import rows_in_service


@dataclass
class Load:
    """One row of the loads table."""

    load_id: str
    node_id: str
    p_mw: float
    q_mvar: float
    shares: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # p z, p i, q z, q i
    v_set_pu: float | None = None
    q_min_mvar: float | None = None
    q_max_mvar: float | None = None


@dataclass
class Bank:
    """One capacitor bank."""

    cap_id: str
    node_id: str
    q_mvar: float


class AtBuses:
    """Loads, banks and shunts of a balanced feeder; power of what is out of service is left out."""

    def __init__(self, net: Any, node_ids: dict[int, str], held: set[int], by: str | None) -> None:
        """`held`: buses where an external grid holds the voltage, so that a generator there only injects."""
        self.net, self.nodes, self.by = net, node_ids, by
        self.loads: list[Load] = []
        self.banks: list[Bank] = []
        self.shunt: dict[str, complex] = {}  # node to MVA at 1 pu, consumed
        self.counts: dict[str, int] = {}
        self._id = Taken()
        for table, sign in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0)):
            for name, values in self._rows(table):
                self._constant(name, values, sign)
        for table, sign in (("asymmetric_load", 1.0), ("asymmetric_sgen", -1.0)):
            for name, values in self._rows(table):
                size = sign * _scaling(values)
                p, q = (sum(_number(values[f"{part}_{phase}_{unit}"]) for phase in "abc")
                        for part, unit in (("p", "mw"), ("q", "mvar")))  # fmt: skip
                self._add(name, values, size * p, size * q)
        for name, values in self._rows("motor"):
            p, q = _motor(values)
            self._add(name, values, p, q)
        for table in ("ward", "xward"):
            for name, values in self._rows(table):
                self._add(name, values, _number(values["ps_mw"]), _number(values["qs_mvar"]))
                self._draw(values, complex(_number(values["pz_mw"]), _number(values["qz_mvar"])))
        self._held_inner_nodes()
        self._generators(held)
        self._shunts()

    def _rows(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        if table not in self.net or not len(self.net[table]):
            return []
        frame, active = self.net[table], rows_in_service(self.net, table)
        names = unique_names(self.net, table, self.by)
        records = zip(frame.index, frame.to_dict("records"), active, strict=True)
        found = [(names[int(row)], values) for row, values, on in records if on]
        found = [(name, values) for name, values in found if int(values["bus"]) in self.nodes]
        self.counts[table] = len(found)
        return found

    def _add(self, name: str, values: dict[str, Any], p_mw: float, q_mvar: float, **more: Any) -> None:
        node = self.nodes[int(values["bus"])]
        if p_mw or q_mvar or more:
            self.loads.append(Load(self._id(name), node, p_mw, q_mvar, **more))

    def _constant(self, name: str, values: dict[str, Any], sign: float) -> None:
        size = sign * _scaling(values)
        shares = tuple(
            _number(values.get(f"const_{kind}_{part}_percent")) / 100.0 for part in "pq" for kind in "zi"
        )
        more = {"shares": shares} if any(shares) else {}
        p, q = size * _number(values["p_mw"]), size * _number(values["q_mvar"])
        if p or q:
            self._add(name, values, p, q, **more)

    def _held_inner_nodes(self) -> None:
        for name, values in self._rows("xward"):
            holds = float(values["vm_pu"])
            self.loads.append(Load(self._id(f"{name}:source"), f"{name}:inner", 0.0, 0.0, v_set_pu=holds))

    def _generators(self, held: set[int]) -> None:
        for name, values in self._rows("gen"):
            if values.get("slack"):
                continue
            p = -_scaling(values) * _number(values["p_mw"])
            if int(values["bus"]) in held:
                self._add(name, values, p, 0.0)
                continue
            limits = {
                column: _finite(values.get(source))
                for column, source in (("q_min_mvar", "min_q_mvar"), ("q_max_mvar", "max_q_mvar"))
            }
            self._add(name, values, p, 0.0, v_set_pu=float(values["vm_pu"]), **limits)

    def _shunts(self) -> None:
        table = self.net.get("shunt_characteristic_table")
        for name, values in self._rows("shunt"):
            kv = float(self.net.bus.vn_kv.at[int(values["bus"])])
            rated = _number(values.get("vn_kv")) or kv
            step, p, q = _number(values["step"]), _number(values["p_mw"]), _number(values["q_mvar"])
            if values.get("step_dependency_table") is True and table is not None:
                own = table[table.id_characteristic == values["id_characteristic_table"]]
                hit = own[own.step == step]
                step, p, q = 1.0, float(hit.p_mw.sum()), float(hit.q_mvar.sum())
            drawn = complex(p, q) * step * (kv / rated) ** 2
            if drawn.real == 0 and drawn.imag < 0:
                self.banks.append(Bank(name, self.nodes[int(values["bus"])], -drawn.imag))
            else:
                self._draw(values, drawn)

    def _draw(self, values: dict[str, Any], mva: complex) -> None:
        node = self.nodes[int(values["bus"])]
        self.shunt[node] = self.shunt.get(node, 0j) + mva


def _number(value: Any) -> float:
    return 0.0 if value is None or value != value else float(value)


def _scaling(values: dict[str, Any]) -> float:
    value = values.get("scaling")
    return 1.0 if value is None or value != value else float(value)


def _finite(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) or abs(value) > 1e8 else float(value)


def _motor(values: dict[str, Any]) -> tuple[float, float]:
    """Power of a motor at its load, efficiency and power factor."""
    size = _number(values["loading_percent"]) / 100.0 * _scaling(values)
    p = _number(values["pn_mech_mw"]) / _number(values["efficiency_percent"]) * 100.0 * size
    return p, float(np.sqrt(max((p / _number(values["cos_phi"])) ** 2 - p * p, 0.0)))
