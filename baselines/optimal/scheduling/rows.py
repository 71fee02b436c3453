"""Columns and rows of assets in a program: boxes, circles, ramps, energies, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..affine import Affine, FloatArray, stacked
from ..program import Program
from .assets import Asset, Reservoir, pieces

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class AssetColumns:
    """Assets in a program, (steps, n_assets) of power, (steps, n_stores) of energies.

    Attributes:
        p, q: What is fed in.
        into, out, stored: Of those that have a reservoir: drawn from the grid, given to it, energy after.
        usd: () what costs of power and wear come to.
        curtailed_mwh: () of what sun and wind offer.
    """

    p: Affine
    q: Affine
    into: Affine
    out: Affine
    stored: Affine
    usd: Affine
    curtailed_mwh: Affine


def stores(assets: Sequence[Asset]) -> NDArray[np.int64]:
    """Places of the assets that have a reservoir."""
    return np.flatnonzero([asset.reservoir is not None for asset in assets])


def add_assets(
    program: Program, assets: Sequence[Asset], dt_h: float, gives: BoolArray | None = None
) -> AssetColumns:
    """Put assets into a program; nothing of this may be exceeded, elastic or not.

    Args:
        program: Takes the columns and rows.
        assets: At least one.
        dt_h: Hours of a step.
        gives: (steps, n_stores) whether a reservoir may only give, or only draw; None: both.
    """
    low, high = (_together(assets, name) for name in ("p_min_mw", "p_max_mw"))
    p = _between(program, low, high)
    q = _between(program, *(_together(assets, name) for name in ("q_min_mvar", "q_max_mvar")))
    _add_circles(program, assets, p, q)
    _add_ramps(program, assets, p, dt_h)
    into, out, stored = _add_stores(program, assets, p, dt_h, gives)
    usd = _costs(program, assets, p, dt_h)
    at = stores(assets)
    if at.size:
        wear = np.array([store.wear_usd_mwh for store in _reservoirs(assets)])
        usd = usd + (dt_h * wear * (into + out)).sum()
    lost = Affine(0.0)
    for k, asset in enumerate(assets):
        if asset.offered:
            lost = lost + dt_h * (asset.offer_mw - p[:, k]).sum()
    return AssetColumns(p, q, into, out, stored, usd, lost)


def _together(assets: Sequence[Asset], name: str) -> FloatArray:
    return np.stack([np.asarray(vars(asset)[name], dtype=np.float64) for asset in assets], axis=1)


def _reservoirs(assets: Sequence[Asset]) -> list[Reservoir]:
    return [asset.reservoir for asset in assets if asset.reservoir is not None]


def _between(program: Program, low: FloatArray, high: FloatArray, most: FloatArray | None = None) -> Affine:
    """Columns between bounds; where these meet, at them."""
    reach = np.maximum(np.abs(low), np.abs(high)) if most is None else most
    found = program.columns(low.shape, reach + 1e-9)
    wide = high > low
    if (~wide).any():
        program.zero(found[~wide] - low[~wide])
    if wide.any():
        program.nonneg(found[wide] - low[wide])
        program.nonneg(high[wide] - found[wide])
    return found


def _add_circles(program: Program, assets: Sequence[Asset], p: Affine, q: Affine) -> None:
    size = np.array([asset.s_mva for asset in assets])
    corner = np.array([
        np.hypot(
            max(np.abs(a.p_min_mw).max(), np.abs(a.p_max_mw).max()),
            max(np.abs(a.q_min_mvar).max(), np.abs(a.q_max_mvar).max()),
        ) for a in assets
    ])  # fmt: skip
    round_ = np.flatnonzero(np.isfinite(size) & (size < corner))
    if round_.size:
        head = Affine(np.broadcast_to(size[round_], (p.shape[0], round_.size)))
        program.cone(head, p[:, round_], q[:, round_])


def _add_ramps(program: Program, assets: Sequence[Asset], p: Affine, dt_h: float) -> None:
    for way, sign in (("ramp_up_mw_per_h", 1.0), ("ramp_down_mw_per_h", -1.0)):
        most = dt_h * np.array([vars(asset)[way] for asset in assets])
        limited = np.flatnonzero(np.isfinite(most))
        if limited.size and p.shape[0] > 1:
            change = p[1:, limited] - p[:-1, limited]
            program.nonneg(most[limited] - sign * change)
        for k in limited.tolist():
            before = assets[k].before_mw
            if before is not None:
                program.nonneg(most[k] - sign * (p[0, k] - before))


def _add_stores(
    program: Program, assets: Sequence[Asset], p: Affine, dt_h: float, gives: BoolArray | None
) -> tuple[Affine, Affine, Affine]:
    at = stores(assets)
    if not at.size:
        none = Affine(np.zeros((p.shape[0], 0)))
        return none, none, none
    kept = [assets[k] for k in at.tolist()]
    into_most = np.maximum(-_together(kept, "p_min_mw"), 0.0)
    out_most = np.maximum(_together(kept, "p_max_mw"), 0.0)
    if gives is not None:
        into_most, out_most = np.where(gives, 0.0, into_most), np.where(gives, out_most, 0.0)
    zero = np.zeros(into_most.shape)
    into, out = _between(program, zero, into_most), _between(program, zero, out_most)
    program.zero(p[:, at] - out + into)
    all_ = _reservoirs(kept)
    low, high = (np.stack([vars(s)[name] for s in all_], axis=1) for name in ("least_mwh", "most_mwh"))
    start = np.array([s.start_mwh for s in all_])
    stored = _between(program, low, high, np.maximum(np.maximum(abs(low), abs(high)), abs(start)))
    before = stacked([Affine(start), *(stored[t] for t in range(p.shape[0] - 1))])
    charged = np.array([s.eta_charge for s in all_])
    given = 1.0 / np.array([s.eta_discharge for s in all_])
    drained = np.stack([s.drained for s in all_], axis=1)
    program.zero(before + dt_h * (charged * into - given * out) - drained - stored)
    return into, out, stored


def _costs(program: Program, assets: Sequence[Asset], p: Affine, dt_h: float) -> Affine:
    total = Affine(0.0)
    for k, asset in enumerate(assets):
        if not asset.points:
            continue
        slope, intercept = pieces(asset.points)
        if slope.size == 1:
            total = total + dt_h * (slope[0] * p[:, k] + intercept[0]).sum()
            continue
        most = max(abs(cost) for _, cost in asset.points) + 1e-6
        top = program.columns((p.shape[0], 1), most)
        program.nonneg(top - (p[:, k].reshape(-1, 1) * slope + intercept))
        total = total + dt_h * top.sum()
    return total
