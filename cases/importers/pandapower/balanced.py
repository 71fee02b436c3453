"""A pandapower net as a balanced feeder, and its voltages by `runpp`."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import CaseError, Problem
from ...model.edit import node_loads
from ...model.feeder import Feeder
from ...model.tree_drawing import with_layout
from ...schema import table
from ..quiet import failures, no_solution, quiet
from ..reading import EngineFailedError, EngineVoltages, Reading
from .branches import Aux, Branch, Branches, UnevenImpedanceError
from .loads import AtBuses
from .names import Taken, unique_names
from .supported import rows_in_service

V_MIN, V_MAX = 0.9, 1.1  # limits of a bus that the net gives none
TOLERANCE_MVA = 1e-11


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a net came from, for names and messages."""

    file: str
    name: str
    feeder_id: str
    title: str = ""
    ids: str | None = None  # column that ids are taken from
    kind: str = "pandapower net"


def read_balanced(net: Any, source: Source) -> Reading:
    """The net as a balanced feeder; it is this function's own and gets columns."""
    names = unique_names(net, "bus", source.ids)
    active = rows_in_service(net, "bus")
    nodes = {int(k): names[int(k)] for k, on in zip(net.bus.index, active, strict=True) if on}
    try:
        branches = Branches(net, nodes, source.ids)
    except UnevenImpedanceError as error:
        which = str(net.impedance.index[error.args[0]])
        expected = "an impedance that is the same in both directions"
        raise CaseError([Problem(source.file or source.kind, None, "impedance", which, expected)]) from error
    sources = _sources(net, nodes, source)
    at_buses = AtBuses(net, nodes, _held_buses(net), source.ids)
    feeder = _feeder(net, source, nodes, branches, at_buses, sources)
    counts = Counter(at_buses.counts)
    for name in ("bus", "line", "trafo", "trafo3w", "impedance", "switch", "ext_grid"):
        counts[name] += len(net[name])
    ids = {node: bus for bus, node in nodes.items()}

    def engine() -> EngineVoltages:
        return solve_balanced(net, [ids.get(node) for node in feeder.column("nodes", "node_id")])

    left = {name: len(net[name]) for name in ("measurement", "poly_cost", "pwl_cost", "controller")
            if name in net and len(net[name])}  # fmt: skip
    return Reading(feeder, engine, {k: n for k, n in counts.items() if n}, left)


# -- tables ------------------------------------------------------------------------------------------------


def _sources(net: Any, nodes: dict[int, str], source: Source) -> list[dict[str, Any]]:
    """External grids and slack generators; those of one bus become one."""
    found: dict[str, dict[str, Any]] = {}
    take = Taken()
    for kind in ("ext_grid", "gen"):
        names, active = unique_names(net, kind, source.ids), rows_in_service(net, kind)
        for row, values, on in zip(net[kind].index, net[kind].to_dict("records"), active, strict=True):
            bus = int(values["bus"])
            if not on or bus not in nodes or (kind == "gen" and not values.get("slack")):
                continue
            angle = float(values.get("va_degree") or 0.0)
            new = {"node_id": nodes[bus], "v_pu": float(values["vm_pu"]), "v_deg": angle}
            old = found.get(nodes[bus])
            if old is None:
                found[nodes[bus]] = {"source_id": take(names[int(row)]), **new}
            elif any(old[key] != new[key] for key in new):
                expected = f"the voltage of the other external grid of this bus ({old['v_pu']:g} pu)"
                field, shown = f"{kind} {row}: vm_pu", f"{new['v_pu']:g}"
                raise CaseError([Problem(source.file or source.kind, None, field, shown, expected)])
    return list(found.values())


def _held_buses(net: Any) -> set[int]:
    """Buses with an external grid, and those that closed switches without impedance join to one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    at = {int(bus): k for k, bus in enumerate(net.bus.index)}
    switch = net.switch
    solid = (switch.et == "b") & switch.closed.astype(bool)
    if "z_ohm" in switch:
        solid &= ~(switch.z_ohm.fillna(0.0) > 0)
    pairs = switch[solid][["bus", "element"]].to_numpy(dtype=int)
    rows, columns = ([at[bus] for bus in pairs[:, k] if bus in at] for k in range(2))
    size = len(at)
    links = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    label = connected_components(links, directed=False)[1]
    grids = net.ext_grid.bus[rows_in_service(net, "ext_grid")].astype(int).tolist()
    grids += [int(v["bus"]) for v in net.gen.to_dict("records") if v.get("slack") and v["in_service"]]
    held = {int(label[at[bus]]) for bus in grids if bus in at}
    return {bus for bus, k in at.items() if int(label[k]) in held}


def _feeder(
    net: Any, source: Source, nodes: dict[int, str], branches: Branches, at_buses: AtBuses,
    sources: list[dict[str, Any]],
) -> Feeder:  # fmt: skip
    base, mark = float(net.sn_mva), source.feeder_id
    shunt = dict(at_buses.shunt)
    for row in branches.rows:
        if row.status:
            for node, y in ((row.from_node, row.y_from), (row.to_node, row.y_to)):
                shunt[node] = shunt.get(node, 0j) + np.conj(y) * base
    loads = _loads_table(at_buses, mark)
    node_table = _nodes_table(net, nodes, branches, shunt, {row["node_id"] for row in sources}, loads, mark)
    banks = at_buses.banks
    take = Taken()
    tables = {
        "nodes": node_loads(node_table, loads),
        "branches": _branches_table(branches.rows, mark),
        "loads": loads,
        "capacitors": table("capacitors", {
            "cap_id": [take(bank.cap_id) for bank in banks], "node_id": [bank.node_id for bank in banks],
            "phase": ["ABC"] * len(banks), "q_mvar": [bank.q_mvar for bank in banks],
            "status": [True] * len(banks), "feeder_id": [mark] * len(banks),
        }),
        "regulators": table("regulators", {}),
        "transformers": _transformers_table(branches, nodes, mark),
        "switches": _switches_table(branches.rows, mark),
        "sources": table("sources", {
            **{key: [row[key] for row in sources] for key in ("source_id", "node_id", "v_pu", "v_deg")},
            "feeder_id": [mark] * len(sources),
        }),
    }  # fmt: skip
    metadata = {"source": f"{source.kind} {source.file}" if source.file else source.kind}
    if source.title:
        metadata["title"] = source.title
    feeder = Feeder(
        name=source.name, base_mva=base, feeder_id=mark, metadata=metadata, **tables,
        place=lambda name, row: (f"{source.file or source.kind}: {name}", row),
    )  # fmt: skip
    return with_layout(feeder)


def _nodes_table(
    net: Any, nodes: dict[int, str], branches: Branches, shunt: dict[str, complex], source_nodes: set[str],
    loads: Any, mark: str,
) -> Any:  # fmt: skip
    loaded = dict(zip(loads.column("node_id").to_pylist(), loads.column("p_mw").to_pylist(), strict=True))
    columns = bus_columns(net, nodes, source_nodes, loaded, mark, branches.aux)
    ids = columns["node_id"]
    columns["shunt_g_mw"] = [shunt.get(k, 0j).real for k in ids]
    columns["shunt_b_mvar"] = [0.0 - shunt.get(k, 0j).imag for k in ids]
    return table("nodes", columns)


def bus_columns(
    net: Any, nodes: dict[int, str], sources: set[str], loaded: dict[str, float], mark: str,
    more: Sequence[Aux] = (),
) -> dict[str, Any]:  # fmt: skip
    """Columns of the nodes table but for its shunts; `more` are nodes that are no buses of the net."""
    frame = net.bus.loc[list(nodes)]
    ids = list(nodes.values()) + [aux.node_id for aux in more]
    places = _places(net, frame)
    at = dict(zip(nodes.values(), places, strict=True))
    places += [at.get(aux.beside) for aux in more]
    drawn = any(place is None for place in places)
    kinds = ["junction" if k not in loaded else "load" if loaded[k] >= 0 else "der" for k in ids]
    return {
        "node_id": ids,
        "phase": ["ABC"] * len(ids),
        "type": ["source" if k in sources else kind for k, kind in zip(ids, kinds, strict=True)],
        "base_kv": frame.vn_kv.astype(float).tolist() + [aux.base_kv for aux in more],
        "v_min": _limit(frame, "min_vm_pu", V_MIN) + [V_MIN] * len(more),
        "v_max": _limit(frame, "max_vm_pu", V_MAX) + [V_MAX] * len(more),
        "load_p_mw": np.zeros(len(ids)),
        "load_q_mvar": np.zeros(len(ids)),
        "feeder_id": [mark] * len(ids),
        "x": [None if drawn or place is None else place[0] for place in places],
        "y": [None if drawn or place is None else place[1] for place in places],
        "coord_source": [None if drawn else "source"] * len(ids),
    }


def _limit(frame: Any, column: str, default: float) -> list[float]:
    if column not in frame:
        return [default] * len(frame)
    values = frame[column].astype(float).to_numpy()
    good = np.isfinite(values) & (values > 0)
    return [float(v) for v in np.where(good, values, default)]


def _places(net: Any, frame: Any) -> list[tuple[float, float] | None]:
    """Coordinates of the buses: a GeoJSON point of each, or the older table."""
    old = net.get("bus_geodata")
    found: list[tuple[float, float] | None] = []
    for bus, value in zip(frame.index, frame["geo"] if "geo" in frame else [None] * len(frame), strict=True):
        place = None
        try:
            point = json.loads(value) if isinstance(value, str) else value
            if point:
                place = (float(point["coordinates"][0]), float(point["coordinates"][1]))
            elif old is not None and bus in old.index:
                place = (float(old.at[bus, "x"]), float(old.at[bus, "y"]))
        except (ValueError, TypeError, KeyError, IndexError):
            place = None
        found.append(place if place and np.isfinite(place).all() else None)
    return found


def _branches_table(rows: list[Branch], mark: str) -> Any:
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in ("branch_id", "from_node", "to_node", "r", "x", "b", "tap", "shift_deg", "status")
    }
    columns["length_km"] = [row.length_km for row in rows]
    columns["type"] = [row.kind for row in rows]
    columns["phase"] = ["ABC"] * len(rows)
    columns["thermal_limit_mva"] = [row.rating_mva for row in rows]
    columns["rating_source"] = [None if row.rating_mva is None else "source" for row in rows]
    columns["feeder_id"] = [mark] * len(rows)
    return table("branches", columns)


def _transformers_table(branches: Branches, nodes: dict[int, str], mark: str) -> Any:
    kv = {node: branches.kv[bus] for bus, node in nodes.items()}
    kv |= {aux.node_id: aux.base_kv for aux in branches.aux}
    rows = [row for row in branches.rows if row.kind == "transformer"]
    ends = [(kv[row.from_node], kv[row.to_node]) for row in rows]
    take = Taken()
    return table("transformers", {
        "transformer_id": [take(row.branch_id) for row in rows], "branch_id": [row.branch_id for row in rows],
        "s_mva": [row.s_mva for row in rows], "hv_kv": [max(pair) for pair in ends],
        "lv_kv": [min(pair) for pair in ends], "feeder_id": [mark] * len(rows),
    })  # fmt: skip


def _switches_table(rows: list[Branch], mark: str) -> Any:
    """A switch for each branch that has one, and a tie for each open branch without."""
    take = Taken(row.switch[0] for row in rows if row.switch)
    found = []
    for row in rows:
        if row.switch:
            found.append((row.switch[0], row.branch_id, row.switch[1], row.switch[2]))
        elif not row.status:
            found.append((take(row.branch_id), row.branch_id, "tie", False))
    columns: dict[str, Any] = {
        name: [row[k] for row in found]
        for k, name in enumerate(("switch_id", "branch_id", "type", "normally_closed"))
    }
    return table("switches", {**columns, "feeder_id": [mark] * len(found)})


def _loads_table(at_buses: AtBuses, mark: str) -> Any:
    rows = at_buses.loads
    names = ("load_id", "node_id", "p_mw", "q_mvar", "v_set_pu", "q_min_mvar", "q_max_mvar")
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in names}
    for k, name in enumerate(("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")):
        columns[name] = [row.shares[k] for row in rows]
    return table("loads", {**columns, "phase": ["ABC"] * len(rows), "feeder_id": [mark] * len(rows)})


# -- engine ------------------------------------------------------------------------------------------------


def solve_balanced(net: Any, buses: list[int | None]) -> EngineVoltages:
    """Voltages of `buses` (None: no bus of the net) by `runpp`.

    pandapower averages the voltage-dependent shares of the loads of a bus without weighing them, so they are
    set to what they draw at the last voltages and solved again until the voltages stand still.

    Raises:
        EngineFailedError: pandapower found no solution.
    """
    with quiet():
        import pandapower as pp

        base = net.load[["p_mw", "q_mvar"]].to_numpy(float).copy()
        shares = _shares(net)
        at = net.load.bus.to_numpy()
        last: np.ndarray | None = None
        try:
            for _ in range(60):
                _run(pp, net)
                v = net.res_bus.vm_pu.to_numpy()
                still = last is not None and np.nanmax(np.abs(v - last), initial=0.0) < 1e-12
                if still or not shares.any():
                    break
                last = v.copy()
                u = np.nan_to_num(net.res_bus.vm_pu.reindex(at).to_numpy(), nan=1.0)[:, None]
                z, i = shares[:, [0, 2]], shares[:, [1, 3]]
                net.load[["p_mw", "q_mvar"]] = base * (z * u**2 + i * u + 1.0 - z - i)
        finally:
            net.load[["p_mw", "q_mvar"]] = base
        result = net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))
        known = np.array([bus is not None for bus in buses])
        v_pu = np.full(len(buses), np.nan + 0j)
        v_pu[known] = result.reindex([bus for bus in buses if bus is not None]).to_numpy()
    return EngineVoltages(f"pandapower {pp.__version__}", v_pu, known)


def _run(pp: Any, net: Any) -> None:
    options = {"calculate_voltage_angles": True, "trafo_model": "t", "switch_rx_ratio": 2, "numba": False,
               "voltage_depend_loads": False, "enforce_q_lims": False, "max_iteration": 50}  # fmt: skip
    reason = ""
    for tolerance in (TOLERANCE_MVA, 1e-9):
        for init in ("dc", "flat"):
            try:
                pp.runpp(net, init=init, tolerance_mva=tolerance, **options)
                return
            except failures() as error:
                reason = no_solution(error)
    raise EngineFailedError(reason)


def _shares(net: Any) -> np.ndarray:
    """(loads, 4) shares p z, p i, q z, q i."""
    names = [f"const_{kind}_{part}_percent" for part in "pq" for kind in "zi"]
    columns = [net.load[name].fillna(0.0) if name in net.load else np.zeros(len(net.load)) for name in names]
    return np.column_stack(columns) / 100.0 if len(net.load) else np.zeros((0, 4))
