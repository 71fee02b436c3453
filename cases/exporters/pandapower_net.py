"""Balanced feeders as pandapower nets: each table of the feeder in pandapower's own elements.

Lines and switches with an impedance become lines of their length (1 km where none is known), transformers
two-winding transformers with their plate, their charging as shunts beside them, switches without impedance
switches between buses. An open branch has open switches at its ends or is out of service. Regulators at a
position count into the ratio of their branch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import CaseError, Problem
from ..importers.quiet import quiet
from ..model.feeder import Feeder

HZ = 50.0
_GENEROUS_KA = 99999.0  # what pandapower's own nets have where a line has no rating


def to_pandapower(feeder: Feeder) -> Any:
    """A balanced feeder as a pandapower net; the ids of its rows are the names of the elements.

    Raises:
        CaseError: a per-phase feeder, or a load with an exponent that pandapower has not.
    """
    if feeder.phases != "balanced":
        expected = "a balanced feeder (pandapower's per-phase nets have no wires of their own phases)"
        raise CaseError([Problem(feeder.name, None, "phases", feeder.phases, expected)])
    with quiet():
        import pandapower as pp

        net = pp.create_empty_network(name=feeder.name, f_hz=HZ, sn_mva=feeder.base_mva)
        bus = _buses(pp, net, feeder)
        _branches(pp, net, feeder, bus)
        _at_buses(pp, net, feeder, bus)
    return net


def _buses(pp: Any, net: Any, feeder: Feeder) -> dict[str, int]:
    names = ("node_id", "base_kv", "v_min", "v_max", "x", "y", "feeder_id")
    columns = [feeder.column("nodes", name) for name in names]
    found = {}
    for node, kv, low, high, x, y, zone in zip(*columns, strict=True):
        place = None if np.isnan(x) else (float(x), float(y))
        index = pp.create_bus(
            net, float(kv), name=str(node), geodata=place, min_vm_pu=float(low), max_vm_pu=float(high),
            zone=str(zone),
        )  # fmt: skip
        found[str(node)] = int(index)
    return found


def regulated_taps(feeder: Feeder) -> np.ndarray:
    """(branches,) ratio at the from end of each branch, regulators at their positions included."""
    tap = feeder.column("branches", "tap").astype(float).copy()
    columns = ("branch_id", "tap_pos", "tap_step_pu")
    for branch, position, step in zip(*(feeder.column("regulators", c) for c in columns), strict=True):
        tap[feeder.branch_index[branch]] /= 1.0 + position * step
    return tap


def _branches(pp: Any, net: Any, feeder: Feeder, bus: dict[str, int]) -> None:
    names = ("branch_id", "from_node", "to_node", "type", "r", "x", "b", "shift_deg", "status", "length_km",
             "thermal_limit_mva")  # fmt: skip
    columns = [feeder.column("branches", name) for name in names]
    kv = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True))
    switched = set(feeder.column("switches", "branch_id").tolist())
    plates = dict(
        zip(feeder.column("transformers", "branch_id"), feeder.column("transformers", "s_mva"), strict=True)
    )
    rows = zip(regulated_taps(feeder), *columns, strict=True)
    for tap, name, start, end, kind, r, x, b, shift, on, length, limit in rows:
        ends, z = (bus[start], bus[end]), complex(r, x)
        if z == 0 and tap == 1 and shift == 0 and b == 0 and kv[start] == kv[end]:
            limit_ka = None if np.isnan(limit) else limit / (np.sqrt(3.0) * kv[start])
            pp.create_switch(net, *ends, et="b", closed=bool(on), name=name, type="LBS", in_ka=limit_ka)
            continue
        if tap != 1 or shift != 0 or kv[start] != kv[end] or kind == "transformer":
            plate = plates.get(name, np.nan)
            size = next((s for s in (plate, limit) if not np.isnan(s)), feeder.base_mva)
            _transformer(
                pp, net, feeder, ends, (kv[start], kv[end]), name, (tap, shift, z, b, bool(on)), size
            )
            continue
        base = kv[start] ** 2 / feeder.base_mva
        km = 1.0 if np.isnan(length) else float(length)
        line = pp.create_line_from_parameters(
            net, *ends, km, r * base / km, x * base / km, b / base / (2e-9 * np.pi * HZ) / km,
            _GENEROUS_KA if np.isnan(limit) else limit / (np.sqrt(3.0) * kv[start]), name=name,
            in_service=bool(on) or name in switched,
        )  # fmt: skip
        if name in switched:
            sides = enumerate(ends) if not on else enumerate(ends[:1])
            for side, at in sides:
                pp.create_switch(
                    net, at, int(line), et="l", closed=bool(on), type="LBS", name=f"{name}:{side}"
                )


def _transformer(
    pp: Any, net: Any, feeder: Feeder, ends: tuple[int, int], kv: tuple[float, float], name: str,
    model: tuple[float, float, complex, float, bool], s_mva: float,
) -> None:  # fmt: skip
    tap, shift, z, b, on = model
    own = z * s_mva / feeder.base_mva
    size = abs(own) if own.imag >= 0 else -abs(own)
    pp.create_transformer_from_parameters(
        net, *ends, float(s_mva), float(kv[0]), float(kv[1]), 100.0 * own.real, 100.0 * size, 0.0, 0.0,
        shift_degree=float(shift), name=name, in_service=on, tap_side="hv", tap_neutral=0, tap_pos=1,
        tap_min=-1, tap_max=1, tap_step_percent=100.0 * (float(tap) - 1.0), tap_changer_type="Ratio",
    )  # fmt: skip
    if b:  # half of the charging behind the ratio, half at the to end
        for at, factor, side in ((ends[0], 1.0 / tap**2, "from"), (ends[1], 1.0, "to")):
            q = -0.5 * b * feeder.base_mva * factor
            pp.create_shunt(net, at, q_mvar=q, p_mw=0.0, name=f"{name}:{side}", in_service=on)


_EXPONENTS = {0.0: (0.0, 0.0), 1.0: (0.0, 1.0), 2.0: (1.0, 0.0)}


def zip_shares(feeder: Feeder) -> np.ndarray:
    """(loads, 4) shares p z, p i, q z, q i; CaseError where an exponent is none of 0, 1 and 2."""
    names = ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")
    shares = np.column_stack([feeder.column("loads", name) for name in names]).astype(float)
    for part, column in enumerate(("cvr_p", "cvr_q")):
        values = feeder.column("loads", column)
        for row in np.flatnonzero(~np.isnan(values)).tolist():
            if float(values[row]) not in _EXPONENTS:
                expected = "an exponent of 0, 1 or 2, as this format has shares only"
                raise CaseError([Problem("loads", row, column, f"{values[row]:g}", expected)])
            shares[row, 2 * part : 2 * part + 2] = _EXPONENTS[float(values[row])]
    return shares


def _at_buses(pp: Any, net: Any, feeder: Feeder, bus: dict[str, int]) -> None:
    names = ("load_id", "node_id", "p_mw", "q_mvar", "v_set_pu", "q_min_mvar", "q_max_mvar")
    columns = [feeder.column("loads", name) for name in names]
    for shares, *row in zip(zip_shares(feeder), *columns, strict=True):
        name, node, p, q, held, low, high = row
        if not np.isnan(held):
            limits = {
                key: float(value)
                for key, value in (("min_q_mvar", low), ("max_q_mvar", high))
                if not np.isnan(value)
            }
            pp.create_gen(net, bus[node], -float(p), vm_pu=float(held), name=name, **limits)
        elif p < 0 and not shares.any():
            pp.create_sgen(net, bus[node], -float(p), -float(q), name=name)
        else:
            z_p, i_p, z_q, i_q = (100.0 * share for share in shares)
            pp.create_load(
                net, bus[node], float(p), float(q), name=name, const_z_p_percent=z_p, const_i_p_percent=i_p,
                const_z_q_percent=z_q, const_i_q_percent=i_q,
            )  # fmt: skip
    for node, g, b in zip(
        *(feeder.column("nodes", c) for c in ("node_id", "shunt_g_mw", "shunt_b_mvar")), strict=True
    ):
        if g or b:
            pp.create_shunt(net, bus[node], q_mvar=-float(b), p_mw=float(g), name=f"shunt:{node}")
    for name, node, q, on in zip(
        *(feeder.column("capacitors", c) for c in ("cap_id", "node_id", "q_mvar", "status")), strict=True
    ):
        pp.create_shunt(net, bus[node], q_mvar=-float(q), p_mw=0.0, name=name, in_service=bool(on))
    for name, node, v, angle in zip(
        *(feeder.column("sources", c) for c in ("source_id", "node_id", "v_pu", "v_deg")), strict=True
    ):
        pp.create_ext_grid(net, bus[node], vm_pu=float(v), va_degree=float(angle), name=name)
