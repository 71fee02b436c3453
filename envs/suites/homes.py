"""Homes of the European low-voltage feeder that have a car, and the nights of cars at home or in a depot."""

from __future__ import annotations

from typing import Any

from ..resources import EV, ChargingSession

#: Bus, phase, hours of arrival and departure.
HOMES = (
    ("47", "B", 17.5, 6.0), ("74", "A", 18.0, 6.0), ("178", "B", 18.5, 6.0), ("249", "B", 17.0, 6.0),
    ("289", "A", 17.5, 6.0), ("314", "B", 19.0, 6.0), ("320", "C", 18.0, 6.0), ("349", "A", 16.5, 6.0),
    ("388", "A", 18.0, 6.0), ("458", "C", 17.5, 6.0), ("522", "B", 18.5, 6.0), ("563", "A", 19.0, 6.0),
    ("614", "C", 18.0, 6.0), ("639", "B", 17.0, 6.0), ("688", "B", 17.5, 6.0), ("755", "B", 18.0, 6.0),
    ("780", "C", 18.5, 6.0), ("817", "A", 17.0, 6.0), ("860", "A", 18.0, 6.0), ("896", "A", 19.0, 6.0),
    ("906", "A", 17.5, 6.0),
)  # fmt: skip

#: What the cars of a night need, of what the station could give them, from some weekday on.
_NEEDS = (0.9, 0.45, 0.7, 0.3, 0.6, 0.25, 0.4)


def _nights(p_mw: float, arrival_h: float, departure_h: float, first: int) -> tuple[ChargingSession, ...]:
    """A car every night of the week; the first weekday has the need of number ``first`` of `_NEEDS`."""
    stay_h = departure_h + 24.0 - arrival_h
    return tuple(
        ChargingSession(
            24.0 * day + arrival_h, 24.0 * day + arrival_h + stay_h,
            round(0.95 * p_mw * stay_h * _NEEDS[(day + first) % 7], 6),
        )
        for day in range(7)
    )  # fmt: skip


def overnight(
    bus: str,
    p_mw: float,
    arrival_h: float,
    departure_h: float,
    first: int,
    phase: str = "ABC",
    **options: Any,
) -> EV:
    """A station with a car every night; ``first`` as in `_nights`, ``options`` are other fields of `EV`."""
    sessions = _nights(p_mw, arrival_h, departure_h, first)
    return EV(bus, p_mw=p_mw, repeats="weekly", sessions=sessions, phase=phase, **options)
