"""Laws of local control: what a regulator's or a capacitor's relay wants from what it measures.

Pure functions over arrays whose last axis is the control; any axes before it are rows. NaN readings (no
supply) want nothing. The laws are those of OpenDSS's RegControl and CapControl, with one difference: the
line-drop compensation of the reverse direction works also where the forward one is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

KVAR, VOLTAGE, CURRENT = range(3)
SHARE_AT_ONCE = 0.7  # of the steps wanted, in one action of a static solution: other regulators help


@dataclass(frozen=True, eq=False)
class TapSettings:
    """Settings of regulator controls, (n_regulator,) each; volts are those on the PT secondary."""

    reg_id: tuple[str, ...]
    v_reg_v: FloatArray
    band_v: FloatArray  # whole width
    pt_ratio: FloatArray
    ct_a: FloatArray
    ldc_v: ComplexArray  # r + j x at rated current
    delay_s: FloatArray
    tap_delay_s: FloatArray
    max_tap_change: IntArray
    v_limit_v: FloatArray  # inf: none
    reversible: BoolArray
    rev_v_reg_v: FloatArray
    rev_band_v: FloatArray
    rev_ldc_v: ComplexArray
    rev_delay_s: FloatArray
    rev_threshold_mw: FloatArray
    rev_neutral: BoolArray
    tap_min: IntArray
    tap_max: IntArray
    tap_step_pu: FloatArray
    step_v: FloatArray  # what one step changes on the PT secondary
    order: IntArray  # of definition


@dataclass(frozen=True, eq=False)
class BankSettings:
    """Settings of capacitor controls, (n_control,) each; ``measured`` is kvar, V or A by `kind`."""

    control_id: tuple[str, ...]
    cap_row: IntArray  # bank of each control
    kind: IntArray  # KVAR, VOLTAGE, CURRENT
    on_setting: FloatArray
    off_setting: FloatArray
    delay_on_s: FloatArray
    delay_off_s: FloatArray
    dead_time_s: FloatArray
    pt_ratio: FloatArray
    ct_ratio: FloatArray
    v_override: BoolArray
    v_min_v: FloatArray
    v_max_v: FloatArray


@dataclass(frozen=True, eq=False)
class Readings:
    """What the controls measure, (..., n_regulator) and (..., n_control)."""

    winding_v: ComplexArray  # across the tapped winding, V
    out_a: ComplexArray  # out of the tapped side, A
    forward_mw: FloatArray  # power out of the tapped side of the unit
    bank_v: FloatArray  # V on the PT secondary
    bank_a: FloatArray  # A on the CT secondary
    bank_kvar: FloatArray  # into the monitored end of the branch, all its phases


def relay_volts(
    settings: TapSettings, readings: Readings, tap_pos: NDArray[np.number], turned: BoolArray
) -> FloatArray:
    """Volts that the relay compares with its setting: after line-drop compensation, before the winding's taps
    where the flow has turned.
    """
    ldc = np.where(turned, settings.rev_ldc_v, settings.ldc_v)
    drop = np.where(ldc == 0, 0.0, ldc * readings.out_a / settings.ct_a)
    volts = np.abs(readings.winding_v / settings.pt_ratio - drop)
    return np.asarray(np.where(turned, volts / (1.0 + tap_pos * settings.tap_step_pu), volts))


def taps_wanted(
    settings: TapSettings, volts: FloatArray, local_v: FloatArray, turned: BoolArray
) -> tuple[IntArray, BoolArray]:
    """Steps that bring ``volts`` nearest to the setting, and which relays are out of their band.

    Inside the band 0; in reverse mode the other way round. ``local_v``: PT volts without compensation, which
    ``v_limit_v`` holds down whatever the band says. Tap limits are the caller's.
    """
    target = np.where(turned, settings.rev_v_reg_v, settings.v_reg_v)
    band = np.where(turned, settings.rev_band_v, settings.band_v)
    over = local_v > settings.v_limit_v
    short = np.where(over, settings.v_limit_v - local_v, target - volts)
    out = over | (np.abs(target - volts) > band / 2.0)
    steps = np.rint(np.where(out, short / settings.step_v, 0.0)).astype(np.int64)
    return np.where(turned, -steps, steps), np.asarray(out)


def steps_at_once(wanted: IntArray, most: IntArray) -> IntArray:
    """Steps of one action in a static solution: 70 % of those wanted, at least one, at most ``most``."""
    size = np.maximum(np.trunc(SHARE_AT_ONCE * np.abs(wanted)).astype(np.int64), 1)
    return np.asarray(np.sign(wanted) * np.minimum(size, most))


def steps_in_time(late_s: FloatArray, tap_delay_s: FloatArray) -> IntArray:
    """Steps that fit into the time since a relay's delay, each but the first after ``tap_delay_s``."""
    pace = np.maximum(tap_delay_s, 1e-6)
    return np.where(late_s >= 0, 1 + np.floor(np.maximum(late_s, 0.0) / pace).astype(np.int64), 0)


def wants_to_turn(settings: TapSettings, forward_mw: FloatArray, turned: BoolArray) -> BoolArray:
    """Reversible controls on which power has passed the threshold against their present direction."""
    flow = np.where(turned, forward_mw, -forward_mw)
    return np.asarray(settings.reversible & (flow > settings.rev_threshold_mw))


def banks_wanted(settings: BankSettings, readings: Readings, on: BoolArray) -> IntArray:
    """1 to close, -1 to open, 0 to stay, for each capacitor control whose bank is ``on`` or not.

    kvar and current controls close above ``on_setting`` and open below ``off_setting``, unless the voltage
    override closes or opens first; voltage controls close below ``on_setting``, open above ``off_setting``.
    """
    by_voltage = settings.kind == VOLTAGE
    measured = np.where(settings.kind == KVAR, readings.bank_kvar, readings.bank_a)
    v = readings.bank_v
    close = np.where(by_voltage, v < settings.on_setting, measured > settings.on_setting)
    open_ = np.where(by_voltage, v > settings.off_setting, measured < settings.off_setting)
    override = settings.v_override & ~by_voltage
    close |= override & (v < settings.v_min_v)
    open_ |= override & (v > settings.v_max_v)
    return np.where(on, -open_.astype(np.int64), close.astype(np.int64))
