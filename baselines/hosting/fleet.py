"""What is connected already: fixed injections, and envelopes inside which units may help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases import CaseError, Problem
from .flows import Flows
from .siting import each_bus

FloatArray = NDArray[np.float64]

_NUMBERS = ("p_mw", "q_mvar", "p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar")
_P, _Q = ("p_mw", "p_min_mw", "p_max_mw"), ("q_mvar", "q_min_mvar", "q_max_mvar")
#: From where a unit rests to the end of its envelope: the places that are looked at.
POSITIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class ConnectedFleet:
    """Injections of what is there, generator convention, in the places of `Flows.shape`.

    Attributes:
        rest_mw: Where units are that nobody moves: ``p_mw``, or the power nearest to 0 of their envelope.
        q_mvar: Reactive power, which stays: ``q_mvar``, or the one nearest to 0 of their envelope.
        least_mw, most_mw: Ends of the envelopes.
    """

    rest_mw: FloatArray
    q_mvar: FloatArray
    least_mw: FloatArray
    most_mw: FloatArray

    @property
    def flexible(self) -> bool:
        """Whether any unit may move."""
        return bool((self.least_mw < self.rest_mw).any() or (self.most_mw > self.rest_mw).any())

    def at(self, position: float, sign: int) -> FloatArray:
        """Injection on the way from rest to the end of the envelope that helps against ``sign`` (1: more
        generation, -1: more load).
        """
        end = self.least_mw if sign > 0 else self.most_mw
        return self.rest_mw + position * (end - self.rest_mw)


def no_fleet(flows: Flows) -> ConnectedFleet:
    """Nothing is there."""
    nothing = np.zeros(flows.shape)
    return ConnectedFleet(nothing, nothing, nothing, nothing)


def fleet_of(
    flows: Flows, rows: Sequence[Mapping[str, Any]], origin: str = "ders", lines: Sequence[int] | None = None
) -> ConnectedFleet:
    """A fleet from rows of ``asset_id, bus_id, p_mw[, q_mvar]`` or ``p_min_mw, p_max_mw``.

    With ``q_min_mvar, q_max_mvar`` the reactive power is ``q_mvar``, or what is nearest to 0 between both.
    CaseError names ``origin``, row (its number in ``lines``; None: from 0) and field of what is wrong:
    unknown buses, no number, an envelope upside down or left.
    """
    places = {bus: row for row, bus in enumerate(flows.node_ids)}
    rest, q, least, most = (np.zeros(flows.shape) for _ in range(4))
    problems: list[Problem] = []
    known: set[str] = set()
    for k, row in zip(range(len(rows)) if lines is None else lines, rows, strict=True):
        name = str(row.get("asset_id") or "")
        if name in known:
            problems.append(Problem(origin, k, "asset_id", name, "an id that no earlier row has"))
            continue
        known.update({name} - {""})
        bus = str(row.get("bus_id", row.get("node_id", "")))
        if bus not in places or bus in flows.source_ids:
            problems.append(Problem(origin, k, "bus_id", bus, "a bus of the feeder that is no source"))
            continue
        found = _numbers(row, origin, k, problems)
        if found is None:
            continue
        share = each_bus(flows, [bus]).share[0]
        low, high = found["p_min_mw"], found["p_max_mw"]
        still, reactive = (_at_rest(found, *names) for names in (_P, _Q))
        if not low <= still <= high:
            problems.append(Problem(origin, k, "p_mw", str(still), f"a power from {low} to {high} MW"))
            continue
        if not found["q_min_mvar"] <= reactive <= found["q_max_mvar"]:
            expected = f"a power from {found['q_min_mvar']} to {found['q_max_mvar']} Mvar"
            problems.append(Problem(origin, k, "q_mvar", str(reactive), expected))
            continue
        rest, least, most = rest + still * share, least + low * share, most + high * share
        q = q + reactive * share
    if problems:
        raise CaseError(problems)
    return ConnectedFleet(rest, q, least, most)


def _numbers(row: Mapping[str, Any], origin: str, k: int, problems: list[Problem]) -> dict[str, float] | None:
    found: dict[str, float] = {}
    for name in _NUMBERS:
        text = row.get(name)
        if text is None or text == "":
            continue
        try:
            found[name] = float(text)
        except (TypeError, ValueError):
            found[name] = np.nan
        if not np.isfinite(found[name]):
            problems.append(Problem(origin, k, name, str(text), "a finite number"))
            return None
    if "p_mw" not in found and not {"p_min_mw", "p_max_mw"} <= set(found):
        problems.append(Problem(origin, k, "p_mw", "", "p_mw, or both p_min_mw and p_max_mw"))
        return None
    ends = {"q_min_mvar", "q_max_mvar"} & set(found)
    if len(ends) == 1:
        problems.append(Problem(origin, k, ends.pop(), "", "both q_min_mvar and q_max_mvar, or neither"))
        return None
    for value, low, high in (_P, _Q):
        found.setdefault(low, found.get(value, 0.0))
        found.setdefault(high, found.get(value, 0.0))
        if found[low] > found[high]:
            problems.append(Problem(origin, k, low, str(found[low]), f"no more than {high}"))
            return None
    return found


def _at_rest(found: Mapping[str, float], value: str, low: str, high: str) -> float:
    """What is given, or what is nearest to 0 between the ends."""
    return found[value] if value in found else min(max(0.0, found[low]), found[high])
