"""controls.png: voltages before local control acts and after, and what it moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from .... import cases, physics
from ...jobs.pictures import new_figure, png
from .voltage_figure import (
    AFTER,
    BEFORE,
    FloatArray,
    draw_positions,
    draw_profile,
    finish_profile,
    way_of,
)

_BARS = 24


def controls_png(feeder: cases.Feeder, tables: Mapping[str, pa.Table], voltage_bands: bool) -> bytes:
    """Of the tables of a run, as PNG with the same bytes every time."""
    taps, banks = tables["taps"].to_pylist(), tables["banks"].to_pylist()
    figure = new_figure(11.0, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1.0))
    way = way_of(feeder)
    net = physics.compile_per_phase(feeder, keep_loops=True, voltage_bands=voltage_bands)
    for name, colour, tap, on in (
        ("before", BEFORE, "tap_start", "on_start"), ("after", AFTER, "tap_pos", "on"),
    ):  # fmt: skip
        v = _voltages(net, [row[tap] for row in taps], [row[on] for row in banks])
        draw_profile(left, way, v, name, colour)
    finish_profile(left, way, f"{feeder.name}: local control")
    moves = [(f"{row['reg_id']} ({row['phase']})", row["tap_start"], row["tap_pos"]) for row in taps]
    moves += [(row["cap_id"], int(row["on_start"]), int(row["on"])) for row in banks]
    _positions(right, moves)
    return png(figure)


def _voltages(net: physics.Network3, positions: list[int], on: list[bool]) -> FloatArray:
    step = net.feeder.regulators.column("tap_step_pu").to_numpy()
    given: dict[str, Any] = {}
    if positions:
        given["tap"] = 1.0 + np.array(positions) * step
    if on:
        given["cap_on"] = np.array(on, dtype=bool)
    return np.asarray(physics.solve(net, **given).v_pu, dtype=np.float64).reshape(net.n_bus, 3)


def _positions(ax: Any, moves: list[tuple[str, int, int]]) -> None:
    ax.set_title("Regulators and banks" if moves else "Neither regulators nor banks", fontsize=10)
    if moves:
        draw_positions(ax, moves[:_BARS], "after", "tap position; of banks 0 off, 1 on")
    else:
        ax.set_axis_off()
