"""Small per-phase feeders with regulator and capacitor controls."""

from __future__ import annotations

from typing import Any

import numpy as np

from distgrid.cases.model.feeder import Feeder

from .phase_grids import Grid3, random_feeder

REGULATOR: dict[str, Any] = {
    "v_reg_v": 122.0, "band_v": 2.0, "pt_ratio": 20.0, "ct_a": 100.0, "delay_s": 15.0, "tap_delay_s": 2.0,
    "max_tap_change": 16, "ldc_r_v": 0.0, "ldc_x_v": 0.0, "reversible": False, "rev_v_reg_v": 120.0,
    "rev_band_v": 3.0, "rev_ldc_r_v": 0.0, "rev_ldc_x_v": 0.0, "rev_delay_s": 60.0, "rev_threshold_mw": 0.05,
    "rev_neutral": False,
}  # fmt: skip
BANK: dict[str, Any] = {
    "delay_on_s": 15.0, "delay_off_s": 15.0, "dead_time_s": 300.0, "pt_ratio": 20.0, "ct_ratio": 1.0,
    "v_override": False, "v_min_v": 115.0, "v_max_v": 126.0, "end": "from",
}  # fmt: skip
THREE = [{"node": "d", "phase": "ABC", "q": 0.3}]


def _units(taps: tuple[int, int, int]) -> list[dict[str, Any]]:
    return [
        {"from_phase": p, "to_phase": p, "hv_kv": 2.4, "lv_kv": 2.4, "taps": t, "r_pct": 0.1, "x_pct": 0.5}
        for p, t in zip("ABC", taps, strict=True)
    ]


def _set(grid: Grid3, **settings: Any) -> None:
    for k, row in enumerate(grid.rows["regulators"]):
        row.update(REGULATOR | {"order": k, "monitored_phase": row["phase"]} | settings)


def behind_regulator(p_mw: float, taps: tuple[int, int, int] = (0, 0, 0), **settings: Any) -> Feeder:
    """A long line, three one-phase regulators r0, r1, r2, and a load of ``p_mw`` per phase behind them."""
    grid = Grid3()
    for node in "sabc":
        grid.node(node)
    grid.source("s", 1.01, 0.0, (0.2 + 0.5j, 0.05 + 0.1j))
    grid.line("s", "a", km=3.0)
    grid.bank("a", "b", _units(taps), kind="regulator")
    grid.line("b", "c", km=2.0)
    for phase in "ABC":
        grid.load("c", phase, p_mw, 0.1)
    _set(grid, **settings)
    return grid.feeder()


def with_banks(
    scale: float,
    controls: list[dict[str, Any]],
    banks: list[dict[str, Any]],
    *,
    regulators: bool = False,
    on: bool = False,
) -> Feeder:
    """Banks at the end of a line, watched by ``controls`` on branch c-d or c-b (drawn towards the source)."""
    grid = Grid3()
    for node in "sabcd":
        grid.node(node)
    grid.source("s", 1.02, 0.0, (0.1 + 0.3j, 0.02 + 0.1j))
    grid.line("s", "a", km=1.0)
    if regulators:
        grid.bank("a", "b", _units((0, 0, 0)), kind="regulator")
    else:
        grid.line("a", "b", km=0.5)
    grid.line("c", "b", km=1.0)
    grid.line("c", "d", km=0.5)
    for phase, share in zip("ABC", (1.0, 0.8, 1.2), strict=True):
        grid.load("d", phase, 0.25 * scale * share, 0.15 * scale * share)
    for bank in banks:
        grid.cap(bank["node"], bank["phase"], bank["q"], on, bank.get("connection", "wye"))
    _set(grid)
    for k, control in enumerate(controls):
        row = {"control_id": f"k{k}", "cap_id": f"c{k}", "branch_id": "c-d"} | BANK | control
        grid.rows["cap_controls"].append(row)
    return grid.feeder()


def random_controls(seed: int) -> Feeder:
    """A random tree whose regulators have random settings."""
    rng = np.random.default_rng(seed)
    grid = random_feeder(seed)
    kv = {row["node_id"]: row["base_kv"] for row in grid.rows["nodes"]}
    end = {row["branch_id"]: row["to_node"] for row in grid.rows["branches"]}
    _set(grid)
    for row in grid.rows["regulators"]:
        v_reg = float(rng.uniform(116, 126))
        row |= {
            "tap_pos": 0, "pt_ratio": kv[end[row["branch_id"]]] * 1e3 / np.sqrt(3) / 120, "v_reg_v": v_reg,
            "band_v": float(rng.uniform(1, 3)), "delay_s": float(rng.choice([15, 30, 45])),
            "ldc_r_v": float(rng.uniform(0, 5)), "ldc_x_v": float(rng.uniform(0, 5)),
            "max_tap_change": int(rng.choice([1, 3, 16])), "ct_a": float(rng.uniform(20, 100)),
            "v_limit_v": v_reg + 1.0 if rng.random() < 0.3 else None,
        }  # fmt: skip
    return grid.feeder()


def from_neutral(feeder: Feeder) -> Feeder:
    """The feeder with every tap at 0."""
    for reg_id in feeder.column("regulators", "reg_id"):
        feeder = feeder.with_regulator(str(reg_id), 0)
    return feeder
