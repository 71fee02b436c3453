"""What real charging stations saw on each of their days, from the charging sessions of the model year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .calendar import HOURS_PER_DAY, weekday

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

CHARGER_SITES = ("jpl", "caltech")
#: Later years of the sessions are those in which both places stood half empty.
SOURCE_YEAR = 2019


@dataclass(frozen=True, eq=False)
class ChargerDays:
    """Days of single charging stations, weekday by weekday; days without a car are among them.

    Attributes:
        first: (8,) the days of weekday w (0 is Monday) are `first[w]` to `first[w + 1] - 1`.
        at: (n_days + 1,) the sessions of day k are `at[k]` to `at[k + 1] - 1`, in the order of time.
        arrival_h, departure_h: (n_sessions,) hours after midnight, 0 to 24.
        energy_kwh: (n_sessions,) delivered at the station's terminals.
    """

    first: Ints
    at: Ints
    arrival_h: Array
    departure_h: Array
    energy_kwh: Array


def charger_days(sessions: pa.Table, site: str) -> ChargerDays:
    """Every day of every station of `site` ("jpl", a workplace, or "caltech", a campus) in 2019.

    A station's days are those on which any station of its site has a session, so that idle ones count as they
    occurred. Left out are days with a stay beyond midnight (2 % of the sessions) and those whose sessions
    overlap, which one station cannot have had.

    Args:
        sessions: `Profiles.ev_sessions`.
        site: "jpl" or "caltech".

    Raises:
        ValueError: an unknown site, or one without sessions.
    """
    if site not in CHARGER_SITES:
        raise ValueError(f"unknown charging site {site!r}; choose one of {', '.join(CHARGER_SITES)}")
    mine = sessions.filter(pc.and_(pc.equal(sessions["site"], site), pc.equal(sessions["year"], SOURCE_YEAR)))
    if not mine.num_rows:
        raise ValueError(f"there are no charging sessions of {site} in {SOURCE_YEAR}")
    found: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    columns = [mine[name].to_pylist() for name in ("day", "station_id", "arrival_h", "stay_h", "del_kwh")]
    for day, station, arrival, stay, energy in zip(*columns, strict=True):
        found.setdefault((day, station), []).append((arrival, arrival + stay, energy))
    stations = sorted({station for _, station in found})
    rows: list[tuple[float, float, float]] = []
    first, at = [0], [0]
    days = sorted({day for day, _ in found})
    for of_week in range(7):
        for day in (d for d in days if weekday(d) == of_week):
            for station in stations:
                stays = sorted(found.get((day, station), []))
                if _possible(stays):
                    rows += stays
                    at.append(len(rows))
        first.append(len(at) - 1)
    arrival_h, departure_h, energy_kwh = (_frozen(column) for column in zip(*rows, strict=True))
    return ChargerDays(_counts(first), _counts(at), arrival_h, departure_h, energy_kwh)


def _possible(stays: list[tuple[float, float, float]]) -> bool:
    """Whether one station can have had them, all on one day."""
    after = [arrival for arrival, _, _ in stays[1:]] + [HOURS_PER_DAY]
    return all(departure <= later for (_, departure, _), later in zip(stays, after, strict=False))


def _frozen(values: tuple[float, ...]) -> Array:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _counts(values: list[int]) -> Ints:
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array
