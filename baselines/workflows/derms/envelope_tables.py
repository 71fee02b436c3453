"""Tables of `derms envelope`: vertices, what binds there, setpoints, boxes, regions, operating envelopes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ...hosting.operating import EXPORT, IMPORT, OperatingEnvelope, OperatingRules, operating_envelope
from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table_of_rows
from ...optimal.envelope.polygon import beyond, inner_box, outer_box
from ...optimal.envelope.region import Region, pq_region
from .envelope_session import EnvelopeSession, Group, energy_mwh

COUNT = pa.int64()
_DEVICE = ("p_max", "p_min", "q_max", "q_min", "s_max")

_WHERE = (("day", COUNT, "day of the year, from 0"), ("step", COUNT, "of the day, from 0"))  # null: nominal
VERTICES = schema(
    *_WHERE, ("region", TEXT, ""), ("group_by", TEXT, ""), ("seen_at", TEXT, ""),
    ("vertex_id", COUNT, "counter-clockwise, from 0"),
    ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"),  # head: that arrives; injection: fed in
    ("label", TEXT, ""), ("direction_deg", NUMBER, "degrees; 0: most P, 90: most Q"),
    ("v_min_pu", NUMBER, "pu"), ("v_max_pu", NUMBER, "pu"), ("violation", NUMBER, "pu, MVA or MW"),
)  # fmt: skip
BINDING = schema(
    *_WHERE, ("region", TEXT, ""), ("vertex_id", COUNT, ""), ("kind", TEXT, ""), ("element", TEXT, ""),
    ("limit", NUMBER, "see unit"), ("unit", TEXT, ""), ("dual", NUMBER, "MVA of reach for one of the unit"),
)  # fmt: skip
SETPOINTS = schema(
    *_WHERE, ("region", TEXT, ""), ("vertex_id", COUNT, ""), ("asset_id", TEXT, ""),
    ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"),
)  # fmt: skip
BOXES = schema(
    *_WHERE, ("region", TEXT, ""), ("box", TEXT, "inner or outer"),
    ("p_min_mw", NUMBER, "MW"), ("p_max_mw", NUMBER, "MW"),
    ("q_min_mvar", NUMBER, "Mvar"), ("q_max_mvar", NUMBER, "Mvar"),
    ("inside_hull", YES_NO, ""), ("contains_hull", YES_NO, ""),
)  # fmt: skip
REGIONS = schema(
    *_WHERE, ("region", TEXT, ""), ("group_by", TEXT, ""), ("seen_at", TEXT, ""), ("assets", COUNT, "1"),
    ("status", TEXT, ""), ("shortfall", NUMBER, "pu, MVA or MW"), ("vertices", COUNT, "1"),
    ("unsettled", COUNT, "vertices that small changes might still better"),
    ("area_mw_mvar", NUMBER, "MW Mvar"), ("naive_area_mw_mvar", NUMBER, "MW Mvar, devices without a grid"),
    ("base_p_mw", NUMBER, "MW"), ("base_q_mvar", NUMBER, "Mvar"),
    ("p_min_mw", NUMBER, "MW"), ("p_max_mw", NUMBER, "MW"),
    ("q_min_mvar", NUMBER, "Mvar"), ("q_max_mvar", NUMBER, "Mvar"),
    ("energy_mwh", NUMBER, "MWh of batteries above their least, before the step"),
)  # fmt: skip
OPERATING_LIMITS = schema(
    *_WHERE, ("customer", TEXT, ""), ("bus_id", TEXT, ""), ("phase", TEXT, ""),
    ("operating", TEXT, ""), ("allocation", TEXT, ""),
    ("opModExpLimW", NUMBER, "W"), ("opModImpLimW", NUMBER, "W"),  # net, at the connection point
    ("export_alone_w", NUMBER, "W, all others passive"), ("import_alone_w", NUMBER, "W, all others passive"),
    ("export_alone_limit", TEXT, ""), ("import_alone_limit", TEXT, ""), ("passive_w", NUMBER, "W"),
)  # fmt: skip
OPERATING_GRID = schema(
    *_WHERE, ("direction", TEXT, ""), ("operating", TEXT, ""), ("allocation", TEXT, ""),
    ("customers", COUNT, "1"), ("least_w", NUMBER, "W"), ("most_w", NUMBER, "W"), ("total_w", NUMBER, "W"),
    ("limiting_constraint", TEXT, ""), ("limiting_element", TEXT, ""),  # of equal limits
    ("v_lowest_pu", NUMBER, "pu"), ("v_highest_pu", NUMBER, "pu"),  # when all use their limits
    ("loading_highest_pct", NUMBER, "%"), ("kept", YES_NO, ""), ("excess", NUMBER, "pu or share of a rating"),
)  # fmt: skip

REGION_SCHEMAS = {
    "der_envelopes": VERTICES, "der_envelope_limits": BINDING, "der_envelope_setpoints": SETPOINTS,
    "der_envelope_boxes": BOXES, "der_envelope_regions": REGIONS,
}  # fmt: skip
OPERATING_SCHEMAS = {"der_operating_envelopes": OPERATING_LIMITS, "der_operating_grid": OPERATING_GRID}
SCHEMAS = {**REGION_SCHEMAS, **OPERATING_SCHEMAS}


def _stamp(session: EnvelopeSession, step: int) -> tuple[int | None, int | None]:
    return (None, None) if session.day < 0 else (session.day, step)


def _tables(**rows: list[tuple[Any, ...]]) -> dict[str, pa.Table]:
    return {name: table_of_rows(rows.get(name, []), of) for name, of in SCHEMAS.items()}


# -- regions ---------------------------------------------------------------------------------------------


def region_tables(session: EnvelopeSession, step: int, group: Group) -> dict[str, pa.Table]:
    """One region in one step."""
    moment, config = session.moment(step), session.config
    found = pq_region(
        session.case.net, moment.units, group=group.assets, base=moment.base, at=group.seen_at,
        limits=session.case.limits, around=moment.around, directions=config.directions,
    )  # fmt: skip
    if group.source is not None:
        found = _of_source(found, group.source)
    when, name = _stamp(session, step), group.name
    kind = (name, config.group_by, found.seen_at)
    vertices = [
        (*when, *kind, k, found.p_mw[k], found.q_mvar[k], label_of(found, k), found.direction_deg[k],
         found.v_min_pu[k], found.v_max_pu[k], found.violation[k])
        for k in range(found.p_mw.size)
    ]  # fmt: skip
    binding = [
        (*when, name, k, limit.kind, limit.element, limit.limit, limit.unit, limit.dual)
        for k, limits in enumerate(found.binding)
        for limit in limits
    ]
    setpoints = [
        (*when, name, k, unit.name, found.unit_p_mw[k, i], found.unit_q_mvar[k, i])
        for k in range(found.p_mw.size)
        for i, unit in enumerate(found.units)
    ]
    reach = _boxes(found)
    row = (
        *when, *kind, len(found.units), found.status, found.shortfall, found.p_mw.size, found.unsettled,
        found.area, found.naive_area, *found.base, *(reach["outer"][0] if reach else (None,) * 4),
        energy_mwh(moment, group),
    )  # fmt: skip
    boxes = [(*when, name, box, *sides, *flags) for box, (sides, flags) in reach.items()]
    return _tables(
        der_envelopes=vertices, der_envelope_limits=binding, der_envelope_setpoints=setpoints,
        der_envelope_boxes=boxes, der_envelope_regions=[row],
    )  # fmt: skip


def _of_source(found: Region, source: int) -> Region:
    """Power of one of several sources: what the others deliver does not change, for they feed others."""
    rest = np.delete(found.base_source_mva, source).sum()
    return replace(
        found, p_mw=found.p_mw - rest.real, q_mvar=found.q_mvar - rest.imag,
        base=found.base - [rest.real, rest.imag],
    )  # fmt: skip


def label_of(found: Region, vertex: int) -> str:
    """Limits of the grid that bind at a vertex, dearest first, and how many of devices."""
    limits = found.binding[vertex]
    grid = [f"{limit.kind} {limit.element}" for limit in limits if limit.kind not in _DEVICE]
    devices = len({limit.element for limit in limits if limit.kind in _DEVICE})
    if devices:
        grid.append(f"{devices} of {len(found.units)} assets")
    return ", ".join(grid)


def _boxes(found: Region) -> dict[str, tuple[tuple[float, float, float, float], tuple[bool, bool]]]:
    """Inner and outer box, and whether each is inside the hull or around it."""
    if not found.p_mw.size:
        return {}
    corners = found.corners
    result: dict[str, tuple[tuple[float, float, float, float], tuple[bool, bool]]] = {}
    slack = 1e-9 * max(1.0, float(np.abs(corners).max()))
    for name, sides in (("inner", inner_box(corners)), ("outer", outer_box(corners))):
        p_low, p_high, q_low, q_high = sides
        box = np.array([[p_low, q_low], [p_high, q_low], [p_high, q_high], [p_low, q_high]])
        inside = bool(beyond(corners, box).max() <= slack)
        least, most = np.array([p_low, q_low]) - slack, np.array([p_high, q_high]) + slack
        around = bool(((corners >= least) & (corners <= most)).all())
        result[name] = sides, (inside, around)
    return result


# -- operating envelopes ---------------------------------------------------------------------------------


def operating_tables(session: EnvelopeSession, step: int) -> dict[str, pa.Table]:
    """Export and import limits of all customers in one step."""
    customers, rules = session.customers(step), session.config.rules()
    when = _stamp(session, step)
    way = {name: operating_envelope(customers, rules, name) for name in (EXPORT, IMPORT)}
    out, into = way[EXPORT], way[IMPORT]
    limits = [
        (*when, name, customers.buses[k], customers.phases[k] or None, rules.operating, rules.allocation,
         1e6 * out.limit_mw[k], 1e6 * into.limit_mw[k], 1e6 * out.alone_mw[k], 1e6 * into.alone_mw[k],
         _limit(out, k), _limit(into, k), 1e6 * customers.p_mw[k])
        for k, name in enumerate(customers.names)
    ]  # fmt: skip
    grid = [(*when, *_grid_row(name, one, rules)) for name, one in way.items()]
    return _tables(der_operating_envelopes=limits, der_operating_grid=grid)


def _limit(found: OperatingEnvelope, k: int) -> str | None:
    return f"{found.alone_kind[k]} {found.alone_element[k]}".strip() or None


def _grid_row(name: str, one: OperatingEnvelope, rules: OperatingRules) -> tuple[Any, ...]:
    watts = 1e6 * one.limit_mw
    return (
        name, rules.operating, rules.allocation, watts.size, watts.min(), watts.max(), watts.sum(),
        one.kind or None, one.element or None, one.v_low_pu, one.v_high_pu, one.loading_pct,
        one.excess <= 0.0, one.excess if np.isfinite(one.excess) else None,
    )  # fmt: skip
