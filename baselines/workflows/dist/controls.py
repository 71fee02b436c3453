"""`distgrid dist controls`: where regulators and capacitor banks come to rest under their own relays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from .... import cases, physics
from ....physics.controls.laws import relay_volts
from ....physics.controls.settings import local_controls
from ...errors import RunError, unknown
from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table

STARTS = ("stored", "neutral")

STEPS = pa.int64()

TAPS = schema(
    ("reg_id", TEXT, ""), ("branch_id", TEXT, ""), ("phase", TEXT, ""), ("tap_start", STEPS, "step"),
    ("tap_pos", STEPS, "step"), ("at_limit", YES_NO, ""), ("reversed", YES_NO, ""),
    ("relay_v", NUMBER, "V on the PT secondary"),  # after line-drop compensation
    ("set_v", NUMBER, "V on the PT secondary"), ("band_v", NUMBER, "V on the PT secondary"),
    ("in_band", YES_NO, ""),
)  # fmt: skip
BANKS = schema(
    ("cap_id", TEXT, ""), ("node_id", TEXT, ""), ("phase", TEXT, ""), ("controlled", YES_NO, ""),
    ("on_start", YES_NO, ""), ("on", YES_NO, ""),
)  # fmt: skip
ACTIONS = schema(
    ("iteration", STEPS, ""), ("delay_s", NUMBER, "s"), ("kind", TEXT, ""), ("device", TEXT, ""),
    ("change", STEPS, "step"), ("state", STEPS, "step"),
)  # fmt: skip


@dataclass(frozen=True)
class Controls:
    """A feeder at rest, or where it was given up."""

    feeder: cases.Feeder
    run: physics.Settled
    taps: pa.Table
    banks: pa.Table
    actions: pa.Table

    @property
    def verdict(self) -> str:
        """How it ended, in a sentence."""
        run = self.run
        if not run.solution.converged:
            return f"the power flow did NOT converge after {len(run.actions)} control actions"
        done = f"{int(run.iterations)} power flows, {len(run.actions)} control actions"
        if run.settled:
            return f"settled: {done}"
        return f"NOT settled: {done}, and the controls still want to act; do settings contradict each other?"


def settle(
    feeder: cases.Feeder | str | Path,
    *,
    start: str = "stored",
    voltage_bands: bool = False,
    max_control_iterations: int = 100,
) -> Controls:
    """Nominal loads with every control of the feeder's tables, as in `physics.settle_controls`.

    ``start``: "stored" taps and banks, or "neutral" taps and stored banks.
    """
    check_start(start)
    if not isinstance(feeder, cases.Feeder):
        feeder = cases.load(feeder)
    if feeder.phases != "per-phase":
        raise RunError(
            f"feeder {feeder.name!r} is balanced: local control needs the regulators of a per-phase "
            f"feeder, such as {', '.join(cases.names(phases='per-phase')[:3])}"
        )
    net = physics.compile_per_phase(feeder, keep_loops=True, voltage_bands=voltage_bands)
    run = physics.settle_controls(
        net, tap_pos=0 if start == "neutral" else None, max_control_iterations=max_control_iterations
    )
    return Controls(
        feeder, run, _taps(net, run, start), _banks(net, run),
        pa.Table.from_pylist(
            [{name: getattr(a, name) for name in ACTIONS.names} for a in run.actions], schema=ACTIONS
        ),
    )  # fmt: skip


def check_start(start: str) -> None:
    """RunError, with the nearest name, where it is unknown."""
    if start not in STARTS:
        raise unknown("start", start, STARTS)


def _taps(net: physics.Network3, run: physics.Settled, start: str) -> pa.Table:
    controls, sol, col = local_controls(net), run.solution, net.feeder.column
    settings = controls.taps
    ends = sol.p_from_mw + 1j * sol.q_from_mvar, sol.p_to_mw + 1j * sol.q_to_mvar
    readings = controls.read(sol.v, *ends)
    volts = relay_volts(settings, readings, run.tap_pos, run.reversed)
    target = np.where(run.reversed, settings.rev_v_reg_v, settings.v_reg_v)
    band = np.where(run.reversed, settings.rev_band_v, settings.band_v)
    stored = col("regulators", "tap_pos")
    columns = {
        "reg_id": col("regulators", "reg_id"),
        "branch_id": col("regulators", "branch_id"),
        "phase": col("regulators", "phase"),
        "tap_start": np.zeros_like(stored) if start == "neutral" else stored,
        "tap_pos": run.tap_pos,
        "at_limit": (run.tap_pos == settings.tap_min) | (run.tap_pos == settings.tap_max),
        "reversed": run.reversed,
        "relay_v": volts,
        "set_v": target,
        "band_v": band,
        "in_band": np.abs(volts - target) <= band / 2.0,
    }
    return table(columns, TAPS)


def _banks(net: physics.Network3, run: physics.Settled) -> pa.Table:
    col = net.feeder.column
    ids = col("capacitors", "cap_id")
    columns = {
        "cap_id": ids,
        "node_id": col("capacitors", "node_id"),
        "phase": col("capacitors", "phase"),
        "controlled": np.isin(ids, col("cap_controls", "cap_id")),
        "on_start": col("capacitors", "status"),
        "on": run.cap_on,
    }
    return table(columns, BANKS)
