"""A year of photovoltaic power at 25 sites: a clear sky by pvlib times a seeded cloud process.

The place is a disc of 25 km radius around Kassel (51.31 N, 9.48 E), the clock is local standard time
(UTC+1), the year 2016. Power is worked out every 5 minutes and averaged to 15, as a meter would do.

Cloud process. Three things make the clear-sky index k(x, t):

* a regional cloud cover, slow (days) and shared by all sites, whose mean follows the season. Its spread is
  wide enough to make the three kinds of day: clear, broken cloud, overcast;
* a Gaussian field over the plane, fresh each day, that drifts with the day's wind. Where it exceeds the
  threshold set by the cover there is cloud. Sites a few km apart see nearly the same cloud, and a
  downwind site sees it later;
* the cloud's transmittance, a regional daily value that falls where the field is high.

The field is a sum of cosines (random Fourier features): exact, advected and cheap. All phases start anew each
midnight, so that no argument grows and a different libm changes no stored digit.

How the parameters were found and what they are measured against: cases/data/SOURCES.md, "Profiles".
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pvlib
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

SITE_SEED = 20160101
CLOUD_SEED = 1
N_SITES = 25
N_DAYS = 366
FINE = 288  # 5-min steps a day
LATITUDE, LONGITUDE, ALTITUDE_M = 51.31, 9.48, 170.0
# Monthly Linke turbidity at the place, from pvlib's climatology, written down so that the build needs no
# look-up table.
LINKE = (2.99, 3.1, 3.81, 3.48, 4.37, 4.4, 4.71, 4.84, 4.43, 3.61, 3.29, 2.94)


@dataclass(frozen=True)
class CloudModel:
    """Parameters of the cloud process (lengths in km, times in h)."""

    cover_mean: float = 0.23  # latent mean of the cover in summer; +cover_winter in winter
    cover_winter: float = 0.82
    cover_spread: float = 1.86
    cover_time_h: float = 39.0
    length_km: tuple[float, ...] = (1.7, 30.0, 45.0)
    weight: tuple[float, ...] = (0.124, 0.129, 0.747)
    wind_km_h: tuple[float, float] = (12.0, 53.0)
    life_h: float = 3.3  # decay of a cloud that moves along
    edge: float = 0.60  # width of a cloud's edge in units of the field's deviation
    transmittance: tuple[float, float] = (0.26, 0.48)
    depth: float = 0.35  # how fast a cloud darkens with the field, per deviation
    enhancement: float = 0.02  # light reflected from a cloud's side beside its shadow
    n_waves: int = 256
    seed: int = CLOUD_SEED


@dataclass(frozen=True)
class Sites:
    """Where the plants stand and how they are built; arrays of length 25."""

    x_km: Array
    y_km: Array
    tilt_deg: Array
    azimuth_deg: Array
    dc_ac: Array
    names: tuple[str, ...] = field(default=())


def make_sites(seed: int = SITE_SEED) -> Sites:
    """Five sites around each of five villages: near pairs as well as far ones."""
    rng = np.random.default_rng([seed, 1])
    angle = 2 * np.pi * (np.arange(5) / 5 + 0.07)
    radius = np.array([6.0, 15.0, 18.0, 11.0, 19.0])
    centre = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    place = np.round(np.repeat(centre, 5, axis=0) + rng.normal(0.0, 2.8, (N_SITES, 2)), 2)
    return Sites(
        x_km=place[:, 0].copy(),
        y_km=place[:, 1].copy(),
        tilt_deg=np.round(rng.uniform(22.0, 38.0, N_SITES), 0),
        azimuth_deg=np.asarray(np.round(np.clip(rng.normal(180.0, 22.0, N_SITES), 130.0, 230.0), 0)),
        dc_ac=np.round(rng.uniform(1.05, 1.25, N_SITES), 2),
        names=tuple(f"pv{i:02d}" for i in range(N_SITES)),
    )


def clear_sky(sites: Sites) -> Array:
    """Power under a cloudless sky, per unit of the AC rating and not yet clipped; (366*288, 25)."""
    start = pd.Timestamp("2016-01-01 00:02:30", tz="Etc/GMT-1")
    times = pd.date_range(start, periods=N_DAYS * FINE, freq="5min")
    sun = pvlib.solarposition.get_solarposition(times, LATITUDE, LONGITUDE, altitude=ALTITUDE_M)
    zenith, azimuth = sun["apparent_zenith"].to_numpy(), sun["azimuth"].to_numpy()
    airmass = pvlib.atmosphere.get_relative_airmass(zenith)
    pressure = pvlib.atmosphere.alt2pres(ALTITUDE_M)
    day = times.dayofyear.to_numpy() - 0.5
    middle = np.array([15.5, 45, 75, 105.5, 136, 166.5, 197, 228, 258.5, 289, 319.5, 350])
    turbidity = np.interp(day, middle, LINKE, period=366.0)
    extra = np.asarray(pvlib.irradiance.get_extra_radiation(times.dayofyear.to_numpy()))
    absolute = pvlib.atmosphere.get_absolute_airmass(airmass, pressure)
    with np.errstate(divide="ignore", invalid="ignore"):  # the sun below the horizon
        sky = pvlib.clearsky.ineichen(zenith, absolute, turbidity, ALTITUDE_M, extra)
    hour = (np.arange(N_DAYS * FINE) % FINE + 0.5) / 12.0
    warm = 9.5 - 9.5 * np.cos(2 * np.pi * (day - 20) / 366) - 4.0 * np.cos(2 * np.pi * (hour - 3.0) / 24)
    power = np.empty((N_DAYS * FINE, N_SITES))
    for i in range(N_SITES):
        plane = pvlib.irradiance.get_total_irradiance(
            sites.tilt_deg[i], sites.azimuth_deg[i], zenith, azimuth, sky["dni"], sky["ghi"], sky["dhi"],
            dni_extra=extra, albedo=0.2, model="haydavies",
        )  # fmt: skip
        poa = np.nan_to_num(np.asarray(plane["poa_global"]), nan=0.0)
        cell = pvlib.temperature.faiman(poa, warm, 2.0)
        # 12 % for wiring, soiling, mismatch and the inverter; -0.37 %/K, crystalline silicon.
        power[:, i] = sites.dc_ac[i] * 0.88 * poa / 1000.0 * (1.0 - 0.0037 * (cell - 25.0))
    power[zenith > 90.0] = 0.0
    return np.maximum(power, 0.0)


def regional_cover(model: CloudModel, rng: np.random.Generator) -> Array:
    """Share of the sky that is covered, (366, 288): an hourly autoregression, linear between hours."""
    n = N_DAYS * 24 + 1
    keep = np.exp(-1.0 / model.cover_time_h)
    noise = rng.standard_normal(n)
    latent = np.empty(n)
    latent[0] = noise[0]
    for i in range(1, n):
        latent[i] = keep * latent[i - 1] + np.sqrt(1.0 - keep * keep) * noise[i]
    # Smoothed, the cover drifts rather than jitters: jitter would move all sites at once.
    kernel = np.array([1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0]) / 16.0
    latent = np.convolve(np.pad(latent, 3, mode="edge"), kernel, mode="valid")
    day = np.arange(n) / 24.0
    mean = model.cover_mean + model.cover_winter * 0.5 * (1.0 + np.cos(2 * np.pi * (day - 5) / 366))
    latent = mean + model.cover_spread * latent
    fine = np.interp(np.arange(N_DAYS * FINE) / 12.0, np.arange(n), latent)
    return np.clip(ndtr(fine), 0.005, 0.995).reshape(N_DAYS, FINE)


def cloud_field(sites: Sites, model: CloudModel, rng: np.random.Generator) -> Array:
    """One day's drifting field at the sites, (288, 25), close to unit deviation."""
    m = model.n_waves
    scale = np.repeat(model.length_km, np.diff(np.round(np.cumsum((0.0, *model.weight)) * m).astype(int)))
    wave = rng.standard_normal((m, 2)) / scale[:, None]  # rad/km, a Gaussian-correlated field a scale
    spin = rng.standard_normal(m) / model.life_h * np.sqrt(model.length_km[0] / scale)  # rad/h
    speed, heading = rng.uniform(*model.wind_km_h), rng.normal(0.6, 0.9)
    wind = speed * np.array([np.cos(heading), np.sin(heading)])
    hour = np.arange(FINE) / 12.0
    in_time = hour[:, None] * (spin - wave @ wind) + rng.uniform(0.0, 2 * np.pi, m)
    in_space = np.stack([sites.x_km, sites.y_km], axis=1) @ wave.T
    return np.asarray(
        (np.cos(in_time) @ np.cos(in_space).T - np.sin(in_time) @ np.sin(in_space).T) * np.sqrt(2.0 / m)
    )


def clear_sky_index(sites: Sites, model: CloudModel) -> Array:
    """Factor on the clear-sky power, (366*288, 25), about 0.1 to 1.15."""
    cover = regional_cover(model, np.random.default_rng([model.seed, 2]))
    rng = np.random.default_rng([model.seed, 3])
    low, high = model.transmittance
    index = np.empty((N_DAYS, FINE, len(sites.x_km)))
    for d in range(N_DAYS):
        z = cloud_field(sites, model, rng)
        through = rng.uniform(low, high)
        # A closed deck is thicker than scattered cloud, and its light varies as its thickness does.
        deep = through * (1.0 - 0.45 * cover[d, :, None] ** 4) * np.exp(-model.depth * z)
        gap = (ndtri(1.0 - cover[d])[:, None] - z) / model.edge  # > 0: sun
        share = 1.0 / (1.0 + np.exp(-np.clip(4.0 * gap, -40.0, 40.0)))
        beside = model.enhancement * np.exp(-(((gap - 1.0) / 1.2) ** 2))
        index[d] = deep + (1.0 - deep) * share + beside
    return index.reshape(N_DAYS * FINE, -1)


def pv_year(sites: Sites | None = None, model: CloudModel | None = None, clear: Array | None = None) -> Array:
    """Power of every site in per unit of its AC rating, 15-min means, (35136, 25), in [0, 1]."""
    sites = sites or make_sites()
    clear = clear_sky(sites) if clear is None else clear
    power = np.minimum(clear * clear_sky_index(sites, model or CloudModel()), 1.0)
    return np.ascontiguousarray(power.reshape(N_DAYS * 96, 3, -1).mean(axis=1))


def distances(sites: Sites) -> Array:
    """Distance between sites in km, (25, 25)."""
    return np.hypot(sites.x_km[:, None] - sites.x_km, sites.y_km[:, None] - sites.y_km)


BINS_KM = ((0.0, 6.0), (6.0, 15.0), (15.0, 30.0), (30.0, 60.0))


def ramp_statistics(power: Array, sites: Sites) -> dict[str, Array]:
    """What is compared with measurements: 30-min ramps over all hours, as in SOURCES.md.

    Returns "corr" (4,), the mean correlation of the ramps of site pairs by distance bin (`BINS_KM`), "p999"
    (25,), the 99.9th percentile of the ramps in per unit of the rating, "p999_15min" (25,) and "cf" (25,).
    """
    instant = power[::2]
    corr = np.asarray(np.corrcoef(np.diff(instant, axis=0).T))
    far = distances(sites)
    pairs = np.triu(np.ones_like(far, dtype=bool), 1)
    by_bin = [corr[pairs & (far >= lo) & (far < hi)] for lo, hi in BINS_KM]
    return {
        "corr": np.array([c.mean() if c.size else np.nan for c in by_bin]),
        "pairs": np.array([float(c.size) for c in by_bin]),
        "p999": np.quantile(np.abs(power[2:] - power[:-2]), 0.999, axis=0),
        "p999_15min": np.quantile(np.abs(np.diff(power, axis=0)), 0.999, axis=0),
        "cf": power.mean(axis=0),
    }
