"""Load shapes (P and Q) from SimBench's 2016 profiles: which ones, how they are aggregated, how Q is scaled.

SimBench's household and heat-pump profiles are single customers: a household's mean is 6 % of its peak. A
node of a medium-voltage feeder serves tens of them, so `household-NN` and `heatpump-NN` are sums of many
homes: copies of the single profiles moved by whole weeks (weekday and season stay true) and by up to half an
hour. The single customers are kept too, for loads below the size given in
`distgrid.cases.profiles.load_assignment`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Array = NDArray[np.float64]

SEED = 20160102
DAYS, STEPS = 366, 35136
HOMES = 60  # homes behind one aggregated household shape
N_HOUSEHOLD, N_HEATPUMP = 12, 8
SINGLE_HOMES = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-L")
COMMERCIAL = (
    "G0-A", "G0-M", "G1-A", "G1-B", "G1-C", "G2-A", "G3-A", "G3-H", "G3-M", "G4-A", "G4-B", "G4-H", "G4-M",
    "G5-A", "G6-A", "BL-H", "WB-H",
)  # fmt: skip
FARM = ("L0-A", "L1-A", "L2-A", "L2-M")
PUMPS = tuple(
    f"{kind}_{i}" for kind in ("Air_Alternative", "Air_Parallel", "Air_Semi-Parallel", "Soil_Alternative")
    for i in (1, 2)
)  # fmt: skip
HIGH_LOAD = 0.95  # quantile of P above which an hour counts as high load
Q_LIMIT = 1.2  # largest |q| after scaling, in multiples of nominal; times a factor of 1.62 below 2


def read_simbench(folder: Path) -> dict[str, tuple[Array, Array]]:
    """P and Q of every SimBench profile used here, as published (P has maximum 1)."""
    found: dict[str, tuple[Array, Array]] = {}
    for part in ("commercial_household_agri", "heatpump"):
        table = pq.read_table(folder / f"profiles_2016_15min_{part}.parquet")
        for name in table.column_names:
            if name.endswith(".p"):
                p, q = (table[f"{name[:-2]}.{c}"].to_numpy().astype(float) for c in "pq")
                found[name[:-2]] = (p, q)
    return found


def week_shifted(x: Array, weeks: int, quarters: int) -> Array:
    """Profile moved by whole weeks and a few quarter hours; where the year ends, moved the other way."""
    source = np.arange(DAYS) + 7 * weeks
    source = np.where((source < 0) | (source >= DAYS), np.arange(DAYS) - 7 * weeks, source)
    return np.asarray(np.roll(x.reshape(DAYS, 96)[source].reshape(-1), quarters))


def household(homes: dict[str, tuple[Array, Array]], rng: np.random.Generator) -> tuple[Array, Array]:
    """Sum of `HOMES` homes drawn from the single customers."""
    p, q = np.zeros(STEPS), np.zeros(STEPS)
    # Each village has its own mix of kinds of homes, else all sums would look alike.
    mix = rng.dirichlet(np.full(len(SINGLE_HOMES), 1.2))
    for name in rng.choice(SINGLE_HOMES, HOMES, p=mix):
        weeks, quarters, size = int(rng.integers(-4, 5)), int(rng.integers(-2, 3)), rng.uniform(0.6, 1.4)
        p += size * week_shifted(homes[name][0], weeks, quarters)
        q += size * week_shifted(homes[name][1], weeks, quarters)
    return p, q


def heat_pumps(pumps: dict[str, tuple[Array, Array]], rng: np.random.Generator) -> tuple[Array, Array]:
    """Sum of 30 heat pumps; they see one weather, so they are moved within two hours but not by weeks."""
    p, q = np.zeros(STEPS), np.zeros(STEPS)
    mix = rng.dirichlet(np.full(len(PUMPS), 0.8))
    for name in rng.choice(PUMPS, 30, p=mix):
        quarters, size = int(rng.integers(-8, 9)), rng.uniform(0.6, 1.4)
        p += size * np.roll(pumps[name][0], quarters)
        q += size * np.roll(pumps[name][1], quarters)
    return p, q


def scaled_q(p: Array, q: Array) -> tuple[Array, float]:
    """Reactive shape for a P shape with maximum 1, and the share of it that had to follow P.

    The rule: over the high-load hours (P above its 95 % quantile) the mean of q equals the mean of p, so that
    a load's Q/P there is the case's. Where that leaves |q| above `Q_LIMIT` in more than one step in a
    thousand (Q that has little to do with P), the smallest share w in steps of 0.05 of constant power factor
    is blended in: w*p + (1-w)*q. The few steps still above the limit are cut to it.
    """
    high = p >= np.quantile(p, HIGH_LOAD)
    scaled = q * (p[high].mean() / q[high].mean())
    for w in np.linspace(0.0, 1.0, 21):
        blend = w * p + (1.0 - w) * scaled
        if np.quantile(np.abs(blend), 0.999) <= Q_LIMIT:
            for _ in range(30):  # cutting lowers the mean a little; this restores it
                blend = np.clip(blend * (p[high].mean() / blend[high].mean()), -Q_LIMIT, Q_LIMIT)
            return blend, float(w)
    raise ValueError("even a constant power factor exceeds the limit; is P normalised to 1?")


def build_shapes(folder: Path) -> list[tuple[str, str, Array, Array, float]]:
    """All shapes as (name, kind, p, q, share of q that follows p), p with maximum 1."""
    raw = read_simbench(folder)
    rng = np.random.default_rng(SEED)
    shapes: list[tuple[str, str, Array, Array]] = []
    sums = [household(raw, rng) for _ in range(N_HOUSEHOLD + N_HEATPUMP)]
    for i, (p, q) in enumerate(sums[:N_HOUSEHOLD]):
        shapes.append((f"household-{i + 1:02d}", "household", p, q))
    shapes.append(("H0-H", "household", *raw["H0-H"]))
    shapes += [(name, "commercial", *raw[name]) for name in COMMERCIAL]
    shapes += [(name, "farm", *raw[name]) for name in FARM]
    for i, (p, q) in enumerate(sums[N_HOUSEHOLD:]):
        hp, hq = heat_pumps(raw, rng)
        # Heat pumps make 45 % of the peak of a village that heats with them. Their published Q equals P in
        # per unit, so it is given the homes' Q/P.
        share = 0.45 / 0.55 * p.max() / hp.max()
        shapes.append(
            (f"heatpump-{i + 1:02d}", "heatpump", p + share * hp, q + share * hq * q.sum() / p.sum())
        )
    shapes += [(name, "single-household", *raw[name]) for name in SINGLE_HOMES]
    shapes += [(name, "single-heatpump", *raw[name]) for name in ("Air_Parallel_1", "Soil_Alternative_2")]
    out = []
    for name, kind, p, q in shapes:
        p = p / p.max()
        q, share = scaled_q(p, q)
        out.append((name, kind, p, q, share))
    return out
