"""The tables of a power flow phase by phase.

Tables are in the feeder's order, phases in the order A, B, C or 1, 2 (the legs of split-phase wires). What
has no voltage has nulls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .... import physics
from ....physics.violations import judged_band, of_band, of_rating, of_unbalance
from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table, table_of_rows
from .pf_result import PhasePowerFlow

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

BUSES = schema(
    ("node_id", TEXT, ""), ("feeder_id", TEXT, ""), ("phases", TEXT, ""),
    ("energised", YES_NO, ""),  # every phase
    ("base_kv", NUMBER, "kV line to line"), ("vuf_pct", NUMBER, "%"),  # |V2| / |V1|, of three phases
    ("v_min_pu", NUMBER, "pu"), ("v_max_pu", NUMBER, "pu"),
    ("p_load_mw", NUMBER, "MW"), ("q_load_mvar", NUMBER, "Mvar"),  # at the solved voltage, all phases
    ("p_shunt_mw", NUMBER, "MW"), ("q_shunt_mvar", NUMBER, "Mvar"),  # shunts and capacitors, consumed
)  # fmt: skip

VOLTAGES = schema(
    ("node_id", TEXT, ""), ("feeder_id", TEXT, ""),
    ("phase", TEXT, ""),  # "A" is to ground, "AB" from A to B; "12" between legs
    ("energised", YES_NO, ""), ("judged", YES_NO, ""),  # judged: held against the limits
    ("v_pu", NUMBER, "pu"), ("v_deg", NUMBER, "degree"), ("v_kv", NUMBER, "kV"),
    ("p_load_mw", NUMBER, "MW"), ("q_load_mvar", NUMBER, "Mvar"),  # taken out of this phase; of pairs null
    ("p_shunt_mw", NUMBER, "MW"), ("q_shunt_mvar", NUMBER, "Mvar"),
)  # fmt: skip

BRANCHES = schema(
    ("branch_id", TEXT, ""), ("from_node", TEXT, ""), ("to_node", TEXT, ""), ("feeder_id", TEXT, ""),
    ("closed", YES_NO, ""), ("carries_current", YES_NO, ""),  # closed, energised and not left out
    ("closes_loop", YES_NO, ""),
    ("p_from_mw", NUMBER, "MW"), ("q_from_mvar", NUMBER, "Mvar"),  # all phases together
    ("p_to_mw", NUMBER, "MW"), ("q_to_mvar", NUMBER, "Mvar"),
    ("p_loss_mw", NUMBER, "MW"), ("q_loss_mvar", NUMBER, "Mvar"),
    ("thermal_limit_mva", NUMBER, "MVA"), ("loading_pct", NUMBER, "%"),  # of the phase loaded most
    ("rating_source", TEXT, ""),
)  # fmt: skip

FLOWS = schema(
    ("branch_id", TEXT, ""), ("feeder_id", TEXT, ""), ("end", TEXT, ""), ("node_id", TEXT, ""),
    ("phase", TEXT, ""),
    ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"),  # into the branch
    ("i_ka", NUMBER, "kA"), ("i_deg", NUMBER, "degree"),
    ("limit_mva", NUMBER, "MVA"), ("loading_pct", NUMBER, "%"),  # a third of the branch's rating
)  # fmt: skip

LOSSES = schema(
    ("scope", TEXT, ""), ("feeder_id", TEXT, ""), ("phase", TEXT, ""),  # feeder ids, phases, the total
    ("p_source_mw", NUMBER, "MW"), ("q_source_mvar", NUMBER, "Mvar"),
    ("p_load_mw", NUMBER, "MW"), ("q_load_mvar", NUMBER, "Mvar"),
    ("p_shunt_mw", NUMBER, "MW"), ("q_shunt_mvar", NUMBER, "Mvar"),
    ("p_loss_mw", NUMBER, "MW"), ("q_loss_mvar", NUMBER, "Mvar"), ("p_loss_pct_of_load", NUMBER, "%"),
    ("v_lowest_pu", NUMBER, "pu"), ("v_lowest_node", TEXT, ""),
    ("v_highest_pu", NUMBER, "pu"), ("v_highest_node", TEXT, ""),
    ("loading_highest_pct", NUMBER, "%"), ("vuf_highest_pct", NUMBER, "%"),
)  # fmt: skip

VIOLATIONS = schema(
    ("kind", TEXT, ""),  # overvoltage, undervoltage, overload, unbalance, not_supplied, failed_power_flow
    ("element", TEXT, ""), ("phase", TEXT, ""), ("feeder_id", TEXT, ""),
    ("value", NUMBER, "see unit"), ("limit", NUMBER, "see unit"),
    ("magnitude", NUMBER, "see unit"),  # how far beyond the limit, always positive
    ("unit", TEXT, ""),
)  # fmt: skip

_POWERS = ("p_load_mw", "q_load_mvar", "p_shunt_mw", "q_shunt_mvar")
_NO_POWERS = (np.nan,) * 4
_PAIRS = (("A", "B"), ("B", "C"), ("C", "A"), ("1", "2"))


class _Flow(NamedTuple):
    """One phase at one end of one branch."""

    branch: int
    end: int
    node: int
    phase: str
    s_mva: complex  # into the branch
    current: complex  # kA
    limit_mva: float


def phase_tables(
    net: physics.Network3,
    sol: physics.Solution3,
    method: str,
    notes: tuple[str, ...],
    vuf_max_pct: float,
) -> PhasePowerFlow:
    """Solution `sol` of `net` as tables, judged by the feeder's own limits and an unbalance limit.

    Voltages are judged from phase to ground; where no winding ties a node to ground, between phases.
    """
    consumed = physics.consumption(net, sol)
    flows = list(_flows(net, sol))
    buses, voltages, ends = _buses(net, sol, consumed), _voltages(net, sol, consumed), _flow_table(net, flows)
    branches = _branches(net, flows)
    return PhasePowerFlow(
        net.feeder, sol, method, buses, branches,
        losses=_losses(net, sol, buses, voltages, branches, ends),
        violations=_violations(net, sol, buses, voltages, ends, vuf_max_pct),
        notes=notes, voltages=voltages, flows=ends,
    )  # fmt: skip


def _letters(net: physics.Network3, node: int) -> list[tuple[int, str]]:
    """(place in arrays, letter) of the phases of a node."""
    return [("ABC12".index(x) % 3, x) for x in str(net.feeder.column("nodes", "phase")[node])]


def _parts(power: physics.Consumption) -> list[FloatArray]:
    """P and Q of loads, then of shunts."""
    return [power.load.real, power.load.imag, power.shunt.real, power.shunt.imag]


def _buses(net: physics.Network3, sol: physics.Solution3, consumed: physics.Consumption) -> pa.Table:
    col = net.feeder.column
    columns = {
        "node_id": col("nodes", "node_id"),
        "feeder_id": col("nodes", "feeder_id"),
        "phases": col("nodes", "phase"),
        "energised": (net.energised | ~net.present).all(axis=1),
        "base_kv": net.base_kv,
        "vuf_pct": sol.vuf_pct,
        "v_min_pu": col("nodes", "v_min"),
        "v_max_pu": col("nodes", "v_max"),
    }
    sums = [part.sum(axis=1) for part in _parts(consumed)]
    return table(columns | dict(zip(_POWERS, sums, strict=True)), BUSES)


def _voltages(net: physics.Network3, sol: physics.Solution3, consumed: physics.Consumption) -> pa.Table:
    """Every phase to ground, then every pair of phases, node by node."""
    col, v, parts = net.feeder.column, sol.v, _parts(consumed)
    ids, feeders = col("nodes", "node_id"), col("nodes", "feeder_id")
    floating = net.topology.layout.floating
    rows: list[tuple[Any, ...]] = []
    for n in range(net.n_bus):
        letters = _letters(net, n)
        rated, head = net.base_kv[n] / np.sqrt(3.0), (ids[n], feeders[n])
        loose = bool(floating[n].any())
        for place, letter in letters:
            live, powers = bool(net.energised[n, place]), [part[n, place] for part in parts]
            rows.append((*head, letter, live, live and not loose, *_polar(v[n, place], 1.0, rated), *powers))
        for (a, first), (b, second) in _pairs(letters):
            live, nominal = bool(net.energised[n, [a, b]].all()), 2.0 if first == "1" else np.sqrt(3.0)
            polar = _polar(v[n, a] - v[n, b], nominal, rated)
            rows.append((*head, first + second, live, live and loose, *polar, *_NO_POWERS))
    return table_of_rows(rows, VOLTAGES)


def _polar(v: complex, nominal: float, rated_kv: float) -> tuple[float, float, float]:
    """Magnitude in pu of `nominal`, angle in degrees, magnitude in kV of a voltage in pu of `rated_kv`."""
    size = float(np.abs(v))
    return size / nominal, float(np.angle(v, deg=True)), size * rated_kv


def _pairs(letters: list[tuple[int, str]]) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
    """AB, BC, CA or 12, those that the node has."""
    at = {letter: (place, letter) for place, letter in letters}
    for first, second in _PAIRS:
        if first in at and second in at:
            yield at[first], at[second]


def _flows(net: physics.Network3, sol: physics.Solution3) -> Iterator[_Flow]:
    powers = [getattr(sol, f"p_{end}_mw") + 1j * getattr(sol, f"q_{end}_mvar") for end in ("from", "to")]
    for e, element in enumerate(net.elements):
        for end, node in enumerate((element.from_node, element.to_node)):
            carried = set(element.phases(end))
            for place, letter in _letters(net, node):
                if place not in carried:
                    continue
                s = complex(powers[end][e, place])
                volts = complex(sol.v[node, place]) * net.base_kv[node] / np.sqrt(3.0)
                current = np.conj(s / volts) if s != 0 else 0.0
                limit = float(net.phase_rating_mva[end, e, place])
                yield _Flow(e, end, node, letter, s, complex(current), limit)


def _flow_table(net: physics.Network3, flows: list[_Flow]) -> pa.Table:
    col = net.feeder.column
    ids, feeders, nodes = col("branches", "branch_id"), col("branches", "feeder_id"), col("nodes", "node_id")
    rows = [
        (
            ids[f.branch], feeders[f.branch], ("from", "to")[f.end], nodes[f.node], f.phase,
            f.s_mva.real, f.s_mva.imag, abs(f.current), float(np.angle(f.current, deg=True)),
            f.limit_mva, 100.0 * abs(f.s_mva) / f.limit_mva,
        )
        for f in flows
    ]  # fmt: skip
    return table_of_rows(rows, FLOWS)


def _branches(net: physics.Network3, flows: list[_Flow]) -> pa.Table:
    col = net.feeder.column
    s = np.zeros((2, net.n_branch), dtype=np.complex128)
    loading = np.full(net.n_branch, np.nan)
    for flow in flows:
        s[flow.end, flow.branch] += flow.s_mva
        loading[flow.branch] = np.fmax(loading[flow.branch], 100.0 * abs(flow.s_mva) / flow.limit_mva)
    loop = np.zeros(net.n_branch, dtype=bool)
    loop[net.topology.dropped] = loop[net.topology.closing] = True
    columns: dict[str, Any] = {name: col("branches", name) for name in ("branch_id", "from_node", "to_node")}
    columns |= {
        "feeder_id": col("branches", "feeder_id"),
        "closed": net.closed,
        "carries_current": net.topology.in_tree,
        "closes_loop": loop,
        "p_from_mw": s[0].real,
        "q_from_mvar": s[0].imag,
        "p_to_mw": s[1].real,
        "q_to_mvar": s[1].imag,
        "p_loss_mw": (s[0] + s[1]).real,
        "q_loss_mvar": (s[0] + s[1]).imag,
        "thermal_limit_mva": net.rating_mva,
        "loading_pct": loading,
        "rating_source": col("branches", "rating_source"),
    }
    return table(columns, BRANCHES)


def _losses(
    net: physics.Network3, sol: physics.Solution3, buses: pa.Table, voltages: pa.Table, branches: pa.Table,
    flows: pa.Table,
) -> pa.Table:  # fmt: skip
    """Sums per feeder id, per phase, then over all.

    In the rows of phases and in the total, what sources give is what loads, shunts and losses take. Coupling
    and windings move power from phase to phase: a phase's losses may be negative, only their sum is heat.
    """
    given, of_source = _source_power(net, sol), net.feeder.column("sources", "feeder_id")
    rows = []
    for name in sorted(set(buses["feeder_id"].to_pylist()) | set(branches["feeder_id"].to_pylist())):
        parts = [_where(t, "feeder_id", name) for t in (buses, voltages, flows)]
        loss = _total(_where(branches, "feeder_id", name), "p_loss_mw", "q_loss_mvar")
        row = _sums(given[of_source == name].sum(), loss, *parts) | _worst_unbalance(parts[0])
        rows.append({"scope": "feeder", "feeder_id": name} | row)
    for letter in [x for x in "ABC12" if x in voltages["phase"].to_pylist()]:
        volts, ends = _where(voltages, "phase", letter), _where(flows, "phase", letter)
        source = given[:, "ABC".index(letter)].sum() if letter in "ABC" else 0.0
        row = _sums(source, _total(ends, "p_mw", "q_mvar"), volts, volts, ends)
        rows.append({"scope": "phase", "phase": letter} | row | {"p_loss_pct_of_load": None})
    loss = _total(branches, "p_loss_mw", "q_loss_mvar")
    row = _sums(given.sum(), loss, buses, voltages, flows) | _worst_unbalance(buses)
    return pa.Table.from_pylist([*rows, {"scope": "total"} | row], schema=LOSSES)


def _source_power(net: physics.Network3, sol: physics.Solution3) -> ComplexArray:
    """(n_source, 3) MVA that the sources give to each phase of their nodes."""
    nodes = [source.node for source in net.sources]
    return np.asarray(np.nan_to_num(sol.v[nodes]) * np.conj(sol.i_source) * net.base_mva / 3.0)


def _where(of: pa.Table, column: str, value: str) -> pa.Table:
    return of.filter(pc.equal(of[column], value))


def _total(of: pa.Table, p: str, q: str) -> complex:
    return complex(np.nansum(of[p].to_numpy()), np.nansum(of[q].to_numpy()))


def _sums(
    source: complex, loss: complex, consumed: pa.Table, voltages: pa.Table, flows: pa.Table
) -> dict[str, Any]:
    """A row of the losses: powers, extremes of the voltages that are judged, the highest loading."""
    load, shunt = _total(consumed, "p_load_mw", "q_load_mvar"), _total(consumed, "p_shunt_mw", "q_shunt_mvar")
    powers = {"source": source, "load": load, "shunt": shunt, "loss": loss}
    row: dict[str, Any] = {f"p_{name}_mw": power.real for name, power in powers.items()}
    row |= {f"q_{name}_mvar": power.imag for name, power in powers.items()}
    row["p_loss_pct_of_load"] = 100.0 * loss.real / load.real if load.real else None
    row["loading_highest_pct"] = pc.max(flows["loading_pct"]).as_py()
    seen = voltages.filter(pc.and_(voltages["judged"], pc.is_valid(voltages["v_pu"]))).to_pylist()
    for word, pick in (("lowest", min), ("highest", max)):
        if seen:
            at = pick(seen, key=lambda one: float(one["v_pu"]))
            row[f"v_{word}_pu"], row[f"v_{word}_node"] = at["v_pu"], f"{at['node_id']}.{at['phase']}"
    return row


def _worst_unbalance(buses: pa.Table) -> dict[str, Any]:
    return {"vuf_highest_pct": pc.max(buses["vuf_pct"]).as_py()}


def _violations(
    net: physics.Network3, sol: physics.Solution3, buses: pa.Table, voltages: pa.Table, flows: pa.Table,
    vuf_max_pct: float,
) -> pa.Table:  # fmt: skip
    """Every limit that is passed; of a failed power flow only that it failed, its numbers prove nothing."""
    if not bool(sol.converged):
        name, feeder_id = net.feeder.name, net.feeder.feeder_id
        return table_of_rows([("failed_power_flow", name, None, feeder_id, *[None] * 3, "")], VIOLATIONS)
    found = [
        *_outside(net, voltages), *_overloads(flows), *_unbalanced(buses, vuf_max_pct), *_not_supplied(net),
    ]  # fmt: skip
    return table_of_rows(found, VIOLATIONS)


_Row = tuple[str, str, str | None, str, float, float, float, str]


def _outside(net: physics.Network3, voltages: pa.Table) -> Iterator[_Row]:
    judged = voltages.filter(voltages["judged"]).to_pylist()
    at = [net.feeder.node_index[row["node_id"]] for row in judged]
    low, high = (limits[at] for limits in judged_band(net.feeder))
    outside = of_band(np.array([row["v_pu"] for row in judged], dtype=np.float64), low, high)
    for kind, beyond, limit in (("overvoltage", outside.over, high), ("undervoltage", outside.under, low)):
        for k in np.flatnonzero(beyond):
            row = judged[k]
            place = row["node_id"], row["phase"], row["feeder_id"]
            yield kind, *place, row["v_pu"], float(limit[k]), float(beyond[k]), "pu"


def _overloads(flows: pa.Table) -> Iterator[_Row]:
    """Of each phase of a branch the end that is loaded more."""
    worst: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}
    for row in flows.to_pylist():
        if row["limit_mva"] is not None:
            loading = abs(complex(row["p_mw"], row["q_mvar"])) / row["limit_mva"]
            key = row["branch_id"], row["phase"]
            worst[key] = max(worst.get(key, (loading, row)), (loading, row), key=lambda one: one[0])
    above = of_rating(
        np.array([loading for loading, _ in worst.values()]),
        np.array([row["limit_mva"] for _, row in worst.values()]),
    )
    for (branch, phase), (loading, row), beyond in zip(worst, worst.values(), above.tolist(), strict=True):
        if beyond > 0.0:
            limit = row["limit_mva"]
            yield "overload", branch, phase, row["feeder_id"], loading * limit, limit, beyond, "MVA"


def _unbalanced(buses: pa.Table, vuf_max_pct: float) -> Iterator[_Row]:
    rows = buses.to_pylist()
    above = of_unbalance(np.array([row["vuf_pct"] for row in rows], dtype=np.float64), vuf_max_pct)
    for k in np.flatnonzero(above):
        place = rows[k]["node_id"], None, rows[k]["feeder_id"]
        yield "unbalance", *place, rows[k]["vuf_pct"], vuf_max_pct, float(above[k]), "%"


def _not_supplied(net: physics.Network3) -> Iterator[_Row]:
    """Nodes with phases that no source reaches, and the nominal load there."""
    ids, feeders = (net.feeder.column("nodes", name) for name in ("node_id", "feeder_id"))
    dead = net.present & ~net.energised
    between = dead | np.roll(dead, -1, axis=1)  # a leg AB, BC, CA needs both its phases
    p = np.where(dead, net.load_p_mw, 0.0) + np.where(between, net.delta_p_mw, 0.0)
    q = np.where(dead, net.load_q_mvar, 0.0) + np.where(between, net.delta_q_mvar, 0.0)
    size = np.hypot(p.sum(axis=1), q.sum(axis=1))
    for n in np.flatnonzero(dead.any(axis=1)).tolist():
        phases = "".join(letter for place, letter in _letters(net, n) if dead[n, place])
        yield "not_supplied", ids[n], phases, feeders[n], 0.0, float(size[n]), float(size[n]), "MVA"
