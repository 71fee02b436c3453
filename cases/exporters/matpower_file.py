"""Balanced feeders as MATPOWER case files (version 2), with the ids of the feeder in comments.

MATPOWER has constant power only, one number for each bus and no open ends, so a feeder with loads that depend
on their voltage is refused.
"""

from __future__ import annotations

import re

import numpy as np

from ..errors import CaseError, Problem
from ..model.feeder import Feeder
from .pandapower_net import regulated_taps, zip_shares

_KINDS = {"load": 1, "held": 2, "source": 3}


def matpower_text(feeder: Feeder) -> str:
    """The text of a `.m` file.

    Raises:
        CaseError: a per-phase feeder, or loads that depend on voltage.
    """
    if feeder.phases != "balanced":
        raise CaseError([Problem(feeder.name, None, "phases", feeder.phases, "a balanced feeder")])
    shares = zip_shares(feeder)
    for row in np.flatnonzero(shares.any(axis=1)).tolist()[:5]:
        shown = ", ".join(f"{share:g}" for share in shares[row])
        raise CaseError([Problem("loads", row, "shares", shown, "constant power, as MATPOWER has no other")])
    numbers = bus_numbers(feeder)
    name = re.sub(r"\W", "_", feeder.name) or "feeder"
    name = name if name[0].isalpha() else f"case_{name}"
    title = " ".join(feeder.metadata.get("title", "distribution feeder").split()).replace("%", " ")
    return "\n".join(
        [
            f"function mpc = {name}",
            f"%{name.upper()}  {title}",
            "mpc.version = '2';",
            f"mpc.baseMVA = {feeder.base_mva!r};",
            *_matrix("bus", _buses(feeder, numbers), feeder.column("nodes", "node_id").tolist()),
            *_matrix("gen", *_generators(feeder, numbers)),
            *_matrix("branch", _branches(feeder, numbers), feeder.column("branches", "branch_id").tolist()),
            "",
        ]
    )


def bus_numbers(feeder: Feeder) -> dict[str, int]:
    """Bus number of each node: its id where all are whole numbers above 0, else its row, from 1."""
    ids = feeder.column("nodes", "node_id").tolist()
    if all(re.fullmatch(r"[1-9]\d{0,14}", node) for node in ids):
        return {node: int(node) for node in ids}
    return {node: row for row, node in enumerate(ids, 1)}


def _buses(feeder: Feeder, numbers: dict[str, int]) -> list[list[float]]:
    column = feeder.column
    node_ids = column("nodes", "node_id")
    held = dict(zip(column("loads", "node_id"), column("loads", "v_set_pu"), strict=True))
    source = dict(zip(column("sources", "node_id"), column("sources", "v_deg"), strict=True))
    free = np.isnan(column("loads", "v_set_pu"))
    load = np.zeros((feeder.n_nodes, 2))
    at = np.array([feeder.node_index[node] for node in column("loads", "node_id")], dtype=int)
    for k, name in enumerate(("p_mw", "q_mvar")):
        np.add.at(load[:, k], at[free], column("loads", name)[free])
    shunt = np.column_stack([column("nodes", "shunt_g_mw"), column("nodes", "shunt_b_mvar")]).astype(float)
    on = column("capacitors", "status")
    banks = [feeder.node_index[node] for node in column("capacitors", "node_id")[on]]
    np.add.at(shunt[:, 1], np.array(banks, dtype=int), column("capacitors", "q_mvar")[on])
    found = []
    rows = zip(
        node_ids, column("nodes", "base_kv"), column("nodes", "v_min"), column("nodes", "v_max"), strict=True
    )
    for row, (node, kv, low, high) in enumerate(rows):
        holds = not np.isnan(held.get(node, np.nan))
        kind = _KINDS["source" if node in source else "held" if holds else "load"]
        angle = float(source.get(node, 0.0))
        found.append([numbers[node], kind, *load[row], *shunt[row], 1, 1.0, angle, kv, 1, high, low])
    return found


def _generators(feeder: Feeder, numbers: dict[str, int]) -> tuple[list[list[float]], list[str]]:
    base, found, names = feeder.base_mva, [], []
    for name, node, v in zip(
        *(feeder.column("sources", c) for c in ("source_id", "node_id", "v_pu")), strict=True
    ):
        found.append([numbers[node], 0.0, 0.0, np.inf, -np.inf, v, base, 1, np.inf, -np.inf])
        names.append(name)
    columns = ("load_id", "node_id", "p_mw", "v_set_pu", "q_min_mvar", "q_max_mvar")
    for name, node, p, held, low, high in zip(*(feeder.column("loads", c) for c in columns), strict=True):
        if not np.isnan(held):
            limits = [np.inf if np.isnan(high) else high, -np.inf if np.isnan(low) else low]
            found.append([numbers[node], -p, 0.0, *limits, held, base, 1, np.inf, -np.inf])
            names.append(name)
    return found, names


def _branches(feeder: Feeder, numbers: dict[str, int]) -> list[list[float]]:
    names = ("from_node", "to_node", "r", "x", "b", "shift_deg", "status", "thermal_limit_mva", "type")
    columns = [feeder.column("branches", name) for name in names]
    found = []
    for tap, start, end, r, x, b, shift, on, limit, kind in zip(
        regulated_taps(feeder), *columns, strict=True
    ):
        rate = 0.0 if np.isnan(limit) else limit
        ratio = tap if kind in ("transformer", "regulator") or tap != 1 or shift != 0 else 0.0
        ends = [numbers[start], numbers[end]]
        found.append([*ends, r, x, b, rate, rate, rate, ratio, shift, int(on), -360, 360])
    return found


def _matrix(name: str, rows: list[list[float]], ids: list[str]) -> list[str]:
    lines = [f"mpc.{name} = ["]
    for row, one in zip(rows, ids, strict=True):
        shown = "\t".join(_number(value) for value in row)
        lines.append(f"\t{shown};\t% {' '.join(str(one).split())}")
    return [*lines, "];"]


def _number(value: float) -> str:
    if np.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
