"""Several buses together: how a total divides among them so that the feeder takes the most of it.

Successive linear programs: what limits speak of is linearised at the last division (one batch of power
flows), HiGHS finds the largest total within a region that is trusted, and a search along the ray of the new
division says what the power flow really takes. The result keeps every limit and is the best that was found:
no proof is claimed that none is better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .capacity import Capacities, HostingStudy, Judge
from .siting import Sites, each_bus

FloatArray = NDArray[np.float64]

_ROUNDS = 12
_STEP = 1e-3  # of the total: how far sizes are moved to see what they do
_WORTH = 1e-3  # of the total: an improvement below it ends the search


def largest_total(study: HostingStudy, sites: Sites | None = None, name: str = "together") -> Capacities:
    """The largest total of candidates that are built together, and how it divides: ``sites.share`` of it.

    Args:
        study: Limits, plant, moments.
        sites: Candidates that stand alone; None: every bus.
        name: What the set is called.
    """
    single = each_bus(study.flows) if sites is None else sites
    part = np.full(len(single), 1.0 / len(single))
    best = study.capacities(divided(single, part, name))
    trust = 1.0
    for _ in range(_ROUNDS):
        sizes = part * best.max_mw[0]
        moved = _linear_step(study, single, sizes, trust * max(float(best.max_mw[0]), study.settings.tol_mw))
        if moved is None or moved.sum() <= 0.0:
            break
        found = study.capacities(divided(single, moved / moved.sum(), name))
        gain = float(found.max_mw[0] - best.max_mw[0])
        if gain > 0.0:
            part, best = moved / moved.sum(), found
        if gain < _WORTH * float(best.max_mw[0]):
            trust *= 0.25
            if trust < 1e-2:
                break
    return best


def divided(single: Sites, part: FloatArray, name: str) -> Sites:
    """One candidate that stands at several sites, in these parts."""
    used = np.flatnonzero(part > 1e-9)
    buses = tuple(dict.fromkeys(single.name[k] for k in used))
    share = np.tensordot(part, single.share, axes=1)
    return Sites((name,), ("",), (len(buses),), share[None], (buses,))


def _linear_step(study: HostingStudy, single: Sites, sizes: FloatArray, trust_mw: float) -> FloatArray | None:
    """The division that the linear model at ``sizes`` likes best; None where the model has no answer."""
    from scipy.optimize import linprog

    low, high, slopes, at = [], [], [], []
    everywhere = divided(single, np.full(sizes.size, 1.0 / sizes.size), "all")
    for judge in study.judges:
        if judge.scanned and len(study.judges) > 1:
            continue  # taps move in steps: the search along the ray judges them
        for base in range(study.n_bases):
            x, slope = _model(study, judge, single, sizes, base)
            bounds = study.bounds_of(judge, everywhere, np.array([base])).bounds
            low.append(bounds.low[0])
            high.append(bounds.high[0])
            slopes.append(slope)
            at.append(x - slope @ sizes)
    a, origin = np.vstack(slopes), np.concatenate(at)
    top, bottom = np.concatenate(high), np.concatenate(low)
    upper, lower = np.isfinite(top), np.isfinite(bottom)
    found = linprog(
        -np.ones(sizes.size), A_ub=np.vstack([a[upper], -a[lower]]),
        b_ub=np.concatenate([(top - origin)[upper], (origin - bottom)[lower]]),
        bounds=np.column_stack([np.maximum(sizes - trust_mw, 0.0), sizes + trust_mw]), method="highs",
    )  # fmt: skip
    return np.asarray(found.x) if found.status == 0 else None


def _model(
    study: HostingStudy, judge: Judge, single: Sites, sizes: FloatArray, base: int
) -> tuple[FloatArray, FloatArray]:
    """What limits speak of at these sizes, and (columns, sites) how each size moves it."""
    n, step = sizes.size, max(_STEP * float(sizes.sum()), study.settings.tol_mw)
    plans = sizes + np.vstack([np.zeros(n), step * np.eye(n)])
    total = plans.sum(axis=1)
    share = np.tensordot(plans / np.maximum(total, 1e-12)[:, None], single.share, axes=1)
    names = tuple(map(str, range(n + 1)))
    many = Sites(names, ("",) * (n + 1), (n,) * (n + 1), share, ((),) * (n + 1))
    shown = study.evaluate(judge, many, np.arange(n + 1) * study.n_bases + base, total)
    return shown.x[0], (shown.x[1:] - shown.x[0]).T / step
